"""Schema definitions as directories publish them (RFC 4512 §4.1), and the syntaxes and rules that they name (RFC 4517).

A definition is one description string. Servers stray from the grammar (Active Directory
quotes syntaxes, others put names where numbers belong), so reading is generous, and total:
a definition that cannot be read is not there, and never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import TypeVar

from msgspec import Struct

from connector.model import Equality, Syntax

T = TypeVar("T")

_FLAGS = frozenset(
    {
        "OBSOLETE",
        "SINGLE-VALUE",
        "COLLECTIVE",
        "NO-USER-MODIFICATION",
        "ABSTRACT",
        "STRUCTURAL",
        "AUXILIARY",
    }
)
_MARKS = ("", "(", ")", "$")
"""What is no word."""
_TOKEN = re.compile(r"'([^']*)'|([()$])|([^\s()$']+)")
_HEAD = re.compile(
    r"\s*\(\s*'?([^\s()$']+)'?\s+(?:NAME\s*('[^']*'|\([^()]*\)))?", re.IGNORECASE
)
"""Number and names alone: all that a table needs, at a tenth of the cost of reading the whole."""
_QUOTED = re.compile(r"'([^']*)'")

Table = dict[str, str]
"""Definitions by number and by each name, in lower case. They are read when they are asked for: a server publishes
some 1,500, and a mapping names ten. To read them all takes 18 ms, which is two starts of Python."""


class Definition(Struct, frozen=True):
    """An attribute type, an object class or a content rule."""

    oid: str
    names: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    """Arguments by keyword in upper case; a keyword that takes none is there with an empty tuple."""

    @property
    def name(self) -> str:
        return self.names[0] if self.names else self.oid

    @property
    def spellings(self) -> frozenset[str]:
        """Its number and its names, in lower case."""
        return frozenset(map(str.lower, (self.oid, *self.names)))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The attributes that an object class or a content rule itself requires or allows."""
        return (*self.fields.get("MUST", ()), *self.fields.get("MAY", ()))


@cache
def read_definition(text: str) -> Definition | None:
    """The definition; None for what is none."""
    tokens = [(quoted, mark or word) for quoted, mark, word in _TOKEN.findall(text)]
    if tokens[:1] != [("", "(")] or tokens[2:][-1:] != [("", ")")]:
        return None
    words = iter(tokens[1:-1])
    oid = "".join(next(words))
    fields: dict[str, tuple[str, ...]] = {}
    for _, word in words:
        keyword = word.upper()
        if keyword in _MARKS:
            return None
        fields[keyword] = () if keyword in _FLAGS else tuple(_read_arguments(words))
    return None if oid in _MARKS else Definition(oid, fields.get("NAME", ()), fields)


def _read_arguments(words: Iterator[tuple[str, str]]) -> Iterator[str]:
    """What follows a keyword: one word, or all that stand in parentheses."""
    quoted, word = next(words, ("", ""))
    if word != "(":
        yield quoted or word
        return
    for inner, bare in words:
        if bare == ")":
            return
        if bare != "$":
            yield inner or bare


def tabulate_definitions(definitions: Iterable[str]) -> Table:
    """Definitions by number and name; of two of one name the first counts."""
    table: Table = {}
    for text in definitions:
        head = _HEAD.match(text)
        if head is None:
            continue
        oid, names = head.groups()
        for spelling in (oid, *_QUOTED.findall(names or "")):
            table.setdefault(spelling.lower(), text)
    return table


def find_definition(table: Table, name: str) -> Definition | None:
    """By number or any name, whatever the case."""
    text = table.get(name.lower())
    return None if text is None else read_definition(text)


def find_lineage(table: Table, name: str) -> list[Definition]:
    """A definition and all that it inherits from (SUP), nearest first; a circle is walked once."""
    found: dict[str, Definition] = {}
    waiting = [name]
    while waiting:
        definition = find_definition(table, waiting.pop(0))
        if definition is not None and definition.oid.lower() not in found:
            found[definition.oid.lower()] = definition
            waiting.extend(definition.fields.get("SUP", ()))
    return list(found.values())


def inherit_fields(lineage: Iterable[Definition]) -> dict[str, tuple[str, ...]]:
    """What the nearest of these definitions says by each keyword."""
    fields: dict[str, tuple[str, ...]] = {}
    for definition in lineage:
        fields = {**definition.fields, **fields}
    return fields


class MadeOnDemand(Mapping[str, T]):
    """What is made of a table's definitions, by any name or number in lower case; each when it is asked for."""

    def __init__(self, names: Collection[str], make: Callable[[str], T | None]) -> None:
        self._names = names
        self._make: Callable[[str], T | None] = cache(make)

    def __getitem__(self, name: str) -> T:
        made = self._make(name)
        if made is None:
            raise KeyError(name)
        return made

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return bool(self._names)


