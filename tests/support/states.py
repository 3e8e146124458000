"""States with runs in them, and the database of a state for tests that look past the questions the program asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.model import (
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Change,
    Description,
    Outcome,
    Plan,
    Result,
    Secret,
    Summary,
    UserRef,
)
from connector.state.database import Database
from connector.state.journal_rows import Sealer
from connector.state.postgresql import PostgreSQL
from connector.state.sqlite import Sqlite
from connector.state.store import State, open_state

HERE = "ldap:11111111-1111-1111-1111-111111111111"
THERE = "ldap:22222222-2222-2222-2222-222222222222"
MAIL = AttributeInfo("mail", single=False)
KEY = Secret("the-key-of-the-job")
SEALER = Sealer(KEY)
NOW = "2026-11-25T12:00:00+00:00"
DAYS = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=day - 1) for day in range(6)]
"""The days of November, from the first on; nothing but the clock tells of them."""


def database(url: str) -> Database:
    """The one at this address, with the tables of a state. Whoever opens it closes it."""
    open_state(url).close()
    return Sqlite(Path(url.removeprefix("sqlite:///"))) if url.startswith("sqlite:///") else PostgreSQL(url)


class KeptState:
    """Where a state is kept, and how a test looks at it or spoils it behind the program's back."""

    def __init__(self, url: str, execute: Callable[[str], Sequence[tuple[object, ...]]]) -> None:
        self.url = url
        self.execute = execute

    def open(self) -> State:
        return open_state(self.url)


def at(directory: str) -> Description:
    return Description("a directory", directory, {"mail": MAIL})


def user(number: int) -> UserRef:
    return UserRef(f"id-{number:05}", f"uid=user{number},ou=people,dc=example,dc=org")


def change(number: int, *attributes: AttributeChange, digest: str = "") -> Change:
    digest = digest or f"sha256:{number:064}"
    return Change(user(number), AgentRef(1000 + number, f"user{number}"), 1, attributes, digest)


def sets(name: str, *new: str | bytes, old: tuple[str | bytes, ...] = ()) -> AttributeChange:
    return AttributeChange(name, old, new)


def sets_secret(fingerprint: str, old: tuple[Secret, ...] = ()) -> AttributeChange:
    return AttributeChange("SIPIdentityPassword", old, (Secret("canary"),), secret=True, fingerprint=fingerprint)


def plan(*changes: Change, id_: str = "run-1", job: str = "hr", agents: int = 4, matched: int = 0) -> Plan:
    summary = Summary(agents=agents, matched=matched)
    return Plan(id_, "sha256:" + 64 * "1", job, NOW, summary, changes, about=(("base", "dc=example"),))


def outcomes(changes: Sequence[Change], result: Result = Result.WRITTEN) -> list[tuple[Change, Outcome]]:
    return [(each, Outcome(each.user, result, "" if result is Result.WRITTEN else "why")) for each in changes]


def apply(
    state: State,
    *changes: Change,
    id_: str = "run-1",
    result: Result = Result.WRITTEN,
    kind: str = "apply",
    directory: str = HERE,
    job: str = "hr",
    ended: str = "done",
    agents: int = 4,
    matched: int = 0,
    sealer: Sealer = SEALER,
    undoes: str = "some-run",
) -> None:
    """A run that wrote all of these changes, or failed to."""
    drawn = plan(*changes, id_=id_, job=job, agents=agents, matched=matched)
    with state.record_run(
        drawn, at(directory), sealer, kind=kind, undoes=undoes if kind == "undo" else None
    ) as journal:
        journal.note_writes([], changes)
        journal.note_writes(outcomes(changes, result), [])()
        journal.result = ended


def interrupt(state: State, *changes: Change, id_: str = "run-1", directory: str = HERE, job: str = "hr") -> None:
    """A run that was killed after it had noted what it was about to write."""
    running = state.record_run(plan(*changes, id_=id_, job=job), at(directory), SEALER)
    running.__enter__().note_writes([], changes)  # and its end never comes


def owned(state: State, directory: str = HERE, job: str = "hr") -> dict[str, set[str]]:
    found = {}
    for ref, attributes in state.memory(directory, job).read_owned():
        if ours := {name for name, each in attributes.items() if not each.restored}:
            found[ref.id] = ours
    return found
