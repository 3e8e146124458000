"""The files that a job is, names or keeps, which nothing else may be written over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from connector.errors import FileError
from connector.settings.job import LoadedJob
from connector.state import keyfile


def set_apart(job: LoadedJob) -> None:
    """Raises FileError for an audit that would be added to another file of the job."""
    audit = job.job.audit.file if job.job.audit else None
    if audit is not None and list(map(os.path.realpath, files_of(job))).count(os.path.realpath(audit)) > 1:
        why = f"{audit} is another file of this job, and the audit would damage it: name a file of its own"
        raise FileError(why, where=job.where("audit", "file"))


def files_of(job: LoadedJob) -> Iterator[Path]:
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
