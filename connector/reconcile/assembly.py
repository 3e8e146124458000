"""The plan as a value: changes and problems counted, put in order, and digested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from connector.model import AgentRef, Change, Memory, Plan, Problem, Refusal, Summary
from connector.reconcile.digests import digest_of_change, digest_of_plan, digest_of_values
from connector.reconcile.limits import Limits, Whole, too_many


def assembled(
    changes: Iterable[Change],
    problems: Iterable[Problem],
    summary: Summary,
    refusals: Iterable[Refusal],
    *,
    job: str,
    plan_id: str,
    created: str,
    about: tuple[tuple[str, str], ...],
    cautions: Iterable[str],
) -> Plan:
    """The plan with its digest; its problems in the order in which a reviewer has to act on them."""
    plan = Plan(
        id=plan_id,
        digest="",
        job=job,
        created=created,
        summary=summary,
        changes=tuple(changes),
        problems=tuple(sorted(problems, key=_order)),
        refusals=tuple(refusals),
        cautions=tuple(cautions),
        about=about,
    )
    return replace(plan, digest=digest_of_plan(plan))


def draw_undo(
    changes: Iterable[Change],
    problems: Iterable[Problem],
    limits: Limits,
    *,
    whole: int,
    job: str,
    plan_id: str,
    created: str,
    about: tuple[tuple[str, str], ...],
    cautions: Iterable[str],
) -> Plan:
    """The plan of an undo: it has no agents. `whole`: how many users its limits are of."""
    drawn = [replace(change, digest=digest_of_change(change)) for change in changes]
    summary = replace(Summary(), **counts(drawn))
    refused = too_many(limits, summary, Whole(whole, whole, None), users_by_attribute(drawn, limits))
    return assembled(
        drawn, problems, summary, refused, job=job, plan_id=plan_id, created=created, about=about, cautions=cautions
    )


def tugs_of_war(changes: Iterable[Change], memory: Memory) -> Iterator[Problem]:
    """Values that we wrote more than once running, and that were changed by somebody each time."""
    rewritten = memory.rewritten()
    for change in changes if rewritten else ():
        for each in change.attributes:
            digest, times = rewritten.get((change.user.id, each.name), ("", 0))
            if digest and digest == digest_of_values(each):
                why = f"we have written this very value {times} times running, and somebody changes it each time"
                yield Problem("tug-of-war", why, change.agent, (change.user.name,), change.rule, each.name)


def users_by_attribute(changes: Iterable[Change], limits: Limits) -> Counter[str]:
    """Of how many users each attribute is changed that has a limit of its own."""
    limited = limits.attributes
    names = (each.name for change in changes for each in change.attributes if each.name in limited)
    return Counter(names if limited else ())


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """How many users each kind of change touches; a user may count in several."""
    found = {"update": 0, "clear": 0, "secret": 0}
    for change in changes:
        sets = clears = secrets = False
        for each in change.attributes:
            if each.new:
                sets = True
                secrets = secrets or each.secret
            elif each.old or each.secret:
                clears = True
        found["update"] += sets
        found["clear"] += clears
        found["secret"] += secrets
    return found


_KINDS: Final = (
    "invalid", "contested", "ambiguous", "pin", "shared", "reassigned", "tug-of-war", "value", "schema", "rights",
    "never", "tenant", "unreadable", "stale", "undo", "unmatched",
)  # fmt: skip


def _order(problem: Problem) -> tuple[int, int, int, str, str]:
    """What a reviewer has to act on comes first; within a kind by record and agent, so that two runs agree."""
    agent = problem.agent or AgentRef()
    kind = _KINDS.index(problem.kind) if problem.kind in _KINDS else len(_KINDS)
    return (kind, problem.record or 0, agent.work_no or 0, agent.account_code or "", problem.why)


def fallen(before: Change, after: Change) -> Iterator[Problem]:
    """What cannot be added to an entry, since what its object class requires has fallen away."""
    left = {each.name for each in after.attributes}
    for each in before.attributes:
        if each.name not in left:
            why = "its object class requires another attribute, which this plan cannot set"
            yield Problem("schema", why, before.agent, (before.user.name,), before.rule, each.name)
