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
    Iterator,
    Mapping,
    Sequence,
)
from typing import Final

from connector.directories.common.definitions import EQUALITIES
from connector.directories.common.ldap_filters import (
    And,
    Approx,
    Equal,
    Extensible,
    Filter,
    GreaterOrEqual,
    LessOrEqual,
    Not,
    Or,
    Present,
    Substrings,
)
from connector.directories.common.schema import Schema
from connector.model import Equality
from connector.model.equality import likeness

Values = Mapping[str, Sequence[bytes]]
"""An entry's values by attribute, each under its `Schema.key`."""

Matcher = Callable[[Values], bool | None]
Test = Callable[[bytes], bool]
"""Whether one value of an attribute passes an item of a filter."""

_CLASSES: Final = frozenset({"objectclass", "structuralobjectclass"})
"""Attributes that name classes, where a class stands for those that it inherits from too
(measured on OpenLDAP)."""
_BITS: Final = {"1.2.840.113556.1.4.803": True, "1.2.840.113556.1.4.804": False}
"""Active Directory's rules over the bits of an integer: all of them, or any ([MS-ADTS]
3.1.1.3.4.4)."""


def make_matcher(
    wanted: Filter, schema: Schema, recognised: Collection[str] = ()
) -> Matcher:
    """A function that says whether an entry matches.

    `recognised`: attributes, by their `Schema.key`, that count as known although the schema does not know them.
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
                return _join_matchers(
                    [self.build_matcher(part) for part in parts], ends=False
                )
            case Or(parts):
                return _join_matchers(
                    [self.build_matcher(part) for part in parts], ends=True
                )
            case Not(part):
                return _negate_matcher(self.build_matcher(part))
            case Extensible():
                return self._build_extensible(wanted)
            case _:
                return self._build_item(wanted)

    def _build_item(
        self,
        wanted: Equal | Present | Substrings | GreaterOrEqual | LessOrEqual | Approx,
    ) -> Matcher:
        attribute = wanted.attribute
        if not self._is_known(attribute):
            return _never_defined
        values = self._select_values(attribute)
        info = self._schema.info(attribute)
        match wanted:
            case Present():
                return _match_values(values, lambda held: True)
            case Equal(value=value) | Approx(value=value):
                if self._schema.attribute_key(attribute) in _CLASSES:
                    return _match_values(values, self._of_class(value))
                comparable = (
                    self._schema.has_rule(attribute, "EQUALITY")
                    or not info.definition.known
                )
                return _match_values(
                    values, match_equal(info.equality, value) if comparable else None
                )
            case Substrings():
                has = (
                    self._schema.has_rule(attribute, "SUBSTR")
                    or not info.definition.known
                )
                return _match_values(
                    values, match_pieces(info.equality, wanted) if has else None
                )
            case GreaterOrEqual(value=value) | LessOrEqual(value=value):
                up, has = (
                    isinstance(wanted, GreaterOrEqual),
                    self._schema.has_rule(attribute, "ORDERING")
                    or not info.definition.known,
                )
                return _match_values(
                    values, match_order(info.equality, value, up=up) if has else None
                )

    def _of_class(self, value: bytes) -> Test:
        """An entry is of a class that it names, and of those which that one inherits from (RFC 4512 §2.4)."""
        name = value.decode("utf-8", "replace").strip().lower()
        # a directory has a handful of classes, and every entry names some
        answers: dict[bytes, bool] = {}

        def is_of_class(held: bytes) -> bool:
            if held not in answers:
                answers[held] = name in self._schema.list_superclasses(
                    held.decode("utf-8", "replace").strip()
                )
            return answers[held]

        return is_of_class

    def _build_extensible(self, wanted: Extensible) -> Matcher:
        if wanted.dn:
            raise ValueError(
                "':dn:' in a filter is not evaluated here; use the base instead"
            )
        if wanted.rule is None:
            return self._build_item(Equal(str(wanted.attribute), wanted.value))
        if wanted.attribute is not None and not self._is_known(wanted.attribute):
            return _never_defined
        values = (
            self._select_values(wanted.attribute) if wanted.attribute else _every_value
        )
        if wanted.rule in _BITS:
            return _match_values(
                values, match_bits(wanted.value, every=_BITS[wanted.rule])
            )
        rule = EQUALITIES.get(wanted.rule.lower())
        if rule is None:
            raise ValueError(f"the matching rule {wanted.rule} is not evaluated here")
        return _match_values(values, match_equal(rule, wanted.value))

    def _is_known(self, attribute: str) -> bool:
        return (
            self._schema.info(attribute).definition.known
            or self._schema.attribute_key(attribute) in self._recognised
        )

    def _select_values(self, attribute: str) -> Callable[[Values], Iterator[bytes]]:
        """All values of an attribute and of its subtypes."""
        under: dict[str, bool] = {}

        def values(entry: Values) -> Iterator[bytes]:
            for name, held in entry.items():
                if name not in under:
                    under[name] = self._schema.falls_under(name, attribute)
                if under[name]:
                    yield from held

        return values


def _never_defined(_entry: Values) -> None:
    """Undefined (None) for each entry: the schema does not know the attribute (RFC 4511 §4.5.1.7)."""


def _every_value(entry: Values) -> Iterator[bytes]:
    return (value for held in entry.values() for value in held)


def _join_matchers(parts: list[Matcher], *, ends: bool) -> Matcher:
    """`ends`: what one part alone makes of the whole."""

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


def _match_values(
    values: Callable[[Values], Iterator[bytes]], test: Test | None
) -> Matcher:
    """True where a value passes; no test: undefined."""
    if test is None:
        return _never_defined
    return lambda entry: any(test(value) for value in values(entry))


# ---------------------------------------------------------------- tests of one value

_TEXT: Final = frozenset(
    {Equality.CASE_IGNORE, Equality.CASE_EXACT, Equality.NUMERIC, Equality.TELEPHONE}
)


def match_equal(rule: Equality, value: bytes) -> Test | None:
    """Equal by the rule; None where the value is none of the rule's syntax."""
    wanted = likeness(rule, value)
    if not _fits_rule(rule, wanted):
        return None
    return lambda held: likeness(rule, held) == wanted


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


