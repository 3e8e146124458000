"""Forms of writes are learnt from a server's answers, by several writers at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, cast, get_type_hints

from hypothesis import given, strategies as st
from msgspec.structs import asdict

from connector.directories.scim.dialect import Dialect, learnt
from connector.directories.scim.edits import Edit
from connector.directories.scim.paths import Path
from connector.directories.scim.protocol import Answer, Request
from connector.directories.scim.reading import Resources
from connector.directories.scim.sending import Wire, Writing

WRITERS = 4
DIALECTS = st.builds(Dialect, **{name: st.from_type(hint) for name, hint in get_type_hints(Dialect).items()})


class Server:
    """One that does not know `remove`, as its transport and its resources; all writers ask it before it answers one."""

    def __init__(self) -> None:
        self.transport = self
        self._all_have_asked = Barrier(WRITERS)

    def address(self, name: str) -> str:
        return f"/Users/{name}"

    def send(self, request: Request) -> Answer:
        (operation,) = cast("dict[str, Any]", request.body)["Operations"]
        if operation["op"] == "remove":
            self._all_have_asked.wait(10)
            return Answer(501, {}, b"", self.address(""))
        return Answer(204, {}, b"", self.address(""))


def test_whoever_asked_before_it_was_known_asks_again() -> None:
    wire = Wire(cast("Resources", Server()), Dialect())
    writing = Writing("7", {}, [Edit(Path("nickName"), None)], "", lambda: True)
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(pool.map(wire.write, [writing] * WRITERS))
    assert [answer.status for answer in answers] == [204] * WRITERS


class ListServer:
    """One that wants single values in arrays. While it looks at the first one, another writer finds that out."""

    def __init__(self) -> None:
        self.transport = self
        self.meanwhile: Callable[[], object] = lambda: None
        self.sent: list[tuple[str, Any]] = []

    def address(self, name: str) -> str:
        return f"/Users/{name}"

    def send(self, request: Request) -> Answer:
        (operation,) = cast("dict[str, Any]", request.body)["Operations"]
        self.sent.append((request.path, operation["value"]))
        if isinstance(operation["value"], list):
            return Answer(204, {}, b"", self.address(""))
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        refusal = json.dumps({"detail": "Operations.value must be an array"}).encode()
        return Answer(400, {}, refusal, self.address(""))


def test_a_value_that_was_refused_is_sent_in_an_array_also_where_another_writer_has_just_learnt_it() -> None:
    server = ListServer()
    wire = Wire(cast("Resources", server), Dialect())

    def write(id_: str) -> Answer:
        return wire.write(Writing(id_, {}, [Edit(Path("nickName"), "ann")], "", lambda: True))

    def another() -> None:
        assert write("8").status == 204
        wire.takes_lists("8", whether=True)

    server.meanwhile = another
    assert write("7").status == 204
    assert server.sent[-1] == ("/Users/7", ["ann"])


@given(DIALECTS, DIALECTS, st.booleans())
def test_every_field_of_a_form_that_was_understood_is_kept(known: Dialect, spoken: Dialect, cleared: bool) -> None:
    kept = asdict(learnt(known, spoken, cleared=cleared))
    assert kept.pop("arrays") == known.arrays  # wanted path by path
    assert kept.pop("clearing") == ((spoken.clearing or "remove") if cleared else known.clearing)
    assert kept == {name: value for name, value in asdict(spoken).items() if name in kept}
