"""One run of `serve` or a fleet, as a process of its own: a request on standard input, the result on its output."""

from __future__ import annotations

import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from typing import Final

import click
from msgspec.structs import replace

from connector.apply.approval import (
    Review,
    SignedFile,
    find_approval_rules,
    require_no_hold,
)
from connector.apply.composition import BegunRun, RunOpening, open_run
from connector.apply.context import ApplyContext, PlanContext
from connector.apply.job_state import require_shared
from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.cli.advice import Exit, code_of, find_advice
from connector.cli.observers import configure_log, make_observers
from connector.cli.output import command_line
from connector.cli.running import exit_code
from connector.cli.signals import stopped_by_signals
from connector.errors import (
    ConnectorError,
    RefusedBindError,
    RefusedError,
    StateError,
    UnapprovedError,
)
from connector.model import Outcome, Plan
from connector.observers.notices import make_apply_command
from connector.observers.observer import Observers
from connector.observers.run_summary import describe_impersonally
from connector.planfile import document_of, load_octets, save_plan
from connector.runtime.log import log
from connector.runtime.stopping import StopRequest
from connector.serve.report_folder import RunReport, keep_report
from connector.serve.report_pages import ReportedRun
from connector.serve.run_process import (
    GRACE,
    REPEATED,
    FleetRun,
    RunRequest,
    RunResult,
    decode_message,
    encode_message,
)
from connector.settings import job as jobs
from connector.settings.textfile import shared_texts
from connector.state.history import Attempt, RunRecord
from connector.state.notes import Ticks

SCHEDULE: Final = "serve"
"""Under this name the state has the last plan of the schedule, apart from those that people
draw."""


@click.command("worker", hidden=True)
def worker_command() -> int:
    """Run what `serve` or a fleet asks for on standard input."""
    request = decode_message(sys.stdin.buffer.read(), RunRequest)
    configure_log()
    with shared_texts(dict(request.texts)), stopped_by_signals(once=True) as stop:
        kind = ScheduledRun if request.fleet is None else FleetStep
        run: WorkerRun = kind(request, stop)
        try:
            return run.execute_run()
        except ConnectorError as fault:
            return run.note_fault(fault)
        except KeyboardInterrupt:
            run.result.stopped = True
            raise
        finally:
            if stop.why is not None and not run.is_good:
                run.result.stopped = True
            sys.stdout.buffer.write(encode_message(run.result))
            sys.stdout.buffer.flush()
            run.keep_report()


class WorkerRun(ABC):
    """A run on its way, and its result as far as it is known."""

    def __init__(self, request: RunRequest, stop: StopRequest) -> None:
        self.request = request
        self.fleet = request.fleet or FleetRun("plan")
        self.stop = stop
        self.result = RunResult()
        self.kind = request.kind
        self.shown = ShownReport()
        self.run_id: str | None = None
        """Its id, where that is not of the plan that it draws."""
        self.has_more_to_do = False
        """Whether its tick is not over when the run ends well."""
        self.is_good = False

    @abstractmethod
    def execute_run(self) -> int:
        """Do what is asked for; the exit code."""

    def make_observers(self, begun: BegunRun) -> Observers:
        """The observers of the run."""
        return make_observers(
            begun,
            self.kind,
            run=self.run_id,
            stop=self.stop,
            take=partial(setattr, self.result, "summary"),
            woken_by=self.request.woken_by,
        )

    def note_end(self, context: PlanContext, plan: Plan | None, code: Exit) -> int:
        """Tell the observers that the run has come to its end; its exit code."""
        context.observer.end_run(plan, code)
        self.is_good = code == Exit.DONE
        return code

    def note_fault(self, fault: ConnectorError) -> int:
        """Note that a fault has ended the run; its exit code."""
        code = code_of(fault)
        self.result.code = find_advice(fault).code
        self.result.refused = isinstance(fault, RefusedBindError)
        if self.result.summary is None:  # its files were wrong: it had no observer
            self.result.summary = self.request.summarize_failure(
                code, str(fault), describe_impersonally(fault)
            )
        return code

    def keep_report(self) -> None:
        """Keep the report of the run, where the job names a folder for it."""
        folder, summary = self.request.reports, self.result.summary
        # a run that found its directory held is none
        if folder is None or summary is None or summary.ending == "busy":
            return
        job, waiting, shown = self.request.job, self.result.waiting, self.shown
        words, waits = ["apply", str(job)], ""
        if waiting is not None:
            words.append(f"--plan={waiting}")
            waits = make_apply_command(summary.plan, job, waiting)
        report = None
        has_ended_well = not summary.fault or shown.outcomes is not None
        if shown.plan is not None and has_ended_well:
            report = RunReport(shown.plan, shown.outcomes, command_line(*words))
        keep_report(folder, ReportedRun.of_summary(summary, waits), report)

    @contextmanager
    def take_turn(self, context: PlanContext) -> Iterator[bool]:
        """Hold the job's turn, and note how far its tick came; False: another process had run it."""
        if not context.state.kept:
            yield True
            return
        ticks = context.state.ticks(context.job)
        if self.fleet.manual or self.request.woken_by:
            # a run by hand, or between two ticks, has none; an earlier attempt may go on alone
            with ticks.hold_turn():
                yield True
            return
        with ticks.begin_turn(self.request.tick, self.request.believed) as is_ours:
            if is_ours:
                with self.note_tick(ticks):
                    yield True
                return
            last = ticks.read_last()
            self.result.taken = True
            good = last.good if last is not None else None
            # a later run that ended well has done what this one was to do
            self.result.good = good is not None and good >= self.request.tick
            yield False

    @contextmanager
    def note_tick(self, ticks: Ticks) -> Iterator[None]:
        """Note that the tick is over, at the end of its run.

        A run that was told to stop, or that another attempt may mend, has not come to its end.
        """
        try:
            yield
        except Exception as fault:
            if code_of(fault) not in REPEATED or isinstance(fault, RefusedBindError):
                with suppress(StateError):
                    ticks.note_end(self.request.tick, good=False)
            raise
        # a good run that was asked to stop had done all
        was_cut = self.stop.why is not None and not self.is_good
        if not self.has_more_to_do and not was_cut:
            ticks.note_end(self.request.tick, good=self.is_good)


