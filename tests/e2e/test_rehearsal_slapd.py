"""The plan's verdicts against OpenLDAP's own: no change that a plan shows is refused by the server.

What is said to be refused, and would be taken, is counted: it is little, and each kind of it is deliberate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rehearsal_table import Table, empty, judge, rule
from rehearsal_values import ALL, GROUPS
from slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

from connector.directories.ldap.adapter import LdapDirectory
from connector.model import Secret, View
from connector.settings.fields import SecretRef
from connector.settings.job import LdapDirectory as Settings

pytestmark = pytest.mark.slapd

RFC4517 = "1.3.6.1.4.1.1466.115.121.1"
ARC = "1.3.6.1.4.1.55555"
SYNTAXES = {
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
"""Every syntax that slapd publishes and an attribute can have: number, equality rule, whose values fit it best."""


def _definitions() -> str:
    lines = []
    for number, (name, (syntax, equality, _)) in enumerate(SYNTAXES.items(), start=1):
        full = syntax if "." in syntax else f"{RFC4517}.{syntax}"
        compared = f"EQUALITY {equality} " if equality else ""
        lines.append(f"attributetype ( {ARC}.1.{number} NAME '{name}' {compared}SYNTAX {full} )")
    lines.append(f"objectclass ( {ARC}.2.1 NAME 'xEverything' SUP top AUXILIARY MAY ( {' $ '.join(SYNTAXES)} ) )")
    return "\n".join(lines) + OBSTACLES


TEXT = f"EQUALITY caseIgnoreMatch SYNTAX {RFC4517}.15"
OBSTACLES = f"""
attributetype ( {ARC}.3.1 NAME 'yMay' {TEXT} )
attributetype ( {ARC}.3.2 NAME 'yMust' {TEXT} )
attributetype ( {ARC}.3.3 NAME 'yObsolete' OBSOLETE {TEXT} )
attributetype ( {ARC}.3.4 NAME 'yIncomparable' SYNTAX {RFC4517}.15 )
attributetype ( {ARC}.3.5 NAME 'yOne' {TEXT} SINGLE-VALUE )
attributetype ( {ARC}.3.6 NAME 'yNever' {TEXT} )
attributetype ( {ARC}.3.7 NAME 'yRule' {TEXT} )
attributetype ( {ARC}.3.8 NAME 'yUnder' SUP yMust )
attributetype ( {ARC}.3.9 NAME 'yNowhere' {TEXT} )
attributetype ( {ARC}.3.10 NAME 'yRuled' {TEXT} )
objectclass ( {ARC}.4.1 NAME 'yMarked' SUP top AUXILIARY MAY ( yMay $ yObsolete $ yIncomparable $ yOne $ yUnder ) )
objectclass ( {ARC}.4.2 NAME 'yNeedy' SUP top AUXILIARY MUST yMust MAY yMay )
objectclass ( {ARC}.4.3 NAME 'yFormer' SUP top OBSOLETE AUXILIARY MAY yMay )
objectclass ( {ARC}.4.4 NAME 'yPerson' SUP inetOrgPerson STRUCTURAL MAY ( yNever $ yMay ) )
objectclass ( {ARC}.4.5 NAME 'yIdea' SUP top ABSTRACT MAY yMay )
objectclass ( {ARC}.4.6 NAME 'yLeaf' SUP yPerson STRUCTURAL )
objectclass ( {ARC}.4.7 NAME 'yMarkedMore' SUP yMarked AUXILIARY )
ditcontentrule ( {ARC}.4.4 NAME 'yPersons' AUX yMarked MUST yRuled MAY yRule NOT yNever )
"""
VANISHING = f"objectclass ( {ARC}.4.8 NAME 'yVanished' SUP top AUXILIARY MAY yMay )\n"
"""It is there while entries are made, and gone when they are changed."""

KINDS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
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


ADDED = [(), ("yMarked",), ("yNeedy",), ("yFormer",), ("yIdea",), ("yPerson",), ("extensibleObject",), ("yMarkedMore",)]
OBSTRUCTED = ["yMay", "yMust", "yObsolete", "yIncomparable", "yOne", "yNever", "yRule", "yUnder", "yNowhere", "sn",
              "yMay;lang-de", "yMay;x-cec", "yMay;binary", "createTimestamp", "yRuled", "noSuchThing"]  # fmt: skip
SETTING = [(name, added) for name in OBSTRUCTED for added in ADDED]
CLEARING = ["yMay", "yMust", "yOne", "yRuled", "yNever", "yUnder", "sn", "yNowhere"]
SINGLE = {"yOne", "createTimestamp"}


SHOWN = {"xAudio": "x", "xBinary": "x", "xDelivery": "any", "xFax": "x", "xJpeg": "x", "xMailbox": "x", "xTelex": "x",
         "xNetgroup": "(,,)", "xBoot": "a=b:c"}  # fmt: skip
"""Of attributes without an equality rule, which cannot be compared, somebody has to show that they may be read."""


def _wanted(attribute: str, values: Iterable[str]) -> dict[str, str | None]:
    shown: dict[str, str | None] = {"shows": SHOWN[attribute]} if attribute in SHOWN else {}
    return shown | {f"u{number}": value for number, value in enumerate(values)}


def _user(kind: str, plan: int) -> str:
    """One of a kind for each plan, since plans change them."""
    classes, values = KINDS[kind]
    name = f"{kind}-{plan}"
    lines = [f"dn: uid={name},{PEOPLE}", *(f"objectClass: {each}" for each in classes)]
    lines += [f"{key}: {value}" for key, value in {"uid": name, "cn": "Somebody", "sn": "Somebody", **values}.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    people = [person(f"u{number}", classes=["xEverything"]) for number in range(len(ALL))]
    people.append(person("shows", *(f"{name}: {value}" for name, value in SHOWN.items()), classes=["xEverything"]))
    people += [_user(kind, plan) for kind in KINDS for plan in range(len(SETTING) + len(CLEARING))]
    folder = tmp_path_factory.mktemp("rehearsal") / "slapd"
    with Slapd.start(folder, people, rules=_definitions() + VANISHING) as running:
        running.stop()
        configuration = folder / "slapd.conf"
        configuration.write_text(configuration.read_text().replace(VANISHING, ""))
        yield running.begin()


@pytest.fixture(scope="module")
def connect(server: Slapd) -> Callable[[View], LdapDirectory]:
    settings = Settings(
        type="ldap",
        urls=[server.url],
        allow_plaintext=True,
        bind_dn=SYNC,
        password=SecretRef(env="UNUSED"),
        base=PEOPLE,
        filter="(objectClass=*)",
    )
    return lambda view: LdapDirectory(settings, Secret(SYNC_PASSWORD), view)


DELIBERATE = {
    "a minute of 60 seconds, which RFC 4517 has for leap seconds": re.compile(r"xTime ← '\d{12}60"),
    "the year 0, and the first and the last year with an offset": re.compile(r"xTime ← '(0000|0001|9999)"),
    "an attribute option in a name, which is dropped, or a number": re.compile(r"xName(AndUid)? ← '(cn;lang|[0-9.]+=)"),
    "what 389-DS refuses by the letter of RFC 4517": re.compile(r"x(Fax|Telex|Oid|Delivery) |xNameAndUid ← (''|\"#')"),
}
"""What slapd takes and a plan refuses all the same."""


def _timid(table: Table) -> list[str]:
    return [case for case in table.timid if not any(found.match(case) for found in DELIBERATE.values())]


@pytest.mark.parametrize("attribute", SYNTAXES)
def test_values_of_every_syntax(connect: Callable[[View], LdapDirectory], attribute: str) -> None:
    values = list(dict.fromkeys([*GROUPS[SYNTAXES[attribute][2]], *ALL[::7]]))
    table = Table()
    wanted = _wanted(attribute, values)
    empty(connect, rule(attribute, single=False), wanted.keys() - {"shows"})
    judge(table, connect, rule(attribute, single=False), wanted)
    assert table.fooled == []
    assert _timid(table) == []
    assert table.cases >= 80


@pytest.mark.slow
@pytest.mark.parametrize("attribute", SYNTAXES)
def test_every_value_in_every_syntax(connect: Callable[[View], LdapDirectory], attribute: str) -> None:
    table = Table()
    wanted = _wanted(attribute, ALL)
    empty(connect, rule(attribute, single=False), wanted.keys() - {"shows"})
    judge(table, connect, rule(attribute, single=False), wanted)
    assert table.fooled == []
    assert _timid(table) == []
    assert table.cases == len(ALL)


def test_obstacles_of_the_schema(connect: Callable[[View], LdapDirectory]) -> None:
    """Each attribute, to be set on each kind of entry, with each class that a mapping might add; and cleared."""
    table = Table()
    for plan, (name, added) in enumerate(SETTING):
        wanted: dict[str, str | None] = {f"{kind}-{plan}": "after" for kind in KINDS}
        judge(table, connect, rule(name, single=name in SINGLE), wanted, object_classes=added)
    for plan, name in enumerate(CLEARING, start=len(SETTING)):
        judge(table, connect, rule(name, single=name in SINGLE), {f"{kind}-{plan}": None for kind in KINDS})
    assert table.fooled == []
    assert table.timid == []
    assert table.cases > 1500


ALPHABETS = {
    "xBoolean": st.sampled_from([*"TRUEFALSEtruefalse01 "]),
    "xName": st.sampled_from([*'cn=a,+\\"#<>; ', "\\2c", "\\c3\\a9", "dc=", "ou=x,", "uidNumber=", "7", "\u00e9"]),
    "xNameAndUid": st.sampled_from([*"cn=a,+#'01B\\ "]),
    "xTime": st.sampled_from([*"0123456789Z.,+-"]),
    "xInteger": st.sampled_from([*"0123456789+-. "]),
    "xNumeric": st.sampled_from([*"0123456789 -"]),
    "xFax": st.sampled_from([*"a1+$ -_"]),
    "xAddress": st.sampled_from([*"a$\\245cC"]),
    "xNetgroup": st.sampled_from([*"(),a-_ 1."]),
    "xBoot": st.sampled_from([*"=:a/-_ 1."]),
    "xBits": st.sampled_from([*"'01B2"]),
    "xOid": st.sampled_from([*"0123.a"]),
    "xDelivery": st.sampled_from(["any", "telephone", "$", " ", "x"]),
    "xPrintable": st.characters(max_codepoint=0xFF),
    "xText": st.characters(exclude_categories=["Cs"]),
    "xAscii": st.characters(max_codepoint=0xFF),
}


@pytest.mark.parametrize("attribute", ALPHABETS)
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values_that_nobody_thought_of(
    connect: Callable[[View], LdapDirectory], attribute: str, data: st.DataObject
) -> None:
    texts = st.lists(ALPHABETS[attribute], min_size=1, max_size=24).map("".join)
    values = data.draw(st.lists(texts, min_size=80, max_size=80, unique=True))
    table = Table()
    wanted = _wanted(attribute, values)
    empty(connect, rule(attribute, single=False), wanted.keys() - {"shows"})
    judge(table, connect, rule(attribute, single=False), wanted)
    assert table.fooled == []
    assert len(_timid(table)) <= table.cases // 10
