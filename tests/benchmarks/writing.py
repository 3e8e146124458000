"""What is measured of writing: many changes of five attributes, with a server that syncs and one that does not.

The changes are those of one plan: `ldapmodify` is given the plan's own LDIF report, the others its JSON report. Before
every run the directory is put back to what it was, and the first run of each is held to leave the same directory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tests.benchmarks import rivals
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.jobs import READY_ATTRIBUTES, Workplace, script, wanted
from tests.benchmarks.measure import Entrant, run
from tests.benchmarks.people import spread, write_agents, write_users
from tests.benchmarks.prepared import KEYS, prepare_requests
from tests.benchmarks.reading import Field
from tests.benchmarks.servers import PASSWORD, Server

CHANGES = 10_000
WHOLE = {CHANGES: (1.0, 0.85), 100_000: (0.9, 0.8)}
"""Of so many changes the most that a whole apply may take, in `ldapmodify`: without fsync, and with it."""


def apply(
    folder: Path, users: int, rounds: int, *, durable: bool, count: int = CHANGES, python: Path | None = None
) -> Iterator[Figure]:
    """Whole applies, and the writing alone, against `ldapmodify`; `python` has the rivals, where they take part."""
    count = min(count, users)
    with loaded(folder, users, count, durable=durable) as (server, agents):
        field = Field(folder, server, users, rounds)
        changes = Changes(field, agents, count)
        entrants = [changes.ldapmodify(), changes.apply(), *changes.others(), *changes.rivals(python)]
        contest = field.contest(entrants)
        contest.add("apply, from permission on", changes.applying)
    work = f"apply {count:,} changes, " + ("with fsync" if durable else "no fsync")
    target = Target(1.0 if durable else 0.75) if count == CHANGES else None
    whole = Target(WHOLE[count][durable]) if count in WHOLE else None
    yield Figure.of(contest, work, users, ("apply", "ldapmodify"), whole)
    yield Figure.of(contest, work, users, ("apply, from permission on", "ldapmodify"), target)
    yield Figure.of(contest, work, users, ("our writer", "ldapmodify"))
    yield Figure.of(contest, work, users, ("its requests, made beforehand", "ldapmodify"))
    yield Figure.of(contest, work, users, ("its start, and these requests", "ldapmodify"))
    third = Target(1 / 3) if target and not durable else None
    yield from rivals.figures(contest, work, users, "ldapmodify", ("our writer", "apply"), third)


@contextmanager
def loaded(folder: Path, users: int, count: int, *, durable: bool) -> Iterator[tuple[Server, Path]]:
    """A server that can go back, in which so many users lack their agents' fields; and the file of these agents."""
    numbers = spread(count, users)
    ldif, agents = folder / "users.ldif", folder / "agents.json"
    write_users(ldif, users, bare=frozenset(numbers))
    write_agents(agents, numbers)
    with Server.loaded(folder / "slapd", ldif, durable=durable) as server:
        ldif.unlink()
        server.save()
        yield server, agents


class Changes:
    """The changes of one plan, and the commands that make them. Each finds the same directory, and leaves the same."""

    def __init__(self, field: Field, agents: Path, count: int) -> None:
        self._field, self._count = field, count
        self._place = Workplace(field.folder / "apply", field.server, agents)
        self._plan, self._ldif = field.folder / "plan.json", field.folder / "changes.ldif"
        plan = Entrant("plan", self._place.program("plan", self._plan, self._ldif), env=PASSWORD)
        run(plan, field.folder)
        self._same = _Same(field.server)
        self._told = wanted(field.server, READY_ATTRIBUTES[:-1], plan=self._plan)
        self.applying: list[float] = []
        """Of each apply the seconds from permission on."""

    def ldapmodify(self) -> Entrant:
        """OpenLDAP's own tool, with the plan's LDIF report."""
        return self._making(Entrant("ldapmodify", ["ldapmodify", *self._field.server.login(), "-f", str(self._ldif)]))

    def apply(self) -> Entrant:
        """The whole program."""

        def check(out: Path) -> None:
            self._place.expect(agents=self._count, matched=self._count, update=self._count)
            self.applying.append(_applying(self._field.folder / "err"))

        return self._making(Entrant("apply", self._place.program("apply"), check=check, env=PASSWORD))

    def others(self) -> list[Entrant]:
        """Our writer alone, and the least that a client of this server can take."""
        count = self._count
        asked = str(prepare_requests(self._field.folder, self._plan, self._field.server.port, READY_ATTRIBUTES))
        answers = (1 + 3 * -(-count // KEYS) + count,) * 2
        return [
            self._making(script("our_ldap.py", "write", self._told, (count, count), name="our writer")),
            self._making(script("bare_ldap.py", "replay", asked, answers, name="its requests, made beforehand")),
            self._making(script("bare_ldap.py", "started", asked, answers, name="its start, and these requests")),
        ]

    def rivals(self, python: Path | None) -> list[Entrant]:
        """Theirs, by that Python."""
        return [self._making(each) for each in rivals.entrants(python, "write", self._told, (self._count, self._count))]

    def _making(self, entrant: Entrant) -> Entrant:
        def prepare() -> None:
            self._place.forget()
            self._field.server.restore()

        def check(out: Path) -> None:
            entrant.check(out)
            self._same(entrant.name)

        return replace(entrant, prepare=prepare, check=check)


def _applying(log: Path) -> float:
    """Seconds from the end of planning to the last outcome: journal, writing and reading back, without the reports."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (begun,) = (event["timestamp"] for event in events if event["event"] == "apply")
    (ended,) = (event["timestamp"] for event in events if event["event"] == "show" and "outcomes" in event)
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


class _Same:
    """Holds the directory, after the first run of each, to what it was after the very first."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._looked_at: set[str] = set()
        self._first: tuple[int, str] | None = None

    def __call__(self, name: str) -> None:
        if name in self._looked_at:
            return
        self._looked_at.add(name)
        found = self._server.digest("*", "entryUUID")
        if self._first not in (None, found):
            raise RuntimeError(f"{name} leaves another directory than ldapmodify")
        self._first = found
