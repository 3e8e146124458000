"""What a run has at hand; `composition.py` makes them from a job file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import Struct, field

from connector.apply.lookup import DirectoryLookup
from connector.apply.secret_attributes import SecretAttributes, hide_secrets
from connector.directories.common.builtin_schema import known_schema
from connector.directories.port import Directory, Read, Reader
from connector.matching.people import ExcludeList, Pin
from connector.model import ANOTHER_KEY, NEW_STATE, Description, Fingerprint
from connector.model.limits import Limits, Pace
from connector.model.mapping import Mapping
from connector.observers.observer import Observer
from connector.planning.brief import Brief, Show
from connector.runtime import clock
from connector.sources.port import Source
from connector.state.journal_rows import Sealer
from connector.state.store import Store

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers


class Common(Struct, frozen=True, kw_only=True):
    """What every run has at hand beside its directory. `plan_id`: of the plan that will be drawn; it names the run.

    `beyond` opens a reader of the same directory past base and filter, once, and `names` one of people's names, which
    no other question needs. `file`: the job's, as it was named. `tenant`: as of
    `JobIdentity`. `show`: as `Brief` has it. `approvers`: who has to approve what is
    written; None: nobody.
    """

    job: str
    mapping: Mapping
    limits: Limits
    read: Read
    state: Store
    fingerprint: Fingerprint
    sealer: Sealer
    pace: Pace
    exclude: ExcludeList
    observer: Observer
    places: tuple[tuple[str, str], ...] = ()
    file: str = "JOB"
    tenant: str = ""
    files: frozenset[Path] = frozenset()
    beyond: Callable[[], Reader] | None = None
    names: Callable[[], Reader] | None = None
    show: Show = Show()
    approvers: Approvers | None = None
    plan_id: str = field(default_factory=lambda: str(uuid4()))


class Context(Common, frozen=True, kw_only=True):
    """What planning and taking back both have at hand."""

    reader: Reader

    def brief(self, undone: Collection[str] = ()) -> Brief:
        """What a plan is made from now; the directory is asked what it is. Raises FileError for a secret in clear.

        `undone`: attributes that a run wrote in clear which is taken back.
        """
        description = self.reader.describe()
        show = hide_secrets(
            self.secret_attributes(description),
            self.mapping,
            self.show,
            self.file,
            undone,
        )
        return Brief(
            mapping=self.mapping, limits=self.limits, description=description,
            memory=self.state.memory(description.identity, self.job, description), fingerprint=self.fingerprint,
            job=self.job, plan_id=self.plan_id, now=clock.now(), about=self.about(description),
            show=show,
        )  # fmt: skip

    def look_up(self, at_least: int = 0) -> DirectoryLookup:
        """What a planner is handed. `at_least`: so many users the directory has, as far as is known."""
        return DirectoryLookup(
            self.reader,
            self.read,
            self.observer,
            at_least,
            beyond=self.beyond,
            names=self.names,
        )

    def secret_attributes(self, description: Description) -> SecretAttributes:
        """The attributes into which jobs of this state wrote secrets."""
        # a file, or a server that hides its schema, has aliases too
        types = description.schema.types or known_schema().types
        return SecretAttributes(
            tuple(self.state.secret_attributes(description.identity)), types
        )

    def about(self, description: Description) -> tuple[tuple[str, str], ...]:
        """What a plan was made from, for the one who has to sign it."""
        server = (
            f"{description.kind} at {description.server}"
            if description.server
            else description.kind
        )
        about = (*self.places, ("server", server), ("mapping", self.mapping.where))
        about += (
            (("checked in advance", description.writing.checked),)
            if description.writing.checked
            else ()
        )
        return (*about, *self._memory(description))

    def _memory(self, description: Description) -> Iterator[tuple[str, str]]:
        """What cannot be kept here, or is not known again."""
        if not self.state.kept:
            yield "state", "cannot be kept here: earlier runs are unknown"
        elif not self.sealer.check:
            yield (
                "key",
                "cannot be kept here: fingerprints and digest hold for this run only",
            )
        if self.state.memory(description.identity, self.job).new():
            yield (
                NEW_STATE,
                "no earlier run is known: agents_drop and matched_drop are not checked; only adopt finds stale users",
            )
        if not self.state.knows(self.job, self.sealer):
            yield (
                ANOTHER_KEY,
                "secrets that this account cannot read are set again; older sealed values cannot be restored",
            )


class PlanContext(Context, frozen=True, kw_only=True):
    """What a dry run has at hand; nothing in it can write to the directory.

    `remembers`: the size of the directory is kept for the next plan.
    """

    source: Source
    pins: tuple[Pin, ...]
    remembers: bool = True


class ApplyContext(PlanContext, frozen=True, kw_only=True):
    """What an apply has at hand."""

    directory: Directory


class UndoContext(Context, frozen=True, kw_only=True):
    """What it takes to show what would take a run back. `wrote_to`: the identity of the directory it wrote to."""

    run: str
    wrote_to: str


class ApplyUndoContext(UndoContext, frozen=True, kw_only=True):
    """What it takes to take a run back."""

    directory: Directory
