"""Who goes last: users that were refused in earlier runs, and whoever waits for them. They are tried in turn.

So users that are always refused keep nobody else waiting, and each of them is tried again
after finitely many runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from connector.model import Change, Problem, Refused


class Turn(Struct, frozen=True):
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
    last = _behind(
        changes,
        {change.user.id for change in changes if refused_again(change, refused)},
    )
    return [each for each in changes if each.user.id not in last], [
        each for each in changes if each.user.id in last
    ]


def turn(last: list[Change], refused: Mapping[str, Refused], most: int) -> Turn:
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
        wanted = chosen | (_reached([user], waits) & known.keys())
        if chosen and len(wanted) > most:
            break
        chosen = wanted
    later = _behind(last, known.keys() - chosen)
    now = [each for each in last if each.user.id not in later]
    return Turn(
        now, [each for each in last if each.user.id in later], frozenset(chosen)
    )


def problems(
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
                "refused", why, change.agent, (change.user.name,), change.rule
            )


def _behind(changes: Iterable[Change], users: Collection[str]) -> set[str]:
    waiting = defaultdict(list)
    for change in changes if users else ():
        for each in change.after:
            waiting[each].append(change.user.id)
    return _reached(users, waiting)


def _reached(users: Iterable[str], ways: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(users)
    while todo:
        user = todo.pop()
        if user not in found:
            found.add(user)
            todo += ways.get(user, ())
    return found
