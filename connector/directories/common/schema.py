"""What a directory's published schema says of attributes and object classes (RFC 4512 §4.1, RFC 4517)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from typing import Final

from msgspec.structs import replace

from connector.directories.common.definitions import Defined, Definition, Index
from connector.directories.common.syntaxes import (
    BY_SYNTAX,
    EQUALITIES,
    MICROSOFT,
    SYNTAXES,
)
from connector.model import (
    OBJECT_CLASS,
    AttributeInfo,
    ClassInfo,
    ContentRule,
    Equality,
    Syntax,
    Unit,
    View,
)

# RFC 4512 §4.3: it allows whatever is defined
_EXTENSIBLE_OBJECT: Final = "1.3.6.1.4.1.1466.101.120.111"
_TOP: Final = "2.5.6.0"  # RFC 4512 §2.4.1
_CONSTRUCTED: Final = frozenset({"2.5.18.10"})
"""subschemaSubentry: of what OpenLDAP and 389-DS work out as it is read, the one that no
filter finds (measured)."""
_ANYTHING: Final = "*"
_BOUND: Final = re.compile(r"-?[0-9]{1,20}")
_UNITS: Final[Mapping[str, Unit]] = {"octets": "octets", "utf-16": "utf-16"}
_LENGTH: Final = re.compile(r"\{(\d{1,9})\}$")


class Schema:
    """Attribute types and object classes by name or number, whatever the case and the attribute options.

    Definitions are read when they are asked for: a server publishes some 1,500, and a
    mapping names ten. `lax`: the server does not mind whether a class is structural,
    auxiliary or abstract, nor whether anything is obsolete.
    """

    def __init__(
        self,
        attribute_types: Iterable[str],
        object_classes: Iterable[str] = (),
        content_rules: Iterable[str] = (),
        *,
        lax: bool = False,
    ) -> None:
        self._lax = lax
        self._types = Index(attribute_types)
        self._classes = Index(object_classes)
        self._rules = Index(content_rules)
        self.info: Callable[[str], AttributeInfo] = cache(self._info)
        self.types: Mapping[str, AttributeInfo] = Defined(self._types, self._type)
        self.classes: Mapping[str, ClassInfo] = Defined(self._classes, self._class)

    def has(self, name: str, rule: str) -> bool:
        """Whether the attribute has such a rule: EQUALITY; ORDERING for `>=` and `<=`; SUBSTR for pieces of a value."""
        return _inherited(self._types.lineage(base_of(name)), rule) is not None

    def canonical(self, name: str) -> str:
        """The attribute's first name as the directory spells it, with the options of `name`."""
        definition = self._types.get(base_of(name))
        return (
            name if definition is None else definition.name + name[len(base_of(name)) :]
        )

    def key(self, name: str) -> str:
        """What all spellings of one attribute description have in common: aliases, numbers, case, order of options."""
        base, *options = self.canonical(name).lower().split(";")
        return ";".join([base, *sorted(options)])

    def falls_under(self, name: str, superior: str) -> bool:
        """Whether an attribute description is `superior`, or a subtype of it by SUP or by options (RFC 4512 §2.5)."""
        options, wanted = (
            set(name.lower().split(";")[1:]),
            set(superior.lower().split(";")[1:]),
        )
        if not wanted <= options:
            return False
        target = self._types.get(base_of(superior))
        if target is None:
            return base_of(name).lower() == base_of(superior).lower()
        return any(
            found.oid == target.oid for found in self._types.lineage(base_of(name))
        )

    def class_names(self) -> list[str]:
        return [definition.name for definition in self._classes]

    def superclasses(self, class_name: str) -> frozenset[str]:
        """A class and all that it inherits from, by number and name in lower case; an unknown one is itself alone."""
        return frozenset({class_name.lower()}).union(
            *(item.spellings for item in self._classes.lineage(class_name))
        )

    def widened(self, view: View) -> View:
        """The view with what its `object_classes` require, and all that the classes of its `all_of` allow.

        They allow it themselves or by inheritance, but for what every entry has.
        """
        known = {self.key(name) for name in (*view.attributes, OBJECT_CLASS)}
        added = [
            self.classes[item.lower()]
            for item in view.object_classes
            if item.lower() in self.classes
        ]
        required = sorted(name for item in added for name in item.must)
        parts = (
            part
            for item in view.all_of
            for part in self._classes.lineage(item)
            if part.oid != _TOP
        )
        everything = [name for part in parts for name in part.allowed]
        beside, all_of = (
            dict.fromkeys(
                self.canonical(name) for name in names if self.key(name) not in known
            )
            for names in ((*everything, *required), everything)
        )
        return replace(
            view,
            attributes=(*view.attributes, *beside),
            secrets=view.secrets | frozenset(all_of),
        )

    def _info(self, name: str) -> AttributeInfo:
        """What is known of an attribute; where nothing is, `known` is False and values compare exactly."""
        lineage = self._types.lineage(base_of(name))
        if not lineage:
            return AttributeInfo(
                name,
                equality=Equality.CASE_EXACT,
                known=False,
                comparable=False,
                named_rule=False,
            )
        number = _inherited(lineage, "SYNTAX") or ""
        syntax = SYNTAXES.get(
            _LENGTH.sub("", number), Syntax.OTHER if number else Syntax.TEXT
        )
        rule = _inherited(lineage, "EQUALITY")
        operational = (
            lineage[0].first("USAGE") or "userApplications"
        ).lower() != "userapplications"
        length = _LENGTH.search(number)
        return AttributeInfo(
            name=self.canonical(name),
            syntax=syntax,
            equality=_equality(rule, number, syntax),
            single=any("SINGLE-VALUE" in definition.fields for definition in lineage),
            min_length=_number(lineage, "X-SHORTEST") or 0,
            max_length=int(length.group(1)) if length else None,
            readable=None if _inherited(lineage, "X-CONFIDENTIAL") else True,
            unit=_UNITS.get(_inherited(lineage, "X-COUNTED") or "", "characters"),
            least=_number(lineage, "X-LEAST"),
            most=_number(lineage, "X-MOST"),
            writable=not any(
                {"NO-USER-MODIFICATION", "COLLECTIVE"} & set(item.fields)
                for item in lineage
            ),
            comparable=rule is not None,
            named_rule=rule is not None and rule.lower() in EQUALITIES,
            obsolete="OBSOLETE" in lineage[0].fields and not self._lax,
            constructed=bool(_inherited(lineage, "X-CONSTRUCTED"))
            or lineage[0].oid in _CONSTRUCTED,
            operational=operational,
            classes=frozenset() if operational else self._allowing(lineage[0]),
            aliases=lineage[0].spellings,
        )

    def _type(self, name: str) -> AttributeInfo | None:
        info = self.info(name)
        return info if info.known else None

    def _class(self, name: str) -> ClassInfo | None:
        definition = self._classes.get(name)
        if definition is None:
            return None
        lineage = self._classes.lineage(name)
        abstract = "ABSTRACT" in definition.fields
        auxiliary = "AUXILIARY" in definition.fields or self._lax
        return ClassInfo(
            name=definition.name.lower(),
            kind="auxiliary" if auxiliary else "abstract" if abstract else "structural",
            above=self.superclasses(name),
            must=_lower(item.fields.get("MUST", ()) for item in lineage),
            may=_lower(item.fields.get("MAY", ()) for item in lineage),
            anything=any(item.oid == _EXTENSIBLE_OBJECT for item in lineage),
            obsolete="OBSOLETE" in definition.fields and not self._lax,
            rule=self._rule(definition),
            spelling=definition.name,
        )

    def _rule(self, structural: Definition) -> ContentRule | None:
        rule = self._rules.get(structural.oid)
        if rule is None or "OBSOLETE" in rule.fields:
            return None
        known = (self._classes.get(name) for name in rule.fields.get("AUX", ()))
        must, may, never = (
            _lower([rule.fields.get(keyword, ())]) for keyword in ("MUST", "MAY", "NOT")
        )
        return ContentRule(
            frozenset(item.name.lower() for item in known if item), must, may, never
        )

    def _allowing(self, attribute: Definition) -> frozenset[str]:
        """The classes that allow an attribute themselves, by inheritance, or by a content rule (RFC 4512 §4.1.6)."""
        wanted = attribute.spellings | {_ANYTHING}
        found = (
            definition.spellings
            for definition, allowed in self._allowances
            if not wanted.isdisjoint(allowed)
        )
        return frozenset[str]().union(*found)

    @cached_property
    def _allowances(self) -> list[tuple[Definition, frozenset[str]]]:
        return [(definition, self._allowed(definition)) for definition in self._classes]

    def _allowed(self, definition: Definition) -> frozenset[str]:
        sources = (
            *self._classes.lineage(definition.oid),
            self._rules.get(definition.oid),
        )
        anything = {_ANYTHING} if definition.oid == _EXTENSIBLE_OBJECT else set()
        return _lower(source.allowed for source in sources if source) | anything


