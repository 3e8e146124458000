"""`fleet status`: how all jobs stand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.advice import Exit
from connector.cli.fleet import fleet_option, folder_argument
from connector.cli.running import say
from connector.reports.visible import visible
from connector.reports.wording import count

if TYPE_CHECKING:
    from connector.fleet.limits import FleetStatus
    from connector.fleet.values import JobStatus


@click.command
@folder_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@fleet_option
def command(folder: Path, *, as_json: bool, named: Path | None) -> int:
    """Show how the jobs in FOLDER stand: failing and refused ones first, then those that wait for approval.

    The exit code is 1 while a job fails or applies have stopped, else 0.
    """
    from connector.fleet.client import ask, require_worker
    from connector.fleet.jobs import open_limits, read_names
    from connector.settings.fleet import find

    fleet = find(folder, named)
    found = open_limits(fleet, folder).read_status()
    there = read_names(folder, fleet.path)
    if as_json:
        from msgspec import json

        click.echo(json.format(json.encode(_document(found, there)), indent=1).decode())
    else:
        say(f"{line}\n" for line in _lines(found, there, folder))
    queue = fleet.settings.task_queue
    ask(fleet, lambda client: require_worker(client, queue))
    return (
        Exit.FAILED
        if found.braked or any(each.state == "failing" for each in _told(found, there))
        else 0
    )


def _told(found: FleetStatus, there: list[str]) -> list[JobStatus]:
    from connector.fleet.values import STATES

    named = [each for name, each in found.jobs.items() if name in there]
    return sorted(named, key=lambda each: (STATES.index(each.state), each.job))


def _document(found: FleetStatus, there: list[str]) -> dict[str, Any]:
    jobs = [
        {
            "job": each.job, "state": each.state, "since": time_of(each.since), "last": time_of(each.ended),
            "last_good": time_of(each.last_good),
            "exit_code": each.code, "digest": each.digest, "changes": each.changes,
        }
        for each in _told(found, there)
    ]  # fmt: skip
    return {
        "form": "cec-connector/fleet/1",
        "applies_stopped_since": time_of(found.braked),
        "waiting_to_begin": found.waiting,
        "under_way": found.under_way,
        "not_run_yet": [name for name in there if name not in found.jobs],
        "jobs": jobs,
    }


def time_of(seconds: float) -> str | None:
    """A time of the engine, in ISO 8601; None: it is not known."""
    return (
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
        if seconds
        else None
    )


def _lines(found: FleetStatus, there: list[str], folder: Path) -> Iterator[str]:
    from connector.fleet.values import STATES

    told = _told(found, there)
    if found.braked:
        yield f"APPLIES HAVE STOPPED since {time_of(found.braked)}: too many jobs turned bad."
        yield "Find the cause by the jobs below and the logs of the workers."
        yield "To let applies begin again, run:"
        yield f"    cec-connector fleet resume {visible(shlex.quote(str(folder)))}"
        yield ""
    for state in STATES:
        jobs = [each for each in told if each.state == state]
        if not jobs:
            continue
        yield f"{state}: {len(jobs):,}"
        if state == "in step":
            continue
        for each in jobs:
            yield f"    {each.job}  since {time_of(each.since)}{_about(each)}"
    left = [name for name in there if name not in found.jobs]
    if left:
        yield f"not run yet: {len(left):,}"
    yield f"under way: {len(found.under_way):,}, waiting to begin: {found.waiting:,}"


def _about(told: JobStatus) -> str:
    if told.state in ("waiting for approval", "refused", "rejected") and told.digest:
        waits_refused = (
            told.state == "waiting for approval" and told.code == Exit.REFUSED
        )
        refused = ", beyond its limits" if waits_refused else ""
        return f", {count(told.changes, 'change')}{refused}, {told.digest}"
    last = f", last good {time_of(told.last_good)}" if told.last_good else ""
    return f", exit code {told.code}{last}"
