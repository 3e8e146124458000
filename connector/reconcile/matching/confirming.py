"""Users that hold something alike: whether that is what an agent looks for, the directory says by finding them."""

from __future__ import annotations

from collections.abc import Hashable

from connector.model import Description, Key, User
from connector.reconcile import equality
from connector.reconcile.matching.claims import Claims
from connector.reconcile.matching.roster import Doubt
from connector.reconcile.questions import Find, Planning, ask

_Slot = tuple[str, Hashable]
"""An attribute, and the likeness of a value."""


def confirmed(claims: Claims, description: Description) -> Planning[None]:
    """Look up what is in doubt, many at once, but so that no user can be found by what another is looked up by.

    Where an answer to a look-up may be everybody, nothing is confirmed.
    """
    waiting = claims.doubts() if description.decides else []
    while waiting:
        asked = _Round(description)
        later = [doubt for doubt in waiting if not asked.takes(doubt)]
        found = {user.id for user in (yield from ask(Find(asked.keys.values())))}
        for doubt in asked.doubts:
            if doubt.user.id in found:
                claims.confirm(doubt)
        waiting = later


class _Round:
    """Doubts that one question settles. `keys`: what it looks for, by what that is like."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self.doubts: list[Doubt] = []
        self.keys: dict[_Slot, Key] = {}
        self._beside: set[_Slot] = set()
        """What the users of this round hold besides."""

    def takes(self, doubt: Doubt) -> bool:
        """Take a doubt in, where that leaves no other meaning to being found."""
        own = self._slot(*doubt.key)
        beside = self._held(doubt.user) - {own}
        if own in self._beside or self.keys.get(own, doubt.key) != doubt.key or not beside.isdisjoint(self.keys):
            return False
        self.keys[own] = doubt.key
        self._beside |= beside
        self.doubts.append(doubt)
        return True

    def _held(self, user: User) -> set[_Slot]:
        return {
            self._slot(name, value) for name, held in user.values.items() for value in held if isinstance(value, str)
        }

    def _slot(self, name: str, value: str) -> _Slot:
        return name, equality.likeness(self._description.equality(name), value)
