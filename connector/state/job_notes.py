"""What applies of a job note of users by the way: who is stale, nowhere, excluded, or was refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import json

from connector.model import Change, Moment, Outcome, Refused, Result
from connector.reconcile.stale.grace import passed
from connector.state.database import Database, Row, Transaction, sound

_STALE: Final = "the list of stale users"


class JobNotes:
    """The notes of one job on one directory. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str, job: str) -> None:
        self._database = database
        self._directory = directory
        self._job = job

    def _noted(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        query = f"select {columns} from {table} where directory = ? and job = ?"  # noqa: S608  # names are literals of this class; values are bound
        return self._database.rows(query, self._directory, self._job)

    def _note(
        self, transaction: Transaction, table: str, columns: str, rows: Iterable[Row]
    ) -> None:
        """In place of all that was noted."""
        transaction.execute(
            f"delete from {table} where directory = ? and job = ?",  # noqa: S608  # names are literals of this class; values are bound
            (self._directory, self._job),
        )
        self._add(transaction, table, columns, rows)

    def _add(
        self, transaction: Transaction, table: str, columns: str, rows: Iterable[Row]
    ) -> None:
        places = ", ".join("?" * (2 + len(columns.split(","))))
        insert = f"insert into {table} (directory, job, {columns}) values ({places})"  # noqa: S608  # names are literals of this class; values are bound
        transaction.executemany(
            insert, [(self._directory, self._job, *row) for row in rows]
        )

    def _forget(
        self, transaction: Transaction, table: str, users: Iterable[str]
    ) -> None:
        rows = [(self._directory, self._job, user) for user in users]
        delete = f"delete from {table} where directory = ? and job = ? and user_id = ?"  # noqa: S608  # names are literals of this class; values are bound
        transaction.executemany(delete, rows)

    # ------------------------------------------------------------ whom no agent claims

    def stale(self) -> Mapping[str, tuple[timedelta, int]]:
        return {
            user_id: waited for user_id, waited in self._let_go().items() if waited[1]
        }

    def _let_go(self) -> dict[str, tuple[timedelta, int]]:
        """Also users in no run stale, whom an agent of another job claims."""
        found = self._noted("stale", "user_id, waited, runs")
        with sound(self._database, _STALE):
            return {
                user_id: (timedelta(seconds=waited), runs)
                for user_id, waited, runs in found
            }

    def note_claimed(self, users: Collection[str]) -> None:
        """These users are claimed, and stale no longer."""
        again = self._let_go().keys() & users
        if again:
            with self._database.writing() as transaction:
                self._forget(transaction, "stale", again)

    def note_stale(
        self, users: Collection[str], when: Moment, others: Collection[str] = ()
    ) -> None:
        """Count one more run, and the time that has passed, for these users; all others are stale no longer.

        `others`: users whom an agent of another job claims. They are not stale, and may pass to that job.
        """
        known = self.stale()
        since = passed(self.looked(), when)
        rows = []
        for user in users:
            waited, runs = known.get(user, (None, 0))
            rows.append(
                (
                    user,
                    0 if waited is None else int((waited + since.time).total_seconds()),
                    runs + 1,
                )
            )
        rows += [(user, 0, 0) for user in others if user not in users]
        read = (when.time.isoformat(), when.boot, when.up, int(not since.jump))
        with self._database.writing() as transaction:
            self._note(transaction, "stale", "user_id, waited, runs", rows)
            self._note(transaction, "clocks", "time, boot, up, sure", [read])

    def looked(self) -> Moment | None:
        with sound(self._database, _STALE):
            for time, boot, up, sure in self._noted("clocks", "time, boot, up, sure"):
                return Moment(
                    datetime.fromisoformat(time).astimezone(UTC),
                    boot,
                    int(up),
                    bool(sure),
                )
        return None

    def lapsed(self) -> frozenset[str]:
        return frozenset(user_id for (user_id,) in self._noted("lapsed", "user_id"))

    def note_lapsed(self, users: Collection[str]) -> None:
        """That these users are nowhere has been said. What is known of them stays, for they may be shown again."""
        if self.lapsed() != users:
            with self._database.writing() as transaction:
                self._note(
                    transaction, "lapsed", "user_id", [(user,) for user in users]
                )

    # ------------------------------------------------------------ who is left alone

    def excluded(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for entry, user_id in self._noted("excluded", "entry, user_id"):
            found[entry] = found.get(entry, frozenset()) | {user_id}
        return found

    def note_excluded(self, named: Mapping[str, frozenset[str]]) -> None:
        """Keep whom the entries of the exclude list name, also who was renamed since; other entries are forgotten."""
        known = self.excluded()
        kept = {
            entry: ids | known.get(entry, frozenset()) for entry, ids in named.items()
        }
        if {entry: ids for entry, ids in kept.items() if ids} != known:
            rows = [(entry, id_) for entry, ids in kept.items() for id_ in ids]
            with self._database.writing() as transaction:
                self._note(transaction, "excluded", "entry, user_id", rows)

    # ------------------------------------------------------------ who was refused

    def refused(self) -> Mapping[str, Refused]:
        found = self._noted("refused", "user_id, attributes, runs, turn, why")
        with sound(self._database, "the list of refused users"):
            return {
                user: Refused(
                    frozenset(json.decode(names, type=list[str])), runs, turn, why
                )
                for user, names, runs, turn, why in found
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
            if (
                outcome.result in (Result.FAILED, Result.CONFLICT)
                and not outcome.unknown
            ):
                names = frozenset(each.name for each in change.attributes)
                runs = before.runs + 1 if before and before.attributes <= names else 1
                kept[user] = Refused(
                    names, runs, before.turn if before else last, outcome.why
                )
            elif before and outcome.result in (Result.WRITTEN, Result.UNCHANGED):
                gone.append(user)
            elif before and user in turns:
                kept[user] = before
        rows = [
            (user, json.encode(each.attributes).decode(), each.runs, turn, each.why)
            for turn, (user, each) in enumerate(
                sorted(kept.items(), key=lambda row: row[1].turn), last + 1
            )
        ]
        if rows or gone:
            with self._database.writing() as transaction:
                self._forget(transaction, "refused", [*gone, *kept])
                self._add(
                    transaction, "refused", "user_id, attributes, runs, turn, why", rows
                )

    def forget_refused(self, planned: Collection[str]) -> None:
        """Only these users are still to be written."""
        gone = self.refused().keys() - planned
        if gone:
            with self._database.writing() as transaction:
                self._forget(transaction, "refused", gone)
