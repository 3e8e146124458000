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
    Description,
    Outcome,
    Result,
    User,
    UserRef,
)
from connector.reconcile import equality
from connector.reconcile.checks.limits import takes_value
from connector.reports.document import held
from connector.runtime.clock import stamp
from connector.state.audit_lines import AuditLines
from connector.state.database import Database, Transaction, rows_of_users
from connector.state.journal_rows import (
    KeptChange,
    Step,
    beside,
    kept_change,
    kept_ref,
    note_outcomes,
    note_servers,
    part_of,
    past_of,
)
from connector.state.ownership import Ownership, Taken
from connector.state.sealing import Sealer
from connector.state.secret_attributes import note_secrets

_INTENT = """
    insert into journal
    (run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why, server, noted)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (run, user_id, digest, part) do update set
        outcome = excluded.outcome, why = excluded.why, attributes = excluded.attributes, server = excluded.server,
        noted = excluded.noted, lost = null
"""
_LEFT = f"{_INTENT} where journal.outcome <> 'written' and journal.lost is null"
_CLEARED: Final = """
    insert into cleared (directory, job, user_id, user_name, attribute, time, held) values (?, ?, ?, ?, ?, ?, ?)
    on conflict (directory, job, user_id, attribute)
    do update set user_name = excluded.user_name, time = excluded.time, held = excluded.held
"""
_WRITTEN_AGAIN: Final = (
    "delete from cleared where directory = ? and job = ? and user_id = ?"
)
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
        with self._writing() as transaction:
            note_outcomes(transaction, self._run, known, time)
            # with what is stored: an undo goes by that
            respelt = [
                self._row(change, time, outcome)
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
            transaction.executemany(
                _INTENT,
                (
                    self._row(each, time)
                    for each in intended
                    if not self._was_written(each)
                ),
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
            note_secrets(transaction, self._directory, names)
            self._secrets |= names

    def _gone_on(self, known: Iterable[tuple[Change, Outcome]]) -> Iterator[Step]:
        """What another server has or may have, and is written at this one: whoever asks this one is told by it."""
        for change, outcome in known:
            if outcome.result is Result.WRITTEN and _key(change) in self._before:
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
            if outcome.result is not Result.WRITTEN and _key(change) not in self._before
        ]
        if fresh:
            time = stamp()
            with self._writing() as transaction:
                transaction.executemany(
                    _LEFT,
                    (self._row(change, time, outcome) for change, outcome in fresh),
                )
                self._audit.add_outcomes(transaction, self._run, fresh)
            self._audit.deliver()

    def _was_written(self, change: Change) -> bool:
        return (
            bool(self._before)
            and self._before.get(_key(change), ("", ""))[0] == Result.WRITTEN.value
        )

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        try:
            with self._database.writing() as transaction:
                yield transaction
        except StateError:
            self.broken = True
            raise

    def _row(
        self, change: Change, time: str, outcome: Outcome | None = None
    ) -> tuple[str | int | None, ...]:
        user, ref = change.user, kept_ref(change.agent)
        noted = json.encode(
            [kept_change(user, each, self._sealer) for each in change.attributes]
        ).decode()
        key = (self._run, user.id, user.name, change.digest, part_of(change))
        if outcome is None:
            came, at = (
                self._before.get(_key(change), (None, ""))
                if self._before
                else (None, "")
            )
            servers = beside("" if came else at, self._server) if at else self._server
            return (*key, ref, change.rule, noted, None, None, servers, time)
        came_to = (outcome.result.value, outcome.why)
        return (*key, ref, change.rule, noted, *came_to, self._server, time)


def _key(change: Change) -> tuple[str, str, str]:
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
        found = database.rows("select job, kind from runs where id = ?", run)
        ((self._job, kind),) = found or [(None, "apply")]
        self._takes_back = kind == "undo"

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
            taken = partial(self._of, gone=gone, now=now)
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
        place = (self._description.identity, self._job)
        others = {change.user.id for change in changes} - ids
        transaction.executemany(_WRITTEN_AGAIN, [(*place, id_) for id_ in others])
        mine = (row for row in ownership.of(sorted(ids)) if row.job == self._job)
        ours = {
            (row.user.id, name.lower()): each
            for row in mine
            for name, each in row.attributes.items()
        }
        rows = [
            (
                *place,
                change.user.id,
                change.user.name,
                each.name,
                stamp(),
                json.encode(held).decode(),
            )
            for change in leavers
            for each in change.attributes
            if takes_value(change, each)
            and (held := ours.get((change.user.id, each.name.lower()))) is not None
        ]
        transaction.executemany(_CLEARED, rows)

    def _of(
        self,
        change: Change,
        gone: Mapping[tuple[str, str], set[str]],
        now: Mapping[str, User],
    ) -> Iterator[Taken]:
        for each in change.attributes:
            marks = self._marks(each) if gone else set[str]()
            if not marks or not marks <= gone.get(
                (change.user.id, each.name.lower()), set()
            ):
                yield self._taken(change.user, each, now)

    def _taken_away(
        self, newer: Collection[str], users: Sequence[str]
    ) -> dict[tuple[str, str], set[str]]:
        """By user and attribute what was there, as `_marks`, before one of these runs emptied it: nobody owns it since.

        Of a secret the journal tells by what was written there last.
        """
        query = (
            "select user_id, run, attributes from journal join runs on runs.id = journal.run "
            "where directory = ? and outcome = 'written' and user_id in ({users}) order by number, part desc"
        )
        last: dict[tuple[str, str], set[str]] = {}
        gone: dict[tuple[str, str], set[str]] = {}
        for user, run, attributes in rows_of_users(
            self._database, query, users, self._description.identity
        ):
            for each in (
                past_of(attributes, run, self._database.where)
                if run != self._run
                else ()
            ):
                slot = (user, each.name.lower())
                if marks := self._marks(each):
                    last[slot] = marks
                    gone.pop(slot, None)
                elif run in newer:
                    gone[slot] = last.get(slot, set()) | self._marks(
                        replace(each, new=each.old)
                    )
        return gone

    def _marks(self, each: AttributeChange) -> set[str]:
        """What is known of the values that a change sets: their digests, or the fingerprint of a secret."""
        if each.secret:
            return {each.fingerprint} - {""}
        rule = self._description.equality(each.name)
        return {equality.digest(rule, value) for value in each.new}

    def _taken(
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
        writer, noted = self._had_written(user, each)
        back = replace(each, sent=held(noted.sent))
        return Taken(
            user, back, writer or self._job, restored=writer is None, there=there
        )

    def _had_written(
        self, user: UserRef, each: AttributeChange
    ) -> tuple[str | None, KeptChange]:
        """The job whose apply once wrote these very values there, the last if several did; and how it noted that."""
        query = (
            "select job, attributes from ("
            "select job, attributes, number from journal join runs on runs.id = journal.run "
            "where user_id = ? and outcome = 'written' and directory = ? and kind = 'apply' "
            "union all select job, attributes, number from kept_writes where user_id = ? and directory = ?"
            ") as wrote order by number desc"
        )
        rule = self._description.equality(each.name)

        def says(noted: KeptChange) -> bool:
            if noted.name != each.name or noted.secret != (
                each.fingerprint or None if each.secret else None
            ):
                return False
            return each.secret or equality.same_set(rule, held(noted.new), each.new)

        return next(
            (
                (job, noted)
                for job, attributes in self._database.rows(
                    query, *[user.id, self._description.identity] * 2
                )
                for noted in json.decode(attributes, type=list[KeptChange])
                if says(noted)
            ),
            (None, KeptChange(each.name)),
        )
