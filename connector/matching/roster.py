"""The roster: every agent under what each match rule looks for, so that users can stream by and find theirs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from copy import copy
from typing import Final, Self

from msgspec import Struct

from connector.matching.people import AgentPin
from connector.matching.user_names import NameRules
from connector.model import (
    ID,
    NAME,
    Agent,
    Description,
    Key,
    Secret,
    Tenant,
    User,
    Value,
    equality,
)
from connector.model.mapping import Mapping, MatchRule
from connector.model.templates import ACCOUNT_FIELDS

PIN: Final = 0
"""The number of the rule before the first."""


class MatchDoubt(Struct, frozen=True):
    """A user who may be an agent's by this rule, if the directory says that it holds the key."""

    agent: int
    rule: int
    user: User
    key: Key


class _RuleIndex:
    """Agents, by number, under what one rule looks for. Keys are likenesses; nearly every key has one agent."""

    def __init__(
        self,
        number: int,
        rule: MatchRule,
        tenant: Tenant,
        description: Description,
    ) -> None:
        compared = description.attributes[rule.directory].equality
        self.number = number
        self.attribute = rule.directory
        self.alike = rule.agent.text, compared
        """Rules that share this look for the same values."""
        self.key = equality.likenesses_of(compared)
        self.certain = equality.keys_of(compared)
        self._render = rule.agent.bind(tenant)
        self.first: dict[Hashable, int] = {}
        self.others: dict[Hashable, list[int]] = {}
        self.odd: set[int] = set()
        """Agents whose value is spelt so that not all that is alike is equal to it."""

    def wanted_value(self, agent: Agent) -> str | None:
        """What this agent's user is looked up by; None: nothing. A secret is not looked up."""
        value = self._render(agent)
        return value if isinstance(value, str) else None

    def put_agent(
        self,
        number: int,
        agent: Agent,
    ) -> bool:
        """Let this agent be found, if it has a value."""
        held = self._render(agent)
        if held is None:
            return False
        value = held.reveal() if isinstance(held, Secret) else held
        key = self.key(value)
        if key == value:
            key = value  # nearly always the agent's own text, which need not be there twice
        elif self.certain(value) != key:
            self.odd.add(number)
        if self.first.setdefault(key, number) != number:
            self.others.setdefault(key, []).append(number)
        return True

    def find_key(self, value: Value) -> tuple[Hashable, bool]:
        """The key of a value, and whether whoever has that key holds an equal value."""
        if value in self.first:
            return value, True  # a value that is found among the keys is its own key
        key = self.key(value)
        return key, key in self.first and self.certain(value) == key

    def share_agents(self, other: _RuleIndex) -> None:
        """Take the agents of a rule that looks for the same values."""
        self.first, self.others, self.odd = other.first, other.others, other.odd


