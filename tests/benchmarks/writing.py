"""What is measured of writing: ten thousand changes of five attributes, with a server that syncs and one that does not.

The changes are those of one plan: `ldapmodify` is given the plan's own LDIF report, the others its JSON report. Before
every run the directory is put back to what it was, and the first run of each is held to leave the same directory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.jobs import PYTHON_LDAP, READY_ATTRIBUTES, Workplace, script, wanted
from tests.benchmarks.measure import Entrant, run
from tests.benchmarks.people import spread, write_agents, write_users
from tests.benchmarks.prepared import KEYS, prepare_requests
from tests.benchmarks.reading import Field
from tests.benchmarks.servers import PASSWORD, Server

CHANGES = 10_000


def apply(folder: Path, users: int, rounds: int, *, durable: bool, count: int = CHANGES) -> Iterator[Figure]:
    """Whole applies, and the writing alone, against `ldapmodify`."""
    count = min(count, users)
    numbers = spread(count, users)
    ldif, agents = folder / "users.ldif", folder / "agents.json"
    write_users(ldif, users, bare=frozenset(numbers))
    write_agents(agents, numbers)
    with Server.loaded(folder / "slapd", ldif, durable=durable) as server:
        ldif.unlink()
        server.save()
        field = Field(folder, server, users, rounds)
        applying: list[float] = []
        entrants = _entrants(field, agents, count, applying, slow=not durable)
        contest = field.contest(entrants)
        contest.add("apply, from permission on", applying)
    work = f"apply {count:,} changes, " + ("with fsync" if durable else "no fsync")
    target = Target(1.0 if durable else 0.75) if count == CHANGES else None
    yield Figure.of(contest, work, users, ("apply", "ldapmodify"), target)
    yield Figure.of(contest, work, users, ("apply, from permission on", "ldapmodify"), target)
    yield Figure.of(contest, work, users, ("our writer", "ldapmodify"))
    yield Figure.of(contest, work, users, ("its requests, made beforehand", "ldapmodify"))
    yield Figure.of(contest, work, users, ("its start, and these requests", "ldapmodify"))
    for entrant in entrants[5:]:
        yield Figure.of(contest, work, users, (entrant.name, "ldapmodify"))
    if not durable:
        third = Target(1 / 3) if target else None
        yield Figure.of(contest, work, users, ("our writer", "plain ldap3"), third)
        yield Figure.of(contest, work, users, ("apply", "plain ldap3"), third)


def _entrants(field: Field, agents: Path, count: int, applying: list[float], *, slow: bool) -> list[Entrant]:
    server = field.server
    place = Workplace(field.folder / "apply", server, agents)
    plan, changes = field.folder / "plan.json", field.folder / "changes.ldif"
    run(Entrant("plan", place.program("plan", plan, changes), env=PASSWORD), field.folder)
    same = _Same(server)

    def prepare() -> None:
        place.forget()
        server.restore()

    def applied(out: Path) -> None:
        place.expect(agents=count, matched=count, update=count)
        same("apply")
        applying.append(_applying(field.folder / "err"))

    told = wanted(server, READY_ATTRIBUTES[:-1], plan=plan)
    command = ["ldapmodify", *server.login(), "-f", str(changes)]

    def writer(file: str, name: str, rounds: int | None = None) -> Entrant:
        entrant = script(file, "write", told, (count, count), rounds=rounds, prepare=prepare)
        return Entrant(name, entrant.command, prepare, _both(entrant.check, lambda out: same(name)), rounds, PASSWORD)

    asked = prepare_requests(field.folder, plan, server.port, READY_ATTRIBUTES)
    searches = 2 * -(-count // KEYS)

    def replaying(action: str, name: str) -> Entrant:
        replay = script("bare_ldap.py", action, str(asked), (1 + searches + count,) * 2)
        return Entrant(name, replay.command, prepare, _both(replay.check, lambda out: same(name)))

    entrants = [
        Entrant("ldapmodify", command, prepare, lambda out: same("ldapmodify")),
        Entrant("apply", place.program("apply"), prepare, applied, env=PASSWORD),
        writer("our_ldap.py", "our writer"),
        replaying("replay", "its requests, made beforehand"),
        replaying("started", "its start, and these requests"),
    ]
    if slow:
        entrants.append(writer("plain_ldap3.py", "plain ldap3", 2))
    if slow and PYTHON_LDAP:
        entrants.append(writer("plain_python_ldap.py", "python-ldap", 2))
    return entrants


def _applying(log: Path) -> float:
    """Seconds from the end of planning to the last outcome: journal, writing and reading back, without the reports."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (begun,) = (event["timestamp"] for event in events if event["event"] == "apply")
    (ended,) = (event["timestamp"] for event in events if event["event"] == "show" and "outcomes" in event)
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def _both(one: Callable[[Path], None], other: Callable[[Path], None]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        one(out)
        other(out)

    return check


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
