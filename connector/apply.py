"""Applying a plan: in steps, each written, read back and journalled before the next.

A change that sets a single-holder value waits for the one that frees it. Two users that swap values wait for each
other: then one of them lets go first, in a write of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from msgspec.structs import replace

from connector.directories.port import Directory
from connector.errors import IncompleteRead, StateError
from connector.model import Change, Description, Holds, Outcome, Question, Result, User
from connector.reconcile import equality
from connector.watch import Watch


class Journal(Protocol):
    """Where intents and outcomes are kept, durably, around every batch."""

    def intend(self, changes: Sequence[Change]) -> None:
        """Note that these changes are about to be written."""

    def settle(self, settled: Iterable[tuple[Change, Outcome]]) -> None:
        """Keep what became of them."""


def apply(
    changes: Iterable[Change], directory: Directory, description: Description, journal: Journal, watch: Watch
) -> list[Outcome]:
    """Write the changes; one outcome for each user. A journal that fails ends the writing, not the account of it."""
    outcomes: dict[str, Outcome] = {}
    stopped: str | None = None

    def tell(batch: dict[str, Outcome]) -> None:
        outcomes.update(batch)
        for outcome in batch.values():
            watch.outcome(outcome)

    for step in steps(changes):
        ready, waiting = _ready(step, outcomes)
        tell(waiting)
        for start in range(0, len(ready), description.batch):
            batch = ready[start : start + description.batch]
            if stopped is None:
                watch.stage("write", changes=len(batch))
                settled, stopped = _batch(batch, directory, description, journal)
            else:
                settled = {change.user.id: Outcome(change.user, Result.SKIPPED, stopped) for change in batch}
            tell(settled)
    return list(outcomes.values())


def _ready(step: list[Change], outcomes: dict[str, Outcome]) -> tuple[list[Change], dict[str, Outcome]]:
    """The changes for which everything that was to come first is confirmed, and the outcomes of the others."""
    ready = []
    waiting = {}
    for change in step:
        first = [outcomes[user] for user in (change.user.id, *change.after) if user in outcomes]
        if all(outcome.result in (Result.WRITTEN, Result.UNCHANGED) for outcome in first):
            ready.append(change)
        elif change.user.id not in outcomes:
            why = "the write that was to come first, and to free a value for this one, was not confirmed"
            waiting[change.user.id] = Outcome(change.user, Result.SKIPPED, why)
    return ready, waiting


def _batch(
    batch: list[Change], directory: Directory, description: Description, journal: Journal
) -> tuple[dict[str, Outcome], str | None]:
    """Note, write, read back, note again; and why to stop, where the journal cannot be written any more."""
    try:
        journal.intend(batch)
    except StateError as fault:
        why = f"not sent, for nothing is written without a journal: {fault}"
        return {change.user.id: Outcome(change.user, Result.SKIPPED, why) for change in batch}, why
    settled = {outcome.user.id: outcome for outcome in directory.write(batch)}
    settled |= verified(directory, description, batch, settled)
    try:
        journal.settle((change, settled[change.user.id]) for change in batch)
    except StateError as fault:
        why = f"written, but the journal does not know: {fault}"
        for change in batch:
            if settled[change.user.id].result is Result.WRITTEN:
                settled[change.user.id] = Outcome(change.user, Result.FAILED, why)
        return settled, f"not sent, for nothing is written without a journal: {fault}"
    return settled, None


# ---------------------------------------------------------------- the order


def steps(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Changes in steps: everything that a step waits for is in an earlier one."""
    waiting = {change.user.id: change for change in changes}
    released: set[str] = set()
    while waiting:
        ready = [change for change in waiting.values() if not (change.after & waiting.keys()) - released]
        if ready:
            for change in ready:
                del waiting[change.user.id]
            yield ready
            continue
        user = _in_a_circle(waiting, released)
        release, waiting[user] = _split(waiting[user])
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


def _split(change: Change) -> tuple[Change, Change]:
    """Let go of the single-holder values first; the rest of the change, which finds them gone, comes later."""
    first = tuple(replace(each, new=()) for each in change.attributes if each.unique and each.old)
    rest = tuple(replace(each, old=()) if each.unique else each for each in change.attributes)
    return replace(change, attributes=first, after=frozenset()), replace(change, attributes=rest)


# ---------------------------------------------------------------- reading back


def verified(
    directory: Directory, description: Description, batch: Collection[Change], outcomes: dict[str, Outcome]
) -> dict[str, Outcome]:
    """The outcomes that reading back turns into failures: what was written and did not stick."""
    written = [change for change in batch if outcomes[change.user.id].result is Result.WRITTEN]
    try:
        users = {user.id: user for user in directory.read(change.user for change in written)}
        unseen = [question for change in written for question in _questions(change, users.get(change.user.id))]
        answers = {
            (question.user.id, question.attribute): answer
            for question, answer in zip(unseen, directory.holds(unseen), strict=True)
        }
    except IncompleteRead as fault:
        why = f"written, but it could not be read back: {fault}"
        return {change.user.id: Outcome(change.user, Result.FAILED, why) for change in written}
    failures = {}
    for change in written:
        lost = _lost(change, users.get(change.user.id), description, answers)
        if lost:
            why = f"written, and the server said yes, but it does not show {', '.join(lost)} as written"
            failures[change.user.id] = Outcome(change.user, Result.FAILED, why)
    return failures


def _questions(change: Change, user: User | None) -> Iterator[Question]:
    for each in change.attributes:
        if user is not None and each.secret and each.new and each.name not in user.values:
            yield Question(change.user, each.name, each.new[0])


def _lost(
    change: Change, user: User | None, description: Description, answers: dict[tuple[str, str], Holds]
) -> list[str]:
    """The attributes that do not hold what was written; a secret that can be neither read nor compared passes."""
    if user is None:
        return ["the entry (it is gone, or no longer within base and filter)"]
    lost = []
    for each in change.attributes:
        answer = answers.get((user.id, each.name))
        if answer is not None:
            stuck = answer in (Holds.SAME, Holds.UNKNOWN)
        else:
            held = user.values.get(each.name, ())
            rule = description.equality(each.name)
            gone = equality.minus(rule, each.old, each.new)
            stuck = not equality.minus(rule, each.new, held) and equality.minus(rule, gone, held) == gone
        if not stuck:
            lost.append(each.name)
    return lost