class ShownReport:
    """What others are shown on standard output: here it is kept for reports."""

    plan: Plan | None = None
    outcomes: Sequence[Outcome] | None = None

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        self.plan, self.outcomes = plan, outcomes


class ScheduledRun(WorkerRun):
    """A run of `serve`, whose plan waits in a file."""

    def execute_run(self) -> int:
        kind: type[PlanContext] = PlanContext
        attempt = None
        if self.request.kind == "apply":
            by = "hook" if self.request.woken_by == "hook" else "serve"
            kind, attempt = ApplyContext, Attempt(by=by)
        opening = RunOpening(
            everybody=True, attempt=attempt, plan_id=self.request.run_id
        )
        opened = open_run(kind, self.request.job, self.make_observers, opening)
        with opened as context, self.take_turn(context) as is_ours:
            if not is_ours:
                return Exit.DONE
            before = partial(context.state.drawn.find_unwritten, context.job, SCHEDULE)
            if isinstance(context, ApplyContext):
                run = apply_run(
                    context, self.shown, stop=self.stop, before=before, by=SCHEDULE
                )
            else:
                run = dry_run(context, self.shown, before=before, by=SCHEDULE)
            self._save_plan(context, run)
            return self.note_end(context, run.plan, exit_code(run))

    def _save_plan(self, context: PlanContext, run: FinishedRun) -> None:
        """Save a plan that may not be applied, or must not be by us, for somebody; one that waited before goes.

        If it is the same as the one that waits already, that one stays: it may be under review.
        """
        path = self.request.plans / f"{context.job}.plan.json"
        if not run.plan.changes or run.outcomes is not None:
            path.unlink(missing_ok=True)
            return
        self.result.waiting = path
        identity = context.reader.describe().identity
        with suppress(ConnectorError):  # there is none, or it is spent
            saved, octets = load_octets(path)
            context.state.permit_plan(saved, context.job, identity, octets=octets)
            if saved.digest == run.plan.digest:
                return
        context.state.keep_saved_plan(run.plan, identity)
        save_plan(path, run.plan)


