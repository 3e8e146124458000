"""Whether a job may be planned or applied at all: it may be on hold, another job's by its name, its plan spent."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from connector.apply.context import PlanContext, RunContext
from connector.errors import OnHoldError, OtherJobError
from connector.model import ON_HOLD, JobIdentity
from connector.model.dn import is_below, split_rdns
from connector.state.store import State


def require_no_hold(state: State, job: str) -> None:
    """Raises OnHoldError for a job on hold."""
    held = state.read_hold(job)
    if held is not None:
        since, why = held
        raise OnHoldError(f"this job is on hold since {since}: {why}", where=job)


def identify_job(context: RunContext) -> JobIdentity:
    """What the job of this context is now; the directory is asked what it is."""
    description = context.reader.describe()
    return JobIdentity(
        context.place.tenant,
        description.identity,
        description.scope.bases,
        os.path.realpath(context.place.file),
    )


def find_differences(before: JobIdentity, now: JobIdentity) -> list[str]:
    """What makes these two jobs of one name two jobs. A base that is added, or widened, makes none."""
    found = []
    if before.tenant and _normalize_address(before.tenant) != _normalize_address(
        now.tenant
    ):
        found.append("another tenant")
    if before.directory not in ("", now.directory):
        found.append("another directory")
    elif any(
        not is_below(base, *map(split_rdns, now.bases or ("",)))
        for base in _list_bases(before)
    ):
        found.append("another base")
    return found


def _normalize_address(tenant: str) -> str:
    """A tenant as it is compared: of a URL neither the case of the host nor the default port counts (RFC 3986 §6.2)."""
    parts = urlsplit(tenant)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    if default is None:
        return tenant
    return f"{parts.scheme}://{parts.hostname}:{parts.port or default}"


def _list_bases(job: JobIdentity) -> tuple[str, ...]:
    """The DNs below which its users are, the root where they are everywhere; nothing where that is not known."""
    return () if job.bases is None else job.bases or ("",)


def describe_job(job: JobIdentity) -> str:
    """A job in words, for the one who has to tell it from another."""
    below = f" below {'; '.join(job.bases)}" if job.bases else ""
    file, tenant = (
        job.file or "a file that is not known",
        job.tenant or "a tenant that is not known",
    )
    return (
        f"{file}: agents of {tenant}; directory {job.directory or 'not known'}{below}"
    )


def require_same_job(context: RunContext) -> None:
    """Raises OtherJobError where the state knows the job's name with another tenant or directory."""
    before, now = context.state.read_identity(context.job), identify_job(context)
    other = find_differences(before, now) if before else []
    if before and other:
        users = context.state.count_users(context.job)
        lines = (
            f"the state knows a job {context.job!r} with {' and '.join(other)}",
            f"applied before: {describe_job(before)}",
            f"this file now:  {describe_job(now)}",
            f"users who would lose values that the job wrote, unless an agent here claims them: {users:,}",
        )
        fault = OtherJobError("\n".join(lines), where=context.place.file)
        earlier = (
            before.file
            if Path(before.file).stem == context.job and Path(before.file).is_file()
            else context.place.file
        )
        fault.add_note(shlex.join(["cec-connector", "state", "rename", earlier, "NEW"]))
        fault.add_note(
            shlex.join(["cec-connector", "state", "move", context.place.file])
        )
        raise fault


def tell_hold(context: PlanContext) -> Iterator[tuple[str, str]]:
    """That an apply would be refused, for whoever reads a plan."""
    held = context.state.read_hold(context.job)
    if held:
        release = shlex.join(["cec-connector", "release", context.place.file])
        yield (
            ON_HOLD,
            f"since {held[0]}: {held[1]}; applies are refused. To allow them, run: {release}",
        )


def tell_undone(state: State, job: str) -> Iterator[str]:
    """That a run was taken back: a note of the next plans, so that no digest that was read before is theirs."""
    number = state.history.find_undo_to_heed(job)
    if number is not None:
        yield f"an undo, run number {number} of the state, took back a run. This plan may write the same again"
