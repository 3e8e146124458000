"""What the state of a job says, and does, without a run of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from connector.errors import ConnectorError, FileError, StateError, UsageError
from connector.model import Approval, Description, Fingerprint, Secret
from connector.model.digests import make_fingerprinter, make_readable
from connector.model.mapping import Mapping
from connector.net.secret_stores import fetch_secret
from connector.planning.check_drafts import OtherJobs, find_other_jobs
from connector.reports.visible import make_visible
from connector.settings import job as jobs
from connector.settings.shape import walk_parts
from connector.state.audit_lines import AuditLine, AuditLines, ChainHead
from connector.state.history import LAST, Attempt, RunRecord
from connector.state.notes import Tick
from connector.state.sqlite import locate_key, read_or_make_key
from connector.state.store import State, open_state


def read_last_tick(job: jobs.LoadedJob) -> Tick | None:
    """The last run of the job's schedule. Raises StateError."""
    with open_closing_state(job) as state:
        return state.ticks(job.name).read_last()


def list_runs(
    path: Path,
    run: str | None = None,
) -> list[RunRecord]:
    """The applies of the job in `path`, newest first; of one `run`, as `find_run` takes it, that alone."""
    with open_job_state(path) as (job, state):
        runs = state.history.list_runs(job.name)
        if run is None:
            return runs
        named = state.history.find_run(job.name, run)
        return [each for each in runs if each.id == named]


def find_run_id(
    path: Path,
    run: str,
) -> str:
    """The id of a run of the job in `path`, by the id, a beginning of it, or `last`. Raises UsageError.

    Without a state yet, what was written: whoever needs one says what is wrong with it.
    Only the last one is not there.
    """
    with open_job_state(path) as (job, state):
        if not state.kept and run != LAST:
            return run
        return state.history.find_run(job.name, run)


def read_other_jobs(
    path: Path,
    mapping: Mapping,
    description: Description,
) -> OtherJobs:
    """What other jobs of this job's state wrote to the directory."""
    with open_job_state(path) as (job, state):
        memory = state.memory(description.identity, job.name)
        return find_other_jobs(memory, mapping, description, lambda _: True)


def read_hold(path: Path) -> tuple[str, str] | None:
    """Since when the job in `path` is on hold, and why. Raises StateError."""
    with open_job_state(path) as (job, state):
        return state.read_hold(job.name)


def try_state(path: Path) -> None:
    """See that the state of the job in `path` can be written, and leave nothing there. Raises StateError."""
    job = jobs.load_job(path)
    if job.state_path is not None:
        where = Path(os.path.realpath(job.state_path)).parent
        try:
            with tempfile.TemporaryFile(dir=where):  # locks and the key are beside it
                pass
        except OSError as fault:
            what = f"the state cannot be written: no file can be created in its folder {where} ({fault.strerror})"
            raise StateError(what, where=str(job.state_path)) from None
    with open_closing_state(job) as state:
        state.try_writing()


@contextmanager
def open_audit(
    path: Path,
) -> Iterator[tuple[jobs.LoadedJob, AuditLines | None, Fingerprint]]:
    """The audit of the job in `path`, while no run of it is under way; None: it has no state yet.

    Raises FileError, StateError, UsageError, BusyError.
    """
    job = jobs.load_job(path)
    require_own_audit_file(job)
    if job.job.audit is None:
        raise UsageError("this job has no `audit` section. Add one", where=str(path))
    with open_closing_state(job) as state, state.hold_directories(job.name):
        key = find_key(job, state, needed=False)
        fingerprint = make_fingerprinter(key or Secret(os.urandom(32).hex()))
        yield job, state.audit if state.kept else None, fingerprint


def read_audit(path: Path) -> tuple[str, ChainHead, list[AuditLine]]:
    """The name of the job in `path`, the last line of its audit, and the lines that the state keeps.

    Raises FileError, StateError.
    """
    with open_job_state(path) as (job, state):
        kept = [line for lines in state.audit.read_lines(job.name) for line in lines]
        return make_readable(job.name), state.audit.read_head(job.name), kept


def find_runs_that_wrote(path: Path) -> dict[str, tuple[str, int]]:
    """The runs of the job in `path` that have ended and wrote to users, by id: when each began, and to how many.

    Raises FileError, StateError.
    """
    with open_job_state(path) as (job, state):
        runs = state.history.list_runs(job.name)
    return {
        run.id: (run.started, run.outcomes["written"])
        for run in runs
        if run.ended and run.outcomes.get("written")
    }


@contextmanager
def note_failed_attempt(
    path: Path,
    id_: str,
    attempt: Attempt,
) -> Iterator[None]:
    """Note an attempt of the job in `path` that ends here by a fault. Its state is not open meanwhile."""
    try:
        yield
    except BaseException:
        with suppress(ConnectorError):  # also where the job's file has gone meanwhile
            job = jobs.load_job(path)
            with (
                closing(open_named_state(job)) as state,
                state.attempts.keep_attempt(job.name, id_, attempt),
            ):
                raise
        raise


