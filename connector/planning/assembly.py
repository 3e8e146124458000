"""The plan as a value: changes and problems counted, put in order, and digested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Description,
    Owned,
    Plan,
    PlanNotes,
    Problem,
    Refusal,
    Summary,
    equality,
    patterns,
)
from connector.model.digests import digest_of, digest_of_plan
from connector.model.draft import Draft
from connector.model.limits import sets_value, takes_value
from connector.model.plan import kind_rank
from connector.planning.brief import PlanBrief
from connector.planning.forms import OtherValues, add_forms
from connector.planning.kinds import add_overview

_NOBODY: Final[frozenset[str]] = frozenset()
"""One for all: each empty set of its own would take 216 octets."""


class PlanContents(Struct, frozen=True):
    """What a plan says, before it is put in order."""

    changes: Sequence[Change]
    problems: Iterable[Problem]
    """One that several users share may come several times."""
    summary: Summary
    refusals: Iterable[Refusal]
    cautions: Iterable[str]


def make_change(
    draft: Draft,
    attributes: tuple[AttributeChange, ...],
    waiting: Mapping[str, frozenset[str]],
) -> Change:
    """The change that a settled draft has become, with its digest. `waiting`: by user id, whom its change waits for."""
    digest = digest_of(
        draft.user,
        draft.agent,
        draft.rule,
        attributes,
    )
    after = waiting.get(draft.user.id, _NOBODY)
    return Change(
        draft.user, draft.agent, draft.rule, attributes, digest, after,
        disabled=draft.disabled, inactive=draft.inactive,
    )  # fmt: skip


def assemble_plan(
    brief: PlanBrief,
    contents: PlanContents,
    others: OtherValues,
) -> Plan:
    """The plan with its digest; its problems in the order in which a reviewer has to act on them."""
    given, losing, left = add_forms(contents.changes, brief, others)
    former = sorted((left + _count_former(brief)).items())
    problems = {id(each): each for each in contents.problems}
    plan = Plan(
        id=brief.plan_id,
        digest="",
        job=brief.job,
        created=brief.now.isoformat(timespec="seconds"),
        summary=contents.summary,
        changes=tuple(given),
        problems=tuple(sorted(problems.values(), key=_sort_key)),
        refusals=tuple(contents.refusals),
        cautions=(
            *contents.cautions,
            *(_describe_former(*slot, users) for slot, users in former),
        ),
        about=brief.about,
        notes=PlanNotes(lost=len(set[str]().union(*losing.values()))),
    )
    return add_overview(replace(plan, digest=digest_of_plan(plan)))


def _count_former(brief: PlanBrief) -> Counter[tuple[str, str]]:
    """What earlier plans left as the ones in `FormedChanges.left`, as far as the mapping does not own it again."""
    owns = {
        rule.name: frozenset(patterns.split_pattern(rule.owns))
        for rule in brief.mapping.attributes
        if rule.owns
    }
    return Counter(
        (name, pattern)
        for name, pattern in brief.memory.read_former()
        if name in owns
        and patterns.ALL not in owns[name]
        and not owns[name].issuperset(patterns.split_pattern(pattern))
    )


def _describe_former(
    name: str,
    pattern: str,
    users: int,
) -> str:
    """The caution that this job's own values stay beside the new ones."""
    whose = "one user" if users == 1 else f"{users} users"
    return (
        f"{name} of {whose} may keep values that this job wrote when its owns was "
        f"{patterns.describe_pattern(pattern)}: they are "
        "not its own now. To replace them, list that in owns, too, for one apply"
    )


def list_held_back(drafts: Iterable[Draft], shared: Iterable[Problem]) -> list[Problem]:
    """What holds attributes back, each problem once; those that several users may share come last, in their order."""
    last = {id(problem): problem for problem in shared}
    found = {
        id(problem): problem
        for draft in drafts
        for problem in draft.held
        if id(problem) not in last
    }
    return [*found.values(), *last.values()]


def find_flapping(
    changes: Iterable[Change],
    repeats: Mapping[str, frozenset[str]],
    brief: PlanBrief,
) -> Iterator[Problem]:
    """Values that we wrote more than once running, and that were changed by somebody each time.

    `repeats`: by user what is there and only written again.
    """
    rewritten = brief.memory.read_rewritten()
    for change in changes if rewritten else ():
        for each in change.attributes:
            before = rewritten.get((change.user.id, each.name))
            again = each.name in repeats.get(change.user.id, ())
            if (
                before is not None
                and not again
                and _is_same_value(before, each, brief.description)
            ):
                why = (
                    f"this job wrote the same value {before.times} times in a row, and somebody changed it each "
                    "time. Find the other writer"
                )
                yield Problem(
                    "flapping",
                    why,
                    change.agent,
                    (change.user.name,),
                    change.rule,
                    each.name,
                )


def _is_same_value(
    before: Owned,
    each: AttributeChange,
    description: Description,
) -> bool:
    if each.secret:
        return before.fingerprint == each.fingerprint
    rule = description.equality(each.name)
    return set(before.values) == {
        equality.digest_value(rule, value) for value in each.new
    }


def count_changes(changes: Iterable[Change]) -> dict[str, int]:
    """How many users each kind of change touches; a user may count in several."""
    found = {"update": 0, "clear": 0, "secret": 0}
    for change in changes:
        sets = clears = secrets = False
        for each in change.attributes:
            sets = sets or sets_value(change, each)
            secrets = secrets or (each.secret and sets_value(change, each))
            clears = clears or takes_value(change, each)
        found["update"] += sets
        found["clear"] += clears
        found["secret"] += secrets
    return found


def _sort_key(problem: Problem) -> tuple[int, int, int, str, str]:
    """What a reviewer has to act on comes first; within a kind by record and agent, so that two runs agree."""
    agent = problem.agent or AgentRef()
    return (
        kind_rank(problem.kind),
        problem.record or 0,
        agent.work_no or 0,
        agent.account_code or "",
        problem.why,
    )
