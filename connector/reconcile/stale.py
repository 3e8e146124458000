"""Stale users: they hold something of ours and no agent claims them. Who they are, and when that is to be cleared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from connector.model import Description, Memory, Problem, User, UserRef
from connector.reconcile.mapping import Grace, Mapping, Stale

Unclaimed = tuple[UserRef, frozenset[str]]
"""A user, and the attributes whose values are ours."""

UNSURE = (
    "nothing stale is cleared in this run: there are agents that could not be looked for, who may be "
    "anybody (a record that cannot be read, a pin that leads nowhere, an absent field of a match rule)"
)


def unclaimed(
    memory: Memory, nobodys: Callable[[str], bool], adopted: Iterable[User], ours: Callable[[User], frozenset[str]]
) -> list[Unclaimed]:
    """Users that nobody claims, of those we wrote to and of those `adopted` for what they hold, whoever wrote it.

    `nobodys`: whether no agent claims the user of this id.
    """
    found = {ref.id: (ref, names) for ref, names in memory.owned() if nobodys(ref.id)}
    for user in adopted:
        names = ours(user) if nobodys(user.id) else frozenset()
        if names:
            found[user.id] = (user.ref, names | found.get(user.id, (user.ref, frozenset()))[1])
    return sorted(found.values())


def judged(
    users: Sequence[Unclaimed], policy: Stale, memory: Memory, now: datetime
) -> tuple[list[UserRef], list[Problem]]:
    """Those whose grace is over, if the mapping grants one, and a line about each user."""
    grace = policy if isinstance(policy, Grace) else None
    seen = memory.stale() if grace and users else {}
    due, problems = [], []
    for ref, names in users:
        left = grace.left(now, *seen.get(ref.id, ("", 0))) if grace else ""
        why = f"{', '.join(sorted(names))}: ours, and no agent claims the user any more{left}"
        problems.append(Problem("stale", why, users=(ref.name,)))
        due += [] if left else [ref]
    return due, problems


def to_be_shown(mapping: Mapping, description: Description) -> list[str]:
    """Attributes of match rules that a user has to show, lest it be somebody's and only not be found."""
    infos, hides = description.attributes, description.hides
    return [each.directory for each in mapping.match if hides or infos[each.directory].readable is not True]
