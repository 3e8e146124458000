"""Fills a folder of reports from the state of a job, as of a fleet, whose workers share no disk. No server is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from connector.apply.approval import WaitingPlan, find_waiting
from connector.apply.past_runs import PastRun, read_past_runs
from connector.observers.run_summary import PlanFigures, RunSummary, count_plan
from connector.serve.report_folder import ReportFolder, RunReport
from connector.serve.report_pages import ReportedRun
from connector.state.history import RunRecord

_EXIT_CODES: Final = {"done": 0, "part": 4, "refused": 3, "failed": 1}
"""Of what a run or an attempt came to; any other one can still change."""
_FAILED: Final = 1
MakeCommand = Callable[[Path, WaitingPlan], str]
"""The command that approves the waiting plan of the job in this file."""


def keep_past_runs(path: Path, folder: ReportFolder, approve: MakeCommand) -> int:
    """Keep the last runs of the job in `path` that the folder does not have, and its plan that waits; how many.

    Raises FileError, StateError, OutputError.
    """
    count = 0
    for past in read_past_runs(
        path, folder.keep, lambda run: not _is_kept(folder, run)
    ):
        run = _describe_record(past)
        report = None
        if past.plan is not None:
            report = RunReport(past.plan, past.outcomes)
        folder.keep_run(run, report)
        count += 1
    waiting = find_waiting(path)
    if waiting is None:
        folder.end_waiting(path.stem)
        return count
    command = approve(path, waiting)
    run = ReportedRun(_describe_waiting(waiting), command)
    folder.keep_run(run, RunReport(waiting.plan, None, command))
    return count + 1


def _is_kept(folder: ReportFolder, record: RunRecord) -> bool:
    """Whether the folder has a run as it stays."""
    kept = folder.find_run(record.job, record.id)
    return kept is not None and not kept.waits and record.result in _EXIT_CODES


def _describe_record(past: PastRun) -> ReportedRun:
    record = past.record
    begun = datetime.fromisoformat(record.started)
    ended = datetime.fromisoformat(record.ended or record.started)
    figures = PlanFigures()
    if past.plan is not None:
        figures = replace(count_plan(past.plan), digest=record.digest)
    fault = record.why
    if record.result not in _EXIT_CODES:
        fault = "it was stopped or interrupted before its end"
    summary = RunSummary(
        job=record.job,
        run=record.id,
        kind="undo" if record.kind == "undo" else "apply",
        started=begun.timestamp(),
        seconds=(ended - begun).total_seconds(),
        exit_code=_EXIT_CODES.get(record.result or "", _FAILED),
        fault=fault,
        plan=figures,
        outcomes=record.outcomes,
    )
    return ReportedRun(summary, lacks_problems=not past.is_whole)


def _describe_waiting(waiting: WaitingPlan) -> RunSummary:
    plan = waiting.plan
    created = datetime.fromisoformat(plan.created).astimezone(UTC)
    return RunSummary(
        job=plan.job,
        run=plan.id,
        kind="plan",
        started=created.timestamp(),
        seconds=0,
        exit_code=3 if plan.refusals else 0,
        plan=count_plan(plan),
    )
