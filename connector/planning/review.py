"""Holding a plan that was just made to the one that a reviewer has seen.

Planned and still the same: it is written. Planned and now different: a conflict. Already
true: unchanged. New and not reviewed: left for the next plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.matching.selection import EVERYBODY, Selection
from connector.model import (
    AGAIN,
    AttributeChange,
    Change,
    Outcome,
    Plan,
    Refusal,
    Result,
    User,
)
from connector.model.digests import digest_of_change
from connector.model.limits import (
    CLEAR,
    CLEAR_SHARE,
    CLEAR_USERS,
    EXCLUDE,
    LOST_STATE,
    MATCHED_DROP,
    OF_THE_SOURCE,
    Limits,
    Whole,
    too_many,
)
from connector.planning.brief import Brief
from connector.planning.order import digest_of_rest
from connector.planning.standing import Shown, Spellings, stands


class Held(Struct, frozen=True):
    """The changes that may be written, and each other change of either plan with its outcome."""

    changes: tuple[Change, ...]
    left: tuple[tuple[Change, Outcome], ...] = ()
    aside: frozenset[str] = frozenset()
    """Ids of users whose change was left out on purpose, which leaves nothing undone that was asked for."""


def hold_to(
    directory: Lookup,
    reviewed: Plan,
    fresh: Plan,
    brief: Brief,
    *,
    done: Mapping[str, str],
    released: Mapping[str, Collection[str]],
    since: Mapping[str, frozenset[str]],
    only: Selection = EVERYBODY,
) -> Held:
    """Hold `fresh` to `reviewed`. `released`: by id what a killed run let go alone.

    `done`: users that it wrote, with what it noted of that. It died before it could show it to anybody.

    `since`: by id the attributes, in small letters, that later runs have written. What they wrote is not written again:
    the plan keeps its place among the runs, so that theirs would count as the last.
    """
    fresh_changes = {change.user.id: change for change in fresh.changes}
    open_ = [
        each.user
        for each in reviewed.changes
        if not _as_reviewed(each, fresh_changes, released, since)
    ]
    now = {user.id: user for user in directory.read(open_, disabled=True)}
    spellings = Spellings(brief.memory, brief.fingerprint)
    write: list[Change] = []
    left: list[tuple[Change, Outcome]] = []
    aside: set[str] = set()
    for change in reviewed.changes:
        user = change.user
        as_reviewed = _as_reviewed(change, fresh_changes, released, since)
        planned = fresh_changes.pop(user.id, None)
        if user.id in done:
            why = f"{_DONE}; {AGAIN}" if done[user.id] == AGAIN else _DONE
            left.append((change, Outcome(user, Result.WRITTEN, why)))
        elif only and not only.holds(change.agent, change.user):
            aside.add(user.id)
            left.append(
                (change, Outcome(user, Result.SKIPPED, LEFT_OUT[0], aside=True))
            )
        elif planned is None:
            left.append((change, _settled(change, now.get(user.id), brief, spellings)))
        elif as_reviewed:
            write.append(planned)
        else:
            later = since.get(user.id, frozenset())
            left.append((change, _conflict(change, planned, later)))
    for change in fresh_changes.values():
        aside.add(change.user.id)
        why = LEFT_OUT[1] if reviewed.notes.only else NEW
        left.append((change, Outcome(change.user, Result.SKIPPED, why, aside=True)))
    return Held(tuple(write), tuple(left), frozenset(aside))


LEFT_OUT: Final = ("left out (--only)", "left out: not in this plan")
"""Why a change is not made that somebody wanted to leave out: for this run, or for its plan."""
NEW: Final = "new since the plan was reviewed"
_DONE: Final = "before this run was interrupted"
_SINCE: Final = "a later run wrote these attributes after this plan was begun. Not written. Make a new plan"


def _as_reviewed(
    reviewed: Change,
    fresh: Mapping[str, Change],
    released: Mapping[str, Collection[str]],
    since: Mapping[str, frozenset[str]],
) -> bool:
    """Whether the same is planned now, and no later run has written any of it."""
    user = reviewed.user.id
    planned = fresh.get(user)
    if planned is None or not _untouched(planned, since.get(user, frozenset())):
        return False
    return planned.digest in _digests(reviewed, released.get(user, ()))


def _untouched(planned: Change, since: frozenset[str]) -> bool:
    return since.isdisjoint(each.name.lower() for each in planned.attributes)


def _conflict(reviewed: Change, planned: Change, since: frozenset[str]) -> Outcome:
    """Why a change is not written that is no longer as it was reviewed."""
    if not _untouched(planned, since):
        names = [
            each.name for each in reviewed.attributes if each.name.lower() in since
        ]
        return Outcome(reviewed.user, Result.CONFLICT, _SINCE, differs=tuple(names))
    names = _changed_names(reviewed, planned)
    said = ", ".join(names) or "its agent or rule"
    why = f"differs from the reviewed plan in {said}. Not written. Review a new plan"
    return Outcome(reviewed.user, Result.CONFLICT, why, differs=tuple(names))


def _changed_names(reviewed: Change, planned: Change) -> list[str]:
    """The attributes in which two changes of one user differ."""
    before, now = (
        {each.name: _digest_of_attribute(change, each) for each in change.attributes}
        for change in (reviewed, planned)
    )
    return [name for name in before | now if before.get(name) != now.get(name)]


def _digest_of_attribute(change: Change, each: AttributeChange) -> str:
    return digest_of_change(replace(change, agent=None, rule=None, attributes=(each,)))


def _settled(
    change: Change,
    user: User | None,
    brief: Brief,
    spellings: Spellings,
) -> Outcome:
    """What became of a reviewed change that is no longer planned: somebody else made it, or something else."""
    why = "no change is planned any more. Not written. The reviewed values are not there: "
    if user is None:
        return Outcome(
            change.user,
            Result.CONFLICT,
            f"{why}the user is gone, or outside base and filter",
        )
    names = [
        each.name
        for each in change.attributes
        if not _true(each, user, brief, spellings)
    ]
    if names:
        why += ", ".join(names)
        return Outcome(change.user, Result.CONFLICT, why, differs=tuple(names))
    return Outcome(change.user, Result.UNCHANGED, "already has the reviewed value")


def _digests(change: Change, released: Collection[str]) -> Iterator[str]:
    """The change's own digest, and that of what is left of it where it is half written: let go, or done in steps."""
    yield change.digest
    if released:
        yield digest_of_rest(change, released)
        left = tuple(each for each in change.attributes if each.name not in released)
        yield digest_of_change(replace(change, attributes=left))


