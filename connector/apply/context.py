"""What a run has at hand; `composition.py` makes it from a job file."""

from __future__ import annotations

import shlex
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping as AnyMapping,
)
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from msgspec import Struct, field
from msgspec.structs import replace

from connector.apply.lookup import DirectoryLookup
from connector.directories.common.builtin_schema import known_schema
from connector.directories.port import Directory, Read, Reader
from connector.errors import FileError
from connector.matching.people import AgentPin, ExcludeList
from connector.model import (
    ANOTHER_KEY,
    NEW_STATE,
    AttributeInfo,
    Description,
    Fingerprint,
    SiblingPlan,
    SiblingPlans,
)
from connector.model.limits import ApplyPace, Limits
from connector.model.mapping import Mapping
from connector.observers.observer import Observer
from connector.planning.brief import PlanBrief, ShownNames
from connector.runtime import clock
from connector.settings.attribute_names import parts_of
from connector.sources.port import Source
from connector.state.journal_rows import Sealer
from connector.state.store import State

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers


class SiblingJobs(Struct, frozen=True):
    """The other jobs of a tenant, and what they are told of this one."""

    names: tuple[str, ...] = ()
    max_age: int | None = None
    """For how many seconds a plan of this job counts there; None: `PLAN_AGE`."""


PLAN_AGE: Final = timedelta(days=1)
"""So long a plan counts for siblings where its job does not say how long."""


class JobRules(Struct, frozen=True, kw_only=True):
    """What a job's files say about planning and writing."""

    mapping: Mapping
    limits: Limits
    pace: ApplyPace = ApplyPace()
    exclude: ExcludeList = ExcludeList()
    pins: tuple[AgentPin, ...] = ()
    show: ShownNames = ShownNames()
    """The attributes that have the names of people."""
    approvers: Approvers | None = None
    """Who has to approve what is written; None: nobody."""
    siblings: SiblingJobs = SiblingJobs()


class JobPlace(Struct, frozen=True, kw_only=True):
    """Where a job stands, and where it reads and writes."""

    file: str = "JOB"
    """Path of the job file, as it was named."""
    files: frozenset[Path] = frozenset()
    """Files that no report may be written over."""
    tenant: str = ""
    """As of `JobIdentity`."""
    heading: tuple[tuple[str, str], ...] = ()
    """Source, directory, base and filter, in the words of the job's file."""


class RunContext(Struct, frozen=True, kw_only=True):
    """What planning and taking back both have at hand."""

    job: str
    rules: JobRules
    place: JobPlace = JobPlace()
    state: State
    fingerprint: Fingerprint
    sealer: Sealer
    observer: Observer
    read: Read
    """How users are read: `find`, `scan` or `auto`."""
    reader: Reader
    beyond: Callable[[], Reader] | None = None
    """Opens a reader of the same directory past base and filter, once."""
    names: Callable[[], Reader] | None = None
    """Opens a reader of people's names, which no other question needs."""
    plan_id: str = field(default_factory=lambda: str(uuid4()))
    """Id of the plan that will be drawn; it names the run."""

    def make_brief(self, undone: Collection[str] = ()) -> PlanBrief:
        """What a plan is made from now; the directory is asked what it is. Raises FileError for a secret in clear.

        `undone`: attributes that a run wrote in clear which is taken back.
        """
        rules, description, now = self.rules, self.reader.describe(), clock.read_clock()
        return PlanBrief(
            mapping=rules.mapping,
            limits=rules.limits,
            description=description,
            memory=self.state.memory(description.identity, self.job, description),
            fingerprint=self.fingerprint,
            job=self.job,
            plan_id=self.plan_id,
            now=now,
            about=self.describe_sources(description),
            show=hide_secrets(
                self.secret_attributes(description),
                rules.mapping,
                rules.show,
                self.place.file,
                undone,
            ),
            siblings=find_sibling_plans(self.state, rules.siblings.names, now),
        )

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
        names = self.state.secret_attributes(description.identity)
        return SecretAttributes(tuple(names), types)

    def describe_sources(self, description: Description) -> tuple[tuple[str, str], ...]:
        """What a plan was made from, for the one who has to sign it."""
        server = description.kind
        if description.server:
            server += f" at {description.server}"
        about = [
            *self.place.heading,
            ("server", server),
            ("mapping", self.rules.mapping.where),
        ]
        if description.writing.checked:
            about.append(("checked in advance", description.writing.checked))
        return (*about, *self._tell_unknowns(description))

    def _tell_unknowns(self, description: Description) -> Iterator[tuple[str, str]]:
        """What cannot be kept here, or is not known again."""
        if not self.state.kept:
            yield "state", "cannot be kept here: earlier runs are unknown"
        elif not self.sealer.check:
            yield (
                "key",
                "cannot be kept here: fingerprints and digest hold for this run only",
            )
        if self.state.memory(description.identity, self.job).is_new():
            yield (
                NEW_STATE,
                "no earlier run is known: agents_drop and matched_drop are not checked; only adopt finds stale users",
            )
        if not self.state.knows_key(self.job, self.sealer):
            yield (
                ANOTHER_KEY,
                "secrets that this account cannot read are set again; older sealed values cannot be restored",
            )


