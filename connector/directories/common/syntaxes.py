"""Syntaxes and matching rules by their numbers and names, as schemas publish them (RFC 4517)."""

from __future__ import annotations

from typing import Final

from connector.model import Equality, Syntax

RFC4517: Final = "1.3.6.1.4.1.1466.115.121.1."
MICROSOFT: Final = "1.2.840.113556.1.4."  # [MS-ADTS] 3.1.1.2.2.2
SYNTAXES: Final = {
    RFC4517
    + "4": Syntax.OCTETS,  # audio; servers look into neither this, nor binary, nor JPEG
    RFC4517 + "5": Syntax.OCTETS,
    RFC4517 + "6": Syntax.BITS,
    RFC4517 + "7": Syntax.BOOLEAN,
    **dict.fromkeys(
        (RFC4517 + number for number in ("8", "9", "10", "49")), Syntax.ENCODED
    ),  # certificates
    RFC4517 + "11": Syntax.COUNTRY,
    RFC4517 + "12": Syntax.DN,
    RFC4517 + "14": Syntax.DELIVERY,
    RFC4517 + "15": Syntax.TEXT,
    RFC4517 + "22": Syntax.FACSIMILE,
    RFC4517 + "23": Syntax.OCTETS,
    RFC4517 + "24": Syntax.TIME,
    RFC4517 + "26": Syntax.IA5,
    RFC4517 + "27": Syntax.INTEGER,
    RFC4517 + "28": Syntax.OCTETS,
    RFC4517 + "34": Syntax.NAME_AND_UID,
    RFC4517 + "36": Syntax.NUMERIC,
    RFC4517 + "38": Syntax.OID,
    RFC4517 + "39": Syntax.IA5,  # other mailbox
    RFC4517 + "40": Syntax.OCTETS,
    RFC4517 + "41": Syntax.POSTAL,
    RFC4517 + "44": Syntax.PRINTABLE,
    RFC4517 + "50": Syntax.TELEPHONE,
    RFC4517 + "52": Syntax.TELEX,
    RFC4517 + "53": Syntax.UTC_TIME,
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
    syntax: equality
    for equality, syntaxes in {
        Equality.CASE_IGNORE: (
            Syntax.TEXT, Syntax.DEFINED, Syntax.COUNTRY, Syntax.OID, Syntax.POSTAL, Syntax.OTHER,
        ),
        Equality.CASE_EXACT: (
            Syntax.IA5, Syntax.PRINTABLE, Syntax.UTC_TIME, Syntax.BITS, Syntax.FACSIMILE, Syntax.TELEX,
            Syntax.DELIVERY, Syntax.NETGROUP, Syntax.BOOT,
        ),
        Equality.NUMERIC: (Syntax.NUMERIC,),
        Equality.TELEPHONE: (Syntax.TELEPHONE,),
        Equality.INTEGER: (Syntax.INTEGER,),
        Equality.BOOLEAN: (Syntax.BOOLEAN,),
        Equality.TIME: (Syntax.TIME, Syntax.FULL_TIME),
        Equality.DN: (Syntax.DN, Syntax.NAME_AND_UID),
        Equality.UUID: (Syntax.UUID,),
        Equality.OCTETS: (Syntax.OCTETS, Syntax.ENCODED),
    }.items()
    for syntax in syntaxes
}  # fmt: skip
"""How values of a syntax compare where no rule is named: as Active Directory, which names
none, compares them."""
