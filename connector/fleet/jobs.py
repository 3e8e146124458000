"""The job files of a fleet, those of one folder, and what they are to Temporal and the limits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cronsim import CronSim
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)

from connector.apply.job_state import require_shared
from connector.errors import FileError, UsageError
from connector.fleet.limits import PlaceRequest, SharedLimits
from connector.fleet.values import PREFIX, Step
from connector.serve.accounts import DirectoryAccount
from connector.settings.fleet import NAME, LoadedFleet
from connector.settings.job import LoadedJob, make_job
from connector.settings.operations import Serve
from connector.settings.textfile import Document, raise_together, read_yaml

RESERVED: Final = "fleet"
"""A name that is the whole fleet's in Temporal."""
_SUFFIXES: Final = (".yaml", ".yml")
_MAPPING_KEYS: Final = {"match", "attributes"}
_JOB_KEYS: Final = {"source", "directory"}
WORKFLOW: Final = "Tick"
CATCH_UP: Final = timedelta(days=365)
"""How late a tick may begin. Of all that were missed one is made up for: a tick is skipped
while one is under way."""
LONGEST: Final = timedelta(days=1)
"""How long a tick may be under way, also while no worker runs. Then it is given up, and the
next one can begin."""
_DAYS: Final = frozenset(range(1, 32))
_WEEK: Final = frozenset(range(7))


def read_jobs(folder: Path, fleet: Path) -> list[LoadedJob]:
    """Every job of the folder, by name. Mapping files and the fleet file may lie there, too.

    Raises FileError with what is wrong in all files, also where a job cannot run in a fleet;
    UsageError where the folder has no job at all.
    """
    jobs: dict[str, LoadedJob] = {}
    faults: list[FileError] = []
    for path, document in _read_documents(folder, fleet):
        if isinstance(document, FileError):
            faults.append(document)
            continue
        try:
            job = make_job(document)
            require_shared(job)
        except FileError as fault:
            faults.append(fault)
            continue
        why = ""
        if job.name == RESERVED:
            why = "no job of a fleet can have this name. Rename the file"
        other = jobs.setdefault(job.name, job)
        if other is not job:
            why = f"{other.path.name} is a job of the same name. Rename one"
        if why:
            faults.append(FileError(why, where=str(path)))
    raise_together(faults)
    if not jobs:
        raise UsageError("holds no job files, so nothing is done", where=str(folder))
    return list(jobs.values())


def list_files(folder: Path, fleet: Path) -> list[Path]:
    """The files of the folder that may be of jobs, by name; none where it cannot be read."""
    found = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            is_fleet = path.name == NAME or path.resolve() == fleet.resolve()
            is_hidden = path.name.startswith(".")
            if not (is_fleet or is_hidden) and path.suffix in _SUFFIXES:
                found.append(path)
    return found


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
    urls = {settings.state}
    if not settings.state:
        # but for files that cannot be read
        urls = {
            document.data.get("state")
            for _, document in _read_documents(folder, fleet.path)
            if isinstance(document, Document)
        }
    url = str(urls.pop()) if len(urls) == 1 else ""
    if not url.startswith("postgres"):
        why = "names no database for the fleet's limits, and the jobs do not name one together"
        raise FileError(f"{why}. Add `state: postgresql://…`", where=str(fleet.path))
    return SharedLimits(url, name, settings.limits)


def place_request(job: LoadedJob, token: str, step: Step) -> PlaceRequest:
    """What the limits are told of a step of this job: hashes in place of names."""
    source, directory = job.job.source, job.job.directory
    host = urlsplit(source.url).netloc if source.type == "cec" else ""
    if directory.type == "ldif":
        server = str(directory.path)
    else:
        urls = directory.urls if directory.type == "ldap" else [directory.url]
        server = urlsplit(min(urls)).netloc
    server = _hash_name(server)
    account = DirectoryAccount.of_job(job.job)
    login = _hash_name(f"{server} {account.who} {account.kept}")
    return PlaceRequest(token, job.name, step, _hash_name(host), server, login)


def _hash_name(name: str) -> str:
    """Empty for an empty name."""
    return hashlib.sha256(name.lower().encode()).hexdigest()[:16] if name else ""


