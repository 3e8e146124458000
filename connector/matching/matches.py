"""Agents and users held to one another, one to one: the matches that stand, and why others do not.

Rules order one agent's search and never rank agents: two agents that match one user are both contested. The
candidates of an ambiguous agent count as claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set as AbstractSet
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import DeniedError
from connector.matching.candidates import Candidates, Match
from connector.matching.roster import PIN, AgentRoster
from connector.model import (
    UNIDENTIFIED,
    Agent,
    Description,
    Memory,
    Problem,
    Tenant,
)

UNIDENTIFIED_USER: Final = (
    "the user does not show its id (objectGUID, entryUUID, nsUniqueId) to this account. Not written. Grant the "
    "account the right to read it"
)
MOST_NAMES: Final = 50
"""How many users a problem names; the number of all of them is in its reason."""
MOST_RIVALS: Final = 10
"""How many agents a problem names."""


_UNDECIDED: Final = (
    "this job wrote to {user} for it, and the account list does not tell what would find that user: it does not "
    "move to whom rule {rule} finds. Correct the account list, or pin it"
)


class Matches(Struct, frozen=True):
    """What became of every agent."""

    matched: Sequence[Match]
    """The matches that stand, in the order of their agents."""
    unmatched: Mapping[int, Problem]
    """By the agent's place, as the next two."""
    ambiguous: Mapping[int, Problem]
    contested: Mapping[int, Problem]
    elsewhere: frozenset[int]
    """Agents that no rule finds here, and that a sibling finds or reports."""
    unassigned: int
    """Seats without an account."""
    claimed: AbstractSet[str]
    """The ids of all users that agents match, also where no match stands."""
    unsure: bool = False
    """Some agent may have any user: its pin finds nobody, or others match the same user."""
    doubtful: frozenset[str] = frozenset()
    """Attributes by which agents may have users that they were not looked up by (`AgentRoster.doubtful_attributes`)."""
    unproven: frozenset[str] = frozenset()
    """As of `Candidates`."""
    unidentified: frozenset[str] = frozenset()
    """Names of claimed users that do not show their id."""

    def user_ids(self) -> list[str]:
        """The ids of matched users, as far as they show them."""
        return [
            match.id for match in self.matched if not match.id.startswith(UNIDENTIFIED)
        ]


def settle_matches(candidates: Candidates, tenant: Tenant) -> Matches:
    """One to one, or why not."""
    roster = candidates.roster
    claimed, rivals = _find_claims(candidates)
    matched: list[Match] = []
    unmatched, ambiguous, contested = (
        dict[int, Problem](),
        dict[int, Problem](),
        dict[int, Problem](),
    )
    unassigned, unsure, doubted = 0, False, list[int]()
    contradictions = tenant.accounts.contradictions if tenant.accounts else {}
    for number, match in enumerate(candidates.sole_matches()):
        of_others, doubled = number in tenant.others, number in roster.doubles
        contradiction = contradictions.get(number)
        is_held = of_others or doubled or contradiction is not None
        if match is not None and not (is_held or match.id in rivals):
            matched.append(match)
            continue
        agent, found = tenant.agents[number], candidates.matches_of(number)
        if of_others:
            # nobody's problem here, but its users may not be taken for nobody's
            if doubled or not found:
                doubted.append(number)
        elif doubled:
            # one of them is mistaken for somebody else, whose user nobody claims now
            doubted.append(number)
            field, value = next(iter(roster.doubles[number].items()))
            why = f"several records of the source have {field} {value!r}, and a pin cannot choose"
            contested[number] = _make_problem(
                "contested",
                agent,
                found,
                why,
            )
        elif contradiction is not None:
            doubted.append(number)
            contested[number] = _make_problem(
                "contested",
                agent,
                found,
                contradiction,
            )
        elif agent.account_code is None:
            unassigned += 1
        elif not found:
            unmatched[number] = _describe_unmatched(
                roster,
                number,
                agent,
            )
            doubted.append(number)
        elif match is None:
            ambiguous[number] = _make_problem(
                "ambiguous",
                agent,
                found,
                f"{len(found)} users match",
            )
        else:
            why = _name_rivals(
                tenant.agents,
                number,
                rivals[match.id],
            )
            contested[number] = _make_problem(
                "contested",
                agent,
                found,
                why,
            )
            # perhaps to a wrong user, so that nobody claims the right one
            unsure = unsure or number in roster.pinned
    hidden = frozenset(
        id_.removeprefix(UNIDENTIFIED)
        for id_ in claimed
        if id_.startswith(UNIDENTIFIED)
    )
    doubtful = [roster.doubtful_attributes(number) for number in doubted]
    return Matches(
        matched, unmatched, ambiguous, contested, frozenset(), unassigned, claimed,
        unsure=unsure or bool(hidden) or None in doubtful,
        doubtful=frozenset[str]().union(*filter(None, doubtful)),
        unproven=candidates.unproven, unidentified=hidden,
    )  # fmt: skip


