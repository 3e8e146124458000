"""What the state needs of a database, and its tables: one SQL text, with `?` for values, serves every kind.

meta         in PostgreSQL, the number of the format
facts        by `kind`, what is known of a job, of a directory, or of both; `value` as it says there:
             `key` of a job, what its key is known by (`Sealer.check`), never a key itself;
             `identity` of a job, what it was when it was applied last (`JobIdentity`, JSON);
             `users` of a directory, how many it has been seen to have;
             `secret` of a directory, the `name` of an attribute into which some job wrote secrets;
             `pruned` of both, until when runs were pruned, and whether they were whole applies that wrote (JSON);
             `looked` of both, when an apply last looked for who is stale (JSON)
notes        by `kind`, what the last applies of a job noted of a user:
             `stale`, whom no agent claims: in how many `runs`, and for how many seconds by then (`number`);
             `lapsed`, who was found nowhere, and said to be so;
             `excluded`, whom the entry `name` of the exclude list has named: it may have been renamed since;
             `refused`, `why` the directory did not let the job write which attributes (`value`, JSON), in how many
             `runs` running, and the turn (`number`), the greater, the later it was tried last;
             `cleared`, that attribute `name` was cleared, when, and what was the job's own there (JSON)
runs         an apply (or an undo, of `undoes`) that was begun. `result`: done, part; stopped: there are changes that
             were never tried; null: it was killed. `server`: which of the directory's it asked last.
             `number` orders them, for clocks are set back. `agents`, `matched` and `assigned` (to an account): what the
             next run's are held against. `pilot`: it was of some agents alone
journal      what a run set out to write. `part`: what went first, or empty (`model.WritePart`). `outcome` null: it is
             not known whether it was written; `server`: the one that it was meant for, or several with ", ";
             `lost`: attributes (JSON) that the directory took and does not show as written. `earlier`: whose the old
             values were, by attribute (`EarlierOwner`, JSON). When it was `noted`, first as about to be written
ownership    what each job wrote last, where: of each user the `attributes` (`ownership.py`), and the most `times` in
             a row that one of them was the same; for which `agent` (JSON), null where that is not known
events       what happened to a job beside its runs; `number` orders attempts and releases among them:
             `apply` and `undo`, an attempt that came to no run, and why; `release`, a hold that was ended by people who
             had to approve it; `approval`, `who` has approved the run or release `id`, by which key (`digest`), and
             when that was judged; `begin`, `who` has begun the run `id`, in which process (`why`), and when (`ended`);
             `hold`, the job applies nothing until somebody releases it
documents    plans, by their ids: `saved`, a plan for a reviewer: the SHA-256 of its file (`digest`), and
             whom it names (`content`, JSON); runs that begin later have its `number` or a higher one;
             `plan`, a fleet's that waits, one a job, and `report`, what became of one (`octets`: JSON, compressed by
             zlib); `run`, of a run or attempt, and `drawn`, of the last full plan of those who had it drawn (`id`),
             what later plans are compared with (`EarlierPlan`, JSON); `matched`, of the last full plan,
             what siblings are told of its agents (`SiblingPlan`, JSON)
audits       of each job the last line of its audit: its number in the chain, and its digest
audit_lines  lines of audits that no file has for certain (`audit_lines.py`). `user_id`: whom it is about
schedule     the last run of a job by `serve`: its tick, whether it came to its end, and the last good one's tick
"""

from __future__ import annotations

import os
import re
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from msgspec import json

from connector.errors import DamagedError, StateError
from connector.model import Change, Outcome, Owned

Kept = TypeVar("Kept")
Row = Sequence[str | int | bytes | None]
Slot = tuple[str, str]
"""An attribute of a user: the user's id, and the attribute's name."""
Ended = tuple[Change, Outcome]
"""A write, and what became of it."""
_ESCAPE: Final = "\ufdd0"
"""A code point that is reserved for a program's own use (Unicode 23.7), and that both
databases take."""
_SHORT: Final = 20
"""So many letters of a host's name are in a session's of PostgreSQL, which may be of 63 octets."""
_ASKED: Final = 500
"""So many users are asked about by one statement."""
_UNSTORABLE: Final = re.compile(f"[\0\ud800-\udfff{_ESCAPE}]")
_ESCAPED: Final = re.compile(f"{_ESCAPE}([0-9a-f]{{4}})")


class Transaction:
    """Statements that are durable together, or not at all; they take `?` for values, and any text.

    `translated`: a statement as the library of `cursor` takes it.
    """

    def __init__(
        self, cursor: Any, translated: Callable[[str], str | bytes] = str
    ) -> None:
        self._cursor = cursor
        self._translated = translated

    def execute(self, sql: str, values: Row = ()) -> None:
        """One statement."""
        self._cursor.execute(self._translated(sql), make_storable(values))

    def executemany(self, sql: str, rows: Iterable[Row]) -> None:
        """One statement for every row."""
        self._cursor.executemany(self._translated(sql), map(make_storable, rows))


