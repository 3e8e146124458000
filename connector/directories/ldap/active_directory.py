"""What Active Directory alone has, as values: its schema's entries as definitions, and partitions without users. Pure.

Its schema is a tree of entries ([MS-ADTS] 3.1.1.2), which say more than the definitions
that it also publishes (RFC 4512 §4.2): how long a value may be, and what nobody can write.
They are turned into such definitions here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from string import Template
from typing import Final

from connector.directories.common.definitions import MICROSOFT, RFC4517

Entry = Mapping[str, list[str]]
"""An entry's attributes as text, by their names in lower case."""

_NAMES: Final = """
objectClass lDAPDisplayName isDefunct
attributeID attributeSyntax oMSyntax isSingleValued rangeLower rangeUpper
searchFlags systemFlags systemOnly linkID
governsID objectClassCategory subClassOf auxiliaryClass systemAuxiliaryClass
mustContain systemMustContain mayContain systemMayContain
"""
ATTRIBUTES: Final = tuple(_NAMES.split())
"""What is read of the schema's entries."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_TABLE: Final = """
2.5.5.1  127 EQUALITY distinguishedNameMatch SYNTAX ${RFC4517}12
2.5.5.2  6   EQUALITY objectIdentifierMatch SYNTAX 2.5.5.2
2.5.5.3  27  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX ${MICROSOFT}1362
2.5.5.4  20  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX ${MICROSOFT}905
2.5.5.5  19  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX ${RFC4517}44
2.5.5.5  22  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX ${RFC4517}26
2.5.5.6  18  EQUALITY numericStringMatch SYNTAX ${RFC4517}36
2.5.5.7  127 SYNTAX ${MICROSOFT}907
2.5.5.8  1   EQUALITY booleanMatch SYNTAX ${RFC4517}7
2.5.5.9  2   EQUALITY integerMatch SYNTAX ${RFC4517}27
2.5.5.9  10  EQUALITY integerMatch SYNTAX ${RFC4517}27
2.5.5.10 4   EQUALITY octetStringMatch SYNTAX ${RFC4517}40
2.5.5.10 127 EQUALITY octetStringMatch SYNTAX ${RFC4517}40
2.5.5.11 23  EQUALITY caseExactMatch SYNTAX ${RFC4517}53
2.5.5.11 24  EQUALITY generalizedTimeMatch SYNTAX 2.5.5.11
2.5.5.12 64  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX ${RFC4517}15
2.5.5.14 127 SYNTAX ${MICROSOFT}907
2.5.5.15 66  SYNTAX ${MICROSOFT}907
2.5.5.16 65  EQUALITY integerMatch SYNTAX ${MICROSOFT}906
2.5.5.17 4   SYNTAX ${MICROSOFT}907
"""


def _read_table() -> Iterator[tuple[tuple[str, str], str]]:
    words = {"RFC4517": RFC4517, "MICROSOFT": MICROSOFT}
    for line in Template(_TABLE).substitute(words).strip().splitlines():
        syntax, om_syntax, said = line.split(maxsplit=2)
        yield (syntax, om_syntax), said


_SYNTAXES: Final = dict(_read_table())
"""Syntax and comparison by attributeSyntax and oMSyntax ([MS-ADTS] 3.1.1.2.2.2); all others
have no equality here. 2.5.5.7 is a name with octets or text beside it, as links between
systems have it; 2.5.5.15 a security descriptor, 2.5.5.17 a security identifier."""
_LONG: Final = frozenset(
    {"2.5.5.2", "2.5.5.3", "2.5.5.4", "2.5.5.5", "2.5.5.6", "2.5.5.10", "2.5.5.12"}
)
"""The syntaxes of which rangeLower and rangeUpper are lengths ([MS-ADTS] 3.1.1.2.3); of
numbers they are bounds."""
_UNICODE: Final = "2.5.5.12"
_WIDTH: Final = {"2.5.5.9": 1 << 31, "2.5.5.16": 1 << 63}
_CONSTRUCTED: Final = 0x4
_CONFIDENTIAL: Final = 0x80
"""Of searchFlags: shown to nobody but who has control access."""
_TOP: Final = "top"
_KINDS: Final = {"2": "ABSTRACT", "3": "AUXILIARY"}
_SINGLE: Final = frozenset({"description"})
"""Several values by the schema, and one alone in whatever has an account (measured: result
20 for a second one)."""


def define_schema(entries: Iterable[Entry]) -> tuple[list[str], list[str]]:
    """The schema's entries as definitions (RFC 4512 §4.1) of attribute types, and of object classes.

    One that is defunct, or lacks what it must have, is none.
    """
    types: list[str] = []
    classes: dict[str, Entry] = {}
    for entry in entries:
        name = _read_first(entry, "ldapdisplayname")
        if not name or _is_true(entry, "isdefunct"):
            continue
        kinds = {kind.lower() for kind in entry.get("objectclass", ())}
        if "attributeschema" in kinds and entry.get("attributeid"):
            types.append(_define_type(name, entry))
        elif "classschema" in kinds and entry.get("governsid"):
            classes[name.lower()] = entry
    return types, [_define_class(entry, classes) for entry in classes.values()]


def _define_type(name: str, entry: Entry) -> str:
    syntax = _read_first(entry, "attributesyntax")
    both = syntax, _read_first(entry, "omsyntax")
    words = [f"( {_read_first(entry, 'attributeid')} NAME '{name}'"]
    words.append(_SYNTAXES.get(both, f"SYNTAX {syntax}"))
    lower, upper = read_number(entry, "rangelower"), read_number(entry, "rangeupper")
    if syntax in _LONG:
        if upper is not None and upper > 0:
            words[-1] += f"{{{upper}}}"
        if lower is not None and lower > 0:
            words.append(f"X-SHORTEST '{lower}'")
        words.append(f"X-COUNTED '{'utf-16' if syntax == _UNICODE else 'octets'}'")
    elif syntax in _WIDTH:
        width = _WIDTH[syntax]
        words.append(f"X-LEAST '{-width if lower is None else lower}'")
        words.append(f"X-MOST '{width - 1 if upper is None else upper}'")
    if _is_true(entry, "issinglevalued") or name.lower() in _SINGLE:
        words.append("SINGLE-VALUE")
    if (read_number(entry, "searchflags") or 0) & _CONFIDENTIAL:
        words.append("X-CONFIDENTIAL 'TRUE'")
    if _is_kept_by_server(name, entry):
        words.append("NO-USER-MODIFICATION")
    if _is_constructed(entry):
        words.append("X-CONSTRUCTED 'TRUE'")
    return " ".join([*words, ")"])


def _is_kept_by_server(name: str, entry: Entry) -> bool:
    """Whether nobody can write it: it is the system's, is worked out when it is read, or is the back of a link.

    Of objectClass the schema says so too, and auxiliary classes can be added to it.
    """
    if name.lower() == "objectclass":
        return False
    is_back_link = (read_number(entry, "linkid") or 0) % 2 == 1
    return is_back_link or _is_constructed(entry) or _is_true(entry, "systemonly")


def _is_constructed(entry: Entry) -> bool:
    """Whether it is worked out when it is read: shown to whoever asks, and found by no filter (measured)."""
    return bool((read_number(entry, "systemflags") or 0) & _CONSTRUCTED)


def _define_class(entry: Entry, classes: Mapping[str, Entry]) -> str:
    """A class with what it allows; the auxiliary classes that are tied to it are as a part of it, in every entry.

    What `top` requires is left out: the server sets it by itself, in every entry.
    """
    name, above = (
        _read_first(entry, "ldapdisplayname"),
        _read_first(entry, "subclassof"),
    )
    must: dict[str, None] = {}
    may: dict[str, None] = {}
    for part in (entry, *_find_auxiliary(entry, classes)):
        for key in ("mustcontain", "systemmustcontain"):
            must |= dict.fromkeys(part.get(key, ()))
        for key in ("maycontain", "systemmaycontain"):
            may |= dict.fromkeys(part.get(key, ()))
    words = [f"( {_read_first(entry, 'governsid')} NAME '{name}'"]
    if above.lower() != name.lower():
        words.append(f"SUP {above}")
    words.append(_KINDS.get(_read_first(entry, "objectclasscategory"), "STRUCTURAL"))
    if must and name.lower() != _TOP:
        words.append(f"MUST ( {' $ '.join(must)} )")
    if may:
        words.append(f"MAY ( {' $ '.join(may)} )")
    return " ".join([*words, ")"])


def _find_auxiliary(entry: Entry, classes: Mapping[str, Entry]) -> Iterable[Entry]:
    """The auxiliary classes that are tied to a class, with what those inherit from and are tied to."""
    found: dict[str, Entry] = {}
    waiting = [*entry.get("auxiliaryclass", ()), *entry.get("systemauxiliaryclass", ())]
    while waiting:
        name = waiting.pop().lower()
        if name not in found and name in classes and name != _TOP:
            found[name] = classes[name]
            for kind in ("subclassof", "auxiliaryclass", "systemauxiliaryclass"):
                waiting += classes[name].get(kind, ())
    return found.values()


def _read_first(entry: Entry, name: str) -> str:
    return next(iter(entry.get(name, ())), "")


def _is_true(entry: Entry, name: str) -> bool:
    return _read_first(entry, name).upper() == "TRUE"


def read_number(entry: Entry, name: str) -> int | None:
    """An attribute that is a number (64 bits at most, [MS-ADTS] 3.1.1.2.2.2); None where there is none."""
    text = _read_first(entry, name)
    return int(text) if _NUMBER.fullmatch(text) else None


def list_unpeopled(root: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The partitions below a domain that hold no users, by the root DSE: configuration, schema, and the zones of DNS.

    A search below the domain's root refers to each of them, also where this very server
    holds it (measured, as all that follows [MS-ADTS] here, on Samba 4.22).
    """
    found = [
        *root.get("configurationnamingcontext", ()),
        *root.get("schemanamingcontext", ()),
    ]
    for key in ("defaultnamingcontext", "rootdomainnamingcontext"):
        for domain in root.get(key, ()):
            found.append(f"DC=DomainDnsZones,{domain}")
            found.append(f"DC=ForestDnsZones,{domain}")
    return tuple(dict.fromkeys(found))
