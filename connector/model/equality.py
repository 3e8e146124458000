"""Whether two values of an attribute are the same: the only place that compares values of a directory.

Each rule of RFC 4517 §4.2 is a key: two values are equal when their keys are. Only that
counts as equal which is so on every server: equal in ASCII, ignoring case and runs of
spaces where the rule does; all else, letter by letter.

Servers differ in the rest (RFC 4518: invisible characters, compatibility forms, case beyond
ASCII, numbers written otherwise). `likeness_key` is the looser key: values that are not alike
are equal nowhere; whether two that are alike are equal, the server has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from hashlib import blake2s
from typing import Final

from connector.model import Equality, Held, Holds, Secret, Value, dn, folding

_OF_TEXT: Final = frozenset(
    {
        Equality.CASE_IGNORE,
        Equality.CASE_EXACT,
        Equality.CASE_ALONE,
        Equality.NUMERIC,
        Equality.TELEPHONE,
    }
)
_KEYS: Final = {**folding.KEYS, Equality.DN: dn.dn_key}
_LIKENESSES: Final = {**folding.LIKENESSES, Equality.DN: dn.dn_key}


def equality_key(rule: Equality, value: Value) -> Hashable:
    """What equal values have in common. A value that does not fit its rule is equal to itself alone."""
    return _KEYS[rule](value)


def write_key(rule: Equality, value: Held) -> str | None:
    """The key of a value as text, where it is one or a whole number."""
    found = equality_key(rule, reveal_value(value))
    return str(found) if isinstance(found, str | int) else None


def likeness_key(rule: Equality, value: Value) -> Hashable:
    """What values have in common that some server may take for equal; equal ones are alike."""
    return _LIKENESSES[rule](value)


def likenesses_of(rule: Equality) -> Callable[[Value], Hashable]:
    """The `likeness_key` of one rule, for whoever compares many values by it."""
    return _LIKENESSES[rule]


def are_alike(
    rule: Equality,
    some: Iterable[Held],
    others: Iterable[Held],
) -> bool:
    """Whether two collections may hold the same values, as some server has it."""
    return _all_keys(_LIKENESSES[rule], some) == _all_keys(_LIKENESSES[rule], others)


def _all_keys(
    key: Callable[[Value], Hashable],
    values: Iterable[Held],
) -> set[Hashable]:
    return {key(reveal_value(value)) for value in values}


def keys_of(rule: Equality) -> Callable[[Value], Hashable]:
    """The `key` of one rule, for whoever compares many values by it."""
    return _KEYS[rule]


def digest_value(rule: Equality, value: Held) -> str:
    """32 hexadecimal digits that equal values have in common, and no others."""
    folded = _KEYS[rule](value if type(value) is str else reveal_value(value))
    said = folded if type(folded) is str else f"\0{_key_text(folded)}"
    return blake2s(said.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def digest_values(rule: Equality, values: Iterable[Held]) -> set[str]:
    """The digests of several values."""
    return {digest_value(rule, value) for value in values}


def _key_text(folded: Hashable) -> str:
    """A key as text: the same for equal ones, in whatever order a set gives its members."""
    if isinstance(folded, (tuple, frozenset)):
        parts = list(map(_key_text, folded))
        return f"({','.join(parts if isinstance(folded, tuple) else sorted(parts))})"
    return repr(folded.normalize() if isinstance(folded, Decimal) else folded)


def choose_rule(rule: Equality, *, secret: bool) -> Equality:
    """How values compare here where the directory has this rule: of a password that is text every character counts."""
    return Equality.OCTETS if secret and rule in _OF_TEXT else rule


def same_set(
    rule: Equality,
    some: Iterable[Held],
    others: Iterable[Held],
) -> bool:
    """Whether two collections hold the same values, in whatever order."""
    return _all_keys(_KEYS[rule], some) == _all_keys(_KEYS[rule], others)


def whether_held(
    rule: Equality,
    held: Iterable[Held],
    value: Held,
) -> Holds:
    """What the values that an attribute shows say of one."""
    keys = _all_keys(_KEYS[rule], held)
    if not keys:
        return Holds.ABSENT
    return Holds.SAME if _KEYS[rule](reveal_value(value)) in keys else Holds.OTHER


def drop_equal(rule: Equality, values: Iterable[Held]) -> tuple[Held, ...]:
    """Of equal values the first."""
    found: dict[Hashable, Held] = {}
    for value in values:
        found.setdefault(_KEYS[rule](reveal_value(value)), value)
    return tuple(found.values())


def subtract_equal(
    rule: Equality,
    some: Iterable[Held],
    others: Iterable[Held],
) -> tuple[Held, ...]:
    """Those of `some` that are not among `others`."""
    if not others:
        return tuple(some)
    key, without = _KEYS[rule], _all_keys(_KEYS[rule], others)
    return tuple(value for value in some if key(reveal_value(value)) not in without)


def reveal_value(value: Held) -> Value:
    """The value, out of its `Secret` where it is in one; for comparing only."""
    return value.reveal() if isinstance(value, Secret) else value


def plain_text(value: Held) -> str:
    """The same, as text; octets that are none stand for themselves."""
    return folding.text_of(reveal_value(value))
