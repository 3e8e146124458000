"""What a directory is to the rest of the program: one contract, `tests/contract`, holds every adapter to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal, Protocol

from msgspec import Struct

from connector.model import (
    Change,
    Description,
    Holds,
    Key,
    Objection,
    Outcome,
    Question,
    User,
    UserRef,
)

Read = Literal["auto", "find", "scan"]
"""How users are got at: looked up by key, read whole, or whichever is cheaper."""


class Reader(Protocol):
    """A directory that can only be read; a dry run is handed no more than this.

    Users outside the job's base and filter do not exist for a reader. An iterator that ends
    was complete; one that cannot be completed raises `IncompleteRead` (or one of its
    kinds).
    """

    def describe(self) -> Description:
        """What the directory is, what it can do, and what it says of every attribute of the view; asked for once.

        Asked again, it may have more cautions: what reading has shown of the server's limits.
        """

    def size(self) -> int | None:
        """About how many users there are, cheaply; None where the directory cannot tell."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """The users that hold any of the keys, each at least once; `ID` and `NAME` are attributes here.

        The caller compares again: a directory may return more than was asked for.
        """

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        """Every user, once; where `holding` names attributes, those that show a value of any of them."""

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        """These users as they are now, by id, whatever their names have become; one that is gone is left out.

        `disabled`: also those below the base that the filter leaves out since they are disabled, which say so.
        """

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """One answer a question, in their order."""

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        """What the directory has against these changes, as far as reading tells; nothing is written to find out.

        Rights that the account lacks, for instance. A directory that cannot tell says nothing
        here, and says so in `WriteRules.checked`.
        """

    def close(self) -> None:
        """Let go of connections. Never raises."""


class Directory(Reader, Protocol):
    """A directory that can be written."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """Write changes, many in flight, one at a time for each user; one outcome for every change, in any order.

        Each is written whole or not at all; of a SCIM server that does a part of one, it
        has *failed* and says so. Where the description says `classes_first`, none both adds
        object classes and sets what needs them. A user whose values are not the ones that
        its change believes is a conflict and stays as it is. An outcome *written* may show
        the user as the same operation left it, within base and filter as `read` would show
        it, with the attributes of its change at least; who is not shown has to be read
        back. A server that goes away is no exception: what was in flight has *failed* and
        is `unknown`, for it may have been written; what was not sent is *skipped*.
        """


class FeedAnswer(Struct, frozen=True):
    """What a directory says of its users since it was asked last."""

    mark: str
    """To be handed back the next time; empty: the directory cannot tell whether users change."""
    has_moved: bool
    """Whether a user may have changed. Also true where the earlier mark is another server's."""


class Feed(Protocol):
    """Tells cheaply, again and again, whether users may have changed; it carries no data."""

    def ask_since(self, mark: str) -> FeedAnswer:
        """Whether anything has moved since that mark; `mark` empty: take a first one. Raises ConnectorError.

        After an error the next call connects anew.
        """

    def close(self) -> None:
        """Let go of connections. Never raises."""
