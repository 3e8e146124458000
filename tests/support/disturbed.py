"""A directory on which somebody else may write before anything is read or written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from connector.directories.port import Directory
from connector.model import Change, Description, Holds, Key, Objection, Outcome, Question, User, UserRef


class Disturbed:
    """Calls `disturb` before each read, and before each user's write, which goes alone."""

    def __init__(self, inner: Directory, disturb: Callable[[], None]) -> None:
        self._inner = inner
        self._disturb = disturb

    def describe(self) -> Description:
        return self._inner.describe()

    def size(self) -> int | None:
        return self._inner.size()

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        self._disturb()
        return self._inner.find(keys)

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        self._disturb()
        return self._inner.scan(holding)

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        self._disturb()
        return self._inner.read(users, disabled=disabled)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        return self._inner.holds(questions)

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        return self._inner.preflight(changes)

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            self._disturb()
            yield from self.alone(change)

    def alone(self, change: Change) -> Iterator[Outcome]:
        """Write one user's change."""
        return self._inner.write([change])

    def close(self) -> None:
        self._inner.close()
