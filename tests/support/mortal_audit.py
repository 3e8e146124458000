"""An audit in a file, of runs that can die at any octet of it; a power cut takes what the disk had not been given.

Beside it, or instead, a syslog receiver.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar
from unittest.mock import patch

from msgspec.structs import replace

from connector.apply.context import ApplyContext, ApplyUndoContext
from connector.apply.sync import FinishedRun, apply_run, apply_undo
from connector.model import Plan, RunEnding
from connector.observers import audit
from connector.observers.audit_check import AuditFinding
from connector.observers.audit_file import AuditFile
from connector.runtime.stopping import StopRequest
from connector.settings.operations import Audit
from connector.state.audit_lines import AuditLine, AuditLines
from tests.support.audit_lines import chain_faults, records
from tests.support.mortal import DeathError, Fate, Mortal

Write = tuple[str, str, str, str, str]
"""The run, the user, the digest of the change, the part that went first, and the result."""
Places = Literal["file", "syslog", "both"]
Kind = TypeVar("Kind", ApplyContext, ApplyUndoContext)


class Wire:
    """A receiver that dies now and then: `Syslog` as far as the audit uses it."""

    where = "tcp://receiver"

    def __init__(self, fate: Fate, got: list[str]) -> None:
        self._fate, self._got = fate, got

    def send_line(self, line: str) -> None:
        """As `Syslog.send_line`."""
        self._fate.reach()
        self._got.append(line)
        self._fate.reach()

    def close(self) -> None:
        """Nothing is open."""


class Dying(audit.AuditObserver):
    """One that says nothing any more after its death."""

    def close_directory(self, plan: Plan | None, ending: RunEnding | None, fault: BaseException | None = None) -> None:
        if not isinstance(fault, DeathError):
            super().close_directory(plan, ending, fault)


class Audited:
    """A mortal world whose writes are audited. `torn`: which part of what the disk had not been given is lost.

    `places`: to a file, to a receiver, which has `got` these lines, or to both.
    """

    def __init__(
        self, mortal: Mortal, folder: Path, torn: Callable[[int], int] | None = None, *, places: Places = "file"
    ) -> None:
        self._mortal, self._torn = mortal, torn
        self._places = places
        self.got: list[str] = []
        self.path = folder / "audit.jsonl"
        self._opened: list[AuditFile] = []
        self._durable = 0
        self.rotated: list[Path] = []

    def apply(self, last: int | None = None, **options: Any) -> FinishedRun:
        """An apply, perhaps its last."""
        self._mortal.fate.begin(last)
        with self._mortal.world.context() as context, self._watched(context) as watched:
            return apply_run(watched, lambda plan, outcomes: None, **options)

    def undo(self, run: str, last: int | None = None) -> FinishedRun:
        """Take a run back, perhaps not to the end."""
        self._mortal.fate.begin(last)
        with self._mortal.world.back(run) as context, self._watched(context) as watched:
            return apply_undo(watched, lambda plan, outcomes: None)

    def move(self, places: Places) -> None:
        """Give the job another `audit` from now on."""
        self._places = places

    def rotate(self) -> None:
        """What logrotate does."""
        if self.path.exists():
            self.rotated.append(self.path.with_name(f"audit.{len(self.rotated)}.jsonl"))
            self.path.rename(self.rotated[-1])

    @contextmanager
    def _watched(self, context: Kind) -> Iterator[Kind]:
        path = self.path if self._places != "syslog" else None
        url = "tcp://receiver" if self._places != "file" else None
        settings = Audit(file=path, syslog=url, allow_plaintext=url is not None)
        stop = StopRequest().end_run
        observer = Dying(settings, job=context.job, run=context.plan_id, bound=None, stop=stop, code=lambda _: 0)
        self._durable = self.path.stat().st_size if self.path.exists() else 0
        try:
            with (
                patch.object(audit, "AuditFile", self._file),
                patch.object(audit, "_UNSAFE_AT_MOST", 3),
                patch.object(audit, "Syslog", lambda *_: Wire(self._mortal.fate, self.got)),
            ):
                yield replace(context, observer=observer)
        except DeathError:
            if self._torn is not None and self.path.exists():
                size = self.path.stat().st_size
                with self.path.open("r+b") as file:
                    file.truncate(self._durable + self._torn(size - self._durable))
            raise
        finally:
            for each in self._opened:
                each.close()
            self._opened = []

    def _file(self, path: Path) -> AuditFile:
        """One whose every write has a moment before it, one in its midst, and one after it."""
        fate, owner = self._mortal.fate, self

        class Mortally(AuditFile):
            def append_octets(self, octets: bytes) -> None:
                fate.reach()
                half = len(octets) * 2 // 3
                super().append_octets(octets[:half])
                fate.reach()
                super().append_octets(octets[half:])
                fate.reach()

            def sync_to_disk(self) -> None:
                fate.reach()
                super().sync_to_disk()
                owner._durable = owner.path.stat().st_size

        self._opened.append(Mortally(path))
        return self._opened[-1]

    # ------------------------------------------------------------ what it came to

    @property
    def files(self) -> list[Path]:
        """The oldest first."""
        return [path for path in (*self.rotated, self.path) if path.exists()]

    @property
    def kept(self) -> list[AuditLine]:
        """The lines that the state keeps."""
        lines = AuditLines(self._mortal.database).read_lines(self._mortal.world.job)
        return [each for some in lines for each in some]

    def texts(self, *paths: Path) -> list[str]:
        """The whole lines of these files; without any, of all and of the state, each once."""
        lines = [line for path in paths or self.files for line in path.read_text().splitlines()]
        found = [line for line in lines if any(records(line.encode()))]
        return found if paths else list(dict.fromkeys([*found, *(line.text for line in self.kept)]))

    def told(self, *paths: Path) -> list[dict[str, Any]]:
        """The records of writes in these files, or in all and the state."""
        found = [record for line in self.texts(*paths) for record in records(line.encode())]
        return [record for record in found if record["event"] == "write"]

    def faults(self) -> list[AuditFinding]:
        """What is wrong with the job's chain, in its files and then in the state, by what the state knows."""
        job = self._mortal.world.job
        head = AuditLines(self._mortal.database).read_head(job)
        kept = "".join(f"{line.text}\n" for line in self.kept).encode()
        return chain_faults(*[path.read_bytes() for path in self.files], kept, job=job, head=head)

    def known(self) -> set[Write]:
        """What the journal knows."""
        rows = self._mortal.database.rows(
            "select run, user_id, digest, part, outcome from journal where outcome is not null"
        )
        return {(run, user, digest, part.partition(":")[0], outcome) for run, user, digest, part, outcome in rows}


def write_of(record: dict[str, Any]) -> Write:
    """The write that a record tells of."""
    return (record["run"], record["user"]["id"], record["digest"], record.get("part", ""), record["result"])


@contextmanager
def audited(mortal: Mortal, torn: Callable[[int], int] | None = None, *, places: Places = "file") -> Iterator[Audited]:
    """An audit in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="cec-connector-audit-") as folder:
        yield Audited(mortal, Path(folder), torn, places=places)
