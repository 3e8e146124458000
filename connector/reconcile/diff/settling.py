"""The fixpoint: what is held back for one attribute or user may hold back others, until nothing more falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from connector.reconcile.diff.draft import Draft
from connector.reconcile.diff.unique_values import Moves
from connector.reconcile.questions import Brief, Find, Planning, Search, ask
from connector.reconcile.stale.leavers import still_holding
from connector.reconcile.stale.stale_users import Unclaimed


def in_order(drafts: Sequence[Draft]) -> list[Draft]:
    """Drafts with something planned, as a plan lists their users."""
    return sorted((draft for draft in drafts if draft.planned), key=attrgetter("user.name", "user.id"))


def settled(
    drafts: Sequence[Draft],
    brief: Brief,
    hold_classless: Callable[[Draft], bool],
    *,
    few: bool = False,
    unclaimed: Sequence[Unclaimed] = (),
) -> Planning[Moves]:
    """Hold back what cannot be written, and what falls with it; return the moves that are left.

    An attribute takes its group along at once (`Draft.bind`), so that what others wait for falls in the same round.

    `hold_classless`: hold back what of a draft needs a class that cannot be added; whether there was any. `few`: no
    scan takes the place of looking up who holds a value. `unclaimed`: users of ours that no agent claims.
    """
    groups = brief.mapping.groups
    for draft in drafts if groups else ():
        draft.bind(groups, replaced=brief.description.replaces)
    moves = Moves(in_order(drafts), brief.mapping, brief.description)
    if len(moves):
        asked = Find(moves.keys()) if few else Search(moves.keys(), len(moves))
        moves.held_by((yield from ask(asked)))
        moves.held_by(still_holding(moves, unclaimed))
    moves.hold_back()
    while [draft for draft in drafts if hold_classless(draft)]:
        moves.hold_back()
    return moves