class Database(Protocol):
    """An open database. All of its methods raise StateError; `where` names it in messages, without a password.

    Any text comes back as it was given.
    """

    where: str
    kept: bool
    """Whether it outlives this process."""

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        """What a query finds."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """One transaction, durable at its end; nothing of it is kept where it raises."""

    def migrating(self) -> AbstractContextManager[Transaction]:
        """The same, and no other process has one at the same time."""

    def version(self) -> int:
        """The number of the last migration; 0 where there was none."""

    def note_version(self, transaction: Transaction, version: int) -> None:
        """Note the number of a migration, as a part of it."""

    def lease(self, name: str, job: str = "") -> AbstractContextManager[None]:
        """Hold a name until the end or death of this process, for this job.

        Raises BusyError where another process holds it; the message says who, as far as
        that process could leave word.
        """

    def find_holder(self, name: str) -> str | None:
        """The word of the process that holds a lease, empty if it left none; None: nobody holds it.

        Nothing is taken, and nobody has to wait.
        """

    def size(self) -> tuple[int, int]:
        """Its octets, and those of them that hold nothing and are used again."""

    def faults(self) -> list[str]:
        """What the database's own check finds; nothing where it has none."""

    def back_up(self, path: Path) -> None:
        """Write a whole copy to a new file, while others go on. Raises UsageError where that is not ours to do."""

    def close(self) -> None:
        """Let go of it. Never raises."""


def name_process() -> str:
    """The process that runs, as the words of its leases name it."""
    return f"on {socket.gethostname()[:_SHORT]}, process {os.getpid()},"


def find_value(database: Database, sql: str, *values: str | int) -> Any:
    """The first column of the first row that a query finds; None: it finds none."""
    return next(iter(find_column(database, sql, *values)), None)


def find_column(database: Database, sql: str, *values: str | int) -> list[Any]:
    """The first column of all rows that a query finds."""
    return [row[0] for row in database.rows(sql, *values)]


def write_one(database: Database, sql: str, *values: str | int | None) -> None:
    """One statement, durable at its end."""
    with database.writing() as transaction:
        transaction.execute(sql, values)


def encode_text(value: object) -> str:
    """A value as JSON, for a row."""
    return json.encode(value).decode()


@contextmanager
def reading_kept(database: Database, what: str) -> Iterator[None]:
    """Read what was kept. Raises StateError, naming `what`, where it is not as this program writes it."""
    try:
        yield
    # msgspec raises kinds of ValueError
    except (TypeError, ValueError, OverflowError, zlib.error) as fault:
        raise DamagedError(
            f"the state is damaged: {what} cannot be read", where=database.where
        ) from fault


def decode_kept(
    database: Database, text: str | bytes, kind: type[Kept], what: str
) -> Kept:
    """Read JSON that was kept. Raises StateError, naming `what`, where it is not as this program writes it."""
    with reading_kept(database, what):
        return json.decode(text, type=kind)


def make_storable(row: Row) -> Row:
    """A row with nothing in it that a database cannot store: NUL, and halves of surrogate pairs, are spelt out."""
    return [_spell_out(each) if isinstance(each, str) else each for each in row]


def _spell_out(text: str) -> str:
    if text.isascii() and "\0" not in text:  # as nearly every one is
        return text
    return _UNSTORABLE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def rows_of_users(
    database: Database, sql: str, users: Sequence[str], *values: str
) -> Iterator[tuple[Any, ...]]:
    """What a query finds of these users, by id, for whom `{users}` stands after all other values."""
    for start in range(0, len(users), _ASKED):
        some = users[start : start + _ASKED]
        yield from database.rows(
            sql.format(users=", ".join("?" * len(some))), *values, *some
        )


def restore_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as it was before `make_storable`."""
    return tuple(_restore_text(each) if isinstance(each, str) else each for each in row)


def _restore_text(text: str) -> str:
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


FORMAT: Final = 30
"""The number of these tables' format."""
_DELIVERED: Final = 22
"""The oldest format that is still read."""
_LISTS_SECRETS: Final = 24
"""The first format that lists attributes with secrets."""