def _lower(names: Iterable[Iterable[str]]) -> frozenset[str]:
    return frozenset(name.lower() for some in names for name in some)


def base_of(name: str) -> str:
    """An attribute description without its options."""
    return name.partition(";")[0]


def _inherited(lineage: list[Definition], keyword: str) -> str | None:
    return next(
        (value for value in (item.first(keyword) for item in lineage) if value), None
    )


def _number(lineage: list[Definition], keyword: str) -> int | None:
    """A bound, under a keyword of this program's own: no other server publishes any (RFC 4512 §4.2 has none)."""
    text = _inherited(lineage, keyword) or ""
    return int(text) if _BOUND.fullmatch(text) else None


def _equality(rule: str | None, syntax_number: str, syntax: Syntax) -> Equality:
    if rule is not None:
        # a rule that we do not know compares at least whatever is identical
        exact = {Equality.CASE_IGNORE: Equality.CASE_EXACT}
        by_syntax = BY_SYNTAX[syntax]
        return EQUALITIES.get(rule.lower(), exact.get(by_syntax, by_syntax))
    if (
        _LENGTH.sub("", syntax_number) == MICROSOFT + "1362"
    ):  # Active Directory's case-sensitive string
        return Equality.CASE_EXACT
    return BY_SYNTAX[syntax]
