"""Observers of the command line: the log, progress where somebody looks on, and what the job names."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import asdict

from connector.apply.composition import BegunRun
from connector.cli.advice import Exit, code_of, code_of_ending
from connector.cli.logs import configure_log, is_quiet
from connector.errors import ConnectorError, FileError
from connector.model import (
    Change,
    Fingerprint,
    Outcome,
    Plan,
    Result,
    RunEnding,
    UserRef,
)
from connector.net.secret_stores import open_to_others
from connector.observers.observer import Observer, Observers
from connector.observers.run_summary import (
    STOPPED,
    Kind,
    RunSummary,
    SummaryObserver,
    describe_impersonally,
)
from connector.runtime.log import log, run_details
from connector.runtime.stopping import StopRequest
from connector.settings.job import LoadedJob
from connector.state.audit_lines import AuditLines

if TYPE_CHECKING:
    from connector.observers.audit import AuditObserver
    from connector.settings.operations import Audit

_SHORT: Final = 16
"""Hexadecimal digits of a hash: two users of a million are hardly the same."""


class LogObserver(Observer):
    """Stages and outcomes as structured events.

    Whatever else is logged during the run, by an adapter for instance, carries the job, the
    run and the digest too. An event of level info names nobody: a user is a short keyed
    hash there. `hashed`: so are they at every level, and words that could name somebody are
    left out.
    """

    def __init__(self, job: str, run: str, *, hashed: bool = False) -> None:
        self._hashed = hashed
        self._fingerprint: Fingerprint | None = None
        run_details.clear()
        run_details.update(job=job, run=run)

    def open_directory(
        self, directory: str, fingerprint: Fingerprint, audit: AuditLines
    ) -> None:
        self._fingerprint = fingerprint

    def begin_stage(self, name: str, **details: object) -> None:
        log.info(name, **details)

    def take_plan(self, plan: Plan) -> None:
        run_details["digest"] = plan.digest
        log.info(
            "planned",
            refused=[refusal.limit for refusal in plan.refusals],
            **asdict(plan.summary),
        )

    def note_outcome(
        self, change: Change, outcome: Outcome, run: str | None = None
    ) -> None:
        fine = outcome.result is Result.WRITTEN or outcome.aside
        details: dict[str, object] = {
            "result": outcome.result.value,
            "attributes": [each.name for each in change.attributes],
            "person": self._hash_person(change.user),
        }
        if run:
            details["run"] = run
        if fine:
            log.info("outcome", **details)
            return
        if not self._hashed:
            details["user"] = change.user.name
            if outcome.why:
                details["why"] = outcome.why
        log.warning("outcome", **details)

    def end_run(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        if fault is None:
            code = None if exit_code is None else int(exit_code)
            log.info("finished", exit_code=code)
        elif isinstance(fault, KeyboardInterrupt):
            log.warning("finished", reason=STOPPED)
        else:
            reason = None  # of any other kind it could repeat a secret
            if isinstance(fault, ConnectorError):
                reason = describe_impersonally(fault) if self._hashed else str(fault)
            log.error("finished", fault=type(fault).__name__, reason=reason)

    def _hash_person(self, user: UserRef) -> str | None:
        """The same for a user in each run of the job, and without its key nobody's."""
        if self._fingerprint is None:
            return None
        return self._fingerprint(user, "", user.id).partition(":")[2][:_SHORT]


def make_observers(
    begun: BegunRun,
    kind: Kind | None = None,
    *,
    run: str | None = None,
    stop: StopRequest | None = None,
    take: Callable[[RunSummary], None] | None = None,
) -> Observers:
    """All observers of a run: the log; progress where standard error is a terminal; whatever its job names.

    `kind`: what kind of run it is, where it counts as one. `run`: the id that it is known by, where that is not the one
    of the plan that will be made. `take` is handed the summary of the run, in place of what
    its job names for them.
    """
    name, settings = begun.job.name, begun.job.job
    run = run or begun.plan_id
    configure_log()
    found: list[Observer] = []
    if not is_quiet():
        is_hashed = settings.log is not None and settings.log.people == "hashed"
        found.append(LogObserver(name, run, hashed=is_hashed))
    for path, why, mode in open_to_others(begun.job):
        log.warning(why, path=str(path), fix=f"chmod {mode} {shlex.quote(str(path))}")
    if sys.stderr.isatty():
        from connector.cli.progress import ProgressObserver

        found.append(ProgressObserver())
    if settings.audit is not None and stop is not None:
        found.append(make_auditor(begun.job, settings.audit, run, stop))
    if kind is not None:
        takers = _find_takers(begun.job, take)
        found += [SummaryObserver(name, run, kind, each, code_of) for each in takers]
    return Observers(found)


def make_auditor(
    job: LoadedJob, settings: Audit, run: str, stop: StopRequest
) -> AuditObserver:
    """Whoever keeps the audit of a job."""
    from connector.observers.audit import AuditObserver

    bound = job.job.directory.bind_dn if job.job.directory.type == "ldap" else None
    return AuditObserver(
        settings,
        job=job.name,
        run=run,
        bound=bound,
        stop=stop.end_run,
        code=_code_of_end,
    )


def _code_of_end(ending: RunEnding | None) -> int:
    return Exit.REFUSED if ending is None else code_of_ending(ending)


def _find_takers(
    job: LoadedJob, take: Callable[[RunSummary], None] | None
) -> Iterator[Callable[[RunSummary], None]]:
    """Who is handed the summary of a run. Raises FileError where the extra that traces need is not installed."""
    settings = job.job
    if take is not None:
        yield take
    elif settings.metrics is not None:
        from connector.observers.export import export_run

        yield partial(export_run, settings.metrics)
    if take is None and settings.notify is not None:
        from connector.observers.notify import notify_of_run

        yield partial(notify_of_run, job)
    if settings.traces is not None:
        try:
            from connector.observers.opentelemetry import send_trace
        except ImportError as fault:
            why = "traces need OpenTelemetry: install the extra with `pip install 'cec-connector[otel]'`"
            raise FileError(
                f"{why} ({fault.name} is missing)", where=job.where("traces")
            ) from None
        yield send_trace