def make_release_request(path: Path) -> str:
    """What people sign who approve a release of this job; see `_describe_release`. Raises FileError, StateError."""
    with open_job_state(path) as (job, state):
        return _describe_release(job, state)


def release_hold(
    path: Path,
    approve: Callable[[jobs.LoadedJob, str], Sequence[Approval]],
    record: Callable[[str, Sequence[Approval]], None],
) -> bool:
    """Let the job in `path` apply again; whether it was on hold.

    `approve` is handed the text that people sign, empty where nobody has to, and may raise UnapprovedError. `record`
    is told before why the job is on hold, and who has approved; it raises where that cannot
    be kept.
    """
    with open_job_state(path) as (job, state):
        held = state.read_hold(job.name)
        approvals = approve(
            job, _describe_release(job, state) if job.job.approvers else ""
        )
        if held:
            record(held[1], approvals)
        return state.release_job(job.name, approvals, seen=held)


def _describe_release(
    job: jobs.LoadedJob,
    state: State,
) -> str:
    """The job, its hold and its last run.

    The hold has its time, and off hold the last run its id: no signature is good for
    another release.
    """
    held, last = state.read_hold(job.name), state.history.find_last_run(job.name)
    hold = [f"on hold since: {held[0]}", f"why: {held[1]}"] if held else ["on hold: no"]
    lines = [f"job: {job.name}", *hold, f"last run: {last or 'none'}"]
    return "".join(
        f"{make_visible(line)}\n" for line in ("cec-connector release", *lines)
    )


@contextmanager
def open_job_state(path: Path) -> Iterator[tuple[jobs.LoadedJob, State]]:
    """The job in `path` and its state. Raises FileError, StateError."""
    job = jobs.load_job(path)
    with open_closing_state(job) as state:
        yield job, state


@contextmanager
def open_closing_state(job: jobs.LoadedJob) -> Iterator[State]:
    """As `open_kept_state`; it is closed in the end."""
    with closing(open_kept_state(job)) as state:
        yield state


def open_kept_state(job: jobs.LoadedJob) -> State:
    """The state of a job; an empty one in memory where there is none yet.

    Raises StateError where that cannot be told.
    """
    try:
        if job.state_path is not None:
            job.state_path.stat()
    except FileNotFoundError:
        return open_state(None)
    except OSError as fault:
        what = f"cannot be reached: {fault.strerror}"
        raise StateError(what, where=str(job.state_path)) from None
    return open_named_state(job)


def open_named_state(job: jobs.LoadedJob) -> State:
    """The state that the job names. Raises StateError, and FileError with the job's line."""
    try:
        return open_state(job.job.state)
    except FileError as fault:
        raise FileError(fault.what, where=job.where("state")) from None


def require_shared(job: jobs.LoadedJob) -> None:
    """Raises FileError for a job whose state is a file, which only one machine has."""
    if job.state_path is not None:
        why = "a fleet needs a state that all its workers share. Set `state: postgresql://…`"
        raise FileError(why, where=job.where("state"))


def open_state_or_memory(job: jobs.LoadedJob) -> State:
    """The state of a dry run: of a file that is not there and cannot be made, one that is kept for this run alone."""
    try:
        return open_named_state(job)
    except StateError:
        if job.state_path is None or os.path.lexists(job.state_path):
            raise
        return open_state(None)


def find_key(
    job: jobs.LoadedJob,
    state: State,
    *,
    needed: bool,
    make: bool = True,
) -> Secret | None:
    """The key of fingerprints and seals; None where none can be kept or is to be made, and none is `needed`."""
    if job.job.key:
        return fetch_secret(job.job.key, "the key of fingerprints", job.where("key"))
    return (
        read_or_make_key(job.state_path, needed=needed, make=make)
        if state.kept and job.state_path
        else None
    )


def require_own_audit_file(job: jobs.LoadedJob) -> None:
    """Raises FileError for an audit that would be added to another file of the job."""
    audit = job.job.audit.file if job.job.audit else None
    if (
        audit is not None
        and list(map(os.path.realpath, list_files(job))).count(os.path.realpath(audit))
        > 1
    ):
        why = f"{audit} is another file of this job. Give the audit a file of its own"
        raise FileError(why, where=job.where("audit", "file"))


def list_files(job: jobs.LoadedJob) -> Iterator[Path]:
    """Every file that the job is, names or keeps, but a ready mapping: nothing else may ever be written over them."""
    yield from (job.path, Path(job.job.mapping))
    if job.state_path is not None:
        yield from (job.state_path, locate_key(job.state_path))
    yield from (value for _, value in walk_parts(job.job) if isinstance(value, Path))
