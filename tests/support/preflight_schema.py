"""A schema with every syntax that a mapping may meet, and every obstacle that a schema can be to a change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.support.ldap_server import PEOPLE
from tests.support.preflight_values import ALL
from tests.support.slapd import person

RFC4517: Final = "1.3.6.1.4.1.1466.115.121.1"
ARC: Final = "1.3.6.1.4.1.55555"
SYNTAXES: Final = {
    "xAudio": ("4", "", "text"),
    "xBinary": ("5", "", "text"),
    "xBits": ("6", "bitStringMatch", "other"),
    "xBoolean": ("7", "booleanMatch", "truth"),
    "xCertificate": ("8", "", "text"),
    "xCountry": ("11", "caseIgnoreMatch", "other"),
    "xName": ("12", "distinguishedNameMatch", "name"),
    "xDelivery": ("14", "", "other"),
    "xText": ("15", "caseIgnoreMatch", "text"),
    "xExact": ("15", "caseExactMatch", "text"),
    "xFax": ("22", "", "other"),
    "xTime": ("24", "generalizedTimeMatch", "time"),
    "xAscii": ("26", "caseIgnoreIA5Match", "text"),
    "xAsciiExact": ("26", "caseExactIA5Match", "text"),
    "xInteger": ("27", "integerMatch", "number"),
    "xJpeg": ("28", "", "text"),
    "xNameAndUid": ("34", "uniqueMemberMatch", "name"),
    "xNumeric": ("36", "numericStringMatch", "number"),
    "xOid": ("38", "objectIdentifierMatch", "other"),
    "xMailbox": ("39", "", "other"),
    "xOctets": ("40", "octetStringMatch", "text"),
    "xAddress": ("41", "caseIgnoreListMatch", "other"),
    "xPrintable": ("44", "caseIgnoreMatch", "text"),
    "xTelephone": ("50", "telephoneNumberMatch", "other"),
    "xTelex": ("52", "", "other"),
    "xNetgroup": ("1.3.6.1.1.1.0.0", "", "other"),
    "xBoot": ("1.3.6.1.1.1.0.1", "", "other"),
    "xUuid": ("1.3.6.1.1.16.1", "uuidMatch", "other"),
}
"""Every syntax that OpenLDAP publishes and an attribute can have: number, equality rule, whose values fit it best.

