"""A plan's verdicts against a domain controller's own answers: no change that a plan shows is refused.

What is said to be refused, and would be taken, is counted: it is what a domain controller of Windows refuses by
[MS-ADTS] 3.1.1.2.2.2, and Samba takes.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from connector.directories.ldap.adapter import LdapDirectory
from connector.model import Secret, Syntax, View
from connector.settings.attribute_names import why_not_written
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.preflight_table import Table, empty, judge, near, rule, trial
from tests.support.preflight_values import ALL, NEAR
from tests.support.samba import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, SYNTAXES, Samba, person

pytestmark = pytest.mark.samba

MATCH = "cn"
DELIBERATE = {
    "characters that Windows does not take in these syntaxes": re.compile("test(Printable|Ascii|Digits) ← "),
    "a number beyond 32 bits, which Samba cuts": re.compile(r"testInteger ← '\s*[+-]?\d{10,}\s*'"),
    "a zero octet, which ends the number for Samba": re.compile(r"test(Integer|Large) ← '\\x00'"),
    "a time in the other syntax's form, or with a space in it": re.compile(
        r"test(Utc)?Time ← '([0-9]{12}Z'|[0-9]{14}\.0? ?Z')"
    ),
    "a backslash at the end of a name, which escapes nothing": re.compile(r"testNames? ← '.*\\\\' \["),
}

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "user": ("user", ()),
    "person": ("inetOrgPerson", ()),
    "agent": ("user", ("cecAgent",)),
    "holder": ("user", ("posixAccount",)),
    "contact": ("contact", ()),
}
"""People by their class and the auxiliary classes that they have."""
ADDED: list[tuple[str, ...]] = [
    (), ("cecAgent",), ("SIPIdentity",), ("posixAccount",), ("computer",), ("top",), ("mailRecipient",),
]  # fmt: skip
OBSTRUCTED: dict[str, str] = {
    "cecWorkNo": "7", "SIPIdentityUserName": "x", "loginShell": "/bin/sh", "ipPhone": "7001", "otherIpPhone": "7001",
    "description": "x", "telephoneNumber": "x" * 65, "employeeNumber": "1" * 513, "manager": PEOPLE,
    "secretary": f"CN=nobody,{PEOPLE}", "directReports": PEOPLE, "memberOf": PEOPLE, "canonicalName": "x",
    "whenCreated": "20260131120000.0Z", "objectGUID": "0123456789abcdef", "uSNChanged": "7", "name": "x",
    "dNSHostName": "x.example.test", "noSuchThing": "x", "ipPhone;lang-de": "x", "otherIpPhone;x-cec": "x",
    "msDS-cloudExtensionAttribute1": "x", "textEncodedORAddress": "x", "sn": "x", "thumbnailPhoto": "x",
    "otherWellKnownObjects": "x", "countryCode": "65536",
}  # fmt: skip
MULTIPLE = {
    "otherIpPhone", "otherIpPhone;x-cec", "SIPIdentityUserName", "secretary", "directReports", "memberOf",
    "canonicalName", "otherWellKnownObjects",
}  # fmt: skip
BY_CLASS = ("cecWorkNo", "SIPIdentityUserName", "loginShell", "ipPhone")
SETTING = [(name, ()) for name in OBSTRUCTED] + [(name, added) for name in BY_CLASS for added in ADDED[1:]]
SOME = range(0, len(SETTING), 6)
REST = [plan for plan in range(len(SETTING)) if plan not in SOME]


def _obstructed(kind: str, plan: int) -> str:
    """One of a kind for each plan, since plans change them."""
    base, classes = KINDS[kind]
    name = f"{kind}-{plan}"
    if base == "contact":
        return f"dn: CN={name},{PEOPLE}\nobjectClass: contact\ncn: {name}\n"
    return person(name, classes=classes, kind=base)


class Site:
    """A domain with users for every table, as the job's account sees it."""

    def __init__(self, server: Samba) -> None:
        self.server = server
        self._settings = Settings(
            type="ldap",
            urls=[server.ldaps_url],
            ca_file=server.ca,
            bind_dn=SYNC,
            password=SecretRef(env="UNUSED"),
            base=[PEOPLE],
            filter="(objectClass=*)",
        )

    def schema_id(self, attribute: str) -> str:
        """What access rules call an attribute."""
        schema = f"CN=Schema,CN=Configuration,{SUFFIX}"
        said = self.server.search(f"(lDAPDisplayName={attribute})", "schemaIDGUID", base=schema)
        (octets,) = re.findall(rb"schemaIDGUID:: (\S+)", said)
        return str(UUID(bytes_le=b64decode(octets)))

    def deny(self, name: str, right: str) -> None:
        """Take a right to a user away from the job's account."""
        rights = right.format(sid=self.server.sid())
        self.server.tool("dsacl", "set", f"--objectdn=CN={name},{PEOPLE}", f"--sddl={rights}")

    def connect(self, view: View) -> LdapDirectory:
        return LdapDirectory(self._settings, Secret(SYNC_PASSWORD), view)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    people = [person(f"u{number}") for number in range(len(ALL))]
    people += [_obstructed(kind, plan) for kind in KINDS for plan in range(len(SETTING))]
    people += map(person, ("denied", "sealed", "free"))
    with Samba.start(tmp_path_factory.mktemp("verdicts") / "dc", people) as server:
        yield Site(server)