def _true(
    each: AttributeChange, user: User, brief: Brief, spellings: Spellings
) -> bool:
    rule, held = brief.description.equality(each.name), user.values.get(each.name, ())
    if spellings.in_step(user.ref, each.name, rule, each.new, held):
        return True
    if not each.secret:
        return stands(each, user.values.get(each.name, ()), brief.description)
    shown = Shown(user, brief.description, brief.fingerprint)
    if shown.shows(each.name):
        return shown.secret_stands(each)
    return (brief.memory.fingerprint_of(user.id, each.name) or "") == each.fingerprint


def fresh_refusals(
    reviewed: Plan, fresh: Plan, limits: Limits, *, some: bool = False
) -> Iterable[Refusal]:
    """What refuses the fresh plan and did not refuse the one that was reviewed, or not as much.

    How many agents, or their users, have gone is judged by what was read now. What the plan
    would change was judged with it, and is judged anew where `limits` have been lowered
    since. Whoever accepted a refusal accepted the limit as it was: a lower one refuses
    again. `some`: some agents' changes alone are to be written, which no drop of users is
    in the way of.
    """
    accepted = {refusal.limit: refusal for refusal in reviewed.refusals}
    judged = [
        limit
        for limit in (EXCLUDE, *OF_THE_SOURCE)
        if not some or limit != MATCHED_DROP
    ]
    matched = reviewed.summary.matched
    beyond = {
        each.limit: each
        for each in too_many(
            limits, reviewed.summary, Whole(matched, 0), reviewed.changes
        )
    }
    for refusal in fresh.refusals:
        before = accepted.get(refusal.limit)
        gone = reviewed.summary.clear - fresh.summary.clear
        if (
            before is not None
            and _allowed(refusal, limits, matched, gone, beyond) < before.allowed
        ):
            yield refusal
        elif refusal.limit in judged:
            if before is None or before.planned < refusal.planned:
                yield refusal
        elif (
            refusal.limit == CLEAR
        ):  # whose percentages are of users that the reviewed plan does not count
            if before is None and reviewed.summary.clear > refusal.allowed:
                yield refusal
        elif refusal.limit in beyond and before is None:
            yield refusal


def _allowed(
    refusal: Refusal,
    limits: Limits,
    matched: int,
    gone: int,
    beyond: Mapping[str, Refusal],
) -> int:
    """How many users a limit allows today; a share of `matched` users is taken of those of the reviewed plan.

    So is the share that may be emptied: it was of `gone` users more, which an interrupted
    run of the plan has emptied.
    """
    if refusal.limit == LOST_STATE:
        return limits.state.of(matched)
    if refusal.limit == CLEAR:
        share = limits.clear or CLEAR_SHARE
        # both shares are rounded down
        emptied = share.of(gone) + 1 if share.percent and gone > 0 else 0
        allowed = refusal.allowed + emptied
        return allowed if limits.clear else min(allowed, CLEAR_USERS.number)
    if not matched:  # an undo counts no matched users
        return refusal.allowed
    return beyond.get(refusal.limit, refusal).allowed
