"""What became of the writes of a run that is to be taken back, by its journal or by the users as they are now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Final

from connector.model import OBJECT_CLASS, Change, Problem, Result, User
from connector.planning.brief import Brief
from connector.planning.compare.standing import Shown
from connector.planning.unanswered import Unanswered

Written = tuple[Change, Result | None, str, str]
"""A write, its outcome (None: nobody knows whether it happened), the server that it was
meant for, and its run."""
GONE: Final = "the user is gone, or outside base and filter"
_UNTOLD: Final = "no answer tells whether that run wrote here, and {why}; kept"


def result(
    step: Written, now: Mapping[str, User], brief: Brief, open_: Collection[str]
) -> Result | None:
    """What came of a write; where the journal does not know, the user as it is now tells. None: nothing tells.

    `open_`: the runs that have an open write of that user.
    """
    change, outcome, server, run = step
    id_ = change.user.id
    if outcome is not None or id_ not in now:
        # who is gone may be out of reach for a while, as somebody who is disabled
        # or was moved
        return outcome
    ours, past = brief.memory.confirmed([id_]), brief.memory.past([id_]).get(id_, ())
    earlier = takewhile(lambda whose: whose != run, (whose for whose, _, _ in past))
    shown, still = (
        Shown(now[id_], brief.description, brief.fingerprint),
        set(earlier).intersection(open_),
    )
    told = Unanswered(
        change, shown, run, server, ours.get(id_, {}), past, still
    ).outcome()
    return told.result if told else None


def untold(
    unknown: Iterable[Change],
    written: Iterable[Change],
    now: Mapping[str, User],
    brief: Brief,
    since: Mapping[str, Collection[str]],
) -> Iterator[Problem]:
    """Users whom the run may have written, where what this account sees does not tell."""
    named = {change.user.id for change in written}
    for change in unknown:
        user, overtaken = now.get(change.user.id), since.get(change.user.id, ())
        hidden = [
            each.name
            for each in change.attributes
            if user is not None
            and not (each.name in overtaken or each.name == OBJECT_CLASS)
            and Shown(user, brief.description, brief.fingerprint).stands(each) is None
        ]
        why = f"nothing that is read tells of {', '.join(hidden)}" if user else GONE
        if hidden or (user is None and change.user.id not in named):
            yield Problem(
                "undo", _UNTOLD.format(why=why), change.agent, (change.user.name,)
            )