TABLES_SQL: Final = """
    create table meta (name text primary key, value text not null);
    create table facts (
        kind text not null, job text not null, directory text not null, name text not null, value text not null,
        primary key (kind, job, directory, name)
    );
    create table notes (
        kind text not null, job text not null, directory text not null, user_id text not null, name text not null,
        user_name text not null, value text not null, why text not null, runs integer not null,
        number bigint not null, primary key (kind, job, directory, user_id, name)
    );
    create table runs (
        id text primary key, job text not null, directory text not null, started text not null, ended text,
        digest text not null, agents integer not null, matched integer not null, assigned integer not null,
        summary text not null, result text, kind text not null, undoes text, number integer not null,
        server text not null, pilot integer
    );
    create table journal (
        run text not null references runs, user_id text not null, user_name text not null, digest text not null,
        part text not null, agent text, rule integer, attributes text not null, outcome text, why text,
        server text not null, lost text, noted text, earlier text,
        primary key (run, user_id, digest, part)
    );
    create index journal_open on journal (run) where outcome is null;
    create index journal_lost on journal (user_id) where lost is not null;
    create index journal_users on journal (user_id);
    create table ownership (
        directory text not null, job text not null, user_id text not null, user_name text not null,
        attributes text not null, times integer not null, agent text, primary key (directory, user_id, job)
    );
    create index ownership_jobs on ownership (directory, job);
    create table events (
        kind text not null, job text not null, id text not null, who text not null, started text not null,
        ended text not null, why text not null, digest text not null, result text not null, plan text, undoes text,
        number integer not null, primary key (kind, job, id, who)
    );
    create table documents (
        kind text not null, job text not null, id text not null, directory text not null, created text not null,
        digest text not null, content text not null, octets bytea, undoes text, number integer not null,
        primary key (kind, job, id)
    );
    create unique index documents_waiting on documents (job) where kind = 'plan';
    create table audits (job text primary key, number bigint not null, digest text not null);
    create table audit_lines (
        job text not null, number bigint not null, time text not null, user_id text not null, line text not null,
        primary key (job, number)
    );
    create table schedule (job text primary key, tick text not null, ended integer not null, good text)
"""
TABLES: Final = tuple(re.findall(r"create table (\w+)", TABLES_SQL))


def migrate_tables(database: Database) -> None:
    """Bring the tables up to date. Raises StateError, also for tables of another version that this one cannot read."""
    if _read_version(database) == FORMAT:
        return
    with database.migrating() as transaction:
        # again, now that nobody else can be at it
        version = _read_version(database)
        if version == FORMAT:
            return
        if version:
            _upgrade_tables(database, transaction, version)
        else:
            _execute_all(transaction, TABLES_SQL)
        database.note_version(transaction, FORMAT)


def _read_version(database: Database) -> int:
    version = database.version()
    if 0 < version < _DELIVERED:
        raise StateError(
            f"the state was written before release 0.1.0 (format {version}) and is not read. Move it away; the "
            "next run creates a new one. A new state knows no earlier writes: they are neither cleared nor "
            "undone. It knows no holds, and hidden passwords are set again",
            where=database.where,
        )
    if not 0 <= version <= FORMAT:
        raise StateError(
            f"the state was written by a newer version of this program (format {version}; this one knows formats up to "
            f"{FORMAT})",
            where=database.where,
        )
    return version


# ------------------------------------------------------------ from the delivered format

