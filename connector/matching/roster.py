"""The roster: every agent under the keys of every rule, so that users can stream by and find theirs."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from copy import copy
from itertools import compress, count, repeat
from operator import attrgetter, countOf, is_not
from typing import Final, Self

from msgspec import Struct

from connector.matching.people import Pin
from connector.matching.user_names import Naming
from connector.model import (
    ID,
    NAME,
    Agent,
    Description,
    Equality,
    Held,
    Key,
    Secret,
    Tenant,
    User,
    equality,
)
from connector.model.mapping import Mapping
from connector.model.templates import Render

_FIELDS: Final = {
    "workNo": attrgetter("work_no"),
    "accountCode": attrgetter("account_code"),
}
PIN = 0
"""The number of the rule before the first."""


class _Index:
    """The numbers of agents under what one rule looks for; nearly every key has one number, which needs no list.

    Keys are likenesses. `odd`: agents whose value is spelt so that not all that is alike is
    equal to it.
    """

    __slots__ = (
        "attribute",
        "certain",
        "compared",
        "first",
        "key",
        "odd",
        "others",
        "render",
        "rule",
    )

    def __init__(
        self,
        rule: int,
        attribute: str,
        compared: Equality,
        render: Render = lambda agent: None,
    ) -> None:
        self.rule = rule
        self.attribute = attribute
        self.render = render
        self.compared = compared
        self.key = equality.likenesses_of(compared)
        self.certain = equality.keys_of(compared)
        self.first: dict[Hashable, int] = {}
        self.others: dict[Hashable, list[int]] = {}
        self.odd: set[int] = set()

    def sought(self, agent: Agent) -> Key | None:
        """What this agent's user is looked up by; None: nothing."""
        value = self.render(agent)
        return (self.attribute, value) if isinstance(value, str) else None

    def put(self, seekers: Iterable[tuple[int, Held | None]]) -> Iterator[int]:
        """Let these agents be found, each by its value; those that have one."""
        first, key_of = self.first, self.key
        for number, held in seekers:
            if held is None:
                continue
            value = held.reveal() if isinstance(held, Secret) else held
            key = key_of(value)
            if key == value:
                # nearly always a string that the agent has, which need not
                # be there twice
                key = value
            elif self.certain(value) != key:
                self.odd.add(number)
            if first.setdefault(key, number) != number:
                self.others.setdefault(key, []).append(number)
            yield number

    def agents(self, held: Held) -> Collection[int]:
        key = self.key(equality.plain(held))
        number = self.first.get(key)
        if number is None:
            return ()
        return (number, *self.others[key]) if key in self.others else (number,)


class Doubt(Struct, frozen=True):
    """An agent by number and a user who may be its, by this rule, if the directory says that it holds the key."""

    agent: int
    rule: int
    user: User
    key: Key


