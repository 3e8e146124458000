"""What runs in a process of their own have in common: the schedule's turn, what became of its tick, and the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from connector.cli.advice import Exit, code_of
from connector.cli.observers import observers
from connector.errors import ConnectorError, RefusedBindError, StateError
from connector.model import Plan
from connector.observers.observer import Observers
from connector.observers.run_summary import RunSummary, impersonal
from connector.run.composition import Begun
from connector.run.context import PlanContext
from connector.runtime.log import log
from connector.runtime.stopping import Stop
from connector.serve.worker_protocol import (
    REPEATED,
    Result,
    RunRequest,
    nothing_told,
)
from connector.state.ticks import Ticks

SCHEDULE: Final = "serve"
"""Under this name the state has the last plan of the schedule, apart from those that people
draw."""


class WorkerRun(ABC):
    """A run on its way. `good`: it has come to a good end; `run_id`: its id, where that is not of the plan it draws.

    `open`: its tick is not over when it ends well: there is more to do. `interrupted`: it was ended before it wrote.
    """

    def __init__(self, request: RunRequest, log_level: str | None, stop: Stop) -> None:
        self.request = request
        self.kind = request.kind
        self.stop = stop
        self.summaries: list[RunSummary] = []
        self.good = self.open = self.interrupted = False
        self.run_id: str | None = None
        self._log_level = log_level
        self._taken = self._taken_good = self._refused = False

    @abstractmethod
    def run(self) -> int:
        """Do what is asked for; the exit code."""

    def observer(self, begun: Begun) -> Observers:
        """The observers of the run."""
        return observers(
            begun,
            self._log_level,
            self.kind,
            run=self.run_id,
            stop=self.stop,
            take=self.summaries.append,
        )

    def finished(self, context: PlanContext, plan: Plan | None, code: Exit) -> int:
        """The run has come to its end, with this exit code."""
        context.observer.finished(plan, code)
        self.good = code == Exit.DONE
        return code

    def failed(self, fault: ConnectorError) -> int:
        """It has ended by a fault; the exit code."""
        code = code_of(fault)
        self._refused = isinstance(fault, RefusedBindError)
        if not self.summaries:  # its files were wrong, so that it had no observer
            log.error("run failed", job=self.request.job.stem, reason=str(fault))
            self.summaries.append(
                nothing_told(self.request, code, str(fault), impersonal(fault))
            )
        return code

    def result(self) -> Result:
        """What whoever asked for it is answered."""
        stopped = self.interrupted or (self.stop.why is not None and not self.good)
        summary = self.summaries[-1] if self.summaries else None
        return Result(
            summary,
            self._taken,
            self._taken_good,
            stopped=stopped,
            refused=self._refused,
        )

    @contextmanager
    def turn(self, context: PlanContext) -> Iterator[bool]:
        """The job's turn, and a note of how far it came; False: its tick was another process's."""
        if not context.state.kept:
            yield True
            return
        ticks = context.state.ticks(context.job)
        with ticks.turn(self.request.tick, self.request.believed) as mine:
            if not mine:
                self._taken = True
                last = ticks.last()
                self._taken_good = last is not None and last.good == self.request.tick
                yield False
                return
            with self.noted(ticks):
                yield True

    @contextmanager
    def noted(self, ticks: Ticks) -> Iterator[None]:
        """A note that the tick is over, at the end of its run.

        A run that was told to stop, or that another attempt may mend, has not come to its end.
        """
        try:
            yield
        except Exception as fault:
            if code_of(fault) not in REPEATED or isinstance(fault, RefusedBindError):
                with suppress(StateError):
                    ticks.ended(self.request.tick, good=False)
            raise
        if not self.open and (
            self.stop.why is None or self.good
        ):  # also one that was asked to stop, and had done all
            ticks.ended(self.request.tick, good=self.good)


def silent(plan: object, outcomes: object) -> None:
    """What others are shown on standard output is in the log, in the summary, and in the plan that waits."""