_NAMES = ("testName ←", "testNames ←", "secretary ←")
"""How cases begin of attributes whose values are DNs."""


def fooled(table: Table) -> list[str]:
    """What was planned and refused, but for DNs of entries that do not exist: those are not looked up in advance."""
    return [case for case in table.fooled if not case.startswith(_NAMES)]


def hold(site: Site, attribute: str, values: Sequence[str]) -> Table:
    """Judge each value by a user of its own; what is said to be refused, and would be taken, has to be deliberate."""
    table = Table()
    attributes = rule(attribute, single="isSingleValued: FALSE" not in SYNTAXES[attribute])
    wanted = {f"u{number}": value for number, value in enumerate(values)}
    empty(site.connect, attributes, wanted, match=MATCH)
    judge(table, site.connect, attributes, wanted, match=MATCH)
    assert fooled(table) == []
    assert table.restless == []
    assert [case for case in table.timid if not any(found.match(case) for found in DELIBERATE.values())] == []
    assert table.cases == len(values)
    return table


@pytest.mark.slow
@pytest.mark.parametrize("attribute", SYNTAXES)
def test_a_value_over_one_that_is_nearly_the_same_is_written_once_at_most(site: Site, attribute: str) -> None:
    single = "isSingleValued: FALSE" not in SYNTAXES[attribute]
    pairs = [*NEAR, (PEOPLE, PEOPLE.upper()), (PEOPLE, PEOPLE.replace(",", ", ")), ("-7", "-07")]
    table = near(site.connect, rule(attribute, single=single), pairs, match=MATCH)
    assert fooled(table) == []
    assert table.restless == []


@pytest.mark.slow
@pytest.mark.parametrize("attribute", SYNTAXES)
def test_every_value_in_every_syntax(site: Site, attribute: str) -> None:
    hold(site, attribute, ALL)


ALPHABETS = {
    "testText": st.characters(exclude_categories=["Cs"]),
    "testCase": st.characters(exclude_categories=["Cs"], max_codepoint=0x2FF),
    "testName": st.sampled_from([*'cn=a,+\\"#<>; ', "\\2c", "\\c3\\a9", "DC=", f"CN=u1,{PEOPLE}", f",{SUFFIX}"]),
    "testInteger": st.sampled_from([*"0123456789+-. "]),
    "testLarge": st.sampled_from([*"0123456789+-. "]),
    "testBoolean": st.sampled_from([*"TRUEFALSEtruefalse01 "]),
    "testTime": st.sampled_from([*"0123456789Z.,+-"]),
}


