"""Progress on a terminal: the stage at hand, how much of it is done, how fast, and for how long."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from connector.model import Change, Outcome, Plan
from connector.net import counters
from connector.observers.observer import Observer

_NARROW: Final = 60
"""Below so many columns there is no bar: the numbers say more."""
_TOTALS: Final = ("changes", "wanted", "keys", "questions", "users", "writes")
"""Details of a stage that say how much there is to do."""


def count_requests() -> int:
    """How many requests this run has sent."""
    return sum(each.requests for each in counters.read_counts().values())


class NumbersColumn(ProgressColumn):
    """`7 of 45, 1.5/s, 0:03`; while reading, requests are counted, for nobody knows how many it will take."""

    def render(self, task: Task) -> Text:
        if task.total is not None:
            done = int(task.completed)
            said = f"{done:,} of {task.total:,}"
        else:
            done = count_requests() - task.fields["asked"]
            said = f"{task.fields['purpose']}{done:,} requests"
        seconds = int(task.elapsed or 0)
        rate = done / max(seconds, 1)
        return Text(f"{said}, {rate:,.1f}/s, {seconds // 60}:{seconds % 60:02}")


class ProgressObserver(Observer):
    """The stage at hand and how long it takes; for writing, how much of it is done."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        bar = [BarColumn(bar_width=20)] if console.width >= _NARROW else []
        columns = (TextColumn("{task.description}"), *bar, NumbersColumn())
        # warnings make the bar move; results are for standard output, wherever that goes
        self._progress = Progress(
            *columns, console=console, transient=True, redirect_stdout=False
        )
        self._writes = False

    def begin_stage(self, name: str, **details: object) -> None:
        if name == "show":
            self._progress.stop()
            return
        if self._writes:
            self._progress.update(self._task, description=name)
        else:
            self._begin_task(name, details)
        self._progress.start()
        self._progress.refresh()

    def _begin_task(self, name: str, details: dict[str, object]) -> None:
        """Begin to count anew; from `apply` on, changes that are done."""
        totals = [int(str(details[key])) for key in _TOTALS if details.get(key)]
        total = None
        if name == "apply" and totals:
            # those that an earlier run left open have outcomes too
            total = totals[0] + int(str(details.get("left", 0)))
            self._writes = True
        purpose = f"for {totals[0]:,}, " if totals else ""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._task = self._progress.add_task(
            name, total=total, asked=count_requests(), purpose=purpose
        )

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
