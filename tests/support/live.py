"""Changes at random moments while `serve.watch` looks: each is in the directory soon, and nothing else is written.

    python -m tests.support.live --minutes 10 --changes 100 --kinds slapd,ds389,samba,scim

Numbers change in the tenant, agents join it, somebody overwrites numbers in the directory, users appear there. The
server is restarted, and connections are cut. What is written comes from the audit.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.support import samba, scim_servers
from tests.support.ds389 import Ds389
from tests.support.jobs import Part, job_file, ldap_directory, scim_directory
from tests.support.ldap_server import LdapServer
from tests.support.program import program
from tests.support.relay import Relay
from tests.support.samba import Samba
from tests.support.scim_servers import ENTERPRISE, TOKEN, ScimServer
from tests.support.serving import Served, serving
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

WATCH = 5
USERS = 20
"""Users from the first on; as many appear later."""
OUTAGE = 60.0
"""Seconds after an outage until each change is written: runs that failed are tried again after pauses."""
SLACK = 5.0
"""Seconds that a busy machine may take over a look and two runs."""
POLL = 0.2
LDAP_MAPPING = """\
match: [{{agent: "{{accountCode}}", directory: {name}}}]
attributes:
  employeeNumber: "{{workNo}}"
"""
SCIM_MAPPING = f"""\
match: [{{agent: "{{accountCode}}", directory: userName}}]
attributes:
  "{ENTERPRISE}:employeeNumber": "{{workNo}}"
"""


class Place(ABC):
    """A directory behind a relay."""

    mapping: str
    relay: Relay

    @abstractmethod
    def directory(self) -> Part:
        """That of the job."""

    @abstractmethod
    def add(self, name: str) -> None:
        """Let a user appear."""

    @abstractmethod
    def write(self, name: str, number: str) -> None:
        """Somebody else writes the number."""

    @abstractmethod
    def numbers(self) -> dict[str, str]:
        """The number of each user that has one."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the server and begin it anew, with what it has."""


class LdapPlace(Place):
    """On a server of LDAP."""

    def __init__(self, server: LdapServer, name: str) -> None:
        self._server, self._name = server, name
        self.mapping = LDAP_MAPPING.format(name=name)
        self.relay = Relay(server.port, server.host)
        self._is_domain = isinstance(server, Samba)
        self._base = samba.PEOPLE if self._is_domain else PEOPLE

    def directory(self) -> Part:
        account = samba.SYNC if self._is_domain else SYNC
        url = f"ldap://127.0.0.1:{self.relay.port}"
        return ldap_directory(url, bind_dn=account, base=self._base, show=[]) | {
            "filter": "(objectClass=user)" if self._is_domain else "(objectClass=inetOrgPerson)"
        }

    def add(self, name: str) -> None:
        made = samba.person(name) if self._is_domain else person(name)
        self._server.add(made)

    def write(self, name: str, number: str) -> None:
        naming = "CN" if self._is_domain else "uid"
        change = f"changetype: modify\nreplace: employeeNumber\nemployeeNumber: {number}\n"
        self._server.modify(f"dn: {naming}={name},{self._base}\n{change}")

    def numbers(self) -> dict[str, str]:
        found, name = {}, ""
        said = self._server.search("(employeeNumber=*)", self._name, "employeeNumber", base=self._base)
        held: dict[str, str] = {}
        for line in [*said.decode().splitlines(), ""]:
            key, _, value = line.partition(": ")
            held[key] = value
            if not line and self._name in held and "employeeNumber" in held:
                name = held[self._name]
                found[name] = held["employeeNumber"]
            if not line:
                held = {}
        return found

    def restart(self) -> None:
        self._server.stop()
        self._server.restart()


class ScimPlace(Place):
    """On a SCIM server, which comes back on another port."""

    mapping = SCIM_MAPPING

    def __init__(self, server: ScimServer) -> None:
        self._server = server
        self.relay = Relay(server.port)

    def directory(self) -> Part:
        base = self._server.url.removeprefix(self._server.root)
        return scim_directory(f"http://localhost:{self.relay.port}{base}")

    def add(self, name: str) -> None:
        self._server.put([scim_servers.user(0, userName=name)])

    def write(self, name: str, number: str) -> None:
        path = f"{ENTERPRISE}:employeeNumber"
        ids = [each["id"] for each in self._server.all() if each["userName"] == name]
        self._server.patch(ids[0], {"op": "replace", "path": path, "value": number})

    def numbers(self) -> dict[str, str]:
        found = {}
        for user in self._server.all():
            number = user.get(ENTERPRISE, {}).get("employeeNumber")
            if number:
                found[user["userName"]] = number
        return found

    def restart(self) -> None:
        users = self._server.all()
        self._server.stop()
        self._server.listen()
        self._server.restore(users)
        self.relay.target = "127.0.0.1", self._server.port