# ---------------------------------------------------------------- syntaxes and rules

RFC4517 = "1.3.6.1.4.1.1466.115.121.1."
MICROSOFT = "1.2.840.113556.1.4."  # [MS-ADTS] 3.1.1.2.2.2
_SYNTAXES = """
4                        OCTETS        audio; servers look into neither this, nor binary, nor JPEG
5                        OCTETS
6                        BITS
7                        BOOLEAN
8                        ENCODED       certificates, lists and pairs of them
9                        ENCODED
10                       ENCODED
11                       COUNTRY
12                       DN
14                       DELIVERY
15                       TEXT
22                       FACSIMILE
23                       OCTETS
24                       TIME
26                       IA5
27                       INTEGER
28                       OCTETS
34                       NAME_AND_UID
36                       NUMERIC
38                       OID
39                       IA5           other mailbox
40                       OCTETS
41                       POSTAL
44                       PRINTABLE
49                       ENCODED
50                       TELEPHONE
52                       TELEX
53                       UTC_TIME
1.3.6.1.1.1.0.0          NETGROUP
1.3.6.1.1.1.0.1          BOOT
1.3.6.1.1.16.1           UUID
1.2.840.113556.1.4.905   TEXT
1.2.840.113556.1.4.906   INTEGER
1.2.840.113556.1.4.907   ENCODED
1.2.840.113556.1.4.1362  TEXT
2.5.5.2                  DEFINED       Active Directory's own, where its syntaxes are narrower than RFC 4517's
2.5.5.11                 FULL_TIME
"""
_EQUALITIES = """
caseIgnoreMatch             CASE_IGNORE
2.5.13.2                    CASE_IGNORE
caseIgnoreIA5Match          CASE_IGNORE
1.3.6.1.4.1.1466.109.114.2  CASE_IGNORE
caseIgnoreListMatch         CASE_IGNORE
2.5.13.11                   CASE_IGNORE
objectIdentifierMatch       CASE_IGNORE
2.5.13.0                    CASE_IGNORE
caseExactMatch              CASE_EXACT
2.5.13.5                    CASE_EXACT
caseExactIA5Match           CASE_EXACT
1.3.6.1.4.1.1466.109.114.1  CASE_EXACT
numericStringMatch          NUMERIC
2.5.13.8                    NUMERIC
telephoneNumberMatch        TELEPHONE
2.5.13.20                   TELEPHONE
integerMatch                INTEGER
2.5.13.14                   INTEGER
booleanMatch                BOOLEAN
2.5.13.13                   BOOLEAN
generalizedTimeMatch        TIME
2.5.13.27                   TIME
distinguishedNameMatch      DN
2.5.13.1                    DN
uniqueMemberMatch           DN
2.5.13.23                   DN
uuidMatch                   UUID
1.3.6.1.1.16.2              UUID
octetStringMatch            OCTETS
2.5.13.17                   OCTETS
"""
_BY_SYNTAX = """
TEXT          CASE_IGNORE
DEFINED       CASE_IGNORE
COUNTRY       CASE_IGNORE
OID           CASE_IGNORE
POSTAL        CASE_IGNORE
OTHER         CASE_IGNORE
IA5           CASE_EXACT
PRINTABLE     CASE_EXACT
UTC_TIME      CASE_EXACT
BITS          CASE_EXACT
FACSIMILE     CASE_EXACT
TELEX         CASE_EXACT
DELIVERY      CASE_EXACT
NETGROUP      CASE_EXACT
BOOT          CASE_EXACT
NUMERIC       NUMERIC
TELEPHONE     TELEPHONE
INTEGER       INTEGER
BOOLEAN       BOOLEAN
TIME          TIME
FULL_TIME     TIME
DN            DN
NAME_AND_UID  DN
UUID          UUID
OCTETS        OCTETS
ENCODED       OCTETS
"""


def _read_table(text: str) -> Iterator[list[str]]:
    """The first two words of each line."""
    return (line.split()[:2] for line in text.strip().splitlines())


SYNTAXES = {
    number if "." in number else RFC4517 + number: Syntax[name]
    for number, name in _read_table(_SYNTAXES)
}
"""Syntaxes by number, one without a dot below RFC 4517's; all others are shown as text."""
EQUALITIES = {rule.lower(): Equality[name] for rule, name in _read_table(_EQUALITIES)}
"""Equality rules by name in lower case and by number; all others compare as their syntax does."""
BY_SYNTAX = {Syntax[name]: Equality[rule] for name, rule in _read_table(_BY_SYNTAX)}
"""How values of a syntax compare where no rule is named: as Active Directory, which names
none, compares them."""
