"""The audit stream: who wrote what, when, from which values to which; apart from the log, one JSON object a line.

It is opened before anything is written, and a run whose stream breaks sends no further write. Writes are told as the
journal has them, each by its run and its number there; what a sink was not told for certain is told before anything
else by the next run, marked as late (law 13). Secrets are told by their keyed fingerprints.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from connector.errors import OutputError, StateError
from connector.model import AttributeChange, Change, Fingerprint, Noted, Outcome, Plan, Result
from connector.observers.observer import Observer
from connector.observers.sinks import File, Line, Receiver, Record, Sink
from connector.observers.syslog import NOTICE, WARNING
from connector.reconcile.digests import is_secret, readable
from connector.reports.document import change_object
from connector.runtime.clock import stamp
from connector.settings.operations import Audit
from connector.state.telling import Owed, Telling

log = structlog.get_logger(__name__)

_FINE: Final = (Result.WRITTEN, Result.UNCHANGED)
_AT_MOST: Final = 2000
"""So many outcomes are told before it is made sure that they are safe, and their marks are moved."""


class AuditObserver(Observer):
    """Notes the begin of an apply or undo, each write, and the end. `bound`: the name that the directory knows us by.

    `stop` is called with a reason when the account of the run cannot be kept any longer. `late`: by where it is kept,
    how many writes were told late.
    """

    def __init__(self, settings: Audit, *, job: str, run: str, bound: str | None, stop: Callable[[str], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._job = readable(job)
        self._about = {"job": self._job, "run": run}
        self._who = {"user": _account(), "host": socket.gethostname(), "bound": bound}
        self._fingerprint: Fingerprint | None = None
        self._telling: Telling | None = None
        self._sinks: list[Sink] = []
        self._plan: Plan | None = None
        self._told = 0
        self.late: dict[str, int] = {}

    def opens(self, directory: str, fingerprint: Fingerprint, telling: Telling) -> None:
        self._fingerprint, self._telling = fingerprint, telling
        self._about["directory"] = readable(directory)
        if self._settings.file is not None:
            self._sinks.append(File(self._settings.file))
        if self._settings.syslog is not None:
            self._sinks.append(Receiver(self._settings.syslog, self._settings.ca_file))
        kinds = [sink.kind for sink in self._sinks]
        telling.begin(directory, kinds, json.dumps(self._who), self._tell, self._secure)
        for sink in self._sinks:
            try:
                self._catch_up(sink, telling)
            except OSError as fault:
                why = f"the audit cannot be kept: writes of earlier runs cannot be sent: {_reason(fault)}"
                raise OutputError(why, where=sink.where) from None
        telling.flush()

    def _catch_up(self, sink: Sink, telling: Telling) -> None:
        """Tell what this sink was not told for certain, but for what it is seen to hold."""
        owed = list(telling.owed(sink.kind))
        held = sink.holds({each.run for each in owed}) if owed else set()
        self.late[sink.where] = 0
        for each in owed:
            left = [noted for noted in each.outcomes if (noted.run, noted.number) not in held]
            for start in range(0, len(left), _AT_MOST):
                sink.tell([self._line(noted, late=True) for noted in left[start : start + _AT_MOST]])
                sink.secure()
            if left:
                sink.tell([self._summary(each, len(left))])
            self.late[sink.where] += len(left)
        if owed:
            sink.secure()  # its second chance: what a receiver that never closes was sent twice counts as told
            for each in owed:
                telling.mark(sink.kind, each.run, each.last)
            sink.safe.clear()
            log.info("audit caught up", where=sink.where, writes=self.late[sink.where])

    def planned(self, plan: Plan) -> None:
        self._plan = plan

    def stage(self, name: str, **details: object) -> None:
        if name == "apply" and self._plan is not None:
            counts = {"changes": details["changes"], "acknowledged": bool(details["accepted"])}
            self._note("begin", plan=self._plan.digest, **counts)

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        """Of what the journal has not noted as settled: a write that may have happened, and is told once it is."""
        lost = self._telling is not None and self._telling.lost and outcome.result is not Result.SKIPPED
        if outcome.open or lost:
            noted = Noted(run or self._about["run"], change, outcome)
            self._note("open", **self._written(noted))

    def finished(self, plan: Plan | None, exit_code: int | None, fault: BaseException | None = None) -> None:
        if plan is not None:
            self._note("end", plan=plan.digest, refused=[refusal.limit for refusal in plan.refusals], code=exit_code)
        else:
            self._note("end", fault=type(fault).__name__)
        self.close()

    def close(self) -> None:
        """Make sure of what was told, and let go of every sink. Never raises."""
        self._secure()
        if self._telling is not None:
            try:
                self._telling.flush()
            except StateError as fault:  # then it is told again
                log.warning("audit marks not kept", reason=str(fault))
        for sink in self._sinks:
            sink.close()
        self._sinks = []

    # ------------------------------------------------------------ records

    def _tell(self, found: Sequence[Noted]) -> None:
        """Tell what the journal has noted, and move the marks now and then."""
        lines = [self._line(noted) for noted in found]
        self._to_all(lambda sink: sink.tell(lines))
        self._told += len(lines)
        if self._told >= _AT_MOST:
            self._secure()

    def _secure(self) -> None:
        """Move the marks up to what is safe."""
        self._told = 0

        def secure(sink: Sink) -> None:
            sink.secure()
            while sink.safe and self._telling is not None:
                self._telling.safe(sink.kind, *sink.safe.popleft())

        self._to_all(secure)

    def _to_all(self, act: Callable[[Sink], None]) -> None:
        """Act on every sink; one that breaks is let go of, and the run stops."""
        for sink in self._sinks.copy():
            try:
                act(sink)
            except OSError as fault:
                self._sinks.remove(sink)
                sink.close()
                why = _reason(fault)
                log.warning("audit broken", where=sink.where, reason=why)
                self._stop(f"the audit cannot be kept ({sink.where}: {why})")

    def _note(self, event: str, **said: object) -> None:
        """A record that has no number."""
        record = {"time": stamp(), "event": event, **self._about, "who": self._who, **said}
        line = Line.of(record, WARNING if said.get("fault") or event == "open" else NOTICE)
        self._to_all(lambda sink: sink.tell([line]))

    def _line(self, noted: Noted, *, late: bool = False) -> Line:
        """The record of a write."""
        head: Record = {"time": noted.time, "event": "write", "job": self._job, "run": noted.run}
        head |= {"number": noted.number, "directory": readable(noted.directory)}
        head |= {"who": json.loads(noted.who) if noted.who else None} | ({"late": True} if late else {})
        severity = NOTICE if noted.outcome.result in _FINE else WARNING
        return Line.of(head | self._written(noted), severity)

    def _written(self, noted: Noted) -> Record:
        change, outcome = noted.change, noted.outcome
        said: Record = change_object(change)
        for each, told in zip(change.attributes, said["attributes"], strict=True):
            if is_secret(each):
                told["was"] = self._was(change, each)
        part = {"part": change.part.value} if change.part else {}
        why = {"why": readable(outcome.why)} if outcome.why else {}
        return {"run": noted.run, **part, "result": outcome.result.value, **why, **said}

    def _summary(self, owed: Owed, writes: int) -> Line:
        """What is known of a run of which something was told late: its begin or end may be missing too."""
        record: Record = {"time": stamp(), "event": "late", "job": self._job, "run": owed.run, "who": self._who}
        record |= {"plan": owed.digest, "started": owed.started, "ended": owed.ended, "result": owed.result}
        return Line.of(record | {"writes": writes}, WARNING)

    def _was(self, change: Change, each: AttributeChange) -> list[str] | None:
        """The fingerprints of a secret's old values; None: they could not be read."""
        if not each.seen or self._fingerprint is None:
            return None
        return [self._fingerprint(change.user, each.name, value) for value in each.old]


def _reason(fault: OSError) -> str:
    return fault.strerror or str(fault)


def _account() -> str:
    """The account that runs this program, by name where it has one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
