"""Observers of the command line: the log, progress where somebody looks on, and what the job names."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import asdict

from connector.cli.advice import code_of
from connector.cli.logs import configure, contextvars, is_quiet, logger
from connector.errors import ConnectorError, FileError
from connector.model import Change, Outcome, Plan, Result
from connector.net.secret_stores import open_to_others
from connector.observers.observer import Observer, Observers
from connector.observers.run_summary import Kind, RunSummary, SummaryObserver
from connector.run.composition import Begun
from connector.runtime.stopping import Stop
from connector.settings.job import LoadedJob
from connector.settings.operations import Audit

if TYPE_CHECKING:
    from connector.observers.audit import AuditObserver

OPEN: Final = "other users of this machine can read this secret file"


class LogObserver(Observer):
    """Stages and outcomes as structured events.

    Whatever else is logged during the run, by an adapter for instance, carries the job, the run and the digest too.
    """

    def __init__(self, job: str, run: str) -> None:
        contextvars.clear_contextvars()
        contextvars.bind_contextvars(job=job, run=run)
        self._log: Any = logger().bind()  # once, and not again for every user

    def stage(self, name: str, **details: object) -> None:
        self._log.info(name, **details)

    def planned(self, plan: Plan) -> None:
        contextvars.bind_contextvars(digest=plan.digest)
        self._log.info("planned", refused=[refusal.limit for refusal in plan.refusals], **asdict(plan.summary))

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        log = self._log.info if outcome.result is Result.WRITTEN else self._log.warning
        earlier = {"run": run} if run else {}
        why = {"why": outcome.why} if outcome.why else {}
        attributes = [each.name for each in change.attributes]
        log("outcome", user=change.user.name, result=outcome.result.value, attributes=attributes, **why, **earlier)

    def finished(self, plan: Plan | None, exit_code: int | None, fault: BaseException | None = None) -> None:
        if fault is None:
            self._log.info("finished", exit_code=None if exit_code is None else int(exit_code))
        else:
            reason = str(fault) if isinstance(fault, ConnectorError) else None  # else it could repeat a secret
            self._log.error("finished", fault=type(fault).__name__, reason=reason)


def observers(
    begun: Begun,
    level: str | None,
    kind: Kind | None = None,
    *,
    run: str | None = None,
    stop: Stop | None = None,
    take: Callable[[RunSummary], None] | None = None,
) -> Observers:
    """All observers of a run: the log; progress where standard error is a terminal; whatever its job names.

    `kind`: what kind of run it is, where it counts as one. `run`: the id that it is known by, where that is not the one
    of the plan that will be made. `take` is handed the summary of the run, in place of what its job names for them.
    """
    settings = begun.job.job
    run = run or begun.plan_id
    configure(level)
    told: list[Observer] = [] if is_quiet(level) else [LogObserver(begun.job.name, run)]
    for path in open_to_others(settings):
        logger().warning(OPEN, path=str(path), fix=f"chmod o-r,g-r {shlex.quote(str(path))}")
    if sys.stderr.isatty():
        from connector.cli.progress import ProgressObserver

        told.append(ProgressObserver())
    if settings.audit is not None and stop is not None:
        told.append(auditor(begun.job, settings.audit, run, stop))
    if kind is not None:
        takers = _takers(begun.job, take)
        told += [SummaryObserver(begun.job.name, run, kind, each, code_of) for each in takers]
    return Observers(told)


def auditor(job: LoadedJob, settings: Audit, run: str, stop: Stop) -> AuditObserver:
    """Whoever keeps the audit of a job."""
    from connector.observers.audit import AuditObserver

    bound = job.job.directory.bind_dn if job.job.directory.type == "ldap" else None
    return AuditObserver(settings, job=job.name, run=run, bound=bound, stop=stop.end)


def _takers(job: LoadedJob, take: Callable[[RunSummary], None] | None) -> Iterator[Callable[[RunSummary], None]]:
    """Who is handed the summary of a run. Raises FileError where the extra that traces need is not installed."""
    if take is not None:
        yield take
    if take is None and job.job.metrics is not None:
        from connector.observers.export import export

        yield partial(export, job.job.metrics)
    if take is None and job.job.notify is not None:
        from connector.observers.notify import tell

        yield partial(tell, job)
    if job.job.traces is not None:
        try:
            from connector.observers.opentelemetry import trace
        except ImportError as fault:
            why = "traces need OpenTelemetry: install the extra with `pip install 'cec-connector[otel]'`"
            raise FileError(f"{why} ({fault.name} is missing)", where=job.where("traces")) from None
        yield trace
