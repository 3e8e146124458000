"""Active Directory's schema entries as definitions, its partitions, and what its errors mean."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from connector.directories.common.definitions import read_definition
from connector.directories.common.schema import Schema
from connector.directories.ldap import active_directory
from connector.directories.ldap.dialect import ACTIVE_DIRECTORY, OPENLDAP
from connector.directories.ldap.responses import Response, explain_refused_bind
from connector.directories.ldap.wire import part_of
from connector.model import Equality, Syntax
from connector.model.dn import split_rdns


def attribute(name: str, syntax: str, om: str, **other: str) -> dict[str, list[str]]:
    number = f"1.2.840.113556.1.4.{sum(map(ord, name))}"
    said = {"objectclass": "attributeSchema", "ldapdisplayname": name, "attributeid": number}
    return {key: [value] for key, value in {**said, "attributesyntax": syntax, "omsyntax": om, **other}.items()}


def a_class(name: str, number: int, category: str, **other: Any) -> dict[str, list[str]]:
    said = {"objectclass": ["classSchema"], "ldapdisplayname": [name], "governsid": [f"1.2.840.113556.1.5.{number}"]}
    return {**said, "objectclasscategory": [category], "subclassof": ["top"], **other}


ENTRIES = [
    attribute("ipPhone", "2.5.5.12", "64", issinglevalued="TRUE", rangeupper="64"),
    attribute("otherIpPhone", "2.5.5.12", "64", issinglevalued="FALSE"),
    attribute("description", "2.5.5.12", "64", issinglevalued="FALSE", rangelower="0", rangeupper="1024"),
    attribute("level", "2.5.5.9", "2", issinglevalued="TRUE", rangelower="-1", rangeupper="10"),
    attribute("number", "2.5.5.9", "2"),
    attribute("code", "2.5.5.12", "64", rangelower="3", rangeupper="5"),
    attribute("large", "2.5.5.16", "65", issinglevalued="TRUE"),
    attribute("flag", "2.5.5.8", "1"),
    attribute("since", "2.5.5.11", "24"),
    attribute("uri", "2.5.5.3", "27"),
    attribute("ascii", "2.5.5.5", "22"),
    attribute("photo", "2.5.5.10", "4", rangeupper="102400"),
    attribute("manager", "2.5.5.1", "127", linkid="42"),
    attribute("directReports", "2.5.5.1", "127", linkid="43"),
    attribute("canonicalName", "2.5.5.12", "64", systemflags="134217748"),
    attribute("guid", "2.5.5.10", "4", systemonly="TRUE"),
    attribute("password", "2.5.5.10", "4", searchflags="129"),
    attribute("strange", "2.5.5.13", "127"),
    attribute("gone", "2.5.5.12", "64", isdefunct="TRUE"),
    {"objectclass": ["attributeSchema"], "ldapdisplayname": ["halfHidden"]},
    {"objectclass": ["top"]},
    {"objectclass": ["classSchema"], "ldapdisplayname": ["top"], "governsid": ["2.5.6.0"], "subclassof": ["top"]},
    a_class("person", 6, "0", maycontain=["description"], mustcontain=["cn"]),
    a_class("user", 9, "1", subclassof=["person"], auxiliaryclass=["phones"], systemmaycontain=["manager"]),
    a_class("phones", 10, "3", maycontain=["ipPhone"], systemauxiliaryclass=["more"]),
    a_class("more", 11, "3", maycontain=["otherIpPhone"], auxiliaryclass=["phones", "unknown"]),
]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema(*active_directory.define_schema(ENTRIES))


def test_what_is_defunct_or_has_no_number_is_not_there(schema: Schema) -> None:
    known = {
        name for entry in ENTRIES for name in entry.get("ldapdisplayname", []) if schema.info(name).definition.known
    }
    assert known.isdisjoint({"gone", "halfHidden"})
    types, classes = active_directory.define_schema(ENTRIES)
    assert all(map(read_definition, (*types, *classes)))


def test_syntaxes_and_their_equality_are_those_of_the_servers_table(schema: Schema) -> None:
    found = {name: (schema.info(name).syntax, schema.info(name).equality) for name in (
        "ipPhone", "level", "large", "flag", "since", "uri", "ascii", "photo", "manager", "strange",
    )}  # fmt: skip
    assert found == {
        "ipPhone": (Syntax.TEXT, Equality.CASE_IGNORE),
        "level": (Syntax.INTEGER, Equality.INTEGER),
        "large": (Syntax.INTEGER, Equality.INTEGER),
        "flag": (Syntax.BOOLEAN, Equality.BOOLEAN),
        "since": (Syntax.FULL_TIME, Equality.TIME),
        "uri": (Syntax.TEXT, Equality.CASE_EXACT),
        "ascii": (Syntax.IA5, Equality.CASE_EXACT),
        "photo": (Syntax.OCTETS, Equality.OCTETS),
        "manager": (Syntax.DN, Equality.DN),
        "strange": (Syntax.OTHER, Equality.CASE_IGNORE),
    }
    assert [name for name in found if not schema.has_rule(name, "EQUALITY")] == ["strange"]


def test_a_range_is_a_length_of_text_and_bounds_a_number(schema: Schema) -> None:
    names = ("ipPhone", "photo", "code", "level", "number", "large", "otherIpPhone")
    infos = [schema.info(name) for name in names]
    assert [(info.bounds.min_length, info.bounds.max_length) for info in infos] == [
        (0, 64), (0, 102400), (3, 5), (0, None), (0, None), (0, None), (0, None),
    ]  # fmt: skip
    assert [(info.bounds.least, info.bounds.most) for info in infos] == [
        (None, None), (None, None), (None, None), (-1, 10), (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1), (None, None),
    ]  # fmt: skip


def test_one_value_is_what_the_schema_or_the_account_allows(schema: Schema) -> None:
    assert {name for name in ("ipPhone", "otherIpPhone", "description") if schema.info(name).single} == {
        "ipPhone", "description",
    }  # fmt: skip


def test_nobody_writes_back_links_nor_what_is_constructed_or_the_systems(schema: Schema) -> None:
    names = ("manager", "directReports", "canonicalName", "guid", "ipPhone")
    assert [name for name in names if not schema.info(name).writable] == ["directReports", "canonicalName", "guid"]


def test_what_is_confidential_may_be_hidden(schema: Schema) -> None:
    assert [name for name in ("ipPhone", "password", "guid") if not schema.info(name).readable] == ["password"]


def test_a_class_allows_what_its_auxiliary_classes_do(schema: Schema) -> None:
    allowed_by = {
        name: {each for each in schema.info(name).definition.classes if each.isalpha()}
        for name in ("ipPhone", "otherIpPhone", "description")
    }
    assert allowed_by["ipPhone"] == allowed_by["otherIpPhone"] == {"user", "phones", "more"}
    assert allowed_by["description"] == {"person", "user"}
    kinds = [schema.classes[name].kind for name in ("user", "phones", "more")]
    assert kinds == ["structural", "auxiliary", "auxiliary"]
    assert "person" in schema.list_superclasses("user")


ROOT = {
    "defaultnamingcontext": ["DC=a,DC=example,DC=org"],
    "rootdomainnamingcontext": ["DC=example,DC=org"],
    "configurationnamingcontext": ["CN=Configuration,DC=example,DC=org"],
    "schemanamingcontext": ["CN=Schema,CN=Configuration,DC=example,DC=org"],
}


@pytest.mark.parametrize(
    ("uri", "passed"),
    [
        ("ldap://example.org/CN=Configuration,DC=example,DC=org", True),
        ("ldap://ForestDnsZones.example.org/DC=ForestDnsZones,DC=example,DC=org", True),
        ("ldap://DomainDnsZones.a.example.org/dc=domaindnszones,%20DC=a,DC=example,DC=org", True),
        ("ldaps://a.example.org/DC=DomainDnsZones,DC=a,DC=example,DC=org??sub", True),
        ("ldap://b.example.org/DC=b,DC=example,DC=org", False),
        ("ldap://other.example.org/OU=people,DC=a,DC=example,DC=org", False),
        ("ldap://dc.example.org", False),
        ("ldap://dc.example.org/", False),
        ("ldap://[dc/DC=x", False),
        ("no url", False),
    ],
)
def test_partitions_without_users_are_known_by_their_names(uri: str, passed: bool) -> None:
    assert (part_of(uri) in set(map(split_rdns, active_directory.list_unpeopled(ROOT)))) is passed


def test_a_second_value_is_told_from_other_constraints() -> None:
    words = "00002081: AtrErr: DSID-03152D2C, #1:\n\t0: 00002081: DSID-03152D2C, problem 1005 (CONSTRAINT_ATT_TYPE)"
    second = Response(19, diagnostic=words)
    assert ACTIVE_DIRECTORY.writes.is_second_value(second)
    assert not ACTIVE_DIRECTORY.writes.is_second_value(replace(second, diagnostic=words.replace("2081", "2082")))
    assert OPENLDAP.writes.is_second_value(replace(second, diagnostic=""))


def test_a_refused_bind_says_what_to_do() -> None:
    words = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {}, v4563"
    refused = {code: Response(49, diagnostic=words.format(code)) for code in ("52e", "775", "9")}
    told = {code: explain_refused_bind(answer, in_clear=False) for code, answer in refused.items()}
    assert "wrong name or password" in told["52e"]
    assert "unlock" in told["775"]
    assert told["9"] == ""
    assert explain_refused_bind(Response(49, diagnostic="data 52e"), in_clear=True) == ""
    assert "ldaps://" in explain_refused_bind(Response(8), in_clear=True)
    assert explain_refused_bind(Response(13), in_clear=False) == ""


@pytest.mark.parametrize(
    ("held", "number"),
    [(["129"], 129), (["-1"], -1), ([], None), ([""], None), (["--1"], None), (["0x1"], None), (["9" * 5000], None)],
)
def test_what_is_no_number_of_the_schema_is_none(held: list[str], number: int | None) -> None:
    assert active_directory.read_number({"searchflags": held}, "searchflags") == number
