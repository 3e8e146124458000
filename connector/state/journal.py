"""The journal of one apply: intents are durable before they are carried out, outcomes soon after that."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec.structs import replace

from connector.errors import StateError
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Cleared,
    Description,
    Outcome,
    Owned,
    Result,
    User,
    UserRef,
    equality,
)
from connector.model.limits import takes_value
from connector.model.patterns import are_apart, owned_values
from connector.runtime.clock import format_now
from connector.state.audit_lines import AuditLines
from connector.state.database import (
    Database,
    Ended,
    Row,
    Slot,
    Transaction,
    encode_text,
)
from connector.state.journal_rows import (
    EarlierOwner,
    Owners,
    Sealer,
    add_server,
    keep_agent,
    keep_change,
    key_of,
    note_outcomes,
    read_steps,
)
from connector.state.notes import JobNotes, note_secret_attributes
from connector.state.ownership import Ownership, Replaced, TakenAttribute

_INTENT = """
    insert into journal
    (run, user_id, digest, part, user_name, agent, rule, attributes, outcome, why, server, noted)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (run, user_id, digest, part) do update set
        outcome = excluded.outcome, why = excluded.why, attributes = excluded.attributes, server = excluded.server,
        noted = excluded.noted, lost = null
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
        self._ours = WrittenValues(database, description, run)
        self._run = run
        self._server = description.server
        self._directory = description.identity
        self._sealer = sealer
        self._secrets: set[str] = set()
        """Attributes that are noted as secret by now."""
        self.result: str | None = None
        """What the run came to; the one who runs it says so."""
        self.broken = False
        before = database.rows(
            "select user_id, digest, part, outcome, server from journal "
            "where run = ? and (outcome is null or outcome = 'written' or lost is not null)",
            run,
        )
        self._before = {tuple(key): (came, servers) for *key, came, servers in before}
        """What this run wrote before it was interrupted, or may have written: what came of
        it, and at which servers."""

    def note_writes(
        self, settled: Iterable[Ended], intended: Sequence[Change]
    ) -> Callable[[], None]:
        """Note what became of changes, and which ones are about to be written, durable together.

        What it returns delivers the lines of the audit, and is still to be called.

        What may have been written stays open; what is in both is about to be written again,
        and is open too. What this run has written before it was interrupted stays so,
        unless it is written again: another server may have been asked then.
        """
        known = [
            (change, outcome)
            for change, outcome in settled
            if not outcome.is_open
            and (has_taken_place(outcome) or not self._was_written(change))
        ]
        time = format_now()
        with self._write_durably() as transaction:
            note_outcomes(transaction, self._run, known, self._server)
            # with what is stored: an undo goes by that
            respelt = [
                self._make_row(change, time, outcome)
                for change, outcome in known
                if any(each.sent for each in change.attributes)
            ]
            transaction.executemany(_INTENT, respelt)
            self._audit.add_outcomes(transaction, self._run, known)
            written = [
                (change, outcome)
                for change, outcome in known
                if has_taken_place(outcome)
            ]
            self._ours.take_values(transaction, written)
            # before the intents, which attributes hold secrets from now on
            changes = (each for change in intended for each in change.attributes)
            names = {each.name for each in changes if each.secret} - self._secrets
            note_secret_attributes(transaction, self._directory, names)
            self._secrets |= names
            rows = [
                self._make_row(each, time)
                for each in intended
                if not self._was_written(each)
            ]
            transaction.executemany(_INTENT, rows)
        return self._audit.deliver_made_lines

    def note_unwritten(self, left: Iterable[Ended]) -> None:
        """Note what became of changes that were never going to be written.

        What this run has written before it was interrupted stays as it was noted then,
        pre-images of secrets included. So does what it may have written, which is open and
        has no line in the audit yet, and of what was taken, that it was not shown.
        """
        fresh = [
            (change, outcome)
            for change, outcome in left
            if outcome.result is not Result.WRITTEN
            and key_of(change) not in self._before
        ]
        if fresh:
            time = format_now()
            rows = [self._make_row(change, time, outcome) for change, outcome in fresh]
            with self._write_durably() as transaction:
                transaction.executemany(_LEFT, rows)
                self._audit.add_outcomes(transaction, self._run, fresh)
            self._audit.deliver_made_lines()

    def _was_written(self, change: Change) -> bool:
        came, _ = self._before.get(key_of(change), (None, ""))
        return bool(came == Result.WRITTEN)

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
    ) -> Row:
        """A row of `_INTENT`; without an outcome the write is open."""
        key, user = key_of(change), change.user
        kept = [keep_change(user, each, self._sealer) for each in change.attributes]
        what = (user.name, keep_agent(change.agent), change.rule, encode_text(kept))
        if outcome is not None:
            came = (outcome.result.value, outcome.why, self._server)
            return (self._run, *key, *what, *came, time)
        before, servers = self._before.get(key, (None, ""))
        servers = add_server("" if before else servers, self._server)
        return (self._run, *key, *what, None, None, servers, time)


def has_taken_place(outcome: Outcome) -> bool:
    """Whether the directory took the write, all of it or some."""
    return outcome.result is Result.WRITTEN or bool(outcome.lost)


