"""The tables, as numbered migrations that only go forward. A number that was once released never changes.

meta         by job, what the key of its fingerprints and seals is known by (`Sealer.check`), and never a key itself
runs         an apply (or an undo, of `undoes`) that was begun. `result`: done, part; stopped: there are changes that
             were never tried; null: it was killed. `server`: which of the directory's it asked last.
             `number` orders them, for clocks are set back. `agents`, `matched` and `assigned` (to an account): what the
             next run's are held against
attempts     what came to no run: it was refused or failed before it wrote anything, and why. `plan`: the saved one that
             it was to go by. `number` orders them among the runs
journal      what a run set out to write. `part`: what went first, or empty (`model.Part`). `outcome` null: it is
             not known whether it was written; `server`: the one that it was meant for, or several with ", ";
             `lost`: attributes (JSON) that the directory took and does not show as written. When it was `noted`, first
             as about to be written
ownership    what each job wrote last, where: of each user the `attributes` (`ownership.py`), and the most `times` in
             a row that one of them was the same; for which `agent` (JSON), null where that is not known
plans        plans that were `saved` for a reviewer, and the ids and names of `users` (JSON) in each; `undoes`: the run
             that such a plan takes back; `file`: the SHA-256 of the saved document, null if an older version did;
             `number`: runs that begin later have this one or a higher one
approvals    of runs and releases, who has approved them, by which key, and when that was judged
releases     holds that were ended by people who had to approve it; `number` orders them among the runs
holders      in PostgreSQL, who took each lease last, for messages: a session's own name has room for 63 octets alone
holds        jobs that apply nothing until somebody releases them
stale        users that nobody claims any more of whom a job has written: how many seconds they have `waited` by the
             last apply that looked, and in how many of its runs they were seen so
lapsed       users of a job that its last apply found nowhere, and said so; shown again, they are its users again
excluded     by entry of a job's exclude list, the users that it has named: they may have been renamed since, or the
             tenant may have dropped the account
cleared      what a job has cleared from users that nobody claimed, when, and what was its own there (`Owned`, JSON);
             forgotten as soon as it writes to that user again
clocks       when that apply was: the time, and what a jump of the clock is seen by (`model.Moment`)
refused      users whom the directory did not let a job write: the `attributes` (JSON), in how many of its `runs`
             running, why, and the `turn`, the greater, the later it was tried last
sources      where each job's agents come from, as its last apply read them
directories  how many users a directory has been seen to have
drawn        of each job's last full plan the digests of changes and problems (JSON); `drawn_by` is empty for people
kept_writes  what a run that was pruned wrote, as far as it is its job's still, or an undo of another run would put it
             back: so that it is its job's again. `number`: of that run; `attributes` (JSON) as in the journal
pruned       of each job and directory, `until` when its oldest runs were pruned; whether they had written and were
             `whole`, not of some agents alone
run_plans    the same of the plans of its newest runs and attempts that had changes; `number` orders them
documents    a fleet's plan that waits (`kind` plan), one a job, and reports of its applies: JSON, compressed by zlib
audits       of each job the last line of its audit: its number in the chain, and its digest
audit_lines  lines of audits that no file has for certain; `user_id`: whom a line is about, or empty
schedule     the last run of a job by `serve`: its tick, whether it came to its end, and the last good one's tick
secrets      of each directory, the attributes into which some job wrote secrets, as its mapping spelt them
"""

from __future__ import annotations

import re
from typing import Final

from connector.errors import StateError
from connector.state.database import Database
from connector.state.secret_attributes import note_earlier_secrets

