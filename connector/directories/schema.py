"""What a directory's published schema says of attributes and object classes (RFC 4512 §4.1, RFC 4517)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, Literal

from msgspec.structs import replace

from connector.directories.definitions import Definition, Index
from connector.model import AttributeInfo, Equality, Syntax, View

ClassKind = Literal["structural", "auxiliary", "abstract"]

_RFC4517: Final = "1.3.6.1.4.1.1466.115.121.1."
_MICROSOFT: Final = "1.2.840.113556.1.4."  # [MS-ADTS] 3.1.1.2.2.2
SYNTAXES: Final = {
    **dict.fromkeys(
        (_RFC4517 + number for number in ("5", "8", "9", "10", "23", "28", "40")),  # binary, certificates, fax, JPEG
        Syntax.OCTETS,
    ),
    _RFC4517 + "7": Syntax.BOOLEAN,
    _RFC4517 + "11": Syntax.PRINTABLE,
    _RFC4517 + "12": Syntax.DN,
    _RFC4517 + "15": Syntax.TEXT,
    _RFC4517 + "24": Syntax.TIME,
    _RFC4517 + "26": Syntax.IA5,
    _RFC4517 + "27": Syntax.INTEGER,
    _RFC4517 + "36": Syntax.NUMERIC,
    _RFC4517 + "44": Syntax.PRINTABLE,
    _RFC4517 + "50": Syntax.TELEPHONE,
    _RFC4517 + "53": Syntax.PRINTABLE,  # UTC Time, with two digits for the year
    _MICROSOFT + "906": Syntax.INTEGER,
    _MICROSOFT + "907": Syntax.OCTETS,
}
"""Syntaxes by number; all others are text."""

EQUALITIES: Final = {
    rule.lower(): equality
    for equality, rules in {
        Equality.CASE_IGNORE: (
            "caseIgnoreMatch", "2.5.13.2", "caseIgnoreIA5Match", "1.3.6.1.4.1.1466.109.114.2",
            "caseIgnoreListMatch", "2.5.13.11", "objectIdentifierMatch", "2.5.13.0",
        ),
        Equality.CASE_EXACT: ("caseExactMatch", "2.5.13.5", "caseExactIA5Match", "1.3.6.1.4.1.1466.109.114.1"),
        Equality.NUMERIC: ("numericStringMatch", "2.5.13.8"),
        Equality.TELEPHONE: ("telephoneNumberMatch", "2.5.13.20"),
        Equality.INTEGER: ("integerMatch", "2.5.13.14"),
        Equality.BOOLEAN: ("booleanMatch", "2.5.13.13"),
        Equality.TIME: ("generalizedTimeMatch", "2.5.13.27"),
        Equality.DN: ("distinguishedNameMatch", "2.5.13.1", "uniqueMemberMatch", "2.5.13.23"),
        Equality.UUID: ("uuidMatch", "1.3.6.1.1.16.2"),
        Equality.OCTETS: ("octetStringMatch", "2.5.13.17"),
    }.items()
    for rule in rules
}  # fmt: skip
"""Equality rules by name in lower case and by number; all others compare as their syntax does."""

_BY_SYNTAX: Final = {
    Syntax.TEXT: Equality.CASE_IGNORE,
    Syntax.IA5: Equality.CASE_EXACT,
    Syntax.PRINTABLE: Equality.CASE_EXACT,
    Syntax.NUMERIC: Equality.NUMERIC,
    Syntax.TELEPHONE: Equality.TELEPHONE,
    Syntax.INTEGER: Equality.INTEGER,
    Syntax.BOOLEAN: Equality.BOOLEAN,
    Syntax.TIME: Equality.TIME,
    Syntax.DN: Equality.DN,
    Syntax.OCTETS: Equality.OCTETS,
}
"""How values of a syntax compare where no rule is named: as Active Directory, which names none, compares them."""

_EXTENSIBLE_OBJECT: Final = "1.3.6.1.4.1.1466.101.120.111"  # RFC 4512 §4.3: it allows whatever is defined
_TOP: Final = "2.5.6.0"  # RFC 4512 §2.4.1
_ANYTHING: Final = "*"
_LENGTH: Final = re.compile(r"\{(\d{1,9})\}$")


class Schema:
    """Attribute types and object classes by name or number, whatever the case and the attribute options.

    Definitions are read when they are asked for: a server publishes some 1,500, and a mapping names ten.
    """

    def __init__(
        self,
        attribute_types: Iterable[str | bytes],
        object_classes: Iterable[str | bytes] = (),
        content_rules: Iterable[str | bytes] = (),
    ) -> None:
        self._types = Index(attribute_types)
        self._classes = Index(object_classes)
        self._rules = Index(content_rules)
        self._infos: dict[str, AttributeInfo] = {}

    @property
    def skipped(self) -> int:
        """How many definitions could not be read so far."""
        return self._types.skipped + self._classes.skipped + self._rules.skipped

    def info(self, name: str) -> AttributeInfo:
        """What is known of an attribute; where nothing is, `known` is False and values compare exactly."""
        if name not in self._infos:
            lineage = self._types.lineage(_base(name))
            self._infos[name] = self._info(name, lineage) if lineage else _unknown(name)
        return self._infos[name]

    def has_equality(self, name: str) -> bool:
        """Whether the attribute has an equality rule, so that a server can search, compare and assert its values."""
        return _inherited(self._types.lineage(_base(name)), "EQUALITY") is not None

    def canonical(self, name: str) -> str:
        """The attribute's first name as the directory spells it, with the options of `name`."""
        definition = self._types.get(_base(name))
        return name if definition is None else definition.name + name[len(_base(name)) :]

    def key(self, name: str) -> str:
        """What all spellings of one attribute description have in common: aliases, numbers, case, order of options."""
        base, *options = self.canonical(name).lower().split(";")
        return ";".join([base, *sorted(options)])

    def falls_under(self, name: str, superior: str) -> bool:
        """Whether an attribute description is `superior`, or a subtype of it by SUP or by options (RFC 4512 §2.5)."""
        options, wanted = set(name.lower().split(";")[1:]), set(superior.lower().split(";")[1:])
        if not wanted <= options:
            return False
        target = self._types.get(_base(superior))
        if target is None:
            return _base(name).lower() == _base(superior).lower()
        return any(found.oid == target.oid for found in self._types.lineage(_base(name)))

    def kind(self, class_name: str) -> ClassKind | None:
        """What kind of object class it is; None where the schema does not know it."""
        definition = self._classes.get(class_name)
        if definition is None:
            return None
        if "AUXILIARY" in definition.fields:
            return "auxiliary"
        return "abstract" if "ABSTRACT" in definition.fields else "structural"

    def superclasses(self, class_name: str) -> frozenset[str]:
        """A class and all that it inherits from, by number and name in lower case; an unknown one is itself alone."""
        lineage = self._classes.lineage(class_name)
        return frozenset(_names(lineage)) | {item.oid.lower() for item in lineage} | {class_name.lower()}

    def attributes_of(self, class_name: str) -> Iterator[str]:
        """Every attribute that an object class allows, itself or by inheritance, but for what every entry has."""
        definition = self._classes.get(class_name)
        if definition is not None:
            for item in self._classes.lineage(definition.oid):
                if item.oid != _TOP:
                    yield from (*item.fields.get("MUST", ()), *item.fields.get("MAY", ()))

    def widened(self, view: View) -> View:
        """The view with every attribute of its `all_of`."""
        known = {self.key(name) for name in view.attributes}
        beside = dict.fromkeys(
            self.canonical(name)
            for class_name in view.all_of
            for name in self.attributes_of(class_name)
            if self.key(name) not in known
        )
        return replace(view, attributes=(*view.attributes, *beside), secrets=view.secrets | frozenset(beside))

    def allows(self, class_names: Iterable[str], attribute: str) -> bool | None:
        """Whether an entry of these classes may hold the attribute; None where the schema cannot tell."""
        names = [name.lower() for name in class_names]
        lineage = self._types.lineage(_base(attribute))
        if not lineage:
            return None
        if _operational(lineage[0]) or not self.info(attribute).classes.isdisjoint(names):
            return True
        return False if all(self._classes.get(name) for name in names) else None

    def _info(self, name: str, lineage: list[Definition]) -> AttributeInfo:
        number = _inherited(lineage, "SYNTAX") or ""
        syntax = SYNTAXES.get(_LENGTH.sub("", number), Syntax.TEXT)
        rule = _inherited(lineage, "EQUALITY")
        length = _LENGTH.search(number)
        return AttributeInfo(
            name=self.canonical(name),
            syntax=syntax,
            equality=_equality(rule, number, syntax),
            single=any("SINGLE-VALUE" in definition.fields for definition in lineage),
            max_length=int(length.group(1)) if length else None,
            writable=not any({"NO-USER-MODIFICATION", "COLLECTIVE"} & set(item.fields) for item in lineage),
            classes=frozenset() if _operational(lineage[0]) else self._allowing(lineage[0]),
            aliases=frozenset(name.lower() for name in (lineage[0].oid, *lineage[0].names)),
        )

    def _allowing(self, attribute: Definition) -> frozenset[str]:
        """The classes that allow an attribute themselves, by inheritance, or by a content rule (RFC 4512 §4.1.6)."""
        spellings = {name.lower() for name in (attribute.oid, *attribute.names)} | {_ANYTHING}
        found: set[str] = set()
        for definition, allowed in self._allowances:
            if not spellings.isdisjoint(allowed):
                found.update(_names([definition]))
        return frozenset(found)

    @cached_property
    def _allowances(self) -> list[tuple[Definition, frozenset[str]]]:
        """Every class with all that it allows."""
        return [
            (definition, frozenset(name.lower() for name in self._allowed(definition))) for definition in self._classes
        ]

    def _allowed(self, definition: Definition) -> Iterable[str]:
        if definition.oid == _EXTENSIBLE_OBJECT:
            yield _ANYTHING
        rule = self._rules.get(definition.oid)
        for source in [*self._classes.lineage(definition.oid), *([rule] if rule else [])]:
            yield from source.fields.get("MUST", ())
            yield from source.fields.get("MAY", ())


def _base(name: str) -> str:
    """An attribute description without its options."""
    return name.partition(";")[0]


def _unknown(name: str) -> AttributeInfo:
    return AttributeInfo(name, equality=Equality.CASE_EXACT, known=False)


def _inherited(lineage: list[Definition], keyword: str) -> str | None:
    return next((value for value in (item.first(keyword) for item in lineage) if value), None)


def _equality(rule: str | None, syntax_number: str, syntax: Syntax) -> Equality:
    if rule is not None:
        # a rule that we do not know compares at least whatever is identical
        exact = {Equality.CASE_IGNORE: Equality.CASE_EXACT}
        by_syntax = _BY_SYNTAX[syntax]
        return EQUALITIES.get(rule.lower(), exact.get(by_syntax, by_syntax))
    if _LENGTH.sub("", syntax_number) == _MICROSOFT + "1362":  # Active Directory's case-sensitive string
        return Equality.CASE_EXACT
    return _BY_SYNTAX[syntax]


def _operational(definition: Definition) -> bool:
    return (definition.first("USAGE") or "userApplications").lower() != "userapplications"


def _names(definitions: Iterable[Definition]) -> Iterable[str]:
    for definition in definitions:
        yield from (name.lower() for name in definition.names or (definition.oid,))
