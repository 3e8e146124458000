"""Agents that other jobs of the tenant find in directories of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from connector.matching.matches import Matches
from connector.model import Agent, Problem, SiblingPlan, SiblingPlans

UNHEARD: Final = (
    "no full plan of the sibling {job} counts: the state has none, or it is too old. Its agents are unmatched here. "
    "Plan that job, with the same `state` as this one"
)
_TWICE: Final = (
    "the sibling {job} finds a user for it too. Neither is written. Correct one of the users, or exclude the agent "
    "from one job by `source.except`"
)


def defer_to_siblings(
    matches: Matches,
    agents: Sequence[Agent],
    job: str,
    siblings: SiblingPlans,
) -> Matches:
    """Leave agents to siblings that find them, or report them first; hold those that a sibling finds too.

    An agent that is found twice stays in `claimed`: its users are nobody's leavers.
    """
    if not siblings.plans:
        return matches
    elsewhere = frozenset(
        number
        for number in matches.unmatched
        if _is_elsewhere(agents[number].account_code, job, siblings.plans)
    )
    twice: dict[int, Problem] = {}
    for match in matches.matched:
        agent = agents[match.agent]
        finder = _find_finder(agent.account_code, siblings.plans)
        if finder is not None:
            why = _TWICE.format(job=finder.job)
            twice[match.agent] = Problem(
                "contested", why, agent.ref, (match.name,), match.rule
            )
    return replace(
        matches,
        matched=[each for each in matches.matched if each.agent not in twice],
        unmatched={
            number: problem
            for number, problem in matches.unmatched.items()
            if number not in elsewhere
        },
        contested={**matches.contested, **twice},
        elsewhere=elsewhere,
    )


def _is_elsewhere(account: str | None, job: str, plans: Sequence[SiblingPlan]) -> bool:
    """Whether a sibling finds the agent, or reports it as unmatched under a name that sorts before this job's."""
    return _find_finder(account, plans) is not None or any(
        account in plan.missing for plan in plans if plan.job < job
    )


def _find_finder(
    account: str | None, plans: Sequence[SiblingPlan]
) -> SiblingPlan | None:
    return next((plan for plan in plans if account in plan.found), None)
