"""What workflows and activities tell each other, all of which the engine keeps.

So it is ids, digests and counts: no name of a person, no value, no secret.

Times are seconds since 1970, by the engine's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

PREFIX: Final = "cec-connector/"
"""What the ids of our workflows and schedules begin with; a job's name follows."""
FLEET: Final = "cec-connector/fleet/limits"
"""The id of the workflow that keeps the limits. No job has it: a job's name has no slash."""


def aside(task_queue: str) -> str:
    """The task queue of what takes a moment, so that it waits behind no step."""
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
BAD: Final[frozenset[State]] = frozenset({"refused", "failing", "in part"})
"""The states that count for the brake."""


@dataclass(frozen=True)
class About:
    """What a workflow has to know of a job's files. `code`: 78 where they are wrong, else 0.

    `source`, `server` and `account` are hashes: of the CEC host, of the directory's server, and of whom the job logs in
    as there. `seconds`: the most for a step.
    """

    code: int = 0
    apply: bool = False
    source: str = ""
    server: str = ""
    account: str = ""
    seconds: float = 3600


@dataclass(frozen=True)
class StepRequest:
    """One step. `plan`: the id of the plan that is to be applied; `accept`: somebody accepted its refusals.

    `approved`: somebody has said yes to it. `signatures`: of its document, each in base64 by a name of its own.
    """

    job: str
    step: Step
    tick: str = ""
    plan: str = ""
    accept: bool = False
    approved: bool = False
    signatures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Begin:
    """What a run of a job begins with. `tick`: the schedule's time in ISO 8601, empty for a run by hand.

    `failures`: how often it has failed in a row in a way that another attempt may mend. `apply`: the step with which it
    goes on, where its plan was drawn, and approved, before.
    """

    job: str
    tick: str = ""
    failures: int = 0
    apply: StepRequest | None = None


@dataclass(frozen=True)
class StepResult:
    """What a step came to. `code`: its exit code; `plan`: the id of the plan that was kept, empty without changes.

    `refused`: a limit refuses the plan; `approval`: people have to sign it. `stopped`: it was told to, and left a rest.
    `final`: another attempt is of no use, or may harm; `denied`: the directory refused the account. `unasked`: the job
    applies nothing by itself any more, so that nothing was done.
    """

    code: int
    run: str = ""
    plan: str = ""
    digest: str = ""
    changes: int = 0
    refused: bool = False
    approval: bool = False
    stopped: bool = False
    final: bool = False
    denied: bool = False
    unasked: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What somebody says to a plan that waits. `signatures` as in `StepRequest`."""

    digest: str
    approved: bool
    signatures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Brake:
    """Applies stop when of the jobs that ran within `seconds`, `least` or more, over this share turned bad."""

    share: float = 0.25
    least: int = 5
    seconds: float = 3600


@dataclass(frozen=True)
class Limits:
    """`applies` at once; `per_server` of them on one directory server; `source_rate`: steps a minute, by CEC host."""

    applies: int = 8
    per_server: int = 1
    source_rate: int = 60
    brake: Brake = field(default_factory=Brake)


@dataclass(frozen=True)
class Ask:
    """A step that asks to begin. `token` is its own; `workflow`: the id of who asks. The rest is as in `About`."""

    token: str
    workflow: str
    step: Step
    source: str = ""
    server: str = ""
    account: str = ""


@dataclass(frozen=True)
class Over:
    """A step has ended, or nobody waits for it any more. `known`: whether the directory took its account is."""

    token: str
    known: bool = False
    denied: bool = False


@dataclass(frozen=True)
class Told:
    """How a job stands. `since`: when it came to that state; `good`: when its last good run ended, 0: not known."""

    job: str
    state: State
    code: int = 0
    digest: str = ""
    changes: int = 0
    at: float = 0
    since: float = 0
    good: float = 0


@dataclass(frozen=True)
class FleetState:
    """All that the workflow of the limits knows; what its next run begins with.

    `held`: steps under way, and since when. `begun`: when steps of a source began lately. `endings`: when each job last
    ended, and whether it turned bad. `braked`: since when applies stop; 0: they do not.
    `accounts`: when a directory took an account, and when it refused it; 0, where it did
    the other since. `unsounded`: nobody has been told yet that applies stop.
    """

    limits: Limits = field(default_factory=Limits)
    asked: list[Ask] = field(default_factory=list)
    held: dict[str, tuple[Ask, float]] = field(default_factory=dict)
    begun: dict[str, list[float]] = field(default_factory=dict)
    jobs: dict[str, Told] = field(default_factory=dict)
    endings: dict[str, tuple[float, bool]] = field(default_factory=dict)
    braked: float = 0
    accounts: dict[str, tuple[float, float]] = field(default_factory=dict)
    unsounded: bool = False
    checked: float = 0
