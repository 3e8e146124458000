"""From a job file to what a run has at hand, its context."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import Struct

from connector.errors import FileError, StateError, UsageError
from connector.model import OBJECT_CLASS, Description, Fingerprint, Secret, View
from connector.net import counters
from connector.net.secret_stores import resolve
from connector.reconcile.checks.limits import Limit, Limits, Pace
from connector.reconcile.fingerprints import fingerprinter
from connector.reconcile.mapping import Mapping
from connector.reconcile.matching.people import ExcludeList, Pin
from connector.reconcile.stale.other_jobs import OtherJobs
from connector.run.adapters import directory_of, past_reader_of, reader_of, source_of, transport_of
from connector.run.context import ApplyContext, ApplyUndoContext, PlanContext, UndoContext
from connector.runtime.observer import Observer
from connector.settings import job as jobs, mapping_file as mappings, people_lists
from connector.settings.textfile import noted
from connector.state import keyfile
from connector.state.history import RunRecord
from connector.state.sealing import Sealer
from connector.state.store import Store, open_state
from connector.state.telling import Telling
from connector.state.ticks import Tick

if TYPE_CHECKING:
    from connector.directories.port import Reader
    from connector.directories.scim.probe import Probe


class Begun(Struct, frozen=True):
    """A run that has just begun: of which job, and the id of the plan that it will make."""

    job: jobs.LoadedJob
    plan_id: str


class Accepted(Struct, frozen=True):
    """A job whose files are in order, with the text of each."""

    job: jobs.LoadedJob
    texts: dict[Path, str]


MakeObserver = Callable[[Begun], Observer]
"""Makes the observer of a run."""


@contextmanager
def plan_context(path: Path, make_observer: MakeObserver, *, remember: bool = True) -> Iterator[PlanContext]:
    """The context of a dry run of the job in `path`; without `remember` its state is left alone.

    Raises FileError, StateError.
    """
    opening = _for_a_plan if remember else lambda _: open_state(None)
    with _opened(path, opening, make_observer, writes=False) as (stack, job, mapping, common):
        reader = stack.enter_context(closing(reader_of(job, mapping.view())))
        yield PlanContext(reader=reader, **_sides(job, mapping), **common)


@contextmanager
def probe(path: Path) -> Iterator[Probe]:
    """A probe of the job's SCIM server, which makes a user of its own: so it holds the directory while it lasts.

    Raises FileError, UsageError, StateError, BusyError.
    """
    job = jobs.load(path)
    settings = job.job.directory
    if settings.type != "scim":
        raise UsageError(f"only a SCIM server is probed; this directory is of type {settings.type}", where=str(path))
    from connector.directories.scim.adapter import identity_of
    from connector.directories.scim.probe import Probe

    mapping = mappings.load(job.job.mapping, path)
    keys = [rule.directory for rule in mapping.match]
    anew = partial(transport_of, job, settings)
    with (
        closing(_state(job)) as state,
        state.lease(identity_of(settings.url), job.name),
        closing(anew()) as transport,
    ):
        yield Probe(settings, transport, mapping.view(), keys=keys, anew=anew)


@contextmanager
def apply_context(path: Path, make_observer: MakeObserver) -> Iterator[ApplyContext]:
    """The context of an apply of the job in `path`. Raises FileError, StateError."""
    with _opened(path, _state, make_observer) as (stack, job, mapping, common):
        directory = stack.enter_context(closing(directory_of(job, mapping.view())))
        yield ApplyContext(reader=directory, directory=directory, **_sides(job, mapping), **common)


@contextmanager
def undo_context(path: Path, make_observer: MakeObserver, run: str) -> Iterator[UndoContext]:
    """The context of an undo that is only shown. Raises FileError, StateError, UsageError."""
    with _opened(path, _state, make_observer, writes=False) as (stack, job, mapping, common):
        written, view = _written(job, run, mapping, common)
        reader = stack.enter_context(closing(reader_of(job, view)))
        yield UndoContext(reader=reader, **written, **common)


@contextmanager
def apply_undo_context(path: Path, make_observer: MakeObserver, run: str) -> Iterator[ApplyUndoContext]:
    """The context of an undo. Raises FileError, StateError, UsageError."""
    with _opened(path, _state, make_observer) as (stack, job, mapping, common):
        written, view = _written(job, run, mapping, common)
        directory = stack.enter_context(closing(directory_of(job, view)))
        yield ApplyUndoContext(reader=directory, directory=directory, **written, **common)


def accept(path: Path) -> Accepted:
    """Read all that the job in `path` is made of, but for secrets, without doing anything. Raises FileError."""
    with noted() as texts:
        job = jobs.load(path)
        _set_apart(job)
        _by_attribute(job, mappings.load(job.job.mapping, path))
        _pins(job.job)
        _exclude_list(job.job)
    return Accepted(job, texts)


Opened = tuple[ExitStack, jobs.LoadedJob, Mapping, dict[str, Any]]


@contextmanager
def _opened(
    path: Path, opening: Callable[[jobs.LoadedJob], Store], make_observer: MakeObserver, *, writes: bool = True
) -> Iterator[Opened]:
    """The job, its mapping, and what every run has at hand; its observer is told of an end by an error too."""
    job = jobs.load(path)
    _set_apart(job)
    plan_id = str(uuid4())
    counters.begin()
    observer = make_observer(Begun(job, plan_id))
    try:
        with ExitStack() as stack:
            mapping = mappings.load(job.job.mapping, path)
            state = stack.enter_context(closing(opening(job)))
            common = _common(job, mapping, state, _key(job, state, needed=writes))
            common |= {"observer": observer, "plan_id": plan_id, "beyond": _beyond(stack, job, mapping)}
            yield stack, job, mapping, common
    except BaseException as fault:
        observer.finished(None, None, fault)
        raise


def _written(job: jobs.LoadedJob, run: str, mapping: Mapping, common: dict[str, Any]) -> tuple[dict[str, Any], View]:
    """Where a run wrote to, and what of its users has to be read to take it back: the mapping may be another by now."""
    wrote_to, steps = common["state"].steps(run, job.name, common["sealer"])
    changes = [each for step in steps for each in step.change.attributes]
    classes = {str(name) for each in changes if each.name == OBJECT_CLASS for name in each.new}
    names = {rule.name.lower() for rule in mapping.attributes} | {OBJECT_CLASS.lower()}
    view = mapping.view()
    beside = dict.fromkeys(each.name for each in changes if each.name.lower() not in names)
    return {"run": run, "wrote_to": wrote_to}, View(
        attributes=(*view.attributes, *beside),
        secrets=view.secrets | {each.name for each in changes if each.secret},
        object_classes=tuple({*view.object_classes, *classes}),
        all_of=tuple(sorted(classes)),
        disabled=view.disabled,
    )


def last_tick(job: jobs.LoadedJob) -> Tick | None:
    """The last run of the job's schedule. Raises StateError."""
    if _never_kept(job):
        return None
    with closing(_state(job)) as state:
        return state.ticks(job.name).last()


