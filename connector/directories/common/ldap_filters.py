"""Search filters (RFC 4515) as values: `parse` reads one; all other filters of this program are built from the classes.

Nobody joins strings into a filter here, so nothing is ever escaped, and a hostile value is
a value like any other.
`(&)` and `(|)` are the filters that are always true and always false (RFC 4526). White space between filters, as in a
filter written on several lines of a job file, is no part of them; inside a value it is.

How directories mark disabled users is told by filters too, and whom a filter leaves out for
that mark alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import OBJECT_CLASS

MAX_DEPTH: Final = 64
"""How deeply filters may be nested: far beyond any that is written by hand, far below any stack."""
_NAME: Final = r"(?:[A-Za-z][A-Za-z0-9_-]*|\d+(?:\.\d+)+)"
_ITEM: Final = re.compile(
    rf"(?P<attribute>{_NAME}(?:;[A-Za-z0-9_-]+)*)?(?P<dn>:dn)?(?::(?P<rule>{_NAME}))?(?P<sign>:=|[<>~]?=)",
    re.IGNORECASE,
)
"""An item up to its value; only `:=` goes with `:dn`, with a rule, or without an attribute."""
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_VALUE: Final = re.compile(r"(?:[^\x00()*\\]|\\[0-9A-Fa-f]{2})*")
_ESCAPE: Final = re.compile(rb"\\([0-9A-Fa-f]{2})")


class And(Struct, frozen=True):
    """True where every part is."""

    parts: tuple[Filter, ...]


class Or(Struct, frozen=True):
    """True where any part is."""

    parts: tuple[Filter, ...]


class Not(Struct, frozen=True):
    """True where the part is false; undefined where the part is undefined."""

    part: Filter


class _Comparison(Struct, frozen=True):
    attribute: str
    value: bytes


class Equal(_Comparison, frozen=True):
    """`(attribute=value)`: the attribute holds this value, by its equality rule."""


class Present(Struct, frozen=True):
    """`(attribute=*)`: the attribute holds a value."""

    attribute: str


class Substrings(Struct, frozen=True):
    """`(attribute=initial*middle*final)`: a value has these pieces, in this order and apart from each other."""

    attribute: str
    initial: bytes | None
    middle: tuple[bytes, ...]
    final: bytes | None


class GreaterOrEqual(_Comparison, frozen=True):
    """`(attribute>=value)`, by the attribute's ordering rule."""


class LessOrEqual(_Comparison, frozen=True):
    """`(attribute<=value)`, by the attribute's ordering rule."""


class Approx(_Comparison, frozen=True):
    """`(attribute~=value)`: whatever the server takes for nearly equal."""


class Extensible(Struct, frozen=True):
    """`(attribute:dn:rule:=value)`: by a named rule, also in the entry's name where `dn`; one of the two is there."""

    rule: str | None
    attribute: str | None
    value: bytes
    dn: bool


Item = Equal | Present | Substrings | GreaterOrEqual | LessOrEqual | Approx | Extensible
Filter = And | Or | Not | Item

