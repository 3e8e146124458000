"""Syntaxes and matching rules by their numbers and names, as schemas publish them (RFC 4517)."""

from __future__ import annotations

from typing import Final

from connector.model import Equality, Syntax

_RFC4517: Final = "1.3.6.1.4.1.1466.115.121.1."
MICROSOFT: Final = "1.2.840.113556.1.4."  # [MS-ADTS] 3.1.1.2.2.2
SYNTAXES: Final = {
    _RFC4517 + "4": Syntax.OCTETS,  # audio; servers look into neither this, nor binary, nor JPEG
    _RFC4517 + "5": Syntax.OCTETS,
    _RFC4517 + "6": Syntax.BITS,
    _RFC4517 + "7": Syntax.BOOLEAN,
    **dict.fromkeys((_RFC4517 + number for number in ("8", "9", "10", "49")), Syntax.ENCODED),  # certificates
    _RFC4517 + "11": Syntax.COUNTRY,
    _RFC4517 + "12": Syntax.DN,
    _RFC4517 + "14": Syntax.DELIVERY,
    _RFC4517 + "15": Syntax.TEXT,
    _RFC4517 + "22": Syntax.FACSIMILE,
    _RFC4517 + "23": Syntax.OCTETS,
    _RFC4517 + "24": Syntax.TIME,
    _RFC4517 + "26": Syntax.IA5,
    _RFC4517 + "27": Syntax.INTEGER,
    _RFC4517 + "28": Syntax.OCTETS,
    _RFC4517 + "34": Syntax.NAME_AND_UID,
    _RFC4517 + "36": Syntax.NUMERIC,
    _RFC4517 + "38": Syntax.OID,
    _RFC4517 + "39": Syntax.IA5,  # other mailbox
    _RFC4517 + "40": Syntax.OCTETS,
    _RFC4517 + "41": Syntax.POSTAL,
    _RFC4517 + "44": Syntax.PRINTABLE,
    _RFC4517 + "50": Syntax.TELEPHONE,
    _RFC4517 + "52": Syntax.TELEX,
    _RFC4517 + "53": Syntax.UTC_TIME,
    "1.3.6.1.1.1.0.0": Syntax.NETGROUP,
    "1.3.6.1.1.1.0.1": Syntax.BOOT,
    "1.3.6.1.1.16.1": Syntax.UUID,
    MICROSOFT + "905": Syntax.TEXT,
    MICROSOFT + "906": Syntax.INTEGER,
    MICROSOFT + "907": Syntax.ENCODED,
    MICROSOFT + "1362": Syntax.TEXT,
    "2.5.5.2": Syntax.DEFINED,  # Active Directory's own numbers, where its syntaxes are narrower than RFC 4517's
    "2.5.5.11": Syntax.FULL_TIME,
}
"""Syntaxes by number; of all others nothing is known but that they are shown as text."""

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

BY_SYNTAX: Final = {
    Syntax.TEXT: Equality.CASE_IGNORE,
    Syntax.IA5: Equality.CASE_EXACT,
    Syntax.PRINTABLE: Equality.CASE_EXACT,
    Syntax.NUMERIC: Equality.NUMERIC,
    Syntax.TELEPHONE: Equality.TELEPHONE,
    Syntax.INTEGER: Equality.INTEGER,
    Syntax.BOOLEAN: Equality.BOOLEAN,
    Syntax.TIME: Equality.TIME,
    Syntax.FULL_TIME: Equality.TIME,
    Syntax.UTC_TIME: Equality.CASE_EXACT,
    Syntax.DEFINED: Equality.CASE_IGNORE,
    Syntax.DN: Equality.DN,
    Syntax.OCTETS: Equality.OCTETS,
    Syntax.COUNTRY: Equality.CASE_IGNORE,
    Syntax.BITS: Equality.CASE_EXACT,
    Syntax.OID: Equality.CASE_IGNORE,
    Syntax.UUID: Equality.UUID,
    Syntax.FACSIMILE: Equality.CASE_EXACT,
    Syntax.TELEX: Equality.CASE_EXACT,
    Syntax.POSTAL: Equality.CASE_IGNORE,
    Syntax.DELIVERY: Equality.CASE_EXACT,
    Syntax.NAME_AND_UID: Equality.DN,
    Syntax.NETGROUP: Equality.CASE_EXACT,
    Syntax.BOOT: Equality.CASE_EXACT,
    Syntax.ENCODED: Equality.OCTETS,
    Syntax.OTHER: Equality.CASE_IGNORE,
}
"""How values of a syntax compare where no rule is named: as Active Directory, which names none, compares them."""