class PlanContext(RunContext, frozen=True, kw_only=True):
    """What a dry run has at hand; nothing in it can write to the directory."""

    source: Source
    remembers: bool = True
    """Whether the size of the directory is kept for the next plan."""


class ApplyContext(PlanContext, frozen=True, kw_only=True):
    """What an apply has at hand."""

    directory: Directory


class UndoContext(RunContext, frozen=True, kw_only=True):
    """What it takes to show what would take a run back."""

    run: str
    wrote_to: str
    """The identity of the directory that the run wrote to."""


class ApplyUndoContext(UndoContext, frozen=True, kw_only=True):
    """What it takes to take a run back."""

    directory: Directory


WriteContext = ApplyContext | ApplyUndoContext


def find_sibling_plans(
    state: State, names: Iterable[str], now: datetime
) -> SiblingPlans:
    """The last full plans of these jobs, as far as they are not too old."""
    plans: list[SiblingPlan] = []
    unheard: list[str] = []
    for name in names:
        plan = state.agent_plans.find_plan(name)
        if plan is None or is_old_plan(plan, now):
            unheard.append(name)
        else:
            plans.append(plan)
    return SiblingPlans(tuple(plans), tuple(unheard))


def is_old_plan(plan: SiblingPlan, now: datetime) -> bool:
    """Whether a plan counts no more; also one of the future, for then a clock is wrong."""
    longest = PLAN_AGE if plan.max_age is None else timedelta(seconds=plan.max_age)
    return abs(now - datetime.fromisoformat(plan.created)) > longest


class SecretAttributes(Struct, frozen=True):
    """The attributes of one directory into which jobs of this state wrote secrets."""

    names: tuple[str, ...]
    """As mappings spelt them."""
    types: AnyMapping[str, AttributeInfo] = {}
    """What the directory's schema defines, by any name or number in lower case."""

    def find_same(
        self,
        name: str,
        *,
        whole: bool = False,
    ) -> list[str]:
        """Those that are the attribute of this name: by OID whatever its options, or by SCIM path.

        `whole`: or another part of it.
        """
        return [each for each in self.names if self._is_same(each, name, whole=whole)]

    def _is_same(
        self,
        one: str,
        other: str,
        *,
        whole: bool,
    ) -> bool:
        attribute, *its_parts = parts_of(one)
        another, *other_parts = parts_of(other)
        info = self.types.get(attribute)
        if another != attribute and (
            info is None or another not in info.definition.aliases
        ):
            return False
        pairs = zip(its_parts, other_parts, strict=True)
        return whole or all(not a or not b or a == b for a, b in pairs)


def hide_secrets(
    known: SecretAttributes,
    mapping: Mapping,
    show: ShownNames,
    job: str,
    undone: Collection[str] = (),
) -> ShownNames:
    """The names of people, without attributes that are secret. Raises FileError where the job would show one.

    `undone`: attributes that a run wrote in clear which is taken back.
    """
    called_secret = tuple(rule.name for rule in mapping.attributes if rule.secret)
    secrets = replace(known, names=(*known.names, *called_secret))
    for where, name, advice in _list_shown(mapping, show, job, undone):
        if not secrets.find_same(name, whole=where == job):
            continue
        why = f"{name} is secret: this job, or another one of its state, wrote secrets into it. {advice}"
        if known.find_same(name):
            words = ["cec-connector", "state", "forget-secret", job, name]
            why += f". If it holds none any more, run: {shlex.join(words)}"
        raise FileError(why, where=where)
    shown = [
        name for name in show.attributes if not secrets.find_same(name, whole=True)
    ]
    return replace(show, attributes=tuple(shown))


def _list_shown(
    mapping: Mapping,
    show: ShownNames,
    job: str,
    undone: Collection[str],
) -> Iterator[tuple[str, str, str]]:
    """What reports may show values of: where that is said, the attribute, and what to do if it is secret."""

    def place(line: int) -> str:
        return f"{mapping.where}:{line}" if line else mapping.where

    for rule in mapping.attributes:
        if not rule.secret:
            yield place(rule.line), rule.name, "Add `secret: true` to it"
    for match in mapping.match:
        yield place(match.line), match.directory, "Match agents by another attribute"
    for name in show.attributes if show.asked else ():
        yield job, name, "Take it out of `directory.show`"
    for name in sorted(undone):
        yield "RUN", name, "This run wrote it in clear before, and is not taken back"
