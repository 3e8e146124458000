"""From a job file to what a run has at hand, its context."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from msgspec import Struct

from connector.apply.adapters import directory_of, reader_of, source_of
from connector.apply.context import (
    ApplyContext,
    ApplyUndoContext,
    JobPlace,
    JobRules,
    PlanContext,
    RunContext,
    SiblingJobs,
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
    from connector.directories.port import Reader


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
_Context = TypeVar("_Context", bound=RunContext)


def accept_job(path: Path) -> AcceptedJob:
    """Read all that the job in `path` is made of, but for secrets, without doing anything. Raises FileError."""
    with shared_texts({}) as texts:
        job = jobs.load_job(path)
        require_own_audit_file(job)
        mapping = mappings.load_mapping(job.job.mapping, path)
        _read_rules(job, mapping)
    return AcceptedJob(job, texts, mapping)


class RunOpening(Struct, frozen=True, kw_only=True):
    """How a run is opened."""

    remember: bool = True
    """False: the state is left alone."""
    attempt: Attempt | None = None
    """What the state notes of it if it comes to nothing; None: nothing."""
    everybody: bool = False
    """Whether a report will name all users of the changes."""
    mapping: Mapping | None = None
    """One in place of the job's; then nothing is left behind, not even in the state."""
    source: Source | None = None
    """One in place of the job's."""
    undoes: str | None = None
    """The run that is taken back."""
    plan_id: str = ""
    """Id of the plan that it makes; empty: a new one."""


@contextmanager
def open_run(
    kind: type[_Context],
    path: Path,
    make_observer: MakeObserver,
    opening: RunOpening = RunOpening(),  # noqa: B008  # a frozen value
) -> Iterator[_Context]:
    """Open what a run of the job in `path` has at hand; `kind`: what it is to do.

    Its observer is told of an end by an error too. Raises FileError, StateError, UsageError.
    """
    job = jobs.load_job(path)
    require_own_audit_file(job)
    plan_id = opening.plan_id or str(uuid4())
    counters.reset_counts()
    observer = make_observer(BegunRun(job, plan_id))
    try:
        with ExitStack() as stack:
            state = stack.enter_context(closing(_open_state(kind, job, opening)))
            if opening.attempt is not None:
                attempt = state.attempts.keep_attempt(
                    job.name, plan_id, opening.attempt
                )
                stack.enter_context(attempt)
            fields = _gather_fields(kind, job, opening, state, stack)
            yield kind(**fields, plan_id=plan_id, observer=observer)
    except BaseException as fault:
        observer.end_run(None, None, fault)
        raise


def _open_state(
    kind: type[RunContext],
    job: jobs.LoadedJob,
    opening: RunOpening,
) -> State:
    """The state that a run reads, and writes where it may. Raises StateError, FileError."""
    if not opening.remember:
        return open_state(None)
    if opening.mapping is not None:
        return open_kept_state(job)
    if kind is PlanContext:
        return open_state_or_memory(job)
    return open_named_state(job)


def _gather_fields(
    kind: type[RunContext],
    job: jobs.LoadedJob,
    opening: RunOpening,
    state: State,
    stack: ExitStack,
) -> dict[str, Any]:
    """The fields of a context, but for those that name the run. `stack` closes what they open."""
    writes = issubclass(kind, ApplyContext | ApplyUndoContext)
    mapping = opening.mapping or mappings.load_mapping(job.job.mapping, job.path)
    key = find_key(job, state, needed=writes, make=opening.mapping is None)
    sealer = Sealer(key)
    undoes = opening.undoes
    rules = _read_rules(job, mapping, everybody=opening.everybody, pins=undoes is None)
    fields = {
        "job": job.name,
        "rules": rules,
        "place": _describe_place(job, mapping, rules.approvers),
        "state": state,
        # where no key is kept, one for this run
        "fingerprint": make_fingerprinter(key or Secret(os.urandom(32).hex())),
        "sealer": sealer,
        "read": job.job.directory.read,
        "beyond": _open_wider_reader(stack, job, mapping),
        "names": _open_names_reader(stack, job, rules.show),
    }
    view = mapping.view()
    if undoes is not None:
        wrote_to, steps = state.read_steps_of_run(undoes, job.name, sealer)
        fields |= {"run": undoes, "wrote_to": wrote_to}
        view = _widen_view(mapping, steps)
    if writes:
        directory = stack.enter_context(closing(directory_of(job, view)))
        fields |= {"reader": directory, "directory": directory}
    else:
        fields["reader"] = stack.enter_context(closing(reader_of(job, view)))
    if undoes is None:
        fields["source"] = opening.source or source_of(job, mapping)
        fields["remembers"] = opening.mapping is None
    return fields


