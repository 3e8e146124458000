"""Find or scan: the cheaper one, by counts, and never both unless the size was not to be known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pytest

from connector.directories.memory import MemoryDirectory, MemoryStore
from connector.directories.port import Read
from connector.lookup import Lookup
from connector.model import Key, Outcome, Plan, User, View


class Counted(MemoryDirectory):
    """A directory that only counts how it is asked."""

    def __init__(self, users: int, size: int | None) -> None:
        super().__init__(MemoryStore({}), View(()))
        self._users, self._size = users, size
        self.scanned = self.found = 0

    def size(self) -> int | None:
        return self._size

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        for number in range(self._users):
            self.scanned += 1
            yield User(str(number), f"uid={number}", {})

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        for name, value in keys:
            self.found += 1
            yield User(name, value, {})


class Told:
    """A watcher that remembers how it was."""

    def __init__(self) -> None:
        self.how: list[object] = []

    def stage(self, name: str, **facts: object) -> None:
        self.how.append(facts["how"])

    def outcome(self, outcome: Outcome) -> None:
        raise AssertionError

    def finished(self, plan: Plan | None, exit_code: int | None) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("keys", "users", "size", "read", "how", "scanned", "found"),
    [
        (100, 1000, 1000, "auto", ["find"], 0, 100),
        (500, 1000, 1000, "auto", ["scan"], 1000, 0),
        (500, 1000, 1000, "find", ["find"], 0, 500),
        (1, 1000, 1000, "scan", ["scan"], 1000, 0),
        (100, 100_000, None, "auto", ["find"], 0, 100),
        (4000, 9_000, None, "auto", ["scan"], 9_000, 0),
        (4000, 100_000, None, "auto", ["scan", "find"], 10_001, 4000),
        (0, 100, None, "auto", [], 0, 0),
    ],
)
def test_the_cheaper_way_is_taken(
    keys: int, users: int, size: int | None, read: Read, how: list[str], scanned: int, found: int
) -> None:
    directory, told = Counted(users, size), Told()
    wanted = (("uid", str(number)) for number in range(keys))
    seen = list(Lookup(directory, read, told).users(wanted, keys))
    assert told.how == how
    assert (directory.scanned, directory.found) == (scanned, found)
    assert len(seen) == scanned + found


def test_what_the_first_look_up_showed_of_the_size_serves_the_second() -> None:
    directory, told = Counted(100_000, None), Told()
    asking = Lookup(directory, "auto", told)
    for count in (20_000, 10_000):
        list(asking.users([("uid", str(number)) for number in range(count)], count))
    assert told.how == ["scan", "find", "find"]
    assert directory.scanned == 50_001
    assert directory.found == 30_000


@pytest.mark.parametrize(
    ("share", "how", "scanned"),
    [(0.0, ["scan", "find"], 2_500), (0.1, ["scan", "find"], 2_500), (0.5, ["scan"], 9_000), (1.0, ["scan"], 9_000)],
)
def test_a_scan_whose_first_users_are_not_the_wanted_ones_is_given_up_early(
    share: float, how: list[str], scanned: int
) -> None:
    directory, told = Counted(9_000, None), Told()
    asking = Lookup(directory, "auto", told)
    list(asking.users([("uid", "x")] * 4_000, 4_000, lambda: int(directory.scanned * share)))
    assert told.how == how
    assert directory.scanned == scanned
    list(asking.users([("uid", "x")] * 3_000, 3_000))
    assert told.how[-1] == "find", "what was seen of the size serves the next"