class Roster:
    """Agents by the keys of every rule; seats without an account have none, pinned agents have only their pin.

    `doubles`: agents that share a workNo or an accountCode with another record, by number, each with what it shares, by
    field.
    """

    def __init__(
        self,
        tenant: Tenant,
        mapping: Mapping,
        pins: Iterable[Pin],
        description: Description,
    ) -> None:
        self.agents = tenant.agents
        naming = Naming(description)
        pins = tuple(pins)
        self._are_pins = bool(pins)
        self._fields = {
            place: rule.agent.fields
            for place, rule in enumerate(mapping.match, start=1)
        }
        self.pinned = _pinned(tenant.agents, pins, naming)
        self._pins = {
            ID: _Index(PIN, ID, description.naming.ids),
            NAME: _Index(PIN, NAME, description.naming.names),
        }
        for name, fold in ((ID, naming.id), (NAME, naming.name)):
            # nobody is asked whether a pin means what is alike
            self._pins[name].key = self._pins[name].certain = fold
        for number, keys in self.pinned.items():
            for name, user in keys:
                list(self._pins[name].put([(number, user)]))
        self._rules: list[_Index] = []
        alone = False
        numbers = self._searching()
        seekers = (
            tenant.agents
            if len(numbers) == len(tenant.agents)
            else [tenant.agents[each] for each in numbers]
        )
        seeking: Collection[int] = ()
        alike: dict[tuple[str, Equality], _Index] = {}
        for place, rule in enumerate(mapping.match, start=1):
            compared = description.attributes[rule.directory].equality
            index = _Index(place, rule.directory, compared, rule.agent.bind(tenant))
            twin = alike.setdefault((rule.agent.text, compared), index)
            if twin is index:
                values = zip(numbers, map(index.render, seekers), strict=True)
                found = list(index.put(values))
                whole = len(found) == len(index.first) == len(numbers)
                alone = alone or (
                    whole and rule.agent.text == "{accountCode}" and not self.pinned
                )
                seeking = numbers if whole else {*seeking, *found}
            else:  # one value is often looked for in several attributes
                index.first, index.others, index.odd = twin.first, twin.others, twin.odd
            self._rules.append(index)
        self._sought = len(seeking) + sum(map(bool, self.pinned.values()))
        self.doubles = _doubles(
            tenant.agents, ("workNo",) if alone else ("workNo", "accountCode")
        )

    def _searching(self) -> Sequence[int]:
        accounts = attrgetter("account_code")
        if not self.pinned and None not in map(accounts, self.agents):
            return range(len(self.agents))
        numbers = compress(
            count(), map(is_not, map(accounts, self.agents), repeat(None))
        )
        return (
            [number for number in numbers if number not in self.pinned]
            if self.pinned
            else list(numbers)
        )

    def attributes(self) -> Iterator[tuple[int, str]]:
        """Each rule by number, with the attribute that users are looked up by."""
        return ((rule.rule, rule.attribute) for rule in self._rules)

    def only(self, numbers: Collection[int]) -> Self:
        """The same for these agents alone, also after the keys are gone."""
        rules = []
        for rule in self._rules:
            index = _Index(rule.rule, rule.attribute, rule.compared, rule.render)
            list(
                index.put(
                    (number, index.render(self.agents[number])) for number in numbers
                )
            )
            rules.append(index)
        pins = {
            name: _Index(PIN, name, index.compared)
            for name, index in self._pins.items()
        }
        few = copy(self)
        few._rules, few._pins = rules, pins  # noqa: SLF001  # the copy is of this very class, and only its rules and pins are others
        return few

    def tried(self, agent: Agent) -> Iterator[Key]:
        """What each rule looks for, for this agent; a rule without a value looks for nothing."""
        return filter(None, (rule.sought(agent) for rule in self._rules))

    def searches(self, number: int) -> Iterator[tuple[int, Key | None]]:
        """What this agent is looked for by: its pin, or what each rule looks for (None: nothing), by number."""
        if number in self.pinned:
            yield from ((PIN, key) for key in self.pinned[number] or (None,))
        elif self.agents[number].account_code is not None:
            yield from (
                (rule.rule, rule.sought(self.agents[number])) for rule in self._rules
            )

    def doubtful_attributes(self, number: int) -> frozenset[str] | None:
        """Attributes by which this agent may have a user that it is not looked up by; None: it may be anybody.

        Those of rules that make no value for it, or make it of a field that it shares with
        another record: one of the two is mistaken there. A seat without an account has no
        user. Of pins, nobody can tell.
        """
        agent, shared = self.agents[number], self.doubles.get(number, {}).keys()
        if agent.account_code is None:
            return frozenset()
        if number in self.pinned or (shared and self._are_pins):
            return None
        doubtful = (
            rule
            for rule in self._rules
            if shared & self._fields[rule.rule] or rule.sought(agent) is None
        )
        return frozenset(rule.attribute for rule in doubtful)

    def keys(self, found: Callable[[int, int], bool]) -> Iterator[Key]:
        """What users are to be looked up by: the pins, then for every agent what the first rule looks for, and so on.

        `found(agent, rule)`: whether an earlier rule has found the agent a user by now, so that this one cannot matter.
        """
        for name in (NAME, ID):
            yield from (
                key for keys in self.pinned.values() for key in keys if key[0] == name
            )
        for rule in self._rules:
            for number in self._searching():
                if not found(number, rule.rule):
                    value = rule.render(self.agents[number])
                    if isinstance(value, str):
                        yield rule.attribute, value

    def __len__(self) -> int:
        return self._sought

    def finds(self, user: User, unsure: list[Doubt]) -> list[tuple[int, int]]:
        """The (agent, rule) pairs whose key this user holds, by the attribute's own equality rule.

        Added to `unsure`: those that hold something alike, of which the directory has to
        say whether it is equal.
        """
        found = []
        for rule in self._rules:
            for held in user.values.get(rule.attribute, ()):
                value = held.reveal() if isinstance(held, Secret) else held
                key: Hashable = value
                number, plain = rule.first.get(key), True
                if (
                    number is None
                ):  # a value that is found among the keys is its own key
                    key = rule.key(value)
                    number = None if key == value else rule.first.get(key)
                    plain = number is None or rule.certain(value) == key
                if (
                    number is not None
                ):  # nearly every user is asked after twice or more, so without a call
                    if rule.odd or not plain:
                        for each in (number, *rule.others.get(key, ())):
                            sought = rule.sought(self.agents[each])
                            assert sought  # an agent that is found has a key
                            if (plain and each not in rule.odd) or rule.certain(
                                value
                            ) == rule.certain(sought[1]):
                                found.append((each, rule.rule))
                            else:
                                unsure.append(Doubt(each, rule.rule, user, sought))
                        continue
                    found.append((number, rule.rule))
                    if rule.others:
                        found += [
                            (other, rule.rule) for other in rule.others.get(key, ())
                        ]
        if self.pinned:
            found += [(number, PIN) for number in self._pins[ID].agents(user.id)]
            found += [(number, PIN) for number in self._pins[NAME].agents(user.name)]
        return found

    def seekers(self, user: User) -> set[tuple[int, int]]:
        """The (agent, rule) pairs that look for something which this user holds, or something alike."""
        unsure: list[Doubt] = []
        return {
            *self.finds(user, unsure),
            *((doubt.agent, doubt.rule) for doubt in unsure),
        }

    def close(self) -> None:
        """Let go of the keys, once every user has been seen: what comes next can use their memory."""
        for rule in (*self._rules, *self._pins.values()):
            rule.first, rule.others = {}, {}


