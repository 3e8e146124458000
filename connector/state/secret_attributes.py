"""Attributes into which any run of this state wrote secrets, by directory; they outlive runs, undos and mappings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connector.state.database import Database, Transaction
from connector.state.journal_rows import past_of
from connector.state.ownership import Ownership

_NOTE: Final = "insert into secrets (directory, attribute) values (?, ?) on conflict (directory, attribute) do nothing"
_JOURNAL: Final = "select directory, attributes from journal join runs on runs.id = journal.run where run = ?"
_KEPT_WRITES: Final = "select directory, attributes from kept_writes where job = ?"


def note_secrets(
    transaction: Transaction, directory: str, names: Iterable[str]
) -> None:
    """Note that secrets are about to be written into these attributes."""
    transaction.executemany(_NOTE, [(directory, name) for name in sorted(names)])


def note_earlier_secrets(database: Database, transaction: Transaction) -> None:
    """Note what a state knows of secrets that was kept before there was a list of them. Raises StateError."""
    writes = [(_JOURNAL, run) for (run,) in database.rows("select id from runs")]
    writes += [
        (_KEPT_WRITES, job)
        for (job,) in database.rows("select distinct job from kept_writes")
    ]
    for query, key in writes:
        for directory, attributes in database.rows(query, key):
            changes = past_of(attributes, key, database.where)
            note_secrets(
                transaction, directory, {each.name for each in changes if each.secret}
            )
    for directory, job in database.rows(
        "select distinct directory, job from ownership"
    ):
        for row in Ownership(database, directory).of_job(job):
            note_secrets(
                transaction,
                directory,
                {name for name, each in row.attributes.items() if each.fingerprint},
            )