_STEPS: Final = {
    23: """
        alter table ownership add column agent text;
        update ownership set agent = (
            select agent from journal join runs on runs.id = run
            where runs.job = ownership.job and runs.directory = ownership.directory and user_id = ownership.user_id
            and kind = 'apply' and outcome = 'written' and agent is not null order by number desc limit 1
        )
    """,
    24: "create table secrets (directory text not null, attribute text not null, primary key (directory, attribute))",
    25: """
        alter table plans add column number integer;
        update plans set number = (select coalesce(max(number), 0) + 1 from runs where started <= plans.saved)
    """,
    26: """
        create table cleared (
            directory text not null, job text not null, user_id text not null, user_name text not null,
            attribute text not null, time text not null, held text not null,
            primary key (directory, job, user_id, attribute)
        )
    """,
    27: """
        create table audits (job text primary key, number bigint not null, digest text not null);
        create table audit_lines (
            job text not null, number bigint not null, time text not null, user_id text not null, line text not null,
            primary key (job, number)
        );
        insert into audits (job, number, digest)
            select job, seq, digest from chains where seq > 0 and under_way = 0 and (sink = 'file' or not exists (
                select 1 from chains as other where other.job = chains.job and other.sink = 'file' and other.seq > 0
            ));
        drop table told;
        drop table chains;
        alter table journal drop column told_as;
        alter table runs drop column numbered;
        alter table runs drop column who
    """,
    28: """
        alter table journal add column earlier text;
        drop index documents_waiting;
        alter table documents rename to fleet_documents
    """,
}
"""What each format since the delivered one has changed, but for what goes to other tables."""
_NEW: Final = re.compile(r"create (table|unique index) (facts|notes|events|documents)")
_MOVES: Final = """
    insert into facts select 'key', substr(name, 8), '', '', value from meta where name like 'key of %';
    insert into facts select 'identity', job, '', '', case when source like '{%' then source else
        '{"tenant":"' || replace(replace(case when source like '% (app ____________)'
        then substr(source, 1, length(source) - 19) else source end, '\\', '\\\\'), '"', '\\"') || '","directory":"' ||
        replace(replace(coalesce((select directory from runs where runs.job = sources.job order by number desc limit 1),
        ''), '\\', '\\\\'), '"', '\\"') || '"}' end from sources;
    insert into facts select 'users', '', identity, '', '' || users from directories;
    insert into facts select 'secret', '', directory, attribute, '' from secrets;
    insert into facts select 'pruned', job, directory, '', '["' || until || '",' ||
        case when whole = 1 then 'true]' else 'false]' end from pruned;
    insert into facts select 'looked', job, directory, '', '{"time":"' || time || '","boot":"' || boot || '","up":' ||
        up || ',"sure":' || case when sure = 1 then 'true}' else 'false}' end from clocks;
    insert into notes select 'stale', job, directory, user_id, '', '', '', '', runs, waited from stale;
    insert into notes select 'lapsed', job, directory, user_id, '', '', '', '', 0, 0 from lapsed;
    insert into notes select 'excluded', job, directory, user_id, entry, '', '', '', 0, 0 from excluded;
    insert into notes select 'refused', job, directory, user_id, '', '', attributes, why, runs, turn from refused;
    insert into notes select 'cleared', job, directory, user_id, attribute, user_name,
        '["' || time || '",' || held || ']', '', 0, 0 from cleared;
    insert into events select kind, job, id, '', started, ended, why, digest, result, plan, undoes, number
        from attempts;
    insert into events select 'release', job, id, '', time, time, why, '', 'done', null, null, number from releases;
    insert into events select 'approval', job, run, who, time, time, '', fingerprint, '', null, null, 0 from approvals
        join (select id, job from runs union all select id, job from releases) as approved on approved.id = run;
    insert into events select 'hold', job, '', '', since, since, why, '', '', null, null, 0 from holds;
    insert into documents select 'saved', job, id, directory, saved, seal, users, null, undoes, number
        from plans where users is not null and file is not null;
    insert into documents select kind, job, id, '', created, digest, '', octets, null, 0 from fleet_documents;
    insert into documents select 'drawn', job, drawn_by, '', '', '', plan, null, null, 0 from drawn;
    insert into documents select 'run', job, run, '', '', '', plan, null, null, number from run_plans;
    delete from meta where name like 'key of %'
"""
"""Where the rows of earlier tables are now. Whose the values were that earlier runs have replaced is not known.

A job's source alone was noted by the delivered version, with a digest of its app key.
"""
_OLD: Final = (
    "sources", "directories", "secrets", "pruned", "clocks", "holders", "stale", "lapsed", "excluded", "refused",
    "cleared", "attempts", "releases", "approvals", "holds", "plans", "fleet_documents", "drawn", "run_plans",
    "kept_writes",
)  # fmt: skip


def _upgrade_tables(database: Database, transaction: Transaction, version: int) -> None:
    """Make these tables of those of a format since the delivered one."""
    steps = [text for number, text in _STEPS.items() if number > version]
    _execute_all(transaction, ";".join(steps))
    if version < _LISTS_SECRETS:
        _note_earlier_secrets(database, transaction)
    new = [text for text in TABLES_SQL.split(";") if _NEW.search(text)]
    drops = [f"drop table {table}" for table in _OLD]
    _execute_all(transaction, ";".join([*new, _MOVES, *drops]))


def _execute_all(transaction: Transaction, statements: str) -> None:
    for statement in statements.split(";"):
        transaction.execute(statement)


def _note_earlier_secrets(database: Database, transaction: Transaction) -> None:
    """Note what a state knows of secrets that was kept before there was a list of them."""
    found = set[tuple[str, str]]()
    for directory, attributes in database.rows(
        "select directory, attributes from journal join runs on runs.id = journal.run "
        "union all select directory, attributes from kept_writes"
    ):
        for each in json.decode(attributes):
            if "secret" in each:
                found.add((directory, each["name"]))
    for directory, attributes in database.rows(
        "select directory, attributes from ownership"
    ):
        for name, owned in json.decode(attributes, type=dict[str, Owned]).items():
            if owned.fingerprint:
                found.add((directory, name))
    transaction.executemany("insert into secrets values (?, ?)", found)