_SECRETS: Final = """
    create table secrets (directory text not null, attribute text not null, primary key (directory, attribute))
"""
FIRST: Final = 10
"""The number of the first format. Those below it are older than release 0.1.0, and are not read."""
MIGRATIONS: Final = (
    """
    create table meta (name text primary key, value text not null);
    create table runs (
        id text primary key, job text not null, directory text not null, started text not null, ended text,
        digest text not null, agents integer not null, matched integer not null, assigned integer not null,
        summary text not null, result text, kind text not null, undoes text, number integer not null,
        server text not null
    );
    create table journal (
        run text not null references runs, user_id text not null, user_name text not null, digest text not null,
        part text not null, agent text, rule integer, attributes text not null, outcome text, why text,
        server text not null, lost text,
        primary key (run, user_id, digest, part)
    );
    create index journal_open on journal (run) where outcome is null;
    create index journal_lost on journal (user_id) where lost is not null;
    create index journal_users on journal (user_id);
    create table ownership (
        directory text not null, job text not null, user_id text not null, user_name text not null,
        attributes text not null, times integer not null, primary key (directory, user_id, job)
    );
    create table plans (
        id text primary key, job text not null, directory text not null, digest text not null, seal text not null
    );
    create table holds (job text primary key, since text not null, why text not null);
    create table stale (
        directory text not null, job text not null, user_id text not null, waited bigint not null,
        runs integer not null, primary key (directory, job, user_id)
    );
    create table excluded (
        directory text not null, job text not null, entry text not null, user_id text not null,
        primary key (directory, job, entry, user_id)
    );
    create table clocks (
        directory text not null, job text not null, time text not null, boot text not null, up bigint not null,
        sure integer not null, primary key (directory, job)
    );
    create table refused (
        directory text not null, job text not null, user_id text not null, attributes text not null,
        runs integer not null, turn integer not null, why text not null, primary key (directory, job, user_id)
    );
    create index ownership_jobs on ownership (directory, job);
    create table sources (job text primary key, source text not null);
    create table directories (identity text primary key, users integer not null);
    create table schedule (job text primary key, tick text not null, ended integer not null, good text)
    """,
    """
    create table lapsed (
        directory text not null, job text not null, user_id text not null, primary key (directory, job, user_id)
    )
    """,
    """
    alter table runs add column numbered bigint;
    alter table runs add column who text;
    alter table journal add column told_as bigint;
    alter table journal add column noted text;
    create table told (
        run text not null references runs, sink text not null, number bigint not null, primary key (run, sink)
    )
    """,
    "alter table runs add column pilot integer",
    """
    create table attempts (
        id text primary key, job text not null, kind text not null, plan text, undoes text, started text not null,
        ended text not null, digest text not null, result text not null, why text not null, number integer not null
    )
    """,
    """
    create table holders (
        name text primary key, job text not null, host text not null, process integer not null, since text not null
    )
    """,
    """
    create table drawn (
        job text not null, drawn_by text not null, plan text not null, primary key (job, drawn_by)
    )
    """,
    "create table run_plans (run text primary key, job text not null, plan text not null, number integer not null)",
    """
    alter table plans add column saved text;
    alter table plans add column users text;
    create table kept_writes (
        directory text not null, job text not null, user_id text not null, number integer not null,
        attributes text not null, primary key (directory, user_id, job, number)
    );
    create table pruned (
        directory text not null, job text not null, until text not null, whole integer not null,
        primary key (directory, job)
    )
    """,
    """
    create table chains (
        job text not null, sink text not null, seq bigint not null, digest text not null, under_way integer not null,
        primary key (job, sink)
    )
    """,
    """
    alter table plans add column undoes text;
    create table approvals (
        run text not null, who text not null, fingerprint text not null, time text not null, primary key (run, who)
    );
    create table releases (
        id text primary key, job text not null, time text not null, why text not null, number integer not null
    )
    """,
    "alter table plans add column file text",
    """
    create table documents (
        id text primary key, job text not null, kind text not null, digest text not null, created text not null,
        octets bytea not null
    );
    create unique index documents_waiting on documents (job) where kind = 'plan'
    """,
    """
    alter table ownership add column agent text;
    update ownership set agent = (
        select agent from journal join runs on runs.id = run
        where runs.job = ownership.job and runs.directory = ownership.directory and user_id = ownership.user_id
        and kind = 'apply' and outcome = 'written' and agent is not null order by number desc limit 1
    )
    """,
    _SECRETS,
    """
    alter table plans add column number integer;
    update plans set number = (select coalesce(max(number), 0) + 1 from runs where started <= plans.saved)
    """,
    """
    create table cleared (
        directory text not null, job text not null, user_id text not null, user_name text not null,
        attribute text not null, time text not null, held text not null,
        primary key (directory, job, user_id, attribute)
    )
    """,
    """
    create table audits (job text primary key, number bigint not null, digest text not null);
    create table audit_lines (
        job text not null, number bigint not null, time text not null, user_id text not null, line text not null,
        primary key (job, number)
    );
    insert into audits (job, number, digest)
        select job, seq, digest from chains where seq > 0 and (sink = 'file' or not exists (
            select 1 from chains as other where other.job = chains.job and other.sink = 'file' and other.seq > 0
        ));
    drop table told;
    drop table chains;
    alter table journal drop column told_as;
    alter table runs drop column numbered;
    alter table runs drop column who
    """,
)

_DROPPED: Final = re.findall(r"drop table (\w+)", "".join(MIGRATIONS))
TABLES: Final = tuple(
    name
    for name in re.findall(r"create table (\w+)", "".join(MIGRATIONS))
    if name not in _DROPPED
)


def migrate(database: Database) -> None:
    """Bring the tables up to date. Raises StateError, also for tables of another version that this one cannot read."""
    latest = FIRST + len(MIGRATIONS) - 1
    if _version(database, latest) == latest:
        return
    with database.migrating() as transaction:
        # again, now that nobody else can be at it
        version = _version(database, latest) or FIRST - 1
        missing = MIGRATIONS[version + 1 - FIRST :]
        for number, statements in enumerate(missing, start=version + 1):
            for statement in statements.split(";"):
                transaction.execute(statement)
            database.note_version(transaction, number)
        if _SECRETS in missing:
            note_earlier_secrets(database, transaction)


def _version(database: Database, latest: int) -> int:
    version = database.version()
    if 0 < version < FIRST:
        why = (
            f"the state was written before release 0.1.0 (format {version}) and is not read. Move it away; the "
            "next run creates a new one. A new state knows no earlier writes: they are neither cleared nor "
            "undone. It knows no holds, and hidden passwords are set again"
        )
        raise StateError(why, where=database.where)
    if not 0 <= version <= latest:
        why = (
            f"the state was written by a newer version of this program (format {version}; this one knows formats up to "
            f"{latest})"
        )
        raise StateError(why, where=database.where)
    return version
