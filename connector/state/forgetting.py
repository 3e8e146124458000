"""Taking one person out of a job's part of a state: ids, names and values, in one transaction.

The entries of the exclude list keep the ids that they have named: without them, a user who
was renamed since would be written. What the job owns of the user goes too, so that its
values in the directory are nobody's from then on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import UnsettledError, UsageError
from connector.model import AgentRef
from connector.model.digests import make_readable
from connector.model.dn import Rdn, split_rdns
from connector.planning.person_names import is_named
from connector.state.database import (
    Database,
    Transaction,
    find_column,
    find_value,
    reading_kept,
)
from connector.state.documents import (
    FleetDocuments,
    put_drawn,
    read_drawn,
    read_saved_plans,
    read_texts,
)
from connector.state.journal_rows import restore_agent
from connector.state.notes import note_pruned
from connector.state.ownership import Ownership, find_written

_NAMES: Final = """
    select user_id, user_name from journal where run in (select id from runs where job = ?)
    union select user_id, user_name from ownership where job = ?
    union select user_id, user_name from notes where kind <> 'excluded' and job = ?
"""
"""The users of whom a job knows, each with every name that it had; some notes have no name."""
_AGENTS: Final = """
    select agent, user_id from journal where agent is not null and run in (select id from runs where job = ?)
    union select agent, user_id from ownership where agent is not null and job = ?
"""
"""Agents for whom a job wrote to users."""
_AGENT_KINDS: Final = ("account", "seat")
_KINDS: Final = (*_AGENT_KINDS, "user")
_OUT: Final = (
    "delete from journal where run in (select id from runs where job = ?) and user_id = ?",
    "delete from ownership where job = ? and user_id = ?",
    "delete from notes where kind <> 'excluded' and job = ? and user_id = ?",
)
_HELD: Final = (
    "select directory from ownership where job = ? and user_id = ? and not exists (select 1 from notes "
    "where kind = 'stale' and notes.directory = ownership.directory and notes.job = ownership.job "
    "and notes.user_id = ownership.user_id)"
)
_RIVALS: Final = " union ".join(
    f"select job from {table} where job not in (?, '') and directory in ({_HELD})"  # noqa: S608  # literals; values are bound
    for table in ("runs", "ownership", "facts", "documents")
)
"""Other jobs of a directory where this one holds values of a user: without them, those jobs
could write there."""
_TEXTS: Final = (
    ("journal", "run in (select id from runs where job = ?)"),
    ("notes", "job = ?"),
    ("events", "job = ?"),
)
"""Where a sentence may name a user, and whose rows are this job's."""

_LONG: Final = 7
"""Digits of a number that a sentence hardly has for something else."""


Texts = tuple[str, ...]
"""Several names, ids or attributes."""


class Person(Struct, frozen=True):
    """What a job's part of a state holds of one user."""

    id: str
    names: Texts
    writes: int
    runs: int
    owned: Texts
    """Attributes whose values this job wrote last."""
    plans: Texts
    """Saved plans that name the user."""
    excluded: Texts
    """Entries of the exclude list."""
    others: Texts
    """Jobs that wrote to the user too."""
    rivals: Texts
    """Jobs that could write over what is owned, once it is not."""
    documents: Texts = ()
    """Documents of a fleet's runs that name the user."""


