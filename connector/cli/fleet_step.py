"""One step of a fleet's run: draw the plan, which the state keeps, or apply the plan that it has kept."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from connector.cli.advice import Exit
from connector.cli.running import exit_code
from connector.cli.worker_run import SCHEDULE, WorkerRun, silent
from connector.errors import RefusedError, StateError, UnapprovedError
from connector.model import Outcome, Plan
from connector.planfile import document_of
from connector.run.approval import Signed, unapproved
from connector.run.composition import apply_context, plan_context
from connector.run.context import ApplyContext, PlanContext
from connector.run.permission import not_on_hold
from connector.run.waiting import require_shared
from connector.runtime.log import log
from connector.runtime.stopping import Stop
from connector.serve.scheduled_job import GRACE
from connector.serve.worker_protocol import FleetRun, Result, RunRequest
from connector.settings import job as jobs
from connector.state.attempts import Attempt
from connector.state.history import RunRecord
from connector.sync import apply_run, dry_run


class FleetStep(WorkerRun):
    """A step on its way; `plan`, `approval` and `spent` are those of its result."""

    def __init__(
        self, request: RunRequest, fleet: FleetRun, log_level: str | None, stop: Stop
    ) -> None:
        super().__init__(request, log_level, stop)
        self._fleet = fleet
        self.plan = ""
        self.approval = self.spent = False

    def run(self) -> int:
        if self._fleet.seconds:
            _bounded(self._fleet.seconds + GRACE)
        require_shared(jobs.load(self.request.job))
        return self._apply() if self._fleet.step == "apply" else self._draw()

    def result(self) -> Result:
        return replace(
            super().result(), plan=self.plan, approval=self.approval, spent=self.spent
        )

    # ------------------------------------------------------------ plan

    def _draw(self) -> int:
        writes = self.request.kind == "apply"
        opened = plan_context(
            self.request.job,
            self.observer,
            everybody=True,
            attempt=Attempt() if writes else None,
        )
        with (
            opened as context,
            self._by_hand(context)
            if self._fleet.manual
            else self.turn(context) as mine,
        ):
            if not mine:
                return Exit.DONE
            if (
                writes
            ):  # else people would be asked about a plan that no apply may write
                not_on_hold(context.state, context.job)
            run = dry_run(
                context,
                silent,
                before=partial(context.state.drawn.left, context.job, SCHEDULE),
                by=SCHEDULE,
            )
            self.plan = self._kept(context, run.plan)
            self.open = bool(self.plan)
            return self.finished(context, run.plan, exit_code(run))

    @contextmanager
    def _by_hand(self, context: PlanContext) -> Iterator[bool]:
        """The job's turn without a tick: an earlier attempt may go on alone."""
        with context.state.ticks(context.job).alone():
            yield True

    def _kept(self, context: PlanContext, plan: Plan) -> str:
        """Keep the plan as the one of its job that waits; its id. Without changes and refusals none does.

        If the same waits already, that one stays: it may be under review.
        """
        documents = context.state.documents
        if not plan.changes and not plan.refusals:
            documents.withdraw(context.job)
            return ""
        identity = context.reader.describe().identity
        self.approval = bool(unapproved(context, plan, identity))
        waits = documents.waiting(context.job)
        if waits is not None and waits.digest == plan.digest:
            with suppress(RefusedError, StateError):
                context.state.permit(
                    documents.read(waits), context.job, identity, octets=waits.octets
                )
                return waits.id
        octets = document_of(plan)
        context.state.keep(plan, identity, file=hashlib.sha256(octets).hexdigest())
        documents.keep(plan, octets)
        return plan.id

    # ------------------------------------------------------------ apply

    def _apply(self) -> int:
        self.plan = self.run_id = self._fleet.plan
        self.kind = "apply"  # also of a job whose schedule only plans
        with apply_context(
            self.request.job, self.observer, self.plan, everybody=True
        ) as context:
            ticks = context.state.ticks(context.job)
            with nullcontext() if self._fleet.manual else self.noted(ticks):
                earlier = context.state.history.spent(context.job, self.plan)
                return (
                    self._written(context)
                    if earlier is None
                    else self._answered(context, earlier)
                )

    def _written(self, context: ApplyContext) -> int:
        found = context.state.documents.named(context.job, self.plan)
        if found is None:
            why = "no plan of this id is kept: a newer one superseded it, or somebody withdrew it. Run the job again"
            raise RefusedError(why, where=self.plan)
        plan, report = context.state.documents.read(found), _Report()
        signed = Signed(found.octets, self._fleet.signatures)
        accept = (
            plan.digest if self._fleet.accept and not self._fleet.signatures else None
        )
        try:
            run = apply_run(
                context,
                report,
                accept=accept,
                reviewed=plan,
                signed=signed,
                stop=self.stop,
            )
        except RefusedError as fault:  # perhaps since an earlier attempt went on, and ended while this one began
            earlier = context.state.history.spent(context.job, self.plan)
            if earlier is None:
                self.approval = isinstance(fault, UnapprovedError)
                raise
            return self._answered(context, earlier)
        if run.outcomes is not None:
            self._keep(context, plan, report)
        return self.finished(context, run.plan, exit_code(run))

    def _keep(self, context: ApplyContext, plan: Plan, report: _Report) -> None:
        """Keep the report in place of the plan, unless another apply may go on with that."""
        try:
            self.spent = context.state.history.spent(context.job, plan.id) is not None
            if self.spent:
                context.state.documents.keep_report(plan, report.octets)
        except StateError as fault:  # all is written all the same
            log.warning(
                "report not kept", job=context.job, run=plan.id, reason=str(fault)
            )

    def _answered(self, context: ApplyContext, earlier: RunRecord) -> int:
        """What the apply of the plan came to, by an attempt of whose end nobody was told."""
        self.spent = True
        found = context.state.documents.named(context.job, self.plan)
        plan = context.state.documents.read(found) if found else None
        code = self.finished(
            context, plan, Exit.DONE if earlier.result == "done" else Exit.IN_PART
        )
        started, ended = map(
            datetime.fromisoformat, (earlier.started, earlier.ended or earlier.started)
        )
        self.summaries[-1] = replace(
            self.summaries[-1], started=started.timestamp(), seconds=(ended - started).total_seconds(),
            digest=earlier.digest, counts=earlier.summary, outcomes=earlier.outcomes,
        )  # fmt: skip
        return code


def _bounded(seconds: float) -> None:
    """End this process after so long, in good order, and soon after that where it does not."""
    for sign, later in ((signal.SIGTERM, 0.0), (signal.SIGKILL, GRACE)):
        timer = threading.Timer(seconds + later, os.kill, (os.getpid(), sign))
        timer.daemon = True
        timer.start()


class _Report:
    """The report of an apply, once there is one."""

    octets = b""

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        if outcomes is not None:
            self.octets = document_of(plan, outcomes)
