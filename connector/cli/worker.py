"""One run of `serve` or a fleet, as a process of its own: a request on standard input, the result on its output."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from connector.cli.logs import configure
from connector.cli.running import exit_code
from connector.cli.signals import stopped_by_signals
from connector.cli.worker_run import SCHEDULE, WorkerRun, silent
from connector.errors import ConnectorError
from connector.planfile import load_octets, save, sha256_of
from connector.run.composition import apply_context, plan_context
from connector.run.context import ApplyContext, PlanContext
from connector.runtime.stopping import Stop
from connector.serve.worker_protocol import Result, RunRequest
from connector.settings.textfile import given
from connector.sync import Run, apply_run, dry_run


@click.command(hidden=True)
@click.pass_obj
def command(log_level: str | None) -> int:
    """Run what `serve` or a fleet asks for on standard input."""
    request = msgspec.json.decode(
        sys.stdin.buffer.read(),
        type=RunRequest,
        dec_hook=lambda kind, value: kind(value),
    )
    configure(log_level)
    with given(request.texts), stopped_by_signals(once=True) as stop:
        run = _made(request, log_level, stop)
        try:
            return run.run()
        except ConnectorError as fault:
            return run.failed(fault)
        except KeyboardInterrupt:
            run.interrupted = True
            raise
        finally:
            sys.stdout.buffer.write(msgspec.json.encode(run.result(), enc_hook=str))
            sys.stdout.buffer.flush()


def _made(request: RunRequest, log_level: str | None, stop: Stop) -> WorkerRun:
    if request.fleet is None:
        return _Scheduled(request, log_level, stop)
    from connector.cli.fleet_step import FleetStep

    return FleetStep(request, request.fleet, log_level, stop)


class _Scheduled(WorkerRun):
    """A run of `serve`, whose plan waits in a file."""

    waiting: Path | None = None

    def run(self) -> int:
        job = self.request.job
        opened: AbstractContextManager[PlanContext] = (
            apply_context(job, self.observer, everybody=True)
            if self.request.kind == "apply"
            else plan_context(job, self.observer, everybody=True)
        )
        with opened as context, self.turn(context) as mine:
            if not mine:
                return 0
            before = partial(context.state.drawn.left, context.job, SCHEDULE)
            if isinstance(context, ApplyContext):
                run = apply_run(
                    context, silent, stop=self.stop, before=before, by=SCHEDULE
                )
            else:
                run = dry_run(context, silent, before=before, by=SCHEDULE)
            self._leave(context, run)
            return self.finished(context, run.plan, exit_code(run))

    def result(self) -> Result:
        return replace(super().result(), waiting=self.waiting)

    def _leave(self, context: PlanContext, run: Run) -> None:
        """A plan that may not be applied, or must not be by us, is saved for somebody; one that waited before is gone.

        If it is the same as the one that waits already, that one stays: it may be under review.
        """
        path = self.request.plans / f"{context.job}.plan.json"
        if not run.plan.changes or run.outcomes is not None:
            path.unlink(missing_ok=True)
            return
        self.waiting = path
        identity = context.reader.describe().identity
        with suppress(ConnectorError):  # what is there is none, or is spent
            waits, octets = load_octets(path)
            context.state.permit(waits, context.job, identity, octets=octets)
            if waits.digest == run.plan.digest:
                return
        context.state.keep(run.plan, identity, file=sha256_of(run.plan))
        save(path, run.plan)
