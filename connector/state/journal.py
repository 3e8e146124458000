"""The journal of one apply: intents are durable before they are carried out, outcomes soon after that."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Final

from msgspec import json
from msgspec.structs import replace

from connector.errors import StateError
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Cleared,
    Description,
    Outcome,
    Result,
    User,
    UserRef,
    equality,
)
from connector.model.limits import takes_value
from connector.runtime.clock import stamp
from connector.state.audit_lines import AuditLines
from connector.state.database import Database, Transaction, sound
from connector.state.journal_rows import (
    Sealer,
    Step,
    beside,
    kept_change,
    kept_ref,
    note_outcomes,
    note_servers,
    part_of,
    past_of,
    read_writes,
)
from connector.state.notes import JobNotes, note_secret_attributes
from connector.state.ownership import (
    EarlierOwner,
    Owners,
    Ownership,
    Taken,
)

_INTENT = """
    insert into journal
    (run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why, server, noted, earlier)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (run, user_id, digest, part) do update set
        outcome = excluded.outcome, why = excluded.why, attributes = excluded.attributes, server = excluded.server,
        noted = excluded.noted, lost = null, earlier = coalesce(journal.earlier, excluded.earlier)
"""
_LEFT = f"{_INTENT} where journal.outcome <> 'written' and journal.lost is null"
_AT_ONCE: Final = 2_000
"""Of so many users what is ours is looked at together: an LDIF file is written in one
batch, however large it is."""


class RunJournal:
    """Notes what one run is about to write, and what came of it. All of its methods raise StateError."""

    def __init__(
        self,
        database: Database,
        run: str,
        description: Description,
        sealer: Sealer,
        audit: AuditLines,
    ) -> None:
        self._database = database
        self._audit = audit
        self._ours = Ours(database, description, run)
        self._run = run
        self._server = description.server
        self._directory = description.identity
        self._secrets: set[str] = set()
        """Attributes that are noted as secret by now."""
        self._sealer = sealer
        self.result: str | None = None
        """What the run came to; the one who runs it says so."""
        self.broken = False
        before = (
            "select user_id, digest, part, outcome, server from journal "
            "where run = ? and (outcome is null or outcome = 'written' or lost is not null)"
        )
        self._before = {
            (user, digest, part): (came, at)
            for user, digest, part, came, at in database.rows(before, run)
        }
        """What this run wrote before it was interrupted, or may have written: what came of
        it, and at which servers."""

    def note(
        self, settled: Iterable[tuple[Change, Outcome]], intended: Sequence[Change]
    ) -> Callable[[], None]:
        """Note what became of changes, and which ones are about to be written, durable together.

        What it returns delivers the lines of the audit, and is still to be called.

        What may have been written stays open; what is in both is about to be written again,
        and is open too. What this run has written before it was interrupted stays so,
        unless it is written again: another server may have been asked then.
        """
        known = [(change, outcome) for change, outcome in settled if not outcome.open]
        known = [
            each
            for each in known
            if took_place(each[1]) or not self._was_written(each[0])
        ]
        time = stamp()
        with self._write_durably() as transaction:
            note_outcomes(transaction, self._run, known, time)
            # with what is stored: an undo goes by that
            respelt = [
                self._make_row(change, time, outcome)
                for change, outcome in known
                if any(each.sent for each in change.attributes)
            ]
            transaction.executemany(_INTENT, respelt)
            self._audit.add_outcomes(transaction, self._run, known)
            note_servers(transaction, self._gone_on(known))
            self._ours.take(
                transaction,
                (
                    stuck(change, outcome)
                    for change, outcome in known
                    if took_place(outcome)
                ),
            )
            self._note_secrets(transaction, intended)
            new = [each for each in intended if not self._was_written(each)]
            earlier = self._ours.find_earlier_owners(new)
            transaction.executemany(
                _INTENT,
                (self._make_row(each, time, earlier=earlier) for each in new),
            )
        return self._audit.deliver

    def _note_secrets(
        self, transaction: Transaction, intended: Sequence[Change]
    ) -> None:
        """Note which attributes hold secrets from now on, before any of these is sent."""
        names = {
            each.name
            for change in intended
            for each in change.attributes
            if each.secret
        } - self._secrets
        if names:
            note_secret_attributes(transaction, self._directory, names)
            self._secrets |= names

    def _gone_on(self, known: Iterable[tuple[Change, Outcome]]) -> Iterator[Step]:
        """What another server has or may have, and is written at this one: whoever asks this one is told by it."""
        for change, outcome in known:
            if outcome.result is Result.WRITTEN and _key_of(change) in self._before:
                yield Step(self._run, change, outcome.result, server=self._server)

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Note what became of changes that were never going to be written.

        What this run has written before it was interrupted stays as it was noted then,
        pre-images of secrets included. So does what it may have written, which is open and
        has no line in the audit yet, and of what was taken, that it was not shown.
        """
        fresh = [
            (change, outcome)
            for change, outcome in left
            if outcome.result is not Result.WRITTEN
            and _key_of(change) not in self._before
        ]
        if fresh:
            time = stamp()
            with self._write_durably() as transaction:
                transaction.executemany(
                    _LEFT,
                    (
                        self._make_row(change, time, outcome)
                        for change, outcome in fresh
                    ),
                )
                self._audit.add_outcomes(transaction, self._run, fresh)
            self._audit.deliver()

    def _was_written(self, change: Change) -> bool:
        return (
            bool(self._before)
            and self._before.get(_key_of(change), ("", ""))[0] == Result.WRITTEN.value
        )

    @contextmanager
    def _write_durably(self) -> Iterator[Transaction]:
        try:
            with self._database.writing() as transaction:
                yield transaction
        except StateError:
            self.broken = True
            raise

    def _make_row(
        self,
        change: Change,
        time: str,
        outcome: Outcome | None = None,
        earlier: Mapping[str, Owners] = MappingProxyType({}),
    ) -> tuple[str | int | None, ...]:
        user = change.user
        kept = [kept_change(user, each, self._sealer) for each in change.attributes]
        noted = json.encode(kept).decode()
        key = (self._run, user.id, user.name, change.digest, part_of(change))
        what = (*key, kept_ref(change.agent), change.rule, noted)
        if outcome is not None:
            came_to = (outcome.result.value, outcome.why)
            return (*what, *came_to, self._server, time, None)
        owners = earlier.get(user.id)
        replaced = json.encode(owners).decode() if owners else None
        came, servers = self._before.get(_key_of(change), (None, ""))
        if servers:
            servers = beside("" if came else servers, self._server)
        return (*what, None, None, servers or self._server, time, replaced)


