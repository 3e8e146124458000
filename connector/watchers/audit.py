"""The audit stream: who wrote what, when, from which values to which; apart from the log, one JSON object a line.

It is opened before anything is written, and a run whose stream breaks sends no further write: what was in flight then
is in the journal alone. Secrets are told by their keyed fingerprints.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from connector.errors import OutputError
from connector.model import Change, Fingerprint, Held, Outcome, Plan, Result
from connector.reconcile.digests import is_secret, readable
from connector.reports.document import change_object
from connector.settings.operations import Audit
from connector.watch import Watcher
from connector.watchers.syslog import NOTICE, WARNING, Syslog

log = structlog.get_logger(__name__)

Record = dict[str, Any]
_FINE: Final = (Result.WRITTEN, Result.UNCHANGED)


class AuditWatch(Watcher):
    """Notes the begin of an apply or undo, each write, and the end. `bound`: the name that the directory knows us by.

    `stop` is called with a reason when the account of the run cannot be kept any longer.
    """

    def __init__(self, settings: Audit, *, job: str, run: str, bound: str | None, stop: Callable[[str], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._about = {"job": readable(job), "run": run}
        self._who = {"user": _account(), "host": socket.gethostname(), "bound": bound}
        self._fingerprint: Fingerprint | None = None
        self._sinks: list[_File | _Receiver] = []
        self._plan: Plan | None = None

    def opens(self, directory: str, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._about["directory"] = readable(directory)
        if self._settings.file is not None:
            self._sinks.append(_File(self._settings.file))
        if self._settings.syslog is not None:
            self._sinks.append(_Receiver(self._settings.syslog, self._settings.ca_file))

    def planned(self, plan: Plan) -> None:
        self._plan = plan

    def stage(self, name: str, **facts: object) -> None:
        if name == "apply" and self._plan is not None:
            counts = {"changes": facts["changes"], "acknowledged": bool(facts["accepted"])}
            self._note("begin", plan=self._plan.digest, **counts)

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        said: Record = change_object(change)
        for each, told in zip(change.attributes, said["attributes"], strict=True):
            if is_secret(each):
                told["was"] = self._was(change, each.name, each.old if each.seen else None)
        told_of = {"run": run} if run else {}
        part = {"part": change.part.value} if change.part else {}
        why = {"why": readable(outcome.why)} if outcome.why else {}
        self._note("write", **told_of, **part, result=outcome.result.value, **why, **said)

    def finished(self, plan: Plan | None, exit_code: int | None, fault: BaseException | None = None) -> None:
        if plan is not None:
            self._note("end", plan=plan.digest, refused=[refusal.limit for refusal in plan.refusals], code=exit_code)
        else:
            self._note("end", fault=type(fault).__name__)
        for sink in self._sinks:
            sink.close()
        self._sinks = []

    def _was(self, change: Change, attribute: str, old: tuple[Held, ...] | None) -> list[str] | None:
        """The fingerprints of a secret's old values; None: they could not be read."""
        if old is None or self._fingerprint is None:
            return None
        return [self._fingerprint(change.user, attribute, value) for value in old]

    def _note(self, event: str, **said: object) -> None:
        time = datetime.now(UTC).isoformat(timespec="microseconds")
        record = {"time": time, "event": event, **self._about, "who": self._who, **said}
        severity = NOTICE if said.get("result", "written") in _FINE and not said.get("fault") else WARNING
        for sink in self._sinks.copy():
            try:
                sink.note(event, severity, record)
            except OSError as fault:
                self._sinks.remove(sink)
                sink.close()
                why = fault.strerror or str(fault)
                log.warning("audit broken", where=sink.where, reason=why)
                self._stop(f"the audit cannot be kept ({sink.where}: {why})")


class _File:
    """Lines at the end of a file, each added whole, for its owner alone; durable when the run ends."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise OutputError(f"the audit cannot be kept: {fault.strerror}", where=self.where) from None

    def note(self, event: str, severity: int, record: Record) -> None:  # noqa: ARG002  # as `_Receiver.note`
        line = _line(record) + b"\n"
        if os.write(self._handle, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if event != "write":
            os.fsync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


class _Receiver:
    """A syslog receiver. A record that no datagram can hold is sent without its values."""

    def __init__(self, url: str, ca_file: Path | None) -> None:
        self.where = url
        try:
            self._syslog = Syslog(url, ca_file)
        except OSError as fault:
            why = fault.strerror or str(fault)
            raise OutputError(f"the audit cannot be kept: no connection: {why}", where=url) from None

    def note(self, event: str, severity: int, record: Record) -> None:
        try:
            self._syslog.send(event, severity, _line(record).decode())
        except OSError as fault:
            if fault.errno != errno.EMSGSIZE:
                raise
            short = {key: value for key, value in record.items() if key != "attributes"} | {"cut": True}
            self._syslog.send(event, severity, _line(short).decode())

    def close(self) -> None:
        self._syslog.close()


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode()


def _account() -> str:
    """The account that runs this program, by name where it has one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
