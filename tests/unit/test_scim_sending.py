"""Forms of writes are learnt from a server's answers, by several writers at once."""

from __future__ import annotations

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


@given(DIALECTS, DIALECTS, st.booleans())
def test_every_field_of_a_form_that_was_understood_is_kept(known: Dialect, spoken: Dialect, cleared: bool) -> None:
    kept = asdict(learnt(known, spoken, cleared=cleared))
    assert kept.pop("clearing") == ((spoken.clearing or "remove") if cleared else known.clearing)
    assert kept == {name: value for name, value in asdict(spoken).items() if name in kept}
