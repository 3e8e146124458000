"""A folder with the pages of the last runs, and their index: plain files, which any web server can show.

    index.html              all jobs and their runs
    JOB/RUN.run.json        the run in numbers; the index is made of these
    JOB/RUN.html, RUN.json  its report; of a run that failed, a page with the reason

Several processes may share the folder: each run has files of its own, and whoever writes the
index last has seen all that were there before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from connector.errors import OutputError
from connector.model import Outcome, Plan
from connector.planfile import write_out
from connector.reports import document, html
from connector.runtime.log import log
from connector.serve.report_pages import (
    MARK,
    JobRuns,
    ReportedRun,
    name_file,
    render_failure,
    render_index,
)

_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_SUMMARY: Final = ".run.json"
_SUFFIXES: Final = (".html", ".json", _SUMMARY)
"""Of a run's files; the last one goes last, for it says that the others are ours."""
_HEAD: Final = 1000
"""Octets of a page in which its mark is."""


class RunReport(Struct, frozen=True):
    """A plan, what became of it, and the command that applies it."""

    plan: Plan
    outcomes: Sequence[Outcome] | None
    command: str = ""
    """`--accept` can be added to it. Empty: the plan was applied."""


class ReportFolder(Struct, frozen=True):
    """Where reports are kept. Its methods raise OutputError."""

    path: Path
    keep: int
    """So many runs of a job keep their report, and as many failed ones their page."""

    def keep_run(self, run: ReportedRun, report: RunReport | None = None) -> None:
        """Write the files of a run, and take out those of the oldest ones. Without a report: it failed."""
        folder = self._job_folder(run.summary.job)
        try:
            _make_folder(self.path)
            _make_folder(folder)
            _write_run(folder, run)
            path = folder / run.file_name
            if report is None:
                write_out(_add(path, ".html"), render_failure(run.summary), _FILE_MODE)
            else:
                plan, outcomes, command = report.plan, report.outcomes, report.command
                page = html.render(plan, outcomes, command=command)
                write_out(_add(path, ".html"), page, _FILE_MODE)
                text = document.render(plan, outcomes)
                write_out(_add(path, ".json"), text, _FILE_MODE)
                self.end_waiting(run.summary.job, but=run.summary.run)
            self._remove_old(folder)
        except OSError as fault:
            raise OutputError(
                f"the report cannot be kept: {fault.strerror or fault}",
                where=str(fault.filename or folder),
            ) from fault

    def end_waiting(self, job: str, but: str = "") -> None:
        """Note that no plan of a job waits any more, `but` that of one run."""
        folder = self._job_folder(job)
        for run in _read_runs(folder):
            if run.waits and run.summary.run != but:
                _write_run(folder, replace(run, waits=""))

    def find_run(self, job: str, run: str) -> ReportedRun | None:
        """What the folder has of a run; None: nothing, or not all of it."""
        folder = self._job_folder(job)
        if not _add(folder / name_file(run), ".html").exists():
            return None
        return _read_run(_add(folder / name_file(run), _SUMMARY))

    def write_index(self) -> None:
        """Write the page of all jobs and runs, again if runs came meanwhile."""
        index = self.path / "index.html"
        try:
            _make_folder(self.path)
            if index.exists() and MARK.encode() not in index.read_bytes()[:_HEAD]:
                why = "this page is not ours. Give the reports a folder of their own"
                raise OutputError(why, where=str(index))
            shown = None
            found = self._read_jobs()
            while found != shown:
                write_out(index, render_index(found), _FILE_MODE)
                shown, found = found, self._read_jobs()
        except OSError as fault:
            raise OutputError(
                f"the index cannot be written: {fault.strerror}", where=str(index)
            ) from fault

    def _job_folder(self, job: str) -> Path:
        return self.path / name_file(job)

    def _remove_old(self, folder: Path) -> None:
        """Take out the oldest runs of a job beyond `keep`, of those with a report and of those that failed."""
        counts = Counter[bool]()
        for run in _read_runs(folder):
            has_failed = bool(run.summary.fault)
            counts[has_failed] += 1
            if counts[has_failed] > self.keep:
                for suffix in _SUFFIXES:
                    _add(folder / run.file_name, suffix).unlink(missing_ok=True)

    def _read_jobs(self) -> list[JobRuns]:
        """The runs of all jobs, by the folder's name of each."""
        jobs = []
        for folder in sorted(self.path.iterdir()):
            runs = _read_runs(folder) if folder.is_dir() else []
            if runs:
                jobs.append(JobRuns(folder.name, runs))
        return jobs


def keep_report(
    folder: ReportFolder, run: ReportedRun, report: RunReport | None = None
) -> None:
    """Keep the report of a run and write the index. A fault is a warning: the run has ended as it has."""
    try:
        folder.keep_run(run, report)
        folder.write_index()
    except OutputError as fault:
        log.warning("report not kept", job=run.summary.job, reason=str(fault))


def _add(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _make_folder(path: Path) -> None:
    """Make a folder; one that is there keeps its mode."""
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(_FOLDER_MODE)


def _write_run(folder: Path, run: ReportedRun) -> None:
    path = _add(folder / run.file_name, _SUMMARY)
    write_out(path, [document.as_json(run), "\n"], _FILE_MODE)


def _read_runs(folder: Path) -> list[ReportedRun]:
    """The runs of a job, newest first. Files of others are none."""
    runs = filter(None, map(_read_run, folder.glob(f"*{_SUMMARY}")))
    return sorted(
        runs, key=lambda run: (run.summary.started, run.summary.run), reverse=True
    )


def _read_run(path: Path) -> ReportedRun | None:
    try:
        run = msgspec.json.decode(path.read_bytes(), type=ReportedRun)
    except (OSError, msgspec.DecodeError):  # it has just gone, or is not ours
        return None
    is_ours = path.name == run.file_name + _SUMMARY
    return run if is_ours else None