Other servers have some of them.
"""


def _full(syntax: str) -> str:
    return syntax if "." in syntax else f"{RFC4517}.{syntax}"


TEXT: Final = f"EQUALITY caseIgnoreMatch SYNTAX {RFC4517}.15"
TYPES: Final = [
    *(
        f"( {ARC}.1.{number} NAME '{name}' {f'EQUALITY {rule} ' if rule else ''}SYNTAX {_full(syntax)} )"
        for number, (name, (syntax, rule, _)) in enumerate(SYNTAXES.items(), start=1)
    ),
    f"( {ARC}.3.1 NAME 'yMay' {TEXT} )",
    f"( {ARC}.3.2 NAME 'yMust' {TEXT} )",
    f"( {ARC}.3.3 NAME 'yObsolete' OBSOLETE {TEXT} )",
    f"( {ARC}.3.4 NAME 'yIncomparable' SYNTAX {RFC4517}.15 )",
    f"( {ARC}.3.5 NAME 'yOne' {TEXT} SINGLE-VALUE )",
    f"( {ARC}.3.6 NAME 'yNever' {TEXT} )",
    f"( {ARC}.3.7 NAME 'yRule' {TEXT} )",
    f"( {ARC}.3.8 NAME 'yUnder' SUP yMust )",
    f"( {ARC}.3.9 NAME 'yNowhere' {TEXT} )",
    f"( {ARC}.3.10 NAME 'yRuled' {TEXT} )",
]
CLASSES: Final = [
    f"( {ARC}.4.1 NAME 'yMarked' SUP top AUXILIARY MAY ( yMay $ yObsolete $ yIncomparable $ yOne $ yUnder ) )",
    f"( {ARC}.4.2 NAME 'yNeedy' SUP top AUXILIARY MUST yMust MAY yMay )",
    f"( {ARC}.4.3 NAME 'yFormer' SUP top OBSOLETE AUXILIARY MAY yMay )",
    f"( {ARC}.4.4 NAME 'yPerson' SUP inetOrgPerson STRUCTURAL MAY ( yNever $ yMay $ yRuled ) )",
    f"( {ARC}.4.5 NAME 'yIdea' SUP top ABSTRACT MAY yMay )",
    f"( {ARC}.4.6 NAME 'yLeaf' SUP yPerson STRUCTURAL )",
    f"( {ARC}.4.7 NAME 'yMarkedMore' SUP yMarked AUXILIARY )",
]
RULES: Final = [f"( {ARC}.4.4 NAME 'yPersons' AUX yMarked MUST yRuled MAY yRule NOT yNever )"]
VANISHING: Final = f"( {ARC}.4.8 NAME 'yVanished' SUP top AUXILIARY MAY yMay )"
"""It is there while entries are made, and gone when they are changed."""


def everything(names: Iterable[str]) -> str:
    """The class of users that may have any of these attributes."""
    return f"( {ARC}.2.1 NAME 'xEverything' SUP top AUXILIARY MAY ( {' $ '.join(names)} ) )"


KINDS: Final[dict[str, tuple[tuple[str, ...], dict[str, str]]]] = {
    "plain": (("inetOrgPerson",), {}),
    "marked": (("inetOrgPerson", "yMarked"), {"yMay": "x", "yOne": "x", "yIncomparable": "x"}),
    "more": (("inetOrgPerson", "yMarkedMore"), {}),
    "needy": (("inetOrgPerson", "yNeedy"), {"yMust": "x"}),
    "both": (("inetOrgPerson", "yNeedy", "yMarked"), {"yMust": "x", "yUnder": "below"}),
    "free": (("inetOrgPerson", "extensibleObject"), {"yNowhere": "x"}),
    "vanished": (("inetOrgPerson", "yVanished"), {"yMay": "x"}),
    "ruled": (("yPerson",), {"yRuled": "x"}),
    "ruledmore": (("yPerson", "yMarked"), {"yRuled": "x", "yOne": "x"}),
    "leaf": (("yLeaf",), {"yNever": "x"}),
    "chain": (("top", "person", "organizationalPerson", "inetOrgPerson"), {}),
    "number": (("2.5.6.6", "2.16.840.1.113730.3.2.2"), {}),
}
"""People by the object classes that they have, and what they hold of the attributes above."""


ADDED: Final = [
    (),
    ("yMarked",),
    ("yNeedy",),
    ("yFormer",),
    ("yIdea",),
    ("yPerson",),
    ("extensibleObject",),
    ("yMarkedMore",),
]
OBSTRUCTED: Final = [
    "yMay", "yMust", "yObsolete", "yIncomparable", "yOne", "yNever", "yRule", "yUnder", "yNowhere", "sn",
    "yMay;lang-de", "yMay;x-cec", "yMay;binary", "createTimestamp", "yRuled", "noSuchThing",
]  # fmt: skip
SETTING: Final = [(name, added) for name in OBSTRUCTED for added in ADDED]
CLEARING: Final = ["yMay", "yMust", "yOne", "yRuled", "yNever", "yUnder", "sn", "yNowhere"]
SINGLE: Final = {"yOne", "createTimestamp"}


def _user(kind: str, plan: int) -> str:
    """One of a kind for each plan, since plans change them."""
    classes, values = KINDS[kind]
    name = f"{kind}-{plan}"
    lines = [f"dn: uid={name},{PEOPLE}", *(f"objectClass: {each}" for each in classes)]
    lines += [f"{key}: {value}" for key, value in {"uid": name, "cn": "Somebody", "sn": "Somebody", **values}.items()]
    return "\n".join(lines) + "\n"


def people() -> list[str]:
    """A user for each value, and users of every kind for every plan."""
    return [
        *(person(f"u{number}", classes=["xEverything"]) for number in range(len(ALL))),
        *(_user(kind, plan) for kind in KINDS for plan in range(len(SETTING) + len(CLEARING))),
    ]
