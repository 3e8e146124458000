"""What earlier runs left behind about one directory, as far as drawing a plan needs it (`model.Memory`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from connector.model import UserRef
from connector.state.database import Database


class DirectoryMemory:
    """What is remembered of one directory, and of one job's runs on it. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str, job: str) -> None:
        self._database = database
        self._directory = directory
        self._job = job

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        query = "select fingerprint from ownership where directory = ? and user_id = ? and attribute = ?"
        found = self._database.rows(query, self._directory, user_id, attribute)
        return found[0][0] if found else None

    def owned(self) -> Iterator[tuple[UserRef, frozenset[str]]]:
        # an object class that we added stays when its values go, and makes nobody stale
        query = (
            "select user_id, user_name, attribute from ownership where directory = ? and attribute <> 'objectClass' "
            "order by user_id, run"
        )
        names: dict[str, str] = {}
        attributes = defaultdict(set)
        for user_id, name, attribute in self._database.rows(query, self._directory):
            names[user_id] = name
            attributes[user_id].add(attribute)
        for user_id, name in names.items():
            yield UserRef(user_id, name), frozenset(attributes[user_id])

    def rewritten(self) -> Mapping[tuple[str, str], tuple[str, int]]:
        query = "select user_id, attribute, value, times from ownership where directory = ? and times > 1"
        return {
            (user_id, attribute): (value, times)
            for user_id, attribute, value, times in self._database.rows(query, self._directory)
        }

    def stale(self) -> Mapping[str, tuple[str, int]]:
        query = "select user_id, since, runs from stale where directory = ?"
        return {user_id: (since, runs) for user_id, since, runs in self._database.rows(query, self._directory)}

    def last_agents(self) -> int | None:
        query = (
            "select agents from runs where job = ? and directory = ? and kind = 'apply' and result in ('done', 'part') "
            "order by started desc limit 1"
        )
        found = self._database.rows(query, self._job, self._directory)
        return found[0][0] if found else None

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
        with self._database.writing() as transaction:
            transaction.execute("delete from stale where directory = ?", (self._directory,))
            transaction.executemany(
                "insert into stale (directory, user_id, since, runs) values (?, ?, ?, ?)",
                ((self._directory, user, known.get(user, (when, 0))[0], known.get(user, (when, 0))[1] + 1)
                 for user in users),
            )  # fmt: skip