class AgentRoster:
    """Agents by the keys of every rule; seats without an account have none, pinned agents have only their pin."""

    def __init__(
        self,
        tenant: Tenant,
        mapping: Mapping,
        pins: Iterable[AgentPin],
        description: Description,
    ) -> None:
        self.agents = tenant.agents
        self._naming = NameRules(description)
        self._fields = {
            number: rule.agent.fields
            for number, rule in enumerate(mapping.match, start=1)
        }
        pins = tuple(pins)
        self._are_pins = bool(pins)
        self.pinned = _find_pinned(
            tenant.agents,
            pins,
            self._naming,
        )
        self._pins = defaultdict[Hashable, list[int]](list)
        for number, keys in self.pinned.items():
            for kind, user in keys:
                self._pins[self._pin_key(kind, user)].append(number)
        self._rules = [
            _RuleIndex(
                number,
                rule,
                tenant,
                description,
            )
            for number, rule in enumerate(mapping.match, start=1)
        ]
        self._sought = self._index_agents(self._list_searching()) + sum(
            map(bool, self.pinned.values())
        )
        searchable, unfindable = list[str](), list[str]()
        for name in dict.fromkeys(rule.attribute for rule in self._rules):
            can_find = description.attributes[name].comparable
            (searchable if can_find else unfindable).append(name)
        self.searchable = tuple(searchable)
        """Match attributes by which look-ups find users."""
        self.unfindable = tuple(unfindable)
        """Match attributes without an equality rule: no look-up finds anybody by them."""
        self.doubles = _find_doubles(tenant.agents)
        """Agents that share a workNo or an accountCode with another record, each with what it shares, by field."""
        self._at_two_seats = tenant.accounts.contradictions if tenant.accounts else {}

    def _pin_key(
        self,
        kind: str,
        user: str,
    ) -> Hashable:
        return kind, self._naming.id_key(user) if kind == ID else self._naming.name_key(
            user
        )

    def _list_searching(self) -> list[int]:
        """The agents that rules find."""
        return [
            number
            for number, agent in enumerate(self.agents)
            if agent.account_code is not None and number not in self.pinned
        ]

    def _index_agents(self, numbers: Collection[int]) -> int:
        """Let these agents be found; returns how many have something to look for."""
        sought = bytearray(len(self.agents))
        alike: dict[Hashable, _RuleIndex] = {}
        for rule in self._rules:
            twin = alike.setdefault(rule.alike, rule)
            if twin is not rule:  # one value is often looked for in several attributes
                rule.share_agents(twin)
                continue
            for number in numbers:
                if rule.put_agent(number, self.agents[number]):
                    sought[number] = True
        return sought.count(1)

    def restrict_to(self, numbers: Collection[int]) -> Self:
        """The same for these agents alone and without pins, also after the keys are gone."""
        few = copy(self)
        few.pinned = {}
        few._rules = [copy(rule) for rule in self._rules]  # noqa: SLF001  # the copy is of this very class
        for rule in few._rules:  # noqa: SLF001  # likewise
            rule.first, rule.others, rule.odd = {}, {}, set()
        few._index_agents(numbers)  # noqa: SLF001  # likewise
        return few

    def release_keys(self) -> None:
        """Let go of the keys, once every user has been seen: what comes next can use their memory."""
        for rule in self._rules:
            rule.first, rule.others = {}, {}

    def __len__(self) -> int:
        """How many agents have something to be looked for by."""
        return self._sought

    def list_attributes(self) -> Iterator[tuple[int, str]]:
        """Each rule by number, with the attribute that users are looked up by."""
        return ((rule.number, rule.attribute) for rule in self._rules)

    def list_tried_keys(self, agent: Agent) -> Iterator[Key]:
        """What each rule looks for, for this agent; a rule without a value looks for nothing."""
        for rule in self._rules:
            value = rule.wanted_value(agent)
            if value is not None:
                yield rule.attribute, value

    def list_searches(self, number: int) -> Iterator[tuple[int, Key | None]]:
        """What this agent is looked for by: its pin, or what each rule looks for (None: nothing), by number."""
        agent = self.agents[number]
        if number in self.pinned:
            for key in self.pinned[number] or (None,):
                yield PIN, key
        elif agent.account_code is not None:
            for rule in self._rules:
                value = rule.wanted_value(agent)
                yield rule.number, None if value is None else (rule.attribute, value)

    def doubtful_attributes(self, number: int) -> frozenset[str] | None:
        """Attributes by which this agent may have a user that it is not looked up by; None: it may be anybody.

        Those of rules that make no value for it, or make it of a field that it shares with another record, or that the
        account list contradicts: one of the two is mistaken there. A seat without an account has no user. Of pins,
        nobody can tell.
        """
        agent, shared = self.agents[number], {*self.doubles.get(number, ())}
        if number in self._at_two_seats:
            shared |= {"workNo", *ACCOUNT_FIELDS}
        if agent.account_code is None:
            return frozenset()
        if number in self.pinned or (shared and self._are_pins):
            return None
        return frozenset(
            rule.attribute
            for rule in self._rules
            if shared & self._fields[rule.number] or rule.wanted_value(agent) is None
        )

    def untold_attributes(self, number: int, before: int) -> frozenset[str]:
        """Attributes of the rules before that one by which the account list does not tell what to look for."""
        agent = self.agents[number]
        return frozenset(
            rule.attribute
            for rule in self._rules
            if rule.number < before and agent.has_unknown(self._fields[rule.number])
        )

    def list_keys(self, found: Callable[[int, int], bool]) -> Iterator[Key]:
        """What users are to be looked up by: the pins, then for every agent what the first rule looks for, and so on.

        `found(agent, rule)`: whether an earlier rule has found the agent a user by now, so that this one cannot matter.
        """
        pins = [key for keys in self.pinned.values() for key in keys]
        yield from sorted(pins, key=lambda key: key[0] != NAME)
        for rule in self._rules:
            for number in self._list_searching():
                if not found(number, rule.number):
                    value = rule.wanted_value(self.agents[number])
                    if value is not None:
                        yield rule.attribute, value

    def find_agents(
        self,
        user: User,
        unsure: list[MatchDoubt],
    ) -> list[tuple[int, int]]:
        """The (agent, rule) pairs whose key this user holds, by the attribute's own equality rule.

        Added to `unsure`: those that hold something alike, of which the directory has to say whether it is equal.
        """
        found = []
        for rule in self._rules:
            for held in user.values.get(rule.attribute, ()):
                value = held.reveal() if isinstance(held, Secret) else held
                key, is_certain = rule.find_key(value)
                first = rule.first.get(key)
                if first is None:
                    continue
                for agent in (first, *rule.others.get(key, ())):
                    if is_certain and agent not in rule.odd:
                        found.append((agent, rule.number))
                        continue
                    wanted = rule.wanted_value(self.agents[agent])
                    assert wanted is not None  # an agent that is found has a key
                    if rule.certain(value) == rule.certain(wanted):
                        found.append((agent, rule.number))
                        continue
                    sought = (rule.attribute, wanted)
                    unsure.append(
                        MatchDoubt(
                            agent,
                            rule.number,
                            user,
                            sought,
                        )
                    )
        if self.pinned:
            for pin in (
                self._pin_key(ID, user.id),
                self._pin_key(NAME, user.name),
            ):
                found += [(agent, PIN) for agent in self._pins.get(pin, ())]
        return found

    def find_seekers(self, user: User) -> set[tuple[int, int]]:
        """The (agent, rule) pairs that look for something which this user holds, or something alike."""
        unsure: list[MatchDoubt] = []
        found = set(self.find_agents(user, unsure))
        for doubt in unsure:
            found.add((doubt.agent, doubt.rule))
        return found


