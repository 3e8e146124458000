"""The fixpoint: what is held back for one attribute or user may hold back others, until nothing more falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.model import Owned, User, equality
from connector.planning.brief import Brief
from connector.planning.compare.draft import Draft
from connector.planning.compare.unique_values import UniqueValues
from connector.planning.leavers.leavers import still_holding
from connector.planning.leavers.stale_users import Unclaimed


def in_order(drafts: Sequence[Draft]) -> list[Draft]:
    """Drafts with something planned, as a plan lists their users."""
    return sorted(
        (draft for draft in drafts if draft.planned),
        key=attrgetter("user.name", "user.id"),
    )


def settled(
    directory: Lookup,
    drafts: Sequence[Draft],
    brief: Brief,
    hold_classless: Callable[[Draft], bool],
    *,
    few: bool = False,
    unclaimed: Sequence[Unclaimed] = (),
) -> UniqueValues:
    """Hold back what cannot be written, and what falls with it; return the moves that are left.

    An attribute takes its group along at once (`Draft.bind`), so that what others wait for
    falls in the same round.

    `hold_classless`: hold back what of a draft needs a class that cannot be added; whether there was any. `few`: no
    scan takes the place of looking up who holds a value. `unclaimed`: users of ours that no
    agent claims.
    """
    groups = brief.mapping.groups
    for draft in drafts if groups else ():
        draft.bind(groups, replaced=brief.description.writing.replaces)
    unique = UniqueValues(in_order(drafts), brief.mapping, brief.description)
    if len(unique):
        if few:
            unique.held_by(directory.find(unique.keys()))
        else:
            unique.held_by(directory.search(unique.keys(), len(unique)))
        unique.held_by(still_holding(unique, unclaimed))
        unique.held_by(_told_elsewhere(unique, brief), late=True)
        unique.held_by(_holding_respelt(directory, unique, brief), respelt=True)
    unique.hold_back()
    while [draft for draft in drafts if hold_classless(draft)]:
        unique.hold_back()
    return unique


def _holding_respelt(
    directory: Lookup, unique: UniqueValues, brief: Brief
) -> list[User]:
    """Users who hold a wanted value in the spelling of the directory, in which no look-up finds it."""
    known = {ref.id: (ref, owned) for ref, owned in brief.memory.respelt()}
    sent = {id_: unique.among(_as_sent(owned)) for id_, (_, owned) in known.items()}
    asked = [known[id_][0] for id_, wanted in sent.items() if wanted]
    found = []
    for user in directory.read(asked, disabled=True) if asked else ():
        stored = {
            (name.lower(), digest)
            for name, each in known[user.id][1].items()
            for digest in each.stored
        }
        for name, values in sent[user.id].items():
            rule, held = brief.description.equality(name), user.values.get(name, ())
            if not stored.isdisjoint(
                (name.lower(), equality.digest(rule, value)) for value in held
            ):
                found.append(User(user.id, user.name, {name: values}))
    return found


def _as_sent(owned: Mapping[str, Owned]) -> dict[str, Owned]:
    return {name: replace(each, values=each.sent) for name, each in owned.items()}


def _told_elsewhere(unique: UniqueValues, brief: Brief) -> Iterator[User]:
    """Users to whom another server was told to give a wanted value: this one may not show it yet."""
    for ref, owned in brief.memory.late():
        held = unique.among(owned)
        if held:
            yield User(ref.id, ref.name, held)
