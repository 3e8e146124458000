"""The roster: every agent under the keys of every rule, so that users can stream by and find theirs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from connector.model import ID, NAME, Agent, Description, Equality, Held, Key, Secret, Tenant, User, Value
from connector.reconcile import equality
from connector.reconcile.mapping import Mapping
from connector.reconcile.people import Pin
from connector.reconcile.templates import Render

PIN = 0
"""The number of the rule before the first."""
NOBODY = ""
"""The id of no user: where an agent's pin leads that names another seat than the agent has."""


class Roster:
    """Agents by the keys of every rule; seats without an account have none, pinned agents have only their pin."""

    def __init__(self, tenant: Tenant, mapping: Mapping, pins: Iterable[Pin], description: Description) -> None:
        self.agents = tenant.agents
        self._renders: list[Render] = [rule.agent.bind(tenant) for rule in mapping.match]
        self._attributes = [rule.directory for rule in mapping.match]
        self._stride = len(self._renders) + 1
        self.pinned = _pinned(tenant.agents, pins, description)
        names = dict.fromkeys([key[0] for key in self.pinned.values()] + self._attributes)
        self._indexes = [(name, _Index(_rule(description, name))) for name in names]
        by_name = dict(self._indexes)
        for number, (attribute, name) in self.pinned.items():
            by_name[attribute].put(name, number * self._stride + PIN)
        for rule, (attribute, render) in enumerate(zip(self._attributes, self._renders, strict=True), start=1):
            index = by_name[attribute]
            for number, agent in self._searching():
                value = render(agent)
                if value is not None:
                    index.put(equality.plain(value), number * self._stride + rule)

    def _searching(self) -> Iterator[tuple[int, Agent]]:
        """The agents that the rules are for."""
        pinned = self.pinned
        return (
            (number, agent)
            for number, agent in enumerate(self.agents)
            if agent.account_code is not None and number not in pinned
        )

    def tried(self, agent: Agent) -> Iterator[Key]:
        """What each rule looks for, for this agent; a rule without a value looks for nothing."""
        for render, attribute in zip(self._renders, self._attributes, strict=True):
            value = render(agent)
            if isinstance(value, str):
                yield attribute, value

    def looked_for_whole(self, number: int) -> bool:
        """Whether every rule has something to look for, for this agent, and no pin stands in its way."""
        return number not in self.pinned and len(list(self.tried(self.agents[number]))) == len(self._renders)

    def keys(self) -> Iterator[Key]:
        """Everything that users are to be looked up by, each key once for each agent."""
        yield from self.pinned.values()
        for _, agent in self._searching():
            yield from self.tried(agent)

    def __len__(self) -> int:
        """How many different keys there are."""
        return sum(len(index) for _, index in self._indexes)

    def finds(self, user: User) -> list[tuple[int, int]]:
        """The (agent, rule) pairs whose key this user holds, compared by the attribute's own equality rule."""
        found = []
        for attribute, index in self._indexes:
            if attribute in user.values:
                held: Iterable[Held] = user.values[attribute]
            elif attribute in _REFERENCES:
                held = (user.id if attribute == ID else user.name,)
            else:
                continue
            for value in held:
                code = index.first(value)
                if code is not None:
                    found.append(divmod(code, self._stride))
                    found += [divmod(other, self._stride) for other in index.others(value)]
        return found


_REFERENCES = frozenset({ID, NAME})


class _Index:
    """Numbers under values, by an equality rule; nearly every value has one number, which then needs no list."""

    def __init__(self, rule: Equality) -> None:
        self._key = equality.keys_of(rule)
        self._first: dict[Hashable, int] = {}
        self._others: dict[Hashable, list[int]] = {}

    def put(self, value: Value, code: int) -> None:
        key = self._key(value)
        if self._first.setdefault(key, code) != code:
            self._others.setdefault(key, []).append(code)

    def first(self, value: Held) -> int | None:
        return self._first.get(self._key(value.reveal() if isinstance(value, Secret) else value))

    def others(self, value: Held) -> Iterable[int]:
        return self._others.get(self._key(equality.plain(value)), ()) if self._others else ()

    def __len__(self) -> int:
        return len(self._first)


def _rule(description: Description, attribute: str) -> Equality:
    if attribute == ID:
        return Equality.CASE_IGNORE
    return description.names if attribute == NAME else description.attributes[attribute].equality


def _pinned(agents: Iterable[Agent], pins: Iterable[Pin], description: Description) -> dict[int, Key]:
    """Agents by number, each with the user it is pinned to: by name where that looks like one, else by id.

    An account decides where a pin names one, for a seat can be given to somebody else. An agent whose account is pinned
    together with another seat than it has is pinned to nobody, until somebody has looked at it.
    """
    by_account = {pin.account_code: pin for pin in pins if pin.account_code is not None}
    by_seat = {pin.work_no: pin for pin in pins if pin.account_code is None}
    if not by_account and not by_seat:
        return {}
    pinned = {}
    for number, agent in enumerate(agents):
        pin = by_account.get(agent.account_code or "") or by_seat.get(agent.work_no)
        if pin is None or agent.account_code is None:
            continue
        if pin.work_no not in (None, agent.work_no):
            pinned[number] = (ID, NOBODY)
        else:
            named = description.names is not Equality.DN or "=" in pin.user
            pinned[number] = (NAME if named else ID, pin.user)
    return pinned
