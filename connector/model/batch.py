"""Users many at a time, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import Any

from msgspec import Struct

from connector.model.directory import User
from connector.model.secret import Held


class Texts(Sequence[str]):
    """So many texts in one, with a NUL between each two and in none; they come apart when somebody looks at one."""

    __slots__ = ("_each", "size", "whole")

    def __init__(self, whole: str, size: int) -> None:
        self.whole = whole
        self.size = size
        self._each: list[str] | None = None

    @staticmethod
    def of(texts: Sequence[str]) -> Texts:
        """Raises ValueError where one holds a NUL."""
        if isinstance(texts, Texts):
            return texts
        whole = "\0".join(texts)
        if whole.count("\0") >= max(1, len(texts)):
            raise ValueError("a NUL in a text")
        return Texts(whole, len(texts))

    def some(self, chosen: Sequence[bool]) -> Texts:
        """Those that are chosen."""
        return self if all(chosen) else Texts.of(list(compress(self.each(), chosen)))

    def each(self) -> list[str]:
        if self._each is None:
            self._each = self.whole.split("\0")
        return self._each

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: Any) -> Any:
        return self.each()[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.each())

    def are(self, others: Sequence[Any]) -> bool:
        """Whether these are the others, of which some may be no text."""
        try:
            return len(others) == self.size and "\0".join(others) == self.whole
        except TypeError:
            return False


class Batch(Struct, frozen=True):
    """Users as columns: each shows one value of every attribute in `columns`, and all that is `shared`."""

    ids: Texts
    names: Texts
    columns: Mapping[str, Sequence[Held]]
    shared: Mapping[str, tuple[Held, ...]]
    inactive: Sequence[bool]

    def user(self, place: int) -> User:
        values = {
            **self.shared,
            **{name: (column[place],) for name, column in self.columns.items()},
        }
        return User(
            self.ids[place], self.names[place], values, inactive=self.inactive[place]
        )

    def shows(self, name: str, values: Sequence[Any]) -> bool:
        """Whether the users show these values of an attribute, each its own."""
        column = self.columns[name]
        return column.are(values) if isinstance(column, Texts) else column == values

    def users(self) -> Iterator[User]:
        return map(self.user, range(len(self.ids)))