def history(path: Path) -> list[RunRecord]:
    """The applies of the job in `path`, newest first."""
    job = jobs.load(path)
    if _never_kept(job):
        return []
    with closing(_state(job)) as state:
        return state.history.runs(job.name)


def other_jobs(path: Path, mapping: Mapping, description: Description) -> OtherJobs | None:
    """What other jobs of this job's state wrote to the directory; None: nothing is remembered yet."""
    job = jobs.load(path)
    if _never_kept(job):
        return None
    with closing(_state(job)) as state:
        return OtherJobs(state.memory(description.identity, job.name), mapping, description, lambda _: True)


def hold_on(path: Path) -> tuple[str, str] | None:
    """Since when the job in `path` is on hold, and why. Raises StateError."""
    job = jobs.load(path)
    with closing(open_state(None) if _never_kept(job) else _state(job)) as state:
        return state.held(job.name)


def try_state(path: Path) -> None:
    """See that the state of the job in `path` can be written, and leave nothing there. Raises StateError."""
    job = jobs.load(path)
    if job.state_path is not None:
        where = Path(os.path.realpath(job.state_path)).parent
        try:
            with tempfile.TemporaryFile(dir=where):  # locks and the key are beside it
                pass
        except OSError as fault:
            what = f"the state cannot be written: nothing can be made in its folder {where} ({fault.strerror})"
            raise StateError(what, where=str(job.state_path)) from None
    if not _never_kept(job):
        with closing(_state(job)) as state:
            state.try_writing()


