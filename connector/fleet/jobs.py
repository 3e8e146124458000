"""The job files of a fleet: those of one folder, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connector.errors import FileError, UsageError
from connector.run.waiting import require_shared
from connector.settings.fleet import NAME
from connector.settings.job import LoadedJob, shaped
from connector.settings.textfile import Document, raise_together, read_yaml

NAMES: Final = ("*.yaml", "*.yml")
RESERVED: Final = "fleet"
"""The name of what is the whole fleet's in Temporal."""
_OF_A_MAPPING: Final = {"match", "attributes"}
_OF_A_JOB: Final = {"source", "directory"}


def read_jobs(folder: Path, fleet: Path) -> list[LoadedJob]:
    """Every job of the folder, by name. Mapping files and the fleet file may lie there too; hidden files are left out.

    Raises FileError with what is wrong in all of them, also where one cannot run in a
    fleet; UsageError where the folder has no job at all.
    """
    jobs: dict[str, LoadedJob] = {}
    faults: list[FileError] = []
    for path in _files(folder, fleet):
        try:
            job = _read(path)
        except FileError as fault:
            faults.append(fault)
        else:
            if job is not None and job is not jobs.setdefault(job.name, job):
                why = (
                    f"{jobs[job.name].path.name} is a job of the same name. Rename one"
                )
                faults.append(FileError(why, where=str(path)))
    raise_together(faults)
    if not jobs:
        raise UsageError("holds no job files, so nothing is done", where=str(folder))
    return list(jobs.values())


def names(folder: Path, fleet: Path) -> list[str]:
    """The names of all jobs of the folder, also of those whose files are wrong. Raises UsageError for no folder."""
    found = set()
    for path in _files(folder, fleet):
        try:
            named = not _is_mapping(read_yaml(path))
        except FileError:
            named = True
        if named:
            found.add(path.stem)
    return sorted(found)


def path_of(folder: Path, job: str) -> Path:
    """The file of a job."""
    long = folder / f"{job}.yaml"
    short = folder / f"{job}.yml"
    return short if short.exists() and not long.exists() else long


def _files(folder: Path, fleet: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder))
    for path in sorted(path for name in NAMES for path in folder.glob(name)):
        if (
            not path.name.startswith(".")
            and path.name != NAME
            and path.resolve() != fleet.resolve()
        ):
            yield path


def _is_mapping(document: Document) -> bool:
    return (
        bool(_OF_A_MAPPING & document.data.keys())
        and not _OF_A_JOB & document.data.keys()
    )


def _read(path: Path) -> LoadedJob | None:
    """The job of a file; None: it is a mapping file."""
    document = read_yaml(path)
    if _is_mapping(document):
        return None
    job = shaped(document)
    if job.name == RESERVED:
        raise FileError(
            "no job of a fleet can have this name. Rename the file", where=str(path)
        )
    require_shared(job)
    return job