def _widen_view(
    mapping: Mapping,
    steps: Iterable[JournalStep],
) -> View:
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
        siblings=_name_siblings(job),
    )


def _name_siblings(job: jobs.LoadedJob) -> SiblingJobs:
    """The names of the siblings. Raises FileError where one is this job, or two have one name."""
    names: list[str] = []
    for number, path in enumerate(job.job.siblings):
        if path.stem in (job.name, *names):
            why = f"siblings: {path.stem} is this job, or named twice. Name each other job of the tenant once"
            raise FileError(why, where=job.where("siblings", number))
        names.append(path.stem)
    serve = job.job.serve
    return SiblingJobs(tuple(names), serve.max_age if serve else None)


def _describe_place(
    job: jobs.LoadedJob,
    mapping: Mapping,
    approvers: Approvers | None,
) -> JobPlace:
    source, directory = job.job.source, job.job.directory
    if source.type == "cec":
        tenant = agents = source.url
    else:
        tenant, agents = f"file {os.path.realpath(source.path)}", str(source.path)
    heading = [("source", agents), ("directory", _name_server(directory))]
    if directory.type == "scim":
        heading.append(("filter", directory.filter or "none: all users"))
    else:
        base = "; ".join(directory.base)
        heading += [("base", base), ("filter", directory.filter)]
    if approvers:
        heading.append((APPROVAL, approvers.approval_rule))
    files = (*list_files(job), Path(mapping.where))
    return JobPlace(
        file=str(job.path),
        files=frozenset(Path(os.path.realpath(file)) for file in files),
        tenant=tenant,
        heading=tuple(heading),
    )


def _name_server(directory: jobs.AnyDirectory) -> str:
    if directory.type == "scim":
        return directory.url
    if directory.type == "ldap":
        return ", ".join(directory.urls)
    return str(directory.path)


def _open_wider_reader(
    stack: ExitStack,
    job: jobs.LoadedJob,
    mapping: Mapping,
) -> Callable[[], Reader]:
    unique = (
        rule.name for rule in mapping.attributes if rule.unique and not rule.secret
    )
    view = View(
        tuple(dict.fromkeys((*(rule.directory for rule in mapping.match), *unique)))
    )
    return cache(lambda: stack.enter_context(closing(reader_of(job, view, past=True))))


def _open_names_reader(
    stack: ExitStack,
    job: jobs.LoadedJob,
    show: ShownNames,
) -> Callable[[], Reader]:
    """A reader of its own, so that a server that stumbles over a name does not fail what the plan needs."""
    hurried = job if show.asked else job.shorten_waits(NAMES_SECONDS)
    directory = job.job.directory
    names = View(show.attributes)
    known = not show.asked and (directory.type != "ldap" or directory.id is None)
    return cache(
        lambda: stack.enter_context(
            closing(reader_of(hurried, names, past=True, unread=known))
        )
    )


def _choose_shown(
    job: jobs.LoadedJob,
    mapping: Mapping,
    *,
    everybody: bool = False,
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


def _read_attribute_limits(
    job: jobs.LoadedJob,
    mapping: Mapping,
) -> dict[str, Limit]:
    """Limits of single attributes, by the mapping's spelling. Raises FileError for one that it does not write."""
    names = {rule.name.lower(): rule.name for rule in mapping.attributes}
    limits = {}
    for name, limit in job.job.limits.attributes.items():
        if name.lower() not in names:
            why = f"limits.attributes: the mapping does not write {name}; it writes {', '.join(sorted(names.values()))}"
            raise FileError(why, where=job.where("limits", "attributes", name))
        limits[names[name.lower()]] = limit
    return limits
