"""The same world on a real SCIM server: its people, its job, and its audit, which is of the requests that it answered.

A server holds one world after the other. What became of a world is read from three sides: the users, the state's
journal, and the server's own log of requests, which knows what was edited and not to what.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from connector.model import Change
from tests.support.crash_scenarios import Stage
from tests.support.crash_world import PEOPLE_IN_A_WORLD, Launcher, World
from tests.support.jobs import scim_directory
from tests.support.scim_servers import CEC, CORE, Asked, Kind, ScimServer

MAPPING = f"""\
match: [{{agent: "{{accountCode}}", directory: userName}}]
attributes:
  {CEC}:accountCode: "{{accountCode}}"
  {CEC}:workNo: {{value: "{{workNo}}", unique: true}}
  {CEC}:sipAccount: "{{sipAccount}}"
  {CEC}:sipPassword: {{value: "{{sipPwd}}", secret: true}}
when_absent: clear
stale: clear
"""
SECRET = f"{CEC}:sipPassword".lower()

Json = dict[str, Any]
Write = tuple[str, frozenset[tuple[str, bool]]]
"""A user's id, and the attributes that were edited: those that got a value, and those that lost theirs."""


def people() -> list[Json]:
    """The people of a world. Some have a seat, or a value of ours, already."""
    held: dict[int, Json] = {2: {"accountCode": "p2"}, 7: {"workNo": 1500}}
    return [
        {
            "schemas": [CORE, CEC] if number in held else [CORE],
            "id": f"{number:032x}",
            "userName": f"p{number}",
            "name": {"givenName": "Example", "familyName": f"Person {number}"},
            "active": True,
        }
        | ({CEC: held[number]} if number in held else {})
        for number in range(1, PEOPLE_IN_A_WORLD + 1)
    ]


class ScimWorld(World):
    """One folder with a job and its state, and a server whose users are those of this world alone."""

    def __init__(self, folder: Path, name: str, server: ScimServer, launcher: Launcher, state: str = "") -> None:
        self._server = server
        super().__init__(folder, name, launcher, MAPPING, scim_directory(server.url), state)
        server.restore(people())
        server.forget()

    def entries(self) -> Any:
        """Every user, by name, with all that the server holds of it; the secret too."""
        return {str(user["userName"]): user for user in self._server.all()}

    def audit(self) -> None:
        """Hold the journal to what the server has answered."""
        journal: defaultdict[str, Counter[Write]] = defaultdict(Counter)
        for step in self.journalled():
            journal["open" if step.outcome is None else step.outcome.value][_journalled(step.change)] += 1
        done, perhaps = Counter[Write](), Counter[Write]()
        for asked in self._server.log():
            if asked.method == "PATCH" and asked.status < 300:
                (perhaps if asked.status == 0 else done)[_logged(asked)] += 1  # 0: whoever asked was gone by then
        again = "written again" in self.said
        forgotten = [write for write in done - journal["written"] if not again or SECRET not in dict(write[1])]
        assert not journal["open"], f"left open: {journal['open']}\n{self.said}"
        assert not forgotten, f"not in the journal as written: {forgotten}\n{self.said}"
        made_up = journal["written"] - done - perhaps
        assert not made_up, f"never written, or written less often: {made_up}\n{self.said}"


def _journalled(change: Change) -> Write:
    edited = ((each.name.lower(), bool(each.new or each.fingerprint)) for each in change.attributes
              if each.secret or set(map(str, each.old)) != set(map(str, each.new)))  # fmt: skip
    return change.user.id, frozenset(edited)


def _logged(asked: Asked) -> Write:
    edited = ((str(each["path"]).lower(), each["op"] != "remove" and bool(each["value"])) for each in asked.edits)
    return asked.path.partition("?")[0].rpartition("/")[2], frozenset(edited)


class ScimStage(Stage):
    """A stage on SCIM servers of one kind."""

    def __init__(self, folder: Path, kind: Kind, state: Callable[[], str] = str) -> None:
        super().__init__(folder, kind, state)
        self._kind = kind

    @contextmanager
    def opened(self, number: int) -> Iterator[Iterator[World]]:
        folder = self._folder / str(number)
        folder.mkdir(parents=True)

        def worlds() -> Iterator[ScimWorld]:
            """One after the other; each is held to its log before the server is given to the next."""
            for place in count():
                world = ScimWorld(folder, f"w{place}", server, launcher, self._state())
                opened.append(world)
                yield world
                world.audit()

        opened: list[ScimWorld] = []
        with ScimServer.start(folder / "server", kind=self._kind) as server, Launcher() as launcher:
            yield worlds()
            if opened:
                opened[-1].audit()
