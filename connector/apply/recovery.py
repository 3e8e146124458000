"""After an interruption: writes of which nobody knows whether they happened are settled by reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.ledger import WriteId
from connector.errors import IncompleteRead
from connector.model import Change, Description, Outcome, Result, User
from connector.reconcile.diff.standing import aftermath, as_known, testimony
from connector.reconcile.digests import UNKEYED
from connector.run.context import Parts
from connector.state.journal import Step, without


class Settled(Struct, frozen=True):
    """Writes that were open: `untold` still are, for nothing tells; `unwritten` were found not to have happened.

    `elsewhere`: still open, for they were meant for another server, and this one shows nothing of them. `compared`: by
    user id and attribute, the secrets of which a comparison has told since.
    """

    untold: Sequence[Step] = ()
    unwritten: Sequence[Step] = ()
    elsewhere: Sequence[Step] = ()
    compared: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.untold or self.unwritten or self.elsewhere)

    def again(self, changes: Iterable[Change]) -> frozenset[str]:
        """The users of whom nothing told, and whose changes may write the same for the second time."""
        if not self.untold:
            return frozenset()
        written = {(change.user.id, each.name) for change in changes for each in change.attributes}
        users = ((step.change.user.id, step.change.attributes) for step in self.untold)
        return frozenset(user for user, some in users if any((user, each.name) in written for each in some))

    def left_by(self, run: str) -> frozenset[WriteId]:
        """The writes that this run itself had left open, and still are, where it goes on."""
        steps = (step for step in (*self.untold, *self.elsewhere) if step.run == run)
        return frozenset((step.change.user.id, step.change.digest, step.change.part) for step in steps)

    @property
    def doubtful(self) -> Sequence[Change]:
        """The changes of which it is not known whether they happened."""
        return [step.change for step in (*self.untold, *self.elsewhere)]


def settle(parts: Parts, description: Description) -> Settled:
    """Settle the writes of this directory that are open, as far as reading tells.

    Raises IncompleteRead and StateError: then all of them stay open.
    """
    steps = parts.state.open_steps(description.identity, parts.job, parts.sealer)
    if not steps:
        return Settled()
    parts.watch.stage("settle", writes=len(steps))
    users = {user.id: user for user in parts.reader.read({step.change.user: None for step in steps}, disabled=True)}
    memory = parts.state.memory(description.identity, parts.job)
    ours, past = memory.confirmed(users), memory.past(users)
    found: list[tuple[Step, Outcome]] = []
    untold: list[Step] = []
    elsewhere: list[Step] = []
    fewer: list[Step] = []
    for step in steps:
        user = users.get(step.change.user.id)
        id_ = step.change.user.id
        others = without(step.server, description.server)
        outcome = aftermath(
            step.change, user, description, parts.fingerprint,
            server=step.server if others == step.server else description.server,
            run=step.run, ours=ours.get(id_, {}), past=past.get(id_, ()),
        )  # fmt: skip
        if others not in ("", step.server) and outcome is not None and outcome.result is Result.SKIPPED:
            fewer.append(replace(step, server=others))
            continue
        if outcome is None and user is not None and _under_another_key(step.change, user):
            outcome = Outcome(user.ref, Result.FAILED, _OF_ANOTHER_KEY)
        if outcome is not None:
            change = as_known(step.change, user, description, parts.fingerprint) if user else step.change
            found.append((replace(step, change=change), outcome))
        else:
            (untold if step.server in ("", description.server) else elsewhere).append(step)
    parts.state.note_servers(fewer)
    _settle(parts, description, found)
    unwritten = [step for step, outcome in found if outcome.result is Result.SKIPPED]
    return Settled(untold, unwritten, [*elsewhere, *fewer])


_OF_ANOTHER_KEY: Final = "not confirmed then; it was noted with another key, so nothing tells whether it was written"


def _under_another_key(change: Change, user: User) -> bool:
    """Whether the user shows all of a change, and no fingerprint tells whether that is what was written."""
    return all(each.fingerprint == UNKEYED and each.name in user.values for each in change.attributes)


def settle_late(parts: Parts, description: Description, unwritten: Sequence[Step], own: Mapping[str, Change]) -> None:
    """Look again, at the end of a run, for writes that had not happened at its begin.

    A server, or whatever lies on the way to it, may still have had them when their sender died. `own`: by user what
    this run has written itself, so that each is judged by how it was before.
    """
    if not unwritten:
        return
    try:
        now = {
            user.id: user for user in parts.reader.read({step.change.user: None for step in unwritten}, disabled=True)
        }
    except IncompleteRead:
        return  # they stay as they were found at the begin
    found = []
    for step in unwritten:
        user = now.get(step.change.user.id)
        if user is None:
            continue
        told = testimony(step.change, _before(user, own.get(user.id)), description, parts.fingerprint)
        if told and all(told):
            found.append((step, Outcome(user.ref, Result.WRITTEN, "not confirmed then; found to be written after all")))
    if found:
        _settle(parts, description, found)


def supersede(parts: Parts, description: Description, settled: Settled, run: str, own: Mapping[str, Change]) -> None:
    """Settle writes of which nothing tells, where this run has written all of the same attributes.

    Or has compared them: what the server that was asked then says of a secret is known, too. Or a run between them has
    written them, which was killed. What the run itself had left open, and has written now, has its outcome already.
    """
    memory = parts.state.memory(description.identity, parts.job, description)
    left = {(each.run, each.user.id) for each in memory.unsettled()}
    again = {(run, user, change.digest) for user, change in own.items()}
    written = frozenset((user, each.name) for user, change in own.items() for each in change.attributes)
    found = []
    for steps, known in ((settled.untold, written | settled.compared), (settled.elsewhere, written)):
        for step in steps:
            user, server = step.change.user, f" from {step.server}" if step.server else ""
            open_ = (step.run, user.id, step.change.digest) not in again
            overtaken = (step.run, user.id) not in left
            if open_ and (overtaken or all((user.id, each.name) in known for each in step.change.attributes)):
                why = f"no answer{server}; a later run has written the same attributes"
                found.append((step, Outcome(user, Result.FAILED, why)))
    if found:
        _settle(parts, description, found)


def _before(user: User, own: Change | None) -> User:
    """The user as it was before this change of it."""
    believed = {each.name: each.old for each in own.attributes if each.seen} if own else {}
    return replace(user, values={**user.values, **believed})


def settle_secrets(
    parts: Parts, description: Description, settled: Settled, confirmed: Mapping[tuple[str, str], str]
) -> Settled:
    """Settle what was left: by comparing, where that was allowed, a secret was `confirmed` to be the one written.

    All else stays open, and may be ours, until a run writes the same attributes.
    """

    def is_there(step: Step) -> bool:
        user = step.change.user.id
        return all(confirmed.get((user, each.name)) == each.fingerprint for each in step.change.attributes)

    found = [step for step in (*settled.untold, *settled.elsewhere) if is_there(step)]
    if found:
        why = "not confirmed then; found to be written"
        _settle(parts, description, [(step, Outcome(step.change.user, Result.WRITTEN, why)) for step in found])
    left = [[step for step in steps if not is_there(step)] for steps in (settled.untold, settled.elsewhere)]
    return Settled(left[0], settled.unwritten, left[1], frozenset(confirmed))


def _settle(parts: Parts, description: Description, found: Sequence[tuple[Step, Outcome]]) -> None:
    parts.state.settle(description, found)
    for step, outcome in found:
        parts.watch.outcome(step.change, outcome, step.run)
