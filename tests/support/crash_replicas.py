"""Two OpenLDAP servers of one directory, between which the program changes after a kill.

The tests bring what was written from one to the other, late and user by user. As with syncrepl, an entry is taken
whole, and of two the one of the later entryCSN. Both begin with one database, so that entries and tree have the same
ids.
"""

from __future__ import annotations

import base64
import random
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from connector.model import Result
from tests.support.crash_scenarios import ACLS
from tests.support.crash_world import (
    FIRST,
    SECOND,
    SECRET,
    Entries,
    Kill,
    Launcher,
    LdapWorld,
    agent,
    ldif,
    records,
    tenant,
)
from tests.support.jobs import configure
from tests.support.ldap_server import PEOPLE, SUFFIX
from tests.support.slapd import Slapd

COPIED = (
    "objectClass", "cecAccountCode", "employeeNumber", "SIPIdentityUserName", "SIPIdentitySIPURI", SECRET,
)  # fmt: skip


class ReplicaWorld(LdapWorld):
    """One organizational unit on two servers. Before each run either server is chosen, and some users have arrived."""

    def __init__(self, folder: Path, name: str, pair: Sequence[Slapd], launcher: Launcher, dice: random.Random) -> None:
        super().__init__(folder, name, pair[0], launcher)
        self._pair, self._dice = pair, dice
        self._known = [self._marks(server) for server in pair]
        self.lags = False
        self.moments: list[dict[str, int]] = []
        """Those of the run that comes to its end, after each tenant."""

    def _entries(self, server: Slapd, *attributes: str) -> dict[str, dict[str, list[bytes]]]:
        found = ldif(server.search("(uid=*)", "uid", *attributes, base=f"ou={self.name},{PEOPLE}"))
        return {entry["uid"][0].decode(): entry for entry in found}

    def _marks(self, server: Slapd) -> dict[str, bytes]:
        return {uid: entry["entryCSN"][0] for uid, entry in self._entries(server, "entryCSN").items()}

    def arrive(self, users: Collection[str]) -> None:
        """Both servers have heard of these users."""
        now = [self._marks(server) for server in self._pair]
        for uid in users:
            changed = [number for number in (0, 1) if now[number][uid] != self._known[number][uid]]
            if changed:
                latest = max(changed, key=lambda number: now[number][uid])
                self._copy(uid, self._pair[latest], self._pair[1 - latest])
        for known, server in zip(self._known, self._pair, strict=True):
            marks = self._marks(server)
            known |= {uid: marks[uid] for uid in users}

    def _copy(self, uid: str, source: Slapd, target: Slapd) -> None:
        (entry,) = ldif(source.search(f"(uid={uid})", *COPIED, base=f"ou={self.name},{PEOPLE}"))
        lines = [f"dn: uid={uid},ou={self.name},{PEOPLE}", "changetype: modify"]
        for name in COPIED:
            lines += [f"replace: {name}", *(_line(name, value) for value in entry.get(name, ())), "-"]
        target.modify("\n".join(lines) + "\n")

    def everybody(self) -> list[str]:
        return sorted(self._known[0])

    def serve(self, number: int) -> None:
        """From now on this server is asked."""
        self.server = self._pair[number]
        configure(self.folder / "job.yaml", directory={"urls": [self.server.url]})

    def once(self, command: str, *options: str, kill: Kill | None = None) -> int:
        if self.lags:
            self.serve(self._dice.randrange(2))
            self.arrive([uid for uid in self.everybody() if self._dice.random() < 1 / 2])
        return super().once(command, *options, kill=kill)

    def disturbed(self, *kills: Kill) -> None:
        """Runs that die, and one that does not, each at either server; then each has heard of all, and is asked."""
        self.lags = bool(kills)
        for kill in (*kills, None):
            self.once("apply", kill=kill)
        self.moments.append(self.last["moments"])
        self.lags = False
        for number in (0, 1, 0, 1):
            self.arrive(self.everybody())
            self.serve(number)
            self.until_done("apply")
        self.arrive(self.everybody())

    def both(self) -> list[Entries]:
        """What either server shows."""
        found = []
        for number in (0, 1):
            self.serve(number)
            found.append(self.entries())
        return found

    def settled(self) -> None:
        """Of every write it is known whether it happened, and each that is said to have was asked for."""
        results = [step.outcome for step in self.journalled()]
        assert None not in results, self.said
        assert Result.WRITTEN in results, self.said


def _line(name: str, value: bytes) -> str:
    return f"{name}:: {base64.b64encode(value).decode()}"


@contextmanager
def replicas(folder: Path, acl: str, worlds: int, dice: random.Random) -> Iterator[Iterator[ReplicaWorld]]:
    """Worlds on two servers of one directory."""
    names = [f"w{place}" for place in range(worlds)]
    people = [record for name in names for record in records(name)]
    folder.mkdir()
    with Slapd.start(folder / "one", people, acl=ACLS[acl]) as first:
        dump = ["slapcat", "-f", "slapd.conf", "-b", SUFFIX]
        database = subprocess.run(dump, cwd=first.folder, check=True, capture_output=True, text=True).stdout
        second = Slapd(folder / "two", acl=ACLS[acl])
        second.load(database)
        with second.begin(), Launcher() as launcher:
            yield (ReplicaWorld(folder, name, (first, second), launcher, dice) for name in names)


def play(world: ReplicaWorld, kills: Sequence[Sequence[Kill]]) -> list[object]:
    """Two tenants after each other, each with these kills; what both servers show, and what is ours, after each."""
    ended: list[object] = []
    for agents, dies in zip((FIRST, SECOND), kills, strict=True):
        (world.folder / "agents.json").write_text(agents)
        world.disturbed(*dies)
        one, two = world.both()
        assert one == two, world.said
        ended += [one, [(name, attribute) for name, attribute, _ in world.owned()]]
    world.settled()
    return ended


def leave(world: ReplicaWorld, kill: Kill) -> bool:
    """Everybody leaves after a kill, before anything has arrived; then nothing of ours is left, on either server.

    Whether a write was done that the journal did not know the outcome of.
    """
    (world.folder / "agents.json").write_text(FIRST)
    world.once("apply", kill=kill)
    written = {name for name, entry in world.entries().items() if "cecAccountCode" in entry}
    steps = world.journalled() if world.kills else []
    unanswered = any(step.outcome is None and step.change.user.name[4:].partition(",")[0] in written for step in steps)
    (world.folder / "agents.json").write_text(tenant([agent(99)]))
    world.serve(1)
    world.once("apply")
    world.disturbed()
    for entries in world.both():
        for uid, entry in entries.items():
            left = [name for name in ("cecAccountCode", "SIPIdentityUserName", SECRET) if name in entry]
            assert not left, f"{uid} still has {left}\n{world.said}"
    assert {attribute for _, attribute, _ in world.owned()} <= {"objectClass"}, world.said
    assert None not in [step.outcome for step in world.journalled()], world.said
    return unanswered
