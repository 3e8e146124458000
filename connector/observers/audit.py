"""The audit stream: who wrote what, when, from which values to which; apart from the log, one JSON object a line.

It is opened before anything is written, and a run whose stream breaks sends no further
write. Writes are told as the journal has them, each by its run and its number there; what a
sink was not told for certain is told before anything else by the next run, marked as late
(law 13). Secrets are told by their keyed fingerprints. Each record is linked to the one
before it (`chain.py`).
"""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import to_builtins

from connector.errors import OutputError, StateError
from connector.model import (
    Approval,
    AttributeChange,
    Change,
    Ending,
    Fingerprint,
    Noted,
    Outcome,
    Plan,
    Result,
)
from connector.observers.chain import Chained, linked
from connector.observers.observer import Observer
from connector.observers.sinks import File, Receiver, Record, Sink
from connector.observers.syslog import NOTICE, WARNING
from connector.reconcile.digests import is_secret, readable
from connector.reports.document import change_object
from connector.runtime.clock import stamp
from connector.runtime.log import log
from connector.settings.operations import Audit
from connector.state.telling import Owed, Telling

_FINE: Final = (Result.WRITTEN, Result.UNCHANGED)
Written = tuple[Record, int]
"""A record, and its severity."""
_AT_MOST: Final = 2000
"""So many outcomes are told before it is made sure that they are safe, and their marks are
moved."""


