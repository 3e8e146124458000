"""Whom each agent may be. Users stream by once, in any order; what they leave is a match of an agent.

The first rule that finds anybody decides for an agent. A user is compared as it streams by, and only what differs is
kept: memory follows agents and changes.

"Nobody" is proven by what look-ups by the attribute have found, or by somebody who is known to be there. A server may
answer a look-up with nobody though it cannot tell: without the right to search an attribute, without an equality rule
or an index for it, with a limit that it does not admit. Of a value that is only alike, it has to say whether it is what
an agent looks for: it finds the user by it, or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from math import inf

from msgspec import Struct

from connector.matching.lookup import Lookup, LookUpProof, is_plain, sample_value
from connector.matching.roster import PIN, AgentRoster, MatchDoubt
from connector.model import Agent, Description, Key, User, UserRef
from connector.model.draft import Draft

CompareUser = Callable[[Agent, User, int], Draft | None]
"""What differs of a user that a rule found for an agent; None: it is in step."""


class Match(Struct, frozen=True, gc=False):
    """An agent and a user that is its, or may be."""

    agent: int
    """The agent's place in the tenant."""
    rule: int
    """The rule that found the user, from 1; 0 is a pin."""
    id: str
    name: str
    draft: Draft | None = None
    """What differs; None: in step, or not compared, as one of several."""

    @property
    def user(self) -> UserRef:
        return UserRef(self.id, self.name)


class Candidates:
    """The matches of every agent, as users stream by; a user may come more than once."""

    def __init__(
        self,
        roster: AgentRoster,
        compare: CompareUser,
    ) -> None:
        self.roster = roster
        self._compare = compare
        self._first: list[Match | None] = [None] * len(roster.agents)
        self._others: dict[int, list[Match]] = {}
        """Where one rule found several users for an agent, all but the first."""
        self._doubts: list[MatchDoubt] = []
        self._attributes = dict(roster.list_attributes())
        self._unseen = set(self._attributes.values())
        self.samples: dict[str, tuple[str, str]] = {}
        """By match attribute a user (by id) and a value that it shows, where one was seen."""
        self.asked: set[str] = set()
        """What users were looked up by: attributes, and the id or name that a pin says."""
        self.proven: set[str] = set()
        """Attributes by which a look-up has found somebody, whom no other attribute could have found."""
        self.unproven = frozenset[str]()
        """Attributes of which no user shows a value, so that nothing is proven."""
        self.shown: set[str] = set()
        """All attributes of which some user has shown a value."""

    def list_wanted_keys(self) -> Iterator[Key]:
        """What to look users up by, rule after rule; not for agents for whom an earlier rule has found somebody.

        Whoever takes keys no faster than users are added has to look the fewer up.
        """
        for key in self.roster.list_keys(self._is_decided):
            self.asked.add(key[0])
            yield key

    def _is_decided(
        self,
        agent: int,
        rule: int,
    ) -> bool:
        first = self._first[agent]
        return first is not None and first.rule < rule

    def count_found(self) -> int:
        """How many agents have a match by now."""
        return len(self._first) - self._first.count(None)

    def matches_of(self, agent: int) -> list[Match]:
        """The matches of an agent by one rule, each on another user."""
        first = self._first[agent]
        return [] if first is None else [first, *self._others.get(agent, ())]

    def sole_matches(self) -> list[Match | None]:
        """By agent its match; None: it has none, or several."""
        sole = self._first.copy()
        for agent in self._others:
            sole[agent] = None
        return sole

    def __iter__(self) -> Iterator[Match]:
        """All matches, in the order of their agents; a user that several agents match comes as often."""
        for agent, first in enumerate(self._first):
            if first is not None:
                yield first
                if agent in self._others:
                    yield from self._others[agent]

    def add_user(self, user: User) -> None:
        """Let every agent whose key the user holds match it."""
        self.shown.update(user.values)
        if self._unseen:
            self._note_sample(user)
        found = self.roster.find_agents(user, self._doubts)
        for agent, rule in found:
            self._note_match(
                agent,
                rule,
                user,
            )
        if found and len(self.proven) < len(self.asked):
            self._prove_by([rule for _, rule in found if rule != PIN])

    def _prove_by(self, rules: Iterable[int]) -> None:
        """Note an attribute as proven if no other one could have found the user."""
        attributes = {self._attributes[rule] for rule in rules}
        by = attributes & self.asked
        if len(by) == 1:
            self.proven |= by

    def _note_sample(self, user: User) -> None:
        for attribute in list(self._unseen):
            shown = sample_value([user], attribute)
            if shown is not None:
                self.samples[attribute] = shown
                if is_plain(shown[1]):
                    self._unseen.discard(attribute)

    def _note_match(
        self,
        agent: int,
        rule: int,
        user: User,
    ) -> None:
        before = self._first[agent]
        if before is None or rule < before.rule:
            draft = self._compare(
                self.roster.agents[agent],
                user,
                rule,
            )
            self._first[agent] = Match(
                agent,
                rule,
                user.id,
                user.name,
                draft,
            )
            self._others.pop(agent, None)
        elif rule == before.rule and all(
            each.id != user.id for each in self.matches_of(agent)
        ):
            another = Match(
                agent,
                rule,
                user.id,
                user.name,
            )
            self._others.setdefault(agent, []).append(another)

    def take_doubts(self) -> list[MatchDoubt]:
        """Matches that the directory has to confirm, each once; then they are forgotten."""
        found: dict[tuple[int, int, str], MatchDoubt] = {}
        for each in self._doubts:
            found[each.agent, each.rule, each.user.id] = each
        self._doubts = []
        return list(found.values())

    def confirm_doubt(self, doubt: MatchDoubt) -> None:
        """The directory says that this user holds what the agent looks for."""
        self._note_match(
            doubt.agent,
            doubt.rule,
            doubt.user,
        )


