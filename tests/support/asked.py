"""A directory that answers what a planner asks from a list, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Answer = Iterable[Any] | Exception | Callable[..., Any]


class Asked(NamedTuple):
    """A look-up: which, and with what; iterables are read."""

    look_up: str
    given: tuple[Any, ...]
    named: dict[str, Any]


class Answering:
    """Answers in order; the last one again and again. An exception is raised, a function is called with the question.

    `compare` is answered with what is to be said of each question.
    """

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[Asked] = []

    def __getattr__(self, look_up: str) -> Any:
        def ask(*given: Any, **named: Any) -> Any:
            read: tuple[Any, ...] = tuple(
                each if isinstance(each, (str, int, float)) or each is None else list(each) for each in given
            )
            if look_up == "compare" and not read[0]:
                return []
            self.asked.append(Asked(look_up, read, named))
            answer: Any = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if isinstance(answer, Exception):
                raise answer
            answer = answer(*read, **named) if callable(answer) else answer
            return list(zip(read[0], answer, strict=True)) if look_up == "compare" else answer

        return ask


def answering(*answers: Answer) -> Any:
    """A `Lookup` that answers so."""
    return Answering(*answers)
