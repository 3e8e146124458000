"""One run as a process of its own: what it is asked, how it is watched and told to end, and what it came to.

`serve` and the workers of a fleet start runs here. The memory that a run takes is given back with its process, and
nothing that goes wrong in it takes the schedule along. The process has a session of its own, so that Ctrl-C on a
terminal reaches it through us alone, and once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from connector.observers.run_summary import FAILED, Kind, RunSummary
from connector.reports.visible import make_visible
from connector.reports.wording import sum_up_refusal
from connector.runtime.log import log
from connector.serve.report_folder import ReportFolder
from connector.settings.job import LoadedJob

Message = TypeVar("Message")
REPEATED: Final = (1, 75)
"""Exit codes of runs that another attempt may mend: their tick is still due. A refused account is none of them."""
GRACE: Final = 60.0
"""Seconds that a run has to end in good order, once it was asked to."""

# ---------------------------------------------------------------- what is asked and answered


class FleetRun(Struct, frozen=True):
    """One step of a fleet's run, whose plan waits in the state."""

    step: Literal["plan", "apply"]
    plan: str = ""
    """Id of the kept plan that is to be applied."""
    accept: bool = False
    """Whether somebody accepts the plan's refusals."""
    signatures: list[tuple[str, bytes]] = []
    """Signatures of the plan's document, each with a name of its own."""
    manual: bool = False
    """Whether it is run by hand, so that it belongs to no tick."""
    seconds: float = 0
    """Seconds after which the process ends itself, since whoever asked for it may have died; 0: never."""


class RunRequest(Struct, frozen=True):
    """Run this job for this tick: one line of JSON on the process's standard input."""

    job: Path
    texts: dict[Path, str]
    """The job's files as they were accepted, whatever has become of them since."""
    tick: datetime
    believed: datetime
    """A last tick later than this was noted while a clock was wrong."""
    kind: Kind
    plans: Path = Path()
    """Folder for plans that wait; those of a fleet wait in the state."""
    reports: ReportFolder | None = None
    """Where the run leaves its report."""
    fleet: FleetRun | None = None
    woken_by: str = ""
    """What has woken it between two ticks, so that it belongs to none; empty: it is the run of `tick`."""
    run_id: str = ""
    """The id that it is to have; empty: any."""

    def summarize_failure(
        self,
        code: int,
        fault: str,
        cause: str = "",
    ) -> RunSummary:
        """The summary of a run that ended before it had one. `cause`: the fault without names of people."""
        return RunSummary(
            job=self.job.stem,
            run="",
            kind=self.kind,
            started=time.time(),
            seconds=0.0,
            exit_code=code,
            fault=fault,
            cause=cause or fault,
        )


class RunResult(Struct):
    """What came of a request, on the process's standard output."""

    summary: RunSummary | None = None
    code: str = ""
    """Code of the message about the fault that ended it."""
    taken: bool = False
    """Whether another process had run that tick already, so that there is no summary."""
    good: bool = False
    """Whether a tick that was taken came to a good end."""
    waiting: Path | None = None
    """File of a plan that waits for somebody."""
    stopped: bool = False
    """Whether the run was told to end before it came to its end."""
    refused: bool = False
    """Whether the directory refused its account."""
    is_lost: bool = False
    """Whether the process ended without a result, so that it has kept no report."""
    plan: str = ""
    """Of a fleet: id of the plan that is kept; empty if nothing is to be changed or accepted."""
    approval: bool = False
    """Of a fleet: whether people have to sign the plan."""
    spent: bool = False
    """Of a fleet: whether the plan was applied, so that another attempt answers the same."""


def encode_message(message: RunRequest | RunResult) -> bytes:
    """A request or a result as JSON."""
    return msgspec.json.encode(message, enc_hook=str)


def decode_message(octets: bytes, kind: type[Message]) -> Message:
    """A request or a result. Raises msgspec.DecodeError."""
    # paths are texts there
    return msgspec.json.decode(
        octets, type=kind, dec_hook=lambda type_, text: type_(text)
    )


# ---------------------------------------------------------------- the process


