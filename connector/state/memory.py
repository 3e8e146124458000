"""What earlier runs left behind about one directory, as far as drawing a plan needs it (`model.Memory`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from connector.model import UserRef
from connector.state.database import Database

_RUNS: Final = "select id, number from runs where directory = ? and job = ?"
_OTHERS: Final = "select 1 from runs where directory = ? and job <> ? limit 1"
_OWNED: Final = (
    # an object class that we added stays when its values go, and makes nobody stale
    "select user_id, user_name, attribute, run from ownership where directory = ? and attribute <> 'objectClass' "
    "order by user_id"
)


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
        # what another job of this directory wrote is nobody's here: this one does not know its agents
        places = dict(self._database.rows(_RUNS, self._directory, self._job))
        names: dict[str, tuple[int, str]] = {}
        attributes = defaultdict(set)
        for user_id, name, attribute, run in self._database.rows(_OWNED, self._directory):
            if run in places:
                names[user_id] = max(names.get(user_id, (-1, "")), (places[run], name))
                attributes[user_id].add(attribute)
        for user_id, (_, name) in names.items():
            yield UserRef(user_id, name), frozenset(attributes[user_id])

    def take_over(self, users: Iterable[str], run: str) -> None:
        """Make what other jobs wrote to these users this job's, in the name of a run."""
        if not self._database.rows(_OTHERS, self._directory, self._job):
            return  # as it nearly always is
        ours = {run for run, _ in self._database.rows(_RUNS, self._directory, self._job)}
        others = {user for user, _, _, by in self._database.rows(_OWNED, self._directory) if by not in ours}
        rows = [(run, self._directory, user, self._job) for user in users if user in others]
        if rows:
            with self._database.writing() as transaction:
                transaction.executemany(
                    "update ownership set run = ? where directory = ? and user_id = ? "
                    "and run in (select id from runs where job <> ?)",
                    rows,
                )

    def rewritten(self) -> Mapping[tuple[str, str], tuple[str, int]]:
        query = "select user_id, attribute, value, times from ownership where directory = ? and times > 1"
        return {
            (user_id, attribute): (value, times)
            for user_id, attribute, value, times in self._database.rows(query, self._directory)
        }

    def stale(self) -> Mapping[str, tuple[str, int]]:
        query = "select user_id, since, runs from stale where directory = ? and job = ?"
        found = self._database.rows(query, self._directory, self._job)
        return {user_id: (since, runs) for user_id, since, runs in found}

    def last_agents(self) -> int | None:
        query = (
            "select agents from runs where job = ? and directory = ? and kind = 'apply' and result in ('done', 'part') "
            "order by number desc limit 1"
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
