"""What workflows and activities tell each other, all of which Temporal keeps.

So it is ids, digests and counts: no name of a person, no value, no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

PREFIX: Final = "cec-connector/"
"""What the ids of our workflows and schedules begin with; a job's name follows."""


def aside_queue(task_queue: str) -> str:
    """The task queue of all activities but steps, so that they wait behind no step."""
    return f"{task_queue}/aside"


Step = Literal["plan", "apply"]
State = Literal[
    "failing",
    "refused",
    "in part",
    "waiting for approval",
    "rejected",
    "stopped",
    "in step",
]
"""How a job stands, the worst first. `stopped`: somebody has cancelled its run."""
STATES: Final[tuple[State, ...]] = get_args(State)
BAD_STATES: Final[frozenset[State]] = frozenset({"refused", "failing", "in part"})
"""The states that count for the brake."""


@dataclass(frozen=True)
class StepRequest:
    """One step of a job's run."""

    job: str
    step: Step
    tick: str = ""
    """The schedule's time in ISO 8601; empty for a run by hand."""
    plan: str = ""
    """The id of the plan to apply."""
    accept: bool = False
    """Somebody accepted its refusals."""
    approved: bool = False
    """Somebody has said yes to the plan."""
    signatures: dict[str, str] = field(default_factory=dict)
    """Signatures of the plan's document, each in base64 by a name of its own."""


@dataclass(frozen=True)
class Begin:
    """What a run of a job begins with."""

    job: str
    tick: str = ""
    """As in `StepRequest`."""
    step: StepRequest | None = None
    """The step to go on with; None: the run begins with a plan."""


@dataclass(frozen=True)
class Admission:
    """A step may begin, unless the job's files are wrong."""

    code: int = 0
    """78 where the job's files are wrong, else 0."""
    seconds: float = 3600
    """The longest that the step may take."""


@dataclass(frozen=True)
class StepResult:
    """What a step came to."""

    code: int
    """Its exit code."""
    run: str = ""
    """The id of the run."""
    plan: str = ""
    """The id of the plan that was kept; empty without changes."""
    digest: str = ""
    """The digest of that plan."""
    changes: int = 0
    refused: bool = False
    """A limit of the job refuses the plan."""
    approval: bool = False
    """People have to sign the plan."""
    applies: bool = False
    """The job applies this plan by itself."""
    stopped: bool = False
    """The step was told to stop, and left a rest."""
    final: bool = False
    """Another attempt is of no use, or may harm."""
    unasked: bool = False
    """Nothing was done: the job applies nothing by itself any more."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """Counts of what became of the changes."""


@dataclass(frozen=True)
class Verdict:
    """What somebody says to a plan that waits."""

    digest: str
    approved: bool
    signatures: dict[str, str] = field(default_factory=dict)
    """As in `StepRequest`."""


@dataclass(frozen=True)
class JobStatus:
    """How a job stands. Times are seconds since 1970, by the database's clock."""

    job: str
    state: State
    code: int = 0
    digest: str = ""
    changes: int = 0
    ended: float = 0
    """When its last run came to that state."""
    since: float = 0
    """When the job first came to that state."""
    last_good: float = 0
    """When its last good run ended; 0: not known."""
