"""What passes between `serve` and the process of one run: a request on its standard input, a result on its output."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from connector.observers.run_summary import Kind, RunSummary

REPEATED: Final = (1, 75)
"""The exit codes of runs that another attempt may mend: their tick is still due. A refused account is none of them."""


class RunRequest(Struct, frozen=True):
    """Run this job for this tick. `texts`: its files as they were accepted, whatever has become of them since.

    `believed`: a last tick that is later was noted while the clock was wrong. `plans`: the folder for plans that wait.
    """

    job: Path
    texts: dict[Path, str]
    tick: datetime
    believed: datetime
    kind: Kind
    plans: Path


class Result(Struct, frozen=True):
    """What came of a request.

    `taken`: another process had run that tick already, so that there is no summary. `waiting`: the file of a plan that
    waits for somebody. `stopped`: it was told to, before it came to its end. `refused`: the directory refused its
    account.
    """

    summary: RunSummary | None = None
    taken: bool = False
    waiting: Path | None = None
    stopped: bool = False
    refused: bool = False


def nothing_told(request: RunRequest, code: int, fault: str, cause: str = "") -> RunSummary:
    """The summary of a run that ended before it had one. `cause`: the fault without a name; by default it has none."""
    return RunSummary(
        job=request.job.stem, run="", kind=request.kind, started=time.time(), seconds=0.0, exit_code=code,
        fault=fault, cause=cause or fault,
    )  # fmt: skip
