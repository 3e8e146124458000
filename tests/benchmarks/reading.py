"""What is measured of reading: everybody, in clear and over TLS; plans; look-ups."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks import rivals
from tests.benchmarks.figures import MB, Figure, Target
from tests.benchmarks.jobs import (
    ONE_RULE,
    ONE_RULE_ATTRIBUTES,
    READY_ATTRIBUTES,
    Workplace,
    script,
    wanted,
)
from tests.benchmarks.measure import Contest, Entrant
from tests.benchmarks.people import count_values, spread, uid, write_agents
from tests.benchmarks.servers import PASSWORD, Server, digest_of

SIX = ("uid", "mail", "cecAccountCode", "cecWorkNo", "objectClass")
"""With entryUUID, which our reader always asks for as it does for objectClass, six attributes."""
PAGES = ("-E", "pr=1000/noprompt")
LOOKED_UP, FEW = 10_000, 1_000


class Field:
    """A loaded server of a size, with everybody in sync, and a folder to work in."""

    def __init__(self, folder: Path, server: Server, users: int, rounds: int, rivals: Path | None = None) -> None:
        self.folder, self.server, self.users, self.rounds = folder, server, users, rounds
        self.rivals = rivals
        """The Python that has them, where they take part."""

    def agents(self, name: str, count: int, moved: int = 0) -> Path:
        """A file of so many agents, spread among the users."""
        path = self.folder / f"{name}.json"
        write_agents(path, spread(count, self.users), moved)
        return path

    def contest(self, entrants: list[Entrant], rounds: int | None = None) -> Contest:
        return Contest(entrants, rounds or self.rounds, self.folder, self.server.spent)

    def ldapsearch(self, *attributes: str) -> Entrant:
        """OpenLDAP's own tool, which prints every user to the null device."""
        command = [*self.server.ldapsearch(*PAGES), *attributes, "entryUUID"]
        return Entrant("ldapsearch", command, keep=False)


def read(field: Field) -> Iterator[Figure]:
    """All users, six attributes, in pages of 1,000."""
    server, users = field.server, field.users
    _same(field)
    told = wanted(server, SIX)
    counted = (users, count_values(range(1, users + 1), SIX))
    entrants = [
        field.ldapsearch(*SIX),
        script("our_ldap.py", "scan", told, counted, name="our reader"),
        script("our_ldap.py", "scan", wanted(server, SIX, times=0), (0, 0), name="its start, and nobody read"),
        *rivals.entrants(field.rivals, "scan", told, counted),
    ]
    contest = field.contest(entrants)
    held = users == 100_000
    yield Figure.of(contest, "read", users, ("our reader", "ldapsearch"), Target(1.1) if held else None)
    yield Figure.of(contest, "read", users, ("its start, and nobody read", "ldapsearch"))
    yield from rivals.figures(contest, "read", users, "ldapsearch", ("our reader",), Target(1 / 5) if held else None)


def tls(field: Field) -> Iterator[Figure]:
    """The same over StartTLS."""
    server, users = field.server, field.users
    plain = field.ldapsearch(*SIX)
    command = [*plain.command[:1], "-ZZ", *plain.command[1:]]
    told = wanted(server, SIX, start_tls=True)
    counted = (users, count_values(range(1, users + 1), SIX))
    entrants = [
        Entrant("ldapsearch -ZZ", command, env={"LDAPTLS_CACERT": str(server.ca)}, keep=False),
        script("our_ldap.py", "scan", told, counted, name="our reader"),
    ]
    contest = field.contest(entrants)
    target = Target(1.1) if users == 100_000 else None
    yield Figure.of(contest, "read over TLS", users, ("our reader", "ldapsearch -ZZ"), target)


