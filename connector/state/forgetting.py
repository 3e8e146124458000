"""Taking one person out of a job's part of a state: ids, names and values, in one transaction.

The entries of the exclude list keep the ids that they have named: without them, a user who
was renamed since would be written. What the job owns of the user goes too, so that its
values in the directory are nobody's from then on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from msgspec import Struct, json
from msgspec.structs import replace

from connector.errors import UnsettledError, UsageError
from connector.model import OBJECT_CLASS, Drawn
from connector.reconcile.digests import readable
from connector.reconcile.dn import Rdn, rdns
from connector.state.database import Database, Transaction, sound
from connector.state.documents import Documents, texts
from connector.state.ownership import Ownership
from connector.state.pruning import PRUNED

_RUNS: Final = "run in (select id from runs where job = ?)"
_SEEN: Final = f"""
    select user_id, user_name from journal where {_RUNS} and (user_id = ? or lower(user_name) = lower(?))
    union select user_id, user_name from ownership where job = ? and (user_id = ? or lower(user_name) = lower(?))
    union select user_id, user_name from cleared where job = ? and (user_id = ? or lower(user_name) = lower(?))
"""  # noqa: S608  # `_RUNS` is a literal; values are bound
_NAMES: Final = f"""
    select user_name from journal where {_RUNS} and user_id = ?
    union select user_name from ownership where job = ? and user_id = ?
    union select user_name from cleared where job = ? and user_id = ?
"""  # noqa: S608  # `_RUNS` is a literal; values are bound
_ALL_NAMES: Final = f"""
    select user_name from journal where {_RUNS} union select user_name from ownership where job = ?
    union select user_name from cleared where job = ?
"""  # noqa: S608  # `_RUNS` is a literal; values are bound
_COUNTS: Final = (
    f"select count(*), count(distinct run) from journal where {_RUNS} and user_id = ?"  # noqa: S608  # `_RUNS` is a literal; values are bound
)
_BY_USER: Final = ("ownership", "stale", "lapsed", "refused", "kept_writes", "cleared")
"""The tables with a row for each user of a job, but for the exclude list's."""
_OPEN: Final = (
    f"select run from journal where {_RUNS} and user_id = ? and outcome is null"  # noqa: S608  # `_RUNS` is a literal; values are bound
)
_OWED: Final = "select number from audit_lines where job = ? and user_id = ?"
_WHOLE: Final = (
    "select distinct directory from runs where job = ? and kind = 'apply' and coalesce(pilot, 0) = 0 "
    "and id in (select run from journal where user_id = ?)"
)
_HELD: Final = (
    "select directory from ownership where job = ? and user_id = ? and not exists (select 1 from stale "
    "where stale.directory = ownership.directory and stale.job = ownership.job and stale.user_id = ownership.user_id)"
)
_RIVALS: Final = " union ".join(
    f"select job from {table} where job <> ? and directory in ({_HELD})"  # noqa: S608  # literals; values are bound
    for table in ("runs", "ownership", "pruned", "plans")
)
"""Other jobs of a directory where this one holds values of a user: without them, those jobs
could write there."""
_TEXTS: Final = (
    ("journal", _RUNS),
    ("refused", "job = ?"),
    ("attempts", "job = ?"),
    ("holds", "job = ?"),
    ("releases", "job = ?"),
)
"""Where a sentence may name a user, and whose rows are this job's."""
_FORGOTTEN: Final = "(forgotten)"
_LONG: Final = 7
"""Digits of a number that a sentence hardly has for something else."""
Named = list[str | tuple[str, str]]
"""Whom a saved plan names: users that it would change by id and name, all others by name."""


class Person(Struct, frozen=True):
    """What a job's part of a state holds of one user. `owned`: attributes whose values this job wrote last.

    `others`: jobs that wrote to the user too. `rivals`: jobs that could write over what is `owned`, once it is not.
    `documents`: those of a fleet's runs that name the user.
    """

    id: str
    names: tuple[str, ...]
    writes: int
    runs: int
    owned: tuple[str, ...]
    plans: tuple[str, ...]
    excluded: tuple[str, ...]
    others: tuple[str, ...]
    rivals: tuple[str, ...]
    documents: tuple[str, ...] = ()


def _as_said(name: str) -> re.Pattern[str]:
    """An id or name in a sentence; a short number only where that is said of a user, and so is no count or address."""
    before = (
        r"(?:(?<=/Users/)|(?<=user )|(?<=['\"]))"
        if name.isdecimal() and len(name) < _LONG
        else r"(?<!\w)"
    )
    return re.compile(rf"{before}{re.escape(name)}(?!\w)", re.IGNORECASE)


def _dn(name: str) -> tuple[Rdn, ...] | None:
    try:
        return rdns(name)
    except ValueError:
        return None


