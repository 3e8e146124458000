"""Who is told what happens while it happens: logs, progress, audit, metrics and notifications are all observers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from connector.model import Change, Fingerprint, Outcome, Plan, RunEnding
from connector.state.audit_lines import AuditLines


class Observer:
    """Told of each stage, the plan, each outcome, and the end; an observer overrides what it heeds.

    It never writes to the directory, and does not raise, but for `open_directory`.
    """

    def begin_stage(self, name: str, **details: object) -> None:
        """A stage begins; `details` are counts and names for the log, never values of attributes."""

    def open_directory(
        self, directory: str, fingerprint: Fingerprint, audit: AuditLines
    ) -> None:
        """A run that may write holds the directory of this identity; `fingerprint` names its secrets.

        `audit`: the lines that the state keeps. Whoever cannot take them to their place raises
        OutputError: then nothing is written.
        """

    def close_directory(
        self,
        plan: Plan | None,
        ending: RunEnding | None,
        fault: BaseException | None = None,
    ) -> None:
        """A run that held a directory lets it go right after this; without an ending its plan was refused."""

    def take_plan(self, plan: Plan) -> None:
        """The plan that this run goes by."""

    def note_outcome(
        self, change: Change, outcome: Outcome, run: str | None = None
    ) -> None:
        """One user's change has been settled; `run`: it was one of an earlier run, which was interrupted."""

    def end_run(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        """The run has ended; without an exit code: by this fault."""


def _tell_each(name: str) -> Callable[..., None]:
    """Make the method of this name that calls it on each of several observers."""

    def tell(self: Observers, *values: object, **details: object) -> None:
        for observer in self.observers:
            getattr(observer, name)(*values, **details)

    return tell


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self.observers = tuple(observers)

    begin_stage = _tell_each("begin_stage")
    open_directory = _tell_each("open_directory")
    close_directory = _tell_each("close_directory")
    take_plan = _tell_each("take_plan")
    note_outcome = _tell_each("note_outcome")
    end_run = _tell_each("end_run")
