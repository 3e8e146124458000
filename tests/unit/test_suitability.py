"""Whether a mapping suits a directory's schema, as far as the schema tells before any user is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connector.model import (
    AttributeDefinition,
    AttributeInfo,
    ClassInfo,
    Description,
    DirectorySchema,
    Equality,
    ReadRules,
    Scope,
    Syntax,
)
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.suitability import find_cautions, find_faults

SCHEMA = Path(__file__).parents[2] / "deploy" / "schema"
UNKNOWN = AttributeInfo("nosuch", definition=AttributeDefinition(known=False))


def rule(name: str, value: str = "{workNo}", **more: Any) -> AttributeRule:
    return AttributeRule(name, Template.parse(value), line=7, **more)


def described(
    *infos: AttributeInfo, hides: bool = False, filtered: dict[str, bool] | None = None, **schema: Any
) -> Description:
    known = {info.name: info for info in (AttributeInfo("uid"), *infos)}
    return Description(
        "test",
        "test",
        known,
        schema=DirectorySchema(**schema),
        scope=Scope(filtered=filtered or {}),
        reading=ReadRules(hides=hides),
    )


def found(description: Description, *rules: AttributeRule, match: str = "uid") -> list[str]:
    looks = MatchRule(Template.parse("{accountCode}"), match)
    return list(find_faults(Mapping((looks,), rules, where="m.yaml"), description))


def test_a_mapping_that_fits_has_no_faults() -> None:
    assert found(described(AttributeInfo("pager"), closed=True), rule("pager")) == []
    several = described(AttributeInfo("mail", single=False), closed=True)
    assert found(several, rule("mail", owns="*")) == found(several, rule("mail", owns="sip:*")) == []


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (UNKNOWN, "has no attribute nosuch: load its schema, or use a mapping without this line"),
        (
            AttributeInfo("nosuch;lang-de", definition=AttributeDefinition(known=False)),
            "no attribute nosuch;lang-de, or not with these options: load",
        ),
        (
            AttributeInfo("entryUUID", writable=False),
            "entryUUID cannot be written: the directory maintains it. Remove this line",
        ),
    ],
)
def test_an_attribute_that_cannot_be_written_so_is_a_fault_of_its_line(info: AttributeInfo, why: str) -> None:
    (fault,) = found(described(info, closed=True), rule(info.name))
    assert fault.startswith("m.yaml:7: ")
    assert why in fault


@pytest.mark.parametrize(
    ("value", "more", "advice"),
    [
        ("cec-seat:{workNo}", {}, 'here: add owns: "cec-seat:*", the values of this job'),
        ("sip:{sipAccount}@{sipServiceIp|host} CEC", {}, 'add owns: "sip:*@* CEC", the'),
        ("a{workNo}", {"more": (Template.parse("b{workNo}"),)}, 'add owns: ["a*", "b*"], the'),
        (
            "{workNo}",
            {},
            'mark the values of this job (value: "cec-workNo:{workNo}", owns: "cec-workNo:*"), or add owns: "*" if no',
        ),
        ("{workNo}{accountCode}", {}, 'owns: "cec-accountCode:*")'),
        ("{sipPwd}", {"secret": True}, 'add owns: "*" if no other program keeps a value there, else write another'),
    ],
)
def test_several_values_are_told_the_pattern_to_own(value: str, more: dict[str, Any], advice: str) -> None:
    (fault,) = found(described(AttributeInfo("mail", single=False), closed=True), rule("mail", value, **more))
    assert "mail can hold several values here: " in fault
    assert advice in fault


def test_a_schema_that_is_not_all_there_is_forbids_nothing_that_it_does_not_know() -> None:
    """Such as that of an LDIF file, whose server may know more than this program."""
    assert found(described(UNKNOWN), rule("nosuch")) == []
    assert found(described(UNKNOWN), match="nosuch") == []
    assert found(described(unknown_classes=("cecAgent",))) == []


def test_what_a_closed_schema_does_not_know_can_be_neither_matched_by_nor_added() -> None:
    closed = described(UNKNOWN, closed=True, unknown_classes=("cecAgent", "other"))
    assert found(closed, match="nosuch") == [
        "m.yaml: match rule 1: the directory's schema has no attribute nosuch",
        "m.yaml: object_classes: the directory's schema has no class cecAgent",
        "m.yaml: object_classes: the directory's schema has no class other",
    ]


@pytest.mark.parametrize(
    ("kind", "name", "classes", "file"),
    [
        ("OpenLDAP", "cecSipServicePort", ["cecagent"], "openldap/cec-agent-upgrade.ldif"),
        ("OpenLDAP", "cecSipServicePort", [], "openldap/cec-agent.ldif"),
        ("OpenLDAP", "SIPIdentityUserName", ["cecagent"], "openldap/h350.ldif"),
        ("389-DS", "cecSipServicePort", ["cecagent"], "389ds/60cec-agent.ldif"),
        ("389-DS", "SIPIdentitySIPURI", [], "389ds/60h350.ldif"),
        ("Samba Active Directory", "cecSipServicePort", ["cecagent"], "active-directory/cec-agent-upgrade.ldif"),
        ("Active Directory", "cecWorkNo", [], "active-directory/cec-agent.ldif"),
        (
            "SCIM 2.0 server",
            "urn:ietf:params:scim:schemas:extension:cec:2.0:User:workNo",
            [],
            "scim/cec-extension.json",
        ),
        ("another server", "cecWorkNo", [], ""),
        ("OpenLDAP", "pager", [], ""),
    ],
)
def test_what_is_ours_is_named_with_the_file_that_defines_it_for_this_kind_of_server(
    kind: str, name: str, classes: list[str], file: str
) -> None:
    known = {each: ClassInfo(each, "auxiliary", frozenset({each})) for each in classes}
    closed = described(AttributeInfo(name, definition=AttributeDefinition(known=False)), closed=True, classes=known)
    (fault,) = found(replace(closed, kind=kind), rule(name))
    assert (SCHEMA / file).exists()
    assert (f"load deploy/schema/{file}" if file else "load its schema") in fault


def test_a_class_of_ours_is_named_with_its_file() -> None:
    closed = replace(described(closed=True, unknown_classes=("cecAgent", "SIPIdentity")), kind="389-DS")
    assert [each.partition(": load ")[2].partition(" ")[0] for each in found(closed)] == [
        "deploy/schema/389ds/60cec-agent.ldif",
        "deploy/schema/389ds/60h350.ldif",
    ]


def test_what_no_look_up_finds_cannot_be_matched_by() -> None:
    (fault,) = found(
        described(AttributeInfo("canonicalName", definition=AttributeDefinition(constructed=True))),
        match="canonicalName",
    )
    assert fault.startswith("m.yaml: match rule 1: canonicalName: the directory computes it on reading")
    assert "Match by a stored attribute" in fault


SURNAME = AttributeInfo("sn", definition=AttributeDefinition(aliases=frozenset({"sn", "surname"})))
FAMILY = AttributeInfo("surname", definition=AttributeDefinition(aliases=frozenset({"sn", "surname"})))


def test_two_names_of_one_attribute_are_a_fault_of_the_later_line() -> None:
    assert found(described(SURNAME, FAMILY, AttributeInfo("pager")), rule("pager"), rule("sn"), rule("surname")) == [
        "m.yaml:7: surname and sn are two names of one attribute"
    ]


def test_an_attribute_that_is_matched_by_is_written_as_it_is_looked_for_or_not_at_all() -> None:
    both = described(SURNAME, FAMILY)
    assert found(both, rule("sn", "{accountCode}"), match="surname") == []
    assert found(both, match="surname") == []
    (fault,) = found(both, rule("sn", "{workNo}"), match="surname")
    assert fault.startswith(
        "m.yaml:7: match rule 1 looks for {accountCode} in surname, and this line writes another value"
    )


def warned(*infos: AttributeInfo, secret: bool = False) -> list[str]:
    rules = tuple(rule(info.name, secret=secret) for info in infos)
    return list(find_cautions(Mapping((), rules), described(*infos)))


def test_what_the_schema_makes_less_sure_is_said() -> None:
    assert warned(AttributeInfo("pager")) == []
    assert warned(AttributeInfo("word", equality=Equality.OCTETS), secret=True) == []
    assert warned(AttributeInfo("word", equality=Equality.CASE_IGNORE)) == []
    assert warned(AttributeInfo("word", equality=Equality.CASE_IGNORE), secret=True) == [
        "word does not compare octet by octet: a secret that differs only in case or spaces is not written"
    ]
    assert warned(AttributeInfo("odd", syntax=Syntax.OTHER)) == [
        "odd has a syntax that is not known here: what it may hold is not checked in advance"
    ]


@pytest.mark.parametrize(
    ("filtered", "rule_says", "mapping_says", "verb"),
    [
        ({}, {}, {"stale": "clear"}, None),
        ({"pager": True}, {}, {}, "writing"),
        ({"pager": False}, {}, {}, None),
        ({"pager": False}, {"when_absent": "clear"}, {}, "clearing"),
        ({"pager": False}, {"unique": True}, {}, "clearing"),  # users who swap values: one lets go first
        ({"pager": False}, {}, {"stale": "clear"}, "clearing"),
        ({"pager": False}, {}, {"disabled": "clear"}, "clearing"),
        ({"cecAgent": True}, {}, {"object_classes": ("cecAgent",)}, "writing"),
        ({"cecAgent": True}, {}, {}, None),
    ],
)
def test_a_write_takes_nobody_out_of_the_filter(
    filtered: dict[str, bool], rule_says: dict[str, Any], mapping_says: dict[str, Any], verb: str | None
) -> None:
    looks = MatchRule(Template.parse("{accountCode}"), "uid")
    rules = (rule("pager", **rule_says),)
    mapping = Mapping((looks,), rules, where="m.yaml", class_lines={"cecAgent": 7}, **mapping_says)
    told = list(find_faults(mapping, described(AttributeInfo("pager"), filtered=filtered)))
    name = next(iter(filtered), "")
    why = f"{verb} {name} can take a user out of the job's `filter`, so nobody could verify or undo that write"
    advice = f"Remove {name} from the filter, or remove this line"
    assert told == ([f"m.yaml:7: {why}. {advice}"] if verb else [])


def test_a_value_that_one_user_at_a_time_may_hold_needs_a_way_to_find_its_holder() -> None:
    """A server that allows each value once says itself who has it."""
    blind = AttributeInfo("pager", comparable=False)
    (fault,) = found(described(blind), rule("pager", unique=True))
    assert fault.startswith("m.yaml:7: pager has no equality rule, so the holder of a value cannot be found")
    assert found(described(blind), rule("pager")) == []
    assert found(described(replace(blind, unique=True)), rule("pager", unique=True)) == []
    assert found(described(AttributeInfo("pager")), rule("pager", unique=True)) == []


def test_several_templates_need_an_attribute_that_may_hold_several_values() -> None:
    more = (Template.parse("{accountCode}"),)
    for known, why in ((True, "can hold one value only here"), (False, "may hold one value only: no schema says")):
        (fault,) = found(
            described(AttributeInfo("pager", definition=AttributeDefinition(known=known))), rule("pager", more=more)
        )
        assert fault.startswith(f"m.yaml:7: pager {why}")
    assert found(described(AttributeInfo("pager", single=False)), rule("pager", more=more, owns="*")) == []


def test_what_the_job_takes_for_users_ids_is_never_written() -> None:
    both = described(SURNAME, FAMILY, AttributeInfo("pager"))
    (fault,) = found(replace(both, naming=replace(both.naming, chosen_id=FAMILY)), rule("pager"), rule("sn"))
    assert fault.startswith("m.yaml:7: sn is the job's `directory.id`, and an id never changes: name another")
    assert (
        found(replace(both, naming=replace(both.naming, chosen_id=AttributeInfo("cn"))), rule("pager"), rule("sn"))
        == []
    )


@pytest.mark.parametrize(
    ("hides", "known", "readable", "told"),
    [(True, True, None, True), (False, True, None, False), (True, False, None, False), (True, True, True, False)],
)
def test_an_attribute_that_may_be_hidden_finds_fewer_users_and_that_is_said(
    hides: bool, known: bool, readable: bool | None, told: bool
) -> None:
    looks = (MatchRule(Template.parse("{accountCode}"), "uid"), MatchRule(Template.parse("{workNo}"), "badge"))
    secret = described(
        AttributeInfo("badge", definition=AttributeDefinition(known=known), readable=readable), hides=hides
    )
    said = list(find_cautions(Mapping(looks, ()), secret))
    about = [each.partition(": without")[0] for each in said]
    assert about == (["match rule 2: badge is confidential"] if told else [])


def test_where_the_mapping_says_which_line_it_is_a_match_rule_is_told_with_it() -> None:
    looks = (
        MatchRule(Template.parse("{accountCode}"), "uid", line=3),
        MatchRule(Template.parse("{workNo}"), "nosuch", line=4),
    )
    classes = {"cecAgent": 9}
    mapping = Mapping(looks, (), where="m.yaml", class_lines=classes)
    closed = described(UNKNOWN, closed=True, unknown_classes=("cecAgent",))
    assert [each.partition(": ")[0] for each in find_faults(mapping, closed)] == ["m.yaml:4", "m.yaml:9"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("telphoneNumber", "telephoneNumber"), ("TELEPHONENUMBER;lang-de", "telephoneNumber"), ("phone", "")],
)
def test_a_name_that_nobody_knows_is_told_with_the_nearest_that_there_is(name: str, meant: str) -> None:
    line = AttributeInfo("telephoneNumber")
    closed = described(
        AttributeInfo(name, definition=AttributeDefinition(known=False)), closed=True, types={"telephonenumber": line}
    )
    for fault in (*found(closed, rule(name)), *found(closed, match=name)):
        assert ("(did you mean telephoneNumber?)" in fault) is bool(meant)
    paths = replace(closed, schema=replace(closed.schema, types={}, paths=("telephoneNumber",)))
    assert ("did you mean" in found(paths, rule(name))[0]) is bool(meant)
