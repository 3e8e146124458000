"""The tables, as numbered migrations that only go forward. A number that was once released never changes.

runs         an apply (or an undo, of `undoes`) that was begun. `result`: done, part; stopped: there are changes that
             were never tried; null: it was killed. `number` orders them, for clocks are set back
journal      what a run set out to write. `part`: what went first, or empty (`model.Part`). `outcome` null: it is
             not known whether it was written
ownership    what we wrote last, where: of each user the `attributes` (`ownership.py`), and the most `times` in a row
             that one of them was the same
plans        plans that were saved for a reviewer
holds        jobs that apply nothing until somebody releases them
stale        users that nobody claims any more of whom a job has written: since when, and in how many of its runs
directories  how many users a directory has been seen to have
schedule     the last run of a job by `serve`: its tick, whether it came to its end, and the last good one's tick
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final

from connector.errors import StateError
from connector.state.database import Database, Transaction
from connector.state.ownership import by_user

MIGRATIONS: Final = (
    """
    create table meta (name text primary key, value text not null);
    create table runs (
        id text primary key, job text not null, directory text not null, started text not null, ended text,
        digest text not null, agents integer not null, summary text not null, result text
    );
    create table journal (
        run text not null references runs, user_id text not null, user_name text not null, digest text not null,
        outcome text, why text, primary key (run, user_id, digest)
    );
    create table ownership (
        directory text not null, user_id text not null, user_name text not null, attribute text not null,
        fingerprint text, run text not null references runs, primary key (directory, user_id, attribute)
    )
    """,
    """
    alter table runs add column kind text not null default 'apply';
    alter table runs add column undoes text;
    alter table journal add column agent text;
    alter table journal add column rule integer;
    alter table journal add column attributes text not null default '[]';
    create index journal_open on journal (run) where outcome is null;
    create index journal_users on journal (user_id);
    alter table ownership add column value text;
    alter table ownership add column times integer not null default 1;
    create table plans (
        id text primary key, job text not null, directory text not null, digest text not null, seal text not null
    );
    create table holds (job text primary key, since text not null, why text not null);
    create table stale (
        directory text not null, user_id text not null, since text not null, runs integer not null,
        primary key (directory, user_id)
    );
    create table directories (identity text primary key, users integer not null)
    """,
    """
    create table schedule (job text primary key, tick text not null, ended integer not null, good text)
    """,
    """
    alter table runs add column number integer not null default 0;
    update runs set number = (select count(*) from runs as earlier where earlier.started <= runs.started);
    drop table stale;
    create table stale (
        directory text not null, job text not null, user_id text not null, since text not null, runs integer not null,
        primary key (directory, job, user_id)
    )
    """,
    """
    alter table ownership rename to ownership_by_attribute;
    create table ownership (
        directory text not null, user_id text not null, user_name text not null, attributes text not null,
        times integer not null, primary key (directory, user_id)
    )
    """,
    """
    alter table journal rename to journal_before;
    create table journal (
        run text not null references runs, user_id text not null, user_name text not null, digest text not null,
        part text not null, agent text, rule integer, attributes text not null, outcome text, why text,
        primary key (run, user_id, digest, part)
    );
    insert into journal (run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why)
    select run, user_id, user_name, replace(replace(digest, '/release', ''), '/classes', ''),
        case when replace(digest, '/release', '') <> digest then 'release'
             when replace(digest, '/classes', '') <> digest then 'classes' else '' end,
        agent, rule, attributes, outcome, why from journal_before;
    drop table journal_before;
    create index journal_open on journal (run) where outcome is null;
    create index journal_users on journal (user_id)
    """,
)
CONVERSIONS: Final[Mapping[int, Callable[[Database, Transaction], None]]] = {5: by_user}
"""What no SQL does that both kinds of database have: it follows the statements of that number."""


def migrate(database: Database) -> None:
    """Bring the tables up to date. Raises StateError, also for tables of a newer version of this program."""
    if _version(database) == len(MIGRATIONS):
        return
    with database.migrating() as transaction:
        version = _version(database)  # again, now that nobody else can be at it
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements.split(";"):
                transaction.execute(statement)
            if number == 1:
                transaction.execute("insert into meta values ('key', ?)", (secrets.token_hex(32),))
            if number in CONVERSIONS:
                CONVERSIONS[number](database, transaction)
            database.note_version(transaction, number)


def _version(database: Database) -> int:
    version = database.version()
    if not 0 <= version <= len(MIGRATIONS):
        why = (
            f"the state was written by a newer version of this program (format {version}; this one knows formats up to "
            f"{len(MIGRATIONS)})"
        )
        raise StateError(why, where=database.where)
    return version
