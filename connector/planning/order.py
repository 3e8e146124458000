"""The order of a plan's writes: whoever sets a single-holder value waits for the one that frees it.

Two users that swap values wait for each other: then one of them lets go first, in a write
of its own. So do object classes where a server wants them to be there before the attributes
that need them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.model import OBJECT_CLASS, Change, Problem, Refused, WritePart
from connector.model.digests import digest_of_change


def order_steps(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Changes in steps: everything that a step waits for is in an earlier one."""
    waiting = {change.user.id: change for change in changes}
    released: set[str] = set()
    while waiting:
        ready = [
            change
            for change in waiting.values()
            if not (change.after & waiting.keys()) - released
        ]
        if ready:
            for change in ready:
                del waiting[change.user.id]
            yield ready
            continue
        user = _in_a_circle(waiting, released)
        release, waiting[user] = _split_release(waiting[user])
        released.add(user)
        yield [release]


def _in_a_circle(waiting: dict[str, Change], released: set[str]) -> str:
    """A user that waits for itself by way of others: everybody here waits, so following the waits must come round."""
    seen: set[str] = set()
    user = min(waiting)
    while user not in seen:
        seen.add(user)
        user = min((waiting[user].after & waiting.keys()) - released)
    return user


def _split_release(change: Change) -> tuple[Change, Change]:
    """Let go of the single-holder values first; the rest of the change, which finds them gone, comes later."""
    first = tuple(
        replace(each, new=()) for each in change.attributes if each.unique and each.old
    )
    release = replace(
        change,
        attributes=first,
        after=frozenset(),
        part=WritePart.RELEASE,
    )
    return release, _without_released(change, {each.name for each in first})


def _without_released(change: Change, released: Collection[str]) -> Change:
    """The change as far as it is left once the old values of these attributes are gone, and object classes there."""
    rest = (
        replace(each, old=()) if each.name in released else each
        for each in change.attributes
    )
    keeps = (
        each
        for each in rest
        if each.name not in released or (each.new and each.name != OBJECT_CLASS)
    )
    return replace(change, attributes=tuple(keeps))


def digest_of_rest(change: Change, released: Collection[str]) -> str:
    """The digest that a plan has for the rest of a change of which what goes first was written already.

    `released`: the attributes whose values were let go; objectClass, if classes were added.
    """
    return digest_of_change(_without_released(change, released))


def split_rounds(
    batch: list[Change],
    *,
    classes_first: bool,
    singly: bool = False,
    last: Sequence[str] = (),
) -> list[list[Change]]:
    """A batch in rounds, of which each is confirmed before the next: object classes first, where that is needed.

    `singly`: one attribute at a time, those of `last` at the end, in that order.
    """
    parts = (
        [
            split_attributes(change, last) if singly else split_classes(change)
            for change in batch
        ]
        if classes_first or singly
        else []
    )
    most = max(map(len, parts), default=1)
    if most == 1:
        return [batch]
    firsts = (
        [each[place] for each in parts if place < len(each) - 1]
        for place in range(most - 1)
    )
    return [*firsts, [each[-1] for each in parts]]


def split_attributes(change: Change, last: Sequence[str]) -> tuple[Change, ...]:
    """Each attribute in a change of its own: what is emptied first, what tells whose the values are last."""
    places = {name: place for place, name in enumerate(last, 1)}
    ordered = sorted(
        change.attributes, key=lambda each: (places.get(each.name, 0), bool(each.new))
    )
    firsts = (
        replace(
            change,
            attributes=(each,),
            after=frozenset(),
            part=WritePart.STEP,
        )
        for each in ordered[:-1]
    )
    return (*firsts, replace(change, attributes=tuple(ordered[-1:])))


def split_classes(change: Change) -> tuple[Change, ...]:
    """The object classes that it adds in a change of their own, and all else in one after it; whole if it lacks one."""
    classes = tuple(
        each for each in change.attributes if each.name == OBJECT_CLASS and each.new
    )
    rest = tuple(each for each in change.attributes if each not in classes)
    if not classes or not rest:
        return (change,)
    first = replace(
        change,
        attributes=classes,
        after=frozenset(),
        part=WritePart.CLASSES,
    )
    return first, replace(change, attributes=rest)


