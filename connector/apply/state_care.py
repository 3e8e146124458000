"""Looking after the state of a job: what it holds, whether it is sound, copies of it, and a job that was moved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec import Struct, json
from msgspec.structs import replace

from connector.apply.approval import find_differences, identify_job
from connector.apply.context import PlanContext
from connector.apply.job_state import find_key, open_job_state
from connector.apply.planning import make_plan
from connector.errors import UsageError
from connector.model import JobIdentity
from connector.runtime.clock import format_now
from connector.settings import job as jobs
from connector.state.care import StateContents
from connector.state.forgetting import Person
from connector.state.journal_rows import Sealer
from connector.state.pruning import OldContents
from connector.state.sqlite import locate_key
from connector.state.store import State

_OWN: Final = ("-journal", "-wal", "-shm", ".key")
"""What SQLite and the key add to the name of a state."""


def read_contents(path: Path) -> StateContents | None:
    """What the state holds of the job in `path`; None: it has no state yet. Raises FileError, StateError."""
    with open_job_state(path) as (job, state):
        return state.read_contents(job.name) if state.kept else None


def find_faults(path: Path) -> list[str]:
    """What is wrong with the state of the job in `path`. Raises FileError, StateError, and UsageError without one."""
    with _open_existing(path) as (job, state):
        key = find_key(job, state, needed=False, make=False)
        return state.find_faults(job.name, Sealer(key))


def back_up(
    path: Path,
    to: Path,
) -> Path | None:
    """Copy the state of the job in `path` to a new file; where its key is, if that is a file beside the state.

    Raises FileError, StateError, UsageError, OutputError.
    """
    with _open_existing(path) as (job, state):
        file = job.state_path
        if file is None:
            state.back_up(to)
            return None
        if _is_beside(Path(os.path.realpath(file)), to):
            why = "the state takes a file of this name for its own. Name another file"
            raise UsageError(why, where=str(to))
        state.back_up(to)
        key = locate_key(file)
        if job.job.key or not os.path.lexists(key):
            return None
        return key


def _is_beside(
    state: Path,
    file: Path,
) -> bool:
    """Whether a file is named as what SQLite, the key or a lock of this state may be (sqlite.org/tempfiles.html)."""
    rest = file.name.removeprefix(state.name)
    same = file.name != rest and os.path.realpath(file.parent) == str(state.parent)
    return same and (rest in _OWN or rest.endswith(".lock"))


def rename_in_state(
    path: Path,
    new: str,
) -> tuple[str, str, int]:
    """Give all that is known of a job to another name: the old name, the new one, and how many users it wrote to.

    `path` is its file, under the name that it had; where that is renamed by now, `new` is the file. Raises FileError,
    StateError, UsageError, OnHoldError, BusyError.
    """
    old, renamed = path.stem, Path(new)
    name = renamed.stem if renamed.suffix in (".yaml", ".yml") else new
    is_renamed = renamed.exists() and not path.exists()
    with _open_existing(renamed if is_renamed else path) as (_, state):
        return old, name, state.rename_job(old, name)


def find_old_runs(
    path: Path,
    older: timedelta,
) -> OldContents:
    """What may be pruned from the state of the job in `path`. Raises FileError, StateError, UsageError."""
    before = format_now("seconds", older)
    with _open_existing(path) as (job, state):
        audited = _has_audit_file(job)
        return state.make_pruning(job.name, before, audited=audited).find_old()


def prune_runs(
    path: Path,
    shown: OldContents,
) -> int:
    """Take out what was shown, as far as nothing needs it by now; how many runs that were.

    Raises FileError, StateError, UsageError, and BusyError while a run of the job's
    directories is under way.
    """
    ids = {run.id for run in shown.runs}
    with _open_existing(path) as (job, state), state.hold_directories(job.name):
        audited = _has_audit_file(job)
        pruning = state.make_pruning(job.name, shown.before, audited=audited)
        now = pruning.find_old()
        runs = [run for run in now.runs if run.id in ids]
        return len(list(pruning.take_out(replace(now, runs=runs))))


def find_person(
    path: Path,
    user: str,
) -> Person:
    """What the state of the job in `path` holds of a user. Raises FileError, StateError, UsageError."""
    with _open_existing(path) as (job, state):
        audited = _has_audit_file(job)
        return state.make_forgetting(job.name, audited=audited).find_person(user)


def take_person_out(
    path: Path,
    shown: Person,
    *,
    agreed: bool,
) -> Person:
    """Take out the user that was shown; what there was. Raises what `prune_runs` raises, and UnsettledError.

    `agreed`: somebody lets the rivals that were shown write to the user.
    """
    rivals = shown.rivals if agreed else ()
    with _open_existing(path) as (job, state), state.hold_directories(job.name):
        forgetting = state.make_forgetting(job.name, audited=_has_audit_file(job))
        return forgetting.forget_person(shown.id, rivals)


def _has_audit_file(job: jobs.LoadedJob) -> bool:
    return job.job.audit is not None and job.job.audit.file is not None


@contextmanager
def _open_existing(path: Path) -> Iterator[tuple[jobs.LoadedJob, State]]:
    with open_job_state(path) as (job, state):
        if not state.kept:
            why = "this job has no state yet. Its first apply makes one"
            raise UsageError(why, where=str(path))
        yield job, state


# ---------------------------------------------------------------- a job that was moved


class JobMove(Struct, frozen=True):
    """What a job was before, what it is now, and whom that concerns."""

    before: JobIdentity
    now: JobIdentity
    losing: Sequence[tuple[str, str]]
    """Names and ids of users with values of this job whom none of its agents claims now."""

    @property
    def digest(self) -> str:
        """What somebody accepts who has looked at this."""
        return f"sha256:{sha256(json.encode(self)).hexdigest()}"


def find_move(context: PlanContext) -> JobMove:
    """Read tenant and directory, and find out who would lose values. Raises UsageError for a job that is the same."""
    now = identify_job(context)
    before = context.state.read_identity(context.job)
    if before is None or not find_differences(before, now):
        raise UsageError(
            "the state knows no other tenant or directory of this job: nothing to accept",
            where=now.file,
        )
    claimed = frozenset(make_plan(context).matches.user_ids())
    memory = context.state.memory(now.directory, context.job)
    if memory.is_new():  # else that is what goes on, and nothing is taken along
        memory = context.state.memory(before.directory, context.job)
    ours = (
        ref
        for ref, owned in memory.read_owned()
        if not all(each.restored for each in owned.values())
    )
    return JobMove(
        before, now, sorted((ref.name, ref.id) for ref in ours if ref.id not in claimed)
    )
