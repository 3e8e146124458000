"""From a job file to what a run has at hand, its context."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import asdict

from connector.apply.adapters import directory_of, past_reader_of, reader_of, source_of
from connector.apply.context import (
    ApplyContext,
    ApplyUndoContext,
    Common,
    PlanContext,
    UndoContext,
)
from connector.apply.job_state import (
    files_of,
    key_of,
    set_apart,
    state_for_a_plan,
    state_of,
    state_to_look_at,
)
from connector.errors import FileError
from connector.matching.people import ExcludeList, Pin
from connector.model import OBJECT_CLASS, Secret, View
from connector.model.digests import fingerprinter
from connector.model.limits import APPROVAL, Limit, Limits, Pace
from connector.model.mapping import Mapping
from connector.net import counters
from connector.observers.observer import Observer
from connector.planning.brief import NAMES_SECONDS, Show
from connector.settings import job as jobs, mapping_file as mappings, people_lists
from connector.settings.approvers import load_approvers
from connector.settings.attribute_names import shows_secret, without_core
from connector.settings.textfile import shared_texts
from connector.sources.port import Source
from connector.state.history import Attempt
from connector.state.journal_rows import Sealer
from connector.state.store import Store, open_state

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers
    from connector.directories.port import Reader


class Begun(Struct, frozen=True):
    """A run that has just begun: of which job, and the id of the plan that it will make."""

    job: jobs.LoadedJob
    plan_id: str


class Accepted(Struct, frozen=True):
    """A job whose files are in order, its mapping, and the text of each file."""

    job: jobs.LoadedJob
    texts: dict[Path, str]
    mapping: Mapping


MakeObserver = Callable[[Begun], Observer]
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
    opening = state_for_a_plan if remember else lambda _: open_state(None)
    with _opened(
        path, opening, make_observer, attempt, writes=False, everybody=everybody
    ) as opened:
        stack, job, mapping, common = opened
        reader = stack.enter_context(closing(reader_of(job, mapping.view())))
        source, pins = source_of(job, mapping), _pins(job.job)
        yield PlanContext(**asdict(common), reader=reader, source=source, pins=pins)


@contextmanager
def trial_context(
    path: Path,
    make_observer: MakeObserver,
    mapping: Mapping,
    spare: Path,
    source: Source | None = None,
) -> Iterator[PlanContext]:
    """The context of a plan with this mapping in place of the job's, which leaves nothing, not even in the state.

    `spare`: a folder for what a first plan would make. `source`: one in place of the job's.

    Raises FileError, StateError.
    """
    opening = partial(state_to_look_at, spare=spare)
    opened = _opened(
        path,
        opening,
        make_observer,
        writes=False,
        everybody=True,
        mapping=mapping,
        make_key=False,
    )
    with opened as (stack, job, _, common):
        reader = stack.enter_context(closing(reader_of(job, mapping.view())))
        yield PlanContext(
            **asdict(common),
            reader=reader,
            source=source or source_of(job, mapping),
            pins=_pins(job.job),
            remembers=False,
        )


@contextmanager
def apply_context(
    path: Path,
    make_observer: MakeObserver,
    plan: str | None = None,
    *,
    everybody: bool = False,
) -> Iterator[ApplyContext]:
    """The context of an apply of the job in `path`, by a saved `plan`. Raises FileError, StateError."""
    attempt = Attempt(plan=plan)
    with _opened(path, state_of, make_observer, attempt, everybody=everybody) as (
        stack,
        job,
        mapping,
        common,
    ):
        directory = stack.enter_context(closing(directory_of(job, mapping.view())))
        source, pins = source_of(job, mapping), _pins(job.job)
        yield ApplyContext(
            **asdict(common),
            reader=directory,
            directory=directory,
            source=source,
            pins=pins,
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
    with _opened(
        path, state_of, make_observer, attempt, writes=False, everybody=everybody
    ) as opened:
        stack, job, mapping, common = opened
        wrote_to, view = _written(run, mapping, common)
        reader = stack.enter_context(closing(reader_of(job, view)))
        yield UndoContext(**asdict(common), reader=reader, run=run, wrote_to=wrote_to)


@contextmanager
def apply_undo_context(
    path: Path, make_observer: MakeObserver, run: str, *, everybody: bool = False
) -> Iterator[ApplyUndoContext]:
    """The context of an undo. Raises FileError, StateError, UsageError."""
    attempt = Attempt("undo", undoes=run)
    with _opened(path, state_of, make_observer, attempt, everybody=everybody) as (
        stack,
        job,
        mapping,
        common,
    ):
        wrote_to, view = _written(run, mapping, common)
        directory = stack.enter_context(closing(directory_of(job, view)))
        yield ApplyUndoContext(
            **asdict(common),
            reader=directory,
            directory=directory,
            run=run,
            wrote_to=wrote_to,
        )


def accept(path: Path) -> Accepted:
    """Read all that the job in `path` is made of, but for secrets, without doing anything. Raises FileError."""
    with shared_texts({}) as texts:
        job = jobs.load(path)
        set_apart(job)
        mapping = mappings.load(job.job.mapping, path)
        _limits(job, mapping)
        _shown(job, mapping)
        _pins(job.job)
        _exclude_list(job.job)
        approvers_of(job)
    return Accepted(job, texts, mapping)


@contextmanager
def _opened(
    path: Path,
    opening: Callable[[jobs.LoadedJob], Store],
    make_observer: MakeObserver,
    attempt: Attempt | None = None,
    *,
    writes: bool = True,
    everybody: bool = False,
    mapping: Mapping | None = None,
    make_key: bool = True,
) -> Iterator[tuple[ExitStack, jobs.LoadedJob, Mapping, Common]]:
    """The job, its mapping, and what every run has at hand; its observer is told of an end by an error too.

    `mapping`: one in place of the job's.
    """
    job = jobs.load(path)
    set_apart(job)
    settings = job.job
    plan_id = str(uuid4())
    counters.begin()
    observer = make_observer(Begun(job, plan_id))
    try:
        with ExitStack() as stack:
            state = stack.enter_context(closing(opening(job)))
            if attempt is not None:
                stack.enter_context(state.attempts.of(job.name, plan_id, attempt))
            mapping = mapping or mappings.load(settings.mapping, path)
            key = key_of(job, state, needed=writes, make=make_key)
            show = _shown(job, mapping, everybody=everybody)
            approvers = approvers_of(job)
            common = Common(
                job=job.name,
                mapping=mapping,
                limits=_limits(job, mapping),
                read=settings.directory.read,
                state=state,
                fingerprint=fingerprinter(
                    key or Secret(os.urandom(32).hex())
                ),  # where none is kept, one for this run
                sealer=Sealer(key),
                pace=Pace(
                    tuple(settings.ramp),
                    settings.max_failures,
                    settings.directory.settle_time,
                ),
                exclude=_exclude_list(settings),
                approvers=approvers,
                observer=observer,
                places=(
                    *_places(settings),
                    *([(APPROVAL, approvers.approval_rule)] if approvers else ()),
                ),
                file=str(path),
                tenant=_tenant(settings),
                files=frozenset(
                    Path(os.path.realpath(file))
                    for file in (*files_of(job), Path(mapping.where))
                ),
                beyond=_beyond(stack, job, mapping),
                names=_names(stack, job, show),
                show=show,
                plan_id=plan_id,
            )
            yield stack, job, mapping, common
    except BaseException as fault:
        observer.finished(None, None, fault)
        raise


def _written(run: str, mapping: Mapping, common: Common) -> tuple[str, View]:
    """Where a run wrote to, and what of its users has to be read to take it back: the mapping may be another by now."""
    wrote_to, steps = common.state.steps(run, common.job, common.sealer)
    changes = [each for step in steps for each in step.change.attributes]
    classes = {
        str(name) for each in changes if each.name == OBJECT_CLASS for name in each.new
    }
    names = {rule.name.lower() for rule in mapping.attributes} | {OBJECT_CLASS.lower()}
    view = mapping.view()
    beside = dict.fromkeys(
        each.name for each in changes if each.name.lower() not in names
    )
    return wrote_to, View(
        attributes=(*view.attributes, *beside),
        secrets=view.secrets | {each.name for each in changes if each.secret},
        object_classes=tuple({*view.object_classes, *classes}),
        all_of=tuple(sorted(classes)),
        disabled=view.disabled,
    )


def _limits(job: jobs.LoadedJob, mapping: Mapping) -> Limits:
    said = job.job.limits
    by_attribute = _by_attribute(job, mapping)
    return Limits(
        said.update,
        said.clear,
        said.secret,
        said.agents_drop,
        said.matched_drop,
        by_attribute,
        said.state,
    )


def _beyond(
    stack: ExitStack, job: jobs.LoadedJob, mapping: Mapping
) -> Callable[[], Reader]:
    unique = (
        rule.name for rule in mapping.attributes if rule.unique and not rule.secret
    )
    view = View(
        tuple(dict.fromkeys((*(rule.directory for rule in mapping.match), *unique)))
    )
    return cache(lambda: stack.enter_context(closing(past_reader_of(job, view))))


def _names(stack: ExitStack, job: jobs.LoadedJob, show: Show) -> Callable[[], Reader]:
    """A reader of its own, so that a server that stumbles over a name does not fail what the plan needs."""
    hurried = job if show.asked else job.hurried(NAMES_SECONDS)
    directory = job.job.directory
    known = not show.asked and (directory.type != "ldap" or directory.id is None)
    return cache(
        lambda: stack.enter_context(
            closing(past_reader_of(hurried, View(show.attributes), unread=known))
        )
    )


def _shown(job: jobs.LoadedJob, mapping: Mapping, *, everybody: bool = False) -> Show:
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
    return Show(
        tuple(name for name in settings.show if name not in mapped), asked, everybody
    )


def _pins(settings: jobs.Job) -> tuple[Pin, ...]:
    if settings.pins is None:
        return ()
    return people_lists.load_pins(settings.pins)


def _exclude_list(settings: jobs.Job) -> ExcludeList:
    if settings.exclude is None:
        return ExcludeList()
    return people_lists.load_exclude_list(settings.exclude)


def approvers_of(job: jobs.LoadedJob) -> Approvers | None:
    """Who has to approve. Raises FileError."""
    settings = job.job.approvers
    return None if settings is None else load_approvers(job, settings)


def _by_attribute(job: jobs.LoadedJob, mapping: Mapping) -> dict[str, Limit]:
    """Limits of single attributes, by the mapping's spelling. Raises FileError for one that it does not write."""
    names = {rule.name.lower(): rule.name for rule in mapping.attributes}
    limits = {}
    for name, limit in job.job.limits.attributes.items():
        if name.lower() not in names:
            why = f"limits.attributes: the mapping does not write {name}; it writes {', '.join(sorted(names.values()))}"
            raise FileError(why, where=job.where("limits", "attributes", name))
        limits[names[name.lower()]] = limit
    return limits


def _tenant(settings: jobs.Job) -> str:
    """Where a job's agents come from, as of `JobIdentity`."""
    source = settings.source
    return (
        source.url if source.type == "cec" else f"file {os.path.realpath(source.path)}"
    )


def _places(settings: jobs.Job) -> tuple[tuple[str, str], ...]:
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
