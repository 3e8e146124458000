"""Claims: which agent is which user. Users stream by once, in any order; what they leave is a claim an agent.

The first rule that finds anybody decides for an agent; if it finds several, the agent is
ambiguous. Rules order one agent's search and never rank agents: two agents that claim one
user are both contested.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Set as AbstractSet,
)
from functools import cache
from itertools import chain, compress, count

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import is_plain, sample_value
from connector.matching.roster import PIN, Doubt, Roster
from connector.model import (
    UNIDENTIFIED,
    Agent,
    Key,
    Problem,
    Tenant,
    User,
    UserRef,
)
from connector.planning.compare.differences import Differ
from connector.planning.compare.draft import Draft

UNIDENTIFIED_USER = (
    "the user does not show its id (objectGUID, entryUUID, nsUniqueId) to this account. Not written. Grant the "
    "account the right to read it"
)
DOUBLED = "its {name} {id!r} (`directory.id`) is also that of {other}. Neither is written. Give each its own value"
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

    `unsure`: some agent may have any user: its pin finds nobody, or others claim the same user. `doubtful`: attributes
    by which agents may have users that they were not looked up by
    (`Roster.doubtful_attributes`). `unproven`: match attributes of which no user shows a
    value, so that nobody knows whether look-ups by them find anybody.
    `unidentified`: names of claimed users that do not show their id. `claimed` gives ids of users.
    """

    matched: Matched
    unmatched: dict[int, Problem]
    ambiguous: dict[int, Problem]
    contested: dict[int, Problem]
    unassigned: int
    claimed: Callable[[], AbstractSet[str]]
    unsure: bool = False
    doubtful: frozenset[str] = frozenset()
    unproven: frozenset[str] = frozenset()
    unidentified: frozenset[str] = frozenset()

    def users(self) -> list[str]:
        """The ids of matched users, as far as they show them."""
        return [
            claim.id
            for claim in self.matched
            if not self.unidentified or claim.user.identified
        ]


