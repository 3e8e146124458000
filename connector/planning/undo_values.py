"""What takes back one change of a user: attribute by attribute, and what of it must stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Equality,
    Held,
    Holds,
    Owned,
    Problem,
    Question,
    Secret,
    User,
    UserRef,
    equality,
    hide_value,
    patterns,
)
from connector.model.digests import UNKEYED
from connector.model.draft import Draft
from connector.planning.brief import PlanBrief
from connector.planning.standing import ShownUser

_UNREADABLE: Final = "no value is shown: it is gone, or this account cannot read it. It may have changed since that run"
_STAYS: Final = (
    "kept. Grant the right to read it and rerun the undo, or remove it by hand"
)


class LastWriters:
    """Who wrote last to these users."""

    def __init__(
        self, brief: PlanBrief, now: Mapping[str, User], open_users: Collection[str]
    ) -> None:
        self._brief = brief
        self._open_users = open_users
        """Ids of users of whom it was not known whether the run wrote to them."""
        self.users = 0
        """To how many users, of all, this job wrote."""
        self._mine: dict[str, Mapping[str, Owned]] = {}
        for ref, owned in brief.memory.read_owned():
            self.users += 1
            if ref.id in now:
                lowered = {name.lower(): each for name, each in owned.items()}
                self._mine[ref.id] = lowered
        self._theirs = defaultdict[tuple[str, str], list[tuple[str, str | None]]](list)
        for other in brief.memory.read_other_jobs():
            if other.user.id in now:
                for name, pattern in other.attributes.items():
                    slot = (other.user.id, name.lower())
                    self._theirs[slot].append((other.job, pattern))

    def tell_later_writer(
        self, each: AttributeChange, back: AttributeChange, user: UserRef
    ) -> str | None:
        """Who has written since the run what `back` takes away, as far as the state knows; None: nobody."""
        low = each.name.lower()
        for job, pattern in self._theirs.get((user.id, low), ()):
            if not patterns.are_apart(pattern, each.pattern):
                return f"another job ({job}) wrote it since; kept"
        if user.id in self._open_users:
            return None  # what was written there is not noted yet
        last = self._mine.get(user.id, {}).get(low, Owned(""))
        if each.secret:
            is_ours = not back.old or last.fingerprint == each.fingerprint
        else:
            rule = self._brief.description.equality(each.name)
            taken = equality.subtract_equal(rule, back.old, back.new)
            digests = {equality.digest_value(rule, value) for value in taken}
            is_ours = digests <= set(last.values)
        return None if is_ours else "this job did not write the current value; kept"


def find_staying(
    directory: Lookup,
    there: Sequence[tuple[Change, User]],
    brief: PlanBrief,
    since: Mapping[str, Collection[str]],
) -> dict[str, dict[str, str]]:
    """By user id the attributes that stay whatever they hold, each with the reason."""
    stays: dict[str, dict[str, str]] = {}
    unseen: list[Question] = []
    for change, user in there:
        names = {each.name for each in change.attributes}
        later = [name for name in since.get(user.id, ()) if name not in names]
        stays[user.id] = dict.fromkeys(later, "a later run wrote it; kept")
        for each in change.attributes:
            info = brief.description.attributes.get(each.name)
            if info is None or info.readable is True or each.name in user.values:
                continue
            # what was emptied: is there none still?
            values = each.new or (() if each.fingerprint else each.old)
            if values:
                unseen.append(Question(change.user, each.name, values[0]))
    for asked, answer in directory.compare(unseen):
        if answer is not Holds.ABSENT:
            why = _tell_unreadable(brief.description, asked.value)
            stays[asked.user.id][asked.attribute] = why
    return stays


def _tell_unreadable(description: Description, value: Held) -> str:
    if isinstance(value, Secret) and description.writing.replaces:
        return f"{_UNREADABLE}; it may be lost, since the whole user is written"
    return f"{_UNREADABLE}; {_STAYS}"


def make_back_draft(
    change: Change,
    shown: ShownUser,
    groups: Collection[Collection[str]],
    writers: LastWriters,
    *,
    begun: Collection[str],
    stays: Mapping[str, str],
    late: Mapping[str, str],
) -> Draft:
    """What takes back one user's change, and what of it, or of the groups that it is part of, must stay."""
    user = shown.user
    back: list[AttributeChange] = []
    kept = dict[str, str]()
    for each in change.attributes:
        if each.name == OBJECT_CLASS:
            continue
        answer = stays.get(each.name) or _take_back(
            each, shown, emptied=each.name in begun
        )
        if answer is None:
            answer = late.get(each.name)
        if isinstance(answer, AttributeChange):
            answer = writers.tell_later_writer(each, answer, user.ref) or answer
        if isinstance(answer, str):
            kept[each.name] = answer
        elif answer is not None:
            back.append(answer)
    for group in groups:
        if any(each.name in group for each in back):
            kept |= {name: stays[name] for name in group if name in stays}
    held = [
        Problem("undo", why, change.agent, (user.name,), attribute=name)
        for name, why in kept.items()
    ]
    return Draft(
        user.ref,
        change.agent,
        change.rule,
        tuple(back),
        tuple(held),
        disabled=user.disabled,
        inactive=user.inactive,
    )


