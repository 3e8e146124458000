"""Values that the directory stores in another spelling than they were sent, as earlier writes have shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from connector.model import (
    Equality,
    Fingerprint,
    Held,
    Memory,
    Owned,
    Secret,
    UserRef,
    equality,
)


class Spellings:
    """What a state knows of the spelling of values, by user and attribute."""

    def __init__(self, memory: Memory, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._known: defaultdict[tuple[str, str], list[Owned]] = defaultdict(list)
        for user, attributes in memory.respelt():
            for name, each in attributes.items():
                self._known[user.id, name.lower()].append(each)

    def in_step(
        self,
        user: UserRef,
        name: str,
        rule: Equality,
        wanted: Iterable[Held],
        held: Iterable[Held],
    ) -> bool:
        """Whether an attribute holds exactly what the directory made of the wanted values when they were written."""
        known = self._known.get((user.id, name.lower()))
        if not known:
            return False
        sent, stored = (
            {
                self._fingerprint(user, name, one)
                if isinstance(one, Secret)
                else equality.digest(rule, one)
                for one in values
            }
            for values in (wanted, held)
        )
        return any(
            (sent, stored) == (set(each.sent), set(each.stored)) for each in known
        )