def _key_of(change: Change) -> tuple[str, str, str]:
    """What tells a write from the others of its run."""
    return change.user.id, change.digest, part_of(change)


def took_place(outcome: Outcome) -> bool:
    """Whether the directory took the write, all of it or some."""
    return outcome.result is Result.WRITTEN or bool(outcome.lost)


def stuck(change: Change, outcome: Outcome) -> Change:
    """What of a change is as it was written."""
    if not outcome.lost:
        return change
    return replace(
        change,
        attributes=tuple(
            each for each in change.attributes if each.name not in outcome.lost
        ),
    )


class Ours:
    """Whose a run's confirmed writes are from now on."""

    def __init__(self, database: Database, description: Description, run: str) -> None:
        self._database = database
        self._description = description
        self._run = run
        found = database.rows("select job, undoes from runs where id = ?", run)
        ((self._job, self._undoes),) = found or [(None, None)]
        self._takes_back = self._undoes is not None

    def find_earlier_owners(self, changes: Sequence[Change]) -> dict[str, Owners]:
        """By user id and attribute, whose the values are that these changes replace."""
        where = self._description
        replacing = [
            change for change in changes if any(each.old for each in change.attributes)
        ]
        ownership = Ownership(self._database, where.identity)
        return ownership.find_owners(replacing, self._job, where.equality)

    def take(
        self,
        transaction: Transaction,
        written: Iterable[Change],
        *,
        late: bool = False,
        now: Mapping[str, User] = MappingProxyType({}),
    ) -> None:
        """Values that are set are this job's; those that an undo puts back, of the job that had written them.

        `late`: other runs may have begun since. What they wrote is not taken from them, nor are values that stand:
        `now` has the users as they are by then.
        """
        where, newer = self._description, frozenset[str]()
        if late:
            since = "select id from runs where number > (select number from runs where id = ?)"
            newer = frozenset(id_ for (id_,) in self._database.rows(since, self._run))
        ownership, left = Ownership(self._database, where.identity), iter(written)
        first = None if late or self._takes_back else self._job
        while some := list(islice(left, _AT_ONCE)):
            gone = (
                self._taken_away(newer, [change.user.id for change in some])
                if newer
                else {}
            )
            self._remember_cleared(transaction, some, ownership)
            taken = partial(self._find_taken, gone=gone, now=now)
            if self._takes_back:  # what it puts back was written for an agent that only the journal may know
                some = [replace(change, agent=None) for change in some]
            ownership.note(
                transaction,
                self._run,
                some,
                taken,
                where.equality,
                newer=newer,
                first=first,
            )

    def _remember_cleared(
        self, transaction: Transaction, changes: Sequence[Change], ownership: Ownership
    ) -> None:
        """Keep what was ours and is taken from users without an agent; forget it where users are written otherwise."""
        leavers = [
            change
            for change in changes
            if change.agent is None and not self._takes_back
        ]
        ids = {change.user.id for change in leavers}
        ours = {
            (row.user.id, name.lower()): each
            for row in ownership.of(sorted(ids))
            if row.job == self._job
            for name, each in row.attributes.items()
        }
        cleared = []
        for change in leavers:
            for each in change.attributes:
                held = ours.get((change.user.id, each.name.lower()))
                if held is not None and takes_value(change, each):
                    cleared.append(Cleared(change.user, each.name, stamp(), held))
        notes = JobNotes(self._database, self._description.identity, self._job)
        written = {change.user.id for change in changes} - ids
        notes.note_cleared(transaction, cleared, written)

    def _find_taken(
        self,
        change: Change,
        gone: Mapping[tuple[str, str], set[str]],
        now: Mapping[str, User],
    ) -> Iterator[Taken]:
        for each in change.attributes:
            marks = self._marks_of(each) if gone else set[str]()
            if not marks or not marks <= gone.get(
                (change.user.id, each.name.lower()), set()
            ):
                yield self._make_taken(change.user, each, now)

    def _taken_away(
        self, newer: Collection[str], users: Sequence[str]
    ) -> dict[tuple[str, str], set[str]]:
        """By user and attribute what was there, as `_marks`, before one of these runs emptied it: nobody owns it since.

        Of a secret the journal tells by what was written there last.
        """
        which = (
            "directory = ? and outcome = 'written' and user_id in ({users}) "
            "order by number, part desc"
        )
        last: dict[tuple[str, str], set[str]] = {}
        gone: dict[tuple[str, str], set[str]] = {}
        identity = self._description.identity
        for write in read_writes(self._database, which, identity, users=users):
            for each in write.changes if write.run != self._run else ():
                slot = (write.user.id, each.name.lower())
                if marks := self._marks_of(each):
                    last[slot] = marks
                    gone.pop(slot, None)
                elif write.run in newer:
                    before = self._marks_of(replace(each, new=each.old))
                    gone[slot] = last.get(slot, set()) | before
        return gone

    def _marks_of(self, each: AttributeChange) -> set[str]:
        """What is known of the values that a change sets: their digests, or the fingerprint of a secret."""
        if each.secret:
            return {each.fingerprint} - {""}
        rule = self._description.equality(each.name)
        return {equality.digest(rule, value) for value in each.new}

    def _make_taken(
        self, user: UserRef, each: AttributeChange, now: Mapping[str, User]
    ) -> Taken:
        """Whose these values are: nobody's, where there are none; put back, where they were nobody's before.

        An object class that stays is needed by other attributes, and is not kept as ours
        when another one goes.
        """
        if each.new and not (now or self._takes_back):
            return Taken(user, each, self._job)
        shown = user.id in now and not each.secret and each.name != OBJECT_CLASS
        there = now[user.id].values.get(each.name, ()) if shown else ()
        if not each.sets:
            return Taken(user, each, None, there=there)
        if not self._takes_back:
            return Taken(user, each, self._job, there=there)
        earlier = self._find_earlier_owner(user, each)
        if earlier is None:
            return Taken(user, each, self._job, restored=True, there=there)
        return Taken(user, each, earlier.job, there=there, earlier=earlier)

    def _find_earlier_owner(
        self, user: UserRef, each: AttributeChange
    ) -> EarlierOwner | None:
        """The job whose values these were, as the run that is taken back has noted."""
        query = (
            "select attributes, earlier from journal "
            "where run = ? and user_id = ? and earlier is not null"
        )
        rule = self._description.equality(each.name)
        where = self._database.where
        rows = self._database.rows(query, self._undoes or "", user.id)
        for attributes, earlier in rows:
            with sound(self._database, "the journal of a run"):
                owner = json.decode(earlier, type=Owners).get(each.name)
            if owner is None:
                continue
            if each.secret:
                if each.fingerprint and owner.fingerprint == each.fingerprint:
                    return owner
                continue
            for noted in past_of(attributes, str(self._undoes), where):
                if noted.name == each.name and equality.same_set(
                    rule, noted.old, each.new
                ):
                    return owner
        return None
