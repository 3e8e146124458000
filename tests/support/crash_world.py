"""A small world on a real slapd in which the program is killed: its people, its two tenants, its job, and its audit.

Worlds of one server have an organizational unit each. What became of a world is read from three sides: the directory's
entries, the state's journal, and the server's own log of writes (slapo-accesslog).
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from connector.model import AttributeChange, Change, Fingerprint, Secret, UserRef
from connector.model.digests import make_fingerprinter
from connector.state.journal_rows import JournalStep, Sealer
from connector.state.store import open_state
from tests.support.audit_lines import chain_faults, records as records_of
from tests.support.jobs import Part, file, job_file, ldap_directory
from tests.support.program import WARNINGS
from tests.support.scim_servers import TOKEN
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd
from tests.support.states import database
from tests.support.warm import PROJECT

Kill = tuple[str, float]
"""What kind of moment, and which one: the n-th of the `journal`, the `wire` or the `audit`, or the n-th `answer` of an
LDAP server to writes; or seconds after the first step of the journal (`writing`) or after the start (`any`)."""

PEOPLE_IN_A_WORLD = 12
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  cecAccountCode: "{accountCode}"
  employeeNumber: {value: "{workNo}", unique: true}
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
when_absent: clear
stale: clear
"""
ENV = {"LDAP_PASSWORD": SYNC_PASSWORD, "SCIM_TOKEN": TOKEN}
SECRET = "SIPIdentityPassword"
_SPECIAL = {"entryCSN", "modifiersName", "modifyTimestamp"}
Entries = dict[str, dict[str, list[bytes]]]


def records(name: str) -> Iterator[str]:
    """The people of a world, as LDIF. Some have an object class, a seat, or a URI of somebody else's already."""
    base = f"ou={name},{PEOPLE}"
    yield f"dn: {base}\nobjectClass: organizationalUnit\nou: {name}\n"
    lines = {
        1: "mail: p1@example.org\n",
        2: "objectClass: cecAgent\n",
        6: "objectClass: SIPIdentity\nSIPIdentitySIPURI: h323:6@192.0.2.1\n",
        7: "employeeNumber: 1500\n",
    }
    for number in range(1, PEOPLE_IN_A_WORLD + 1):
        head = f"dn: uid=p{number},{base}\nobjectClass: inetOrgPerson\n"
        yield f"{head}{lines.get(number, '')}uid: p{number}\ncn: Person {number}\nsn: {number}\n"


