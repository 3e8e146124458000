"""What a template can do to a field on its way into a value: a closed table, which messages print."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct

Step = Callable[[str], str]


class TemplateError(ValueError):
    """A template that cannot be: the message says what and where in it."""


class Transform(Struct, frozen=True):
    """One line of the table: what it does to a value, and what reads each of its arguments."""

    does: Callable[..., str]
    takes: tuple[Callable[[str], object], ...] = ()

    def step(self, arguments: list[str]) -> Step:
        """What it does with these arguments. Raises TemplateError for one that cannot be."""
        does, taken = (
            self.does,
            [
                take(argument)
                for take, argument in zip(self.takes, arguments, strict=True)
            ],
        )
        return (lambda value: does(value, *taken)) if taken else does


def _read_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise TemplateError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _take_some(text: str) -> str:
    if not text:
        raise TemplateError("an empty argument")
    return text


def _bracket_host(value: str) -> str:
    """RFC 3261 §25.1: an IPv6 address stands in brackets in a URI; only such an address has two colons."""
    return f"[{value}]" if value.count(":") > 1 and not value.startswith("[") else value


def _keep_digits(value: str) -> str:
    return "".join(letter for letter in value if letter in "0123456789")


TRANSFORMS: Final[dict[str, Transform]] = {
    "lower": Transform(str.lower),
    "upper": Transform(str.upper),
    "strip": Transform(str.strip),
    "digits": Transform(_keep_digits),
    "nfc": Transform(partial(unicodedata.normalize, "NFC")),
    "host": Transform(_bracket_host),
    "pad": Transform(lambda value, width: value.rjust(width, "0"), (_read_count,)),
    "unpad": Transform(lambda value: value.lstrip("0") or value[-1:]),
    "first": Transform(lambda value, count: value[:count], (_read_count,)),
    "last": Transform(lambda value, count: value[-count:], (_read_count,)),
    "replace": Transform(str.replace, (_take_some, str)),
    "before": Transform(
        lambda value, separator: value.partition(separator)[0], (_take_some,)
    ),
    "after": Transform(
        lambda value, separator: value.partition(separator)[2], (_take_some,)
    ),
    "default": Transform(lambda value, text: value or text, (str,)),
}
"""What each does is in docs/mapping-file.md."""
