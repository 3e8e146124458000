"""What the state needs of a database: one SQL text, with `?` for values, serves every kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from connector.errors import DamagedError

Row = Sequence[str | int | bytes | None]
_ESCAPE: Final = "\ufdd0"
"""A code point that is reserved for a program's own use (Unicode 23.7), and that both
databases take."""
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
        self._cursor.execute(self._translated(sql), storable(values))

    def executemany(self, sql: str, rows: Iterable[Row]) -> None:
        """One statement for every row."""
        self._cursor.executemany(self._translated(sql), map(storable, rows))

    def put(self, table: str, **row: str | int | bytes) -> None:
        """A row, in place of the one whose first column is the same."""
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        news = ", ".join(f"{name} = excluded.{name}" for name in row)
        insert = f"insert into {table} ({columns}) values ({places})"  # noqa: S608  # names are literals of the callers; values are bound
        self.execute(
            f"{insert} on conflict ({next(iter(row))}) do update set {news}",
            tuple(row.values()),
        )


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

    def size(self) -> tuple[int, int]:
        """Its octets, and those of them that hold nothing and are used again."""

    def faults(self) -> list[str]:
        """What the database's own check finds; nothing where it has none."""

    def back_up(self, path: Path) -> None:
        """Write a whole copy to a new file, while others go on. Raises UsageError where that is not ours to do."""

    def close(self) -> None:
        """Let go of it. Never raises."""


@contextmanager
def sound(database: Database, what: str) -> Iterator[None]:
    """Read what was kept. Raises StateError, naming `what`, where it is not as this program writes it."""
    try:
        yield
    except (
        TypeError,
        ValueError,
        OverflowError,
    ) as fault:  # msgspec raises kinds of ValueError
        raise DamagedError(
            f"the state is damaged: {what} cannot be read", where=database.where
        ) from fault


def storable(row: Row) -> Row:
    """A row with nothing in it that a database cannot store: NUL, and halves of surrogate pairs, are spelt out."""
    for value in row:
        if type(value) is str and not (value.isascii() and "\0" not in value):
            return [_spelt(each) if isinstance(each, str) else each for each in row]
    return row  # nearly every one is


def _spelt(text: str) -> str:
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


def restored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as it was before `storable`."""
    for value in row:
        if isinstance(value, str) and _ESCAPE in value:
            return tuple(
                _respelt(each) if isinstance(each, str) else each for each in row
            )
    return row  # nearly every one is


def _respelt(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