def match_order(rule: Equality, value: bytes, *, up: bool) -> Test | None:
    """By the order of the rule's keys; rules without an order (names, truth) are undefined."""
    wanted = likeness(rule, value)

    def is_ordered(held: bytes) -> bool:
        mine = likeness(rule, held)
        for kind in (int, str, bytes, tuple):
            if isinstance(mine, kind) and isinstance(wanted, kind):
                return bool(mine >= wanted if up else mine <= wanted)  # type: ignore[operator]  # both are of one kind
        return False

    return (
        None
        if rule in (Equality.DN, Equality.BOOLEAN) or not _fits_rule(rule, wanted)
        else is_ordered
    )


def match_pieces(rule: Equality, wanted: Substrings) -> Test | None:
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
    return lambda held: pattern.fullmatch(str(likeness(rule, held))) is not None


def _prepare_piece(rule: Equality, piece: bytes) -> str:
    """A piece as the rule prepares it, but for its outer spaces: inside the whole value they count, as one each."""
    text = str(likeness(rule, piece))
    if rule in (Equality.NUMERIC, Equality.TELEPHONE):
        return text
    if not text:
        return " "
    return (
        (" " if piece[:1].isspace() else "")
        + text
        + (" " if piece[-1:].isspace() else "")
    )


def match_bits(value: bytes, *, every: bool) -> Test | None:
    """Every bit of a number, or any, is set in an integer ([MS-ADTS] 3.1.1.3.4.4)."""
    mask = likeness(Equality.INTEGER, value)
    if not isinstance(mask, int):
        return None

    def has_bits(held: bytes) -> bool:
        number = likeness(Equality.INTEGER, held)
        return isinstance(number, int) and (
            number & mask == mask if every else number & mask != 0
        )

    return has_bits
