"""The job files of a fleet, those of one folder, and what the limits know of a job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from connector.errors import FileError, UsageError
from connector.fleet.limits import PlaceRequest, SharedLimits
from connector.fleet.values import Step
from connector.run.waiting import require_shared
from connector.serve.accounts import Account
from connector.settings.fleet import NAME, LoadedFleet
from connector.settings.job import LoadedJob, shaped
from connector.settings.textfile import Document, raise_together, read_yaml

RESERVED: Final = "fleet"
"""A name that is the whole fleet's in Temporal."""
_PATTERNS: Final = ("*.yaml", "*.yml")
_MAPPING_KEYS: Final = {"match", "attributes"}
_JOB_KEYS: Final = {"source", "directory"}


def read_jobs(folder: Path, fleet: Path) -> list[LoadedJob]:
    """Every job of the folder, by name. Mapping files and the fleet file may lie there, too.

    Raises FileError with what is wrong in all files, also where a job cannot run in a fleet;
    UsageError where the folder has no job at all.
    """
    jobs: dict[str, LoadedJob] = {}
    faults: list[FileError] = []
    for path in _find_files(folder, fleet):
        try:
            job = _read_job(path)
        except FileError as fault:
            faults.append(fault)
            continue
        if job is not None and job is not jobs.setdefault(job.name, job):
            other = jobs[job.name].path.name
            why = f"{other} is a job of the same name. Rename one"
            faults.append(FileError(why, where=str(path)))
    raise_together(faults)
    if not jobs:
        raise UsageError("holds no job files, so nothing is done", where=str(folder))
    return list(jobs.values())


def read_names(folder: Path, fleet: Path) -> list[str]:
    """The names of all jobs of the folder, also of those whose files are wrong."""
    return sorted({path.stem for path, _ in _read_documents(folder, fleet)})


def path_of(folder: Path, job: str) -> Path:
    """The file of a job."""
    long = folder / f"{job}.yaml"
    short = folder / f"{job}.yml"
    return short if short.exists() and not long.exists() else long


def open_limits(fleet: LoadedFleet, folder: Path) -> SharedLimits:
    """The limits of the fleet, in the database of the fleet file, or else in that of all its jobs.

    Raises FileError where neither names one database.
    """
    settings = fleet.settings
    name = f"{settings.namespace}/{settings.task_queue}"
    url = settings.state or _read_common_state(folder, fleet.path)
    if not url.startswith("postgres"):
        why = "names no database for the fleet's limits, and the jobs do not name one together"
        raise FileError(f"{why}. Add `state: postgresql://…`", where=str(fleet.path))
    return SharedLimits(url, name, settings.limits)


def _read_common_state(folder: Path, fleet: Path) -> str:
    """The state that all jobs name, apart from those that cannot be read; empty: there is none."""
    documents = [found for _, found in _read_documents(folder, fleet) if found]
    named = {str(document.data.get("state")) for document in documents}
    return named.pop() if len(named) == 1 else ""


def place_request(job: LoadedJob, token: str, step: Step) -> PlaceRequest:
    """What the limits are told of a step of this job: hashes in place of names."""
    source, directory = job.job.source, job.job.directory
    host = urlsplit(source.url).netloc if source.type == "cec" else ""
    if directory.type == "ldap":
        server = urlsplit(min(directory.urls)).netloc
    elif directory.type == "scim":
        server = urlsplit(directory.url).netloc
    else:
        server = str(directory.path)
    account = Account.of(job.job)
    login = f"{_hash_name(server)} {account.who} {account.kept}"
    return PlaceRequest(
        token,
        job.name,
        step,
        source=_hash_name(host) if host else "",
        server=_hash_name(server),
        account=_hash_name(login),
    )


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.lower().encode()).hexdigest()[:16]


def _find_files(folder: Path, fleet: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder))
    for path in sorted(path for name in _PATTERNS for path in folder.glob(name)):
        is_fleet = path.name == NAME or path.resolve() == fleet.resolve()
        if not path.name.startswith(".") and not is_fleet:
            yield path


def _read_documents(
    folder: Path, fleet: Path
) -> Iterator[tuple[Path, Document | None]]:
    """The file of each job; None: it cannot be read. Raises UsageError where there is no folder."""
    for path in _find_files(folder, fleet):
        try:
            document = read_yaml(path)
        except FileError:
            yield path, None
        else:
            if not _is_mapping(document):
                yield path, document


def _is_mapping(document: Document) -> bool:
    keys = document.data.keys()
    return bool(_MAPPING_KEYS & keys) and not _JOB_KEYS & keys


def _read_job(path: Path) -> LoadedJob | None:
    """The job of a file; None: it is a mapping file."""
    document = read_yaml(path)
    if _is_mapping(document):
        return None
    job = shaped(document)
    if job.name == RESERVED:
        why = "no job of a fleet can have this name. Rename the file"
        raise FileError(why, where=str(path))
    require_shared(job)
    return job