class AuditObserver(Observer):
    """Notes the begin of an apply or undo, each write, and the end. `bound`: the name that the directory knows us by.

    `stop` is called with a reason when the account of the run cannot be kept any longer. `code` of an ending is that of
    the process; None: the plan was refused. `late`: by where it is kept, how many writes
    were told late.
    """

    def __init__(
        self,
        settings: Audit,
        *,
        job: str,
        run: str,
        bound: str | None,
        stop: Callable[[str], None],
        code: Callable[[Ending | None], int],
    ) -> None:
        self._settings = settings
        self._code = code
        self._stop = stop
        self._job = readable(job)
        self._about = {"job": self._job, "run": run}
        self._who = {"user": _account(), "host": socket.gethostname(), "bound": bound}
        self._fingerprint: Fingerprint | None = None
        self._telling: Telling | None = None
        self._chains: list[Chained] = []
        self._all: list[Chained] = []
        self._plan: Plan | None = None
        self._told = 0
        self.late: dict[str, int] = {}

    def opens(self, directory: str, fingerprint: Fingerprint, telling: Telling) -> None:
        self._fingerprint, self._telling = fingerprint, telling
        self._about["directory"] = readable(directory)
        kinds = [
            kind
            for kind in ("file", "syslog")
            if getattr(self._settings, kind) is not None
        ]
        telling.begin(directory, kinds, json.dumps(self._who), self._tell, self._secure)
        if self._settings.file is not None:
            self._add(File(self._settings.file), telling)
        if self._settings.syslog is not None:
            self._add(Receiver(self._settings.syslog, self._settings.ca_file), telling)
        for chain in self._all:
            try:
                self._catch_up(chain, telling)
            except OSError as fault:
                why = f"the audit cannot be kept: writes of earlier runs cannot be sent: {_reason(fault)}"
                raise OutputError(why, where=chain.where) from None
        telling.flush()

    def _add(self, sink: Sink, telling: Telling) -> None:
        chain = Chained(sink, self._job, telling.begun[sink.kind])
        self._all.append(chain)
        self._chains.append(chain)

    def _catch_up(self, chain: Chained, telling: Telling) -> None:
        """Tell what this sink was not told for certain, but for what it is seen to hold."""
        owed = list(telling.owed(chain.kind))
        held = chain.holds({each.run for each in owed}) if owed else set()
        self.late[chain.where] = 0
        for each in owed:
            left = [
                noted
                for noted in each.outcomes
                if (noted.run, noted.number) not in held
            ]
            for start in range(0, len(left), _AT_MOST):
                _tell(
                    [
                        self._record(noted, late=True)
                        for noted in left[start : start + _AT_MOST]
                    ],
                    [chain],
                )
                chain.secure()
            if left:
                _tell([self._summary(each, len(left))], [chain])
            self.late[chain.where] += len(left)
        if owed:
            # its second chance: what a receiver that never closes was sent
            # twice counts as told
            chain.secure()
            for each in owed:
                telling.mark(chain.kind, each.run, each.last)
            chain.taken()
            telling.linked(chain.kind, chain.safe)
            log.info(
                "audit caught up", where=chain.where, writes=self.late[chain.where]
            )

    def planned(self, plan: Plan) -> None:
        self._plan = plan

    def stage(self, name: str, **details: object) -> None:
        if name == "apply" and self._plan is not None:
            counts = {
                "changes": details["changes"],
                "acknowledged": bool(details["accepted"]),
            }
            approvals = [to_builtins(each) for each in self._plan.approvals]
            self._note(
                "begin",
                plan=self._plan.digest,
                **counts,
                **({"approvals": approvals} if approvals else {}),
            )

    def released(self, why: str, approvals: Sequence[Approval]) -> None:
        """Note that a job which was on hold for this reason may be applied again, and who has approved that."""
        record: Record = {
            "time": stamp(),
            "event": "release",
            "job": self._job,
            "who": self._who,
        }
        signed = (
            {"approvals": [to_builtins(each) for each in approvals]}
            if approvals
            else {}
        )
        self._tell_all([(record | {"why": readable(why)} | signed, NOTICE)])

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        """Of what the journal has not noted as settled: a write that may have happened, and is told once it is."""
        lost = (
            self._telling is not None
            and self._telling.lost
            and outcome.result is not Result.SKIPPED
        )
        if outcome.open or lost:
            noted = Noted(run or self._about["run"], change, outcome)
            self._note("open", **self._written(noted))

    def closes(
        self,
        plan: Plan | None,
        ending: Ending | None,
        fault: BaseException | None = None,
    ) -> None:
        try:
            if plan is not None:
                refused = [refusal.limit for refusal in plan.refusals]
                self._note(
                    "end", plan=plan.digest, refused=refused, code=self._code(ending)
                )
            else:
                self._note("end", fault=type(fault).__name__)
        finally:
            self.close()

    def close(self) -> None:
        """Make sure of what was told, note how the chain ends, and let go of every sink. Never raises."""
        try:
            self._secure()
            if self._telling is not None:
                self._telling.end({chain.kind: chain.safe for chain in self._all})
        except StateError as fault:  # then it is told again
            log.warning("audit marks not kept", reason=str(fault))
        finally:
            for chain in self._all:
                chain.close()
            self._chains = []

    # ------------------------------------------------------------ records

    def _tell(self, found: Sequence[Noted]) -> None:
        """Tell what the journal has noted, and move the marks now and then."""
        self._tell_all([self._record(noted) for noted in found])
        self._told += len(found)
        if self._told >= _AT_MOST:
            self._secure()

    def _secure(self) -> None:
        """Move the marks up to what is safe."""
        self._told = 0

        def secure(chain: Chained) -> None:
            chain.secure()
            if self._telling is not None:
                self._telling.linked(chain.kind, chain.safe)
                for run, number in chain.taken():
                    self._telling.safe(chain.kind, run, number)

        self._to_all(secure)

    def _tell_all(self, records: Sequence[Written]) -> None:
        self._to_all(Chained.ready)
        lines = linked(records, self._chains)
        self._to_all(lambda chain: chain.tell(lines))

    def _to_all(self, act: Callable[[Chained], None]) -> None:
        """Act on every sink; one that breaks is let go of, and the run stops."""
        for chain in self._chains.copy():
            try:
                act(chain)
            except OSError as fault:
                self._chains.remove(chain)
                chain.close()
                why = _reason(fault)
                log.warning("audit broken", where=chain.where, reason=why)
                self._stop(f"the audit cannot be kept ({chain.where}: {why})")

    def _note(self, event: str, **said: object) -> None:
        """A record that has no number."""
        record = {
            "time": stamp(),
            "event": event,
            **self._about,
            "who": self._who,
            **said,
        }
        self._tell_all(
            [(record, WARNING if said.get("fault") or event == "open" else NOTICE)]
        )

    def _record(self, noted: Noted, *, late: bool = False) -> Written:
        """The record of a write."""
        head: Record = {
            "time": noted.time,
            "event": "write",
            "job": self._job,
            "run": noted.run,
        }
        head |= {"number": noted.number, "directory": readable(noted.directory)}
        head |= {"who": json.loads(noted.who) if noted.who else None} | (
            {"late": True} if late else {}
        )
        severity = NOTICE if noted.outcome.result in _FINE else WARNING
        return head | self._written(noted), severity

    def _written(self, noted: Noted) -> Record:
        change, outcome = noted.change, noted.outcome
        said: Record = change_object(change)
        for each, told in zip(change.attributes, said["attributes"], strict=True):
            if is_secret(each):
                told["was"] = self._was(change, each)
        part = {"part": change.part.value} if change.part else {}
        why = {"why": readable(outcome.why)} if outcome.why else {}
        return {"run": noted.run, **part, "result": outcome.result.value, **why, **said}

    def _summary(self, owed: Owed, writes: int) -> Written:
        """What is known of a run of which something was told late: its begin or end may be missing too."""
        record: Record = {
            "time": stamp(),
            "event": "late",
            "job": self._job,
            "run": owed.run,
            "who": self._who,
        }
        record |= {
            "plan": owed.digest,
            "started": owed.started,
            "ended": owed.ended,
            "result": owed.result,
        }
        return record | {"writes": writes}, WARNING

    def _was(self, change: Change, each: AttributeChange) -> list[str] | None:
        """The fingerprints of a secret's old values; None: they could not be read."""
        if not each.seen or self._fingerprint is None:
            return None
        return [self._fingerprint(change.user, each.name, value) for value in each.old]


def _tell(records: Sequence[Written], chains: Sequence[Chained]) -> None:
    """Link records to these chains, and tell them. Raises OSError."""
    for chain in chains:
        chain.ready()
    lines = linked(records, chains)
    for chain in chains:
        chain.tell(lines)


def _reason(fault: OSError) -> str:
    return fault.strerror or str(fault)


def _account() -> str:
    """The account that runs this program, by name where it has one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
