"""Users of ours that are within reach no more: they exist, and base or filter leaves them out.

A wrong base or filter reads as if people had gone. One look past both tells. It is a hint for a reader: bounded, in no
digest, and it ends no run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.model import ID, AgentRef, Plan, Problem, User
from connector.reconcile.questions import Find, Planning, Read, ask
from connector.reconcile.roster import Roster
from connector.reconcile.stale import Unclaimed

USERS: Final = 50


def told_outside(
    plan: Plan,
    unclaimed: Sequence[Unclaimed],
    unmatched: Mapping[int, Problem],
    roster: Roster,
) -> Planning[Plan]:
    """The plan with the users that exist outside base or filter, in the lines of those users and of their agents.

    `unclaimed`: users of ours that no agent claims, of whom the first are looked for. `unmatched`: agents by number.
    """
    refs = [each.user for each in unclaimed[:USERS]]
    if not refs:
        return plan
    within = {user.id for user in (yield from ask(Read(refs)))}
    gone = {ref.id: ref for ref in refs if ref.id not in within}
    keys = [(ID, id_) for id_ in gone]
    try:
        found = [user for user in (yield from ask(Find(keys, outside=True))) if user.id in gone] if keys else []
    except IncompleteRead as fault:
        return _noting(plan, f"users past base and filter could not be looked for: {fault}")
    if not found:
        return plan
    owners = {gone[user.id].name: user.name for user in found}
    seekers = _seekers(found, unmatched, roster)
    plan = replace(plan, problems=tuple(_told(each, owners, seekers) for each in plan.problems))
    left_out = len(unclaimed) - len(refs)
    return _noting(plan, f"looked for, for {USERS} users of ours; {left_out} more are left out") if left_out else plan


def _noting(plan: Plan, what: str) -> Plan:
    return replace(plan, about=(*plan.about, ("outside", what)))


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
    """The problem, with those who exist outside where it is about one of them."""
    if problem.kind == "unmatched" and problem.agent is not None:
        return replace(problem, outside=seekers.get(problem.agent, ()))
    if problem.kind == "stale" and problem.users and problem.users[0] in owners:
        return replace(problem, outside=(owners[problem.users[0]],))
    return problem
