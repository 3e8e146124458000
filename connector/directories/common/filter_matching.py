"""Whether an entry matches a filter (RFC 4511 §4.5.1.7), for directories that have no server to ask.

The answer is three-valued: an item about an attribute that nobody knows, or with a value or
a rule that does not fit, is *undefined*, and so is its negation. An entry is in the filter
where the answer is true, so that a misspelt attribute finds nobody, also behind a `!`.
"""

from __future__ import annotations

import re
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from functools import cache, partial
from operator import ge, le
from typing import Any

from connector.directories.common.definitions import EQUALITIES
from connector.directories.common.ldap_filters import (
    And,
    Extensible,
    Filter,
    GreaterOrEqual,
    Item,
    LessOrEqual,
    Not,
    Or,
    Present,
    Substrings,
)
from connector.directories.common.schema import Schema
from connector.model import Equality
from connector.model.equality import likeness_key

Values = Mapping[str, Sequence[bytes]]
"""An entry's values by attribute, each under its `Schema.attribute_key`."""

Matcher = Callable[[Values], bool | None]
Test = Callable[[bytes], bool]
"""Whether one value of an attribute passes an item of a filter."""

_CLASSES = frozenset({"objectclass", "structuralobjectclass"})
"""Attributes that name classes, where a class stands for those that it inherits from too
(measured on OpenLDAP)."""
_BITS = {"1.2.840.113556.1.4.803": True, "1.2.840.113556.1.4.804": False}
"""Active Directory's rules over the bits of an integer: all of them, or any ([MS-ADTS]
3.1.1.3.4.4)."""


_RULE_KINDS = {
    Substrings: "SUBSTR",
    GreaterOrEqual: "ORDERING",
    LessOrEqual: "ORDERING",
}
"""The kind of matching rule that an item takes; of all others, EQUALITY."""


def make_matcher(
    wanted: Filter, schema: Schema, recognised: Collection[str] = ()
) -> Matcher:
    """A function that says whether an entry matches.

    `recognised`: attributes, by `Schema.attribute_key`, that count as known although the schema does not know them.
    Raises ValueError for a matching rule that this program cannot evaluate.
    """
    return _MatcherBuilder(schema, frozenset(recognised)).build_matcher(wanted)


class _MatcherBuilder:
    def __init__(self, schema: Schema, recognised: frozenset[str]) -> None:
        self._schema = schema
        self._recognised = recognised

    def build_matcher(self, wanted: Filter) -> Matcher:
        match wanted:
            case And(parts):
                return _join_matchers(map(self.build_matcher, parts), ends=False)
            case Or(parts):
                return _join_matchers(map(self.build_matcher, parts), ends=True)
            case Not(part):
                return _negate_matcher(self.build_matcher(part))
            case item:
                return self._build_item(item)

    def _build_item(self, item: Item) -> Matcher:
        attribute = item.attribute
        test = self._make_test(item)
        is_known = attribute is None or self._is_known(attribute)
        if test is None or not is_known:
            return _never_defined
        if attribute is None:
            return lambda entry: any(any(map(test, held)) for held in entry.values())
        under = cache(partial(self._schema.falls_under, superior=attribute))
        return lambda entry: any(
            under(name) and any(map(test, held)) for name, held in entry.items()
        )

    def _is_known(self, attribute: str) -> bool:
        is_defined = self._schema.info(attribute).definition.known
        return is_defined or self._schema.attribute_key(attribute) in self._recognised

    def _make_test(self, item: Item) -> Test | None:
        """What passes an item; None: the item is undefined."""
        if isinstance(item, Present):
            return lambda held: True
        if isinstance(item, Extensible) and (item.dn or item.rule):
            return _match_by_rule(item)
        attribute = str(item.attribute)
        info = self._schema.info(attribute)
        kind = _RULE_KINDS.get(type(item), "EQUALITY")
        is_known = info.definition.known
        if isinstance(item, Substrings):
            test = _match_pieces(info.equality, item)
        elif isinstance(item, GreaterOrEqual | LessOrEqual):
            test = _match_order(info.equality, item)
        elif self._schema.attribute_key(attribute) in _CLASSES:
            return self._match_class(item.value)
        else:
            test = _match_equal(info.equality, item.value)
        return None if is_known and not self._schema.has_rule(attribute, kind) else test

    def _match_class(self, value: bytes) -> Test:
        """An entry is of a class that it names, and of those which that one inherits from (RFC 4512 §2.4)."""
        name = _decode_class(value).lower()
        # a directory has a handful of classes, and every entry names some
        return cache(
            lambda held: name in self._schema.list_superclasses(_decode_class(held))
        )