class Forgetting:
    """Takes out one user. All of its methods raise StateError.

    `audited`: the audit of the job is a file, which may lack lines that the state keeps.
    """

    def __init__(self, database: Database, job: str, *, audited: bool) -> None:
        self._database = database
        self._job = job
        self._audited = audited

    # ------------------------------------------------------------ who it is

    def find_person(self, written: str) -> Person:
        """What is known of a user: by id, name or uid, or by its agent's account or seat; also with `user:` and so on.

        Raises UsageError for none, or several.
        """
        kind, _, text = written.partition(":")
        if kind not in _KINDS:
            kind, text = "", written
        ids = [] if kind in _AGENT_KINDS else self._find_ids(text)
        ids = ids or sorted(self._find_alike(kind, text))
        if not ids:
            why = f"the state of this job knows no user {written!r}, by id, name, uid, account or seat"
            hint = "It keeps no mails. Plans that nobody saved leave only ids: write the id"
            raise UsageError(f"{why}. {hint}", where="USER")
        if len(ids) > 1:
            known = sorted(each for each in self._read_names() if each[0] in ids)
            some = " or ".join(f"user:{id_} ({name})" for id_, name in known)
            why = f"{len(ids)} users had this name. Name one of them: {some}"
            raise UsageError(why, where="USER")
        return self._describe_person(ids[0])

    def _find_alike(self, kind: str, text: str) -> set[str]:
        """The ids of users with this uid, or of an agent with this account or seat; `kind`: of one of these alone."""
        ids = set[str]()
        if kind not in _AGENT_KINDS:
            ids = {id_ for id_, name in self._read_names() if is_named(name, text)}
        if kind == "user":
            return ids
        for agent, id_ in self._database.rows(_AGENTS, self._job, self._job):
            with reading_kept(self._database, "an agent"):
                ref = restore_agent(agent) or AgentRef()
            if kind != "seat" and text == ref.account_code:
                ids.add(id_)
            if kind != "account" and text.isdecimal() and int(text) == ref.work_no:
                ids.add(id_)
        return ids

    def _find_ids(self, user: str) -> list[str]:
        """The ids of a user: by id or name; by a DN with other spaces or escapes (RFC 4514); else the id of a plan."""
        known = self._read_names()
        text = make_readable(user)
        ids = {
            id_
            for id_, name in known
            if user == id_ or make_readable(name).casefold() == text.casefold()
        }
        if ids:
            return sorted(ids)
        drawn = read_drawn(self._database, self._job)
        if any(text == id_ for *_, plan in drawn for id_, _ in plan.changes):
            return [user]
        if any(self._find_documents({user})):
            return [user]
        with suppress(ValueError):
            wanted = split_rdns(user)
            return sorted({id_ for id_, name in known if _is_dn(name, wanted)})
        return []

    def _read_names(self) -> set[tuple[str, str]]:
        """Users by id and name: whom the job wrote to, and whom saved plans would change."""
        known = set(self._database.rows(_NAMES, *[self._job] * 3))
        ids = {make_readable(id_): id_ for id_, _ in known}
        for _, plan in read_saved_plans(self._database, self._job):
            for each in plan:
                if not isinstance(each, str):
                    id_, name = each
                    known.add((ids.get(id_, id_), name))
        return known

    def _describe_person(self, id_: str) -> Person:
        both = (self._job, id_)
        names = {name for its, name in self._read_names() if its == id_ and name}
        ((writes, runs),) = self._database.rows(
            "select count(*), count(distinct run) from journal where run in (select id from runs "
            "where job = ?) and user_id = ?",
            *both,
        )
        owned = tuple(sorted(self._find_owned(id_)))
        documents = list(self._find_documents({id_, *names}))
        return Person(
            id_,
            tuple(sorted(names)),
            writes,
            runs,
            owned,
            tuple(each for kind, each in documents if kind == "saved"),
            self._find_texts(
                "select distinct name from notes where kind = 'excluded' and job = ? and user_id = ? order by 1",
                *both,
            ),
            self._find_texts(
                "select distinct job from ownership where job <> ? and user_id = ? order by 1",
                *both,
            ),
            self._find_texts(f"{_RIVALS} order by 1", *[self._job, *both] * 4)
            if owned
            else (),
            tuple(each for kind, each in documents if kind != "saved"),
        )

    def _find_texts(self, query: str, *values: str) -> Texts:
        return tuple(find_column(self._database, query, *values))

    def _find_owned(self, id_: str) -> set[str]:
        owned = set[str]()
        for directory in self._find_texts(
            "select directory from ownership where job = ? and user_id = ?",
            self._job,
            id_,
        ):
            ownership = Ownership(self._database, directory)
            for row in ownership.find_rows("job = ? and user_id = ?", self._job, id_):
                owned |= find_written(row.attributes).keys()
        return owned

    def _find_documents(self, named: set[str]) -> Iterator[tuple[str, str]]:
        """Saved plans that name the user, and documents of a fleet's runs that do, also in a sentence: kind and id."""
        known = {make_readable(each).casefold() for each in named}
        saved = self._database.rows(
            "select kind, id, content from documents where kind = 'saved' and job = ? order by id",
            self._job,
        )
        kept = FleetDocuments(self._database).read_all(self._job)
        of_fleet = ((each.kind, each.id, each.octets) for each in kept)
        for kind, id_, content in chain(saved, of_fleet):
            # of a saved plan there are ids and names alone, and a part of a name is no user's
            has_sentences = kind != "saved"
            patterns = [_pattern_of(each) for each in known if has_sentences]
            with reading_kept(self._database, "a kept document"):
                texts = list(read_texts(content))
            for text in texts:
                if text.casefold() in known or any(
                    one.search(text) for one in patterns
                ):
                    yield kind, id_
                    break

    # ------------------------------------------------------------ taking out

    def forget_person(self, id_: str, rivals: Collection[str] = ()) -> Person:
        """Take the user with this id out; what there was. Raises UnsettledError where its writes are still needed.

        Also where they hold back other jobs than those `rivals`, which somebody knows and
        lets write there.
        """
        self._require_settled(id_)
        person = self._describe_person(id_)
        if named := ", ".join(job for job in person.rivals if job not in rivals):
            why = (
                f"other jobs ({named}) could then write over what an agent of this job still holds there. Remove the "
                "agent from the source and apply. Then forget the user. To forget it now, add --yes"
            )
            raise UnsettledError(why, where=id_)
        with self._database.writing() as transaction:
            for directory in find_column(
                self._database,
                "select distinct directory from runs where job = ? and kind = 'apply' and coalesce(pilot, 0) = 0 "
                "and id in (select run from journal where user_id = ?)",
                self._job,
                id_,
            ):
                note_pruned(
                    self._database, transaction, self._job, directory, whole=True
                )
            for statement in _OUT:
                transaction.execute(statement, (self._job, id_))
            transaction.executemany(
                "delete from documents where job = ? and id = ? and kind in ('saved', 'plan', 'report')",
                [(self._job, each) for each in {*person.plans, *person.documents}],
            )
            # the next plan says it anew
            transaction.execute(
                "delete from documents where kind = 'matched' and job = ?",
                (self._job,),
            )
            gone = make_readable(person.id)
            for key, number, drawn in list(read_drawn(self._database, self._job)):
                changes = [each for each in drawn.changes if each[0] != gone]
                # of plans that named the user, also what problems they had
                problems = [] if drawn.plan in person.plans else drawn.problems
                left = replace(drawn, changes=changes, problems=problems)
                if left != drawn:
                    put_drawn(transaction, key, left, number)
            for name in sorted({id_, *person.names}, key=len, reverse=True):
                self._forget_in_texts(transaction, name)
        return person

    def _require_settled(self, id_: str) -> None:
        run = find_value(
            self._database,
            "select run from journal where run in (select id from runs "
            "where job = ?) and user_id = ? and outcome is null",
            self._job,
            id_,
        )
        if run:
            raise UnsettledError(
                "the outcome of writes to this user is unknown. To settle them, rerun the job. Then forget the user",
                where=run,
            )
        if self._audited and self._database.rows(
            "select number from audit_lines where job = ? and user_id = ?",
            self._job,
            id_,
        ):
            raise UnsettledError(
                "the audit may lack writes to this user. Run audit catch-up. Then forget the user",
                where=id_,
            )

    def _forget_in_texts(self, transaction: Transaction, name: str) -> None:
        """Sentences about other users, and about attempts, that name this one."""
        whole = _pattern_of(name)
        pattern = "%" + re.sub(r"([\\%_])", r"\\\1", name) + "%"
        for table, ours in _TEXTS:
            query = f"select distinct why from {table} where {ours} and lower(why) like lower(?) escape '\\'"  # noqa: S608  # names of tables and columns are literals; values are bound
            update = f"update {table} set why = ? where {ours} and why = ?"  # noqa: S608  # names of tables are literals; values are bound
            for why in find_column(self._database, query, self._job, pattern):
                said = whole.sub("(forgotten)", why)
                transaction.execute(update, (said, self._job, why))


def _pattern_of(name: str) -> re.Pattern[str]:
    """An id or name in a sentence; a short number only where that is said of a user, and so is no count or address."""
    before = r"(?<!\w)"
    if name.isdecimal() and len(name) < _LONG:
        before = r"(?:(?<=/Users/)|(?<=user )|(?<=['\"]))"
    return re.compile(rf"{before}{re.escape(name)}(?!\w)", re.IGNORECASE)


def _is_dn(name: str, wanted: tuple[Rdn, ...]) -> bool:
    try:
        return split_rdns(name) == wanted
    except ValueError:
        return False
