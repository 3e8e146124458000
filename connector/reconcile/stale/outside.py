"""Users of ours that are within reach no more: they exist, and base or filter leaves them out.

A wrong base or filter reads as if people had gone. It is a hint for a reader, and in no digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from connector.model import AgentRef, Plan, Problem, User
from connector.reconcile.matching.roster import Roster
from connector.reconcile.stale.stale_users import Place, Unclaimed


def told_outside(
    plan: Plan,
    unclaimed: Sequence[Unclaimed],
    unmatched: Mapping[int, Problem],
    roster: Roster,
) -> Plan:
    """The plan with the users that exist outside base or filter, in the lines of those users and of their agents.

    `unclaimed`: users of ours that no agent claims. `unmatched`: agents by number.
    """
    found = [(each.user.name, each.now) for each in unclaimed if each.now and each.place is not Place.WITHIN]
    if not found:
        return plan
    owners = {name: user.name for name, user in found}
    seekers = _seekers([user for _, user in found], unmatched, roster)
    return replace(plan, problems=tuple(_told(each, owners, seekers) for each in plan.problems))


def _seekers(
    found: Sequence[User], unmatched: Mapping[int, Problem], roster: Roster
) -> dict[AgentRef, tuple[str, ...]]:
    """The agents without a user that look for what one of these users holds, with the users' names."""
    few = roster.only(unmatched)
    names: dict[AgentRef, set[str]] = {}
    for user in found:
        for number, _ in few.seekers(user):
            agent = unmatched[number].agent
            if agent is not None:
                names.setdefault(agent, set()).add(user.name)
    return {agent: tuple(sorted(users)) for agent, users in names.items()}


def _told(problem: Problem, owners: Mapping[str, str], seekers: Mapping[AgentRef, tuple[str, ...]]) -> Problem:
    if problem.kind == "unmatched" and problem.agent is not None:
        return replace(problem, outside=seekers.get(problem.agent, ()))
    if problem.kind == "stale" and problem.users and problem.users[0] in owners:
        return replace(problem, outside=(owners[problem.users[0]],))
    return problem
