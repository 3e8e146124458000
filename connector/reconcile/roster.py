"""The roster: every agent under the keys of every rule, so that users can stream by and find theirs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import chain

from connector.model import ID, NAME, Agent, Description, Equality, Key, Tenant, User
from connector.reconcile import equality
from connector.reconcile.mapping import Mapping
from connector.reconcile.people import Pin
from connector.reconcile.templates import Render

PIN = 0
"""The number of the rule before the first."""


class Roster:
    """Agents by the keys of every rule; seats without an account have none, pinned agents have only their pin."""

    def __init__(self, tenant: Tenant, mapping: Mapping, pins: Iterable[Pin], description: Description) -> None:
        self.agents = tenant.agents
        self._renders: list[Render] = [rule.agent.bind(tenant) for rule in mapping.match]
        self._attributes = [rule.directory for rule in mapping.match]
        self._stride = len(self._renders) + 1
        self.pinned = _pinned(tenant.agents, pins, description)
        names = dict.fromkeys([key[0] for key in self.pinned.values()] + self._attributes)
        self._indexes = {name: (_rule(description, name), _Index()) for name in names}
        for agent, rule, (attribute, value) in self._entries():
            compare, index = self._indexes[attribute]
            index.put(equality.key(compare, value), agent * self._stride + rule)

    def _entries(self) -> Iterator[tuple[int, int, Key]]:
        for number, agent in enumerate(self.agents):
            if agent.account_code is None:
                continue
            pin = self.pinned.get(number)
            if pin is not None:
                yield number, PIN, pin
                continue
            for rule, (attribute, value) in self.tried(agent):
                yield number, rule, (attribute, value)

    def tried(self, agent: Agent) -> Iterator[tuple[int, Key]]:
        """What each rule looks for, for this agent; a rule without a value looks for nothing."""
        for rule, (render, attribute) in enumerate(zip(self._renders, self._attributes, strict=True), start=1):
            value = render(agent)
            if isinstance(value, str):
                yield rule, (attribute, value)

    def keys(self) -> Iterator[Key]:
        """Everything that users are to be looked up by, each key once for each agent."""
        return (key for _, _, key in self._entries())

    def __len__(self) -> int:
        """How many different keys there are."""
        return sum(len(index) for _, index in self._indexes.values())

    def finds(self, user: User) -> Iterator[tuple[int, int]]:
        """The (agent, rule) pairs whose key this user holds, compared by the attribute's own equality rule."""
        for attribute, (compare, index) in self._indexes.items():
            for value in _held(user, attribute):
                for code in index.get(equality.key(compare, value)):
                    yield divmod(code, self._stride)


class _Index:
    """Numbers under keys; nearly every key has one number, which then needs no list."""

    def __init__(self) -> None:
        self._one: dict[Hashable, int] = {}
        self._more: dict[Hashable, list[int]] = {}

    def put(self, key: Hashable, code: int) -> None:
        if self._one.setdefault(key, code) != code:
            self._more.setdefault(key, []).append(code)

    def get(self, key: Hashable) -> Iterable[int]:
        first = self._one.get(key)
        if first is None:
            return ()
        return chain((first,), self._more[key]) if key in self._more else (first,)

    def __len__(self) -> int:
        return len(self._one)


def _held(user: User, attribute: str) -> Iterable[str | bytes]:
    if attribute == ID:
        return (user.id,)
    if attribute == NAME:
        return (user.name,)
    return map(equality.plain, user.values.get(attribute, ()))


def _rule(description: Description, attribute: str) -> Equality:
    if attribute == ID:
        return Equality.CASE_IGNORE
    return description.names if attribute == NAME else description.attributes[attribute].equality


def _pinned(agents: Iterable[Agent], pins: Iterable[Pin], description: Description) -> dict[int, Key]:
    """Agents by number, each with the user it is pinned to: by name where that looks like one, else by id.

    An account decides where a pin names one, for a seat can be given to somebody else.
    """
    by_account = {pin.account_code: pin for pin in pins if pin.account_code is not None}
    by_seat = {pin.work_no: pin for pin in pins if pin.account_code is None}
    if not by_account and not by_seat:
        return {}
    pinned = {}
    for number, agent in enumerate(agents):
        pin = by_account.get(agent.account_code or "") or by_seat.get(agent.work_no)
        if pin is not None and agent.account_code is not None:
            named = description.names is not Equality.DN or "=" in pin.user
            pinned[number] = (NAME if named else ID, pin.user)
    return pinned
