"""Who is told what happens while it happens: logs, progress, audit, metrics and notifications are all observers."""

from __future__ import annotations

from collections.abc import Iterable

from connector.model import Change, Ending, Fingerprint, Outcome, Plan
from connector.state.audit_lines import AuditLines


class Observer:
    """Told of each stage, the plan, each outcome, and the end; an observer overrides what it heeds.

    It never writes to the directory, and does not raise, but for `opens`.
    """

    def stage(self, name: str, **details: object) -> None:
        """A stage begins; `details` are counts and names for the log, never values of attributes."""

    def opens(
        self, directory: str, fingerprint: Fingerprint, audit: AuditLines
    ) -> None:
        """A run that may write holds the directory of this identity; `fingerprint` names its secrets.

        `audit`: the lines that the state keeps. Whoever cannot take them to their place raises
        OutputError: then nothing is written.
        """

    def closes(
        self,
        plan: Plan | None,
        ending: Ending | None,
        fault: BaseException | None = None,
    ) -> None:
        """A run that held a directory lets it go right after this; without an ending its plan was refused."""

    def planned(self, plan: Plan) -> None:
        """The plan that this run goes by."""

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        """One user's change has been settled; `run`: it was one of an earlier run, which was interrupted."""

    def finished(
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

    def stage(self, name: str, **details: object) -> None:
        for observer in self._observers:
            observer.stage(name, **details)

    def opens(
        self, directory: str, fingerprint: Fingerprint, audit: AuditLines
    ) -> None:
        for observer in self._observers:
            observer.opens(directory, fingerprint, audit)

    def closes(
        self,
        plan: Plan | None,
        ending: Ending | None,
        fault: BaseException | None = None,
    ) -> None:
        for observer in self._observers:
            observer.closes(plan, ending, fault)

    def planned(self, plan: Plan) -> None:
        for observer in self._observers:
            observer.planned(plan)

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        for observer in self._observers:
            observer.outcome(change, outcome, run)

    def finished(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        for observer in self._observers:
            observer.finished(plan, exit_code, fault)