def tenant(agents: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": list(agents)})


def agent(number: int, **fields: Any) -> dict[str, Any]:
    sip = {"sipAccount": str(7000 + number), "sipPwd": f"canary-{number}"}
    return {"workNo": 1000 + number, "accountCode": f"p{number}"} | sip | fields


FIRST = tenant([agent(number) for number in range(1, 10)])
SECOND = tenant(
    [
        agent(1, workNo=1002), agent(2, workNo=1001),  # two swap their seats
        agent(3, workNo=1004), agent(5, workNo=1003), agent(4, workNo=1005, sipPwd=' \U0001f600"\\#\u00e4: '),  # three
        agent(6, sipPwd="canary-new-6"),  # nothing but a password
        {"workNo": 1007, "accountCode": "p7"},  # no telephone any more
        agent(8, workNo=1009, sipAccount='7 0,8+0"\\#<\u00e4>;=*('),  # the seat of one who leaves, p9
        agent(10),  # one who comes
    ]
)  # fmt: skip


class Launcher:
    """A process that has the program loaded; see `crash_launcher.py`."""

    def __init__(self) -> None:
        command = [sys.executable, *WARNINGS, "-m", "tests.support.crash_launcher"]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def run(self, folder: Path, arguments: Sequence[str], kill: Kill | None, env: Mapping[str, str]) -> dict[str, Any]:
        request = {"folder": str(folder), "arguments": arguments, "kill": kill, "env": env}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class Edit(Struct, frozen=True, order=True):
    """One attribute of one write, as the journal and the server's log both know it: a secret by its fingerprint."""

    attribute: str
    gone: tuple[str, ...]
    come: tuple[str, ...]


Write = tuple[str, tuple[Edit, ...]]
"""A user's id, and what was done to it."""


class World(ABC):
    """One folder with a job and its state, on some server. `state`: one elsewhere than in a file of that folder."""

    env: Mapping[str, str] = ENV

    def __init__(
        self, folder: Path, name: str, launcher: Launcher, mapping: str, directory: Part, state: str = ""
    ) -> None:
        self.name, self.launcher = name, launcher
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "mapping.yaml").write_text(mapping)
        limits = {"clear": 1000, "agents_drop": "100%", "state": "100%"}
        if state:
            (self.folder / "key").write_text("the key of a world\n")
        audit = {"file": "audit.jsonl"}
        job = job_file(
            directory, audit=audit, limits=limits, ramp=[1, 3], state=state or None, key=file("key") if state else None
        )
        (self.folder / "job.yaml").write_text(job)
        self._state = state or f"sqlite:///{self.folder / 'state.db'}"
        self.said = ""
        self.kills = 0
        self.last: dict[str, Any] = {}

    # ------------------------------------------------------------ running

    def once(self, command: str, *options: str, kill: Kill | None = None) -> int:
        """Run a command, perhaps not to its end; its exit code, which is -9 if it was killed."""
        outputs = [self.folder / name for name in ("stdout", "stderr")]
        for output in outputs:
            output.write_text("")  # it may be killed before it opens them
        self.last = self.launcher.run(self.folder, [command, "job.yaml", *options], kill, self.env)
        code: int = self.last["code"]
        self.kills += code == -9
        said = "".join(output.read_text() for output in outputs)
        self.said += f"$ {command} {' '.join(options)} (kill: {kill}) -> {code}\n{said}\n"
        assert "Traceback" not in said, self.said
        return code

    def until_done(self, command: str, *options: str, kills: Sequence[Kill] = (), done: Sequence[int] = (0,)) -> None:
        """Run a command as often as it is killed, and then to its end."""
        for kill in kills:
            if self._unless_held(command, *options, kill=kill) in done:
                return
        for _ in range(3):
            if self._unless_held(command, *options) in done:
                return
        raise AssertionError(f"{command} does not come to its end\n{self.said}")

    def _unless_held(self, command: str, *options: str, kill: Kill | None = None) -> int:
        """Run it, again where a database has not yet seen that the holder of its lease is dead."""
        deadline = time.monotonic() + 60
        while (code := self.once(command, *options, kill=kill)) == 75 and time.monotonic() < deadline:
            assert self._state.startswith("postgresql"), "a lock of a file is gone with its holder"
        return code

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(database(self._state)) as opened:
            return opened.rows(query, *values)

    def runs(self) -> list[str]:
        """The runs that the state knows, newest first."""
        return [run for (run,) in self._rows("select id from runs order by started desc")]

    def result(self, run: str) -> str | None:
        ((result,),) = self._rows("select result from runs where id = ?", run)
        found: str | None = result
        return found

    # ------------------------------------------------------------ what it came to

    @abstractmethod
    def entries(self) -> Any:
        """Every user, by name, with all that there is to be seen."""

    def journalled(self) -> list[JournalStep]:
        """Every step of every run, the oldest run first."""
        with closing(open_state(self._state)) as state:
            sealer = Sealer(self._key())
            return [step for run in reversed(self.runs()) for step in state.read_steps_of_run(run, "job", sealer)[1]]

    def told_once(self) -> None:
        """Hold the audit to the journal (law 13): each write is there once; more were replaced since."""
        octets = (self.folder / "audit.jsonl").read_bytes()
        found = [record for record in records_of(octets) if record["event"] == "write"]
        told = Counter(record["number"] for record in found)
        query = "select run, user_id, digest, outcome from journal where outcome is not null"
        known = {(run, user, digest, outcome) for run, user, digest, outcome in self._rows(query)}
        writes = {(each["run"], each["user"]["id"], each["digest"], each["result"]) for each in found}
        assert known <= writes, f"not told\n{self.said}"
        assert max(told.values()) == 1, f"told twice: {told}\n{self.said}"
        assert octets.endswith(b"\n")
        with closing(open_state(self._state)) as state:
            head = state.audit.read_head("job")
            assert not list(state.audit.read_lines("job")), f"the file may lack lines\n{self.said}"
        assert not chain_faults(octets, job="job", head=head), self.said

    def fingerprint(self) -> Fingerprint:
        """What the state knows secrets by."""
        return make_fingerprinter(self._key())

    def _key(self) -> Secret:
        """The job's, or the one that the program has made beside its state."""
        return Secret((self.folder / ("key" if (self.folder / "key").exists() else "state.db.key")).read_text().strip())

    def owned(self) -> list[tuple[Any, ...]]:
        """What the state remembers as ours, by name, and how often in a row the same was written."""
        rows = self._rows("select user_name, attributes from ownership")
        return sorted(
            (name.partition(",")[0], attribute, times)
            for name, attributes in rows
            for attribute, (_, _, _, times, restored, *_) in json.loads(attributes).items()
            if not restored
        )


