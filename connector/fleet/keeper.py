"""The workflow that keeps the limits of all jobs together. What `workflows.py` says of repeating holds for it, too."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from connector.fleet.limits import Gate
    from connector.fleet.values import Ask, FleetState, Limits, Over, Told, aside

_CHECK: Final = 60.0
"""Seconds between two looks for workflows that were ended by hand while they held a place."""
_LONG: Final = 4_000
"""Events after which the limits go on in a new history."""


@workflow.defn(name="Fleet")
class Fleet:
    """The limits of all jobs together, and how each job stands."""

    @workflow.init
    def __init__(self, known: FleetState) -> None:
        self._gate = Gate(known)
        self._news = True
        self._letting_go: asyncio.Task[None] | None = None
        self._sounding: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, known: FleetState) -> None:  # noqa: ARG002  # `workflow.init` hands `__init__` the same arguments, which has taken it
        """Let steps in as the limits allow. It never ends, but goes on in a new history from time to time."""
        while True:
            self._news = False
            now = workflow.now().timestamp()
            for ask in self._gate.grant(now):
                await self._let_in(ask)
            if self._gate.unsounded and _is_over(self._sounding):
                self._sounding = asyncio.create_task(self._sound())
            if (
                self._gate.asked
                and now - self._gate.checked >= _CHECK
                and _is_over(self._letting_go)
            ):
                self._gate.checked = now
                self._letting_go = asyncio.create_task(self._let_go())
            info = workflow.info()
            long = (
                info.get_current_history_length() > _LONG
                or info.is_continue_as_new_suggested()
            )
            if long and _is_over(
                self._letting_go
            ):  # who is still to be told that applies stop is told by the next
                workflow.continue_as_new(self._gate.known())
            await self._wait()

    async def _wait(self) -> None:
        now = workflow.now().timestamp()
        at = self._gate.look_at(now)
        seconds = None if at is None else max(at - now, 0.01)
        if self._gate.asked:
            seconds = min(seconds or _CHECK, _CHECK)
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._news, timeout=seconds)

    async def _sound(self) -> None:
        """Have somebody told that applies stop, whatever becomes of that."""
        braked = self._gate.braked
        with suppress(ActivityError):
            await workflow.execute_activity(
                "alarm", self._gate.endings, task_queue=aside(workflow.info().task_queue),
                start_to_close_timeout=timedelta(minutes=5), schedule_to_close_timeout=timedelta(hours=1),
                retry_policy=RetryPolicy(maximum_attempts=3),
            )  # fmt: skip
        self._gate.sounded(braked)
        self._news = True

    async def _let_in(self, ask: Ask) -> None:
        """Tell a step that it may begin. If its workflow was ended by hand, its place is free again."""
        try:
            await workflow.get_external_workflow_handle(ask.workflow).signal(
                "let_in", ask.token
            )
        except FailureError:
            self._gate.over(Over(ask.token), workflow.now().timestamp())
            self._news = True

    async def _let_go(self) -> None:
        """Take back what is held by workflows that were ended by hand: they can be told nothing."""
        await asyncio.gather(
            *(self._let_in(ask) for ask, _ in self._gate.held.values())
        )
        self._news = True

    @workflow.signal
    def ask(self, ask: Ask) -> None:
        """A step asks to begin."""
        self._gate.ask(ask)
        self._news = True

    @workflow.signal
    def over(self, over: Over) -> None:
        """A step has ended."""
        self._gate.over(over, workflow.now().timestamp())
        self._news = True

    @workflow.signal
    def tell(self, told: Told) -> None:
        """A job's run has come to this."""
        self._gate.tell(told, workflow.now().timestamp())
        self._news = True

    @workflow.signal
    def resume(self) -> None:
        """Applies may begin again."""
        self._gate.resume()
        self._news = True

    @workflow.signal
    def configure(self, limits: Limits) -> None:
        """From now on these limits hold."""
        self._gate.configure(limits)
        self._news = True

    @workflow.signal
    def forget(self, jobs: list[str]) -> None:
        """These jobs are no part of the fleet any more."""
        self._gate.forget(set(jobs))

    @workflow.query
    def known(self) -> FleetState:
        """All that is known."""
        return self._gate.known()


def _is_over(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()