class WrittenValues:
    """Whose a run's confirmed writes are from now on."""

    def __init__(self, database: Database, description: Description, run: str) -> None:
        self._database = database
        self._description = description
        self._run = run
        ((self._job, self._undoes),) = database.rows(
            "select job, undoes from runs where id = ?", run
        )
        self._ownership = Ownership(database, description.identity)

    def take_values(
        self,
        transaction: Transaction,
        written: Sequence[Ended],
        late: Mapping[str, User] | None = None,
    ) -> None:
        """Values that are set are this job's; those that an undo puts back, of the job that had written them.

        `late`: users as they are by now, where other runs may have begun since. What those wrote is not taken from
        them, nor are values that stand. None: no other run has begun.
        """
        for start in range(0, len(written), _AT_ONCE):
            some = written[start : start + _AT_ONCE]
            later = {} if late is None else self._find_later_writes(some)
            taken = [
                self._make_taken(change, each, late or {})
                for change, outcome in some
                for each in change.attributes
                if each.name not in outcome.lost
                and all(
                    are_apart(pattern, each.pattern)
                    for pattern in later.get((change.user.id, each.name.lower()), ())
                )
            ]
            replaced = self._ownership.note_taken(
                transaction, self._run, taken, self._description.equality
            )
            self._note_replaced(transaction, some, replaced)

    def _find_later_writes(
        self, written: Iterable[Ended]
    ) -> dict[Slot, list[str | None]]:
        """By user and attribute the patterns of what later runs have written there: nothing is taken from these."""
        which = (
            "number > (select number from runs where id = ?) and directory = ? "
            "and (outcome = 'written' or lost is not null) and user_id in ({users})"
        )
        users = sorted({change.user.id for change, _ in written})
        place = (self._run, self._description.identity)
        later = defaultdict[Slot, list[str | None]](list)
        for step in read_steps(self._database, which, *place, users=users):
            for name, pattern in step.patterns.items():
                later[step.user.id, name.lower()].append(pattern)
        return later

    def _note_replaced(
        self,
        transaction: Transaction,
        written: Iterable[Ended],
        replaced: Replaced,
    ) -> None:
        """Note in the journal whose the values were that are replaced, of this job before all others.

        Keep what was ours and is taken from users without an agent; forget it where users are written otherwise.
        """
        rows: list[Row] = []
        cleared: list[Cleared] = []
        others: list[str] = []
        for change, _ in written:
            is_leaver = change.agent is None and self._undoes is None
            if not is_leaver:
                others.append(change.user.id)
            earlier: Owners = {}
            for one in change.attributes:
                owners = replaced[change.user.id, one.name]
                for job, owned in sorted(owners, key=lambda its: its[0] != self._job):
                    if is_leaver and job == self._job and takes_value(change, one):
                        cleared.append(
                            Cleared(change.user, one.name, format_now(), owned)
                        )
                    if one.name not in earlier and self._was_as_written(one, owned):
                        earlier[one.name] = EarlierOwner(
                            job, owned.fingerprint, owned.sent, owned.stored
                        )
            if earlier:
                rows.append((encode_text(earlier), self._run, *key_of(change)))
        transaction.executemany(
            "update journal set earlier = coalesce(earlier, ?) "
            "where run = ? and user_id = ? and digest = ? and part = ?",
            rows,
        )
        notes = JobNotes(self._database, self._description.identity, self._job)
        notes.note_cleared(transaction, cleared, others)

    def _was_as_written(self, each: AttributeChange, owned: Owned) -> bool:
        """Whether the old values of a change are what a job had written there.

        Of the values that its pattern owns, no other: what somebody has put beside would pass for the job's.
        """
        if not each.old or owned.restored:
            return False
        if each.secret:
            return bool(owned.fingerprint)
        rule = self._description.equality(each.name)
        old = owned_values(owned.pattern, each.old)
        there = {equality.digest_value(rule, value) for value in old}
        if each.name == OBJECT_CLASS:
            return bool(owned.values) and there.issuperset(owned.values)
        return bool(owned.values) and there == set(owned.values)

    def _make_taken(
        self, change: Change, each: AttributeChange, now: Mapping[str, User]
    ) -> TakenAttribute:
        """Whose these values are: nobody's, where there are none; put back, where they were nobody's before.

        An object class that stays is needed by other attributes, and is not kept as ours
        when another one goes.
        """
        user = change.user
        shown = user.id in now and not each.secret and each.name != OBJECT_CLASS
        there = now[user.id].values.get(each.name, ()) if shown else ()
        taken = TakenAttribute(user, each, self._job, change.agent, there=there)
        if not each.sets:
            return replace(taken, job=None)
        if self._undoes is None:
            return taken
        # what it puts back was written for an agent that only the journal may know
        earlier = self._find_earlier_owner(user, each)
        if earlier is None:
            return replace(taken, agent=None, restored=True)
        return replace(taken, agent=None, job=earlier.job, earlier=earlier)

    def _find_earlier_owner(
        self, user: UserRef, each: AttributeChange
    ) -> EarlierOwner | None:
        """The job whose values these were, as the run that is taken back has noted."""
        rule = self._description.equality(each.name)
        for step in read_steps(
            self._database,
            "run = ? and user_id = ? and earlier is not null",
            self._undoes,
            user.id,
        ):
            owner = step.earlier.get(each.name)
            if owner is None:
                continue
            if each.secret:
                is_same = bool(each.fingerprint) and (
                    each.fingerprint == owner.fingerprint
                )
            else:
                noted = step.change.attributes
                old = [its.old for its in noted if its.name == each.name]
                is_same = any(equality.same_set(rule, its, each.new) for its in old)
            if is_same:
                return owner
        return None