class RunProcess:
    """A run under way. Raises OSError if it cannot begin."""

    def __init__(
        self,
        request: RunRequest,
        options: Sequence[str],
        max_seconds: float,
        on_end: Callable[[], object],
    ) -> None:
        """`options`: the program's, for the log. `on_end`: called in another thread once the process has ended."""
        self.request = request
        self.was_asked_to_end = False
        self.is_late = False
        """Whether it was asked to end because it took longer than `max_seconds`."""
        self._max_seconds = max_seconds
        self._end_by = time.monotonic() + max_seconds
        self._on_end = on_end
        self._answer: bytes | None = None
        warnings = [f"-W{option}" for option in sys.warnoptions]
        self._process = subprocess.Popen(  # noqa: S603  # this Python runs this program; the arguments are ours
            # -P: no modules from the folder that we were started in
            [sys.executable, "-P", *warnings, "-m", "connector", *options, "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(
            target=self._communicate,
            name="run",
            daemon=True,
        ).start()

    def _communicate(self) -> None:
        self._answer, _ = self._process.communicate(encode_message(self.request))
        self._on_end()

    @property
    def has_ended(self) -> bool:
        return self._answer is not None

    def keep_to_limit(self) -> None:
        """Ask the run to end, or end it, once its time is over. To be called every few seconds."""
        if time.monotonic() < self._end_by:
            return
        log.warning(
            "run takes too long",
            job=self.request.job.stem,
            at_once=self.was_asked_to_end,
            seconds=self._max_seconds,
        )
        self.is_late = self.is_late or not self.was_asked_to_end
        self.ask_to_end()

    def ask_to_end(self, *, at_once: bool = False) -> None:
        """Ask the run to end in good order; end it at once if it was asked before."""
        kills = at_once or self.was_asked_to_end
        self._process.send_signal(signal.SIGKILL if kills else signal.SIGTERM)
        self.was_asked_to_end = True
        self._end_by = time.monotonic() + GRACE

    def judge_result(self) -> RunResult:
        """What the run came to, once it has ended. A result that is not `taken` has a summary."""
        try:
            result = decode_message(self._answer or b"", RunResult)
        except msgspec.DecodeError:
            result = RunResult()
        if result.summary is None and not result.taken:
            code = self._process.returncode
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            fault = f"the process of the run ended by {how} without a result"
            result.summary = self.request.summarize_failure(1, fault)
            result.is_lost = True
            # asked before it could listen, or it did not heed it
            result.stopped = self.was_asked_to_end
        if self.is_late and result.stopped and result.summary is not None:
            fault = f"the run took longer than max_run_time ({self._max_seconds:.0f} s) and was ended"
            result.summary = replace(
                result.summary,
                exit_code=1,
                fault=fault,
                cause=fault,
            )
            result.stopped = False
        return result


# ---------------------------------------------------------------- how an ended run is told


def log_run_end(job: LoadedJob, result: RunResult, **details: object) -> None:
    """Tell the log how a run has ended: its one event about a failure. What is empty is left out."""
    summary = result.summary
    assert summary is not None
    say = log.warning
    if summary.ending in ("done", "busy"):
        say = log.info
    elif summary.ending == FAILED and not result.stopped:
        say = log.error
    facts = {
        "reason": summary.cause if job.hashes_people else summary.fault,
        "code": result.code,
        "why_refused": list(map(sum_up_refusal, summary.plan.refusals)),
        "changes": summary.plan.changes,
        "outcomes": summary.outcomes,
        "waiting": result.waiting and str(result.waiting),
        "stopped": result.stopped,
        **details,
    }
    known = {name: fact for name, fact in facts.items() if fact}
    say(
        "run ended",
        job=summary.job,
        run=summary.run,
        ending=summary.ending,
        exit_code=summary.exit_code,
        seconds=round(summary.seconds, 3),
        **known,
    )


def describe_ending(summary: RunSummary, waiting: Path | None) -> str:
    """How the last run ended, and why, without a person. `waiting`: file of its plan, which waits for a review."""
    began = datetime.fromtimestamp(summary.started, UTC).isoformat(timespec="seconds")
    ending = f"{summary.ending} (exit code {summary.exit_code})"
    parts = [f"The last run, of {began}, ended as: {ending}"]
    if summary.cause:
        parts.append(summary.cause)
    if summary.plan.refusals:
        parts.append(", ".join(map(sum_up_refusal, summary.plan.refusals)))
    if summary.outcomes:
        parts.append(f"users: {summary.outcome_text}")
    if waiting:
        parts.append(f"a plan waits in {waiting}")
    return make_visible("; ".join(parts))
