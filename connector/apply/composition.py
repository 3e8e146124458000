"""From a job file to what a run has at hand, its context."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import Struct

from connector.apply.adapters import directory_of, past_reader_of, reader_of, source_of
from connector.apply.context import (
    ApplyContext,
    ApplyUndoContext,
    JobPlace,
    JobRules,
    PlanContext,
    UndoContext,
)
from connector.apply.job_state import (
    find_key,
    list_files,
    open_kept_state,
    open_named_state,
    open_state_or_memory,
    require_own_audit_file,
)
from connector.errors import FileError
from connector.matching.people import AgentPin, ExcludeList
from connector.model import OBJECT_CLASS, Secret, View
from connector.model.digests import make_fingerprinter
from connector.model.limits import APPROVAL, ApplyPace, Limit, Limits
from connector.model.mapping import Mapping
from connector.net import counters
from connector.observers.observer import Observer
from connector.planning.brief import NAMES_SECONDS, ShownNames
from connector.settings import job as jobs, mapping_file as mappings, people_lists
from connector.settings.approvers import load_approvers
from connector.settings.attribute_names import shows_secret, without_core
from connector.settings.textfile import shared_texts
from connector.sources.port import Source
from connector.state.history import Attempt
from connector.state.journal_rows import JournalStep, Sealer
from connector.state.store import State, open_state

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers
    from connector.directories.port import Directory, Reader


class BegunRun(Struct, frozen=True):
    """A run that has just begun: of which job, and the id of the plan that it will make."""

    job: jobs.LoadedJob
    plan_id: str


class AcceptedJob(Struct, frozen=True):
    """A job whose files are in order, its mapping, and the text of each file."""

    job: jobs.LoadedJob
    texts: dict[Path, str]
    mapping: Mapping


MakeObserver = Callable[[BegunRun], Observer]
"""Makes the observer of a run."""


@contextmanager
def plan_context(
    path: Path,
    make_observer: MakeObserver,
    *,
    remember: bool = True,
    everybody: bool = False,
    attempt: Attempt | None = None,
) -> Iterator[PlanContext]:
    """The context of a dry run of the job in `path`; without `remember` its state is left alone.

    `everybody`: a report will name all users of the changes. `attempt`: the plan is drawn to be applied.

    Raises FileError, StateError.
    """
    opening = _Opening(
        open_state=open_state_or_memory if remember else lambda _: open_state(None),
        attempt=attempt,
        needs_key=False,
        everybody=everybody,
    )
    with _open_run(path, make_observer, opening) as run:
        reader = run.open_reader()
        yield PlanContext(**run.common, reader=reader, source=run.open_source())


@contextmanager
def trial_context(
    path: Path,
    make_observer: MakeObserver,
    mapping: Mapping,
    source: Source | None = None,
) -> Iterator[PlanContext]:
    """The context of a plan with this mapping in place of the job's, which leaves nothing, not even in the state.

    `source`: one in place of the job's.

    Raises FileError, StateError.
    """
    opening = _Opening(
        open_state=open_kept_state,
        needs_key=False,
        makes_key=False,
        everybody=True,
        mapping=mapping,
    )
    with _open_run(path, make_observer, opening) as run:
        reader = run.open_reader()
        source = source or run.open_source()
        yield PlanContext(**run.common, reader=reader, source=source, remembers=False)


@contextmanager
def apply_context(
    path: Path,
    make_observer: MakeObserver,
    plan: str | None = None,
    *,
    everybody: bool = False,
) -> Iterator[ApplyContext]:
    """The context of an apply of the job in `path`, by a saved `plan`. Raises FileError, StateError."""
    opening = _Opening(attempt=Attempt(plan=plan), everybody=everybody)
    with _open_run(path, make_observer, opening) as run:
        directory = run.open_directory()
        yield ApplyContext(
            **run.common,
            reader=directory,
            directory=directory,
            source=run.open_source(),
        )


@contextmanager
def undo_context(
    path: Path,
    make_observer: MakeObserver,
    run: str,
    *,
    everybody: bool = False,
    attempt: Attempt | None = None,
) -> Iterator[UndoContext]:
    """The context of an undo that is only shown, or shown first. Raises FileError, StateError, UsageError."""
    opening = _Opening(
        attempt=attempt, needs_key=False, everybody=everybody, undoes=run
    )
    with _open_run(path, make_observer, opening) as opened:
        reader = opened.open_reader()
        yield UndoContext(
            **opened.common, reader=reader, run=run, wrote_to=opened.wrote_to
        )


@contextmanager
def apply_undo_context(
    path: Path, make_observer: MakeObserver, run: str, *, everybody: bool = False
) -> Iterator[ApplyUndoContext]:
    """The context of an undo. Raises FileError, StateError, UsageError."""
    attempt = Attempt("undo", undoes=run)
    opening = _Opening(attempt=attempt, everybody=everybody, undoes=run)
    with _open_run(path, make_observer, opening) as opened:
        directory = opened.open_directory()
        yield ApplyUndoContext(
            **opened.common,
            reader=directory,
            directory=directory,
            run=run,
            wrote_to=opened.wrote_to,
        )


def accept_job(path: Path) -> AcceptedJob:
    """Read all that the job in `path` is made of, but for secrets, without doing anything. Raises FileError."""
    with shared_texts({}) as texts:
        job = jobs.load_job(path)
        require_own_audit_file(job)
        mapping = mappings.load_mapping(job.job.mapping, path)
        _read_rules(job, mapping)
    return AcceptedJob(job, texts, mapping)


class _Opening(Struct, frozen=True, kw_only=True):
    """How a run is opened."""

    open_state: Callable[[jobs.LoadedJob], State] = open_named_state
    attempt: Attempt | None = None
    """What the state notes of it if it comes to nothing; None: nothing."""
    needs_key: bool = True
    makes_key: bool = True
    everybody: bool = False
    """Whether a report will name all users of the changes."""
    mapping: Mapping | None = None
    """One in place of the job's."""
    undoes: str | None = None
    """The run that is taken back."""


