"""What a planner is given, and what it asks of a directory: typed questions, each answered by an iterable.

A planner is a generator. It yields a question, is sent the iterable that answers it, and
reads that before it asks again. A list of answers is enough to run it. `lookup.py` asks the
directory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from connector.model import (
    Batch,
    Change,
    Description,
    Fingerprint,
    Holds,
    Key,
    Memory,
    Moment,
    Objection,
    Question,
    User,
    UserRef,
)
from connector.model.limits import Limits
from connector.model.mapping import Mapping

NAMES_SECONDS: Final = 5
"""So long names of people are waited for that nobody has asked for."""
Answer = TypeVar("Answer")
T = TypeVar("T")


class Show(Struct, frozen=True):
    """The names of people in reports: the attributes that have them, in the order in which they are tried.

    `asked`: the job says so itself. `everybody`: a report will name all users of the changes.
    """

    attributes: tuple[str, ...] = ()
    asked: bool = False
    everybody: bool = False


class Brief(Struct, frozen=True, kw_only=True):
    """The job's rules, what is known of the directory, and the plan's heading.

    `now`: when planning began. `about`: what it is made from, for the reader of the plan.
    """

    mapping: Mapping
    limits: Limits
    description: Description
    memory: Memory
    fingerprint: Fingerprint
    job: str
    plan_id: str
    now: Moment
    about: tuple[tuple[str, str], ...] = ()
    show: Show = Show()


class Query(Struct, Generic[Answer], frozen=True):
    """A question that an iterable of `Answer` answers."""


Planning = Generator[Query[Any], Iterable[Any], T]
"""A planner on its way to a result."""


def ask(
    query: Query[Answer],
) -> Generator[Query[Answer], Iterable[Answer], Iterable[Answer]]:
    """Put a question, and return its answers with their type.

    Read as `users = yield from ask(Read(refs))`.
    """
    return (yield query)


class Search(Query[User], frozen=True):
    """Users that may hold one of the keys, each at least once; others too where the directory is read whole.

    `wanted`: how many are looked for, each by one key or more. `found`: how many of them were found by now. Keys are
    taken as answers come in. `unfindable`: attributes among the keys by which the directory
    finds nobody.
    `take`: may be given many users instead, and returns those that are to be answers all the same.
    """

    keys: Iterable[Key]
    wanted: int
    found: Callable[[], int] | None = None
    unfindable: tuple[str, ...] = ()
    take: Callable[[Batch], Iterable[User]] = Batch.users


class Proof(Enum):
    """What is known of look-ups that found nobody.

    `GIVEN`: they find somebody who is known to be there, or everybody was read. `REFUTED`: they do not. `NONE`: no user
    shows a value that could be looked up.
    """

    GIVEN = "given"
    REFUTED = "refuted"
    NONE = "none"


def telling(users: Iterable[User], attribute: str) -> tuple[str, str] | None:
    """A user by id, and a value that it shows; None: nobody shows one. Rather one that no server trips over."""
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


class Prove(Query[Proof], frozen=True):
    """Whether look-ups by this attribute can be believed: one answer. `shown`: a user by id, and a value it shows."""

    attribute: str
    shown: tuple[str, str] | None = None


class Find(Query[User], frozen=True):
    """Users that hold any of a few keys, `outside`: also past base and filter; no scan takes their place."""

    keys: Iterable[Key]
    outside: bool = False


class Named(Query[User], frozen=True):
    """Users by id or name, past base and filter too, with the names of people; after so many `seconds` no more."""

    keys: Iterable[Key]
    seconds: float | None = None


class Scan(Query[User], frozen=True):
    """Every user once; those that show a value of any of `holding`, where that names attributes.

    `why`: the beginning of an error, which says who cannot do without.
    """

    holding: tuple[str, ...] = ()
    why: str = "all users have to be read"


class Read(Query[User], frozen=True):
    """These users as they are now; whoever is gone is left out. `disabled`: as `Reader.read` has it."""

    users: Iterable[UserRef]
    disabled: bool = False


class Compare(Query[Holds], frozen=True):
    """Whether users hold values that they do not show: one answer a question, in order."""

    questions: tuple[Question, ...]


Slot = tuple[str, str]
"""A user's id, and an attribute."""


def compared(questions: Iterable[Question]) -> Planning[list[tuple[Question, Holds]]]:
    """Each of these questions with its answer; where there is none, nothing is asked."""
    asked = tuple(questions)
    answers = (yield from ask(Compare(asked))) if asked else ()
    return list(zip(asked, answers, strict=True))


class Preflight(Query[Objection], frozen=True):
    """What the directory has against these changes, as far as reading tells."""

    changes: Iterable[Change]


class FindNear(Query[User | str], frozen=True):
    """Users that hold one of many unlikely keys, within bounds of time and count; last, what kept more from coming."""

    keys: Iterable[Key]
    count: int
    left_out: int