def find_candidates(
    directory: Lookup,
    roster: AgentRoster,
    compare: CompareUser,
    description: Description,
) -> Candidates:
    """Look users up, or read them all; prove that nobody is nobody, and confirm what is only alike."""
    candidates = Candidates(roster, compare)
    users = directory.search(
        candidates.list_wanted_keys(),
        len(roster),
        found=candidates.count_found,
        unfindable=roster.unfindable,
    )
    for user in users:
        candidates.add_user(user)
    candidates.unproven = prove_look_ups(directory, candidates)
    confirm_alike(
        directory,
        candidates,
        description,
    )
    roster.release_keys()
    return candidates


# ---------------------------------------------------------------- whether nobody is nobody


def prove_look_ups(
    directory: Lookup,
    candidates: Candidates,
) -> frozenset[str]:
    """Prove the look-ups that found nobody; where one cannot be trusted, read everybody.

    Returns the attributes of which no user shows a value, so that nothing is proven.
    """
    unproven: set[str] = set()
    for attribute in _doubtful_look_ups(candidates):
        proof = directory.prove(attribute, candidates.samples.get(attribute))
        if proof is LookUpProof.REFUTED:
            why = f"look-ups by {attribute} cannot be trusted, so that all users have to be read"
            for user in directory.scan(why=why):
                candidates.add_user(user)
            candidates.asked.clear()
            return frozenset(_doubtful_look_ups(candidates))
        if proof is LookUpProof.NONE:
            unproven.add(attribute)
    return frozenset(unproven)


def _doubtful_look_ups(candidates: Candidates) -> list[str]:
    """The attributes by which an agent was to be found, and that have proven nothing so far.

    Where all users were read, those that none of them shows. Where users were looked up, whoever matches by what
    another attribute has found proves nothing either.
    """
    roster = candidates.roster
    looked_up = bool(candidates.asked)
    sure = candidates.proven if looked_up else candidates.samples.keys()
    open_ = {rule: name for rule, name in roster.list_attributes() if name not in sure}
    found: set[str] = set()
    for agent in range(len(roster.agents)):
        if not open_:
            break
        rules = [match.rule for match in candidates.matches_of(agent)]
        decided = min(rules, default=inf)
        tried = [rule for rule in open_ if rule < decided + looked_up]
        for rule, key in roster.list_searches(agent) if tried else ():
            if key is not None and rule in tried:
                found.add(open_.pop(rule))
    return sorted(found)


# ---------------------------------------------------------------- whether alike is equal


def confirm_alike(
    directory: Lookup,
    candidates: Candidates,
    description: Description,
) -> None:
    """Look up what is in doubt, one key after the other: whoever is found then holds it.

    Where an answer to a look-up may be everybody, nothing is confirmed.
    """
    doubts = candidates.take_doubts() if description.reading.decides else []
    by_key = defaultdict[Key, list[MatchDoubt]](list)
    for doubt in doubts:
        by_key[doubt.key].append(doubt)
    for key, of_key in by_key.items():
        found = {user.id for user in directory.find([key])}
        for doubt in of_key:
            if doubt.user.id in found:
                candidates.confirm_doubt(doubt)