def hold_undecided(
    matches: Matches,
    candidates: Candidates,
    memory: Memory,
    stale: Mapping[str, str],
) -> Matches:
    """Hold an agent to the user that this job wrote to for it, while the account list hides what would find that user.

    Else it would move to whom a later rule finds. Nor is that user cleared, whatever becomes of the agent. `stale`: the
    names of stale users by id.
    """
    roster = candidates.roster
    wrote_for = memory.read_agents(stale.keys())
    former = {agent.account_code: stale[id_] for id_, agent in wrote_for.items()}
    moved: list[tuple[Match, frozenset[str]]] = []
    for match in candidates if former else ():
        if roster.agents[match.agent].account_code in former:
            untold = roster.untold_attributes(match.agent, match.rule)
            moved += [(match, untold)] if untold else []
    settled = memory.read_agents({match.id for match, _ in moved}) if moved else {}
    matched = {match.agent for match in matches.matched} if moved else set()
    held: dict[int, Problem] = {}
    doubtful = matches.doubtful
    for match, untold in moved:
        agent = roster.agents[match.agent]
        last = settled.get(match.id)
        if last is not None and last.account_code == agent.account_code:
            continue
        doubtful |= untold
        if match.agent in matched:
            why = _UNDECIDED.format(user=former[agent.account_code], rule=match.rule)
            held[match.agent] = _make_problem(
                "contested",
                agent,
                [match],
                why,
            )
    return replace(
        matches,
        matched=[match for match in matches.matched if match.agent not in held],
        contested={**matches.contested, **held},
        doubtful=doubtful,
    )


def refuse_hidden_ids(
    matches: Matches,
    description: Description,
) -> None:
    """Raises DeniedError where no claimed user shows its id to this account."""
    hidden, naming = matches.unidentified, description.naming
    if hidden and len(hidden) == len(matches.claimed) and naming.chosen_id is None:
        why = naming.unidentified or f"{UNIDENTIFIED_USER}; nor does any other"
        raise DeniedError(why, where=min(hidden))


def _find_claims(
    candidates: Candidates,
) -> tuple[AbstractSet[str], dict[str, list[int]]]:
    """The ids of all users that agents match, and of those that several match, the agents."""
    claimed: dict[str, int] = {}
    rivals: dict[str, list[int]] = {}
    for match in candidates:
        first = claimed.setdefault(match.id, match.agent)
        if first != match.agent:
            rivals.setdefault(match.id, [first]).append(match.agent)
    return claimed.keys(), rivals


def _describe_unmatched(
    roster: AgentRoster,
    number: int,
    agent: Agent,
) -> Problem:
    if number in roster.pinned:
        pinned = roster.pinned[number]
        why = "its pin names its account with another workNo. Correct the pin"
        if pinned:
            why = (
                f"it is pinned to {pinned[0][1]!r}, which is not within base and filter"
            )
        return Problem(
            "unmatched",
            why,
            agent=agent.ref,
            rule=PIN,
        )
    tried = [
        f"{attribute} {value!r}" for attribute, value in roster.list_tried_keys(agent)
    ]
    why = (
        f"no user has {' or '.join(tried)}"
        if tried
        else "no match rule gives a value for it"
    )
    return Problem(
        "unmatched",
        why,
        agent=agent.ref,
    )


def _make_problem(
    kind: str,
    agent: Agent,
    found: Collection[Match],
    why: str,
) -> Problem:
    rule = next((match.rule for match in found), None)
    names = sorted(match.name for match in found)[:MOST_NAMES]
    return Problem(
        kind,
        why,
        agent=agent.ref,
        users=tuple(names),
        rule=rule,
    )


def _name_rivals(
    agents: Sequence[Agent],
    number: int,
    rivals: Sequence[int],
) -> str:
    """Name a few rivals, so that a thousand agents on one user stay a thousand lines."""
    others = [each for each in rivals if each != number]
    named = ", ".join(str(agents[each].ref) for each in others[:MOST_RIVALS])
    more = len(others) - MOST_RIVALS
    return (
        f"the user is also claimed by {named}{f' and {more} more' if more > 0 else ''}"
    )
