"""A fleet as it would stand: jobs in a folder, PostgreSQL, directories, Temporal, and workers as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

from tests.support.jobs import job_file, ldap_directory
from tests.support.ldap_server import free_port
from tests.support.postgres import Postgres
from tests.support.program import LONGEST, WARNINGS, Ended, ended, environment, started
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd
from tests.support.temporal import Temporal

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [SIPIdentity]
"""
ENV = {"LDAP_PASSWORD": SYNC_PASSWORD, "FLEET_STATE_KEY": "canary-of-the-key-0123456789abcdef"}


def base(job: str) -> str:
    return f"ou={job},{PEOPLE}"


class Worker:
    """One `fleet worker`. `kill()` is SIGKILL to it alone; `processes` are those of its runs."""

    def __init__(self, folder: Path, log: Path, options: Sequence[str], env: Mapping[str, str]) -> None:
        self.log = log
        self.port = free_port()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *WARNINGS, "-m", "connector", "--log-level=info", "fleet", "worker", str(folder),
                 f"--listen=127.0.0.1:{self.port}", *options],
                cwd=folder, env=environment({**ENV, **env}), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def metrics(self) -> str:
        return self.get("/metrics")

    def get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=LONGEST) as answer:
            return str(answer.read().decode())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """SIGKILL to it and to all of its runs, as when a machine dies."""
        runs = (Path("/proc") / str(self.pid) / "task" / str(self.pid) / "children").read_text().split()
        self.kill()
        for each in map(int, runs):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(LONGEST)

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()


class FleetWorld:
    """Jobs in `folder`, each with agents of its own below a base of its own, and a fleet in a namespace of its own."""

    def __init__(self, folder: Path, temporal: Temporal, postgres: Postgres, **limits: Any) -> None:
        self.folder = folder
        self.temporal = temporal
        self.namespace = temporal.namespace()
        self.postgres = postgres
        self.database = f"fleet_{uuid4().hex}"
        self.state = postgres.create(self.database)
        self.workers: list[Worker] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mapping.yaml").write_text(MAPPING)
        self.configure(**limits)

    def configure(self, state: str | None = None, **limits: Any) -> None:
        fleet = {"address": self.temporal.address, "namespace": self.namespace, "limits": limits, "state": state}
        (self.folder / "fleet.yaml").write_text(json.dumps(fleet))

    def add(
        self, name: str, server: Slapd, agents: int = 3, *, mode: str = "apply", url: str = "", **more: Any
    ) -> None:
        """Write a job, and make its users. `url`: another way to the server."""
        users = [f"{name}-u{number}" for number in range(agents)]
        unit = f"dn: {base(name)}\nobjectClass: organizationalUnit\nou: {name}\n\n"
        server.add(unit + "".join(f"dn: uid={uid},{base(name)}\n{_person(uid)}\n" for uid in users))
        records = [
            {"workNo": 1000 + number, "accountCode": uid, "sipPwd": f"canary-{uid}"} for number, uid in enumerate(users)
        ]
        self.agents(name, records)
        directory = ldap_directory(url or server.url, bind_dn=SYNC, base=base(name), show=[])
        settings = {
            "source": {"type": "file", "path": f"{name}.json"},
            "state": self.state,
            "key": {"env": "FLEET_STATE_KEY"},
            "serve": {"every": "1h", "mode": mode},
        }
        (self.folder / f"{name}.yaml").write_text(job_file(directory, **(settings | more)))

    def agents(self, name: str, records: Sequence[Mapping[str, object]]) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps({"agents": records}))

    def work(self, *options: str, env: Mapping[str, str] | None = None) -> Worker:
        """Start another worker."""
        worker = Worker(self.folder, self.folder / f"worker{len(self.workers)}.log", options, env or {})
        self.workers.append(worker)
        return worker

    def ask(self, *arguments: str) -> Ended:
        """A command of the fleet, in a process that begins anew: a forked one cannot have the engine's threads."""
        with started("fleet", *arguments, folder=self.folder, env=ENV) as process:
            return ended(process)

    def fleet(self, *arguments: str, code: int = 0) -> Ended:
        done = self.ask(*arguments)
        assert done.code == code, done.said
        assert "canary" not in done.said
        return done

    def status(self, code: int = 0) -> dict[str, dict[str, Any]]:
        """How each job stands."""
        found = json.loads(self.fleet("status", ".", "--json", code=code).out)
        return {each["job"]: each for each in found["jobs"]}

    def until(self, true: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until this is so."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "".join(each.log.read_text()[-2000:] for each in self.workers)
            time.sleep(0.1)  # an engine tells nobody when it has done something

    def settle(self, name: str, state: str, code: int = 0) -> dict[str, Any]:
        """Wait until a job stands so, and nothing of it is under way."""
        found: dict[str, Any] = {}

        def stands() -> bool:
            told = json.loads(self.ask("status", ".", "--json").out or "{}")
            found.update(next((each for each in told.get("jobs", ()) if each["job"] == name), {}))
            return found.get("state") == state and name not in told["under_way"]

        self.until(stands)
        self.status(code)
        return found

    def tick(self, name: str, number: int = 1) -> None:
        """As the schedule of a job would begin it."""
        self.temporal.cli(
            "workflow", "start", "--namespace", self.namespace, "--type", "Tick", "--task-queue", "cec-connector",
            "--workflow-id", f"cec-connector/tick/{name}-{number}", "--input", json.dumps({"job": name}),
        )  # fmt: skip

    def history(self, workflow: str, run: str) -> str:
        """What the engine keeps of one run of a workflow, in JSON."""
        return self.temporal.cli(
            "workflow", "show", "--namespace", self.namespace, "--output", "json",
            "--workflow-id", workflow, "--run-id", run,
        )  # fmt: skip

    def histories(self) -> str:
        """All that the engine keeps of all workflows."""
        listed = self.temporal.json("workflow", "list", "--namespace", self.namespace)
        runs = [each["execution"] for each in listed]
        return json.dumps(listed) + "".join(self.history(each["workflowId"], each["runId"]) for each in runs)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def _person(uid: str) -> str:
    return f"objectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n"
