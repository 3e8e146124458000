"""What applies of a job note by the way: of users, who is stale, nowhere, excluded, or was refused; of its schedule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct, json
from msgspec.structs import astuple

from connector.model import (
    Cleared,
    Owned,
    Refused,
    Result,
    UserRef,
)
from connector.model.memory import count_time
from connector.state.database import (
    Database,
    Ended,
    Transaction,
    decode_kept,
    encode_text,
    find_column,
    find_value,
    reading_kept,
    write_one,
)

_PUT_FACT: Final = (
    "insert into facts (kind, job, directory, name, value) values (?, ?, ?, ?, ?) "
    "on conflict (kind, job, directory, name) do update set value = excluded.value"
)


class _Looked(Struct, frozen=True):
    """When an apply last looked for who is stale."""

    time: datetime


ExcludedUsers = Mapping[str, frozenset[str]]
"""By entry of the exclude list the ids of users."""


class Note(Struct, frozen=True):
    """A row of the table of notes, beside its kind, job and directory; `database.py` says what each kind has where."""

    user_id: str
    name: str = ""
    user_name: str = ""
    value: str = ""
    why: str = ""
    runs: int = 0
    number: int = 0


class JobNotes:
    """The notes of one job on one directory. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str, job: str) -> None:
        self._database = database
        self._directory = directory
        self._job = job

    def _read_notes(self, kind: str) -> list[Note]:
        rows = self._database.rows(
            "select user_id, name, user_name, value, why, runs, number from notes "
            "where kind = ? and job = ? and directory = ?",
            kind,
            self._job,
            self._directory,
        )
        return [Note(*row) for row in rows]

    def _read_users(self, kind: str) -> frozenset[str]:
        return frozenset(note.user_id for note in self._read_notes(kind))

    def _put_notes(
        self, transaction: Transaction, kind: str, notes: Iterable[Note]
    ) -> None:
        place = (kind, self._job, self._directory)
        transaction.executemany(
            "insert into notes (kind, job, directory, user_id, name, user_name, value, why, runs, number) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (kind, job, directory, user_id, name) do update set "
            "user_name = excluded.user_name, value = excluded.value, why = excluded.why, runs = excluded.runs, "
            "number = excluded.number",
            [(*place, *astuple(note)) for note in notes],
        )

    def _replace_notes(
        self, transaction: Transaction, kind: str, notes: Iterable[Note]
    ) -> None:
        """Note these in place of all that were noted."""
        transaction.execute(
            "delete from notes where kind = ? and job = ? and directory = ?",
            (kind, self._job, self._directory),
        )
        self._put_notes(transaction, kind, notes)

    def _forget_notes(
        self, transaction: Transaction, kind: str, users: Iterable[str]
    ) -> None:
        rows = [(kind, self._job, self._directory, user) for user in users]
        transaction.executemany(
            "delete from notes where kind = ? and job = ? and directory = ? and user_id = ?",
            rows,
        )

    def _forget_users(self, kind: str, users: Collection[str]) -> None:
        if users:
            with self._database.writing() as transaction:
                self._forget_notes(transaction, kind, users)

    # ------------------------------------------------------------ whom no agent claims

    def read_stale(self) -> Mapping[str, tuple[timedelta, int]]:
        return {
            note.user_id: (timedelta(seconds=note.number), note.runs)
            for note in self._read_notes("stale")
            if note.runs  # none of users whom an agent of another job claims
        }

    def note_claimed(self, users: Collection[str]) -> None:
        """These users are claimed, and stale no longer."""
        self._forget_users("stale", self._read_users("stale").intersection(users))

    def note_stale(
        self, users: Collection[str], when: datetime, others: Collection[str] = ()
    ) -> None:
        """Count one more run, and the time that has passed, for these users; all others are stale no longer.

        `others`: users whom an agent of another job claims. They are not stale, and may pass to that job.
        """
        known = self.read_stale()
        since = count_time(self.read_last_look(), when)
        notes = {user: Note(user) for user in others}
        for user in users:
            seconds, runs = 0, 0
            if user in known:
                waited, runs = known[user]
                seconds = int((waited + since).total_seconds())
            notes[user] = Note(user, runs=runs + 1, number=seconds)
        with self._database.writing() as transaction:
            self._replace_notes(transaction, "stale", notes.values())
            note_fact(transaction, "looked", _Looked(when), self._job, self._directory)

    def read_last_look(self) -> datetime | None:
        found = read_fact(self._database, "looked", self._job, self._directory)
        if found is None:
            return None
        with reading_kept(self._database, "the list of stale users"):
            return json.decode(found, type=_Looked).time.astimezone(UTC)

    def read_lapsed(self) -> frozenset[str]:
        return self._read_users("lapsed")

    def note_lapsed(self, users: Collection[str]) -> None:
        """That these users are nowhere has been said. What is known of them stays, for they may be shown again."""
        if self.read_lapsed() != users:
            with self._database.writing() as transaction:
                self._replace_notes(transaction, "lapsed", map(Note, users))

    # ------------------------------------------------------------ who is left alone

    def read_excluded(self) -> ExcludedUsers:
        found = defaultdict[str, frozenset[str]](frozenset)
        for note in self._read_notes("excluded"):
            found[note.name] |= {note.user_id}
        return found

    def note_excluded(self, named: ExcludedUsers) -> None:
        """Keep whom the entries of the exclude list name, also who was renamed since; other entries are forgotten."""
        known = set(self._read_notes("excluded"))
        notes = {Note(id_, entry) for entry, ids in named.items() for id_ in ids}
        notes |= {note for note in known if note.name in named}
        if notes != known:
            with self._database.writing() as transaction:
                self._replace_notes(transaction, "excluded", notes)

    # ------------------------------------------------------------ who was refused

    def read_refused(self) -> Mapping[str, Refused]:
        with reading_kept(self._database, "the list of refused users"):
            return {
                note.user_id: Refused(
                    json.decode(note.value, type=frozenset[str]),
                    note.runs,
                    note.number,
                    note.why,
                )
                for note in self._read_notes("refused")
            }

    def note_refused(self, ended: Sequence[Ended], turns: Collection[str]) -> None:
        """Keep who was refused, and forget that of those that are written now. `turns`: whose turn it was."""
        known = self.read_refused()
        last = max((each.turn for each in known.values()), default=0)
        kept: dict[str, Refused] = {}
        gone = set[str]()
        for change, outcome in ended:
            user = change.user.id
            before = known.get(user, Refused(frozenset(), 0, last))
            if outcome.result in (Result.WRITTEN, Result.UNCHANGED):
                gone.add(user)
            elif outcome.result is not Result.SKIPPED and not outcome.unknown:
                names = frozenset(each.name for each in change.attributes)
                runs = before.runs + 1 if before.attributes <= names else 1
                kept[user] = Refused(names, runs, before.turn, outcome.why)
            elif user in known and user in turns:
                kept[user] = before
        in_turn = sorted(kept, key=lambda user: kept[user].turn)
        notes = []
        for turn, user in enumerate(in_turn, last + 1):
            each = kept[user]
            value = encode_text(sorted(each.attributes))
            notes.append(
                Note(user, value=value, why=each.why, runs=each.runs, number=turn)
            )
        gone &= known.keys()
        if notes or gone:
            with self._database.writing() as transaction:
                self._forget_notes(transaction, "refused", gone)
                self._put_notes(transaction, "refused", notes)

    def forget_refused(self, planned: Collection[str]) -> None:
        """Only these users are still to be written."""
        self._forget_users("refused", self._read_users("refused").difference(planned))

    # ------------------------------------------------------------ what was cleared

    def read_cleared(self) -> Iterator[Cleared]:
        for note in self._read_notes("cleared"):
            time, held = decode_kept(
                self._database, note.value, tuple[str, Owned], "what was cleared"
            )
            yield Cleared(UserRef(note.user_id, note.user_name), note.name, time, held)

    def note_cleared(
        self,
        transaction: Transaction,
        cleared: Iterable[Cleared],
        written: Iterable[str],
    ) -> None:
        """Note what is cleared; forget that of users, by id, that are `written` otherwise."""
        self._forget_notes(transaction, "cleared", written)
        notes = []
        for each in cleared:
            value = encode_text([each.time, each.held])
            notes.append(Note(each.user.id, each.attribute, each.user.name, value))
        self._put_notes(transaction, "cleared", notes)


