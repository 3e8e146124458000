"""The planner: what is to be done so that the directory says what the source says. Pure.

It yields what it has to know of the directory as questions (`questions.py`), takes the answers, and returns a plan:

    agents ── look up ──> claims ── one to one ──> verdicts ──> drafts ── compare, object, settle ──> plan

An agent is *invalid*, *unassigned* (it has no account), or ends as one of *matched*, *unmatched*, *ambiguous* and
*contested* (`claims.py`).
A user is *matched*, *stale* (ours, and no agent claims it; `stale.py`) or untouched. What becomes of the attributes of
a matched or stale user is drawn in `draft.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from connector.model import Change, Tenant, User
from connector.reconcile import stale
from connector.reconcile.claims import Claims, Verdicts
from connector.reconcile.differences import Differ
from connector.reconcile.drawing import Drawing, Drawn
from connector.reconcile.near import near_misses
from connector.reconcile.outside import told_outside
from connector.reconcile.people import Never, Pin, strangers
from connector.reconcile.questions import Brief, Find, Planning, Scan, Search, ask
from connector.reconcile.roster import Roster


class Planner:
    """A tenant, the job's rules and lists, and a directory. Raises FileError where its schema forbids the mapping."""

    def __init__(self, brief: Brief, tenant: Tenant, pins: Collection[Pin], never: Never) -> None:
        self.brief = brief
        self.tenant = tenant
        self.pins = pins
        self.never = never
        self.differ = Differ(tenant, brief.mapping, brief.description)
        self.roster = Roster(tenant, brief.mapping, pins, brief.description)
        self.claims = Claims(self.roster, self.differ)

    def plan(self, only: Collection[str] = (), untold: Iterable[Change] = ()) -> Planning[Drawn]:
        """The plan for everybody. `only`: the changes of these agents alone, by accountCode or workNo.

        `untold`: writes of an interrupted run of which it is not known whether they happened.
        """
        for user in (yield from ask(Search(self.claims.wanted(), len(self.roster), self.claims.found))):
            self.claims.add(user)
        self.roster.close()
        verdicts = self.claims.settle(self.tenant)
        verdicts, nearby = yield from near_misses(verdicts, self.roster, self.brief.description)
        brief = replace(self.brief, about=(*self.brief.about, *((("near misses", nearby),) if nearby else ())))
        listed = self.never.keys()
        spared = list((yield from ask(Find(listed)))) if listed else []
        unknown = strangers(self.pins, self.never, self.tenant, spared)
        unclaimed = yield from self._unclaimed(verdicts)
        drawing = Drawing(brief, self.tenant, self.differ, self.never)
        drawn = yield from drawing.drawn(
            verdicts, unclaimed, self.claims.shown, only=only, problems=unknown, untold=untold
        )
        plan = yield from told_outside(drawn.plan, unclaimed, verdicts.unmatched, self.roster, self.brief.description)
        return replace(drawn, plan=plan)

    def _unclaimed(self, verdicts: Verdicts) -> Planning[list[stale.Unclaimed]]:
        """Users that hold something of ours and that no agent claims."""
        adopting = self.brief.mapping.adopting
        adopted: Iterable[User] = (yield from ask(Scan(adopting))) if adopting else ()
        return stale.unclaimed(self.brief.memory, lambda id_: id_ not in verdicts.claimed, adopted, self.differ.adopted)
