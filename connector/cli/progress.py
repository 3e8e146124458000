"""Progress on a terminal: the stage at hand, how much of it is done, how fast, and for how long."""

from __future__ import annotations

from typing import Final

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from connector.model import Change, Outcome, Plan
from connector.net import counters
from connector.observers.observer import Observer

_NARROW: Final = 60
"""Below so many columns there is no bar: the numbers say more."""
_TOTALS: Final = ("changes", "wanted", "keys", "questions", "users", "writes")
"""Details of a stage that say how much there is to do."""


class _Numbers(ProgressColumn):
    """`7 of 45, 12/s, 0:03`; while reading, requests are counted, for nobody knows how many it will take."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        total = f"{task.total:,.0f}" if task.total else ""
        parts = [
            f"{task.completed:,.0f} of {total}"
            if task.fields["writes"]
            else total and f"for {total}"
        ]
        done = task.completed
        if not task.fields["writes"]:
            done = (
                sum(each.requests for each in counters.counted().values())
                - task.fields["asked"]
            )
            parts.append(
                f"{done:,.0f} request{'' if done == 1 else 's'}" if done else ""
            )
        rate = done / seconds if seconds >= 1 else 0
        parts += [
            f"{rate:,.{int(rate < 10)}f}/s" if rate else "",
            f"{int(seconds) // 60}:{int(seconds) % 60:02}",
        ]
        return Text(", ".join(part for part in parts if part))


class _Bar(ProgressColumn):
    """A bar, while users are written: only then is it known how many there are."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=20)

    def render(self, task: Task) -> RenderableType:
        return self._bar.render(task) if task.fields["writes"] else Text("")


class ProgressObserver(Observer):
    """The stage at hand and how long it takes; for writing, a bar."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        bar = [_Bar()] if console.width >= _NARROW else []
        # warnings make the bar move; results are for standard output, wherever that goes
        self._progress = Progress(
            "{task.description}",
            *bar,
            _Numbers(),
            console=console,
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._progress.add_task("", total=None, writes=False, asked=0)
        self._writes = False

    def stage(self, name: str, **details: object) -> None:
        if name == "show":
            self._progress.stop()
            return
        if not self._writes:
            self._begin(name, details)
        self._progress.update(self._task, description=name)
        self._progress.start()
        self._progress.refresh()

    def _begin(self, name: str, details: dict[str, object]) -> None:
        """Begin to count anew; from `apply` on, changes that are done."""
        asked = sum(each.requests for each in counters.counted().values())
        total = next(
            (int(str(details[key])) for key in _TOTALS if details.get(key)), None
        )
        # those have outcomes too
        total = total and total + int(str(details.get("left", 0)))
        self._writes = name == "apply" and total is not None
        self._progress.reset(self._task, writes=self._writes, asked=asked)
        # `reset` keeps an old one in place of None
        self._progress.tasks[0].total = total

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        if (
            self._writes and run is None
        ):  # else it settles what an earlier run has left open
            self._progress.advance(self._task)

    def finished(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        self._progress.stop()