# ------------------------------------------------------------ facts


def read_fact(
    database: Database, kind: str, job: str = "", directory: str = ""
) -> str | None:
    """What is known of a job, a directory, or both; None: nothing."""
    value: str | None = find_value(
        database,
        "select value from facts where kind = ? and job = ? and directory = ? and name = ''",
        kind,
        job,
        directory,
    )
    return value


def note_fact(
    transaction: Transaction,
    kind: str,
    value: object,
    job: str = "",
    directory: str = "",
) -> None:
    """Note a fact in place of the one before; as JSON, where it is no text."""
    text = value if isinstance(value, str) else encode_text(value)
    transaction.execute(_PUT_FACT, (kind, job, directory, "", text))


class Pruned(Struct, frozen=True, array_like=True):
    """What was pruned of a job's runs on a directory."""

    until: str = ""
    """When the newest of these runs ended; empty where a person was forgotten, and no run pruned."""
    whole: bool = False
    """Whether one of them was of all agents, and wrote."""


def read_pruned(database: Database, which: str, *values: str) -> list[Pruned]:
    """What was pruned, of those facts that a condition picks."""
    query = f"select value from facts where kind = 'pruned' and {which}"  # noqa: S608  # a literal of the callers; values are bound
    return [
        decode_kept(database, fact, Pruned, "until when runs were pruned")
        for fact in find_column(database, query, *values)
    ]


