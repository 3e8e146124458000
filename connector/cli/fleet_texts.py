"""What the commands of `fleet` print: lines of text, and the JSON document of the status."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from connector.cli.advice import Exit
from connector.reports.wording import count_noun

if TYPE_CHECKING:
    from connector.fleet.limits import FleetStatus
    from connector.fleet.schedules import SchedulePlan
    from connector.fleet.values import JobStatus, StepResult


# ---------------------------------------------------------------- schedules


def describe_plan(plan: SchedulePlan) -> Iterator[str]:
    """How the schedules differ from the job files."""
    for change in plan.changes:
        yield f"{change.verb:<8}{change.job}: {change.why}"
    for job, note in plan.held:
        by_hand = f"by hand ({note})" if note else "by hand"
        stays = "It stays paused until somebody resumes it in Temporal"
        yield f"{'paused':<8}{job}: {by_hand}. {stays}"
    in_step = f"{count_noun(plan.same, 'schedule')} in step"
    yield f"{count_noun(len(plan.changes), 'change')}, {in_step}."


# ---------------------------------------------------------------- status


def sort_standings(state: FleetStatus, job_names: Sequence[str]) -> list[JobStatus]:
    """How those jobs stand that have run: the worst first, then by name."""
    from connector.fleet.values import STATES

    standings = [state.jobs[name] for name in job_names if name in state.jobs]
    return sorted(standings, key=lambda each: (STATES.index(each.state), each.job))


def make_status_document(
    state: FleetStatus, standings: Sequence[JobStatus], job_names: Sequence[str]
) -> dict[str, object]:
    """The status as a document."""
    return {
        "form": "cec-connector/fleet/1",
        "applies_stopped_since": time_of(state.braked),
        "waiting_to_begin": state.waiting,
        "under_way": state.under_way,
        "not_run_yet": [name for name in job_names if name not in state.jobs],
        "jobs": [
            {
                "job": standing.job,
                "state": standing.state,
                "since": time_of(standing.since),
                "last": time_of(standing.ended),
                "last_good": time_of(standing.last_good),
                "exit_code": standing.code,
                "digest": standing.digest,
                "changes": standing.changes,
            }
            for standing in standings
        ],
    }


def describe_status(
    state: FleetStatus,
    standings: Sequence[JobStatus],
    job_names: Sequence[str],
    folder: Path,
) -> Iterator[str]:
    """The brake, the jobs by state, and how many steps are under way. Jobs in step are only counted."""
    from connector.fleet.values import STATES

    if state.braked:
        since = time_of(state.braked)
        yield f"APPLIES HAVE STOPPED since {since}: too many jobs turned bad."
        yield "Find the cause by the jobs below and the logs of the workers."
        yield "To let applies begin again, run:"
        yield f"    cec-connector fleet resume {shlex.quote(str(folder))}"
        yield ""
    for name in STATES:
        group = [standing for standing in standings if standing.state == name]
        if group:
            yield f"{name}: {len(group):,}"
        if name != "in step":
            for each in group:
                since = time_of(each.since)
                yield f"    {each.job}  since {since}{_describe_standing(each)}"
    left = [name for name in job_names if name not in state.jobs]
    if left:
        yield f"not run yet: {len(left):,}"
    yield f"under way: {len(state.under_way):,}, waiting to begin: {state.waiting:,}"


def _describe_standing(standing: JobStatus) -> str:
    waits = standing.state == "waiting for approval"
    if standing.digest and (waits or standing.state in ("refused", "rejected")):
        beyond = (
            ", beyond its limits" if waits and standing.code == Exit.REFUSED else ""
        )
        return f", {count_noun(standing.changes, 'change')}{beyond}, {standing.digest}"
    last = f", last good {time_of(standing.last_good)}" if standing.last_good else ""
    return f", exit code {standing.code}{last}"


# ---------------------------------------------------------------- runs and approvals


def describe_run(result: StepResult) -> str:
    """How a run by hand ended."""
    counts = (f"{count:,} {name}" for name, count in sorted(result.outcomes.items()))
    run = f"Run {result.run}" if result.run else "The run"
    ended = f"{run} ended: {', '.join(counts) or 'no changes'}."
    if not result.code:
        return ended
    return (
        f"{ended} Exit code {result.code}. For the reason, see the log of its worker."
    )


def describe_approval(job: Path, stopped_since: float) -> str:
    """That a plan is approved, and what is to be done if applies have stopped since then; 0: they have not."""
    if not stopped_since:
        return "Approved. The fleet applies it as soon as its limits allow."
    folder = shlex.quote(str(job.parent))
    return (
        "Approved. It is not applied yet: applies of the fleet have stopped since "
        f"{time_of(stopped_since)}. To find the cause, and then to let applies begin again, run:\n"
        f"    cec-connector fleet status {folder}\n"
        f"    cec-connector fleet resume {folder}"
    )


def time_of(seconds: float) -> str | None:
    """A time of the engine in ISO 8601; None if it is not known (0)."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
