"""Whether "nobody" can be believed: what look-ups by an attribute have found, or somebody who is known to be there.

A server may answer a look-up with nobody though it cannot tell: without the right to search an attribute, without an
equality rule or an index for it, with a limit that it does not admit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from connector.reconcile.claims import Claims
from connector.reconcile.questions import Planning, Proof, Prove, Scan, ask
from connector.reconcile.roster import Roster

UNPROVEN = (
    "no user shows a value of {names}, so an agent that no look-up finds may be there all the same: nothing stale is "
    "cleared in this run"
)


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
    """The attributes that somebody was looked up by and that have proven nothing so far.

    Where all users were read, what none of them shows, if an agent was to be found by it.
    """
    if claims.asked:
        return sorted(claims.asked - claims.proven)
    open_ = {rule: name for rule, name in roster.attributes() if name not in claims.shows}
    found: set[str] = set()
    for number in agents if open_ else ():
        decided = min((claim.rule for claim in claims.of(number)), default=None)
        for rule, key in roster.searches(number):
            if key is not None and rule in open_ and (decided is None or rule < decided):
                found.add(open_.pop(rule))
        if not open_:
            break
    return sorted(found)
