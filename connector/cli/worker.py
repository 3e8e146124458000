"""One run of `serve`, as a process of its own: a request on standard input, the result on its output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

import click
import msgspec

from connector.cli.advice import code_of
from connector.cli.logs import configure
from connector.cli.observers import observers
from connector.cli.running import exit_code
from connector.cli.signals import stopped_by_signals
from connector.errors import ConnectorError, RefusedBindError, StateError
from connector.observers.observer import Observers
from connector.observers.run_summary import RunSummary, impersonal
from connector.planfile import load, save
from connector.run.composition import Begun, apply_context, plan_context
from connector.run.context import ApplyContext, PlanContext
from connector.runtime.stopping import Stop
from connector.scheduler.worker_protocol import REPEATED, Result, RunRequest, nothing_told
from connector.settings.textfile import given
from connector.sync import Run, apply_run, dry_run

SERVE: Final = "serve"
"""Under this name the state has the last plan of the schedule, apart from those that people draw."""


@click.command(hidden=True)
@click.pass_obj
def command(log_level: str | None) -> int:
    """Run what `serve` asks for on standard input."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=RunRequest, dec_hook=lambda kind, value: kind(value))
    configure(log_level)
    summaries: list[RunSummary] = []
    run = _Scheduled(request)
    with given(request.texts), stopped_by_signals(once=True) as stop:
        try:
            code = run.run(log_level, summaries, stop)
        except ConnectorError as fault:
            code = code_of(fault)
            run.refused = isinstance(fault, RefusedBindError)
            if not summaries:  # its files were wrong, so that it had no observer
                import structlog

                structlog.get_logger().error("run failed", job=request.job.stem, reason=str(fault))
                summaries.append(nothing_told(request, code, str(fault), impersonal(fault)))
        finally:
            stopped = run.interrupted or (stop.why is not None and not run.good)
            result = Result(summaries[-1] if summaries else None, run.taken, run.waiting, stopped, run.refused)
            sys.stdout.buffer.write(msgspec.json.encode(result, enc_hook=str))
            sys.stdout.buffer.flush()
    return code


class _Scheduled:
    """A run on its way."""

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self.taken = self.interrupted = self.refused = self.good = False
        self.waiting: Path | None = None

    def run(self, log_level: str | None, summaries: list[RunSummary], stop: Stop) -> int:
        def observer(begun: Begun) -> Observers:
            return observers(begun, log_level, self._request.kind, stop=stop, take=summaries.append)

        job = self._request.job
        opened: AbstractContextManager[PlanContext] = (
            apply_context(job, observer, everybody=True)
            if self._request.kind == "apply"
            else plan_context(job, observer, everybody=True)
        )
        with opened as context, self._turn(context, stop) as mine:
            if not mine:
                return 0
            if isinstance(context, ApplyContext):
                run = apply_run(context, _silent, stop=stop)
            else:
                run = dry_run(context, _silent, before=context.state.drawn.last(context.job, SERVE), by=SERVE)
            self._leave(context, run)
            code = exit_code(run)
            context.observer.finished(run.plan, code)
            self.good = code == 0
            return code

    @contextmanager
    def _turn(self, context: PlanContext, stop: Stop) -> Iterator[bool]:
        """The job's turn, and a note of how far it came.

        A run that was told to stop, or that another attempt may mend, has not come to its end.
        """
        if not context.state.kept:
            yield True
            return
        ticks = context.state.ticks(context.job)
        with ticks.turn(self._request.tick, self._request.believed) as mine:
            if not mine:
                self.taken = True
                yield False
                return
            try:
                yield True
            except KeyboardInterrupt:
                self.interrupted = True
                raise
            except Exception as fault:
                if code_of(fault) not in REPEATED or isinstance(fault, RefusedBindError):
                    with suppress(StateError):
                        ticks.ended(self._request.tick, good=False)
                raise
            if stop.why is None or self.good:  # also one that was asked to stop, and had done all
                ticks.ended(self._request.tick, good=self.good)

    def _leave(self, context: PlanContext, run: Run) -> None:
        """A plan that may not be applied, or must not be by us, is saved for somebody; one that waited before is gone.

        If it is the same as the one that waits already, that one stays: it may be under review.
        """
        path = self._request.plans / f"{context.job}.plan.json"
        if not run.plan.changes or run.outcomes is not None:
            path.unlink(missing_ok=True)
            return
        self.waiting = path
        identity = context.reader.describe().identity
        with suppress(ConnectorError):  # what is there is none, or is spent
            waits = load(path)
            context.state.permit(waits, context.job, identity)
            if waits.digest == run.plan.digest:
                return
        context.state.keep(run.plan, identity)
        save(path, run.plan)


def _silent(plan: object, outcomes: object) -> None:
    """What others are shown on standard output is in the log, in the summary, and in the plan that waits."""
