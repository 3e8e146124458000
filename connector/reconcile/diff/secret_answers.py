"""Answers that depend on secrets. The planner asks for each by itself, so that a snapshot keeps it and no secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec import Struct

from connector.model import AttributeChange

T = TypeVar("T")


class OnSecret(Protocol):
    """Gets an answer of type `kind` by doing the `work`, or from a snapshot. `about`: the question, user and attribute.

    Apart from this work and fingerprints, the planner asks of a secret only whether it is there.
    """

    def __call__(self, about: tuple[str, ...], work: Callable[[], T], kind: object, /) -> T: ...


def at_once(_about: tuple[str, ...], work: Callable[[], T], _kind: object, /) -> T:
    """Do the work."""
    return work()


class Verdict(Struct, frozen=True):
    """What becomes of one attribute of a user: in step, a `change`, or `unfit`, why it cannot hold the value.

    `lacks`: a field of a template is absent, so that there is no new value. `unknown`: the source does not tell it.
    """

    change: AttributeChange | None = None
    unfit: str = ""
    lacks: bool = False
    unknown: bool = False

    @property
    def changes(self) -> tuple[AttributeChange, ...]:
        return (self.change,) if self.change else ()

    @property
    def faults(self) -> tuple[str, ...]:
        return (self.unfit,) if self.unfit else ()


IN_STEP = Verdict()
