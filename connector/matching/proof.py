"""What look-ups prove: that "nobody" can be believed, and that somebody who holds something alike is the one.

"Nobody" is proven by what look-ups by the attribute have found, or by somebody who is known
to be there.

A server may answer a look-up with nobody though it cannot tell: without the right to search
an attribute, without an equality rule or an index for it, with a limit that it does not
admit. Of a value that is only alike, it has to say whether it is what an agent looks for:
it finds the user by it, or not.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from math import inf

from connector.matching.claims import Claims
from connector.matching.lookup import Lookup, Proof
from connector.matching.roster import Doubt, Roster
from connector.model import Description, Key, equality

UNPROVEN = "stale users are kept: no user shows a value of {names}, so look-ups by it prove nothing"
_Slot = tuple[str, Hashable]
"""An attribute, and the likeness of a value."""


def proved(
    directory: Lookup,
    claims: Claims,
    roster: Roster,
    agents: Collection[int] | None = None,
) -> frozenset[str]:
    """Prove the look-ups that found nobody; where one cannot be trusted, read everybody. `agents`: else all of them.

    Returns the attributes of which no user shows a value, so that nothing is proven.
    """
    unproven: set[str] = set()
    agents = range(len(roster.agents)) if agents is None else agents
    for attribute in _doubtful(claims, roster, agents):
        proof = directory.prove(attribute, claims.shows.get(attribute))
        if proof is Proof.REFUTED:
            why = f"look-ups by {attribute} cannot be trusted, so that all users have to be read"
            for user in directory.scan(why=why):
                claims.add(user)
            claims.asked.clear()
            return frozenset(_doubtful(claims, roster, agents))
        if proof is Proof.NONE:
            unproven.add(attribute)
    return frozenset(unproven)


def _doubtful(claims: Claims, roster: Roster, agents: Iterable[int]) -> list[str]:
    """The attributes by which an agent was to be found, and that have proven nothing so far.

    Where all users were read, those that none of them shows. Where users were looked up,
    whoever is claimed by what another attribute has found proves nothing either.
    """
    looked_up = bool(claims.asked)
    sure = claims.proven if looked_up else claims.shows.keys()
    open_ = {rule: name for rule, name in roster.attributes() if name not in sure}
    found: set[str] = set()
    for number in agents if open_ else ():
        decided = min((claim.rule for claim in claims.of(number)), default=inf)
        for rule, key in (
            roster.searches(number) if min(open_) < decided + looked_up else ()
        ):
            if key is not None and rule in open_ and rule < decided + looked_up:
                found.add(open_.pop(rule))
        if not open_:
            break
    return sorted(found)


def confirmed(directory: Lookup, claims: Claims, description: Description) -> None:
    """Look up what is in doubt, many at once, but so that no user can be found by what another is looked up by.

    Where an answer to a look-up may be everybody, nothing is confirmed.
    """
    waiting = claims.doubts() if description.reading.decides else []
    while waiting:
        asked = _Round(description)
        later = [doubt for doubt in waiting if not asked.takes(doubt)]
        found = {user.id for user in directory.find(asked.keys.values())}
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
        own, texts = self._slot(*doubt.key), doubt.user.values.items()
        beside = {
            self._slot(name, value)
            for name, held in texts
            for value in held
            if isinstance(value, str)
        } - {own}
        if (
            own in self._beside
            or self.keys.get(own, doubt.key) != doubt.key
            or not beside.isdisjoint(self.keys)
        ):
            return False
        self.keys[own] = doubt.key
        self._beside |= beside
        self.doubts.append(doubt)
        return True

    def _slot(self, name: str, value: str) -> _Slot:
        return name, equality.likeness(self._description.equality(name), value)