def _decode_class(value: bytes) -> str:
    return value.decode("utf-8", "replace").strip()


def _never_defined(_entry: Values) -> None:
    """Undefined (None) for each entry: the schema does not know the attribute (RFC 4511 §4.5.1.7)."""


def _join_matchers(matchers: Iterable[Matcher], *, ends: bool) -> Matcher:
    """`ends`: what one part alone makes of the whole."""
    parts = list(matchers)

    def match(entry: Values) -> bool | None:
        result: bool | None = not ends
        for part in parts:
            answer = part(entry)
            if answer is ends:
                return ends
            if answer is None:
                result = None
        return result

    return match


def _negate_matcher(part: Matcher) -> Matcher:
    def match(entry: Values) -> bool | None:
        answer = part(entry)
        return None if answer is None else not answer

    return match


# ---------------------------------------------------------------- tests of one value

_TEXT = frozenset(
    {Equality.CASE_IGNORE, Equality.CASE_EXACT, Equality.NUMERIC, Equality.TELEPHONE}
)


def _match_by_rule(item: Extensible) -> Test | None:
    """By a rule that the filter names. Raises ValueError for one that is not evaluated here."""
    name = item.rule or ""
    if item.dn:
        why = "':dn:' in a filter is not evaluated here; use the base instead"
        raise ValueError(why)
    if name in _BITS:
        return _match_bits(item.value, every=_BITS[name])
    rule = EQUALITIES.get(name.lower())
    if rule is None:
        raise ValueError(f"the matching rule {name} is not evaluated here")
    return _match_equal(rule, item.value)


def _match_equal(rule: Equality, value: bytes) -> Test | None:
    """Equal by the rule; None where the value is none of the rule's syntax."""
    wanted = likeness_key(rule, value)
    if not _fits_rule(rule, wanted):
        return None
    return lambda held: likeness_key(rule, held) == wanted


def _fits_rule(rule: Equality, wanted: Hashable) -> bool:
    """Whether an asserted value is of the rule's syntax; where it is not, the assertion is undefined."""
    match rule:
        case Equality.INTEGER:
            return isinstance(wanted, int)
        case Equality.BOOLEAN:
            return wanted in ("TRUE", "FALSE")
        case Equality.DN:
            return not (isinstance(wanted, tuple) and wanted[:1] == ("no DN",))
        case _:
            return True


def _match_order(rule: Equality, item: GreaterOrEqual | LessOrEqual) -> Test | None:
    """By the order of the rule's keys; rules without an order (names, truth) are undefined."""
    wanted = likeness_key(rule, item.value)
    is_up = isinstance(item, GreaterOrEqual)
    compare: Callable[[Any, Any], bool] = ge if is_up else le
    if rule in (Equality.DN, Equality.BOOLEAN) or not _fits_rule(rule, wanted):
        return None

    def is_ordered(held: bytes) -> bool:
        mine = likeness_key(rule, held)
        return type(mine) is type(wanted) and compare(mine, wanted)

    return is_ordered


def _match_pieces(rule: Equality, wanted: Substrings) -> Test | None:
    """Pieces in their order (RFC 4517 §4.2.6 for text); None where the rule has none."""
    if rule not in _TEXT:
        return None
    initial = re.escape(_prepare_piece(rule, wanted.initial or b"").lstrip(" "))
    final = re.escape(_prepare_piece(rule, wanted.final or b"").rstrip(" "))
    # atomic: each piece is where it comes first, so that the work is linear
    middle = "".join(
        f"(?>.*?{re.escape(_prepare_piece(rule, piece))})" for piece in wanted.middle
    )
    pattern = re.compile(f"{initial}{middle}.*{final}", re.DOTALL)
    return lambda held: pattern.fullmatch(str(likeness_key(rule, held))) is not None


def _prepare_piece(rule: Equality, piece: bytes) -> str:
    """A piece as the rule prepares it, but for its outer spaces: inside the whole value they count, as one each."""
    text = str(likeness_key(rule, piece))
    if rule in (Equality.NUMERIC, Equality.TELEPHONE):
        return text
    before = " " if piece[:1].isspace() else ""
    after = " " if piece[-1:].isspace() else ""
    return before + text + after if text else " "


def _match_bits(value: bytes, *, every: bool) -> Test | None:
    """Every bit of a number, or any, is set in an integer ([MS-ADTS] 3.1.1.3.4.4)."""
    mask = likeness_key(Equality.INTEGER, value)
    if not isinstance(mask, int):
        return None

    def has_bits(held: bytes) -> bool:
        number = likeness_key(Equality.INTEGER, held)
        both = number & mask if isinstance(number, int) else 0
        return both == mask if every else both != 0

    return has_bits