def plan(field: Field) -> Iterator[Figure]:
    """Plans in sync, of as many agents as there are users and of a thousand, against reading everybody."""
    users = field.users
    some = min(FEW, users)
    whole = Workplace(field.folder / "plan", field.server, field.agents("all", users))
    few = Workplace(field.folder / "few", field.server, field.agents("few", some))
    entrants = [
        field.ldapsearch(*READY_ATTRIBUTES),
        whole.plan("plan", agents=users, matched=users, unchanged=users, update=0),
        few.plan("plan of 1,000", agents=some, matched=some, unchanged=some, update=0),
    ]
    contest = field.contest(entrants)
    targets = {100_000: Target(1.0, 110 * MB), 1_000_000: Target(1.0, 550 * MB)}
    yield Figure.of(contest, "plan, in sync", users, ("plan", "ldapsearch"), targets.get(users))
    target = Target(0.05, 100 * MB) if users == 1_000_000 else None
    yield Figure.of(contest, "plan of 1,000 agents", users, ("plan of 1,000", "ldapsearch"), target)


def growth(fields: list[Field]) -> Iterator[Figure]:
    """The plan of a thousand agents in directories of several sizes, in the same rounds."""
    entrants = []
    for field in fields:
        few = Workplace(field.folder / "growth", field.server, field.agents("few", min(FEW, field.users)))
        entrants.append(few.plan(f"in {field.users:,} users", agents=min(FEW, field.users), update=0))
    servers = [field.server for field in fields]
    contest = Contest(
        entrants, 2 * fields[0].rounds, fields[0].folder, lambda: sum(server.spent() for server in servers)
    )
    for smaller, larger, field in zip(entrants, entrants[1:], fields[1:], strict=False):
        target = Target(1.3) if field.users == 1_000_000 else None
        yield Figure.of(contest, "the same, by size", field.users, (larger.name, smaller.name), target)


def find(field: Field) -> Iterator[Figure]:
    """10,000 agents looked up by key: the plan of them, and the reader alone, against `ldapsearch -f`."""
    server, users = field.server, field.users
    count = min(LOOKED_UP, users)
    numbers = spread(count, users)
    keys = field.folder / "keys"
    keys.write_text("".join(f"{uid(number)}\n" for number in numbers))
    agents = field.agents("looked-up", count, moved=100)
    one = Workplace(field.folder / "find", server, agents, mapping=ONE_RULE, read="find")
    two = Workplace(field.folder / "find2", server, agents, read="find")
    attributes = ONE_RULE_ATTRIBUTES
    command = server.ldapsearch("-f", str(keys), filter_="(&(objectClass=inetOrgPerson)(uid=%s))")
    told = wanted(server, attributes, keys=keys)
    counted = (count, count_values(numbers, attributes))
    moved = -(-count // 100)
    said = {"agents": count, "matched": count, "update": moved}
    entrants = [
        Entrant("ldapsearch -f", [*command, *attributes, "entryUUID"], keep=False),
        script("our_ldap.py", "find", told, counted, name="our reader"),
        one.plan("plan", **said),
        two.plan("plan, two rules", **said),
        *rivals.entrants(field.rivals, "find", told, counted),
    ]
    contest = field.contest(entrants)
    target = Target(0.5) if users == 100_000 else None
    work = f"look up {count:,} agents"
    yield Figure.of(contest, work, users, ("our reader", "ldapsearch -f"), target)
    yield Figure.of(contest, work, users, ("plan", "ldapsearch -f"), target)
    yield Figure.of(contest, work, users, ("plan, two rules", "ldapsearch -f"))
    yield from rivals.figures(contest, work, users, "ldapsearch -f", ("our reader", "plan"))


def _same(field: Field) -> None:
    """Raise unless our reader and ldapsearch, in pages and over TLS, see the same users with the same values."""
    found = set()
    for told in (wanted(field.server, SIX), wanted(field.server, SIX, start_tls=True)):
        found.add(_digest(script("our_ldap.py", "dump", told, (0, 0)).command))
    found.add(_digest([*field.server.ldapsearch(*PAGES, "-o", "ldif-wrap=no"), *SIX, "entryUUID"]))
    if len(found) != 1 or found.pop()[0] != field.users:
        raise RuntimeError("our reader and ldapsearch do not see the same")


def _digest(command: Sequence[str | Path]) -> tuple[int, str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **PASSWORD}) as process:
        assert process.stdout is not None
        return digest_of(line for line in process.stdout if not line.startswith(b"#"))
