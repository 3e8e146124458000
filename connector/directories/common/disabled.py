"""How directories mark disabled users, as values, and whom a filter leaves out for that mark alone. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.ldap_filters import (
    And,
    Equal,
    Extensible,
    Filter,
    Not,
    Or,
)

Item = Filter | bool
"""A filter, or what it comes to whoever is looked at."""
_ALL_BITS: Final = "1.2.840.113556.1.4.803"
_ANY_BIT: Final = "1.2.840.113556.1.4.804"
_OFF: Final = 0x2
"""ADS_UF_ACCOUNTDISABLE ([MS-ADTS] 2.2.16)."""


class Mark(Struct, frozen=True):
    """An attribute that says who is disabled.

    `says`: the filter that is true of them. `enabled`: of an item about the attribute, what it says of a user who is
    not disabled and otherwise the same.
    """

    attribute: str
    says: Filter
    enabled: Callable[[Filter], Item]


def left_out(filter_: Filter, mark: Mark) -> Filter | None:
    """True of disabled users that would be in the filter if they were enabled; None: it does not look at the mark."""
    enabled = _enabled(filter_, mark)
    if enabled is False or enabled == filter_:
        return None
    return mark.says if enabled is True else And((mark.says, enabled))


def _enabled(filter_: Filter, mark: Mark) -> Item:
    """The filter as it judges a user who is not disabled, without what is the same for all of them."""
    match filter_:
        case And(parts):
            return _joined(And, parts, mark, ends=False)
        case Or(parts):
            return _joined(Or, parts, mark, ends=True)
        case Not(part):
            item = _enabled(part, mark)
            return not item if isinstance(item, bool) else Not(item)
        case Extensible(attribute=name) if name is None:
            return filter_
        case item:
            return (
                mark.enabled(item)
                if str(item.attribute).lower() == mark.attribute.lower()
                else item
            )


def _joined(
    kind: type[And | Or], parts: tuple[Filter, ...], mark: Mark, *, ends: bool
) -> Item:
    """`ends`: what one part alone makes of the whole."""
    items = [_enabled(part, mark) for part in parts]
    if any(item is ends for item in items):
        return ends
    left = tuple(item for item in items if not isinstance(item, bool))
    if not left and items:
        return not ends
    return left[0] if len(left) == 1 and len(items) > 1 else kind(left)


def _absent(item: Filter) -> Item:
    """An enabled user has no such attribute, or one that says FALSE."""
    return isinstance(item, Equal) and item.value.lower() == b"false"


def _bit_off(item: Filter) -> Item:
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


ACTIVE_DIRECTORY: Final = Mark(
    "userAccountControl",
    Extensible(_ALL_BITS, "userAccountControl", b"%d" % _OFF, dn=False),
    _bit_off,
)
DS389: Final = Mark("nsAccountLock", Equal("nsAccountLock", b"TRUE"), _absent)
PASSWORD_POLICY: Final = Mark(
    "pwdAccountLockedTime", Equal("pwdAccountLockedTime", b"000001010000Z"), _absent
)  # locked for good (draft-behera-ldap-password-policy §5.3.3); any other time is a lock that passes
MARKS: Final = (ACTIVE_DIRECTORY, DS389, PASSWORD_POLICY)
