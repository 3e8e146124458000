"""What equal values have in common, and what alike ones, by each rule of RFC 4517 §4.2 but that of names (`dn.py`).

Servers differ in what RFC 4518 maps to nothing or to another letter: each likeness is
looser than its rule.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeGuard

from connector.model import Equality, Value

_RUNS = re.compile(" {2,}")
_LOWER: Final = str.maketrans(
    {letter: chr(letter + 32) for letter in range(ord("A"), ord("Z") + 1)}
)
_TELEPHONE_NOISE = re.compile(r"[\s\-\u00ad\u2010\u2011\u2212\ufe63\uff0d]")
SHORT_NUMBER: Final = 20
"""With fewer digits a number is read without more ado."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,3999}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")
TIME: Final = re.compile(
    r"(?P<day>[0-9]{8})(?P<hour>[0-9]{2})(?:(?P<minute>[0-9]{2})(?P<second>[0-9]{2})?)?(?:[.,](?P<part>[0-9]+))?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[0-9]{2})(?P<minutes>[0-9]{2})?)"
)
"""GeneralizedTime (RFC 4517 §3.3.13)."""
_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII
)


def text_of(value: Value) -> str:
    """A value as text; octets that are none stand for themselves."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _case_exact(value: Value) -> str:
    text = text_of(value)
    return _RUNS.sub(" ", text.strip(" ")) if " " in text else text


def _case_ignore(value: Value) -> Hashable:
    text = _case_exact(value)
    return text.lower() if text.isascii() else text.translate(_LOWER)


_SPACES = re.compile(r"\s+")
# RFC 4518 §2.2: soft hyphen, joiners, variation selectors, zero-width and other invisible
# letters map to nothing.
_NOTHING = re.compile(
    "[\u00ad\u034f\u1806\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\ufffc]"
)


def _is_plain_word(value: Value) -> TypeGuard[str]:
    """Whether it is one word of ASCII, as nearly all values are: nothing of it has to be prepared but its case."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


def _fold_spaces(value: Value) -> str:
    text = text_of(value)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _NOTHING.sub("", text))
    return _SPACES.sub(" ", text.strip())


def _like_exact(value: Value) -> Hashable:
    return value if _is_plain_word(value) else _fold_spaces(value)


def _like_ignoring_case(value: Value) -> Hashable:
    if _is_plain_word(value):
        return value.lower()
    return unicodedata.normalize("NFKC", _fold_spaces(value).casefold())


def _like_telephone(value: Value) -> Hashable:
    return _TELEPHONE_NOISE.sub("", text_of(value)).lower()


def _integer(value: Value) -> Hashable:
    text = text_of(value)
    return int(text) if _PLAIN_INTEGER.fullmatch(text) else text


def _like_integer(value: Value) -> Hashable:
    text = text_of(value).strip()
    return int(text) if _INTEGER.fullmatch(text) else text


def _decimal(value: Value) -> Hashable:
    text = text_of(value).strip()
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def _like_time(value: Value) -> Hashable:
    """An instant where it is well-formed and in UTC, else as it is."""
    text = text_of(value).strip()
    match = TIME.fullmatch(text)
    if match is None or match["sign"]:
        return text
    day, hour, minute, second, part, *_ = match.groups()
    return (day, hour, minute or "00", second or "00", (part or "").rstrip("0"))


def date_time(text: str) -> datetime | None:
    """A time as SCIM has it (RFC 7643 §2.3.5), in UTC where it says how far from there; None where it is none."""
    try:
        moment = datetime.fromisoformat(text) if _DATE_TIME.fullmatch(text) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def _date_time(value: Value) -> Hashable:
    text = text_of(value).strip()
    return date_time(text) or text


KEYS: Final[dict[Equality, Callable[[Value], Hashable]]] = {
    Equality.CASE_IGNORE: _case_ignore,
    Equality.CASE_EXACT: _case_exact,
    Equality.CASE_ALONE: lambda value: text_of(value).translate(_LOWER),
    Equality.NUMERIC: lambda value: text_of(value).replace(" ", ""),
    Equality.TELEPHONE: lambda value: text_of(value).replace(" ", "").replace("-", ""),
    Equality.INTEGER: _integer,
    Equality.DECIMAL: _decimal,
    Equality.BOOLEAN: lambda value: text_of(value).strip().upper(),
    Equality.TIME: text_of,
    Equality.DATE_TIME: _date_time,
    Equality.UUID: lambda value: text_of(value).strip().lower(),
    Equality.OCTETS: lambda value: (
        value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    ),
}
LIKENESSES: Final[dict[Equality, Callable[[Value], Hashable]]] = {
    **KEYS,
    Equality.CASE_IGNORE: _like_ignoring_case,
    Equality.CASE_EXACT: _like_exact,
    Equality.CASE_ALONE: lambda value: text_of(value).casefold(),
    Equality.TELEPHONE: _like_telephone,
    Equality.INTEGER: _like_integer,
    Equality.TIME: _like_time,
}
"""Of all other rules nothing is alike that is not equal."""