class _OpenRun(Struct, frozen=True):
    """A run that was opened."""

    stack: ExitStack
    """Closes its readers, its directory and its state."""
    job: jobs.LoadedJob
    mapping: Mapping
    view: View
    """What is read of users."""
    wrote_to: str
    """The identity of the directory to which the run wrote that is taken back."""
    common: dict[str, Any]
    """The fields of `RunContext` but for `reader`."""

    def open_reader(self) -> Reader:
        return self.stack.enter_context(closing(reader_of(self.job, self.view)))

    def open_directory(self) -> Directory:
        return self.stack.enter_context(closing(directory_of(self.job, self.view)))

    def open_source(self) -> Source:
        return source_of(self.job, self.mapping)


@contextmanager
def _open_run(
    path: Path, make_observer: MakeObserver, opening: _Opening
) -> Iterator[_OpenRun]:
    """What every run has at hand; its observer is told of an end by an error too."""
    job = jobs.load_job(path)
    require_own_audit_file(job)
    plan_id = str(uuid4())
    counters.reset_counts()
    observer = make_observer(BegunRun(job, plan_id))
    try:
        with ExitStack() as stack:
            state = stack.enter_context(closing(opening.open_state(job)))
            if opening.attempt is not None:
                attempt = state.attempts.keep_attempt(
                    job.name, plan_id, opening.attempt
                )
                stack.enter_context(attempt)
            mapping = opening.mapping or mappings.load_mapping(job.job.mapping, path)
            key = find_key(job, state, needed=opening.needs_key, make=opening.makes_key)
            sealer = Sealer(key)
            rules = _read_rules(
                job, mapping, everybody=opening.everybody, pins=opening.undoes is None
            )
            wrote_to, view = "", mapping.view()
            if opening.undoes is not None:
                wrote_to, steps = state.read_steps_of_run(
                    opening.undoes, job.name, sealer
                )
                view = _widen_view(mapping, steps)
            common = {
                "job": job.name,
                "rules": rules,
                "place": _describe_place(path, job, mapping, rules.approvers),
                "state": state,
                # where no key is kept, one for this run
                "fingerprint": make_fingerprinter(key or Secret(os.urandom(32).hex())),
                "sealer": sealer,
                "observer": observer,
                "read": job.job.directory.read,
                "beyond": _open_wider_reader(stack, job, mapping),
                "names": _open_names_reader(stack, job, rules.show),
                "plan_id": plan_id,
            }
            yield _OpenRun(stack, job, mapping, view, wrote_to, common)
    except BaseException as fault:
        observer.end_run(None, None, fault)
        raise


def _widen_view(mapping: Mapping, steps: Iterable[JournalStep]) -> View:
    """What has to be read of users to take these writes back: the mapping may be another by now."""
    changes = [each for step in steps for each in step.change.attributes]
    classes = set[str]()
    for each in changes:
        if each.name == OBJECT_CLASS:
            classes.update(map(str, each.new))
    view = mapping.view()
    mapped = {rule.name.lower() for rule in mapping.attributes} | {OBJECT_CLASS.lower()}
    beside = [each.name for each in changes if each.name.lower() not in mapped]
    return View(
        attributes=(*view.attributes, *dict.fromkeys(beside)),
        secrets=view.secrets | {each.name for each in changes if each.secret},
        object_classes=tuple({*view.object_classes, *classes}),
        all_of=tuple(sorted(classes)),
        disabled=view.disabled,
    )


