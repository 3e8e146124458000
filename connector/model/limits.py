"""Limits: how many users a plan may change before somebody has to say yes to that very plan."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from connector.model import AttributeChange, Change, LastGood, Refusal, Summary

MATCHED_DROP: Final = "matched_drop"
LOST_STATE: Final = "state"
"""The limit of users that are in step already, though the state knows no earlier run."""
EXCLUDE: Final = "exclude"
"""The limit of lines of the exclude list that name nobody."""
APPROVAL: Final = "approval"
"""What an apply may change without approval, where a job has approvers. Only an apply
refuses by it."""
OF_THE_SOURCE: Final = ("agents", "agents_drop", MATCHED_DROP)
"""Limits of what was read, whatever it would change."""
CLEAR: Final = "clear"
LIMITS: Final = (
    *OF_THE_SOURCE,
    LOST_STATE,
    EXCLUDE,
    APPROVAL,
    "update",
    CLEAR,
    "secret",
)
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


CLEAR_USERS: Final = Limit(10)
CLEAR_SHARE: Final = Limit(20, percent=True)
"""Where a job does not say `clear`, both hold: so many users, and of each attribute a share of
those that hold a value of the job there. One user may always be emptied."""


class Limits(Struct, frozen=True):
    """The limits of one job."""

    update: Limit = Limit(20, percent=True)
    clear: Limit | None = None
    """None: `CLEAR_USERS` and `CLEAR_SHARE`."""
    secret: Limit | None = None
    """None: as `update`."""
    agents_drop: Limit = Limit(10, percent=True)
    matched_drop: Limit = Limit(10, percent=True)
    attributes: Mapping[str, Limit] = {}
    """How many users may have this one changed."""
    state: Limit = Limit(50, percent=True)
    """How many users may be in step already where no earlier apply is known."""


class ApplyPace(Struct, frozen=True):
    """How an apply goes about it."""

    ramp: tuple[int, ...] = (5, 50)
    """The sizes of its first steps."""
    max_failures: int = 8
    """So many failures end it."""
    settle: float = 0
    """Seconds that a batch may wait altogether until readers see what was written."""


class LimitBasis(Struct, frozen=True):
    """What percentages are of."""

    matched: int
    """Matched users."""
    owned: int
    """Users that hold something we wrote."""
    last: LastGood | None = None
    """What the last good run found."""
    holding: int | None = None
    """Of the matched users, how many hold most of what would be written. None: earlier
    applies tell of that."""
    beside: int = 0
    """How many agents of the source are not the job's."""
    holders: Mapping[str, int] | None = None
    """By attribute, however it is spelt, how many users hold a value of the job. None:
    no share is judged."""


def find_refusals(
    limits: Limits,
    summary: Summary,
    whole: LimitBasis,
    changes: Sequence[Change],
    *,
    some: bool = False,
) -> Iterator[Refusal]:
    """Every limit that the plan exceeds; also an empty tenant, which is never "everybody left", and a lost state.

    `some`: the plan is for some agents alone.
    """
    yield from _of_the_source(
        limits,
        summary,
        whole,
        some=some,
    )
    most = limits.state.of(whole.matched)
    if whole.holding is not None and whole.holding > most:
        why = (
            f"the state may be lost: {whole.holding} of {whole.matched} matched users already hold most of it, and "
            "no earlier apply is known. Restore the state. If this is the job's first run, accept the plan"
        )
        yield Refusal(
            LOST_STATE,
            most,
            whole.holding,
            why,
        )
    yield from too_many(
        limits,
        summary,
        whole,
        changes,
    )


def _of_the_source(
    limits: Limits,
    summary: Summary,
    whole: LimitBasis,
    *,
    some: bool,
) -> Iterator[Refusal]:
    if summary.agents == 0:
        why = "the source has no agents at all. Check the tenant and the app key"
        if whole.beside:
            others = _count_agents(whole.beside)
            why = f"the source has {others}, and none of this job. Check source.only and source.except"
        yield Refusal(
            "agents",
            1,
            0,
            why,
        )
        return
    last, whose = whole.last, "this job" if whole.beside else "the source"
    if last is None:
        return
    allowed, drop = limits.agents_drop.of(last.agents), last.agents - summary.agents
    if drop > allowed:
        why = f"{whose} has {_count_agents(summary.agents)}; the last good run read {last.agents}. Check the tenant"
        yield Refusal(
            "agents_drop",
            allowed,
            drop,
            why,
        )
    expected = last.expected(LastGood.of(summary))
    allowed, drop = limits.matched_drop.of(last.matched), expected - summary.matched
    if drop > allowed and not some:
        left = (
            ""
            if expected == last.matched
            else f" ({expected} without the agents that are gone)"
        )
        have = f"{_count_agents(summary.matched)} {'has' if summary.matched == 1 else 'have'}"
        why = f"{have} a user; in the last good run {last.matched} had one{left}. {_count_unclear(summary)}"
        why += "Check base, filter and match rules"
        yield Refusal(
            MATCHED_DROP,
            allowed,
            drop,
            why,
        )