class LdapWorld(World):
    """One organizational unit. `url`: another way to the server."""

    def __init__(
        self, folder: Path, name: str, server: Slapd, launcher: Launcher, url: str = "", state: str = ""
    ) -> None:
        directory = ldap_directory(url or server.url, bind_dn=SYNC, base=f"ou={name},{PEOPLE}")
        super().__init__(folder, name, launcher, MAPPING, directory, state)
        self.server = server

    def entries(self) -> Entries:
        found: Entries = {}
        for entry in ldif(self.server.search("(uid=*)", "*", base=f"ou={self.name},{PEOPLE}")):
            del entry["dn"]
            found[entry["uid"][0].decode()] = {name: sorted(values) for name, values in entry.items()}
        return found

    def audit(self, log: Sequence[dict[str, list[bytes]]]) -> None:
        """Hold the journal to the server's log of this world's writes."""
        fingerprint = self.fingerprint()
        journal: defaultdict[str, Counter[Write]] = defaultdict(Counter)
        for step in self.journalled():
            journal["open" if step.outcome is None else step.outcome.value][_journalled(step.change)] += 1
        server: defaultdict[bool, Counter[Write]] = defaultdict(Counter)
        for record in log:
            server[record["reqResult"] == [b"0"]][_logged(record, fingerprint)] += 1
        lost, made_up = server[True] - journal["written"], journal["written"] - server[True]
        assert not journal["open"], f"left open: {journal['open']}\n{self.said}"
        assert not made_up, f"never written, or written less often: {made_up}\n{self.said}"
        # but for a secret that can be neither read nor compared: then the run has said so
        again = "written again" in self.said
        forgotten = [write for write in lost if not again or any(edit.attribute != SECRET for edit in write[1])]
        assert not forgotten, f"not in the journal as written: {forgotten}\n{self.said}"
        refused = journal["conflict"] + journal["failed"] + journal["skipped"]
        assert not server[False] - refused, f"not in the journal as refused: {server[False] - refused}\n{self.said}"


def logs(server: Slapd) -> dict[str, list[dict[str, list[bytes]]]]:
    """The connector's writes as the server has logged them, by world."""
    found = defaultdict(list)
    for record in ldif(server.search("(reqType=modify)", "*", base="cn=accesslog")):
        assert record["reqAuthzID"] == [SYNC.encode()]
        name = re.search(rb",ou=([^,]+),ou=people,", record["reqDN"][0])
        assert name is not None, record
        found[name[1].decode()].append(record)
    return found


def ldif(octets: bytes) -> Iterator[dict[str, list[bytes]]]:
    """Records as `ldapsearch -LLL` prints them, without folded lines."""
    for record in octets.split(b"\n\n"):
        values = defaultdict(list)
        for line in record.splitlines():
            name, _, rest = line.partition(b":")
            octets = base64.b64decode(rest[1:]) if rest.startswith(b":") else rest.lstrip(b" ")
            values[name.decode()].append(octets)
        if values:
            yield dict(values)


def _journalled(change: Change) -> Write:
    return change.user.id, tuple(sorted(edit for each in change.attributes if (edit := edit_of(each))))


def edit_of(each: AttributeChange) -> Edit | None:
    """What an attribute's change does, if it does anything."""
    if each.secret:
        return Edit(each.name, (), (each.fingerprint,))
    old, new = ({str(value) for value in values} for values in (each.old, each.new))
    return Edit(each.name, tuple(sorted(old - new)), tuple(sorted(new - old))) if old != new else None


def _logged(record: dict[str, list[bytes]], fingerprint: Fingerprint) -> Write:
    """A record of the log: `attribute:+ value`, with `-` for a value taken out and `=` for one that replaces all."""
    user = UserRef(record["reqEntryUUID"][0].decode(), "")
    gone: defaultdict[str, list[str]] = defaultdict(list)
    come: defaultdict[str, list[str]] = defaultdict(list)
    for modification in record["reqMod"]:
        name, _, rest = modification.decode().partition(":")
        if name in _SPECIAL or not rest:
            continue
        values = gone if rest[0] == "-" else come
        values[name].append(rest[2:])
    edits = []
    for name in {*gone, *come}:
        if name == SECRET:
            (new,) = come[name] or [""]
            edits.append(Edit(name, (), (fingerprint(user, name, Secret(new)) if new else "",)))
        else:
            edits.append(Edit(name, tuple(sorted(gone[name])), tuple(sorted(come[name]))))
    return user.id, tuple(sorted(edits))
