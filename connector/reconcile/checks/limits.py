"""Limits: how many users a plan may change before somebody has to say yes to that very plan."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from connector.model import Change, LastGood, Refusal, Summary

MATCHED_DROP: Final = "matched_drop"
LOST_STATE: Final = "state"
"""The limit of users that are in step already, though the state knows no earlier run."""
EXCLUDE: Final = "exclude"
"""The limit of lines of the exclude list that name nobody."""
APPROVAL: Final = "approval"
"""What an apply may change without approval, where a job has approvers. Only an apply refuses by it."""
OF_THE_SOURCE: Final = ("agents", "agents_drop", MATCHED_DROP)
"""Limits of what was read, whatever it would change."""
LIMITS: Final = (*OF_THE_SOURCE, LOST_STATE, EXCLUDE, APPROVAL, "update", "clear", "secret")
"""What a refusal may be by, but for limits of single attributes."""


class Limit(Struct, frozen=True):
    """A number of users, or a percentage of a whole, rounded down."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, value: str | int | Limit) -> Limit:
        """`10`, `"10"` or `"20%"`. Raises ValueError for anything else."""
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}%?", str(value)):
            raise ValueError("a limit is a whole number (10) or a percentage (20%)")
        text = str(value)
        percent = text.endswith("%")
        if percent and int(text[:-1]) > 100:
            raise ValueError("a percentage of users is at most 100%")
        return cls(int(text.rstrip("%")), percent)

    def of(self, whole: int) -> int:
        return whole * self.number // 100 if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


class Limits(Struct, frozen=True):
    """The limits of one job. `secret` None: as `update`. `attributes`: how many users may have this one changed.

    `state`: how many users may be in step already where no earlier apply is known.
    """

    update: Limit = Limit(20, percent=True)
    clear: Limit = Limit(10)
    secret: Limit | None = None
    agents_drop: Limit = Limit(10, percent=True)
    matched_drop: Limit = Limit(10, percent=True)
    attributes: Mapping[str, Limit] = {}
    state: Limit = Limit(50, percent=True)


class Pace(Struct, frozen=True):
    """How an apply goes about it: the sizes of its first steps, and how many failures end it.

    `settle`: seconds that a batch may wait altogether until readers see what was written.
    """

    ramp: tuple[int, ...] = (5, 50)
    max_failures: int = 8
    settle: float = 0


class Whole(Struct, frozen=True):
    """What percentages are of: matched users, users that hold something we wrote, what the last good run found.

    `holding`: of the matched users, how many hold most of what would be written; None: earlier applies tell of that.
    `beside`: how many agents of the source are not the job's.
    """

    matched: int
    owned: int
    last: LastGood | None = None
    holding: int | None = None
    beside: int = 0


def refusals(
    limits: Limits, summary: Summary, whole: Whole, changes: Sequence[Change], *, some: bool = False
) -> Iterator[Refusal]:
    """Every limit that the plan exceeds; also an empty tenant, which is never "everybody left", and a lost state.

    `some`: the plan is for some agents alone.
    """
    yield from _of_the_source(limits, summary, whole, some=some)
    most = limits.state.of(whole.matched)
    if whole.holding is not None and whole.holding > most:
        why = (
            f"the state may be lost: {whole.holding} of {whole.matched} matched users already hold most of it, and "
            "no earlier apply is known. Restore the state. If this is the job's first run, accept the plan"
        )
        yield Refusal(LOST_STATE, most, whole.holding, why)
    yield from too_many(limits, summary, whole, changes)


def _of_the_source(limits: Limits, summary: Summary, whole: Whole, *, some: bool) -> Iterator[Refusal]:
    if summary.agents == 0:
        why = "the source has no agents at all. Check the tenant and the app key"
        if whole.beside:
            why = f"the source has {_agents(whole.beside)}, and none of this job. Check source.only and source.except"
        yield Refusal("agents", 1, 0, why)
        return
    last, whose = whole.last, "this job" if whole.beside else "the source"
    if last is None:
        return
    allowed, drop = limits.agents_drop.of(last.agents), last.agents - summary.agents
    if drop > allowed:
        why = f"{whose} has {_agents(summary.agents)}; the last good run read {last.agents}. Check the tenant"
        yield Refusal("agents_drop", allowed, drop, why)
    expected = last.expected(LastGood.of(summary))
    allowed, drop = limits.matched_drop.of(last.matched), expected - summary.matched
    if drop > allowed and not some:
        left = "" if expected == last.matched else f" ({expected} without the agents that are gone)"
        have = f"{_agents(summary.matched)} {'has' if summary.matched == 1 else 'have'}"
        why = f"{have} a user; in the last good run {last.matched} had one{left}. {_unclear(summary)}"
        why += "Check base, filter and match rules"
        yield Refusal(MATCHED_DROP, allowed, drop, why)


def _unclear(summary: Summary) -> str:
    """How many agents may have a user, and have none since it is not clear whose it is; as a sentence."""
    number = summary.contested + summary.ambiguous
    verb = "is" if number == 1 else "are"
    return f"{_agents(number)} {verb} contested or ambiguous: see the problems. " if number else ""


def _agents(number: int) -> str:
    return f"{number} {'agent' if number == 1 else 'agents'}"


def too_many(limits: Limits, summary: Summary, whole: Whole, changes: Sequence[Change]) -> Iterator[Refusal]:
    """Every limit of users that the plan exceeds."""
    limited = changes if limits.attributes else ()
    users = Counter(each.name for change in limited for each in change.attributes)
    for name, limit, planned, of, what in (
        ("update", limits.update, summary.update, whole.matched, "set an attribute"),
        ("clear", limits.clear, summary.clear, whole.owned, "empty an attribute"),
        ("secret", limits.secret or limits.update, summary.secret, whole.matched, "set a secret"),
        *(
            (f"attributes.{name}", limit, users[name], whole.matched, f"change {name}")
            for name, limit in limits.attributes.items()
        ),
    ):
        allowed = limit.of(of)
        if planned > allowed:
            share, verb = f" ({limit} of {of})" if limit.percent else "", "is" if allowed == 1 else "are"
            why = f"it would {what} of {planned} {'user' if planned == 1 else 'users'}; {allowed} {verb} allowed{share}"
            yield Refusal(name, allowed, planned, why)
