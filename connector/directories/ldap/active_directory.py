"""What Active Directory alone has, as values: its schema's entries as definitions, and partitions without users. Pure.

Its schema is a tree of entries ([MS-ADTS] 3.1.1.2), which say more than the definitions
that it also publishes (RFC 4512 §4.2): how long a value may be, and what nobody can write.
They are turned into such definitions here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Entry = Mapping[str, list[str]]
"""An entry's attributes as text, by their names in lower case."""

_NAMES = """
lDAPDisplayName isDefunct
attributeID attributeSyntax oMSyntax isSingleValued rangeLower rangeUpper
searchFlags systemFlags systemOnly linkID
governsID objectClassCategory subClassOf auxiliaryClass systemAuxiliaryClass
mustContain systemMustContain mayContain systemMayContain
"""
ATTRIBUTES = tuple(_NAMES.split())
"""What is read of the schema's entries."""
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_TABLE = """
2.5.5.1  127 EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12
2.5.5.2  6   EQUALITY objectIdentifierMatch SYNTAX 2.5.5.2
2.5.5.3  27  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.2.840.113556.1.4.1362
2.5.5.4  20  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.2.840.113556.1.4.905
2.5.5.5  19  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.44
2.5.5.5  22  EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26
2.5.5.6  18  EQUALITY numericStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.36
2.5.5.7  127 SYNTAX 1.2.840.113556.1.4.907
2.5.5.8  1   EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7
2.5.5.9  2   EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27
2.5.5.9  10  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27
2.5.5.10 4   EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40
2.5.5.10 127 EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40
2.5.5.11 23  EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.53
2.5.5.11 24  EQUALITY generalizedTimeMatch SYNTAX 2.5.5.11
2.5.5.12 64  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15
2.5.5.14 127 SYNTAX 1.2.840.113556.1.4.907
2.5.5.15 66  SYNTAX 1.2.840.113556.1.4.907
2.5.5.16 65  EQUALITY integerMatch SYNTAX 1.2.840.113556.1.4.906
2.5.5.17 4   SYNTAX 1.2.840.113556.1.4.907
"""
_SYNTAXES = {
    (syntax, om_syntax): said
    for syntax, om_syntax, said in (
        line.split(maxsplit=2) for line in _TABLE.strip().splitlines()
    )
}
"""Syntax and comparison by attributeSyntax and oMSyntax ([MS-ADTS] 3.1.1.2.2.2); all others
have no equality here. 2.5.5.7 is a name with octets or text beside it, as links between
systems have it; 2.5.5.15 a security descriptor, 2.5.5.17 a security identifier."""
_LONG = frozenset(
    {"2.5.5.2", "2.5.5.3", "2.5.5.4", "2.5.5.5", "2.5.5.6", "2.5.5.10", "2.5.5.12"}
)
"""The syntaxes of which rangeLower and rangeUpper are lengths ([MS-ADTS] 3.1.1.2.3); of
numbers they are bounds."""
_UNICODE = "2.5.5.12"
_WIDTH = {"2.5.5.9": 1 << 31, "2.5.5.16": 1 << 63}
_CONSTRUCTED = 0x4
_CONFIDENTIAL = 0x80
"""Of searchFlags: shown to nobody but who has control access."""
_TOP = "top"
_KINDS = {"2": "ABSTRACT", "3": "AUXILIARY"}
_SINGLE = frozenset({"description"})
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
        # only an attribute has the one, and only a class the other
        if entry.get("attributeid"):
            types.append(_define_type(name, entry))
        elif entry.get("governsid"):
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
    is_constructed = _has_flag(entry, "systemflags", _CONSTRUCTED)
    is_back_link = _has_flag(entry, "linkid", 1)
    flags = {
        "SINGLE-VALUE": _is_true(entry, "issinglevalued") or name.lower() in _SINGLE,
        "X-CONFIDENTIAL 'TRUE'": _has_flag(entry, "searchflags", _CONFIDENTIAL),
        # nobody writes what is the system's, is worked out when it is read, or is the back
        # of a link. Of objectClass the schema says so too, and auxiliary classes can be
        # added to it
        "NO-USER-MODIFICATION": name.lower() != "objectclass"
        and (is_constructed or is_back_link or _is_true(entry, "systemonly")),
        # shown to whoever asks, and found by no filter (measured)
        "X-CONSTRUCTED 'TRUE'": is_constructed,
    }
    words += [flag for flag, is_set in flags.items() if is_set]
    return " ".join([*words, ")"])


def _define_class(entry: Entry, classes: Mapping[str, Entry]) -> str:
    """A class with what it allows; the auxiliary classes that are tied to it are as a part of it, in every entry.

    What `top` requires is left out: the server sets it by itself, in every entry.
    """
    name = _read_first(entry, "ldapdisplayname")
    above = _read_first(entry, "subclassof")
    parts = [entry, *_find_auxiliary(entry, classes)]
    must = _list_allowed(parts, "mustcontain", "systemmustcontain")
    may = _list_allowed(parts, "maycontain", "systemmaycontain")
    words = [f"( {_read_first(entry, 'governsid')} NAME '{name}'"]
    if above.lower() != name.lower():
        words.append(f"SUP {above}")
    words.append(_KINDS.get(_read_first(entry, "objectclasscategory"), "STRUCTURAL"))
    if must and name.lower() != _TOP:
        words.append(f"MUST ( {' $ '.join(must)} )")
    if may:
        words.append(f"MAY ( {' $ '.join(may)} )")
    return " ".join([*words, ")"])


def _list_allowed(parts: Iterable[Entry], *keys: str) -> list[str]:
    """The attributes that parts of a class name under these keys, each once."""
    names = (name for part in parts for key in keys for name in part.get(key, ()))
    return list(dict.fromkeys(names))


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
    return "".join(entry.get(name, ())[:1])


def _is_true(entry: Entry, name: str) -> bool:
    return _read_first(entry, name).upper() == "TRUE"


def read_number(entry: Entry, name: str) -> int | None:
    """An attribute that is a number (64 bits at most, [MS-ADTS] 3.1.1.2.2.2); None where there is none."""
    text = _read_first(entry, name)
    return int(text) if _NUMBER.fullmatch(text) else None


def _has_flag(
    entry: Entry,
    name: str,
    flag: int,
) -> bool:
    return bool((read_number(entry, name) or 0) & flag)


def list_unpeopled(root: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The partitions below a domain that hold no users, by the root DSE: configuration, schema, and the zones of DNS.

    A search below the domain's root refers to each of them, also where this very server
    holds it (measured, as all that follows [MS-ADTS] here, on Samba 4.22).
    """
    found: list[str] = []
    for key in ("configurationnamingcontext", "schemanamingcontext"):
        found += root.get(key, ())
    for key in ("defaultnamingcontext", "rootdomainnamingcontext"):
        for domain in root.get(key, ()):
            found += f"DC=DomainDnsZones,{domain}", f"DC=ForestDnsZones,{domain}"
    return tuple(dict.fromkeys(found))
