"""What a run came to, in numbers and names of things, never of people: what metrics and notifications are made of."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import Struct, field
from msgspec.structs import asdict

from connector.errors import ConnectorError, UsageError
from connector.model import Change, Outcome, Plan, Refusal
from connector.net import counters
from connector.net.counters import RequestCounts
from connector.observers.observer import Observer

Kind = Literal["plan", "apply", "undo"]
ENDINGS: Final = {
    0: "done", 1: "failed", 2: "done", 3: "refused", 4: "in part", 64: "failed", 75: "busy", 78: "failed",
}  # fmt: skip
"""What an exit code says of a run: pending changes (2) are no other ending than none."""

STOPPED: Final = "stopped by a signal"

_DN: Final = re.compile(
    r"[A-Za-z][\w.-]*=[^,;\"']+(?:,[ ]?[A-Za-z][\w.-]*=[^,;:\"' ]+)+"
)
"""A DN of two parts or more."""
_OF_PEOPLE: Final = {"--only", "AGENT", "USER"}
"""Where the command line names agents and users; what is wrong there repeats the name, or
one near it."""


class RunSummary(Struct, frozen=True, kw_only=True):
    """One run. Times are seconds, `started` since 1970; `fault` is what ended it, where it was not a plan's end.

    `cause`: the same for whoever may ask (`impersonal`).

    `counts`: the plan's summary, empty where there is no plan; `changes`: users that it would change.
    `keeping_credentials`: stale users that keep credentials. `since`: how many
    changes and problems are new, gone, changed and the same since an earlier plan, by the
    plan document's names; empty where there was none. `course`: each stage as it came, with
    its begin and end, in seconds since the run began.
    """

    job: str
    run: str
    kind: Kind
    started: float
    seconds: float
    exit_code: int
    fault: str = ""
    cause: str = ""
    digest: str = ""
    changes: int = 0
    keeping_credentials: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    requests: dict[str, RequestCounts] = field(default_factory=dict)
    course: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def ending(self) -> str:
        """One of `ENDINGS`; for an exit code that is none of ours, `failed`."""
        return ENDINGS.get(self.exit_code, "failed")

    @property
    def good(self) -> bool:
        return self.ending == "done"


class SummaryObserver(Observer):
    """Gathers the summary of one run, and hands it over at its end. `code_of`: the exit code that a fault makes."""

    def __init__(
        self,
        job: str,
        run: str,
        kind: Kind,
        take: Callable[[RunSummary], None],
        code_of: Callable[[BaseException], int],
    ) -> None:
        self._job, self._run, self._kind = job, run, kind
        self._take = take
        self._code_of = code_of
        self._started = time.time()
        self._begun = self._since = time.monotonic()
        self._stage = "begin"
        self._course: list[tuple[str, float, float]] = []
        self._outcomes: Counter[str] = Counter()
        self._plan: Plan | None = None

    def stage(self, name: str, **details: object) -> None:  # noqa: ARG002  # counts are taken from the plan
        now = time.monotonic()
        self._course.append((self._stage, self._since - self._begun, now - self._begun))
        self._stage, self._since = name, now

    def planned(self, plan: Plan) -> None:
        self._plan = plan

    def outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:  # noqa: ARG002  # every observer is given them; a summary counts
        """What was open of a run that this one goes on with is told twice: as settled, and with the rest of the run."""
        if run != self._run:
            self._outcomes[outcome.result.value] += 1

    def finished(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        self.stage("end")
        plan = plan or self._plan
        code = (
            exit_code
            if exit_code is not None
            else self._code_of(fault)
            if fault is not None
            else 1
        )
        self._take(
            RunSummary(
                job=self._job, run=self._run, kind=self._kind, started=self._started,
                seconds=time.monotonic() - self._begun, exit_code=code, fault=_said(fault), cause=impersonal(fault),
                outcomes=dict(self._outcomes), requests=counters.counted(), course=self._course,
                **(_planned(plan) if plan else {}),
            )
        )  # fmt: skip


def _planned(plan: Plan) -> dict[str, Any]:
    return {
        "digest": plan.digest,
        "changes": len(plan.changes),
        "keeping_credentials": plan.keeping_credentials,
        "counts": asdict(plan.summary),
        "problems": dict(Counter(problem.kind for problem in plan.problems)),
        "refusals": list(plan.refusals),
        "since": plan.notes.since.numbers
        if plan.notes.since and plan.notes.since.plan
        else {},
    }


def _said(fault: BaseException | None) -> str:
    """The fault in a sentence, where it is one of ours, which hold no secret; else only its kind."""
    if fault is None:
        return ""
    if isinstance(
        fault, KeyboardInterrupt
    ):  # which is how a run ends that is told to before it writes
        return STOPPED
    return str(fault) if isinstance(fault, ConnectorError) else type(fault).__name__


def impersonal(fault: BaseException | None) -> str:
    """The fault without a name of a person: its place only where that is a file or an address, and no DN."""
    if not isinstance(fault, ConnectorError):
        return _said(fault)
    if isinstance(fault, UsageError) and fault.where in _OF_PEOPLE:
        return f"{fault.where}: a name that is given there cannot be used"
    named = "://" in fault.where or fault.where.startswith("/")
    return _DN.sub(
        "(an entry)", f"{fault.where}: {fault.what}" if named else fault.what
    )
