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

from msgspec import Struct
from msgspec.structs import replace

from connector.model import OBJECT_CLASS

MAX_DEPTH = 64
"""How deeply filters may be nested: far beyond any that is written by hand, far below any stack."""
_NAME = r"(?:[A-Za-z][A-Za-z0-9_-]*|\d+(?:\.\d+)+)"
_SPACE = r"[ \t\r\n]*"
_LIST = re.compile(rf"{_SPACE}\({_SPACE}([&|!]){_SPACE}")
_END = re.compile(rf"\){_SPACE}")
_ITEM = re.compile(
    rf"""{_SPACE}\({_SPACE}
    ({_NAME}(?:;[A-Za-z0-9_-]+)*)?  # an attribute
    (:[Dd][Nn])?(?::({_NAME}))?     # a matching rule, also in names
    (:=|[<>~]?=)
    ((?:[^\x00()\\\ud800-\udfff]|\\[0-9A-Fa-f]{{2}})*)\){_SPACE}""",
    re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})")


class And(Struct, frozen=True):
    """True where every part is."""

    parts: tuple[Filter, ...]


class Or(Struct, frozen=True):
    """True where any part is."""

    parts: tuple[Filter, ...]


class Not(Struct, frozen=True):
    """True where the part is false; undefined where the part is undefined."""

    part: Filter


class _ValueItem(Struct, frozen=True):
    attribute: str
    value: bytes


class Equal(_ValueItem, frozen=True):
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


class GreaterOrEqual(_ValueItem, frozen=True):
    """`(attribute>=value)`, by the attribute's ordering rule."""


class LessOrEqual(_ValueItem, frozen=True):
    """`(attribute<=value)`, by the attribute's ordering rule."""


class Approx(_ValueItem, frozen=True):
    """`(attribute~=value)`: whatever the server takes for nearly equal."""


class Extensible(Struct, frozen=True):
    """`(attribute:dn:rule:=value)`: by a named rule, also in the entry's name where `dn`; one of the two is there."""

    rule: str | None
    attribute: str | None
    value: bytes
    dn: bool


Item = Equal | Present | Substrings | GreaterOrEqual | LessOrEqual | Approx | Extensible
Filter = And | Or | Not | Item

ANYTHING = Present(OBJECT_CLASS)
"""True of every entry."""
NOBODY = Not(ANYTHING)
"""False of every entry."""
_KINDS: dict[str, type[Equal | GreaterOrEqual | LessOrEqual | Approx]] = {
    "=": Equal,
    ">=": GreaterOrEqual,
    "<=": LessOrEqual,
    "~=": Approx,
}


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises ValueError that says at which character (from 1) it is wrong."""
    found, place = _parse_one(text, 0, 1)
    if place < len(text):
        raise _make_error("there is more after the end of the filter", place)
    return found


def _parse_one(text: str, place: int, depth: int) -> tuple[Filter, int]:
    """The filter that begins here, and where the next one does."""
    if depth > MAX_DEPTH:
        why = f"filters are nested more than {MAX_DEPTH} deep"
        raise _make_error(why, place)
    matched = _ITEM.match(text, place)
    item = _make_item(*matched.groups()) if matched else None
    if matched and item:
        return item, matched.end()
    opened = _LIST.match(text, place)
    if opened is None:
        raise _make_error("this is no filter as in RFC 4515", place)
    parts: list[Filter] = []
    inner = opened.end()
    while not (closed := _END.match(text, inner)):
        part, inner = _parse_one(text, inner, depth + 1)
        parts.append(part)
    if opened[1] == "!":
        if len(parts) != 1:
            raise _make_error("'!' takes one filter", place)
        return Not(parts[0]), closed.end()
    kind = And if opened[1] == "&" else Or
    return kind(tuple(parts)), closed.end()


def _make_error(why: str, place: int) -> ValueError:
    return ValueError(f"{why}, at character {place + 1} of the filter")


def _make_item(
    attribute: str | None, dn: str | None, rule: str | None, sign: str, value: str
) -> Item | None:
    """An item; None where its parts do not go together."""
    pieces = [
        _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), piece.encode())
        for piece in value.split("*")
    ]
    first, last, is_whole = pieces[0], pieces[-1], len(pieces) == 1
    if sign == ":=":
        is_named = bool(attribute or rule) and is_whole
        return Extensible(rule, attribute, first, bool(dn)) if is_named else None
    if attribute is None or dn or rule:
        return None
    if is_whole:
        return _KINDS[sign](attribute, first)
    if sign != "=":
        return None
    if not any(pieces):
        return Present(attribute)
    middle = tuple(piece for piece in pieces[1:-1] if piece)
    return Substrings(attribute, first or None, middle, last or None)


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


# ---------------------------------------------------------------- disabled users

_ALL_BITS = "1.2.840.113556.1.4.803"
_ANY_BIT = "1.2.840.113556.1.4.804"
_OFF = 0x2
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


USER_ACCOUNT_CONTROL = DisabledMark(
    "userAccountControl",
    Extensible(_ALL_BITS, "userAccountControl", b"%d" % _OFF, dn=False),
    _judge_bits,
)
NS_ACCOUNT_LOCK = DisabledMark(
    "nsAccountLock", Equal("nsAccountLock", b"TRUE"), _judge_absent
)
PASSWORD_POLICY = DisabledMark(
    "pwdAccountLockedTime",
    Equal("pwdAccountLockedTime", b"000001010000Z"),
    _judge_absent,
)  # locked for good (draft-behera-ldap-password-policy §5.3.3); any other time is a lock that passes
DISABLED_MARKS = (USER_ACCOUNT_CONTROL, NS_ACCOUNT_LOCK, PASSWORD_POLICY)
