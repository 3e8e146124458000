"""The audit: who wrote what, when, from which values to which; apart from the log, one JSON object a line.

The state makes the lines, each with its number and the digest of the one before it, in the
transaction that notes what they tell (`state/audit_lines.py`). From there they are added to
a file, and deleted from the state once the disk has them. Without a file the state keeps
them. A run whose lines cannot be kept sends no further write. A syslog receiver is sent the
lines too, as far as it takes them: it may miss some, or get some twice.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Final

from connector.errors import OutputError, StateError
from connector.model import (
    Approval,
    Change,
    Fingerprint,
    Outcome,
    Plan,
    RunEnding,
)
from connector.model.digests import is_secret, make_readable
from connector.observers.audit_file import AuditFile
from connector.observers.observer import Observer
from connector.observers.syslog import Syslog
from connector.reports.document_shape import ChangeShape, make_encodable
from connector.runtime.account import name_account
from connector.runtime.clock import format_now
from connector.runtime.log import log
from connector.settings.operations import Audit
from connector.state.audit_lines import (
    AuditLine,
    AuditLines,
    Record,
    digest_line,
    read_place,
)

_UNSAFE_AT_MOST: Final = 2000
"""Lines that are added to the file before the disk has to have them."""
_AHEAD: Final = (
    "An older state was put back, or somebody added records, or a job of this name has another state too. Plans that "
    "were spent since are good again: delete them. Run `cec-connector audit verify --job JOB`"
)


class AuditObserver(Observer):
    """Notes the begin of an apply or undo, each write, and the end."""

    def __init__(
        self,
        settings: Audit,
        *,
        job: str,
        run: str,
        bound: str | None,
        stop: Callable[[str], None],
        code: Callable[[RunEnding | None], int],
        woken_by: str = "",
    ) -> None:
        """`bound`: the name that the directory knows us by. `stop`: ends the run, for this reason.

        `code`: the exit code of an ending; None: the plan was refused. `woken_by`: what has
        begun the run between two ticks of its schedule.
        """
        self._cause = {"woken_by": woken_by} if woken_by else {}
        self._settings = settings
        self._code = code
        self._stop = stop
        self._job = job
        self._run = run
        self._directory = ""
        self._who = {
            "user": name_account(),
            "host": socket.gethostname(),
            "bound": bound,
        }
        self._plan: Plan | None = None
        self._fingerprint: Fingerprint | None = None
        self._lines: AuditLines | None = None
        self._delivery: AuditDelivery | None = None
        self.late = 0
        """Records of earlier runs that the file lacked when this session began."""

    def open_directory(
        self, directory: str, fingerprint: Fingerprint, audit: AuditLines
    ) -> None:
        self._directory, self._fingerprint = make_readable(directory), fingerprint
        audit.begin_session(self._job, self)
        self._lines = audit
        self._delivery = AuditDelivery(self._settings, self._job, audit)
        self.late = self._delivery.catch_up()

    def take_plan(self, plan: Plan) -> None:
        self._plan = plan

    def begin_stage(self, name: str, **details: object) -> None:
        if name == "apply" and self._plan is not None:
            record = self._begin_record("begin") | self._cause
            record |= {
                "plan": self._plan.digest,
                "changes": details["changes"],
                "acknowledged": bool(details["accepted"]),
            }
            self._add_record(_add_approvals(record, self._plan.approvals))

    def note_release(self, why: str, approvals: Sequence[Approval]) -> None:
        """Note that a job which was on hold for this reason may be applied again, and who has approved that."""
        record: Record = {
            "time": format_now(),
            "event": "release",
            "job": make_readable(self._job),
            "who": self._who,
            "why": make_readable(why),
        }
        self._add_record(_add_approvals(record, approvals))

    def note_outcome(
        self, change: Change, outcome: Outcome, run: str | None = None
    ) -> None:
        """Note a write that may have happened; there is another record once the journal knows."""
        if outcome.is_open:
            self._add_record(self.make_write_record(run, change, outcome, "open"))

    def close_directory(
        self,
        plan: Plan | None,
        ending: RunEnding | None,
        fault: BaseException | None = None,
    ) -> None:
        record = self._begin_record("end") | self._cause
        if plan is None:
            record["fault"] = type(fault).__name__
        else:
            record["plan"] = plan.digest
            record["refused"] = [refusal.limit for refusal in plan.refusals]
            record["code"] = self._code(ending)
        try:
            self._add_record(record)
        finally:
            self.close()

    def close(self) -> None:
        """Make sure of what was delivered, and let go of file, receiver and lease. Never raises."""
        self.secure_lines()
        if self._lines is not None:
            self._lines.end_session()
            self._lines = None
        if self._delivery is not None:
            self._delivery.close()
            self._delivery = None

    # ------------------------------------------------------------ records

    def _begin_record(self, event: str, run: str | None = None) -> Record:
        """What each record of a run begins with."""
        return {
            "time": format_now(),
            "event": event,
            "job": make_readable(self._job),
            "run": run or self._run,
            "directory": self._directory,
            "who": self._who,
        }

    def make_write_record(
        self, run: str | None, change: Change, outcome: Outcome, event: str = "write"
    ) -> Record:
        record = self._begin_record(event, run)
        if change.part:
            record["part"] = change.part.value
        record["result"] = outcome.result.value
        if outcome.why:
            record["why"] = make_readable(outcome.why)
        described: dict[str, list[Record]] = make_encodable(ChangeShape.of(change))
        for each, said in zip(change.attributes, described["attributes"], strict=True):
            if is_secret(each):
                said["was"] = None
                if each.seen and self._fingerprint is not None:
                    name, mark = each.name, self._fingerprint
                    said["was"] = [mark(change.user, name, old) for old in each.old]
        return record | described

    # ------------------------------------------------------------ lines

    def _add_record(self, record: Record) -> None:
        """Make a line of a record that tells no outcome of the journal."""
        lines = self._lines
        if lines is not None:
            self._deliver_or_stop(lambda: lines.add_record(record))
            self.deliver_lines()

    def deliver_lines(self) -> None:
        if self._delivery is not None:
            self._deliver_or_stop(self._delivery.deliver_lines)

    def secure_lines(self) -> None:
        if self._delivery is not None:
            self._deliver_or_stop(self._delivery.secure_lines)

    def _deliver_or_stop(self, act: Callable[[], None]) -> None:
        """Do this; where it fails, the run stops, and nothing is delivered any more."""
        try:
            act()
        except StateError as fault:
            why = str(fault)
        except OSError as fault:
            why = f"{self._settings.file}: {_explain_fault(fault)}"
        else:
            return
        log.warning("audit broken", reason=why)
        if self._delivery is not None:
            self._delivery.close()
            self._delivery = None
        self._stop(f"the audit cannot be kept ({why})")


class AuditDelivery:
    """Takes the lines of a session from the state to the file and the receiver that the job names.

    Methods raise OSError where the file cannot be written, and StateError.
    """

    def __init__(self, settings: Audit, job: str, lines: AuditLines) -> None:
        """Raises OutputError where the file cannot be opened."""
        self._job = job
        self._lines = lines
        self._file = AuditFile(settings.file) if settings.file is not None else None
        self._receiver: Syslog | None = None
        if settings.syslog is not None:
            self._receiver = Syslog(settings.syslog, settings.ca_file)
        self._delivered: int | None = None
        """The number of the last line that was delivered; None: that has to be looked for."""
        self._secured = 0
        """The number of the last line that the disk has, and the state keeps no more."""

    def catch_up(self) -> int:
        """Deliver what earlier sessions have left; how many records that were. Raises OutputError."""
        try:
            if self._file is not None:
                self._compare_with_file(self._file)
            delivered = self._find_delivered()
            missing = self._lines.read_head(self._job).number - delivered
            self._delivered = delivered
            self.deliver_lines()
            self.secure_lines()
        except OSError as fault:
            why = f"the audit cannot be kept: writes of earlier runs cannot be sent: {_explain_fault(fault)}"
            where = self._file.where if self._file is not None else ""
            raise OutputError(why, where=where) from None
        if missing:
            log.info("audit caught up", records=missing)
        return missing

    def _compare_with_file(self, file: AuditFile) -> None:
        """See whether the file has records that the state does not know.

        A new state goes on from the file's last line. An older one goes on from its own, for
        `audit verify` to find.
        """
        found, head = file.find_last_line(self._job), self._lines.read_head(self._job)
        if found is None or found.number <= head.number:
            return
        if head.number == 0:
            self._lines.follow_file(found)
            return
        log.warning(
            "audit is ahead of the state",
            where=file.where,
            state=head.number,
            audit=found.number,
            fix=_AHEAD,
        )

    def _find_delivered(self) -> int:
        """The number of the last line that need not be delivered, by what the end of the file shows."""
        kept = next(self._lines.read_lines(self._job), [])
        if self._file is None or not kept:
            return self._lines.read_head(self._job).number
        first = read_place(kept[0].text)
        for text in self._file.read_backwards():
            if first is not None and f"sha256:{digest_line(text)}" == first.prev:
                break  # it has nothing of what came after
            place = read_place(text)
            if place is None:
                continue
            if self._lines.read_line(self._job, place.number) == text.decode(
                "ascii", "replace"
            ):
                return place.number
        return kept[0].number - 1

    def deliver_lines(self) -> None:
        """Add to the file what it lacks, and send the same to the receiver."""
        if self._delivered is None:
            self._delivered = self._find_delivered()
        for lines in self._lines.read_lines(self._job, self._delivered):
            self._delivered = None  # a signal may break off what follows
            if self._file is not None:
                self._file.append_lines([line.text for line in lines])
            self._send_lines(lines)
            self._delivered = lines[-1].number
            if self._delivered - self._secured >= _UNSAFE_AT_MOST:
                self.secure_lines()

    def _send_lines(self, lines: Sequence[AuditLine]) -> None:
        """Send lines to the receiver.

        It gets no more of this run once that fails, but for a record that no datagram holds.
        """
        for line in lines:
            if self._receiver is None:
                return
            try:
                self._receiver.send_line(line.text)
            except OSError as fault:
                log.warning(
                    "audit not sent to syslog",
                    where=self._receiver.where,
                    reason=_explain_fault(fault),
                    number=line.number,
                )
                if fault.errno != errno.EMSGSIZE:
                    self._receiver.close()
                    self._receiver = None

    def secure_lines(self) -> None:
        """See that the disk has what was delivered; then the state keeps it no more."""
        if self._file is None or self._delivered is None:
            return
        if self._delivered > self._secured:
            self._file.sync_to_disk()
            self._lines.delete_lines(self._delivered)
            self._secured = self._delivered

    def close(self) -> None:
        """Let go of file and receiver. Never raises."""
        if self._file is not None:
            self._file.close()
        if self._receiver is not None:
            self._receiver.close()


def _add_approvals(record: Record, approvals: Sequence[Approval]) -> Record:
    if approvals:
        record["approvals"] = make_encodable(list(approvals))
    return record


def _explain_fault(fault: OSError) -> str:
    return fault.strerror or str(fault)
