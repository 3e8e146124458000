"""Users of ours that base and filter leave out: disabled, or moved. Their single-holder values are not free yet."""

from __future__ import annotations

from collections.abc import Sequence

from connector.errors import IncompleteRead
from connector.model import ID, User
from connector.reconcile.moves import Moves
from connector.reconcile.questions import Find, Planning, Read, ask
from connector.reconcile.stale import Unclaimed


def still_holding(moves: Moves, unclaimed: Sequence[Unclaimed]) -> Planning[list[User]]:
    """Users past base and filter who hold a wanted value that this job wrote to them last.

    The state says who may; they are read by id. Whoever is found nowhere holds nothing. Where nobody may look past base
    and filter, the state is believed.
    """
    wanted = moves.digests() if unclaimed else {}
    holders: dict[str, User] = {}
    for each in unclaimed if wanted else ():
        values = {name: (value,) for (name, digest), value in wanted.items() if _wrote(each, name, digest)}
        if values:
            holders[each.user.id] = User(each.user.id, each.user.name, values)
    if not holders:
        return []
    for user in (yield from ask(Read([holder.ref for holder in holders.values()]))):
        holders.pop(user.id, None)  # within reach: looked up as all others are
    if not holders:
        return []
    try:
        found = list((yield from ask(Find([(ID, id_) for id_ in holders], outside=True))))
    except IncompleteRead:
        return list(holders.values())
    return [user for user in found if user.id in holders]


def _wrote(each: Unclaimed, name: str, digest: str) -> bool:
    last = each.last(name)
    return last is not None and digest in last.values
