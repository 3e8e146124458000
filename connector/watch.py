"""Who is told what happens while it happens: logs, progress, audit and metrics are all watchers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from connector.model import Outcome, Plan


class Watch(Protocol):
    """Told of each stage, each outcome, and the end. It must neither raise nor write to the directory."""

    def stage(self, name: str, **facts: object) -> None:
        """A stage begins; `facts` are counts and names for the log, never values of attributes."""

    def outcome(self, outcome: Outcome) -> None:
        """One user's change has been settled."""

    def finished(self, plan: Plan | None, exit_code: int | None) -> None:
        """The run has ended; without an exit code: by an error, which is told elsewhere."""


class Watchers:
    """Several watchers as one."""

    def __init__(self, watchers: Iterable[Watch] = ()) -> None:
        self._watchers = tuple(watchers)

    def stage(self, name: str, **facts: object) -> None:
        for watcher in self._watchers:
            watcher.stage(name, **facts)

    def outcome(self, outcome: Outcome) -> None:
        for watcher in self._watchers:
            watcher.outcome(outcome)

    def finished(self, plan: Plan | None, exit_code: int | None) -> None:
        for watcher in self._watchers:
            watcher.finished(plan, exit_code)
