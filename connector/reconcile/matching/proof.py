"""Whether "nobody" can be believed: what look-ups by an attribute have found, or somebody who is known to be there.

A server may answer a look-up with nobody though it cannot tell: without the right to search an attribute, without an
equality rule or an index for it, with a limit that it does not admit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

from connector.reconcile.matching.claims import Claims
from connector.reconcile.matching.roster import Roster
from connector.reconcile.questions import Planning, Proof, Prove, Scan, ask

UNPROVEN = "stale users are kept: no user shows a value of {names}, so look-ups by it prove nothing"


def proved(claims: Claims, roster: Roster, agents: Collection[int] | None = None) -> Planning[frozenset[str]]:
    """Prove the look-ups that found nobody; where one cannot be trusted, read everybody. `agents`: else all of them.

    Returns the attributes of which no user shows a value, so that nothing is proven.
    """
    unproven: set[str] = set()
    agents = range(len(roster.agents)) if agents is None else agents
    for attribute in _doubtful(claims, roster, agents):
        (proof,) = yield from ask(Prove(attribute, claims.shows.get(attribute)))
        if proof is Proof.REFUTED:
            for user in (yield from ask(Scan())):
                claims.add(user)
            claims.asked.clear()
            return frozenset(_doubtful(claims, roster, agents))
        if proof is Proof.NONE:
            unproven.add(attribute)
    return frozenset(unproven)


def _doubtful(claims: Claims, roster: Roster, agents: Iterable[int]) -> list[str]:
    """The attributes by which an agent was to be found, and that have proven nothing so far.

    Where all users were read, those that none of them shows. Where users were looked up, whoever is claimed by what
    another attribute has found proves nothing either.
    """
    looked_up = bool(claims.asked)
    sure = claims.proven if looked_up else claims.shows.keys()
    tried = claims.asked or {name for _, name in roster.attributes()}
    open_ = {rule: name for rule, name in roster.attributes() if name in tried and name not in sure}
    found: set[str] = set()
    for number in agents if open_ else ():
        decided = min((claim.rule for claim in claims.of(number)), default=inf)
        for rule, key in roster.searches(number):
            if key is not None and rule in open_ and rule < decided + looked_up:
                found.add(open_.pop(rule))
        if not open_:
            break
    return sorted(found)