def _pairs(listed: Named | None) -> Iterator[tuple[str, str]]:
    return (each for each in listed or () if not isinstance(each, str))


class Forgetting:
    """Takes out one user. All of its methods raise StateError.

    `audited`: the audit of the job is a file, which may lack lines that the state keeps.
    """

    def __init__(self, database: Database, job: str, *, audited: bool) -> None:
        self._database = database
        self._job = job
        self._audited = audited

    def find(self, written: str) -> Person:
        """What is known of a user, by id or name, also as `user:NAME`. Raises UsageError for none, or several."""
        user = written.removeprefix("user:")
        ids = self._ids(user) or sorted(
            {id_ for name in self._spellings(user) for id_ in self._ids(name)}
        )
        if not ids:
            why = f"the state of this job knows no user {user!r}, by id or name. Plans that nobody saved leave only ids"
            raise UsageError(f"{why}: write the id", where="USER")
        if len(ids) > 1:
            raise UsageError(
                f"{len(ids)} users had this name: {', '.join(ids)}. Write the id",
                where="USER",
            )
        return self._person(ids[0])

    def _ids(self, user: str) -> list[str]:
        written_to = {
            id_ for id_, _ in self._database.rows(_SEEN, *[self._job, user, user] * 3)
        }
        planned = self._planned(user).difference(map(readable, written_to))
        return sorted(written_to | planned) or self._by_id(user)

    def _spellings(self, name: str) -> Iterator[str]:
        """Names in the state that are the same DN, with other spaces or escapes in it (RFC 4514)."""
        wanted = _dn(name)
        names = {each for (each,) in self._database.rows(_ALL_NAMES, *[self._job] * 3)}
        names.update(each for _, listed in self._saved() for _, each in _pairs(listed))
        yield from (
            each for each in sorted(names) if wanted is not None and _dn(each) == wanted
        )

    def _planned(self, user: str) -> set[str]:
        """Ids of users whom saved plans would change, by id or name."""
        name = readable(user).casefold()
        pairs = [pair for _, listed in self._saved() for pair in _pairs(listed)]
        return {
            id_ for id_, its in pairs if id_ == readable(user) or its.casefold() == name
        }

    def _by_id(self, user: str) -> list[str]:
        """The id, where it is known; of whom a saved plan's problems alone tell, the name stands for it."""
        query = " union ".join(
            f"select user_id from {table} where job = ? and user_id = ?"  # noqa: S608  # literals; values are bound
            for table in _BY_USER
        )
        noted = bool(self._database.rows(query, *[self._job, user] * len(_BY_USER)))
        drawn = (each for *_, plan in self._drawn() for each, _ in plan.changes)
        return (
            [user]
            if noted or readable(user) in drawn or any(self._plans({user}, sure=True))
            else []
        )

    def _person(self, id_: str) -> Person:
        rows, both = self._database.rows, (self._job, id_)
        planned = {
            name
            for _, listed in self._saved()
            for its, name in _pairs(listed)
            if its == readable(id_)
        }
        names = tuple(
            sorted(planned.union(name for (name,) in rows(_NAMES, *both * 3)))
        )
        ((writes, runs),) = rows(_COUNTS, *both)
        entries = rows(
            "select distinct entry from excluded where job = ? and user_id = ? order by 1",
            *both,
        )
        others = rows(
            "select distinct job from ownership where job <> ? and user_id = ? order by 1",
            *both,
        )
        owned = tuple(sorted(self._owned(id_)))
        rivals = rows(f"{_RIVALS} order by 1", *[self._job, *both] * 4) if owned else ()
        return Person(
            id_, names, writes, runs, owned, tuple(self._plans({id_, *names})),
            tuple(entry for (entry,) in entries), tuple(job for (job,) in others), tuple(job for (job,) in rivals),
            tuple(self._documents({id_, *names})),
        )  # fmt: skip

    def _owned(self, id_: str) -> set[str]:
        directories = self._database.rows(
            "select directory from ownership where job = ? and user_id = ?",
            self._job,
            id_,
        )
        return {
            name
            for (directory,) in directories
            for row in Ownership(self._database, directory).of([id_])
            for name, each in row.attributes.items()
            if row.job == self._job and name != OBJECT_CLASS and not each.restored
        }

    def _plans(self, named: set[str], *, sure: bool = False) -> Iterator[str]:
        """Saved plans that name the user; those of before it was noted whom they name may do, unless it is `sure`."""
        known = {readable(each).casefold() for each in named}
        for plan, listed in self._saved():
            said = [
                text
                for each in listed or ()
                for text in ([each] if isinstance(each, str) else each)
            ]
            if not known.isdisjoint(text.casefold() for text in said) or (
                listed is None and not sure
            ):
                yield plan

    def _documents(self, named: set[str]) -> Iterator[str]:
        """Documents of a fleet's runs that name the user, by a field or in a sentence."""
        known = {readable(each).casefold() for each in named}
        said = [_as_said(each) for each in known]
        for document in Documents(self._database).every(self._job):
            with sound(self._database, "a kept document"):
                if any(
                    text.casefold() in known or any(each.search(text) for each in said)
                    for text in texts(document)
                ):
                    yield document.id

    def _saved(self) -> Iterator[tuple[str, Named | None]]:
        """Saved plans, each with whom it names, where that was noted."""
        for plan, users in self._database.rows(
            "select id, users from plans where job = ? order by id", self._job
        ):
            with sound(self._database, "a saved plan"):
                listed = json.decode(users, type=Named) if users else None
            yield plan, listed

    def _drawn(self) -> Iterator[tuple[str, str, str, Drawn]]:
        """Earlier plans, as far as later ones are compared with them: table, key, its value, plan."""
        for table, key in (("drawn", "drawn_by"), ("run_plans", "run")):
            query = f"select {key}, plan from {table} where job = ?"  # noqa: S608  # names of tables and columns are literals; values are bound
            for kept, plan in self._database.rows(query, self._job):
                with sound(self._database, "an earlier plan"):
                    drawn = json.decode(plan, type=Drawn)
                yield table, key, kept, drawn

    # ------------------------------------------------------------ taking out

    def forget(self, id_: str, rivals: Collection[str] = ()) -> Person:
        """Take the user with this id out; what there was. Raises UnsettledError where its writes are still needed.

        Also where they hold back other jobs than those `rivals`, which somebody knows and
        lets write there.
        """
        for (run,) in self._database.rows(_OPEN, self._job, id_):
            why = "the outcome of writes to this user is unknown. To settle them, rerun the job. Then forget the user"
            raise UnsettledError(why, where=run)
        if self._audited and self._database.rows(_OWED, self._job, id_):
            why = "the audit may lack writes to this user. Run audit catch-up. Then forget the user"
            raise UnsettledError(why, where=id_)
        person = self._person(id_)
        if named := ", ".join(job for job in person.rivals if job not in rivals):
            why = (
                f"other jobs ({named}) could then write over what an agent of this job still holds there. Remove the "
                "agent from the source and apply. Then forget the user. To forget it now, add --yes"
            )
            raise UnsettledError(why, where=id_)
        with self._database.writing() as transaction:
            for (directory,) in self._database.rows(_WHOLE, self._job, id_):
                transaction.execute(PRUNED, (directory, self._job, "", 1))
            transaction.execute(
                f"delete from journal where {_RUNS} and user_id = ?",  # noqa: S608  # a literal; values are bound
                (self._job, id_),
            )
            for table in _BY_USER:
                transaction.execute(
                    f"delete from {table} where job = ? and user_id = ?",  # noqa: S608  # one of the literals above; values are bound
                    (self._job, id_),
                )
            transaction.executemany(
                "delete from plans where id = ?", ((plan,) for plan in person.plans)
            )
            transaction.executemany(
                "delete from documents where id = ?",
                ((each,) for each in person.documents),
            )
            self._forget_drawn(transaction, person)
            for name in sorted({id_, *person.names}, key=len, reverse=True):
                self._forget_in_texts(transaction, name)
        return person

    def _forget_drawn(self, transaction: Transaction, person: Person) -> None:
        """What earlier plans say of the user; of those that named it, also what problems they had."""
        for table, key, kept, drawn in list(self._drawn()):
            left = replace(
                drawn,
                changes=[
                    each for each in drawn.changes if each[0] != readable(person.id)
                ],
            )
            if drawn.plan in person.plans:
                left = replace(left, problems=[])
            if left != drawn:
                update = f"update {table} set plan = ? where job = ? and {key} = ?"  # noqa: S608  # names of tables and columns are literals; values are bound
                transaction.execute(
                    update, (json.encode(left).decode(), self._job, kept)
                )

    def _forget_in_texts(self, transaction: Transaction, name: str) -> None:
        """Sentences about other users, and about attempts, that name this one."""
        whole = _as_said(name)
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", name) + "%"
        for table, ours in _TEXTS:
            query = f"select distinct why from {table} where {ours} and lower(why) like lower(?) escape '\\'"  # noqa: S608  # names of tables and columns are literals; values are bound
            for (why,) in self._database.rows(query, self._job, pattern):
                said = whole.sub(_FORGOTTEN, why)
                transaction.execute(
                    f"update {table} set why = ? where {ours} and why = ?",  # noqa: S608  # names of tables are literals; values are bound
                    (said, self._job, why),
                )
