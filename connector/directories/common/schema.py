"""What a directory's published schema says of attributes and object classes (RFC 4512 §4.1, RFC 4517)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import Final, Literal

from msgspec.structs import replace

from connector.directories.common.definitions import (
    BY_SYNTAX,
    EQUALITIES,
    MICROSOFT,
    SYNTAXES,
    Definition,
    MadeOnDemand,
    find_definition,
    find_lineage,
    read_definition,
    tabulate_definitions,
)
from connector.model import (
    OBJECT_CLASS,
    AttributeDefinition,
    AttributeInfo,
    ClassInfo,
    ContentRule,
    Equality,
    Syntax,
    Unit,
    ValueBounds,
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
ClassKind = Literal["structural", "auxiliary", "abstract"]
_LENGTH: Final = re.compile(r"\{(\d{1,9})\}$")


class Schema:
    """Attribute types and object classes by name or number, whatever the case and the attribute options.

    `lax`: the server does not mind whether a class is structural,
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
        self._types = tabulate_definitions(attribute_types)
        self._classes = tabulate_definitions(object_classes)
        self._rules = tabulate_definitions(content_rules)
        self.info: Callable[[str], AttributeInfo] = cache(self._describe_attribute)
        self.types: Mapping[str, AttributeInfo] = MadeOnDemand(
            self._types, self._describe_type
        )
        self.classes: Mapping[str, ClassInfo] = MadeOnDemand(
            self._classes, self._describe_class
        )

    def has_rule(self, name: str, rule: str) -> bool:
        """Whether the attribute has such a rule: EQUALITY; ORDERING for `>=` and `<=`; SUBSTR for pieces of a value."""
        return (
            _inherit_argument(find_lineage(self._types, base_of(name)), rule)
            is not None
        )

    def canonical_name(self, name: str) -> str:
        """The attribute's first name as the directory spells it, with the options of `name`."""
        base = base_of(name)
        definition = find_definition(self._types, base)
        return name if definition is None else definition.name + name[len(base) :]

    def attribute_key(self, name: str) -> str:
        """What all spellings of one attribute description have in common: aliases, numbers, case, order of options."""
        base, *options = self.canonical_name(name).lower().split(";")
        return ";".join([base, *sorted(options)])

    def falls_under(self, name: str, superior: str) -> bool:
        """Whether an attribute description is `superior`, or a subtype of it by SUP or by options (RFC 4512 §2.5)."""
        base, *options = name.lower().split(";")
        wanted, *wanted_options = superior.lower().split(";")
        if not set(wanted_options) <= set(options):
            return False
        target = find_definition(self._types, wanted)
        if target is None:
            return base == wanted
        lineage = find_lineage(self._types, base)
        return any(found.oid == target.oid for found in lineage)

    def class_names(self) -> list[str]:
        return [definition.name for definition in self._read_classes()]

    def _read_classes(self) -> Iterator[Definition]:
        for text in dict.fromkeys(self._classes.values()):
            definition = read_definition(text)
            if definition is not None:
                yield definition

    def list_superclasses(self, class_name: str) -> frozenset[str]:
        """A class and all that it inherits from, by number and name in lower case; an unknown one is itself alone."""
        found = {class_name.lower()}
        for definition in find_lineage(self._classes, class_name):
            found |= definition.spellings
        return frozenset(found)

    def widen_view(self, view: View) -> View:
        """The view with what its `object_classes` require, and all that the classes of its `all_of` allow.

        They allow it themselves or by inheritance, but for what every entry has.
        """
        known = {self.attribute_key(name) for name in (*view.attributes, OBJECT_CLASS)}
        required: set[str] = set()
        for name in view.object_classes:
            if name.lower() in self.classes:
                required |= self.classes[name.lower()].must
        allowed: dict[str, None] = {}
        for name in view.all_of:
            for part in find_lineage(self._classes, name):
                if part.oid != _TOP:
                    allowed |= dict.fromkeys(part.allowed)

        def select_new(names: Iterable[str]) -> dict[str, None]:
            return dict.fromkeys(
                self.canonical_name(name)
                for name in names
                if self.attribute_key(name) not in known
            )

        return replace(
            view,
            attributes=(*view.attributes, *select_new([*allowed, *sorted(required)])),
            secrets=view.secrets | frozenset(select_new(allowed)),
        )

    def _describe_attribute(self, name: str) -> AttributeInfo:
        """What is known of an attribute; where nothing is, `known` is False and values compare exactly."""
        lineage = find_lineage(self._types, base_of(name))
        if not lineage:
            return AttributeInfo(
                name,
                equality=Equality.CASE_EXACT,
                definition=AttributeDefinition(known=False),
                comparable=False,
                named_rule=False,
            )
        own = lineage[0]
        number = _inherit_argument(lineage, "SYNTAX") or ""
        length = _LENGTH.search(number)
        number = _LENGTH.sub("", number)
        syntax = SYNTAXES.get(number, Syntax.OTHER if number else Syntax.TEXT)
        rule = _inherit_argument(lineage, "EQUALITY")
        usage = own.first_argument("USAGE") or "userApplications"
        is_operational = usage.lower() != "userapplications"
        flags = {flag for item in lineage for flag in item.fields}
        is_constructed = "X-CONSTRUCTED" in flags or own.oid in _CONSTRUCTED
        return AttributeInfo(
            name=self.canonical_name(name),
            syntax=syntax,
            equality=_choose_equality(rule, number, syntax),
            single="SINGLE-VALUE" in flags,
            bounds=ValueBounds(
                min_length=_inherit_number(lineage, "X-SHORTEST") or 0,
                max_length=int(length.group(1)) if length else None,
                unit=_UNITS.get(
                    _inherit_argument(lineage, "X-COUNTED") or "", "characters"
                ),
                least=_inherit_number(lineage, "X-LEAST"),
                most=_inherit_number(lineage, "X-MOST"),
            ),
            readable=None if "X-CONFIDENTIAL" in flags else True,
            writable=flags.isdisjoint(("NO-USER-MODIFICATION", "COLLECTIVE")),
            comparable=rule is not None,
            named_rule=rule is not None and rule.lower() in EQUALITIES,
            definition=AttributeDefinition(
                obsolete="OBSOLETE" in own.fields and not self._lax,
                constructed=is_constructed,
                operational=is_operational,
                classes=frozenset() if is_operational else self._find_allowing(own),
                aliases=own.spellings,
            ),
        )

    def _describe_type(self, name: str) -> AttributeInfo | None:
        info = self.info(name)
        return info if info.definition.known else None

    def _describe_class(self, name: str) -> ClassInfo | None:
        definition = find_definition(self._classes, name)
        if definition is None:
            return None
        lineage = find_lineage(self._classes, name)
        if "AUXILIARY" in definition.fields or self._lax:
            kind: ClassKind = "auxiliary"
        else:
            kind = "abstract" if "ABSTRACT" in definition.fields else "structural"
        return ClassInfo(
            name=definition.name.lower(),
            kind=kind,
            above=self.list_superclasses(name),
            must=_lower_names(item.fields.get("MUST", ()) for item in lineage),
            may=_lower_names(item.fields.get("MAY", ()) for item in lineage),
            anything=any(item.oid == _EXTENSIBLE_OBJECT for item in lineage),
            obsolete="OBSOLETE" in definition.fields and not self._lax,
            rule=self._describe_rule(definition),
            spelling=definition.name,
        )

    def _describe_rule(self, structural: Definition) -> ContentRule | None:
        rule = find_definition(self._rules, structural.oid)
        if rule is None or "OBSOLETE" in rule.fields:
            return None
        named = rule.fields.get("AUX", ())
        known = (find_definition(self._classes, name) for name in named)
        return ContentRule(
            frozenset(item.name.lower() for item in known if item),
            _lower_names([rule.fields.get("MUST", ())]),
            _lower_names([rule.fields.get("MAY", ())]),
            _lower_names([rule.fields.get("NOT", ())]),
        )

    def _find_allowing(self, attribute: Definition) -> frozenset[str]:
        """The classes that allow an attribute themselves, by inheritance, or by a content rule (RFC 4512 §4.1.6)."""
        wanted = attribute.spellings | {_ANYTHING}
        found: set[str] = set()
        for definition, allowed in self._list_allowances:
            if not wanted.isdisjoint(allowed):
                found |= definition.spellings
        return frozenset(found)

    @cached_property
    def _list_allowances(self) -> list[tuple[Definition, frozenset[str]]]:
        """Each class with the attributes that it allows, in lower case."""
        return [(each, self._find_allowed(each)) for each in self._read_classes()]

    def _find_allowed(self, definition: Definition) -> frozenset[str]:
        sources = find_lineage(self._classes, definition.oid)
        rule = find_definition(self._rules, definition.oid)
        if rule is not None:
            sources.append(rule)
        allowed = _lower_names(source.allowed for source in sources)
        return (
            allowed | {_ANYTHING} if definition.oid == _EXTENSIBLE_OBJECT else allowed
        )


def _lower_names(names: Iterable[Iterable[str]]) -> frozenset[str]:
    return frozenset(name.lower() for some in names for name in some)


def base_of(name: str) -> str:
    """An attribute description without its options."""
    return name.partition(";")[0]


def _inherit_argument(lineage: list[Definition], keyword: str) -> str | None:
    for item in lineage:
        value = item.first_argument(keyword)
        if value:
            return value
    return None


def _inherit_number(lineage: list[Definition], keyword: str) -> int | None:
    """A bound, under a keyword of this program's own: no other server publishes any (RFC 4512 §4.2 has none)."""
    text = _inherit_argument(lineage, keyword) or ""
    return int(text) if _BOUND.fullmatch(text) else None


def _choose_equality(rule: str | None, syntax_number: str, syntax: Syntax) -> Equality:
    by_syntax = BY_SYNTAX[syntax]
    if rule is not None:
        # a rule that we do not know compares at least whatever is identical
        exact = {Equality.CASE_IGNORE: Equality.CASE_EXACT}
        return EQUALITIES.get(rule.lower(), exact.get(by_syntax, by_syntax))
    # Active Directory's case-sensitive string
    return Equality.CASE_EXACT if syntax_number == MICROSOFT + "1362" else by_syntax