class Matched:
    """Claims that stand, in the order of their agents; `differing`: those with a draft."""

    def __init__(self, of: Callable[[int], Collection[Claim]], agents: int) -> None:
        self._of = of
        self.stands = bytearray(agents)
        self.differing: list[Claim] = []

    def __len__(self) -> int:
        return self.stands.count(1)

    def __iter__(self) -> Iterator[Claim]:
        return chain.from_iterable(map(self._of, compress(count(), self.stands)))


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
        """Those of them by which a look-up has found somebody, whom no other attribute
        could have found."""
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
        return (
            claim.user for agent in range(len(self._claims)) for claim in self.of(agent)
        )

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
            by = {
                self._attributes[rule] for _, rule in found if rule != PIN
            } & self.asked
            if len(by) == 1:
                self.proven |= by

    def _see(self, user: User) -> None:
        for attribute in list(self._unseen):
            shown = sample_value([user], attribute)
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
            self._claims[agent] = _together(
                before, Claim(agent, rule, user.id, user.name)
            )

    def doubts(self) -> list[Doubt]:
        """Claims that the directory has to confirm, each once; then they are forgotten."""
        found = {
            (doubt.agent, doubt.rule, doubt.user.id): doubt for doubt in self._doubts
        }
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
        doubles, rivals = self._roster.doubles, self._rivals()
        verdicts = Verdicts(
            Matched(self.of, len(self._claims)),
            {},
            {},
            {},
            0,
            cache(lambda: frozenset(self._ids())),
        )
        unassigned, unsure, matched = 0, False, verdicts.matched
        doubted: set[int] = set()
        apart = {*doubles, *tenant.others, *chain.from_iterable(rivals.values())}
        for number in range(len(self._claims)) if of is None else of:
            held = self._claims[number]
            if type(held) is Claim and number not in apart:
                matched.stands[number] = True
                if held.draft is not None:
                    matched.differing.append(held)
                continue
            agent, claim = tenant.agents[number], held
            if (
                number in tenant.others
            ):  # nobody's problem here, but its users may not be taken for nobody's
                doubted.update([number] if claim is None or number in doubles else [])
            elif number in doubles:
                # one of them is mistaken for somebody else, whose user
                # nobody claims now
                doubted.add(number)
                field, value = next(iter(doubles[number].items()))
                why = f"several records of the source have {field} {value!r}, and a pin cannot choose"
                verdicts.contested[number] = _problem(
                    "contested", agent, _each(claim), why
                )
            elif agent.account_code is None:
                unassigned += 1
            elif claim is None:
                verdicts.unmatched[number] = self._unmatched(number, agent)
                doubted.add(number)
            elif isinstance(claim, dict):
                verdicts.ambiguous[number] = _problem(
                    "ambiguous", agent, claim.values(), f"{len(claim)} users match"
                )
            else:
                why = _rivals(tenant.agents, number, rivals[claim.id])
                verdicts.contested[number] = _problem("contested", agent, (claim,), why)
                # perhaps to a wrong user, so that nobody claims the right
                # one
                unsure |= number in self._roster.pinned
        hidden = frozenset(
            [
                id_.removeprefix(UNIDENTIFIED)
                for id_ in self._ids()
                if id_.startswith(UNIDENTIFIED)
            ]
        )
        doubts = [self._roster.doubtful_attributes(number) for number in doubted]
        return replace(
            verdicts, unassigned=unassigned, unsure=unsure or bool(hidden) or None in doubts, unidentified=hidden,
            doubtful=frozenset(chain.from_iterable(filter(None, doubts))),
        )  # fmt: skip

    def _ids(self) -> Iterator[str]:
        """The ids of every claimed user, for each claim. The candidates of an ambiguous agent count as claimed."""
        for held in self._claims:
            if type(held) is Claim:
                yield held.id
            elif type(held) is dict:
                yield from held

    def _rivals(self) -> Mapping[str, list[int]]:
        """By the ids of their users, the agents that claim one together with others."""
        seen, shared = set[str](), set[str]()
        for id_ in self._ids():
            (shared if id_ in seen else seen).add(id_)
        rivals: dict[str, list[int]] = {}
        for number in range(len(self._claims)) if shared else ():
            for claim in self.of(number):
                if claim.id in shared:
                    rivals.setdefault(claim.id, []).append(number)
        return rivals

    def _unmatched(self, number: int, agent: Agent) -> Problem:
        if number in self._roster.pinned:
            pinned = self._roster.pinned[number]
            why = "its pin names its account with another workNo. Correct the pin"
            if pinned:
                why = f"it is pinned to {pinned[0][1]!r}, which is not within base and filter"
            return Problem("unmatched", why, agent=agent.ref, rule=PIN)
        tried = [
            f"{attribute} {value!r}" for attribute, value in self._roster.tried(agent)
        ]
        why = (
            f"no user has {' or '.join(tried)}"
            if tried
            else "no match rule gives a value for it"
        )
        return Problem("unmatched", why, agent=agent.ref)


def _each(claims: Claimed | None) -> Collection[Claim]:
    """The claims of one agent: none, one, or one on each of the users that its rule found."""
    if claims is None:
        return ()
    return (claims,) if isinstance(claims, Claim) else claims.values()


def _rule(claims: Claimed) -> int:
    return (
        claims.rule
        if not isinstance(claims, dict)
        else next(iter(claims.values())).rule
    )


def _together(claims: Claimed, another: Claim) -> Claimed:
    """Claims of one agent by one rule: several only where they are on several users."""
    users = {claims.id: claims} if isinstance(claims, Claim) else claims
    users.setdefault(another.id, another)
    return users if len(users) > 1 else claims


def _names(claims: Iterable[Claim]) -> tuple[str, ...]:
    return tuple(sorted(claim.name for claim in claims)[:MOST_NAMES])


def _problem(kind: str, agent: Agent, claims: Collection[Claim], why: str) -> Problem:
    rule = next((claim.rule for claim in claims), None)
    return Problem(kind, why, agent=agent.ref, users=_names(claims), rule=rule)


def _rivals(agents: list[Agent], number: int, rivals: list[int]) -> str:
    """Name ten rivals at the most, so that a thousand agents on one user stay a thousand lines."""
    others = [str(agents[each].ref) for each in rivals[:11] if each != number][:10]
    more = (
        f" and {len(rivals) - 1 - len(others)} more"
        if len(rivals) - 1 > len(others)
        else ""
    )
    return f"the user is also claimed by {', '.join(others)}{more}"
