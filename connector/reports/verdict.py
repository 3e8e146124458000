"""What a plan comes to, in words and numbers: how many people lose, change or get what, and who stays as they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    Change,
    Plan,
    Result,
)
from connector.model.digests import is_secret
from connector.reports.wording import (
    HIDDEN_CLEARED,
    Outcomes,
    by_user,
    count_noun,
    find_sides,
)

_VERBS: Final = {
    "lose": ("loses", "lose", "lost"),
    "change": ("changes", "change", "changed"),
    "get": ("gets", "get", "got"),
}
"""By effect, the riskiest first: of one person, of several, and after an apply."""

_ENDED: Final = {Result.WRITTEN: "written", Result.UNCHANGED: "in step"}


def describe_effects(plan: Plan, outcomes: Outcomes = None) -> list[str]:
    """How many people lose, change or get what: `12 people change their seat (employeeNumber)`.

    After an apply, those that were written. Object classes are told where nothing else changes.
    """
    results = by_user(outcomes)
    counts = Counter[tuple[str, str]]()
    fields = defaultdict[str, set[str]](set)
    for change in plan.changes:
        outcome = results.get(change.user.id)
        if outcomes is None or (outcome and outcome.result is Result.WRITTEN):
            plain = [each for each in change.attributes if each.name != OBJECT_CLASS]
            for each in plain or change.attributes:
                counts[_find_effect(each), each.name] += 1
                if _find_effect(each) != "lose" or is_secret(each):
                    fields[each.name].add(_find_field(change, each))
    alike = defaultdict[tuple[str, int], list[str]](list)
    for (effect, name), count in counts.items():
        field, *others = fields[name] or [""]
        said = f"{field} ({name})" if field and not others else name
        alike[effect, count].append(said)
    sentences = []
    for effect, (one, several, past) in _VERBS.items():
        for (of, count), names in alike.items():
            if of == effect:
                verb = past if outcomes is not None else one if count == 1 else several
                people = count_noun(count, "person", "people")
                sentences.append(f"{people} {verb} their {', '.join(names)}")
    return sentences


def _find_effect(each: AttributeChange) -> str:
    sides = find_sides(each)
    if sides.new in ([], [HIDDEN_CLEARED]):
        return "lose"
    return "change" if sides.old else "get"


def _find_field(change: Change, each: AttributeChange) -> str:
    """The word for the agent's field that an attribute takes its value from; empty: none that is known."""
    if is_secret(each):
        return "SIP password"
    agent = change.agent or AgentRef()
    if str(agent.work_no) in each.new:
        return "seat"
    return "account" if agent.account_code in each.new else ""


def count_shares(plan: Plan, outcomes: Outcomes = None) -> dict[str, int]:
    """People by what becomes of them: in step, to change, held back, not matched; each only if there are some.

    After an apply, those to change are written or not written.
    """
    summary = plan.summary
    shares = {"in step": summary.unchanged, "to change": 0, "written": 0}
    shares["not written"] = 0
    results = by_user(outcomes)
    for change in plan.changes:
        outcome = results.get(change.user.id)
        if outcomes is None:
            shares["to change"] += 1
        elif outcome and outcome.result in _ENDED:
            shares[_ENDED[outcome.result]] += 1
        else:
            shares["not written"] += 1
    changing = sum(change.agent is not None for change in plan.changes)
    held = "held back or left out" if plan.notes.only else "held back"
    shares[held] = summary.matched - summary.unchanged - changing
    shares["not matched"] = (
        summary.unmatched + summary.ambiguous + summary.contested + summary.invalid
    )
    return {name: count for name, count in shares.items() if count > 0}
