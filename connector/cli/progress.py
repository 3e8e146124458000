"""Progress on a terminal: the stage at hand, how much of it is done, how fast, and for how long."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from connector.model import Change, Outcome, Plan
from connector.net import counters
from connector.observers.observer import Observer
from connector.reports.wording import count_noun

_NARROW: Final = 60
"""Below so many columns there is no bar: the numbers say more."""
_TOTALS: Final = ("changes", "wanted", "keys", "questions", "users", "writes")
"""Details of a stage that say how much there is to do."""


def count_requests() -> int:
    """How many requests this run has sent."""
    return sum(each.requests for each in counters.read_counts().values())


class NumbersColumn(ProgressColumn):
    """`7 of 45, 12/s, 0:03`; while reading, requests are counted, for nobody knows how many it will take."""

    def render(self, task: Task) -> Text:
        if task.fields["writes"]:
            done = int(task.completed)
            parts = [f"{done:,} of {task.total:,}"]
        else:
            done = count_requests() - task.fields["asked"]
            parts = [f"for {task.total:,}"] if task.total else []
            parts += [count_noun(done, "request")] if done else []
        seconds = task.elapsed or 0.0
        if done and seconds >= 1:
            rate = done / seconds
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:,.1f}/s")
        minutes, rest = divmod(int(seconds), 60)
        return Text(", ".join([*parts, f"{minutes}:{rest:02}"]))


class ProgressObserver(Observer):
    """The stage at hand and how long it takes; for writing, a bar."""

    def __init__(self) -> None:
        # warnings make the bar move; results are for standard output, wherever that goes
        self._progress = Progress(
            console=Console(stderr=True), transient=True, redirect_stdout=False
        )
        self._task = self._progress.add_task("", total=None)
        self._writes = False

    def begin_stage(self, name: str, **details: object) -> None:
        if name == "show":
            self._progress.stop()
            return
        if not self._writes:
            self._begin_stage(name, details)
        self._progress.update(self._task, description=name)
        self._progress.start()
        self._progress.refresh()

    def _begin_stage(self, name: str, details: dict[str, object]) -> None:
        """Begin to count anew; from `apply` on, changes that are done."""
        totals = [int(str(details[key])) for key in _TOTALS if details.get(key)]
        # those that an earlier run left open have outcomes too
        total = totals[0] + int(str(details.get("left", 0))) if totals else None
        self._writes = name == "apply" and total is not None
        has_bar = self._writes and self._progress.console.width >= _NARROW
        bar = [BarColumn(bar_width=20)] if has_bar else []
        self._progress.columns = (
            TextColumn("{task.description}"),
            *bar,
            NumbersColumn(),
        )
        asked = count_requests()
        self._progress.reset(self._task, writes=self._writes, asked=asked)
        # `reset` keeps an old one in place of None
        self._progress.tasks[0].total = total

    def note_outcome(
        self, change: Change, outcome: Outcome, run: str | None = None
    ) -> None:
        # of another run, it settles what that has left open
        if self._writes and run is None:
            self._progress.advance(self._task)

    def end_run(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        self._progress.stop()
