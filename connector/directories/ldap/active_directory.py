"""What Active Directory alone has, as values: its schema's entries as definitions, and partitions without users. Pure.

Its schema is a tree of entries ([MS-ADTS] 3.1.1.2), which say more than the definitions
that it also publishes (RFC 4512 §4.2): how long a value may be, and what nobody can write.
They are turned into such definitions here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from connector.directories.common.syntaxes import MICROSOFT, RFC4517

Entry = Mapping[str, list[str]]
"""An entry's attributes as text, by their names in lower case."""

ATTRIBUTES: Final = (
    "objectClass", "lDAPDisplayName", "isDefunct",
    "attributeID", "attributeSyntax", "oMSyntax", "isSingleValued", "rangeLower",
    "rangeUpper", "searchFlags", "systemFlags", "systemOnly", "linkID",
    "governsID", "objectClassCategory", "subClassOf", "auxiliaryClass", "systemAuxiliaryClass",
    "mustContain", "systemMustContain", "mayContain", "systemMayContain",
)  # fmt: skip
"""What is read of the schema's entries."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_TEXT: Final = "EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX "
_EXACT: Final = "EQUALITY caseExactMatch SUBSTR caseExactSubstringsMatch SYNTAX "
_OCTETS: Final = f"EQUALITY octetStringMatch SYNTAX {RFC4517}40"
_ENCODED: Final = f"SYNTAX {MICROSOFT}907"
_NAME: Final = f"EQUALITY distinguishedNameMatch SYNTAX {RFC4517}12"
_TIME: Final = "EQUALITY generalizedTimeMatch SYNTAX 2.5.5.11"
_INTEGER: Final = f"EQUALITY integerMatch SYNTAX {RFC4517}27"
_SYNTAXES: Final = {
    ("2.5.5.1", "127"): _NAME,
    ("2.5.5.2", "6"): "EQUALITY objectIdentifierMatch SYNTAX 2.5.5.2",
    ("2.5.5.3", "27"): f"{_EXACT}{MICROSOFT}1362",
    ("2.5.5.4", "20"): f"{_TEXT}{MICROSOFT}905",
    ("2.5.5.5", "19"): f"{_EXACT}{RFC4517}44",
    ("2.5.5.5", "22"): f"{_EXACT}{RFC4517}26",
    ("2.5.5.6", "18"): f"EQUALITY numericStringMatch SYNTAX {RFC4517}36",
    ("2.5.5.8", "1"): f"EQUALITY booleanMatch SYNTAX {RFC4517}7",
    ("2.5.5.9", "2"): _INTEGER,
    ("2.5.5.9", "10"): _INTEGER,
    ("2.5.5.10", "4"): _OCTETS,
    ("2.5.5.10", "127"): _OCTETS,
    ("2.5.5.11", "23"): f"EQUALITY caseExactMatch SYNTAX {RFC4517}53",
    ("2.5.5.11", "24"): _TIME,
    ("2.5.5.12", "64"): f"{_TEXT}{RFC4517}15",
    (
        "2.5.5.7",
        "127",
    ): _ENCODED,  # a name with octets or text beside it, as links between systems have it
    ("2.5.5.14", "127"): _ENCODED,
    ("2.5.5.15", "66"): _ENCODED,  # a security descriptor
    ("2.5.5.16", "65"): f"EQUALITY integerMatch SYNTAX {MICROSOFT}906",
    ("2.5.5.17", "4"): _ENCODED,  # a security identifier
}
"""Syntax and comparison by attributeSyntax and oMSyntax ([MS-ADTS] 3.1.1.2.2.2); all others
have no equality here."""
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


def definitions(entries: Iterable[Entry]) -> tuple[list[str], list[str]]:
    """The schema's entries as definitions (RFC 4512 §4.1) of attribute types, and of object classes.

    One that is defunct, or lacks what it must have, is none.
    """
    types: list[str] = []
    classes: dict[str, Entry] = {}
    for entry in entries:
        kinds = {name.lower() for name in entry.get("objectclass", ())}
        if _first(entry, "isdefunct").upper() == "TRUE" or not entry.get(
            "ldapdisplayname"
        ):
            continue
        if "attributeschema" in kinds and entry.get("attributeid"):
            types.append(_attribute_type(entry))
        elif "classschema" in kinds and entry.get("governsid"):
            classes[_first(entry, "ldapdisplayname").lower()] = entry
    return types, [_object_class(entry, classes) for entry in classes.values()]


def _attribute_type(entry: Entry) -> str:
    name, number = _first(entry, "ldapdisplayname"), _first(entry, "attributesyntax")
    words = [f"( {_first(entry, 'attributeid')} NAME '{name}'"]
    words.append(_SYNTAXES.get((number, _first(entry, "omsyntax")), f"SYNTAX {number}"))
    lower, upper = number_in(entry, "rangelower"), number_in(entry, "rangeupper")
    if number in _LONG:
        words[-1] += f"{{{upper}}}" if upper is not None and upper > 0 else ""
        words += [f"X-SHORTEST '{lower}'"] if lower is not None and lower > 0 else []
        words.append(f"X-COUNTED '{'utf-16' if number == _UNICODE else 'octets'}'")
    elif number in _WIDTH:
        least, most = -_WIDTH[number], _WIDTH[number] - 1
        words += [
            f"X-LEAST '{least if lower is None else lower}'",
            f"X-MOST '{most if upper is None else upper}'",
        ]
    if _first(entry, "issinglevalued").upper() == "TRUE" or name.lower() in _SINGLE:
        words.append("SINGLE-VALUE")
    if (number_in(entry, "searchflags") or 0) & _CONFIDENTIAL:
        words.append("X-CONFIDENTIAL 'TRUE'")
    if _kept_by_the_server(entry):
        words.append("NO-USER-MODIFICATION")
    if _constructed(entry):
        words.append("X-CONSTRUCTED 'TRUE'")
    return " ".join([*words, ")"])


def _kept_by_the_server(entry: Entry) -> bool:
    """Whether nobody can write it: it is the system's, is worked out when it is read, or is the back of a link.

    Of objectClass the schema says so too, and auxiliary classes can be added to it.
    """
    if _first(entry, "ldapdisplayname").lower() == "objectclass":
        return False
    back_link = (number_in(entry, "linkid") or 0) % 2
    return bool(
        _constructed(entry)
        or back_link
        or _first(entry, "systemonly").upper() == "TRUE"
    )


def _constructed(entry: Entry) -> bool:
    """Whether it is worked out when it is read: shown to whoever asks, and found by no filter (measured)."""
    return bool((number_in(entry, "systemflags") or 0) & _CONSTRUCTED)


def _object_class(entry: Entry, classes: Mapping[str, Entry]) -> str:
    """A class with what it allows; the auxiliary classes that are tied to it are as a part of it, in every entry.

    What `top` requires is left out: the server sets it by itself, in every entry.
    """
    name, above = _first(entry, "ldapdisplayname"), _first(entry, "subclassof")
    parts = (entry, *_auxiliary(entry, classes))
    must, may = (
        dict.fromkeys(
            name
            for part in parts
            for each in (said, f"system{said}")
            for name in part.get(each, ())
        )
        for said in ("mustcontain", "maycontain")
    )
    words = [f"( {_first(entry, 'governsid')} NAME '{name}'"]
    words += [f"SUP {above}"] if above.lower() != name.lower() else []
    words.append(_KINDS.get(_first(entry, "objectclasscategory"), "STRUCTURAL"))
    if name.lower() == _TOP:
        must.clear()
    words += [
        f"{keyword} ( {' $ '.join(names)} )"
        for keyword, names in (("MUST", must), ("MAY", may))
        if names
    ]
    return " ".join([*words, ")"])


def _auxiliary(entry: Entry, classes: Mapping[str, Entry]) -> Iterable[Entry]:
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


def _first(entry: Entry, name: str) -> str:
    return next(iter(entry.get(name, ())), "")


def number_in(entry: Entry, name: str) -> int | None:
    """An attribute that is a number (64 bits at most, [MS-ADTS] 3.1.1.2.2.2); None where there is none."""
    text = _first(entry, name)
    return int(text) if _NUMBER.fullmatch(text) else None


def unpeopled(root: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The partitions below a domain that hold no users, by the root DSE: configuration, schema, and the zones of DNS.

    A search below the domain's root refers to each of them, also where this very server
    holds it (measured, as all that follows [MS-ADTS] here, on Samba 4.22).
    """
    own = [
        *root.get("configurationnamingcontext", ()),
        *root.get("schemanamingcontext", ()),
    ]
    domains = [
        *root.get("defaultnamingcontext", ()),
        *root.get("rootdomainnamingcontext", ()),
    ]
    zones = [
        f"DC={zone},{domain}"
        for domain in domains
        for zone in ("DomainDnsZones", "ForestDnsZones")
    ]
    return (*own, *dict.fromkeys(zones))