def _read_rules(
    job: jobs.LoadedJob,
    mapping: Mapping,
    *,
    everybody: bool = False,
    pins: bool = True,
) -> JobRules:
    """What the job's files say. Raises FileError. `pins`: they are needed."""
    settings, said = job.job, job.job.limits
    limits = Limits(
        said.update,
        said.clear,
        said.secret,
        said.agents_drop,
        said.matched_drop,
        _read_attribute_limits(job, mapping),
        said.state,
    )
    pace = ApplyPace(
        tuple(settings.ramp), settings.max_failures, settings.directory.settle_time
    )
    exclude = ExcludeList()
    if settings.exclude is not None:
        exclude = people_lists.load_exclude_list(settings.exclude)
    pinned: tuple[AgentPin, ...] = ()
    if pins and settings.pins is not None:
        pinned = people_lists.load_pins(settings.pins)
    return JobRules(
        mapping=mapping,
        limits=limits,
        pace=pace,
        exclude=exclude,
        pins=pinned,
        show=_choose_shown(job, mapping, everybody=everybody),
        approvers=read_approvers(job),
    )


def _describe_place(
    path: Path, job: jobs.LoadedJob, mapping: Mapping, approvers: Approvers | None
) -> JobPlace:
    settings = job.job
    files = (*list_files(job), Path(mapping.where))
    heading = list(_describe_places(settings))
    if approvers:
        heading.append((APPROVAL, approvers.approval_rule))
    return JobPlace(
        file=str(path),
        files=frozenset(Path(os.path.realpath(file)) for file in files),
        tenant=_name_tenant(settings),
        heading=tuple(heading),
    )


def _open_wider_reader(
    stack: ExitStack, job: jobs.LoadedJob, mapping: Mapping
) -> Callable[[], Reader]:
    unique = (
        rule.name for rule in mapping.attributes if rule.unique and not rule.secret
    )
    view = View(
        tuple(dict.fromkeys((*(rule.directory for rule in mapping.match), *unique)))
    )
    return cache(lambda: stack.enter_context(closing(past_reader_of(job, view))))


def _open_names_reader(
    stack: ExitStack, job: jobs.LoadedJob, show: ShownNames
) -> Callable[[], Reader]:
    """A reader of its own, so that a server that stumbles over a name does not fail what the plan needs."""
    hurried = job if show.asked else job.shorten_waits(NAMES_SECONDS)
    directory = job.job.directory
    known = not show.asked and (directory.type != "ldap" or directory.id is None)
    return cache(
        lambda: stack.enter_context(
            closing(past_reader_of(hurried, View(show.attributes), unread=known))
        )
    )


def _choose_shown(
    job: jobs.LoadedJob, mapping: Mapping, *, everybody: bool = False
) -> ShownNames:
    """The attributes with the names of people. Raises FileError where the job names one that the mapping writes.

    Of those that hold where a job names none, it is left out.
    """
    settings = job.job.directory
    written = {without_core(rule.name) for rule in mapping.attributes}
    secret = [rule.name for rule in mapping.attributes if rule.secret]
    mapped = [
        name
        for name in settings.show
        if without_core(name) in written
        or any(shows_secret(name, each) for each in secret)
    ]
    asked = "show" in job.document.data["directory"]
    if mapped and asked:
        why = f"directory.show: the mapping writes {mapped[0]}. Name another attribute"
        raise FileError(why, where=job.where("directory", "show"))
    return ShownNames(
        tuple(name for name in settings.show if name not in mapped), asked, everybody
    )


def read_approvers(job: jobs.LoadedJob) -> Approvers | None:
    """Who has to approve. Raises FileError."""
    settings = job.job.approvers
    return None if settings is None else load_approvers(job, settings)


def _read_attribute_limits(job: jobs.LoadedJob, mapping: Mapping) -> dict[str, Limit]:
    """Limits of single attributes, by the mapping's spelling. Raises FileError for one that it does not write."""
    names = {rule.name.lower(): rule.name for rule in mapping.attributes}
    limits = {}
    for name, limit in job.job.limits.attributes.items():
        if name.lower() not in names:
            why = f"limits.attributes: the mapping does not write {name}; it writes {', '.join(sorted(names.values()))}"
            raise FileError(why, where=job.where("limits", "attributes", name))
        limits[names[name.lower()]] = limit
    return limits


def _name_tenant(settings: jobs.Job) -> str:
    """Where a job's agents come from, as of `JobIdentity`."""
    source = settings.source
    return (
        source.url if source.type == "cec" else f"file {os.path.realpath(source.path)}"
    )


def _describe_places(settings: jobs.Job) -> tuple[tuple[str, str], ...]:
    """Where a job reads and writes, in the words of its file."""
    source = (
        settings.source.url
        if settings.source.type == "cec"
        else str(settings.source.path)
    )
    directory = settings.directory
    if directory.type == "scim":
        return (
            ("source", source),
            ("directory", directory.url),
            ("filter", directory.filter or "none: all users"),
        )
    where = (
        ", ".join(directory.urls) if directory.type == "ldap" else str(directory.path)
    )
    return (
        ("source", source),
        ("directory", where),
        ("base", "; ".join(directory.base)),
        ("filter", directory.filter),
    )