@contextmanager
def open_place(kind: str, folder: Path) -> Iterator[Place]:
    """A directory of this kind."""
    place: Place
    if kind == "scim":
        with ScimServer.start(folder) as scim:
            place = ScimPlace(scim)
            with place.relay:
                yield place
        return
    kinds: dict[str, Callable[[], LdapServer]] = {
        "slapd": lambda: Slapd.start(folder, overlays="overlay syncprov"),
        "ds389": lambda: Ds389.start(folder),
        "samba": lambda: Samba.start(folder, options=("ldap server require strong auth = no",)),
    }
    with kinds[kind]() as server:
        place = LdapPlace(server, "sAMAccountName" if kind == "samba" else "uid")
        with place.relay:
            yield place


class Change:
    """What was done, and the number that the directory is to show for it."""

    def __init__(self, what: str, name: str, number: str) -> None:
        self.what, self.name, self.number = what, name, number
        self.at = time.monotonic()
        self.took: float | None = None


class Campaign:
    """One campaign on one place; `faults` are what does not hold."""

    def __init__(self, place: Place, folder: Path, seed: int) -> None:
        self.place, self.folder = place, folder
        self.random = random.Random(seed)
        self.agents = {f"u{number:03}": str(1000 + number) for number in range(USERS)}
        self.ever: dict[str, set[str]] = defaultdict(set)
        """By account all numbers that the tenant ever said."""
        self.changes: list[Change] = []
        self.outages: list[float] = []
        self.faults: list[str] = []
        self._next = 5000
        for name in self.agents:
            place.add(name)
        (folder / "mapping.yaml").write_text(place.mapping)
        self._tell_tenant()
        serve = {"cron": "0 0 1 1 *", "mode": "apply", "watch": f"{WATCH}s"}
        limits = dict.fromkeys(("update", "clear", "agents_drop", "matched_drop", "state"), "100%")
        text = job_file(place.directory(), serve=serve, limits=limits, audit={"file": "audit.jsonl"})
        (folder / "job.yaml").write_text(text)

    def _tell_tenant(self) -> None:
        for name, number in self.agents.items():
            self.ever[name].add(number)
        agents = [{"workNo": int(number), "accountCode": name} for name, number in self.agents.items()]
        new = self.folder / "agents.new"
        new.write_text(json.dumps({"agents": agents}))
        new.replace(self.folder / "agents.json")

    def _new_number(self) -> str:
        self._next += 1
        return str(self._next)

    # ------------------------------------------------------------ what happens

    def _change_number(self) -> Change:
        name = self.random.choice([*self.agents])
        self.agents[name] = self._new_number()
        self._tell_tenant()
        return Change("number", name, self.agents[name])

    def _join(self) -> Change:
        """Somebody is hired: a user appears and an agent, either of them first."""
        name = f"v{len(self.agents):03}"
        steps = [lambda: self.place.add(name), self._tell_tenant]
        self.agents[name] = self._new_number()
        self.random.shuffle(steps)
        for step in steps:
            step()
            time.sleep(self.random.random())  # the pause between two systems is part of what happens
        return Change("join", name, self.agents[name])

    def _overwrite(self) -> Change:
        name = self.random.choice([*self.place.numbers()])
        self.place.write(name, "9")
        return Change("overwrite", name, self.agents[name])

    def _break_line(self) -> None:
        self.place.relay.cut()
        time.sleep(self.random.random())  # the outage itself; nothing is waited for
        self.place.relay.mend()

    def run(self, served: Served, seconds: float, changes: int, outages: int) -> None:
        """Let all of it happen within these seconds, at random moments."""
        acts = [self.random.choice((self._change_number, self._join, self._overwrite)) for _ in range(changes)]
        moments = sorted(self.random.uniform(0, seconds) for _ in acts)
        broken = set(self.random.sample(range(changes), outages))
        begun = time.monotonic()
        for number, (act, moment) in enumerate(zip(acts, moments, strict=True)):
            while time.monotonic() - begun < moment:
                self._look()
                time.sleep(POLL)  # a directory tells nobody when it has changed
            if number in broken:
                self.outages.append(time.monotonic())
                self.random.choice((self.place.restart, self._break_line))()
                self.outages.append(time.monotonic())
            self.changes.append(act())
        deadline = time.monotonic() + 2 * OUTAGE
        while any(each.took is None for each in self.changes) and time.monotonic() < deadline:
            self._look()
            time.sleep(POLL)  # likewise
        served.stop()

    def _look(self) -> None:
        numbers, now = self.place.numbers(), time.monotonic()
        for change in self.changes:
            is_outdated = change.number != self.agents[change.name]
            if change.took is None and (is_outdated or numbers.get(change.name) == change.number):
                change.took = now - change.at

    # ------------------------------------------------------------ what came of it

    def judge(self, served: Served) -> None:
        """Note what does not hold."""
        longest = max((each["seconds"] for each in served.events if each["event"] == "run ended"), default=0.0)
        for change in self.changes:
            bound = WATCH + 2 * longest + SLACK
            if any(-OUTAGE < moment - change.at < bound for moment in self.outages):
                bound += OUTAGE
            if change.took is None or change.took > bound:
                self.faults.append(f"{change.what} of {change.name} took {change.took} s of {bound:.0f}")
        written = [
            json.loads(line)
            for line in (self.folder / "audit.jsonl").read_text().splitlines()
            if json.loads(line)["event"] == "write"
        ]
        for each in written:
            (attribute,) = [part for part in each["attributes"] if part["name"].endswith("employeeNumber")]
            account, new = each["agent"]["accountCode"], attribute["new"]
            if new == attribute.get("old") or not set(new) <= self.ever[account]:
                self.faults.append(f"{account} was written {new} over {attribute.get('old')}")
        most = USERS + len(self.changes) + len(self.outages)
        done = [each for each in written if each["result"] == "written"]
        if len(done) > most:
            self.faults.append(f"{len(done)} writes for {USERS} users and {len(self.changes)} changes")
        missing = {name: number for name, number in self.agents.items() if self.place.numbers().get(name) != number}
        if missing:
            self.faults.append(f"not written in the end: {missing}")

    def describe(self, kind: str) -> str:
        took = [each.took for each in self.changes if each.took is not None]
        outages = len(self.outages) // 2
        said = f"{kind}: {len(self.changes)} changes, {outages} outages; seconds until written: "
        return said + f"median {statistics.median(took):.1f}, longest {max(took):.1f}"


