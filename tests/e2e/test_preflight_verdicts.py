"""The plan's verdicts against the servers' own answers: no change that a plan shows is refused.

What is said to be refused, and would be taken, is counted: it is little, and each kind of it is deliberate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.directories.ldap.adapter import LdapDirectory
from connector.model import Secret, View
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.ds389 import Ds389
from tests.support.ldap_server import PEOPLE, SYNC, SYNC_PASSWORD, LdapServer
from tests.support.preflight_schema import (
    CLASSES,
    CLEARING,
    KINDS,
    RULES,
    SETTING,
    SINGLE,
    SYNTAXES,
    TYPES,
    VANISHING,
    everything,
    people,
)
from tests.support.preflight_table import Table, empty, judge, near, rule
from tests.support.preflight_values import ALL, GROUPS, NEAR
from tests.support.slapd import Slapd

pytestmark = pytest.mark.slow


@contextmanager
def openldap(folder: Path) -> Iterator[Slapd]:
    """The schema is in the configuration file; a class goes while the server is down."""
    lines = [f"attributetype {text}" for text in TYPES]
    lines += [f"objectclass {text}" for text in (*CLASSES, everything(SYNTAXES))]
    lines += [f"ditcontentrule {text}" for text in RULES]
    vanishing = f"objectclass {VANISHING}\n"
    with Slapd.start(folder, people(), rules="\n".join(lines) + "\n" + vanishing) as running:
        running.stop()
        configuration = folder / "slapd.conf"
        configuration.write_text(configuration.read_text().replace(vanishing, ""))
        yield running.begin()


LACKING = {"xAudio", "xCertificate", "xMailbox", "xNetgroup", "xBoot"}
"""389-DS does not know these syntaxes, nor content rules."""


@contextmanager
def ds389(folder: Path) -> Iterator[Ds389]:
    """The schema comes and goes while the server runs."""
    names = [name for name in SYNTAXES if name not in LACKING]
    types = [text for text in TYPES if text.split("'")[1] not in LACKING]
    with Ds389.start(folder) as running:
        _schema(running, "add", types, [*CLASSES, VANISHING, everything(names)])
        running.add("\n".join(people()))
        _schema(running, "delete", [], [VANISHING])
        yield running


def _schema(server: LdapServer, how: str, types: Iterable[str], classes: Iterable[str]) -> None:
    for attribute, texts in (("attributeTypes", types), ("objectClasses", classes)):
        for text in texts:
            server.modify(f"dn: cn=schema\nchangetype: modify\n{how}: {attribute}\n{attribute}: {text}\n")


SITES = {"OpenLDAP": openldap, "389-DS": ds389}


class Site:
    """A server, with what it is known to take and a plan refuses all the same."""

    def __init__(self, kind: str, server: LdapServer) -> None:
        self.kind = kind
        self._settings = Settings(
            type="ldap",
            urls=[server.url],
            allow_plaintext=True,
            bind_dn=SYNC,
            password=SecretRef(env="UNUSED"),
            base=[PEOPLE],
            filter="(objectClass=*)",
        )

    def connect(self, view: View) -> LdapDirectory:
        return LdapDirectory(self._settings, Secret(SYNC_PASSWORD), view)

    def syntaxes(self, name: str) -> None:
        """Go on only where the server has the syntax."""
        if self.kind == "389-DS" and name in LACKING:
            pytest.skip("389-DS does not know the syntax")

    def timid(self, table: Table) -> list[str]:
        known = {**DELIBERATE["everywhere"], **DELIBERATE[self.kind]}
        return [case for case in table.timid if not any(found.match(case) for found in known.values())]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("OpenLDAP", marks=pytest.mark.slapd),
        pytest.param("389-DS", marks=pytest.mark.ds389),
    ],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with SITES[request.param](tmp_path_factory.mktemp("preflight") / "server") as running:
        yield Site(request.param, running)


DELIBERATE = {
    "everywhere": {
        "a minute of 60 seconds, which RFC 4517 has for leap seconds": re.compile(r"xTime ← '\d{12}60"),
        "the year 0, and the first and the last year with an offset": re.compile(r"xTime ← '(0000|0001|9999)"),
        "an attribute option in a name, which is dropped, or a number": re.compile(
            r"xName(AndUid)? ← '(cn;lang|[0-9.]+=)"
        ),
        "an octet of 0 in a name, which 389-DS and some values of OpenLDAP end at": re.compile(
            r"xName(AndUid)? ← '.*\\\\00"
        ),
        "what 389-DS refuses by the letter of RFC 4517": re.compile(
            r"x(Fax|Telex|Oid|Delivery) |xNameAndUid ← (''|\"#')"
        ),
    },
    "OpenLDAP": {},
    "389-DS": {
        "a day that the calendar does not have": re.compile(r"xTime ← '(20260230|20250229|21000229)"),
        "a UUID without its hyphens": re.compile(r"xUuid ← '0123456789abcdef0123456789abcdef'"),
        "a name by an unknown attribute, with a value that is none of it, or cut short": re.compile(r"xName"),
        "what its own schema gives to the server alone": re.compile(r"createTimestamp "),
        "an attribute that no schema has, in an extensible object": re.compile(r"noSuchThing "),
    },
}
"""What slapd takes and a plan refuses all the same."""


def _wanted(values: Iterable[str]) -> dict[str, str | None]:
    return {f"u{number}": value for number, value in enumerate(values)}


def _judged(site: Site, attribute: str, values: Iterable[str]) -> Table:
    """Each of these values over none, by the plan and by the server; what a plan lets pass, the server takes."""
    site.syntaxes(attribute)
    table = Table()
    wanted = _wanted(values)
    empty(site.connect, rule(attribute, single=False), wanted)
    judge(table, site.connect, rule(attribute, single=False), wanted)
    assert table.fooled == []
    assert table.restless == []
    assert site.timid(table) == []
    return table


@pytest.mark.parametrize("attribute", SYNTAXES)
def test_a_value_over_one_that_is_nearly_the_same_is_written_once_at_most(site: Site, attribute: str) -> None:
    site.syntaxes(attribute)
    table = near(site.connect, rule(attribute, single=False), NEAR)
    assert table.fooled == []
    assert table.restless == []


@pytest.mark.parametrize("attribute", SYNTAXES)
def test_every_value_in_every_syntax(site: Site, attribute: str) -> None:
    table = _judged(site, attribute, ALL)
    assert table.cases == len(ALL)
    fitting = {f"{attribute} ← {value!r:.80}" for value in GROUPS[SYNTAXES[attribute][2]]}
    timid = [case for case in table.timid if case.rpartition(" [")[0] in fitting]
    assert len(timid) <= len(fitting) // 5 or attribute == "xTelex"  # OpenLDAP takes any text there


def test_obstacles_of_the_schema(site: Site) -> None:
    """Each attribute, to be set on each kind of entry, with each class that a mapping might add; and cleared."""
    table = Table()
    for plan, (name, added) in enumerate(SETTING):
        wanted: dict[str, str | None] = {f"{kind}-{plan}": "after" for kind in KINDS}
        judge(table, site.connect, rule(name, single=name in SINGLE), wanted, object_classes=added)
    for plan, name in enumerate(CLEARING, start=len(SETTING)):
        judge(table, site.connect, rule(name, single=name in SINGLE), {f"{kind}-{plan}": None for kind in KINDS})
    assert table.fooled == []
    assert table.restless == []
    assert site.timid(table) == []
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
def test_values_that_nobody_thought_of(site: Site, attribute: str, data: st.DataObject) -> None:
    site.syntaxes(attribute)
    texts = st.lists(ALPHABETS[attribute], min_size=1, max_size=24).map("".join)
    values = data.draw(st.lists(texts, min_size=80, max_size=80, unique=True))
    table = Table()
    wanted = _wanted(values)
    empty(site.connect, rule(attribute, single=False), wanted)
    judge(table, site.connect, rule(attribute, single=False), wanted)
    assert table.fooled == []
    assert table.restless == []
    assert len(site.timid(table)) <= table.cases // 10