def rename(path: Path, new: str) -> tuple[str, str, int]:
    """Give all that is known of a job to another name: the old name, the new one, and how many users it wrote to.

    `path` is its file, under the name that it had; where that is renamed by now, `new` is the file. Raises FileError,
    StateError, UsageError, BusyError.
    """
    renamed = Path(new)
    old, name = path.stem, renamed.stem if renamed.suffix in (".yaml", ".yml") else new
    job = jobs.load(renamed if not path.exists() and renamed.exists() else path)
    if _never_kept(job):
        raise UsageError("this job has no state yet, so there is nothing to rename", where=str(path))
    with closing(_state(job)) as state:
        return old, name, state.rename(old, name)


@contextmanager
def accounts(path: Path) -> Iterator[tuple[jobs.LoadedJob, Telling | None, Fingerprint]]:
    """What is owed to the audit of the job in `path`, while no run of it is under way; None: it has no state yet.

    Raises FileError, StateError, UsageError, BusyError.
    """
    job = jobs.load(path)
    _set_apart(job)
    if job.job.audit is None:
        raise UsageError("this job has no `audit` section: nothing is told to anybody", where=str(path))
    with closing(open_state(None) if _never_kept(job) else _state(job)) as state, state.leases(job.name):
        key = _key(job, state, needed=False)
        fingerprint = fingerprinter(key or Secret(secrets.token_hex(32)))
        yield job, state.telling.of(job.name, Sealer(key)) if state.kept else None, fingerprint


def release(path: Path) -> bool:
    """Let the job in `path` apply again; whether it was on hold."""
    job = jobs.load(path)
    if _never_kept(job):
        return False
    with closing(_state(job)) as state:
        return state.release(job.name)


def _never_kept(job: jobs.LoadedJob) -> bool:
    """Whether there is no state yet. Raises StateError where that cannot be told."""
    if job.state_path is None:
        return False
    try:
        job.state_path.stat()
    except FileNotFoundError:
        return True
    except OSError as fault:
        raise StateError(f"cannot be reached: {fault.strerror}", where=str(job.state_path)) from None
    return False


def _state(job: jobs.LoadedJob) -> Store:
    """The state that the job names. Raises StateError, and FileError with the job's line."""
    try:
        return open_state(job.job.state)
    except FileError as fault:
        raise FileError(fault.what, where=job.where("state")) from None


def _for_a_plan(job: jobs.LoadedJob) -> Store:
    """The same for a dry run: of a file that is not there and cannot be made, one that is kept for this run alone."""
    try:
        return _state(job)
    except StateError:
        if job.state_path is None or os.path.lexists(job.state_path):
            raise
        return open_state(None)


def _key(job: jobs.LoadedJob, state: Store, *, needed: bool) -> Secret | None:
    """The key of fingerprints and seals; None where none can be kept, and none is `needed`."""
    if job.job.key:
        return resolve(job.job.key, "the key of fingerprints", job.where("key"))
    return keyfile.key_of(job.state_path, needed=needed) if state.kept and job.state_path else None