def _pinned(
    agents: Iterable[Agent], pins: Iterable[Pin], naming: Naming
) -> dict[int, tuple[Key, ...]]:
    """Agents by number, each with what finds the user that it is pinned to.

    An account decides where a pin names one, for a seat can be given to somebody else.
    Nothing finds the user of an agent whose account is pinned together with another seat
    than it has, until somebody has looked at it.
    """
    by_account = {pin.account_code: pin for pin in pins if pin.account_code is not None}
    by_seat = {pin.work_no: pin for pin in pins if pin.account_code is None}
    if not by_account and not by_seat:
        return {}
    pinned: dict[int, tuple[Key, ...]] = {}
    for number, agent in enumerate(agents):
        pin = by_account.get(agent.account_code or "") or by_seat.get(agent.work_no)
        if pin is None or agent.account_code is None:
            continue
        pinned[number] = (
            naming.keys(pin.user) if pin.work_no in (None, agent.work_no) else ()
        )
    return pinned


def _doubles(
    agents: Collection[Agent], fields: Collection[str]
) -> dict[int, dict[str, object]]:
    """Agents that share one of these fields with another record, by number, each with what it shares, by field."""
    doubles: dict[int, dict[str, object]] = {}
    for field in fields:
        of = _FIELDS[field]
        distinct = set(map(of, agents))
        if len(distinct) == len(agents) or len(distinct - {None}) == len(
            agents
        ) - countOf(map(of, agents), None):
            continue
        times = Counter(map(of, agents))
        for number, value in enumerate(map(of, agents)):
            if value is not None and times[value] > 1:
                doubles.setdefault(number, {})[field] = value
    return doubles