def _take_back(
    each: AttributeChange, shown: ShownUser, *, emptied: bool
) -> AttributeChange | str | None:
    """The change that takes this one back, None where that was done already, or why it stays."""
    if each.secret:
        return _take_secret_back(each, shown)
    rule = shown.description.equality(each.name)
    ours = patterns.owned_values(each.pattern, shown.held_values(each.name))
    if equality.same_set(rule, ours, each.old):
        return None
    if not equality.same_set(rule, ours, each.new) and (ours or not emptied):
        return "changed since that run; kept"
    return replace(each, old=ours, new=each.old)


def _take_secret_back(
    each: AttributeChange, shown: ShownUser
) -> AttributeChange | str | None:
    held, shows = shown.held_values(each.name), shown.shows_whole(each.name)
    was_known = each.seen or each.absent
    if each.fingerprint and not shows:
        return _tell_unreadable(shown.description, Secret(""))
    if was_known and equality.same_set(Equality.OCTETS, held, each.old):
        return None
    if each.fingerprint == UNKEYED:
        return "that run had another key, so a later change cannot be excluded; kept"
    if not shown.secret_stands(each):
        return "changed since that run; kept"
    if not was_known:
        return "its value before that run could not be read, or is sealed with another key; kept"
    print_ = ""
    if each.old:
        print_ = shown.fingerprint(shown.user.ref, each.name, each.old[0])
    return replace(
        each,
        old=tuple(map(hide_value, held)),
        new=tuple(map(hide_value, each.old)),
        seen=shows,
        absent=not shows,
        fingerprint=print_,
    )


def take_classes_back(
    change: Change, draft: Draft, user: User, brief: PlanBrief
) -> tuple[AttributeChange, ...]:
    """Away with the object classes that the run added and nothing left on the entry needs; back with those it took."""
    attributes = brief.description.attributes
    classes = [each for each in change.attributes if each.name == OBJECT_CLASS]
    held = {str(value).lower() for value in user.values.get(OBJECT_CLASS, ())}
    left = _list_left(draft, user, brief)
    gone: list[str] = []
    others = set(held)
    for name in [str(name) for each in classes for name in each.new]:
        low = name.lower()
        needing = {
            each: info.definition.classes
            for each, info in attributes.items()
            if low in info.definition.classes
        }
        others.discard(low)
        is_needed = any(not needing[each] & others for each in left & needing.keys())
        if low in held and needing and not is_needed:
            gone.append(name)
        elif low in held:
            others.add(low)
    put = [str(name) for each in classes for name in each.old]
    come = [name for name in put if name.lower() not in held]
    if not gone and not come:
        return ()
    return (AttributeChange(OBJECT_CLASS, tuple(gone), tuple(come)),)


def _list_left(draft: Draft, user: User, brief: PlanBrief) -> set[str]:
    """The attributes that the user has once the draft is written, or may have."""
    kept = {each.attribute or "" for each in draft.held}
    for name, info in brief.description.attributes.items():
        is_hidden = info.readable is not True
        if is_hidden and brief.memory.fingerprint_of(user.id, name):
            kept.add(name)
    going = {
        each.name
        for each in draft.planned
        if not each.new and len(user.values.get(each.name, ())) <= len(each.old)
    }
    back = {each.name for each in draft.planned}
    return (user.values.keys() | kept | back) - going - {OBJECT_CLASS}
