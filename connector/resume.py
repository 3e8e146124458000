"""After an interruption: writes of which nobody knows whether they happened are settled by reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.model import Description, Outcome, Result
from connector.parts import Parts
from connector.reconcile.standing import aftermath
from connector.state.journal import Step


def settle(parts: Parts, description: Description) -> list[Step]:
    """Settle the writes of this directory that are open; those of which nothing tells are returned, and stay open.

    Raises IncompleteRead and StateError: then all of them stay open.
    """
    steps = parts.state.open_steps(description.identity, parts.job, parts.sealer)
    if not steps:
        return []
    parts.watch.stage("settle", writes=len(steps))
    users = {user.id: user for user in parts.reader.read({step.change.user: None for step in steps})}
    found: list[tuple[Step, Outcome]] = []
    untold = []
    for step in steps:
        outcome = aftermath(step.change, users.get(step.change.user.id), description, parts.fingerprint)
        if outcome is None:
            untold.append(step)
        else:
            found.append((step, outcome))
    _settle(parts, description, found)
    return untold


def settle_secrets(
    parts: Parts, description: Description, untold: Sequence[Step], confirmed: Mapping[tuple[str, str], str]
) -> frozenset[str]:
    """Settle what was left: by comparing, where that was allowed, a secret was `confirmed` to be the one written.

    The users are returned of whom nothing told: what is written of them now may be written for the second time.
    """
    found = []
    for step in untold:
        user = step.change.user
        there = [confirmed.get((user.id, each.name)) == each.fingerprint for each in step.change.attributes]
        why = "interrupted; nothing that may be read or compared tells whether it was written"
        outcome = Outcome(user, Result.FAILED, why)
        if all(there):
            outcome = Outcome(user, Result.WRITTEN, "interrupted; found to be written")
        found.append((step, outcome))
    if found:
        _settle(parts, description, found)
    return frozenset(outcome.user.id for _, outcome in found if outcome.result is Result.FAILED)


def _settle(parts: Parts, description: Description, found: Sequence[tuple[Step, Outcome]]) -> None:
    parts.state.settle(description.identity, found)
    for step, outcome in found:
        parts.watch.outcome(step.change, outcome, step.run)
