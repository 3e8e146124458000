"""What a run came to, in numbers and names of things, never of people: what metrics and notifications are made of."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import ConnectorError, UsageError
from connector.model import Change, Outcome, Plan, Refusal
from connector.net import counters
from connector.net.counters import RequestCounts
from connector.observers.observer import Observer

Kind = Literal["plan", "apply", "undo"]
FAILED: Final = "failed"
ENDINGS: Final = {0: "done", 2: "done", 3: "refused", 4: "in part", 75: "busy"}
"""What an exit code says of a run; any other one: that it has failed."""

STOPPED: Final = "stopped by a signal"

_DN: Final = re.compile(
    r"[A-Za-z][\w.-]*=[^,;\"']+(?:,[ ]?[A-Za-z][\w.-]*=[^,;:\"' ]+)+"
)
"""A DN of two parts or more."""
_OF_PEOPLE: Final = {"--only", "AGENT", "USER"}
"""Where the command line names agents and users; what is wrong there repeats the name, or
one near it."""


class PlanFigures(Struct, frozen=True):
    """A plan in numbers."""

    digest: str = ""
    """Empty: there is no plan."""
    changes: int = 0
    """Users that it would change."""
    keeping_credentials: int = 0
    """Stale users that keep credentials."""
    counts: dict[str, int] = {}
    """Agents and users by what becomes of them, as the plan's summary has them."""
    problems: dict[str, int] = {}
    """How many of each kind."""
    since: dict[str, int] = {}
    """How many changes and problems are new, gone, changed and the same since an earlier plan, by
    the plan document's names; empty: there is none."""
    refusals: list[Refusal] = []


class RunSummary(Struct, frozen=True, kw_only=True):
    """One run."""

    job: str
    run: str
    kind: Kind
    started: float
    """Seconds since 1970."""
    seconds: float
    exit_code: int
    fault: str = ""
    """What ended it, where it was not a plan's end."""
    cause: str = ""
    """The fault without names of people (`describe_impersonally`), for whoever may ask."""
    plan: PlanFigures = PlanFigures()
    outcomes: dict[str, int] = {}
    requests: dict[str, RequestCounts] = {}
    course: list[tuple[str, float, float]] = []
    """Each stage as it came, with its begin and end, in seconds since the run began."""

    @property
    def ending(self) -> str:
        return ENDINGS.get(self.exit_code, FAILED)

    @property
    def is_good(self) -> bool:
        return self.ending == "done"

    @property
    def needs_mending(self) -> bool:
        """Whether the job counts as failing until a later run ends well."""
        return self.kind != "undo" and self.ending not in ("done", "busy")

    @property
    def outcome_text(self) -> str:
        """How many users came to each outcome; empty: there are none."""
        counts = sorted(self.outcomes.items())
        return ", ".join(f"{number:,} {name}" for name, number in counts if number)


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
        self._take = take
        self._code_of = code_of
        self._begun = self._since = time.monotonic()
        self._stage = "begin"
        self._course: list[tuple[str, float, float]] = []
        self._outcomes: Counter[str] = Counter()
        self._plan: Plan | None = None
        self._summary = RunSummary(
            job=job, run=run, kind=kind, started=time.time(), seconds=0, exit_code=1
        )

    def begin_stage(self, name: str, **details: object) -> None:  # noqa: ARG002  # counts are taken from the plan
        now = time.monotonic()
        self._course.append((self._stage, self._since - self._begun, now - self._begun))
        self._stage, self._since = name, now

    def take_plan(self, plan: Plan) -> None:
        self._plan = plan

    def note_outcome(
        self,
        change: Change,  # noqa: ARG002  # every observer is given it; a summary counts
        outcome: Outcome,
        run: str | None = None,
    ) -> None:
        """What was open of a run that this one goes on with is told twice: as settled, and with the rest of the run."""
        if run != self._summary.run:
            self._outcomes[outcome.result.value] += 1

    def end_run(
        self,
        plan: Plan | None,
        exit_code: int | None,
        fault: BaseException | None = None,
    ) -> None:
        self.begin_stage("end")
        plan = plan or self._plan
        code = 1 if exit_code is None else exit_code
        summary = replace(
            self._summary,
            seconds=time.monotonic() - self._begun,
            exit_code=code if fault is None else self._code_of(fault),
            fault=_describe_fault(fault),
            cause=describe_impersonally(fault),
            plan=count_plan(plan) if plan else PlanFigures(),
            outcomes=dict(self._outcomes),
            requests=counters.read_counts(),
            course=self._course,
        )
        self._take(summary)


def count_plan(plan: Plan) -> PlanFigures:
    """A plan in numbers."""
    since = plan.notes.since
    return PlanFigures(
        digest=plan.digest,
        changes=len(plan.changes),
        keeping_credentials=plan.keeping_credentials,
        counts=plan.summary.counts,
        problems=dict(Counter(problem.kind for problem in plan.problems)),
        since=since.numbers if since and since.plan else {},
        refusals=list(plan.refusals),
    )


def _describe_fault(fault: BaseException | None) -> str:
    """The fault in a sentence, where it is one of ours, which hold no secret; else only its kind."""
    if fault is None:
        return ""
    # which is how a run ends that is told to before it writes
    if isinstance(fault, KeyboardInterrupt):
        return STOPPED
    return str(fault) if isinstance(fault, ConnectorError) else type(fault).__name__


def describe_impersonally(fault: BaseException | None) -> str:
    """The fault without a name of a person: its place only where that is a file or an address, and no DN."""
    if not isinstance(fault, ConnectorError):
        return _describe_fault(fault)
    if isinstance(fault, UsageError) and fault.where in _OF_PEOPLE:
        return f"{fault.where}: a name that is given there cannot be used"
    if "://" in fault.where or fault.where.startswith("/"):
        return _DN.sub("(an entry)", f"{fault.where}: {fault.what}")
    return _DN.sub("(an entry)", fault.what)