def _count_unclear(summary: Summary) -> str:
    """How many agents may have a user, and have none since it is not clear whose it is; as a sentence."""
    number = summary.contested + summary.ambiguous
    verb = "is" if number == 1 else "are"
    return (
        f"{_count_agents(number)} {verb} contested or ambiguous: see the problems. "
        if number
        else ""
    )


def _count_agents(number: int) -> str:
    return f"{number} {'agent' if number == 1 else 'agents'}"


def sets_value(change: Change, each: AttributeChange) -> bool:
    """Whether a change of an attribute sets a value. A leaver that keeps values of others is set none."""
    return bool(each.new) and (
        change.agent is not None or any(value not in each.old for value in each.new)
    )


def takes_value(change: Change, each: AttributeChange) -> bool:
    """Whether a change of an attribute takes values away and sets none."""
    return not sets_value(change, each) and bool(each.old or each.secret)


def too_many(
    limits: Limits,
    summary: Summary,
    whole: LimitBasis,
    changes: Sequence[Change],
) -> Iterator[Refusal]:
    """Every limit of users that the plan exceeds."""
    yield from _refuse_beyond(
        "update",
        limits.update,
        summary.update,
        whole.matched,
        "set an attribute",
    )
    if limits.clear is None:
        yield from _cleared_beyond_default(summary.clear, whole.holders, changes)
    else:
        yield from _refuse_beyond(
            CLEAR,
            limits.clear,
            summary.clear,
            whole.owned,
            "empty an attribute",
        )
    yield from _refuse_beyond(
        "secret",
        limits.secret or limits.update,
        summary.secret,
        whole.matched,
        "set a secret",
    )
    limited = changes if limits.attributes else ()
    users = Counter(each.name for change in limited for each in change.attributes)
    for name, limit in limits.attributes.items():
        yield from _refuse_beyond(
            f"attributes.{name}",
            limit,
            users[name],
            whole.matched,
            f"change {name}",
        )


def _refuse_beyond(
    name: str,
    limit: Limit,
    planned: int,
    of: int,
    what: str,
) -> Iterator[Refusal]:
    allowed = limit.of(of)
    if planned > allowed:
        share = f" ({limit} of {of})" if limit.percent else ""
        why = f"it would {what} of {_count_users(planned)}; {_are(allowed)} allowed"
        yield Refusal(
            name,
            allowed,
            planned,
            f"{why}{share}",
        )


def _cleared_beyond_default(
    planned: int,
    holders: Mapping[str, int] | None,
    changes: Sequence[Change],
) -> Iterator[Refusal]:
    """The refusal by the default of `clear`: of the number and the shares of attributes, by the lowest."""
    limits = [(CLEAR_USERS.number, planned, "an attribute", "")]
    if holders is not None:
        emptied = Counter(
            each.name
            for change in changes
            for each in change.attributes
            if takes_value(change, each)
        )
        for name, users in emptied.items():
            spelt = [each for each in holders if each.lower() == name.lower()]
            whole = sum(holders[each] for each in spelt)
            holding = "user that holds" if whole == 1 else "users that hold"
            of = f"{CLEAR_SHARE} of the {whole} {holding} a value of this job there"
            limits.append((max(1, CLEAR_SHARE.of(whole)), users, name, f" ({of})"))
    found = []
    for allowed, users, name, share in limits:
        why = f"it would empty {name} of {_count_users(users)}; by default {_are(allowed)} allowed"
        if users > allowed:
            found.append(
                Refusal(
                    CLEAR,
                    allowed,
                    users,
                    f"{why}{share}",
                )
            )
    yield from sorted(found, key=lambda each: (each.allowed, -each.planned))[:1]


def _count_users(number: int) -> str:
    return f"{number} {'user' if number == 1 else 'users'}"


def _are(number: int) -> str:
    return f"{number} {'is' if number == 1 else 'are'}"
