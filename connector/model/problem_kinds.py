"""The kinds of problems, each with what it means in plain words, what a reviewer has to act on first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from connector.model import Problem

KINDS: Final[dict[str, str]] = {
    "invalid": (
        "A record of the source is invalid. It matches no user, and nothing stale is cleared. Correct it in the tenant."
    ),
    "contested": (
        "Several agents claim the same user, or share an account or a seat. None is written. Correct the tenant. Of "
        "agents that claim the same user you can pin all but one to their own users."
    ),
    "ambiguous": "A match rule finds several users for one agent. None is written. Pin the agent.",
    "pin": "A line of the pins file cannot be followed. Correct it.",
    "shared": "Several users are to get one unique value. None gets it. Correct the tenant.",
    "reassigned": (
        "Another user still holds this unique value. It is not written. If an agent of that user has it too, correct "
        "the tenant. Else clear it there first."
    ),
    "another job": "Another job wrote the attribute last. It is not written, unless the mapping sets take_over.",
    "flapping": "Somebody changes a value back after each apply. Find the other writer.",
    "refused": "The directory refused earlier writes to the user. Each run retries a few such users, last.",
    "value": "The attribute cannot hold the value. It is not written.",
    "schema": "The directory's schema forbids the change of this entry. It is not written.",
    "rights": "The job's account may not write the attribute there. Grant it the right.",
    "together": "These attributes are written together or not at all. One is held back, so all are.",
    "exclude": "The agent or user is on the exclude list. It is not written.",
    "tenant": "A field of the tenant itself is missing or invalid. Values made of it are kept.",
    "unreadable": "This account cannot read the attribute; skipped. Grant it the right to read.",
    "stale": (
        "The user holds values that this job wrote or adopts, and no agent claims it. They are cleared only where the "
        "mapping sets `stale: clear`."
    ),
    "unsettled": "A server gave no answer to a write. The values count as this job's until a read settles it.",
    "undo": "A value of that run cannot be restored. It is kept.",
    "unmatched": (
        "No match rule or pin finds a user for the agent. Create the user, correct a spelling, or pin the agent."
    ),
}
MANY: Final = 4
"""So many problems that say the same of an attribute are one line, with the users that it
holds for."""
_PLACES: Final = {kind: number for number, kind in enumerate(KINDS)}


def explain_kind(kind: str) -> str:
    """What the kind means; a kind that is not in the table speaks through the reasons of its lines alone."""
    return KINDS.get(kind, "Each line gives the reason.")


def group_problems(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """Problems by kind: first the kinds of the table, in its order, then all others."""
    groups: dict[str, list[Problem]] = {kind: [] for kind in KINDS}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem)
    return {kind: group for kind, group in groups.items() if group}


def group_alike(
    problems: Iterable[Problem], mark: Callable[[Problem], str]
) -> list[list[Problem]]:
    """Problems of one kind in their order; those that differ only in agent and user are together where the first is.

    `mark`: what is said of a problem beside it, in which they do not differ either.
    """
    groups: dict[object, list[Problem]] = {}
    for number, each in enumerate(problems):
        own = each.near or each.record is not None or not (each.users or each.agent)
        said = number if own else (each.why, each.attribute, each.rule, mark(each))
        groups.setdefault(said, []).append(each)
    return [
        part
        for group in groups.values()
        for part in ([group] if len(group) >= MANY else [[each] for each in group])
    ]


def kind_rank(kind: str) -> int:
    """Where a kind comes in that order; one that is not in the table comes last."""
    return _PLACES.get(kind, len(_PLACES))