def pruned_until(database: Database, job: str) -> str | None:
    """When the newest run of a job that was pruned ended."""
    facts = read_pruned(database, "job = ?", job)
    return max((fact.until for fact in facts), default="") or None


def note_pruned(
    database: Database,
    transaction: Transaction,
    job: str,
    directory: str,
    *,
    until: str = "",
    whole: bool,
) -> None:
    """Note that runs were pruned, or all that is known of a person was taken out of them."""
    known = read_pruned(database, "job = ? and directory = ?", job, directory)
    before = known[0] if known else Pruned()
    now = Pruned(max(before.until, until), before.whole or whole)
    note_fact(transaction, "pruned", now, job, directory)


def note_secret_attributes(
    transaction: Transaction, directory: str, names: Iterable[str]
) -> None:
    """Note that secrets are about to be written into these attributes.

    They stay secret whatever becomes of runs and mappings.
    """
    rows = [("secret", "", directory, name, "") for name in sorted(names)]
    transaction.executemany(_PUT_FACT, rows)


# ------------------------------------------------------------ the schedule


class Tick(Struct, frozen=True):
    """The last run of a job's schedule."""

    tick: datetime
    ended: bool
    """Whether it came to its end."""
    good: datetime | None
    """The tick of the last good one."""


class Ticks:
    """The schedule of one job, so that no run is left out or made twice. All of its methods raise StateError."""

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self._job = job

    def read_last(self) -> Tick | None:
        """The last run; None: there was none yet."""
        with reading_kept(self._database, "a schedule"):
            for tick, ended, good in self._database.rows(
                "select tick, ended, good from schedule where job = ?", self._job
            ):
                return Tick(
                    _read_time(tick), bool(ended), _read_time(good) if good else None
                )
        return None

    def hold_turn(self) -> AbstractContextManager[None]:
        """Hold the job's turn without a tick. Raises BusyError while another process has it."""
        return self._database.lease(f"the schedule of {self._job}")

    @contextmanager
    def begin_turn(self, tick: datetime, believed: datetime) -> Iterator[bool]:
        """Hold the job's turn, until the end or death of this process, and note the tick; False: it was run already.

        A last tick later than `believed` was noted while a clock was wrong. Raises
        BusyError while another process has the turn.
        """
        with self.hold_turn():
            last = self.read_last()
            if last is not None and last.ended and tick <= last.tick <= believed:
                yield False
                return
            write_one(
                self._database,
                "insert into schedule (job, tick, ended) values (?, ?, 0) "
                "on conflict (job) do update set tick = excluded.tick, ended = 0",
                self._job,
                tick.isoformat(),
            )
            yield True

    def note_end(self, tick: datetime, *, good: bool) -> None:
        also = ", good = tick" if good else ""
        end = f"update schedule set ended = 1{also} where job = ? and tick = ?"  # noqa: S608  # one of two texts
        write_one(self._database, end, self._job, tick.isoformat())


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
