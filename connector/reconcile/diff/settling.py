"""The fixpoint: what is held back for one attribute or user may hold back others, until nothing more falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from connector.model import User
from connector.reconcile.diff.draft import Draft
from connector.reconcile.diff.unique_values import UniqueValues
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
) -> Planning[UniqueValues]:
    """Hold back what cannot be written, and what falls with it; return the moves that are left.

    An attribute takes its group along at once (`Draft.bind`), so that what others wait for falls in the same round.

    `hold_classless`: hold back what of a draft needs a class that cannot be added; whether there was any. `few`: no
    scan takes the place of looking up who holds a value. `unclaimed`: users of ours that no agent claims.
    """
    groups = brief.mapping.groups
    for draft in drafts if groups else ():
        draft.bind(groups, replaced=brief.description.replaces)
    unique = UniqueValues(in_order(drafts), brief.mapping, brief.description)
    if len(unique):
        asked = Find(unique.keys()) if few else Search(unique.keys(), len(unique))
        unique.held_by((yield from ask(asked)))
        unique.held_by(still_holding(unique, unclaimed))
        unique.held_by(_told_elsewhere(unique, brief), late=True)
    unique.hold_back()
    while [draft for draft in drafts if hold_classless(draft)]:
        unique.hold_back()
    return unique


def _told_elsewhere(unique: UniqueValues, brief: Brief) -> Iterator[User]:
    """Users to whom another server was told to give a wanted value: this one may not show it yet."""
    for ref, owned in brief.memory.late():
        held = unique.among(owned)
        if held:
            yield User(ref.id, ref.name, held)
