"""Who is told of a run at the command line: the log, progress where somebody looks on, and what the job names.

The log goes to a file, to standard error, or, at a terminal, nowhere but for plain warnings.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter
from structlog.typing import EventDict, Processor

from connector.apply.composition import BegunRun
from connector.cli.advice import Exit, code_of, code_of_ending, find_advice
from connector.cli.service_lines import ServiceLines
from connector.cli.terminal import has_colour, wrap_text
from connector.errors import ConnectorError, FileError, OutputError, UsageError
from connector.model import (
    Change,
    Fingerprint,
    Outcome,
    Plan,
    Result,
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
from connector.reports.visible import clean_texts
from connector.runtime.log import add_run_details, log, run_details
from connector.runtime.stopping import StopRequest
from connector.settings.job import LoadedJob
from connector.state.audit_lines import AuditLines

if TYPE_CHECKING:
    from connector.observers.audit import AuditObserver
    from connector.settings.operations import Audit

_SHORT: Final = 16
"""Hexadecimal digits of a hash: two users of a million are hardly the same."""


_REPORTED_EVENTS: Final = {"outcome", "finished"}
"""Events that the report of a run tells as well."""
_REPORTED_KEYS: Final = ("level", "timestamp", "run", "job", "digest")
"""Keys that say nothing to somebody who is at the terminal of the run."""
_LONGEST_LINE: Final = 1 << 20


class LogFile:
    """A file that lines are appended to. If that fails, standard error says so once, and the run goes on."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where the file holds something else than a log, and OutputError where it cannot be opened.

        A name that is mistyped must not add lines to a directory, a mapping or a plan.
        """
        try:
            if path.is_file() and not _is_log(path):
                raise UsageError(
                    "this file is no log. Name another file", where=str(path)
                )
            # a pipe that is also read by its writer does not wait for another reader
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            self._file = os.open(path, flags, 0o666)
        except OSError as fault:
            raise OutputError(
                f"cannot be opened: {fault.strerror}", where=str(path)
            ) from None
        self.path = path
        self._lost = False

    def write(self, text: str) -> None:
        try:
            os.write(self._file, text.encode("utf-8", "backslashreplace"))
        except OSError as fault:
            if not self._lost:
                self._lost = True
                with suppress(OSError):
                    sys.stderr.write(
                        f"Warning: the log is incomplete: {self.path}: {fault.strerror}\n"
                    )

    def flush(self) -> None:
        """Each piece is written at once."""


def _is_log(path: Path) -> bool:
    """Whether a file is empty, or begins with a line of a log."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        first = json.loads(line) if line else {"event": ""}
    except ValueError:
        return False
    return isinstance(first, dict) and "event" in first


class TerminalOutput:
    """Standard error at a terminal: lines are broken between words, above a bar that moves."""

    def write(self, text: str) -> None:
        sys.stderr.write(wrap_text(text, sys.stderr))

    def flush(self) -> None:
        sys.stderr.flush()


_files: list[LogFile] = []


def log_to_file(path: Path) -> None:
    """From now on let the log go to this file, as JSON. Raises UsageError and OutputError."""
    _files[:] = [LogFile(path)]


def wanted_level() -> str | None:
    """The level of `--log-level`, which the command line keeps for all commands."""
    level: str | None = click.get_current_context().obj
    return level


def is_quiet() -> bool:
    """Whether there is to be no log: somebody is at a terminal, and asked for none."""
    return wanted_level() is None and not _files and sys.stderr.isatty()


