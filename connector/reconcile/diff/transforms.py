"""What a template can do to a field on its way into a value: a closed table, which documentation and messages print."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from msgspec import Struct

Step = Callable[[str], str]


class TemplateError(ValueError):
    """A template that cannot be: the message says what and where in it."""


class Transform(Struct, frozen=True):
    """One line of the table: how many arguments, what it does in a sentence, and the maker of its step."""

    arguments: int
    does: str
    make: Callable[..., Step]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise TemplateError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _some(text: str) -> str:
    if not text:
        raise TemplateError("an empty argument")
    return text


def _before(separator: str) -> Step:
    _some(separator)
    return lambda value: value.partition(separator)[0]


def _after(separator: str) -> Step:
    _some(separator)
    return lambda value: value.partition(separator)[2]


def _replace(old: str, new: str) -> Step:
    _some(old)
    return lambda value: value.replace(old, new)


def _pad(width: str) -> Step:
    size = _count(width)
    return lambda value: value.rjust(size, "0")


def _first(size: str) -> Step:
    count = _count(size)
    return lambda value: value[:count]


def _last(size: str) -> Step:
    count = _count(size)
    return lambda value: value[-count:]


def _host(value: str) -> str:
    """RFC 3261 §25.1: an IPv6 address stands in brackets in a URI; only such an address has two colons."""
    return f"[{value}]" if value.count(":") > 1 and not value.startswith("[") else value


def _digits(value: str) -> str:
    return "".join(letter for letter in value if letter in "0123456789")


TRANSFORMS: Final[dict[str, Transform]] = {
    "lower": Transform(0, "to lower case", lambda: str.lower),
    "upper": Transform(0, "to upper case", lambda: str.upper),
    "strip": Transform(0, "without white space at either end", lambda: str.strip),
    "digits": Transform(0, "only its digits 0-9", lambda: _digits),
    "nfc": Transform(0, "in Unicode's composed form", lambda: lambda value: unicodedata.normalize("NFC", value)),
    "host": Transform(0, "as the host of a URI: an IPv6 address in brackets", lambda: _host),
    "pad": Transform(1, "with zeros before it up to that many characters", _pad),
    "first": Transform(1, "its first so many characters", _first),
    "last": Transform(1, "its last so many characters", _last),
    "replace": Transform(2, "with every first argument replaced by the second", _replace),
    "before": Transform(1, "what stands before the separator; all of it where there is none", _before),
    "after": Transform(1, "what stands after the separator; nothing where there is none", _after),
    "default": Transform(1, "the argument where the field is absent", lambda text: lambda value: value or text),
}
