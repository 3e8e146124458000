"""Users of ours that no agent claims: where they are now. One read by id, also past base and filter, tells.

Whoever is out of reach may be disabled, left out by the filter for another reason, moved
out of the base, or deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.matching.lookup import Lookup
from connector.model import (
    ID,
    Description,
    Holds,
    Question,
    User,
)
from connector.model.dn import covers, rdns
from connector.model.mapping import Mapping as AttributeMapping
from connector.planning.brief import Slot
from connector.planning.compare.unique_values import UniqueValues
from connector.planning.leavers.stale_users import Place, Unclaimed


def placed(
    directory: Lookup,
    unclaimed: Sequence[Unclaimed],
    description: Description,
    witness: str | None,
) -> list[Unclaimed]:
    """These users with where they are, and as they are now. `witness`: the id of a user within base and filter.

    That nobody is found past them is believed where somebody is who is there, and where
    that look is one at the whole directory (`Description.sees_past`).
    """
    if not unclaimed:
        return []
    within = {
        user.id: user
        for user in (directory.read([each.user for each in unclaimed], disabled=True))
    }
    gone = [each.user.id for each in unclaimed if each.user.id not in within]
    past = _past(directory, [*gone, *([witness] if witness else [])]) if gone else {}
    return [
        _placed(each, within.get(each.user.id), past, description) for each in unclaimed
    ]


def _past(directory: Lookup, ids: Sequence[str]) -> Mapping[str, User]:
    """Users by id, wherever they are; nobody where nobody may look there."""
    try:
        return {
            user.id: user for user in directory.find_outside([(ID, id_) for id_ in ids])
        }
    except IncompleteRead:
        return {}


def _placed(
    each: Unclaimed,
    within: User | None,
    past: Mapping[str, User],
    description: Description,
) -> Unclaimed:
    if within is not None:
        return replace(
            each, place=Place.DISABLED if within.disabled else Place.WITHIN, now=within
        )
    user = past.get(each.user.id)
    if user is None:
        return replace(
            each,
            place=Place.DELETED
            if past and description.scope.sees_past
            else Place.UNKNOWN,
        )
    bases = [rdns(base) for base in description.scope.bases]
    here = not bases or covers(user.name, *bases, one_level=description.scope.one_level)
    return replace(each, place=Place.FILTERED if here else Place.MOVED, now=user)


def lapsing(
    unclaimed: Sequence[Unclaimed], lapsed: frozenset[str]
) -> tuple[list[Unclaimed], frozenset[str]]:
    """Those that a plan speaks of, and the ids of those that lapse with it: nobody speaks of a deleted user twice.

    `lapsed`: of whom it was said. They stay so where nobody may look for them.
    """
    silent = {
        each.user.id
        for each in unclaimed
        if each.place is Place.UNKNOWN and each.user.id in lapsed
    }
    deleted = {each.user.id for each in unclaimed if each.place is Place.DELETED}
    told = [
        each
        for each in unclaimed
        if each.user.id not in silent and each.user.id not in deleted & lapsed
    ]
    return told, frozenset(deleted | silent)


def hidden_attributes(
    directory: Lookup,
    unclaimed: Sequence[Unclaimed],
    rules: AttributeMapping,
    description: Description,
) -> Mapping[str, list[str]]:
    """By user id the match attributes that a user within base and filter does not show, and may hold all the same.

    A server that is asked to compare tells of this very user that it holds none. Where a
    hidden value answers like one that is missing, nothing tells.
    """
    infos, hides = description.attributes, description.reading.hides
    looked_at = dict.fromkeys(rule.directory for rule in rules.match)
    names = [name for name in looked_at if hides or not infos[name].readable]
    users = [each.now for each in unclaimed if each.now and each.place is Place.WITHIN]
    unseen = [
        (user.ref, name) for user in users for name in names if name not in user.values
    ]
    told = directory.compare(
        (Question(user, name, "0") for user, name in unseen if not hides)
    )
    absent = {
        (each.user.id, each.attribute)
        for each, answer in told
        if answer is Holds.ABSENT
    }
    hidden: dict[str, list[str]] = {}
    for user, name in unseen:
        if (user.id, name) not in absent:
            hidden.setdefault(user.id, []).append(name)
    return hidden


def doubted_attributes(
    unclaimed: Sequence[Unclaimed],
    doubtful: Collection[str],
    hidden: Mapping[str, Collection[str]],
) -> dict[str, list[str]]:
    """By user id those of the `doubtful` attributes, by which agents in doubt may have it, that a user may hold."""
    users = [each.now for each in unclaimed if each.now and each.place is Place.WITHIN]
    found = {
        user.id: sorted({*user.values, *hidden.get(user.id, ())} & {*doubtful})
        for user in users
    }
    return {id_: names for id_, names in found.items() if names}


def emptied(
    directory: Lookup,
    unclaimed: Sequence[Unclaimed],
    rules: AttributeMapping,
    description: Description,
) -> list[Slot]:
    """Attributes to which this job wrote, of users that nobody claims and that hold no value of them any more.

    Where a value may only be hidden, the directory is asked; secrets are asked about as
    they are cleared.
    """
    infos = description.attributes
    away = [
        (each.now.ref, rule)
        for each in unclaimed
        if each.now
        and each.place in (Place.WITHIN, Place.DISABLED)
        and not description.reading.hides
        for rule in rules.attributes
        if each.last(rule.name)
        and rule.name not in each.unshown
        and not each.now.values.get(rule.name)
    ]
    sure = [(user.id, rule.name) for user, rule in away if infos[rule.name].readable]
    hidden = (
        (user, rule)
        for user, rule in away
        if not (rule.secret or infos[rule.name].readable)
    )
    told = directory.compare((Question(user, rule.name, "0") for user, rule in hidden))
    return sure + [
        (each.user.id, each.attribute)
        for each, answer in told
        if answer is Holds.ABSENT
    ]


def still_holding(unique: UniqueValues, unclaimed: Sequence[Unclaimed]) -> list[User]:
    """Users out of reach who hold a wanted value that this job wrote to them last.

    Whoever is found nowhere holds nothing. Where nobody may look past base and filter, the
    state is believed.
    """
    holders = []
    for each in unclaimed:
        values = unique.among(each.owned)
        if values and each.place is Place.UNKNOWN:
            holders.append(User(each.user.id, each.user.name, values))
        elif values and each.place is not Place.WITHIN and each.now is not None:
            holders.append(each.now)
    return holders