def _common(job: jobs.LoadedJob, mapping: Mapping, state: Store, key: Secret | None) -> dict[str, Any]:
    settings = job.job
    limits = settings.limits
    return {
        "job": job.name,
        "mapping": mapping,
        "limits": Limits(
            limits.update,
            limits.clear,
            limits.secret,
            limits.agents_drop,
            limits.matched_drop,
            _by_attribute(job, mapping),
            limits.state,
        ),
        "sealer": Sealer(key),
        "pace": Pace(
            tuple(settings.ramp),
            settings.max_failures,
            0 if settings.directory.type == "ldif" else settings.directory.settle_time,
        ),
        "exclude": _exclude_list(settings),
        "read": "auto" if settings.directory.type == "ldif" else settings.directory.read,
        "state": state,
        "fingerprint": fingerprinter(key or Secret(secrets.token_hex(32))),  # where none is kept, one for this run
        "places": _places(settings),
        "files": frozenset(Path(os.path.realpath(file)) for file in (*_files(job), Path(mapping.where))),
    }


def _sides(job: jobs.LoadedJob, mapping: Mapping) -> dict[str, Any]:
    return {"source": source_of(job, mapping), "pins": _pins(job.job)}


def _beyond(stack: ExitStack, job: jobs.LoadedJob, mapping: Mapping) -> Callable[[], Reader]:
    unique = (rule.name for rule in mapping.attributes if rule.unique and not rule.secret)
    view = View(tuple(dict.fromkeys((*(rule.directory for rule in mapping.match), *unique))))
    return cache(lambda: stack.enter_context(closing(past_reader_of(job, view))))


def _pins(settings: jobs.Job) -> tuple[Pin, ...]:
    return people_lists.load_pins(settings.pins) if settings.pins else ()


def _exclude_list(settings: jobs.Job) -> ExcludeList:
    return people_lists.load_exclude_list(settings.exclude) if settings.exclude else ExcludeList()


def _by_attribute(job: jobs.LoadedJob, mapping: Mapping) -> dict[str, Limit]:
    """Limits of single attributes, by the mapping's spelling. Raises FileError for one that it does not write."""
    names = {rule.name.lower(): rule.name for rule in mapping.attributes}
    limits = {}
    for name, limit in job.job.limits.attributes.items():
        if name.lower() not in names:
            why = f"limits.attributes: the mapping writes no {name}; it writes {', '.join(sorted(names.values()))}"
            raise FileError(why, where=job.where("limits", "attributes", name))
        limits[names[name.lower()]] = limit
    return limits


def _set_apart(job: jobs.LoadedJob) -> None:
    """Raises FileError for an audit that would be added to another file of the job."""
    audit = job.job.audit.file if job.job.audit else None
    if audit is not None and list(map(os.path.realpath, _files(job))).count(os.path.realpath(audit)) > 1:
        why = f"{audit} is another file of this job, and the audit would damage it: name a file of its own"
        raise FileError(why, where=job.where("audit", "file"))


def _files(job: jobs.LoadedJob) -> Iterator[Path]:
    """Every file that the job is, names or keeps, but a ready mapping: nothing else may ever be written over them."""
    yield from (job.path, Path(job.job.mapping))
    if job.state_path is not None:
        yield from (job.state_path, keyfile.beside(job.state_path))
    waiting: list[object] = [job.job.model_dump()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Path):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())


def _places(settings: jobs.Job) -> tuple[tuple[str, str], ...]:
    """Where a job reads and writes, in the words of its file."""
    source = settings.source.url if settings.source.type == "cec" else str(settings.source.path)
    directory = settings.directory
    if directory.type == "scim":
        return ("source", source), ("directory", directory.url), ("filter", directory.filter or "none: all users")
    where = ", ".join(directory.urls) if directory.type == "ldap" else str(directory.path)
    return ("source", source), ("directory", where), ("base", directory.base), ("filter", directory.filter)
