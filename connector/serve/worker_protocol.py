"""What passes between `serve`, or a fleet, and the process of a run: a request on its input, a result on its output."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from connector.observers.run_summary import Kind, RunSummary

REPEATED: Final = (1, 75)
"""The exit codes of runs that another attempt may mend: their tick is still due. A refused
account is none of them."""


class FleetRun(Struct, frozen=True):
    """One step of a fleet's run, whose plan waits in the state: draw it, or apply it.

    `plan`: the id of the kept plan that is applied. `accept`: somebody accepts its refusals. `signatures`: people have
    signed its document; each by the name of its own. `manual`: it is run by hand, so that
    it is no tick's. `seconds`: after these it ends itself, since whoever asked for it may
    have died; 0: never.
    """

    step: Literal["plan", "apply"]
    plan: str = ""
    accept: bool = False
    signatures: list[tuple[str, bytes]] = []
    manual: bool = False
    seconds: float = 0


class RunRequest(Struct, frozen=True):
    """Run this job for this tick. `texts`: its files as they were accepted, whatever has become of them since.

    `believed`: a last tick that is later was noted while the clock was wrong. `plans`: the folder for plans that wait;
    those of a `fleet` wait in the state.
    """

    job: Path
    texts: dict[Path, str]
    tick: datetime
    believed: datetime
    kind: Kind
    plans: Path = Path()
    fleet: FleetRun | None = None


class Result(Struct, frozen=True):
    """What came of a request.

    `taken`: another process had run that tick already, so that there is no summary. `waiting`: the file of a plan that
    waits for somebody. `stopped`: it was told to, before it came to its end. `refused`: the
    directory refused its account.

    Of a fleet's run: `good`: of a tick that was `taken`, whether it came to a good end.
    `plan`: the id of the plan that is kept; empty where nothing is to be changed or
    accepted. `approval`: people have to sign it. `spent`: the plan was applied, so that
    another attempt answers the same.
    """

    summary: RunSummary | None = None
    taken: bool = False
    good: bool = False
    waiting: Path | None = None
    stopped: bool = False
    refused: bool = False
    plan: str = ""
    approval: bool = False
    spent: bool = False


def nothing_told(
    request: RunRequest, code: int, fault: str, cause: str = ""
) -> RunSummary:
    """The summary of a run that ended before it had one. `cause`: the fault without a name; by default it has none."""
    return RunSummary(
        job=request.job.stem, run="", kind=request.kind, started=time.time(), seconds=0.0, exit_code=code,
        fault=fault, cause=cause or fault,
    )  # fmt: skip