# ------------------------------------------------------------ the schedule of a job


def want_schedules(jobs: Iterable[LoadedJob], queue: str) -> dict[str, Schedule | None]:
    """The schedule of each job; None: it has no `serve` section.

    Raises FileError where Temporal cannot express one.
    """
    found: dict[str, Schedule | None] = {}
    faults = []
    for job in jobs:
        serve = job.job.serve
        try:
            found[job.name] = make_schedule(job.name, serve, queue) if serve else None
        except ValueError as fault:
            where = job.where("serve", "cron")
            faults.append(FileError(f"serve.cron: {fault}", where=where))
    raise_together(faults)
    return found


def make_schedule(job: str, serve: Serve, queue: str) -> Schedule:
    """The schedule of one job. Raises ValueError where Temporal cannot express it."""
    if serve.every is not None:
        # apart from each other: else all jobs of a fleet would begin on the hour
        apart = int.from_bytes(hashlib.sha256(job.encode()).digest()[:6]) % serve.every
        interval = ScheduleIntervalSpec(
            timedelta(seconds=serve.every), timedelta(seconds=apart)
        )
        spec = ScheduleSpec(intervals=[interval])
    else:
        zone = serve.timezone or "UTC"
        calendars = make_calendars(serve.cron or "")
        spec = ScheduleSpec(calendars=calendars, time_zone_name=zone)
    if serve.jitter:
        spec.jitter = timedelta(seconds=serve.jitter)
    tick = ScheduleActionStartWorkflow(
        WORKFLOW,
        {"job": job, "mode": serve.mode},
        id=f"{PREFIX}tick/{job}",
        task_queue=queue,
        execution_timeout=LONGEST,
    )
    return Schedule(tick, spec, SchedulePolicy(catchup_window=CATCH_UP))


def make_calendars(expression: str) -> list[ScheduleCalendarSpec]:
    """The calendars that together name what a cron expression does.

    Cron joins day of the month and day of the week by *or* where both are given; a calendar
    joins them by *and*, and a schedule takes several calendars. So such an expression becomes
    two of them. Raises ValueError where no calendar can name it.
    """
    cron = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    days = frozenset(cron.days)
    weekdays = [day for day in cron.weekdays if isinstance(day, int)]
    week = frozenset(day % 7 for day in weekdays)
    if min(days) < 1 or len(weekdays) < len(cron.weekdays):
        raise ValueError("Temporal has no last or nth day in a month (L, #)")
    both = [(days, week)] if cron.day_and else [(days, _WEEK), (_DAYS, week)]
    return [
        ScheduleCalendarSpec(
            second=_join_ranges(cron.seconds),
            minute=_join_ranges(cron.minutes),
            hour=_join_ranges(cron.hours),
            day_of_month=_join_ranges(days),
            month=_join_ranges(cron.months),
            day_of_week=_join_ranges(week),
        )
        for days, week in both
    ]


def _join_ranges(numbers: Iterable[int]) -> tuple[ScheduleRange, ...]:
    """Ranges that hold these numbers; one each for numbers that follow one another."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return tuple(ScheduleRange(first, last) for first, last in spans)


def describe_serve(job: LoadedJob) -> str:
    """The schedule as the job file has it."""
    serve: dict[str, object] = job.document.data["serve"]
    keys = ("every", "cron", "timezone", "jitter")
    parts = [f"{key} {serve[key]}" for key in keys if serve.get(key)]
    return ", ".join([*parts, f"mode {serve.get('mode', 'dry-run')}"])


# ------------------------------------------------------------ files


def _read_documents(
    folder: Path, fleet: Path
) -> Iterator[tuple[Path, Document | FileError]]:
    """The file of each job, or why it cannot be read. Raises UsageError where there is no folder."""
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder))
    for path in list_files(folder, fleet):
        try:
            document = read_yaml(path)
        except FileError as fault:
            yield path, fault
            continue
        keys = document.data.keys()
        is_mapping = keys & _MAPPING_KEYS and not keys & _JOB_KEYS
        if not is_mapping:
            yield path, document
