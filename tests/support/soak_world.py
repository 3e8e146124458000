"""What `serve` soaks in: a real slapd, a tenant over HTTP, three jobs, and a clock that is set as it pleases.

`hr` is applied each night at half past two in Berlin, a time that is left out in spring and comes twice in autumn;
`beat` is a dry run every few seconds, and `far` one each hour, whose state is in PostgreSQL. The harness reckons for
itself what is due, and reads what has happened from the log, the audit stream, the state, the metrics, the directory,
and the process.
"""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, time, timedelta
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Self

from msgspec import Struct

from connector.demo.simulator import Simulator
from tests.support.crash_world import agent, ldif, records, tenant
from tests.support.jobs import cec_source, file, job_file, ldap_directory, ldif_directory
from tests.support.postgres import Postgres
from tests.support.program import program
from tests.support.serving import Event, serving
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd
from tests.support.soak_clock import Clock, Daily
from tests.support.soak_ledger import Beats, Nights

AGENTS = 6
MOMENT = timedelta(seconds=1)
"""What the clock is set to is a moment past what it is set for."""
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  cecAccountCode: "{accountCode}"
  employeeNumber: {value: "%s{workNo}", unique: true}
object_classes: [cecAgent]
"""


def pace(folder: Path) -> timedelta:
    """How often `beat` runs: as often as a machine keeps up with that takes so long to start a program."""
    begun = monotonic()
    program("schema", "job", folder=folder)
    return timedelta(seconds=max(3, ceil(5 * (monotonic() - begun))))


class Taken(Struct, frozen=True):
    """What the process of `serve` takes up."""

    octets: int
    descriptors: int
    threads: int


class World:
    """A context manager; while it is open all is up, and `serve` runs."""

    def __init__(self, folder: Path, start: datetime) -> None:
        self.folder = folder
        self.clock = Clock(folder / "clock", start)
        self.schedule = Daily(time(2, 30), "Europe/Berlin")
        self.agents = [agent(number) for number in range(1, AGENTS + 1)]
        self.secrets = {"bind-password": SYNC_PASSWORD, "app-secret": "canary-secret"}
        self.prefix = 0
        self._seat = 2000
        self._every = pace(folder)
        self._nights, self._beats = Nights("hr"), Beats("beat", self._every)
        self._there: dict[str, str] = {}
        self._events: list[Event] = []
        self._done = 0
        self._stack = ExitStack()
        self.source: Simulator

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.slapd = stack.enter_context(Slapd.start(self.folder / "slapd", records("soak")))
            self.postgres = stack.enter_context(Postgres.start())
            self._source_up = stack.enter_context(ExitStack())
            self._serve_up = stack.enter_context(ExitStack())
            self.source_comes()
            self._write_files()
            self.begin()
            self.served.next("next run", job="hr")  # from now on it counts nights
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _write_files(self) -> None:
        source = cec_source(
            self.source.url, app_key=file("app-key"), app_secret=file("app-secret"), timeout=60, retries=0
        )
        directory = ldap_directory(
            self.slapd.url, bind_dn=SYNC, password=file("bind-password"), base=f"ou=soak,{PEOPLE}", timeout=60
        )
        night = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "mode": "apply"}
        beat = {"every": f"{self._every.seconds}s"}
        audit = {"file": "audit.jsonl"}
        self.write("hr.yaml", job_file(directory, source=source, state="sqlite:///hr.db", audit=audit, serve=night))
        self.write("beat.yaml", job_file(ldif_directory(), state="sqlite:///beat.db", serve=beat))
        far = self.postgres.create("soak")
        self.write("far.yaml", job_file(ldif_directory(), state=far, key=file("key"), serve={"every": "1h"}))
        self.write("key", "the key of a job")
        self.write("mapping.yaml", MAPPING % self.prefix)
        self.write("app-key", "demo-key")
        for name, secret in self.secrets.items():
            self.write(name, secret)
        self.write("agents.json", tenant([agent(1)]))
        self.write("people.ldif", f"dn: uid=p1,{PEOPLE}\nobjectClass: inetOrgPerson\nuid: p1\ncn: p1\nsn: p1\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    # ------------------------------------------------------------ the program

    def begin(self) -> None:
        """Start `serve`."""
        self._done = 0
        jobs = ("hr.yaml", "beat.yaml", "far.yaml")
        self.served = self._serve_up.enter_context(serving(self.folder, *jobs, env=self.clock.env))

    def end(self) -> None:
        """Stop it."""
        assert self.served.stop() == 0
        self._serve_up.close()
        self._events += self.served.events

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop it, and start it again afterwards."""
        self.end()
        before = self.clock.now()
        yield
        self._beats.jumped(before, self.clock.now())
        self.begin()

    def reread(self, *, refused: bool = False) -> None:
        """Let it read its files again, those of both jobs, and so look at its clock."""
        self.served.signal(signal.SIGHUP)
        said = "files invalid, the old ones stay in use" if refused else "files read again"
        waited_for = {"hr", "beat"}  # each reads its files beside the other, so that either may be first
        while waited_for:
            job = self.served.next(said)["job"]
            waited_for.discard(job)
        for job in ("hr", "beat"):
            assert self.served.metric("files_accepted", cec_job=job) == (not refused)

    def ready(self) -> bool:
        """Whether its nights go well, by what it says of itself."""
        return "hr: " not in self.served.get("/readyz")[1]

    def taken(self) -> Taken:
        """What it takes up now."""
        process = Path(f"/proc/{self.served.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        octets = int(status["VmRSS"].split()[0]) << 10
        return Taken(octets, len(list((process / "fd").iterdir())), int(status["Threads"]))

    # ------------------------------------------------------------ the clock

    def jump(self, moment: datetime) -> None:
        """Set the clock."""
        self._beats.jumped(self.clock.now(), moment)
        self.clock.set(moment)

    def night(self, ending: str = "done") -> None:
        """Let the next night come, and its run come to this end."""
        due = self.schedule.after(self.clock.now())
        self.jump(due + MOMENT)
        self.run_begins(due)
        self.run_ends(ending)

    def run_begins(self, due: datetime) -> None:
        """There has to be one, and of this tick."""
        self._nights.due.append(due)
        started = self.served.next("run started", job="hr")
        assert datetime.fromisoformat(started["tick"]) == due, f"{started}, not {due}"

    def run_ends(self, *endings: str) -> str:
        """How it came to its end, which has to be one of these; after a good one all is as the source has it."""
        ended: str = self.served.next("run ended", job="hr")["ending"]
        assert ended in endings, self.served.text[-4000:]
        if ended == "done":
            self._done += 1
            self._is_in_step()
        return ended

    # ------------------------------------------------------------ states

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the state of `hr`."""
        with closing(sqlite3.connect(self.folder / "hr.db", timeout=60, isolation_level=None)) as other:
            other.execute("begin exclusive")
            yield
            other.execute("rollback")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The database of `far` answers nothing; once it answers again, there is a good run."""
        self.postgres.freeze()
        try:
            yield
        finally:
            self.postgres.thaw()
        self.served.next("run ended", job="far", ending="done")

    # ------------------------------------------------------------ both sides

    def moved(self, agents: int = 1) -> None:
        """Give so many agents another seat."""
        for _ in range(agents):
            self._seat += 1
            self.agents[self._seat % AGENTS]["workNo"] = self._seat
        self.source.document = self._tenant()

    def _tenant(self) -> bytes:
        return tenant(self.agents).encode()

    def source_goes(self) -> None:
        """Nothing listens where the source was."""
        self._source_up.close()

    def source_comes(self) -> None:
        """It is there again, at its old address."""
        port = int(self.source.url.rpartition(":")[2]) if hasattr(self, "source") else 0
        simulator = Simulator(self._tenant(), app_secret=self.secrets["app-secret"], port=port)
        self.source = self._source_up.enter_context(simulator)

    def _is_in_step(self) -> None:
        wanted = {f"uid={each['accountCode']}": f"{self.prefix}{each['workNo']}" for each in self.agents}
        self._nights.written += wanted.items() - self._there.items()
        self._there = wanted
        found = ldif(self.slapd.search("(cecAccountCode=*)", "uid", "employeeNumber", base=f"ou=soak,{PEOPLE}"))
        assert {f"uid={e['uid'][0].decode()}": e["employeeNumber"][0].decode() for e in found} == wanted
        assert self.served.metric("runs_total", cec_job="hr", kind="apply", ending="done") == self._done
        assert self.ready()

    # ------------------------------------------------------------ the account

    def check(self) -> int:
        """Stop it, and hold all that there was to what was due; how many runs there were."""
        self.end()
        listed = program("runs", "hr.yaml", "--json", folder=self.folder)
        runs = [run["id"] for run in json.loads(listed.out) if run["result"] not in {"failed", "refused"}]
        self._nights.check(self._events, (self.folder / "audit.jsonl").read_text(), runs)
        with closing(sqlite3.connect(self.folder / "hr.db")) as state:
            last = self._nights.due[-1].isoformat()
            assert state.execute("select tick, ended, good from schedule").fetchall() == [(last, 1, last)]
        return len(self._nights.due) + self._beats.check(self._events)
