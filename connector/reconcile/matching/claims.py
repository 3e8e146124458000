"""Claims: which agent is which user. Users stream by once, in any order; what they leave is a claim an agent.

The first rule that finds anybody decides for an agent; if it finds several, the agent is ambiguous. Rules order one
agent's search and never rank agents: two agents that claim one user are both contested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Set as AbstractSet
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from connector.model import UNIDENTIFIED, Agent, AgentRef, Batch, Key, Problem, Tenant, User, UserRef
from connector.reconcile.diff.differences import Differ
from connector.reconcile.diff.draft import Draft
from connector.reconcile.matching.roster import PIN, Doubt, Roster
from connector.reconcile.questions import is_plain, telling

UNIDENTIFIED_USER = (
    "the user does not show its id (objectGUID, entryUUID, nsUniqueId) to this account. Not written. Grant the "
    "account the right to read it"
)
DOUBLED = "its {name} {id!r} (`directory.id`) is also that of {other}. Neither is written. Give each its own value"
_NOBODY = Agent(0)
MOST_NAMES = 50
"""How many users a problem names; the number of all of them is in its reason."""


class Claim(Struct, frozen=True, gc=False):
    """An agent (by its number), the rule that found it a user, that user; `draft` None: in step, or not compared."""

    agent: int
    rule: int
    id: str
    name: str
    draft: Draft | None = None

    @property
    def user(self) -> UserRef:
        return UserRef(self.id, self.name)


Claimed = Claim | dict[str, Claim]
"""What an agent has: one claim, or several by the ids of their users."""


class Verdicts(Struct, frozen=True):
    """What became of every agent: claims that stand, and by its number a problem for each agent that has none.

    `unsure`: some agent without a user could not be looked for by every rule, or not by its pin. `unproven`: match
    attributes of which no user shows a value, so that nobody knows whether look-ups by them find anybody.
    `unidentified`: names of claimed users that do not show their id.
    """

    matched: list[Claim]
    unmatched: dict[int, Problem]
    ambiguous: dict[int, Problem]
    contested: dict[int, Problem]
    unassigned: int
    claimed: AbstractSet[str]
    unsure: bool = False
    unproven: frozenset[str] = frozenset()
    unidentified: frozenset[str] = frozenset()


class Claims:
    """Collects claims while users stream by; a user may come more than once."""

    def __init__(self, roster: Roster, differ: Differ) -> None:
        self._roster = roster
        self._differ = differ
        self._claims: list[Claimed | None] = [None] * len(roster.agents)
        self._doubts: list[Doubt] = []
        self._attributes = dict(roster.attributes())
        self._unseen = set(self._attributes.values())
        self.shows: dict[str, tuple[str, str]] = {}
        """By match attribute a user (by id) and a value that it shows, where one was seen."""
        self.asked: set[str] = set()
        """What users were looked up by: attributes, and the id or name that a pin says."""
        self.proven: set[str] = set()
        """Those of them by which a look-up has found somebody, whom no other attribute could have found."""
        self._unshown = set(differ.attributes)

    def wanted(self) -> Iterator[Key]:
        """What to look users up by, rule after rule; not for agents for whom an earlier rule has found somebody.

        Whoever takes keys no faster than users are added has to look the fewer up.
        """
        for key in self._roster.keys(self._found):
            self.asked.add(key[0])
            yield key

    def _found(self, agent: int, rule: int) -> bool:
        claims = self._claims[agent]
        return claims is not None and _rule(claims) < rule

    def found(self) -> int:
        return len(self._claims) - self._claims.count(None)

    def of(self, agent: int) -> Collection[Claim]:
        """What an agent has claimed so far: nothing, one user, or several by one rule."""
        return _each(self._claims[agent])

    def users(self) -> Iterator[UserRef]:
        """Whoever is claimed; one that several agents claim comes as often."""
        return (claim.user for claimed in self._claims for claim in _each(claimed))

    def add(self, user: User) -> None:
        """Let every agent whose key the user holds claim it."""
        if self._unshown:
            self._unshown.difference_update(user.values)
        if self._unseen:
            self._see(user)
        found = self._roster.finds(user, self._doubts)
        for agent, rule in found:
            self._claim(agent, rule, user)
        if found and len(self.proven) < len(self.asked):
            by = {self._attributes[rule] for _, rule in found if rule != PIN} & self.asked
            if len(by) == 1:
                self.proven |= by

    def take(self, batch: Batch) -> Iterator[User]:
        """Let agents claim users of a batch as `add` would; those of whom there is more to say are to be added."""
        roster, claims, ids, names = self._roster, self._claims, batch.ids, batch.names
        if self.asked or not self._unseen.isdisjoint((*batch.columns, *batch.shared)):
            return batch.users()
        self._unshown.difference_update(batch.columns, batch.shared)
        found, rule, more = roster.finds_all(batch)
        seekers = [_NOBODY if number is None else roster.agents[number] for number in found]
        for place, (number, same) in enumerate(zip(found, self._differ.in_step(seekers, batch), strict=True)):
            if number is None:
                continue
            if same and claims[number] is None:
                claims[number] = Claim(number, rule, ids[place], names[place])
            else:
                self._claim(number, rule, batch.user(place))
        return map(batch.user, sorted(more))

    def _see(self, user: User) -> None:
        for attribute in list(self._unseen):
            shown = telling([user], attribute)
            if shown is not None:
                self.shows[attribute] = shown
                if is_plain(shown[1]):
                    self._unseen.discard(attribute)

    def _claim(self, agent: int, rule: int, user: User) -> None:
        before = self._claims[agent]
        if before is None or rule < (decided := _rule(before)):
            draft = self._differ.draft(self._roster.agents[agent], user, rule)
            self._claims[agent] = Claim(agent, rule, user.id, user.name, draft)
        elif rule == decided:
            self._claims[agent] = _together(before, Claim(agent, rule, user.id, user.name))

    def doubts(self) -> list[Doubt]:
        """Claims that the directory has to confirm, each once; then they are forgotten."""
        found = {(doubt.agent, doubt.rule, doubt.user.id): doubt for doubt in self._doubts}
        self._doubts = []
        return list(found.values())

    def confirm(self, doubt: Doubt) -> None:
        """The directory says that this user holds what the agent looks for."""
        self._claim(doubt.agent, doubt.rule, doubt.user)

    @property
    def shown(self) -> AbstractSet[str]:
        """The attributes of the mapping of which some user has shown a value, so that they are known to be readable."""
        return set(self._differ.attributes) - self._unshown

    def settle(self, tenant: Tenant, of: Iterable[int] | None = None) -> Verdicts:
        """Hold agents and users to one another, one to one. `of`: the agents to judge, by number; else all of them."""
        doubles = self._roster.doubles
        claimed, rivals = self._claimed()
        verdicts = Verdicts([], {}, {}, {}, 0, claimed)
        unassigned, unsure = 0, False
        apart = {*doubles, *tenant.others, *chain.from_iterable(rivals.values())}
        for number in range(len(self._claims)) if of is None else of:
            agent, claim = tenant.agents[number], self._claims[number]
            if type(claim) is Claim and number not in apart:
                verdicts.matched.append(claim)
            elif number in tenant.others:  # nobody's problem here, but its users may not be taken for nobody's
                lost = claim is None and agent.account_code is not None and number not in doubles
                unsure |= lost and not self._roster.looked_for_whole(number)
            elif number in doubles:
                verdicts.contested[number] = _problem("contested", agent, _each(claim), doubles[number])
            elif agent.account_code is None:
                unassigned += 1
            elif claim is None:
                verdicts.unmatched[number] = self._unmatched(number, agent)
                unsure |= not self._roster.looked_for_whole(number)
            elif isinstance(claim, dict):
                verdicts.ambiguous[number] = _problem("ambiguous", agent, claim.values(), f"{len(claim)} users match")
            else:
                why = _rivals(tenant.agents, number, rivals[claim.id])
                verdicts.contested[number] = _problem("contested", agent, (claim,), why)
        hidden = frozenset([id_.removeprefix(UNIDENTIFIED) for id_ in claimed if id_.startswith(UNIDENTIFIED)])
        return replace(verdicts, unassigned=unassigned, unsure=unsure or bool(hidden), unidentified=hidden)

    def _claimed(self) -> tuple[AbstractSet[str], Mapping[str, list[int]]]:
        """The ids of every claimed user, and the agents that claim one together with others.

        The candidates of an ambiguous agent count as claimed.
        """
        ids = [held.id for held in self._claims if type(held) is Claim]
        ids += [id_ for held in self._claims if type(held) is dict for id_ in held]
        claimed = set(ids)
        shared = {id_ for id_, times in Counter(ids).items() if times > 1} if len(claimed) < len(ids) else set()
        rivals: dict[str, list[int]] = {}
        for held in self._claims if shared else ():
            for claim in _each(held):
                if claim.id in shared:
                    rivals.setdefault(claim.id, []).append(claim.agent)
        return claimed, rivals

    def _unmatched(self, number: int, agent: Agent) -> Problem:
        if number in self._roster.pinned:
            pinned = self._roster.pinned[number]
            why = "its pin names its account with another workNo. Correct the pin"
            if pinned:
                why = f"it is pinned to {pinned[0][1]!r}, which is not within base and filter"
            return Problem("unmatched", why, agent=_ref(agent), rule=PIN)
        tried = [f"{attribute} {value!r}" for attribute, value in self._roster.tried(agent)]
        why = f"no user has {' or '.join(tried)}" if tried else "no match rule gives a value for it"
        return Problem("unmatched", why, agent=_ref(agent))


def _ref(agent: Agent) -> AgentRef:
    return AgentRef(agent.work_no, agent.account_code)


def _each(claims: Claimed | None) -> Collection[Claim]:
    """The claims of one agent: none, one, or one on each of the users that its rule found."""
    if claims is None:
        return ()
    return (claims,) if isinstance(claims, Claim) else claims.values()


def _rule(claims: Claimed) -> int:
    return claims.rule if isinstance(claims, Claim) else next(iter(claims.values())).rule


def _together(claims: Claimed, another: Claim) -> Claimed:
    """Claims of one agent by one rule: several only where they are on several users."""
    users = {claims.id: claims} if isinstance(claims, Claim) else claims
    users.setdefault(another.id, another)
    return users if len(users) > 1 else claims


def _names(claims: Iterable[Claim]) -> tuple[str, ...]:
    return tuple(sorted(claim.name for claim in claims)[:MOST_NAMES])


def _problem(kind: str, agent: Agent, claims: Collection[Claim], why: str) -> Problem:
    rule = next((claim.rule for claim in claims), None)
    return Problem(kind, why, agent=_ref(agent), users=_names(claims), rule=rule)


def _rivals(agents: list[Agent], number: int, rivals: list[int]) -> str:
    """Name ten rivals at the most, so that a thousand agents on one user stay a thousand lines."""
    others = [str(_ref(agents[each])) for each in rivals[:11] if each != number][:10]
    more = f" and {len(rivals) - 1 - len(others)} more" if len(rivals) - 1 > len(others) else ""
    return f"the user is also claimed by {', '.join(others)}{more}"
