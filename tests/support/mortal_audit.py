"""An audit in a file, of runs that can die at any octet of it; a power cut takes what the disk had not been given.

Beside it, or instead, a receiver of a stream, which has what was sent once the stream has ended in order.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from msgspec.structs import replace

from connector.model import Ending, Plan
from connector.observers import audit, sinks
from connector.observers.chain_check import Finding
from connector.observers.sinks import File
from connector.run.context import ApplyContext, ApplyUndoContext
from connector.runtime.stopping import Stop
from connector.settings.operations import Audit
from connector.state.sealing import Sealer
from connector.state.telling import Telling
from connector.sync import Run, apply_run, apply_undo
from tests.support.audit_lines import chain_faults, records
from tests.support.mortal import DeathError, Fate, Mortal

Number = tuple[str, int]
Kind = TypeVar("Kind", ApplyContext, ApplyUndoContext)


class Wire:
    """A stream to a receiver that reads late. Of one that is closed before its end, the receiver has read nothing."""

    stream = True

    def __init__(self, fate: Fate, got: list[str]) -> None:
        self._fate, self._got = fate, got
        self._sent: list[str] = []

    def send(self, kind: str, severity: int, message: str) -> None:
        """As `Syslog.send`."""
        self._fate.reach()
        self._sent.append(message[: len(message) // 2])  # what comes after half a message is a part of it
        self._fate.reach()
        self._sent[-1] = message
        self._fate.reach()

    def end(self) -> bool:
        self._fate.reach()
        for place, message in enumerate(self._sent):
            if not message.endswith("}"):
                self._sent[place:] = []
                break
        self._got += self._sent
        self._fate.reach()
        self._sent = []
        return True

    def close(self) -> None:
        self._sent = []


class Dying(audit.AuditObserver):
    """One that says nothing any more after its death."""

    def closes(self, plan: Plan | None, ending: Ending | None, fault: BaseException | None = None) -> None:
        if not isinstance(fault, DeathError):
            super().closes(plan, ending, fault)


class Audited:
    """A mortal world whose writes are audited. `torn`: which part of what the disk had not been given is lost.

    `stream`: to a receiver too, which has `got` these messages.
    """

    def __init__(
        self, mortal: Mortal, folder: Path, torn: Callable[[int], int] | None = None, *, stream: bool = False
    ) -> None:
        self._mortal, self._torn = mortal, torn
        self._url = "tcp://receiver" if stream else None
        self.got: list[str] = []
        self.path = folder / "audit.jsonl"
        self._opened: list[File] = []
        self._durable = 0
        self.rotated: list[Path] = []

    def apply(self, last: int | None = None, **options: Any) -> Run:
        """An apply, perhaps its last."""
        self._mortal.fate.begin(last)
        with self._mortal.world.context() as context, self._watched(context) as watched:
            return apply_run(watched, lambda plan, outcomes: None, **options)

    def undo(self, run: str, last: int | None = None) -> Run:
        """Take a run back, perhaps not to the end."""
        self._mortal.fate.begin(last)
        with self._mortal.world.back(run) as context, self._watched(context) as watched:
            return apply_undo(watched, lambda plan, outcomes: None)

    def rotate(self) -> None:
        """What logrotate does."""
        if self.path.exists():
            self.rotated.append(self.path.with_name(f"audit.{len(self.rotated)}.jsonl"))
            self.path.rename(self.rotated[-1])

    @contextmanager
    def _watched(self, context: Kind) -> Iterator[Kind]:
        settings = Audit(file=self.path, syslog=self._url, allow_plaintext=self._url is not None)
        stop = Stop().end
        observer = Dying(settings, job=context.job, run=context.plan_id, bound=None, stop=stop, code=lambda _: 0)
        self._durable = self.path.stat().st_size if self.path.exists() else 0
        try:
            with (
                patch.object(audit, "File", self._file),
                patch.object(audit, "_AT_MOST", 3),
                patch.object(sinks, "Syslog", lambda *_: Wire(self._mortal.fate, self.got)),
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

    def _file(self, path: Path) -> File:
        """One whose every write has a moment before it, one in its midst, and one after it."""
        fate, owner = self._mortal.fate, self

        class Mortally(File):
            def add(self, octets: bytes) -> None:
                fate.reach()
                half = len(octets) * 2 // 3
                super().add(octets[:half])
                fate.reach()
                super().add(octets[half:])
                fate.reach()

            def secure(self) -> bool:
                fate.reach()
                safe = super().secure()
                owner._durable = owner.path.stat().st_size
                return safe

        self._opened.append(Mortally(path))
        return self._opened[-1]

    # ------------------------------------------------------------ what it came to

    def told(self, *paths: Path) -> Counter[Number]:
        """How often each number is in these files, or in all."""
        return Counter(
            (record["run"], record["number"])
            for path in paths or (*self.rotated, self.path)
            for record in records(path.read_bytes())
            if record["event"] == "write"
        )

    def faults(self, sink: str = "file") -> list[Finding]:
        """What is wrong with the job's chain, by what the state knows."""
        files = ["".join(f"<85>1 - {message}\n" for message in self.got).encode()]
        if sink == "file":
            files = [path.read_bytes() for path in (*self.rotated, self.path) if path.exists()]
        job = self._mortal.world.job
        link = Telling(self._mortal.database).of(job, Sealer(None)).link(sink)
        return chain_faults(*files, job=job, link=link, sink=sink)

    def received(self) -> Counter[Number]:
        """How often the receiver has each number; a repeat is marked as late."""
        found = [record for record in map(json.loads, self.got) if record["event"] == "write"]
        first: set[Number] = set()
        for record in found:
            number = (record["run"], record["number"])
            assert number not in first or record.get("late"), "a repeat that does not say so"
            first.add(number)
        return Counter((record["run"], record["number"]) for record in found)

    def known(self) -> dict[Number, tuple[str, str]]:
        """What the journal knows: by number, the user and the result."""
        rows = self._mortal.database.rows(
            "select run, told_as, user_id, outcome from journal where outcome is not null"
        )
        assert all(number for _, number, _, _ in rows), "an outcome without a number"
        return {(run, number): (user, outcome) for run, number, user, outcome in rows}


@contextmanager
def audited(mortal: Mortal, torn: Callable[[int], int] | None = None, *, stream: bool = False) -> Iterator[Audited]:
    """An audit in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="cec-connector-audit-") as folder:
        yield Audited(mortal, Path(folder), torn, stream=stream)
