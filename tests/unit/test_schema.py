"""What is read out of the schema that a directory publishes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from connector.directories.common.builtin_schema import ATTRIBUTES, OBJECT_CLASSES, known_schema
from connector.directories.common.definitions import read_definition
from connector.directories.common.schema import Schema
from connector.model import Equality, Syntax

SYNTAX = "1.3.6.1.4.1.1466.115.121.1"
ONE, SYSTEM = "SINGLE-VALUE", "NO-USER-MODIFICATION USAGE directoryOperation"
TYPES = [
    f"( 2.5.4.41 NAME 'name' DESC 'its\\27 (own) $ name' EQUALITY caseIgnoreMatch SYNTAX {SYNTAX}.15{{64}} )",
    "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )",
    "( 1.1 NAME 'badge' SUP cn SINGLE-VALUE X-ORIGIN ( 'a' 'b' ) )",
    f"( 1.2 NAME 'photo' SYNTAX {SYNTAX}.28 )",
    f"(1.3 NAME 'tight' EQUALITY 2.5.13.5 SYNTAX {SYNTAX}.15)",
    f"( 1.4 NAME 'stamp' EQUALITY generalizedTimeMatch SYNTAX {SYNTAX}.24 {ONE} {SYSTEM} )",
    f"( 1.5 NAME 'strange' EQUALITY someNewMatch SYNTAX {SYNTAX}.15 )",
    f"( 1.6 NAME 'active' SYNTAX '{SYNTAX}.7' SINGLE-VALUE )",
    "( 1.7 NAME 'big' SYNTAX '1.2.840.113556.1.4.906' )",
    f"( 1.8 NAME 'exact5' SYNTAX {SYNTAX}.26 )",
    "( 1.9 NAME 'circle' SUP circle )",
    f"( 1.10 NAME 'shared' SYNTAX {SYNTAX}.15 COLLECTIVE )",
    f"( odd-oid NAME 'odd' EQUALITY uuidMatch SYNTAX {SYNTAX}.15 )",
]
CLASSES = [
    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
    "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( cn $ name ) )",
    "( 3.1 NAME ( 'employee' 'worker' ) SUP person MAY ( 1.1$photo ) )",
    "( 3.2 NAME 'badged' SUP top AUXILIARY MAY badge )",
    "( 3.3 NAME 'ring' SUP ring )",
    "( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' SUP top AUXILIARY )",
]


@pytest.fixture
def schema() -> Schema:
    return Schema(TYPES, CLASSES)


def test_an_attribute_is_known_by_any_name_number_case_and_option(schema: Schema) -> None:
    names = ("cn", "CN", "commonName", "2.5.4.3", "cn;lang-de;x-a")
    assert all(schema.info(name).definition.known for name in names)
    assert schema.canonical_name("COMMONNAME;lang-de") == "cn;lang-de"
    assert schema.canonical_name("noSuchThing") == "noSuchThing"
    assert (
        schema.attribute_key("commonName;x-b;x-A")
        == schema.attribute_key("2.5.4.3;x-a;X-B")
        != schema.attribute_key("cn")
    )


def test_what_a_definition_does_not_say_it_inherits(schema: Schema) -> None:
    info = schema.info("badge")
    assert (info.syntax, info.equality, info.bounds.max_length) == (Syntax.TEXT, Equality.CASE_IGNORE, 64)
    assert info.single
    assert not schema.info("cn").single
    assert schema.has_rule("badge", "EQUALITY")


@pytest.mark.parametrize(
    ("name", "syntax", "equality", "has"),
    [
        ("photo", Syntax.OCTETS, Equality.OCTETS, False),
        ("tight", Syntax.TEXT, Equality.CASE_EXACT, True),
        ("stamp", Syntax.TIME, Equality.TIME, True),
        ("strange", Syntax.TEXT, Equality.CASE_EXACT, True),
        ("active", Syntax.BOOLEAN, Equality.BOOLEAN, False),
        ("big", Syntax.INTEGER, Equality.INTEGER, False),
        ("exact5", Syntax.IA5, Equality.CASE_EXACT, False),
        ("circle", Syntax.TEXT, Equality.CASE_IGNORE, False),
        ("odd", Syntax.TEXT, Equality.UUID, True),
        ("noSuchThing", Syntax.TEXT, Equality.CASE_EXACT, False),
    ],
)
def test_syntax_and_equality_are_read(schema: Schema, name: str, syntax: Syntax, equality: Equality, has: bool) -> None:
    info = schema.info(name)
    assert (info.syntax, info.equality, schema.has_rule(name, "EQUALITY")) == (syntax, equality, has)


def test_what_the_directory_keeps_itself_cannot_be_written(schema: Schema) -> None:
    assert [name for name in ("stamp", "shared", "cn") if schema.info(name).writable] == ["cn"]


def _allowing(schema: Schema, attribute: str) -> set[str]:
    """By name; an entry may as well show a class by its number."""
    return {name for name in schema.info(attribute).definition.classes if not name[0].isdigit()}


def test_classes_allow_what_they_and_their_superclasses_list(schema: Schema) -> None:
    assert _allowing(schema, "cn") == {"person", "employee", "worker", "extensibleobject"}
    assert _allowing(schema, "badge") == {"employee", "worker", "badged", "extensibleobject"}
    assert schema.list_superclasses("worker") >= {"employee", "person", "top"}
    assert schema.list_superclasses("ring") == {"ring", "3.3"}


def test_a_content_rule_adds_to_its_class_alone() -> None:
    rule = "( 2.5.6.6 NAME 'personRule' AUX badged MAY ( photo ) )"
    schema = Schema(TYPES, CLASSES, [rule])
    assert _allowing(schema, "photo") == {"person", "employee", "worker", "extensibleobject"}
    assert "person" not in _allowing(schema, "badge")


def test_a_class_says_its_kind(schema: Schema) -> None:
    kinds = [schema.classes[name].kind for name in ("top", "person", "3.1", "badged")]
    assert kinds == ["abstract", "structural", "structural", "auxiliary"]
    assert "unheardof" not in schema.classes


def test_subtypes_fall_under_their_supertype(schema: Schema) -> None:
    assert schema.falls_under("commonName;lang-de", "name")
    assert schema.falls_under("cn;lang-de", "CN;lang-DE")
    assert not schema.falls_under("name", "cn")
    assert not schema.falls_under("cn", "cn;lang-de")
    assert schema.falls_under("noSuchThing;x-a", "NOSUCHTHING")


@pytest.mark.parametrize("junk", ["", "(", "()", "( )", "( 1.2", "1.2 NAME 'x'", "( 1.2 NAME 'x", "( ( 1.2 ) )"])
def test_what_cannot_be_read_is_skipped(junk: str) -> None:
    schema = Schema([junk, *TYPES], [junk, *CLASSES])
    assert read_definition(junk) is None
    assert not schema.info("x").definition.known
    assert set(schema.classes) == set(Schema([], CLASSES).classes)
    assert schema.info("cn").definition.classes


@given(st.text(alphabet="()$' \nNAMESUP12.x\u20ac", max_size=40))
def test_reading_is_total(junk: str) -> None:
    read_definition(junk)
    schema = Schema([junk, f"( 9.9 NAME 'x' {junk} )", *TYPES], [junk, f"( 8.8 NAME 'y' {junk} )", *CLASSES])
    for name in ("x", "cn", "9.9", junk):
        schema.info(name)
    schema.classes.get("y")


def test_thousands_of_definitions_are_read_only_when_asked_for() -> None:
    types = [f"( 1.2.{number} NAME 'a{number}' SUP cn ( broken )" for number in range(2000)]
    schema = Schema([*types, *TYPES])
    read_definition.cache_clear()
    assert schema.info("cn").definition.known
    assert [schema.info("a7").definition.known, schema.info("1.2.7").definition.known] == [False, False]
    assert read_definition.cache_info().misses < 10


DEPLOYED = Path(__file__).parents[2] / "deploy" / "schema" / "openldap"


@pytest.mark.parametrize("name", ["h350", "cec-agent"])
def test_the_built_in_schema_agrees_with_the_one_that_is_deployed(name: str) -> None:
    text = (DEPLOYED / f"{name}.ldif").read_text().replace("\n ", "")
    pattern = r"^olc{}: (?:\{{\d+\}})?(.*)$"
    types = re.findall(pattern.format("AttributeTypes"), text, re.MULTILINE)
    classes = re.findall(pattern.format("ObjectClasses"), text, re.MULTILINE)
    deployed, known = Schema(types, classes), known_schema()
    names = re.findall(r"NAME '(\w+)'", " ".join(types))
    assert len(names) == len(types) > 1
    for attribute in names:
        ours, theirs = known.info(attribute), deployed.info(attribute)
        assert ours.definition.known, attribute
        assert known.canonical_name(attribute) == attribute
        assert (ours.syntax, ours.equality, ours.single, ours.bounds.max_length) == (
            theirs.syntax,
            theirs.equality,
            theirs.single,
            theirs.bounds.max_length,
        ), attribute
        assert ours.definition.classes >= theirs.definition.classes, attribute


def test_every_built_in_definition_is_sound() -> None:
    schema = known_schema()
    listed = {name for each in schema.classes.values() for name in each.must | each.may}
    assert len(listed) > 50
    assert [name for name in listed if not schema.info(name).definition.known] == []
    assert all(schema.info(name).definition.known for name in schema.types)
    assert all(map(read_definition, (*ATTRIBUTES, *OBJECT_CLASSES)))
