"""When values of ours are cleared from users that no agent claims, and why some are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from connector.matching.lookup import Lookup
from connector.matching.people import Exclusion
from connector.model import (
    AgentRef,
    Description,
    Holds,
    Memory,
    Problem,
    Question,
    User,
)
from connector.model.draft import Draft
from connector.model.mapping import Grace, Mapping as AttributeMapping
from connector.model.memory import count_time
from connector.planning.brief import PlanBrief
from connector.planning.compare_user import UserComparer
from connector.planning.standing import CHANGED, Leaver, LeaverPlace

MISSED: Final = (
    "not cleared: an agent matches this user, but no look-up gave it the user"
)
DOUBTED: Final = (
    "not cleared: it may be the user of an agent that has no value for the match rule of {names}, or shares one with "
    "another record. Solve the problems of unmatched and contested agents"
)
_HIDDEN: Final = "not cleared: it shows no {names}, so an agent may still match it"
_OURS: Final = "{names}: values of this job; no agent claims the user any more"
_LOST: Final = ". The mapping no longer writes {names}: not cleared"
_SPARED: Final = "stale, and on the exclude list; without that it would be cleared"
_KEPT: Final = ". Its values are kept. To clear them, set `stale: {disabled: clear}` in the mapping"

Names = Mapping[str, Sequence[str]]
"""By user id, attributes."""


class ClearedLeavers(Struct, frozen=True):
    """What clears stale users, and why some are kept."""

    drafts: Sequence[Draft]
    problems: Sequence[Problem]
    doubted: Collection[str] = ()
    """The ids of users whom an agent in doubt may claim."""


def clear_leavers(
    directory: Lookup,
    leavers: Sequence[Leaver],
    brief: PlanBrief,
    comparer: UserComparer,
    *,
    exclusion: Exclusion,
    doubtful: Collection[str] | None,
    claimers: Callable[[User], list[AgentRef]],
) -> ClearedLeavers:
    """Clear our values from stale users, where the mapping says so and no agent may claim them.

    `doubtful`: attributes by which agents in doubt may have users; None: any agent may have any user, or the plan is
    for some users alone, so that nobody is cleared. `claimers`: the agents that would claim a user.
    """
    mapping = brief.mapping
    due, problems = judge_leavers(
        leavers,
        mapping,
        brief.memory,
        brief.now,
    )
    if doubtful is None or not mapping.clears:
        return ClearedLeavers((), problems)
    hidden = hidden_attributes(
        directory,
        leavers,
        mapping,
        brief.description,
    )
    doubted = doubted_attributes(
        leavers,
        doubtful,
        hidden,
    )
    drafts: list[Draft] = []
    for each in due:
        user = each.now
        if user is None or not each.user.identified:
            continue
        agents = claimers(user) if each.place is LeaverPlace.WITHIN else []
        reasons = list(
            _find_reasons(
                user.id,
                agents,
                hidden,
                doubted,
            )
        )
        # by the name that it had, or has now
        spared = exclusion.spares(None, each.user) or exclusion.spares(None, user.ref)
        excluded = _SPARED if spared else exclusion.doubt(user.ref)
        if not reasons:
            draft = comparer.draft_clearing(
                user,
                each,
                brief.fingerprint,
            )
            if not excluded:
                drafts.append(draft)
            elif draft.planned:
                problems.append(
                    Problem(
                        "exclude",
                        excluded,
                        users=(each.user.name,),
                    )
                )
        elif not excluded:
            problems += [
                Problem(
                    "stale",
                    why,
                    agent,
                    (user.name,),
                )
                for why, agent in reasons
            ]
    return ClearedLeavers(
        drafts,
        problems,
        doubted,
    )


def _find_reasons(
    id_: str,
    agents: Iterable[AgentRef],
    hidden: Names,
    doubted: Names,
) -> Iterator[tuple[str, AgentRef | None]]:
    """Why a user is kept: agents claim it after all, or one may."""
    for agent in agents:
        yield MISSED, agent
    if agents:
        return
    if id_ in hidden:
        yield _HIDDEN.format(names=" and no ".join(hidden[id_])), None
    elif id_ in doubted:
        yield DOUBTED.format(names=" and ".join(doubted[id_])), None


def judge_leavers(
    leavers: Sequence[Leaver],
    mapping: AttributeMapping,
    memory: Memory,
    now: datetime,
) -> tuple[list[Leaver], list[Problem]]:
    """Those that are to be cleared, and whose grace is over, if the mapping grants one; and a line about each user.

    Of a user that holds nothing of ours any more, only that somebody has changed it.
    """
    grace = mapping.stale if isinstance(mapping.stale, Grace) else None
    seen, since = memory.read_stale(), count_time(memory.read_last_look(), now)
    written = {rule.name.lower(): rule.name for rule in mapping.attributes}
    # elsewhere nothing is ever written
    clearing = {
        LeaverPlace.WITHIN: mapping.stale != "report",
        LeaverPlace.DISABLED: mapping.disabled == "clear",
    }
    due, problems = [], []
    for each in leavers:
        users, held = (each.user.name,), each.held_names
        if not held:
            problems += [
                Problem(
                    "stale",
                    CHANGED,
                    users=users,
                    attribute=name,
                )
                for low, name in written.items()
                if low in each.theirs
            ]
            continue
        clears, left = clearing.get(each.place, False), ""
        if grace and clears:
            waited, runs = seen.get(each.user.id, (None, 0))
            passed = timedelta(0) if waited is None else waited + since
            left = grace.describe_left(passed, runs)
        why = _OURS.format(names=", ".join(sorted(held))) + left + each.place.value
        lost = [name for name in held - each.adopted if name.lower() not in written]
        if clears and lost:
            why += _LOST.format(names=", ".join(sorted(lost)))
        elif not clears and each.place is LeaverPlace.DISABLED:
            why += _KEPT
        problems.append(
            Problem(
                "stale",
                why,
                users=users,
            )
        )
        if clears and not left:
            due.append(each)
    return due, problems


def hidden_attributes(
    directory: Lookup,
    leavers: Sequence[Leaver],
    rules: AttributeMapping,
    description: Description,
) -> Names:
    """By user id the match attributes that a user within base and filter does not show, and may hold all the same.

    A server that is asked to compare tells of this very user that it holds none. Where a hidden value answers like one
    that is missing, nothing tells.
    """
    infos, hides = description.attributes, description.reading.hides
    matched = dict.fromkeys(rule.directory for rule in rules.match)
    names = [name for name in matched if hides or not infos[name].readable]
    unseen = [
        Question(
            user.ref,
            name,
            "0",
        )
        for user in _users_within(leavers)
        for name in names
        if name not in user.values
    ]
    asked = directory.compare(() if hides else unseen)
    absent = {question for question, answer in asked if answer is Holds.ABSENT}
    hidden: dict[str, list[str]] = {}
    for question in unseen:
        if question not in absent:
            hidden.setdefault(question.user.id, []).append(question.attribute)
    return hidden


def doubted_attributes(
    leavers: Sequence[Leaver],
    doubtful: Collection[str],
    hidden: Names,
) -> Names:
    """By user id those of the `doubtful` attributes, by which agents in doubt may have it, that a user may hold."""
    doubted = {}
    for user in _users_within(leavers):
        names = {*user.values, *hidden.get(user.id, ())} & {*doubtful}
        if names:
            doubted[user.id] = sorted(names)
    return doubted


def _users_within(leavers: Sequence[Leaver]) -> list[User]:
    return [
        each.now for each in leavers if each.now and each.place is LeaverPlace.WITHIN
    ]