@pytest.mark.parametrize("attribute", ALPHABETS)
@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values_that_nobody_thought_of(site: Site, attribute: str, data: st.DataObject) -> None:
    """No shrinking: what is found is one line of a table already, and each try is a plan and an apply."""
    texts = st.lists(ALPHABETS[attribute], min_size=1, max_size=24).map("".join)
    hold(site, attribute, data.draw(st.lists(texts, min_size=80, max_size=80, unique=True)))


@pytest.mark.parametrize("part", [SOME, pytest.param(REST, marks=pytest.mark.slow)], ids=["some", "rest"])
def test_obstacles_of_the_schema(site: Site, part: Sequence[int]) -> None:
    """Each attribute, to be set on each kind of entry; and some with each class that a mapping might add."""
    table = Table()
    for plan in part:
        name, added = SETTING[plan]
        wanted: dict[str, str | None] = {f"{kind}-{plan}": OBSTRUCTED[name] for kind in KINDS}
        judge(table, site.connect, rule(name, single=name not in MULTIPLE), wanted, match=MATCH, object_classes=added)
    assert fooled(table) == []
    assert table.restless == []
    assert table.timid == []
    assert table.cases == len(part) * len(KINDS)


def test_what_our_account_may_not_write_is_told_before(site: Site) -> None:
    """One user of whom it may not write that attribute, one of whom it may write nothing, and one like all others."""
    site.deny("denied", f"(OD;;WP;{site.schema_id('ipPhone')};;{{sid}})")
    site.deny("sealed", "(D;;WP;;;{sid})")
    for attribute, refused in (("ipPhone", {"denied", "sealed"}), ("otherIpPhone", {"sealed"})):
        table = Table()
        attributes = rule(attribute, single=attribute == "ipPhone")
        plan = judge(table, site.connect, attributes, dict.fromkeys(("denied", "sealed", "free"), "7001"), match=MATCH)
        assert plan is not None
        assert {each.users[0]: each.kind for each in plan.problems} == {
            f"CN={name},{PEOPLE}": "rights" for name in refused
        }
        assert (table.fooled, table.timid, table.restless, table.agreed) == ([], [], [], 3)


VALUES: dict[Syntax, str] = {
    Syntax.INTEGER: "7", Syntax.BOOLEAN: "TRUE", Syntax.DN: f"CN=u1,{PEOPLE}", Syntax.TIME: "20260131120000.0Z",
    Syntax.FULL_TIME: "20260131120000.0Z", Syntax.UTC_TIME: "260131120000Z", Syntax.DEFINED: "2.5.6.6",
    Syntax.NUMERIC: "7",
}  # fmt: skip


def test_whatever_a_user_may_have_can_be_written_where_the_plan_says_so(site: Site) -> None:
    """Every attribute of the classes of users that a mapping may name, forty at a time."""
    said = site.server.search("-s", "base", "allowedAttributes", base=f"CN=u0,{PEOPLE}").decode()
    names = re.findall("^allowedAttributes: (.+)$", said, re.MULTILINE)
    assert len(names) > 400
    with closing(site.connect(View(tuple(names)))) as directory:
        known = directory.describe().attributes
    mapped = [name for name in sorted(names) if why_not_written(name) is None and known[name].writable]
    for start in range(0, len(mapped), 40):
        chunk = [known[name] for name in mapped[start : start + 40]]
        rules = [
            rule(info.name, single=info.single, value=VALUES.get(info.syntax, "x" * max(1, info.bounds.min_length)))
            for info in chunk
        ]
        refused = trial(site.connect, rules, f"u{start}", match=MATCH)
        encoded = {name: "value" for name in refused if known[name].syntax is Syntax.ENCODED}
        hidden = {name: "unreadable" for name in refused if known[name].readable is None}
        assert refused == hidden | encoded
