"""Claims: which agent is which user. Users stream by once, in any order; what they leave is a claim an agent.

The first rule that finds anybody decides for an agent; if it finds several, the agent is ambiguous. Rules order one
agent's search and never rank agents: two agents that claim one user are both contested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from connector.model import Agent, AgentRef, Problem, Tenant, User, UserRef
from connector.reconcile.differences import NO_DIFFERENCE, Differ, Difference
from connector.reconcile.roster import NOBODY, PIN, Roster

MOST_NAMES = 50
"""How many users a problem names; the number of all of them is in its reason."""


class Claim(Struct, frozen=True, gc=False):
    """An agent (by its number in the tenant), the rule that found it a user, the user, and the difference."""

    agent: int
    rule: int
    user: UserRef
    difference: Difference = NO_DIFFERENCE


class Verdicts(Struct, frozen=True):
    """What became of every agent: claims that stand, and a problem for each agent that has none.

    `unsure`: some agent without a user could not be looked for by every rule, or not by its pin.
    """

    matched: list[Claim]
    unmatched: list[Problem]
    ambiguous: list[Problem]
    contested: list[Problem]
    unassigned: int
    claimed: frozenset[str]
    unsure: bool = False


class Claims:
    """Collects claims while users stream by; a user may come more than once.

    `shown`: the attributes of which some user has shown a value, so that they are known to be readable.
    """

    def __init__(self, roster: Roster, differ: Differ) -> None:
        self._roster = roster
        self._differ = differ
        self._claims: dict[int, Claim | dict[str, Claim]] = {}
        self.shown: set[str] = set()

    def add(self, user: User) -> None:
        """Let every agent whose key the user holds claim it."""
        if not self.shown.issuperset(user.values):
            self.shown.update(user.values)
        for agent, rule in self._roster.finds(user):
            before = self._claims.get(agent)
            if before is None:
                self._claims[agent] = self._claim(agent, rule, user)
                continue
            one = next(iter(before.values())) if isinstance(before, dict) else before
            if rule < one.rule:
                self._claims[agent] = self._claim(agent, rule, user)
            elif rule == one.rule and isinstance(before, dict):
                before.setdefault(user.id, Claim(agent, rule, user.ref))
            elif rule == one.rule and one.user.id != user.id:
                self._claims[agent] = {one.user.id: one, user.id: Claim(agent, rule, user.ref)}

    def _claim(self, agent: int, rule: int, user: User) -> Claim:
        return Claim(agent, rule, user.ref, self._differ.difference(self._roster.agents[agent], user))

    def settle(self, tenant: Tenant) -> Verdicts:
        """Hold agents and users to one another, one to one."""
        doubles = _doubles(tenant.agents)
        claimed, rivals = self._claimed()
        verdicts = Verdicts([], [], [], [], 0, claimed)
        unassigned, unsure = 0, False
        for number, agent in enumerate(tenant.agents):
            claim = self._claims.get(number)
            claims = list(claim.values()) if isinstance(claim, dict) else [] if claim is None else [claim]
            if number in doubles:
                verdicts.contested.append(_contested(agent, claims, doubles[number]))
            elif agent.account_code is None:
                unassigned += 1
            elif not claims:
                verdicts.unmatched.append(self._unmatched(number, agent))
                unsure |= not self._roster.looked_for_whole(number)
            elif len(claims) > 1:
                verdicts.ambiguous.append(_ambiguous(agent, claims))
            elif claims[0].user.id in rivals:
                why = _rivals(tenant.agents, number, rivals[claims[0].user.id])
                verdicts.contested.append(_contested(agent, claims, why))
            else:
                verdicts.matched.extend(claims)
        return replace(verdicts, unassigned=unassigned, unsure=unsure)

    def _claimed(self) -> tuple[frozenset[str], Mapping[str, list[int]]]:
        """The ids of every claimed user, and the agents that claim one together with others.

        The candidates of an ambiguous agent count as claimed.
        """
        first: dict[str, int] = {}
        several: dict[str, list[int]] = {}
        for each in self._claims.values():
            for claim in each.values() if isinstance(each, dict) else (each,):
                other = first.setdefault(claim.user.id, claim.agent)
                if other != claim.agent:
                    several.setdefault(claim.user.id, [other]).append(claim.agent)
        return frozenset(first), several

    def _unmatched(self, number: int, agent: Agent) -> Problem:
        pin = self._roster.pinned.get(number)
        if pin is not None:
            why = f"it is pinned to {pin[1]!r}, and no such user is within base and filter"
            if pin[1] == NOBODY:
                why = "its pin names its account together with another workNo than it has"
            return Problem("pin", why, agent=_ref(agent), rule=PIN)
        tried = [f"{attribute} {value!r}" for attribute, value in self._roster.tried(agent)]
        why = f"no user has {' or '.join(tried)}" if tried else "no match rule has a value for it"
        return Problem("unmatched", why, agent=_ref(agent))


def _ref(agent: Agent) -> AgentRef:
    return AgentRef(agent.work_no, agent.account_code)


def _doubles(agents: Collection[Agent]) -> Mapping[int, str]:
    """Agents that share a workNo or an accountCode with another record, by number, each with what it shares."""
    doubles: dict[int, str] = {}
    accounts = [agent.account_code for agent in agents if agent.account_code is not None]
    if len({agent.work_no for agent in agents}) == len(agents) and len(set(accounts)) == len(accounts):
        return doubles
    for field in ("workNo", "accountCode"):
        first: dict[int | str, int] = {}
        for number, agent in enumerate(agents):
            value = agent.work_no if field == "workNo" else agent.account_code
            if value is None:
                continue
            other = first.setdefault(value, number)
            if other != number:
                why = f"several records of the source have {field} {value!r}"
                doubles.setdefault(number, why)
                doubles.setdefault(other, why)
    return doubles


def _ambiguous(agent: Agent, claims: list[Claim]) -> Problem:
    why = f"{len(claims)} users fit"
    names = tuple(sorted(claim.user.name for claim in claims)[:MOST_NAMES])
    return Problem("ambiguous", why, agent=_ref(agent), users=names, rule=claims[0].rule)


def _contested(agent: Agent, claims: list[Claim], why: str) -> Problem:
    names = tuple(sorted(claim.user.name for claim in claims)[:MOST_NAMES])
    return Problem("contested", why, agent=_ref(agent), users=names, rule=claims[0].rule if claims else None)


def _rivals(agents: list[Agent], number: int, rivals: list[int]) -> str:
    """Name ten rivals at the most, so that a thousand agents on one user stay a thousand lines."""
    others = [str(_ref(agents[each])) for each in rivals[:11] if each != number][:10]
    more = f" and {len(rivals) - 1 - len(others)} more" if len(rivals) - 1 > len(others) else ""
    return f"the user is also claimed by {', '.join(others)}{more}"
