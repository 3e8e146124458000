"""What earlier runs left behind about one directory, as far as drawing a plan needs it (`model.Memory`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from connector.model import OBJECT_CLASS, LastGood, UserRef
from connector.state.database import Database
from connector.state.ownership import Ownership

_RUNS: Final = "select id from runs where directory = ? and job = ?"
_OTHERS: Final = "select 1 from runs where directory = ? and job <> ? limit 1"


class DirectoryMemory:
    """What is remembered of one directory, and of one job's runs on it. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str, job: str) -> None:
        self._database = database
        self._directory = directory
        self._job = job
        self._ownership = Ownership(database, directory)

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        _, attributes = self._ownership.of([user_id]).get(user_id, (None, {}))
        owned = attributes.get(attribute)
        return owned.fingerprint if owned else None

    def owned(self) -> Iterator[tuple[UserRef, frozenset[str]]]:
        # what another job of this directory wrote is nobody's here: this one does not know its agents
        ours = self._runs()
        for user, attributes in self._ownership.everything():
            # an object class that we added stays when its values go, and makes nobody stale
            names = frozenset(name for name, each in attributes.items() if each.run in ours and name != OBJECT_CLASS)
            if names:
                yield user, names

    def take_over(self, users: Iterable[str], run: str) -> None:
        """Make what other jobs wrote to these users this job's, in the name of a run."""
        if not self._database.rows(_OTHERS, self._directory, self._job):
            return  # as it nearly always is
        ours, matched = self._runs(), frozenset(users)
        taken = [
            (user, {name: each if each.run in ours else replace(each, run=run) for name, each in attributes.items()})
            for user, attributes in self._ownership.everything()
            if user.id in matched and any(each.run not in ours for each in attributes.values())
        ]
        if taken:
            with self._database.writing() as transaction:
                self._ownership.keep(transaction, taken)

    def rewritten(self) -> Mapping[tuple[str, str], tuple[str, int]]:
        return {
            (user.id, name): (each.value or "", each.times)
            for user, attributes in self._ownership.rewritten()
            for name, each in attributes.items()
            if each.times > 1
        }

    def _runs(self) -> frozenset[str]:
        return frozenset(run for (run,) in self._database.rows(_RUNS, self._directory, self._job))

    def stale(self) -> Mapping[str, tuple[str, int]]:
        query = "select user_id, since, runs from stale where directory = ? and job = ?"
        found = self._database.rows(query, self._directory, self._job)
        return {user_id: (since, runs) for user_id, since, runs in found}

    def last_good(self) -> LastGood | None:
        query = (
            "select agents, matched from runs where job = ? and directory = ? and kind = 'apply' "
            "and result in ('done', 'part') order by number desc limit 1"
        )
        found = self._database.rows(query, self._job, self._directory)
        return LastGood(*found[0]) if found else None

    def users(self) -> int:
        """So many users the directory has been seen to have at least; 0 where that was never found out."""
        found = self._database.rows("select users from directories where identity = ?", self._directory)
        return int(found[0][0]) if found else 0

    def note_users(self, users: int) -> None:
        """Keep how many users the directory has at least."""
        with self._database.writing() as transaction:
            transaction.execute(
                "insert into directories (identity, users) values (?, ?) "
                "on conflict (identity) do update set users = excluded.users",
                (self._directory, users),
            )

    def note_stale(self, users: Collection[str], when: str) -> None:
        """Count one more run for these users, which nobody claims; all others are stale no longer."""
        known = self.stale()
        rows = []
        for user in users:
            since, runs = known.get(user, (when, 0))
            # a clock that ran ahead and was set back must not keep anybody for as long as it was wrong
            rows.append((self._directory, self._job, user, min(since, when), runs + 1))
        with self._database.writing() as transaction:
            transaction.execute("delete from stale where directory = ? and job = ?", (self._directory, self._job))
            transaction.executemany(
                "insert into stale (directory, job, user_id, since, runs) values (?, ?, ?, ?, ?)", rows
            )
