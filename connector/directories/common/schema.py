"""What a directory's published schema says of attributes and object classes (RFC 4512 §4.1, RFC 4517)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Literal

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
    inherit_fields,
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
_EXTENSIBLE_OBJECT = "1.3.6.1.4.1.1466.101.120.111"
_TOP = "2.5.6.0"  # RFC 4512 §2.4.1
_CONSTRUCTED = frozenset({"2.5.18.10"})
"""subschemaSubentry: of what OpenLDAP and 389-DS work out as it is read, the one that no
filter finds (measured)."""
_BOUND = re.compile(r"-?[0-9]{1,20}")
_UNITS: Mapping[str, Unit] = {"octets": "octets", "utf-16": "utf-16"}
ClassKind = Literal["structural", "auxiliary", "abstract"]
_USER_APPLICATIONS = "userapplications"


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
        return rule in inherit_fields(find_lineage(self._types, base_of(name)))

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

        They allow it themselves or by inheritance, but for what every entry has. What is allowed
        is treated as a secret.
        """
        allowed: list[str] = []
        for class_name in view.all_of:
            for part in find_lineage(self._classes, class_name):
                allowed += part.allowed if part.oid != _TOP else ()
        required: set[str] = set()
        for class_name in view.object_classes:
            found = self.classes.get(class_name.lower())
            required |= found.must if found else set()
        known = set(map(self.attribute_key, (*view.attributes, OBJECT_CLASS)))
        secrets, others = (
            dict.fromkeys(
                self.canonical_name(name)
                for name in names
                if self.attribute_key(name) not in known
            )
            for names in (allowed, sorted(required))
        )
        return replace(
            view,
            attributes=(*view.attributes, *(secrets | others)),
            secrets=view.secrets | frozenset(secrets),
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
        own, fields = lineage[0], inherit_fields(lineage)
        said = {keyword: words[0] for keyword, words in fields.items() if words}
        number, _, length = said.get("SYNTAX", "").partition("{")
        syntax = SYNTAXES.get(number, Syntax.OTHER if number else Syntax.TEXT)
        rule = said.get("EQUALITY")
        usage = said.get("USAGE", _USER_APPLICATIONS).lower()
        is_operational = usage != _USER_APPLICATIONS
        return AttributeInfo(
            name=self.canonical_name(name),
            syntax=syntax,
            equality=_choose_equality(rule, number, syntax),
            single="SINGLE-VALUE" in fields,
            bounds=ValueBounds(
                min_length=_read_bound(said.get("X-SHORTEST", "")) or 0,
                max_length=_read_bound(length.rstrip("}")),
                unit=_UNITS.get(said.get("X-COUNTED", ""), "characters"),
                least=_read_bound(said.get("X-LEAST", "")),
                most=_read_bound(said.get("X-MOST", "")),
            ),
            readable=None if "X-CONFIDENTIAL" in fields else True,
            writable=fields.keys().isdisjoint(("NO-USER-MODIFICATION", "COLLECTIVE")),
            comparable=rule is not None,
            named_rule=rule is not None and rule.lower() in EQUALITIES,
            definition=AttributeDefinition(
                obsolete="OBSOLETE" in own.fields and not self._lax,
                constructed="X-CONSTRUCTED" in fields or own.oid in _CONSTRUCTED,
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
        fields = definition.fields
        kind: ClassKind = "abstract" if "ABSTRACT" in fields else "structural"
        if "AUXILIARY" in fields or self._lax:
            kind = "auxiliary"
        return ClassInfo(
            name=definition.name.lower(),
            kind=kind,
            above=self.list_superclasses(name),
            must=_lower_names(lineage, "MUST"),
            may=_lower_names(lineage, "MAY"),
            anything=any(item.oid == _EXTENSIBLE_OBJECT for item in lineage),
            obsolete="OBSOLETE" in fields and not self._lax,
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
            _lower_names([rule], "MUST"),
            _lower_names([rule], "MAY"),
            _lower_names([rule], "NOT"),
        )

    def _find_allowing(self, attribute: Definition) -> frozenset[str]:
        """The classes that allow an attribute themselves, by inheritance, or by a content rule (RFC 4512 §4.1.6)."""
        found: set[str] = set()
        for each in self._read_classes():
            info = self.classes[each.oid.lower()]
            allowed = [info.must, info.may]
            if info.rule:
                allowed += [info.rule.must, info.rule.may]
            is_allowed = any(
                not attribute.spellings.isdisjoint(some) for some in allowed
            )
            if is_allowed or each.oid == _EXTENSIBLE_OBJECT:
                found |= each.spellings
        return frozenset(found)


def _lower_names(definitions: Iterable[Definition], keyword: str) -> frozenset[str]:
    """What all of these definitions name by a keyword."""
    named = (item.fields.get(keyword, ()) for item in definitions)
    return frozenset(name.lower() for names in named for name in names)


def base_of(name: str) -> str:
    """An attribute description without its options."""
    return name.partition(";")[0]


def _read_bound(text: str) -> int | None:
    """A bound: of a length in braces (RFC 4512 §4.1.2), else under a keyword of this program's own."""
    return int(text) if _BOUND.fullmatch(text) else None


def _choose_equality(rule: str | None, syntax_number: str, syntax: Syntax) -> Equality:
    by_syntax = BY_SYNTAX[syntax]
    if rule is not None:
        # a rule that we do not know compares at least whatever is identical
        exact = {Equality.CASE_IGNORE: Equality.CASE_EXACT}
        return EQUALITIES.get(rule.lower(), exact.get(by_syntax, by_syntax))
    # Active Directory's case-sensitive string
    return Equality.CASE_EXACT if syntax_number == MICROSOFT + "1362" else by_syntax
