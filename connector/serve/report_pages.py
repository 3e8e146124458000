"""The pages of a folder of reports that are no report: the index, and a run that failed."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, Self
from urllib.parse import quote
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from connector.observers.run_summary import RunSummary
from connector.reports.html.assets import STYLE
from connector.reports.html.parts import (
    escape_prose,
    escape_text,
    escape_value,
    render_table,
)
from connector.reports.wording import Lines, count_noun

MARK: Final = '<meta name="generator" content="cec-connector">'
"""Shows that a page is ours."""
_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{mark}
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="same-origin">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""
_POLICY: Final = (
    "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
)


class ReportedRun(Struct, frozen=True):
    """A run as its file in the folder tells it."""

    summary: RunSummary
    waits: str = ""
    """The command that applies its plan, which waits; empty: no plan of it waits."""
    lacks_problems: bool = False
    """Whether it had problems is not known any more."""
    schema: Literal["cec-connector/run/1"] = "cec-connector/run/1"

    @classmethod
    def of_summary(cls, summary: RunSummary, waits: str = "") -> Self:
        """A run that ended before it had an id is given one."""
        return cls(replace(summary, run=summary.run or str(uuid4())), waits)

    @property
    def file_name(self) -> str:
        """The name of its files, without suffix."""
        return name_file(self.summary.run)


class JobRuns(Struct, frozen=True):
    """The runs of a job that the folder has, newest first."""

    folder: str
    """Name of the job's own folder."""
    runs: Sequence[ReportedRun]

    @property
    def waiting(self) -> ReportedRun | None:
        """The run whose plan waits."""
        return next((run for run in self.runs if run.waits), None)

    def link_run(self, run: ReportedRun, shown: str) -> str:
        """A link to the page of a run."""
        address = f"{quote(self.folder)}/{quote(run.file_name)}.html"
        return f'<a href="{address}">{shown}</a>'


def name_file(name: str) -> str:
    """A name of its own for each job or run, without slashes and dots, so that no file is outside the folder."""
    return re.sub(r"[^\w-]", _encode_letter, name)


def _encode_letter(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in os.fsencode(found[0]))


# ---------------------------------------------------------------- the index


def render_index(jobs: Sequence[JobRuns]) -> Lines:
    """The page of all jobs and their runs."""
    yield from _page_head("Runs")
    waiting = sum(job.waiting is not None for job in jobs)
    failing = sum(not job.runs[0].summary.is_good for job in jobs)
    said = [count_noun(len(jobs), "job")]
    if waiting:
        plans = count_noun(waiting, "plan waits", "plans wait")
        said.append(f"{plans} for a review")
    if failing:
        said.append(f"the last run of {count_noun(failing, 'job')} did not end well")
    bad = " bad" if failing else ""
    yield f'<header>\n<h1>Runs</h1>\n<p class="headline{bad}">{"; ".join(said)}</p>\n'
    yield "</header>\n<main>\n<section>\n<h2>Jobs</h2>\n"
    rows = [_job_row(number, job) for number, job in enumerate(jobs, 1)]
    yield from render_table(("Job", "Last run", "Problems", "Plan that waits"), rows)
    yield "</section>\n"
    for number, job in enumerate(jobs, 1):
        name = escape_text(job.runs[0].summary.job)
        yield f'<section id="j{number}">\n<h2>{name}</h2>\n'
        yield from _waiting_note(job)
        rows = [_run_row(job, run) for run in job.runs]
        yield from render_table(("Run", "Ended as", "Users", "Problems"), rows)
        yield "</section>\n"
    yield "</main>\n</body>\n</html>\n"


def _job_row(number: int, job: JobRuns) -> list[str]:
    last, waiting = job.runs[0], job.waiting
    began = job.link_run(last, _format_time(last.summary.started))
    planned = next((run for run in job.runs if run.summary.plan.digest), last)
    digest = "none"
    if waiting is not None:
        digest = job.link_run(waiting, escape_value(waiting.summary.plan.digest))
    return [
        f'<a href="#j{number}">{escape_text(last.summary.job)}</a>',
        f"{began}: {_describe_ending(last.summary)}",
        _count_problems(planned),
        digest,
    ]


def _waiting_note(job: JobRuns) -> Lines:
    run = job.waiting
    if run is None:
        return
    plan = run.summary.plan
    digest = job.link_run(run, escape_value(plan.digest))
    users = count_noun(plan.changes, "user")
    said = f"A plan for {users} waits for a review: {digest}. To apply it, run:"
    yield f'<p class="note">{said} {escape_value(run.waits)}</p>\n'


def _run_row(job: JobRuns, run: ReportedRun) -> list[str]:
    summary = run.summary
    users = f"{count_noun(summary.plan.changes, 'user')} would change"
    if summary.outcomes:
        users = summary.outcome_text
    elif not summary.plan.digest:
        users = "no plan"
    return [
        f"{job.link_run(run, _format_time(summary.started))} {summary.kind}",
        _describe_ending(summary),
        users,
        _count_problems(run),
    ]


def _describe_ending(run: RunSummary) -> str:
    limits = ", ".join(refusal.limit for refusal in run.plan.refusals)
    why = run.fault or (limits and f"beyond {limits}")
    said = f"<b>{run.ending}</b>" if run.is_good else f"<del>{run.ending}</del>"
    return f"{said} in {run.seconds:,.0f} s" + (f": {escape_prose(why)}" if why else "")


def _count_problems(run: ReportedRun) -> str:
    plan = run.summary.plan
    if not plan.digest or run.lacks_problems:
        return "not known"
    counts = sorted(plan.problems.items())
    total = count_noun(sum(plan.problems.values()), "problem")
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts)
    return escape_text(f"{total}: {kinds}" if kinds else total)


# ---------------------------------------------------------------- a run that failed


def render_failure(run: RunSummary) -> Lines:
    """The page of a run that ended before it had a report."""
    yield from _page_head(f"Run: {run.job}")
    said = f"The {run.kind} of {run.job} ended as: {run.ending}"
    yield f'<header>\n<h1>Run</h1>\n<p class="headline bad">{escape_text(said)}</p>\n'
    yield f"<p>{escape_prose(run.fault)}</p>\n<dl>"
    for name, value in _list_facts(run):
        yield f"<div><dt>{name}</dt><dd>{escape_value(value)}</dd></div>"
    yield '</dl>\n</header>\n<main>\n<p><a href="../index.html">All runs</a></p>\n'
    yield "</main>\n</body>\n</html>\n"


def _list_facts(run: RunSummary) -> Iterator[tuple[str, str]]:
    yield "Job", run.job
    yield "Run", run.run
    yield "Begun", _format_time(run.started)
    yield "Took", f"{run.seconds:,.0f} s"
    yield "Exit code", str(run.exit_code)
    if run.plan.digest:
        yield "Plan", run.plan.digest
    if run.outcomes:
        yield "Users", run.outcome_text
        yield "To list", f"cec-connector runs JOB {run.run}"


def _page_head(title: str) -> Lines:
    octets = hashlib.sha256(STYLE.encode()).digest()
    policy = _POLICY.format(hash=base64.b64encode(octets).decode())
    said = escape_text(title)
    yield _HEAD.format(mark=MARK, policy=policy, title=said, style=STYLE)


def _format_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
