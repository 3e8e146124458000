"""Reading back: what was written is only *written* once the directory shows it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from connector.directories.port import Directory
from connector.errors import IncompleteRead
from connector.model import Change, Description, Holds, Outcome, Question, Result, User
from connector.reconcile.standing import stands


def verified(
    directory: Directory, description: Description, batch: Collection[Change], outcomes: Iterable[Outcome]
) -> dict[str, Outcome]:
    """The outcomes, of which those become failures that were written and did not stick.

    What a directory shows in its answer is judged as it comes, while others are under way. All else is read back when
    all is written; so are a few that were shown: they tell whether readers see the same as the answers show.
    """
    changes = {change.user.id: change for change in batch}
    settled: dict[str, Outcome] = {}
    unconfirmed: dict[str, User | None] = {}
    sample = _SAMPLE
    for outcome in outcomes:
        user, shown = outcome.user, outcome.shown
        settled[user.id] = outcome if shown is None else Outcome(user, outcome.result, outcome.why)
        if outcome.result is not Result.WRITTEN:
            continue
        if shown is not None and sample:
            shown, sample = None, sample - 1
        if shown is None or any(_questions(changes[user.id], shown)):
            unconfirmed[user.id] = shown
        else:
            settled[user.id] = _confirmed(changes[user.id], shown, description, {})
    return settled | _read_back(directory, description, [changes[id_] for id_ in unconfirmed], unconfirmed)


_SAMPLE: Final = 8
"""So many users of a batch are read back although the directory has shown them."""


def _read_back(
    directory: Directory, description: Description, written: Sequence[Change], shown: Mapping[str, User | None]
) -> dict[str, Outcome]:
    """Read the users that were not shown, ask about what is hidden of any, and say what became of them."""
    try:
        users = {id_: user for id_, user in shown.items() if user is not None}
        users |= {user.id: user for user in directory.read(each.user for each in written if each.user.id not in users)}
        unseen = [question for change in written for question in _questions(change, users.get(change.user.id))]
        answers = {
            (question.user.id, question.attribute): answer
            for question, answer in zip(unseen, directory.holds(unseen), strict=True)
        }
    except IncompleteRead as fault:
        why = f"written, but it could not be read back: {fault}"
        return {change.user.id: Outcome(change.user, Result.FAILED, why, unknown=True) for change in written}
    return {each.user.id: _confirmed(each, users.get(each.user.id), description, answers) for each in written}


def _confirmed(
    change: Change, user: User | None, description: Description, answers: Mapping[tuple[str, str], Holds]
) -> Outcome:
    """*Written* where the user shows all that was written, else *failed*."""
    lost = _lost(change, user, description, answers)
    if not lost:
        return Outcome(change.user, Result.WRITTEN)
    why = f"written, and the server said yes, but it does not show {', '.join(lost)} as written"
    return Outcome(change.user, Result.FAILED, why)


def _questions(change: Change, user: User | None) -> Iterator[Question]:
    for each in change.attributes:
        if user is not None and each.secret and each.new and each.name not in user.values:
            yield Question(change.user, each.name, each.new[0])


def _lost(
    change: Change, user: User | None, description: Description, answers: Mapping[tuple[str, str], Holds]
) -> list[str]:
    """The attributes that do not hold what was written; a secret that can be neither read nor compared passes."""
    if user is None:
        return ["the entry (it is gone, or no longer within base and filter)"]
    lost = []
    for each in change.attributes:
        answer = answers.get((user.id, each.name)) if answers else None
        if answer is not None:
            stuck = answer in (Holds.SAME, Holds.UNKNOWN)
        else:
            stuck = stands(each, user.values.get(each.name, ()), description)
        if not stuck:
            lost.append(each.name)
    return lost
