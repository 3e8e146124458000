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
_ATTRIBUTE: Final = re.compile(rf"{_NAME}(?:;[A-Za-z0-9_-]+)*")
_RULE: Final = re.compile(_NAME)
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
        attribute = self.match_pattern(_ATTRIBUTE)
        if self.text.startswith(":", self.place):
            return self.parse_extensible(attribute)
        if attribute is None:
            raise self.make_error("an attribute name is missing")
        if self.take_token("="):
            return self.parse_equality(attribute)
        for sign, kind in ((">=", GreaterOrEqual), ("<=", LessOrEqual), ("~=", Approx)):
            if self.take_token(sign):
                return kind(attribute, self.parse_value())
        raise self.make_error("one of = >= <= ~= := is missing")

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

    def parse_extensible(self, attribute: str | None) -> Filter:
        """After the attribute, if any: `[:dn][:rule]:=value`."""
        dn, rule = False, None
        while not self.take_token(":="):
            self.expect_token(":")
            word = self.match_pattern(_RULE)
            if word is None or rule is not None:
                raise self.make_error("':=' is missing")
            if word.lower() == "dn" and not dn:
                dn = True
            else:
                rule = word
        if attribute is None and rule is None:
            raise self.make_error(
                "an attribute or a matching rule is missing before ':='"
            )
        return Extensible(rule, attribute, self.parse_value(), dn)


# ---------------------------------------------------------------- disabled users

EnabledItem = Filter | bool
"""A filter, or what it comes to whoever is looked at."""
_ALL_BITS: Final = "1.2.840.113556.1.4.803"
_ANY_BIT: Final = "1.2.840.113556.1.4.804"
_OFF: Final = 0x2
"""ADS_UF_ACCOUNTDISABLE ([MS-ADTS] 2.2.16)."""


class DisabledMark(Struct, frozen=True):
    """An attribute that says who is disabled.

    `says`: the filter that is true of them. `enabled`: of an item about the attribute, what it says of a user who is
    not disabled and otherwise the same.
    """

    attribute: str
    says: Filter
    enabled: Callable[[Filter], EnabledItem]


def select_left_out(filter_: Filter, mark: DisabledMark) -> Filter | None:
    """True of disabled users that would be in the filter if they were enabled; None: it does not look at the mark."""
    enabled = _judge_enabled(filter_, mark)
    if enabled is False or enabled == filter_:
        return None
    return mark.says if enabled is True else And((mark.says, enabled))


def _judge_enabled(filter_: Filter, mark: DisabledMark) -> EnabledItem:
    """The filter as it judges a user who is not disabled, without what is the same for all of them."""
    match filter_:
        case And(parts):
            return _join_items(And, parts, mark, ends=False)
        case Or(parts):
            return _join_items(Or, parts, mark, ends=True)
        case Not(part):
            item = _judge_enabled(part, mark)
            return not item if isinstance(item, bool) else Not(item)
        case Extensible(attribute=name) if name is None:
            return filter_
        case item:
            return (
                mark.enabled(item)
                if str(item.attribute).lower() == mark.attribute.lower()
                else item
            )


def _join_items(
    kind: type[And | Or], parts: tuple[Filter, ...], mark: DisabledMark, *, ends: bool
) -> EnabledItem:
    """`ends`: what one part alone makes of the whole."""
    items = [_judge_enabled(part, mark) for part in parts]
    if any(item is ends for item in items):
        return ends
    left = tuple(item for item in items if not isinstance(item, bool))
    if not left and items:
        return not ends
    return left[0] if len(left) == 1 and len(items) > 1 else kind(left)


def _judge_absent(item: Filter) -> EnabledItem:
    """An enabled user has no such attribute, or one that says FALSE."""
    return isinstance(item, Equal) and item.value.lower() == b"false"


def _bit_off(item: Filter) -> EnabledItem:
    """An enabled user has the same number without that bit. What compares by order is taken as it is."""
    value = item.value if isinstance(item, Equal | Extensible) else b""
    if not value.isdigit():
        return item
    number = int(value)
    match item:
        case Equal():
            return (
                False if number & _OFF else replace(item, value=b"%d" % (number | _OFF))
            )
        case Extensible(rule=rule) if rule == _ALL_BITS and number & _OFF:
            return False
        case Extensible(rule=rule) if rule == _ANY_BIT and number & _OFF:
            return (
                replace(item, value=b"%d" % (number & ~_OFF))
                if number != _OFF
                else False
            )
    return item


USER_ACCOUNT_CONTROL: Final = DisabledMark(
    "userAccountControl",
    Extensible(_ALL_BITS, "userAccountControl", b"%d" % _OFF, dn=False),
    _bit_off,
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
