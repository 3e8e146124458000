"""From a job file to the parts that a run is made of; an adapter is imported only when a job names it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from connector.directories.port import Directory, Read, Reader
from connector.errors import FileError, StateError
from connector.model import Description, Fingerprint, Secret, View
from connector.reconcile.fingerprints import fingerprinter
from connector.reconcile.limits import Limits
from connector.reconcile.mapping import Mapping
from connector.reconcile.people import Never, Pin
from connector.settings import job as jobs
from connector.settings import mapping as mappings
from connector.settings import people
from connector.settings.secrets import resolve
from connector.sources.port import Source
from connector.state.store import RunRecord, Store
from connector.watch import Watch

Adapter = TypeVar("Adapter")
Parts = TypeVar("Parts", bound="Dry")
Watching = Callable[[str], Watch]
"""Makes the watchers of a job, by its name."""


class Dry(Struct, frozen=True):
    """All that a dry run is made of; nothing in it can write to the directory."""

    job: str
    source: Source
    reader: Reader
    mapping: Mapping
    pins: tuple[Pin, ...]
    never: Never
    limits: Limits
    read: Read
    state: Store
    fingerprint: Fingerprint
    watch: Watch
    places: tuple[tuple[str, str], ...] = ()
    files: frozenset[Path] = frozenset()

    def about(self, description: Description) -> tuple[tuple[str, str], ...]:
        """Between what a plan is drawn, for the one who has to sign it."""
        about = (*self.places, ("server", description.kind), ("mapping", self.mapping.where))
        forgetful = "cannot be kept: what earlier runs wrote is not known to this one"
        return about if self.state.kept else (*about, ("state", forgetful))


class Wet(Dry, frozen=True, kw_only=True):
    """All that an apply is made of."""

    directory: Directory


@contextmanager
def dry(path: Path, watching: Watching, *, remember: bool = True) -> Iterator[Dry]:
    """The parts of a dry run of the job in `path`; without `remember` its state is left alone.

    Raises FileError, StateError.
    """
    with ExitStack() as stack:
        job = jobs.load(path)
        mapping = mappings.load(job.job.mapping, path)
        reader = stack.enter_context(closing(_located(job, _reader, mapping.view())))
        state = stack.enter_context(closing(_remembered(job) if remember else Store(None)))
        with _watched(Dry(reader=reader, **_common(job, mapping, state, watching))) as parts:
            yield parts


@contextmanager
def wet(path: Path, watching: Watching) -> Iterator[Wet]:
    """The parts of an apply of the job in `path`. Raises FileError, StateError."""
    with ExitStack() as stack:
        job = jobs.load(path)
        mapping = mappings.load(job.job.mapping, path)
        directory = stack.enter_context(closing(_located(job, _directory, mapping.view())))
        state = stack.enter_context(closing(Store(job.state_path)))
        with _watched(Wet(reader=directory, directory=directory, **_common(job, mapping, state, watching))) as parts:
            yield parts


@contextmanager
def _watched(parts: Parts) -> Iterator[Parts]:
    """Let the watchers know of an end by an error too."""
    try:
        yield parts
    except BaseException:
        parts.watch.finished(None, None)
        raise


def history(path: Path) -> list[RunRecord]:
    """The applies of the job in `path`, newest first."""
    job = jobs.load(path)
    if not job.state_path.exists():
        return []
    with closing(Store(job.state_path)) as state:
        return state.runs(job.name)


def _remembered(job: jobs.LoadedJob) -> Store:
    """The state as a dry run needs it: one that cannot be kept is made for this run alone."""
    try:
        return Store(job.state_path)
    except StateError:
        if os.path.lexists(job.state_path):
            raise
        return Store(None)


def _common(job: jobs.LoadedJob, mapping: Mapping, state: Store, watching: Watching) -> dict[str, Any]:
    settings = job.job
    limits = settings.limits
    key = resolve(settings.key, "the key of fingerprints", job.where("key")) if settings.key else state.key()
    return {
        "job": job.name,
        "source": _source(job),
        "mapping": mapping,
        "pins": people.load_pins(settings.pins) if settings.pins else (),
        "never": people.load_never(settings.never) if settings.never else Never(),
        "limits": Limits(limits.update, limits.clear, limits.secret, limits.agents_drop),
        "read": settings.directory.read if settings.directory.type == "ldap" else "auto",
        "state": state,
        "fingerprint": fingerprinter(key),
        "watch": watching(job.name),
        "places": _places(settings),
        "files": frozenset(map(Path, map(os.path.realpath, _files(job, mapping)))),
    }


def _files(job: jobs.LoadedJob, mapping: Mapping) -> Iterator[Path]:
    """Every file that the job is, names or keeps: nothing else may ever be written over them."""
    yield from (job.path, Path(mapping.where), job.state_path)
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
    where = ", ".join(directory.urls) if directory.type == "ldap" else str(directory.path)
    return ("source", source), ("directory", where), ("base", directory.base), ("filter", directory.filter)


def _source(job: jobs.LoadedJob) -> Source:
    settings = job.job.source
    if settings.type == "file":
        from connector.sources.file import FileSource

        return FileSource(settings.path, settings.max_bytes)
    from connector.sources.cec import CecSource

    app_key = resolve(settings.app_key, "the app key", job.where("source", "app_key"))
    app_secret = resolve(settings.app_secret, "the app secret", job.where("source", "app_secret"))
    return CecSource(settings, app_key, app_secret)


def _located(job: jobs.LoadedJob, make: Callable[[jobs.LoadedJob, View], Adapter], view: View) -> Adapter:
    """An adapter; what it finds wrong in the job's values is told with the job's line."""
    try:
        return make(job, view)
    except FileError as fault:
        keys = fault.where.split(".")
        if keys[0] != "directory":
            raise
        raise FileError(fault.what, where=job.where(*keys)) from None


def _reader(job: jobs.LoadedJob, view: View) -> Reader:
    settings = job.job.directory
    if settings.type == "ldif":
        from connector.directories.ldif import LdifReader

        return LdifReader(settings, view)
    from connector.directories.ldap.adapter import LdapReader

    return LdapReader(settings, _password(job), view)


def _directory(job: jobs.LoadedJob, view: View) -> Directory:
    settings = job.job.directory
    if settings.type == "ldif":
        from connector.directories.ldif import LdifDirectory

        return LdifDirectory(settings, view)
    from connector.directories.ldap.adapter import LdapDirectory

    return LdapDirectory(settings, _password(job), view)


def _password(job: jobs.LoadedJob) -> Secret | None:
    ref = job.job.directory.password if job.job.directory.type == "ldap" else None
    return resolve(ref, "the password of bind_dn", job.where("directory", "password")) if ref else None
