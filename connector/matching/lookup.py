"""What the planner may ask of a directory. `apply/lookup.py` answers from a reader; tests from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

from connector.model import Change, Holds, Key, Objection, Question, User, UserRef


class LookUpProof(Enum):
    """What is known of look-ups that found nobody."""

    GIVEN = "given"
    """They find somebody who is known to be there, or everybody was read."""
    REFUTED = "refuted"
    """They do not find somebody who is known to be there."""
    NONE = "none"
    """No user shows a value that could be looked up."""


class Lookup(Protocol):
    """A directory as the planner reads it. An iterable that ends was complete, or raises `IncompleteRead`."""

    def search(
        self,
        keys: Iterable[Key],
        wanted: int,
        *,
        found: Callable[[], int] | None = None,
        unfindable: tuple[str, ...] = (),
    ) -> Iterable[User]:
        """Users that may hold one of the keys, each at least once; others too where everybody is read.

        `wanted`: how many are looked for. `found`: how many of them were found by now. Keys are taken as users
        come in. `unfindable`: attributes among the keys by which the directory finds nobody.
        """

    def prove(
        self,
        attribute: str,
        shown: tuple[str, str] | None,
    ) -> LookUpProof:
        """Whether look-ups by this attribute can be believed. `shown`: a user by id, and a value it shows."""

    def find(self, keys: Iterable[Key]) -> Iterable[User]:
        """Users that hold any of a few keys; no scan takes the place of the look-up."""

    def find_outside(self, keys: Iterable[Key]) -> Iterable[User]:
        """The same, also past base and filter; nobody where nobody may look there."""

    def find_named(
        self,
        keys: Iterable[Key],
        seconds: float | None,
    ) -> Iterable[User]:
        """Users by id or name, anywhere, with the names of people; after so many seconds no more."""

    def find_near(
        self,
        keys: Iterable[Key],
        count: int,
        left_out: int,
    ) -> Iterable[User | str]:
        """Users that hold one of many unlikely keys, within bounds; last, what kept more from coming."""

    def scan(
        self,
        holding: tuple[str, ...] = (),
        why: str = "all users have to be read",
    ) -> Iterable[User]:
        """Every user once, or those that show a value of any of `holding`. `why`: the beginning of an error."""

    def read(
        self,
        users: Iterable[UserRef],
        *,
        disabled: bool = False,
    ) -> Iterable[User]:
        """These users as they are now; whoever is gone is left out. `disabled`: as of `Reader.read`."""

    def compare(self, questions: Iterable[Question]) -> list[tuple[Question, Holds]]:
        """Whether users hold values that they do not show: each question with its answer."""

    def preflight(self, changes: Iterable[Change]) -> Iterable[Objection]:
        """What the directory has against these changes, as far as reading tells."""


def sample_value(
    users: Iterable[User],
    attribute: str,
) -> tuple[str, str] | None:
    """One value to try a look-up with, and its user's id; plain ASCII if there is one. None: nobody shows one."""
    odd = None
    for user in users:
        for value in user.values.get(attribute, ()):
            if isinstance(value, str):
                if is_plain(value):
                    return user.id, value
                odd = odd or (user.id, value)
    return odd


def is_plain(value: str) -> bool:
    """Whether a value is printable ASCII."""
    return value.isascii() and value.isprintable() and bool(value.strip())
