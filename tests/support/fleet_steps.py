"""Steps of a fleet's run, each asked of a process of its own as a fleet's worker asks, with the state in PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from connector.apply.composition import accept_job
from connector.observers.run_summary import Kind
from connector.serve.run_process import FleetRun, RunRequest, RunResult
from tests.support.postgres import Postgres
from tests.support.program import WARNINGS, environment
from tests.support.serving import PATIENCE

TICKS = [datetime(2026, 11, 28, hour, tzinfo=UTC) for hour in range(24)]
_numbers = count()


class Answer(msgspec.Struct):
    """What a process came to: its exit code, its result, what it logged."""

    code: int
    result: RunResult
    err: str

    @property
    def outcomes(self) -> dict[str, int]:
        assert self.result.summary is not None
        return self.result.summary.outcomes

    @property
    def fault(self) -> str:
        assert self.result.summary is not None
        return self.result.summary.fault


class Steps:
    """Steps of the job in `folder`, whose state is a database of its own; no password may be in what they say.

    `url` of that state; `kind`: of its runs.
    """

    def __init__(self, folder: Path, server: Postgres, env: Mapping[str, str] | None = None) -> None:
        self.job = folder / "job.yaml"
        self.kind: Kind = "apply"
        self._server, self._env = server, env or {}
        self._database = f"fleet{next(_numbers)}"
        self.url = server.create(self._database)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._server.run(self._database, statement)

    def request(self, fleet: FleetRun, tick: datetime = TICKS[0], **texts: str) -> RunRequest:
        """`texts`: files of the job as they shall be, by their names without the suffix."""
        accepted = accept_job(self.job).texts
        changed = {path: texts.get(path.stem, text) for path, text in accepted.items()}
        return RunRequest(self.job, changed, tick, datetime.now(UTC) + timedelta(days=365), self.kind, fleet=fleet)

    @contextmanager
    def asked(self, request: RunRequest) -> Iterator[subprocess.Popen[bytes]]:
        """A process that has been told the request; it is killed at the end if it still runs."""
        with subprocess.Popen(
            [sys.executable, *WARNINGS, "-m", "connector", "worker"],
            cwd=self.job.parent,
            env=environment(self._env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(msgspec.json.encode(request, enc_hook=str))
                process.stdin.close()
                process.stdin = None
                yield process
            finally:
                process.kill()

    def answer(self, process: subprocess.Popen[bytes]) -> Answer:
        """What it came to, once it has ended in order."""
        out, err = process.communicate(timeout=PATIENCE)
        assert b"canary" not in out + err
        assert b"Traceback" not in err, err.decode()
        return Answer(process.returncode, msgspec.json.decode(out, type=RunResult, dec_hook=_as), err.decode())

    def run(self, fleet: FleetRun, tick: datetime = TICKS[0], **texts: str) -> Answer:
        with self.asked(self.request(fleet, tick, **texts)) as process:
            return self.answer(process)

    def plan(self, tick: datetime = TICKS[0], *, code: int = 0) -> RunResult:
        found = self.run(FleetRun("plan"), tick)
        assert found.code == code, found.err
        return found.result

    def apply(
        self,
        plan: str,
        tick: datetime = TICKS[0],
        *,
        accept: bool = False,
        signatures: Sequence[tuple[str, bytes]] = (),
        code: int = 0,
    ) -> Answer:
        found = self.run(FleetRun("apply", plan, accept=accept, signatures=[*signatures]), tick)
        assert found.code == code, found.err
        return found

    def documents(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Every document by its plan's id: its kind, and what it says."""
        rows = self.query("select id, kind, octets from documents where octets is not null")
        return {id_: (kind, json.loads(zlib.decompress(octets))) for id_, kind, octets in rows}

    def waits(self) -> list[str]:
        return [id_ for id_, (kind, _) in self.documents().items() if kind == "plan"]

    def ticks(self) -> list[tuple[Any, ...]]:
        """The last tick, whether it is over, and the last good one."""
        rows = self.query("select tick, ended, good from schedule")
        return [(_time(tick), ended, good and _time(good)) for tick, ended, good in rows]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _as(kind: type, value: Any) -> Any:
    return kind(value)