def live(kind: str, folder: Path, seconds: float, changes: int, outages: int, seed: int) -> Campaign:
    """A campaign from its begin to its end."""
    job = folder / "job"
    job.mkdir(parents=True)
    with open_place(kind, folder / "server") as place:
        campaign = Campaign(place, job, seed)
        password = samba.SYNC_PASSWORD if kind == "samba" else SYNC_PASSWORD
        env = {"LDAP_PASSWORD": password, "SCIM_TOKEN": TOKEN}
        ended = program("apply", "job.yaml", "--yes", folder=job, env=env)
        assert ended.code == 0, ended.said
        with serving(job, "job.yaml", env=env) as served:
            campaign.run(served, seconds, changes, outages)
            campaign.judge(served)
    return campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--outages", type=int, default=10)
    parser.add_argument("--kinds", default="slapd,ds389,samba,scim")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    kinds = given.kinds.split(",")
    with tempfile.TemporaryDirectory() as where, ThreadPoolExecutor(len(kinds)) as pool:
        seconds = given.minutes * 60
        found = [
            pool.submit(live, kind, Path(where) / kind, seconds, given.changes, given.outages, given.seed)
            for kind in kinds
        ]
        campaigns = [each.result() for each in found]
    for kind, campaign in zip(kinds, campaigns, strict=True):
        sys.stdout.write(f"{campaign.describe(kind)}\n")
        sys.stdout.writelines(f"  FAULT {fault}\n" for fault in campaign.faults)
    return 1 if any(campaign.faults for campaign in campaigns) else 0


if __name__ == "__main__":
    sys.exit(main())