def join_parts(steps: Iterable[Change]) -> list[Change]:
    """One change a user: a change that was written in parts is whole again, with what went first at its begin."""
    users: dict[str, Change] = {}
    for change in sorted(steps, key=lambda change: change.part is WritePart.REST):
        before = users.setdefault(change.user.id, change)
        if before is not change:
            joined = {each.name: each for each in before.attributes}
            for each in change.attributes:
                begun = joined.pop(each.name, each)
                joined[each.name] = replace(each, old=begun.old)
            whole = replace(before, attributes=tuple(joined.values()))
            users[change.user.id] = whole
    return sorted(users.values(), key=lambda change: (change.user.name, change.user.id))


# ---------------------------------------------------------------- who goes last


class RetryTurn(Struct, frozen=True):
    """What is tried now, and what is left. `users`: those among the former that were refused before."""

    now: list[Change]
    rest: list[Change]
    users: frozenset[str]


def refused_again(change: Change, refused: Mapping[str, Refused]) -> Refused | None:
    """The refusal of earlier runs that this change would meet again: it sets all the attributes that were refused."""
    known = refused.get(change.user.id)
    return (
        known
        if known and known.attributes <= {each.name for each in change.attributes}
        else None
    )


def go_last(
    changes: Iterable[Change], refused: Mapping[str, Refused]
) -> tuple[list[Change], list[Change]]:
    """The changes that go first, and those that go last."""
    changes = list(changes)
    last = _find_waiting(
        changes,
        {change.user.id for change in changes if refused_again(change, refused)},
    )
    return [each for each in changes if each.user.id not in last], [
        each for each in changes if each.user.id in last
    ]


def choose_turn(
    last: list[Change],
    refused: Mapping[str, Refused],
    most: int,
) -> RetryTurn:
    """Of those that go last: `most` refused users at most, whose turn is the longest ago, and whoever waits for them.

    A user is never tried without the refused users that it waits for. Where these are more
    than `most`, they are tried alone.
    """
    waits = {change.user.id: change.after for change in last}
    known = {
        change.user.id: each.turn
        for change in last
        if (each := refused_again(change, refused))
    }
    chosen: set[str] = set()
    for user in sorted(known, key=lambda user: (known[user], user)):
        wanted = chosen | (_find_reached([user], waits) & known.keys())
        if chosen and len(wanted) > most:
            break
        chosen = wanted
    later = _find_waiting(last, known.keys() - chosen)
    now = [each for each in last if each.user.id not in later]
    return RetryTurn(
        now,
        [each for each in last if each.user.id in later],
        frozenset(chosen),
    )


def tell_refused(
    changes: Iterable[Change], refused: Mapping[str, Refused]
) -> Iterator[Problem]:
    """A line for each planned change that was refused in earlier runs."""
    for change in changes if refused else ():
        known = refused_again(change, refused)
        if known:
            runs = (
                "in the last run" if known.runs == 1 else f"{known.runs} runs running"
            )
            why = (
                f"refused {runs} ({known.why}). It goes last, and keeps nobody else waiting. Grant the job's account "
                "the rights that it lacks, correct the entry, or name it in the job's `exclude` list"
            )
            yield Problem(
                "refused",
                why,
                change.agent,
                (change.user.name,),
                change.rule,
            )


def _find_waiting(changes: Iterable[Change], users: Collection[str]) -> set[str]:
    waiting = defaultdict(list)
    for change in changes if users else ():
        for each in change.after:
            waiting[each].append(change.user.id)
    return _find_reached(users, waiting)


def _find_reached(
    users: Iterable[str], ways: Mapping[str, Collection[str]]
) -> set[str]:
    found: set[str] = set()
    todo = list(users)
    while todo:
        user = todo.pop()
        if user not in found:
            found.add(user)
            todo += ways.get(user, ())
    return found
