"""Who is told what happens while it happens: logs, progress, audit, metrics and notifications are all observers."""

from __future__ import annotations

from collections.abc import Iterable

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


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def begin_stage(self, name: str, **details: object) -> None:
        for observer in self._observers:
            observer.begin_stage(name, **details)

    def open_directory(
        self, directory: str, fingerprint: Fingerprint, audit: AuditLines
    ) -> None:
        for observer in self._observers:
            observer.open_directory(directory, fingerprint, audit)

    def close_directory(
        self,
        plan: Plan | None,
        ending: RunEnding | None,
        fault: BaseException | None = None,
    ) -> None:
        for observer in self._observers:
            observer.close_directory(plan, ending, fault)

    def take_plan(self, plan: Plan) -> None:
        for observer in self._observers:
            observer.take_plan(plan)

    def note_outcome(
        self, change: Change, outcome: Outcome, run: str | None = None
    ) -> None:
        for observer in self._observers:
            observer.note_outcome(change, outcome, run)

    def end_run(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        for observer in self._observers:
            observer.end_run(plan, exit_code, fault)