class FleetStep(WorkerRun):
    """A step of a fleet's run: draw the plan, which the state keeps, or apply the plan that it has kept."""

    def execute_run(self) -> int:
        if self.fleet.seconds:
            end_process_after(self.fleet.seconds + GRACE)
        require_shared(jobs.load_job(self.request.job))
        return self._apply_plan() if self.fleet.step == "apply" else self._draw_plan()

    # ------------------------------------------------------------ plan

    def _draw_plan(self) -> int:
        may_write = self.request.kind == "apply"
        attempt = Attempt(by="fleet") if may_write else None
        opening = RunOpening(everybody=True, attempt=attempt)
        job = self.request.job
        opened = open_run(PlanContext, job, self.make_observers, opening)
        with opened as context, self.take_turn(context) as is_ours:
            if not is_ours:
                return Exit.DONE
            if may_write:
                # else people would be asked about a plan that no apply may write
                require_no_hold(context.state, context.job)
            before = partial(context.state.drawn.find_unwritten, context.job, SCHEDULE)
            run = dry_run(context, self.shown, before=before, by=SCHEDULE)
            self.result.plan = self._keep_plan(context, run.plan)
            self.has_more_to_do = bool(self.result.plan)
            return self.note_end(context, run.plan, exit_code(run))

    def _keep_plan(self, context: PlanContext, plan: Plan) -> str:
        """Keep the plan as the one of its job that waits; its id. Without changes and refusals none does.

        If the same waits already, that one stays: it may be under review.
        """
        documents = context.state.documents
        if not plan.changes and not plan.refusals:
            documents.withdraw_plan(context.job)
            return ""
        identity = context.reader.describe().identity
        missing = find_approval_rules(context).explain_missing(plan)
        self.result.approval = bool(missing)
        kept = documents.find_waiting(context.job)
        if kept is not None and kept.digest == plan.digest:
            with suppress(RefusedError, StateError):
                context.state.permit_plan(
                    documents.read_plan(kept), context.job, identity, octets=kept.octets
                )
                return kept.id
        octets = document_of(plan)
        context.state.keep_saved_plan(plan, identity)
        documents.keep_document("plan", plan, octets)
        return plan.id

    # ------------------------------------------------------------ apply

    def _apply_plan(self) -> int:
        self.result.plan = self.run_id = self.fleet.plan
        self.kind = "apply"  # also of a job whose schedule only plans
        attempt = Attempt(plan=self.fleet.plan, by="fleet")
        opening = RunOpening(everybody=True, attempt=attempt)
        job = self.request.job
        opened = open_run(ApplyContext, job, self.make_observers, opening)
        with opened as context:
            ticks = context.state.ticks(context.job)
            with nullcontext() if self.fleet.manual else self.note_tick(ticks):
                earlier = self._find_earlier(context)
                if earlier is not None:
                    return self._answer_again(context, earlier)
                return self._write_plan(context)

    def _find_earlier(self, context: ApplyContext) -> RunRecord | None:
        """The run that has applied the plan already."""
        return context.state.history.find_run_that_spent(context.job, self.fleet.plan)

    def _write_plan(self, context: ApplyContext) -> int:
        documents = context.state.documents
        found = documents.find_document(context.job, self.fleet.plan)
        if found is None:
            raise RefusedError(
                "no plan of this id is kept: a newer one superseded it, or somebody withdrew it. Run the job again",
                where=self.fleet.plan,
            )
        plan = documents.read_plan(found)
        signatures = self.fleet.signatures
        is_accepted = self.fleet.accept and not signatures
        try:
            run = apply_run(
                context,
                self.shown,
                accept=plan.digest if is_accepted else None,
                review=Review(plan, SignedFile(found.octets, signatures)),
                stop=self.stop,
            )
        except RefusedError as fault:
            # perhaps an earlier attempt went on, and ended while this one began
            earlier = self._find_earlier(context)
            if earlier is None:
                self.result.approval = isinstance(fault, UnapprovedError)
                raise
            return self._answer_again(context, earlier)
        if run.outcomes is not None:
            try:
                # unless another apply may go on with the plan
                self.result.spent = self._find_earlier(context) is not None
                if self.result.spent:
                    octets = document_of(self.shown.plan or plan, self.shown.outcomes)
                    documents.keep_document("report", plan, octets)
            except StateError as fault:  # all is written all the same
                log.warning(
                    "report not kept", job=context.job, run=plan.id, reason=str(fault)
                )
        return self.note_end(context, run.plan, exit_code(run))

    def _answer_again(self, context: ApplyContext, earlier: RunRecord) -> int:
        """Answer what the apply of the plan came to, by an attempt of whose end nobody was told."""
        self.result.spent = True
        found = context.state.documents.find_document(context.job, self.fleet.plan)
        plan = context.state.documents.read_plan(found) if found else None
        is_done = earlier.result == "done"
        code = self.note_end(context, plan, Exit.DONE if is_done else Exit.IN_PART)
        started = datetime.fromisoformat(earlier.started)
        ended = datetime.fromisoformat(earlier.ended or earlier.started)
        summary = self.result.summary
        assert summary is not None
        self.result.summary = replace(
            summary,
            started=started.timestamp(),
            seconds=(ended - started).total_seconds(),
            plan=replace(summary.plan, digest=earlier.digest, counts=earlier.summary),
            outcomes=earlier.outcomes,
        )
        return code


def end_process_after(seconds: float) -> None:
    """End this process after so long, in good order, and soon after that where it does not."""
    for number, later in ((signal.SIGTERM, 0.0), (signal.SIGKILL, GRACE)):
        timer = threading.Timer(seconds + later, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