def configure_log(lines: Processor | None = None) -> None:
    """Let the log go to its place: as JSON, but at a terminal, where without a level only warnings come.

    `lines`: makes what comes there in place of warnings.
    """
    output: Any = _files[0] if _files else sys.stderr
    rendering: list[Processor] = [structlog.processors.JSONRenderer()]
    default = "info"
    if is_quiet():
        default = "info" if lines else "warning"
        output = TerminalOutput()
        rendering = [lines] if lines else [render_warning]
    elif sys.stderr.isatty() and not _files:
        rendering = [ConsoleRenderer(colors=has_colour(sys.stderr))]
    structlog.configure(
        processors=[
            add_run_details,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            make_visible,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(wanted_level() or default),
        logger_factory=structlog.WriteLoggerFactory(output),
    )


def configure_service() -> list[str]:
    """The same for a process that lives for months; the options by which the processes that it starts log likewise.

    At a terminal it tells in lines what it does.
    """
    level = wanted_level()
    configure_log(ServiceLines(render_warning))
    options = [f"--log-level={level}"] if level else []
    return options + [f"--log-file={file.path}" for file in _files]


def make_visible(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Name characters that a terminal would obey, whoever reads the log with whatever."""
    visible: EventDict = clean_texts(event)
    return visible


def render_warning(logger: object, method: str, event: EventDict) -> str:
    """`Warning: notice not sent way=mail reason=…`, without what the report of the run tells as well."""
    if event["event"] in _REPORTED_EVENTS:
        raise structlog.DropEvent
    left = {key: event[key] for key in event if key not in _REPORTED_KEYS}
    warning = KeyValueColumnFormatter(None, "", "", str, prefix="Warning: ")
    detail = KeyValueColumnFormatter("", "", "", str)
    render = ConsoleRenderer(columns=[Column("event", warning), Column("", detail)])
    return render(logger, method, left)


# ---------------------------------------------------------------- observers


class LogObserver(Observer):
    """Stages and outcomes as structured events.

    Whatever else is logged during the run, by an adapter for instance, carries the job, the
    run and the digest too. An event of level info names nobody: a user is a short keyed
    hash there. `hashed`: so are they at every level, and words that could name somebody are
    left out. `tells_faults`: whether a fault that ends the run is logged here.
    """

    def __init__(
        self, job: str, run: str, *, hashed: bool = False, tells_faults: bool = True
    ) -> None:
        self._hashed = hashed
        self._tells_faults = tells_faults
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
            **plan.summary.counts,
        )

    def note_outcome(
        self, change: Change, outcome: Outcome, run: str | None = None
    ) -> None:
        person = None
        if self._fingerprint is not None:
            # the same for a user in each run of the job, and without its key nobody's
            fingerprint = self._fingerprint(change.user, "", change.user.id)
            person = fingerprint.partition(":")[2][:_SHORT]
        details: dict[str, object] = {
            "result": outcome.result.value,
            "attributes": [each.name for each in change.attributes],
            "person": person,
        }
        if run:
            details["run"] = run
        if outcome.result is Result.WRITTEN or outcome.aside:
            log.info("outcome", **details)
            return
        if not self._hashed:
            details |= {"user": change.user.name, "why": outcome.why}
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
        elif not self._tells_faults:
            return
        elif isinstance(fault, KeyboardInterrupt):
            log.warning("finished", reason=STOPPED)
        else:
            # of any other kind than ours it could repeat a secret
            reason = str(fault) if isinstance(fault, ConnectorError) else None
            if reason and self._hashed:
                reason = describe_impersonally(fault)
            log.error(
                "finished",
                fault=type(fault).__name__,
                reason=reason,
                code=find_advice(fault).code,
            )


def make_observers(
    begun: BegunRun,
    kind: Kind | None = None,
    *,
    run: str | None = None,
    stop: StopRequest | None = None,
    take: Callable[[RunSummary], None] | None = None,
    woken_by: str = "",
) -> Observers:
    """All observers of a run: the log; progress where standard error is a terminal; whatever its job names.

    `kind`: what kind of run it is, where it counts as one. `run`: the id that it is known by, where that is not the one
    of the plan that will be made. `take` is handed the summary of the run, in place of what
    its job names for them; whoever takes it tells of a fault, and nobody looks on. `woken_by`: what
    has begun the run between two ticks.
    """
    name, settings = begun.job.name, begun.job.job
    run = run or begun.plan_id
    configure_log()
    found: list[Observer] = []
    if not is_quiet():
        is_hashed = begun.job.hashes_people
        tells = take is None
        found.append(LogObserver(name, run, hashed=is_hashed, tells_faults=tells))
    for path, why, mode in open_to_others(begun.job):
        log.warning(why, path=str(path), fix=f"chmod {mode} {shlex.quote(str(path))}")
    if sys.stderr.isatty() and take is None:
        from connector.cli.progress import ProgressObserver

        found.append(ProgressObserver())
    if settings.audit is not None and stop is not None:
        found.append(make_auditor(begun.job, settings.audit, run, stop, woken_by))
    if kind is not None:
        takers = _find_takers(begun.job, take)
        found += [SummaryObserver(name, run, kind, each, code_of) for each in takers]
    return Observers(found)


def make_auditor(
    job: LoadedJob, settings: Audit, run: str, stop: StopRequest, woken_by: str = ""
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
        code=lambda ending: Exit.REFUSED if ending is None else code_of_ending(ending),
        woken_by=woken_by,
    )


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
