"""Watchers of the command line: a log on standard error, and progress where somebody looks on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from connector.model import Outcome, Plan, Result
from connector.watch import Watchers


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let what is imported in here take a module for not installed, unless it is loaded already.

    structlog loads all of rich for tracebacks in colour, which are half of its cost, and which JSON does not have.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # so says the import system: None there is "not found"
    try:
        yield
    finally:
        del sys.modules[module]


with nullcontext() if sys.stderr.isatty() else _without("rich"):  # before an adapter loads it
    import structlog


class LogWatch:
    """Stages and outcomes as structured events; JSON where standard error is no terminal."""

    def __init__(self, job: str, level: str | None) -> None:
        terminal = sys.stderr.isatty()
        level = level or ("warning" if terminal else "info")
        renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.UnicodeDecoder(),
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        self._log: Any = structlog.get_logger().bind(job=job)

    def stage(self, name: str, **facts: object) -> None:
        self._log.info(name, **facts)

    def outcome(self, outcome: Outcome) -> None:
        log = self._log.debug if outcome.result is Result.WRITTEN else self._log.warning
        log("outcome", user=outcome.user.name, result=outcome.result.value, why=outcome.why or None)

    def finished(self, plan: Plan | None, exit_code: int | None) -> None:
        facts = {"plan": plan.id, "digest": plan.digest} if plan else {}
        self._log.info("finished", exit_code=exit_code, **facts)


class ProgressWatch:
    """The stage at hand and how long it takes; for writing, a bar."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=None)

    def stage(self, name: str, **facts: object) -> None:
        if name == "show":
            self._progress.stop()
            return
        if name == "apply":
            self._progress.reset(self._task, total=float(str(facts["changes"])))
        self._progress.update(self._task, description=name)
        self._progress.start()
        self._progress.refresh()

    def outcome(self, outcome: Outcome) -> None:
        self._progress.advance(self._task)

    def finished(self, plan: Plan | None, exit_code: int | None) -> None:
        self._progress.stop()


def watchers(job: str, level: str | None) -> Watchers:
    """The log, and progress where standard error is a terminal."""
    log = LogWatch(job, level)
    return Watchers([log, ProgressWatch()] if sys.stderr.isatty() else [log])
