"""What applies of a job note by the way: of users, who is stale, nowhere, excluded, or was refused; of its schedule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct, json

from connector.model import (
    Change,
    Cleared,
    Moment,
    Outcome,
    Owned,
    Refused,
    Result,
    UserRef,
)
from connector.planning.leavers.grace import passed
from connector.state.database import Database, Row, Transaction, sound

_COLUMNS: Final = (
    "kind", "job", "directory", "user_id", "name", "user_name", "value", "why", "runs", "number",
)  # fmt: skip
_FORGET: Final = "delete from notes where kind = ? and job = ? and directory = ?"
_STALE: Final = "the list of stale users"


class ClearedNote(Struct, frozen=True, array_like=True):
    """What was cleared from a user (`Cleared`)."""

    time: str
    held: Owned


class JobNotes:
    """The notes of one job on one directory. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str, job: str) -> None:
        self._database = database
        self._directory = directory
        self._job = job

    def _read_notes(self, kind: str, columns: str = "user_id") -> list[tuple[Any, ...]]:
        query = (
            f"select {columns} from notes where kind = ? and job = ? and directory = ?"  # noqa: S608  # columns are literals of this class; values are bound
        )
        return self._database.rows(query, kind, self._job, self._directory)

    def _put_notes(
        self, transaction: Transaction, kind: str, rows: Iterable[Row]
    ) -> None:
        """Note these rows: of `_COLUMNS` the user id and those after it."""
        place = (kind, self._job, self._directory)
        transaction.put_all("notes", _COLUMNS, [(*place, *row) for row in rows])

    def _replace_notes(
        self, transaction: Transaction, kind: str, rows: Iterable[Row]
    ) -> None:
        """Note these rows in place of all that were noted."""
        transaction.execute(_FORGET, (kind, self._job, self._directory))
        self._put_notes(transaction, kind, rows)

    def _forget_notes(
        self, transaction: Transaction, kind: str, users: Iterable[str]
    ) -> None:
        rows = [(kind, self._job, self._directory, user) for user in users]
        transaction.executemany(f"{_FORGET} and user_id = ?", rows)

    # ------------------------------------------------------------ whom no agent claims

    def stale(self) -> Mapping[str, tuple[timedelta, int]]:
        return {
            user_id: (timedelta(seconds=seconds), runs)
            for user_id, seconds, runs in self._read_notes(
                "stale", "user_id, number, runs"
            )
            if runs  # none of users whom an agent of another job claims
        }

    def note_claimed(self, users: Collection[str]) -> None:
        """These users are claimed, and stale no longer."""
        again = {user_id for (user_id,) in self._read_notes("stale")}.intersection(
            users
        )
        if again:
            with self._database.writing() as transaction:
                self._forget_notes(transaction, "stale", again)

    def note_stale(
        self, users: Collection[str], when: Moment, others: Collection[str] = ()
    ) -> None:
        """Count one more run, and the time that has passed, for these users; all others are stale no longer.

        `others`: users whom an agent of another job claims. They are not stale, and may pass to that job.
        """
        known = self.stale()
        since = passed(self.looked(), when)
        rows = [(user, "", "", "", "", 0, 0) for user in others if user not in users]
        for user in users:
            waited, runs = known.get(user, (None, 0))
            seconds = 0
            if waited is not None:
                seconds = int((waited + since.time).total_seconds())
            rows.append((user, "", "", "", "", runs + 1, seconds))
        looked = Moment(when.time, when.boot, when.up, sure=not since.jump)
        with self._database.writing() as transaction:
            self._replace_notes(transaction, "stale", rows)
            note_fact(transaction, "looked", looked, self._job, self._directory)

    def looked(self) -> Moment | None:
        with sound(self._database, _STALE):
            found = read_fact(self._database, "looked", self._job, self._directory)
            if found is None:
                return None
            moment = json.decode(found, type=Moment)
            return Moment(
                moment.time.astimezone(UTC), moment.boot, moment.up, moment.sure
            )

    def lapsed(self) -> frozenset[str]:
        return frozenset(user_id for (user_id,) in self._read_notes("lapsed"))

    def note_lapsed(self, users: Collection[str]) -> None:
        """That these users are nowhere has been said. What is known of them stays, for they may be shown again."""
        if self.lapsed() != users:
            rows = [(user, "", "", "", "", 0, 0) for user in users]
            with self._database.writing() as transaction:
                self._replace_notes(transaction, "lapsed", rows)

    # ------------------------------------------------------------ who is left alone

    def excluded(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for entry, user_id in self._read_notes("excluded", "name, user_id"):
            found[entry] = found.get(entry, frozenset()) | {user_id}
        return found

    def note_excluded(self, named: Mapping[str, frozenset[str]]) -> None:
        """Keep whom the entries of the exclude list name, also who was renamed since; other entries are forgotten."""
        known = self.excluded()
        kept = {
            entry: ids | known.get(entry, frozenset()) for entry, ids in named.items()
        }
        if {entry: ids for entry, ids in kept.items() if ids} != known:
            rows = [
                (id_, entry, "", "", "", 0, 0)
                for entry, ids in kept.items()
                for id_ in ids
            ]
            with self._database.writing() as transaction:
                self._replace_notes(transaction, "excluded", rows)

    # ------------------------------------------------------------ who was refused

    def refused(self) -> Mapping[str, Refused]:
        columns = "user_id, value, runs, number, why"
        with sound(self._database, "the list of refused users"):
            return {
                user: Refused(json.decode(names, type=frozenset[str]), runs, turn, why)
                for user, names, runs, turn, why in self._read_notes("refused", columns)
            }

    def note_refused(
        self, ended: Sequence[tuple[Change, Outcome]], turns: Collection[str]
    ) -> None:
        """Keep who was refused, and forget that of those that are written now. `turns`: whose turn it was."""
        known = self.refused()
        kept: dict[str, Refused] = {}
        gone: list[str] = []
        last = max((each.turn for each in known.values()), default=0)
        for change, outcome in ended:
            user, before = change.user.id, known.get(change.user.id)
            refused = outcome.result in (Result.FAILED, Result.CONFLICT)
            if refused and not outcome.unknown:
                names = frozenset(each.name for each in change.attributes)
                runs = before.runs + 1 if before and before.attributes <= names else 1
                turn = before.turn if before else last
                kept[user] = Refused(names, runs, turn, outcome.why)
            elif before and outcome.result in (Result.WRITTEN, Result.UNCHANGED):
                gone.append(user)
            elif before and user in turns:
                kept[user] = before
        rows: list[Row] = []
        in_turn = sorted(kept.items(), key=lambda each: each[1].turn)
        for turn, (user, each) in enumerate(in_turn, last + 1):
            attributes = json.encode(sorted(each.attributes))
            rows.append((user, "", "", attributes.decode(), each.why, each.runs, turn))
        if rows or gone:
            with self._database.writing() as transaction:
                self._forget_notes(transaction, "refused", gone)
                self._put_notes(transaction, "refused", rows)

    def forget_refused(self, planned: Collection[str]) -> None:
        """Only these users are still to be written."""
        gone = self.refused().keys() - planned
        if gone:
            with self._database.writing() as transaction:
                self._forget_notes(transaction, "refused", gone)

    # ------------------------------------------------------------ what was cleared

    def cleared(self) -> Iterator[Cleared]:
        columns = "user_id, user_name, name, value"
        for id_, user_name, attribute, value in self._read_notes("cleared", columns):
            with sound(self._database, "what was cleared"):
                note = json.decode(value, type=ClearedNote)
            yield Cleared(UserRef(id_, user_name), attribute, note.time, note.held)

    def note_cleared(
        self,
        transaction: Transaction,
        cleared: Iterable[Cleared],
        written: Iterable[str],
    ) -> None:
        """Note what is cleared; forget that of users, by id, that are `written` otherwise."""
        self._forget_notes(transaction, "cleared", written)
        rows = []
        for each in cleared:
            value = json.encode(ClearedNote(each.time, each.held)).decode()
            rows.append((each.user.id, each.attribute, each.user.name, value, "", 0, 0))
        self._put_notes(transaction, "cleared", rows)


# ------------------------------------------------------------ facts


def read_fact(
    database: Database, kind: str, job: str = "", directory: str = "", name: str = ""
) -> str | None:
    """What is known of a job, a directory, or both; None: nothing."""
    query = "select value from facts where kind = ? and job = ? and directory = ? and name = ?"
    found = database.rows(query, kind, job, directory, name)
    return str(found[0][0]) if found else None


def note_fact(
    transaction: Transaction,
    kind: str,
    value: object,
    job: str = "",
    directory: str = "",
) -> None:
    """Note a fact in place of the one before; as JSON, where it is no text."""
    text = value if isinstance(value, str) else json.encode(value).decode()
    transaction.put(
        "facts", kind=kind, job=job, directory=directory, name="", value=text
    )


class Pruned(Struct, frozen=True, array_like=True):
    """What was pruned of a job's runs on a directory."""

    until: str = ""
    """When the newest of these runs ended; empty where a person was forgotten, and no run pruned."""
    whole: bool = False
    """Whether one of them was of all agents, and wrote."""


def read_pruned(database: Database, which: str, *values: str) -> list[Pruned]:
    """What was pruned, of those facts that a condition picks."""
    query = f"select value from facts where kind = 'pruned' and {which}"  # noqa: S608  # a literal of the callers; values are bound
    with sound(database, "until when runs were pruned"):
        return [
            json.decode(fact, type=Pruned) for (fact,) in database.rows(query, *values)
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
    before = [
        Pruned(),
        *read_pruned(database, "job = ? and directory = ?", job, directory),
    ][-1]
    now = Pruned(max(before.until, until), before.whole or whole)
    note_fact(transaction, "pruned", now, job, directory)


def read_secret_attributes(database: Database, directory: str) -> list[str]:
    """The attributes of a directory into which any job wrote secrets, as its mapping spelt them."""
    query = (
        "select name from facts where kind = 'secret' and directory = ? order by name"
    )
    return [name for (name,) in database.rows(query, directory)]


def note_secret_attributes(
    transaction: Transaction, directory: str, names: Iterable[str]
) -> None:
    """Note that secrets are about to be written into these attributes.

    They stay secret whatever becomes of runs and mappings.
    """
    columns = ("kind", "job", "directory", "name", "value")
    rows = [("secret", "", directory, name, "") for name in sorted(names)]
    transaction.put_all("facts", columns, rows)


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

    def last(self) -> Tick | None:
        """The last run; None: there was none yet."""
        query = "select tick, ended, good from schedule where job = ?"
        with sound(self._database, "a schedule"):
            for tick, ended, good in self._database.rows(query, self._job):
                return Tick(
                    _read_time(tick), bool(ended), _read_time(good) if good else None
                )
        return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the job's turn without a tick. Raises BusyError while another process has it."""
        with self._database.lease(f"the schedule of {self._job}"):
            yield

    @contextmanager
    def turn(self, tick: datetime, believed: datetime) -> Iterator[bool]:
        """Hold the job's turn, until the end or death of this process, and note the tick; False: it was run already.

        A last tick later than `believed` was noted while a clock was wrong. Raises
        BusyError while another process has the turn.
        """
        with self.alone():
            last = self.last()
            if last is not None and last.ended and tick <= last.tick <= believed:
                yield False
                return
            with self._database.writing() as transaction:
                transaction.put(
                    "schedule", job=self._job, tick=tick.isoformat(), ended=0
                )
            yield True

    def ended(self, tick: datetime, *, good: bool) -> None:
        also = ", good = tick" if good else ""
        end = f"update schedule set ended = 1{also} where job = ? and tick = ?"  # noqa: S608  # one of two texts
        with self._database.writing() as transaction:
            transaction.execute(end, (self._job, tick.isoformat()))


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
