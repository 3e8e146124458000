"""What the state needs of a database: one SQL text, with `?` for values, serves every kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = Sequence[str | int | None]


class Transaction(Protocol):
    """Statements that are durable together, or not at all."""

    def execute(self, sql: str, values: Row = ()) -> object:
        """One statement."""

    def executemany(self, sql: str, rows: Iterable[Row]) -> object:
        """One statement for every row."""


class Database(Protocol):
    """An open database. All of its methods raise StateError; `where` names it in messages, without a password."""

    where: str
    kept: bool
    """Whether it outlives this process."""

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        """What a query finds."""

    def writing(self) -> AbstractContextManager[Transaction]:
        """One transaction, durable at its end; nothing of it is kept where it raises. One writer at a time."""

    def version(self) -> int:
        """The number of the last migration; 0 where there was none."""

    def note_version(self, transaction: Transaction, version: int) -> None:
        """Note the number of a migration, as a part of it."""

    def lease(self, name: str) -> AbstractContextManager[None]:
        """Hold a name until the end or death of this process. Raises BusyError where another process holds it."""

    def close(self) -> None:
        """Let go of it. Never raises."""