ANYTHING: Final = Present(OBJECT_CLASS)
"""True of every entry."""
NOBODY: Final = Not(ANYTHING)
"""False of every entry."""
_ORDERED: Final[dict[str, type[GreaterOrEqual | LessOrEqual | Approx]]] = {
    ">=": GreaterOrEqual,
    "<=": LessOrEqual,
    "~=": Approx,
}


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises ValueError that says what is wrong and at which character (from 1)."""
    parser = _FilterParser(text)
    parser.match_pattern(_SPACE)
    found = parser.parse_one(1)
    parser.match_pattern(_SPACE)
    if parser.place < len(text):
        raise parser.make_error("there is more after the end of the filter")
    return found


def list_items(wanted: Filter, *, negated: bool = False) -> Iterator[tuple[Item, bool]]:
    """What a filter is made of but for and, or, not: each item, and whether the filter asks that it is not true."""
    match wanted:
        case And(parts) | Or(parts):
            for part in parts:
                yield from list_items(part, negated=negated)
        case Not(part):
            yield from list_items(part, negated=not negated)
        case _:
            yield wanted, negated


def attributes_of(wanted: Filter) -> frozenset[str]:
    """The attribute descriptions that a filter names, as they are written."""
    return frozenset(
        item.attribute for item, _ in list_items(wanted) if item.attribute is not None
    )


class _FilterParser:
    """Recursive descent; `place` is the next character to be read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def make_error(self, why: str) -> ValueError:
        return ValueError(f"{why}, at character {self.place + 1} of the filter")

    def take_token(self, token: str) -> bool:
        if self.text.startswith(token, self.place):
            self.place += len(token)
            return True
        return False

    def expect_token(self, token: str) -> None:
        if not self.take_token(token):
            raise self.make_error(f"{token!r} is missing")

    def parse_one(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise self.make_error(f"filters are nested more than {MAX_DEPTH} deep")
        self.expect_token("(")
        self.match_pattern(_SPACE)
        found: Filter
        if self.take_token("&"):
            found = And(self.parse_list(depth + 1))
        elif self.take_token("|"):
            found = Or(self.parse_list(depth + 1))
        elif self.take_token("!"):
            self.match_pattern(_SPACE)
            found = Not(self.parse_one(depth + 1))
            self.match_pattern(_SPACE)
        else:
            found = self.parse_item()
        self.expect_token(")")
        return found

    def parse_list(self, depth: int) -> tuple[Filter, ...]:
        found = []
        self.match_pattern(_SPACE)
        while self.text.startswith("(", self.place):
            found.append(self.parse_one(depth))
            self.match_pattern(_SPACE)
        return tuple(found)

    def parse_item(self) -> Filter:
        """What stands between parentheses and is no list: an attribute, a sign, a value."""
        found = _ITEM.match(self.text, self.place)
        if found is None or not _can_stand(**found.groupdict()):
            raise self.make_error("an attribute and one of = >= <= ~= := is missing")
        self.place = found.end()
        attribute, sign = found["attribute"], found["sign"]
        if sign == "=":
            return self.parse_equality(attribute)
        value = self.parse_value()
        if sign == ":=":
            return Extensible(found["rule"], attribute, value, bool(found["dn"]))
        return _ORDERED[sign](attribute, value)

    def match_pattern(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.place)
        if match is None:
            return None
        self.place = match.end()
        return match.group()

    def parse_value(self) -> bytes:
        """A value up to the next character that cannot be in one (RFC 4515 §3, valueencoding)."""
        raw = self.match_pattern(_VALUE) or ""
        if self.text.startswith("\\", self.place):
            raise self.make_error("a backslash takes two hexadecimal digits")
        try:
            octets = raw.encode()
        except UnicodeEncodeError:
            raise self.make_error("a value that is no Unicode text") from None
        return _ESCAPE.sub(lambda found: bytes.fromhex(found.group(1).decode()), octets)

    def parse_equality(self, attribute: str) -> Filter:
        """After `=`: a value, a lone asterisk, or pieces between asterisks."""
        pieces = [self.parse_value()]
        while self.take_token("*"):
            pieces.append(self.parse_value())
        if len(pieces) == 1:
            return Equal(attribute, pieces[0])
        if not any(pieces):
            return Present(attribute)
        middle = tuple(piece for piece in pieces[1:-1] if piece)
        return Substrings(attribute, pieces[0] or None, middle, pieces[-1] or None)


def _can_stand(
    attribute: str | None, dn: str | None, rule: str | None, sign: str
) -> bool:
    """Whether these parts make an item."""
    if sign == ":=":
        return bool(attribute or rule)
    return bool(attribute) and not dn and not rule


# ---------------------------------------------------------------- disabled users

_ALL_BITS: Final = "1.2.840.113556.1.4.803"
_ANY_BIT: Final = "1.2.840.113556.1.4.804"
_OFF: Final = 0x2
"""ADS_UF_ACCOUNTDISABLE ([MS-ADTS] 2.2.16)."""


class DisabledMark(Struct, frozen=True):
    """An attribute that says who is disabled."""

    attribute: str
    says: Filter
    """True of disabled users."""
    enabled: Callable[[Item], Filter]
    """What an item about the attribute comes to for a user who is not disabled and otherwise the same."""


def select_left_out(filter_: Filter, mark: DisabledMark) -> Filter | None:
    """True of disabled users that would be in the filter if they were enabled; None: it does not look at the mark."""
    enabled = _judge_enabled(filter_, mark)
    return None if enabled in (filter_, NOBODY) else And((mark.says, enabled))


def _judge_enabled(filter_: Filter, mark: DisabledMark) -> Filter:
    """The filter as it judges a user who is not disabled."""
    match filter_:
        case And(parts):
            return And(tuple(_judge_enabled(part, mark) for part in parts))
        case Or(parts):
            return Or(tuple(_judge_enabled(part, mark) for part in parts))
        case Not(part):
            enabled = _judge_enabled(part, mark)
            return ANYTHING if enabled == NOBODY else Not(enabled)
        case item:
            is_marked = (item.attribute or "").lower() == mark.attribute.lower()
            return mark.enabled(item) if is_marked else item


def _judge_absent(item: Item) -> Filter:
    """An enabled user has no such attribute, or one that says FALSE."""
    is_false = isinstance(item, Equal) and item.value.lower() == b"false"
    return ANYTHING if is_false else NOBODY


def _judge_bits(item: Item) -> Filter:
    """An enabled user has the same number without that bit. What compares by order is taken as it is."""
    value = item.value if isinstance(item, Equal | Extensible) else b""
    if not value.isdigit():
        return item
    number = int(value)
    others = number & ~_OFF
    if isinstance(item, Extensible) and item.rule == _ANY_BIT:
        return replace(item, value=b"%d" % others) if others else NOBODY
    if number & _OFF:
        return NOBODY
    is_whole = isinstance(item, Equal)
    return replace(item, value=b"%d" % (number | _OFF)) if is_whole else item


USER_ACCOUNT_CONTROL: Final = DisabledMark(
    "userAccountControl",
    Extensible(_ALL_BITS, "userAccountControl", b"%d" % _OFF, dn=False),
    _judge_bits,
)
NS_ACCOUNT_LOCK: Final = DisabledMark(
    "nsAccountLock", Equal("nsAccountLock", b"TRUE"), _judge_absent
)
PASSWORD_POLICY: Final = DisabledMark(
    "pwdAccountLockedTime",
    Equal("pwdAccountLockedTime", b"000001010000Z"),
    _judge_absent,
)  # locked for good (draft-behera-ldap-password-policy §5.3.3); any other time is a lock that passes
DISABLED_MARKS: Final = (USER_ACCOUNT_CONTROL, NS_ACCOUNT_LOCK, PASSWORD_POLICY)