def _find_pinned(
    agents: Iterable[Agent],
    pins: Iterable[AgentPin],
    naming: NameRules,
) -> dict[int, tuple[Key, ...]]:
    """Agents by number, each with what finds the user that it is pinned to.

    An account decides where a pin names one, for a seat can be given to somebody else. Nothing finds the user of an
    agent whose account is pinned together with another seat than it has, until somebody has looked at it.
    """
    by_account = {pin.account_code: pin for pin in pins if pin.account_code is not None}
    by_seat = {pin.work_no: pin for pin in pins if pin.account_code is None}
    if not by_account and not by_seat:
        return {}
    pinned: dict[int, tuple[Key, ...]] = {}
    for number, agent in enumerate(agents):
        pin = by_account.get(agent.account_code or "") or by_seat.get(agent.work_no)
        if pin is not None and agent.account_code is not None:
            fits = pin.work_no in (None, agent.work_no)
            pinned[number] = naming.list_keys(pin.user) if fits else ()
    return pinned


def _find_doubles(agents: Collection[Agent]) -> dict[int, dict[str, object]]:
    """Agents that share a workNo or an accountCode with another record, by number."""
    doubles: dict[int, dict[str, object]] = {}
    records: dict[str, list[object]] = {
        "workNo": [agent.work_no for agent in agents],
        "accountCode": [agent.account_code for agent in agents],
    }
    for field, values in records.items():
        times = Counter(values)
        shared = {value for value in times if times[value] > 1} - {None}
        if not shared:
            continue
        for number, value in enumerate(values):
            if value in shared:
                doubles.setdefault(number, {})[field] = value
    return doubles
