"""Places for an agent's fields in a company's own schema: whoever has its class, and whoever holds values there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.directories.common.schema import Schema
from connector.init.place import FieldPlaces, write_skeleton
from connector.init.places import place_fields
from connector.model import Agent, Description, DirectorySchema, Secret, Tenant, User
from connector.model.draft import Bond
from connector.model.mapping import MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from connector.settings.mapping_file import make_mapping
from connector.settings.textfile import parse_yaml

_TEXT = "EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"
NAMES = (
    *("cn", "acmeStaffCode", "acmeSipUser", "acmeSipUri", "acmeSipSecret"),
    *("acmeSeat", "acmeDesk", "acmeDeskSide", "acmeHelpdesk", "acmeWorkNo", "acmeExtension"),
)
TYPES = [
    "( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.38 )",
    *(f"( 9.1.{number} NAME '{name}' {_TEXT} SINGLE-VALUE )" for number, name in enumerate(NAMES)),
    f"( 9.3.1 NAME 'acmeNotes' {_TEXT} )",
    f"( 9.3.2 NAME 'acmePin' {_TEXT} SINGLE-VALUE )",
]
CLASSES = [
    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
    "( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' SUP top AUXILIARY )",
    "( 9.2.1 NAME 'staff' SUP top STRUCTURAL MUST cn MAY acmeStaffCode )",
    "( 9.2.2 NAME 'acmeOther' SUP top AUXILIARY MAY ( acmeSipUser $ acmeSipUri $ acmeSipSecret ) )",
    "( 9.2.3 NAME 'acmeTelephony' SUP top AUXILIARY MAY ( acmeSipUser $ acmeSipUri $ acmeSipSecret ) )",
    "( 9.2.4 NAME 'acmeStrict' SUP top AUXILIARY MUST acmeStaffCode MAY ( acmeSipUser $ acmeSipUri ) )",
]
COUNT = 200
AGENTS = [Agent(1000 + number, f"c{number}", str(7000 + number)) for number in range(COUNT)]
RULES = [MatchRule(Template.parse("{accountCode}"), "acmeStaffCode")]
TENANT = Tenant(AGENTS, sip_service_ip="192.0.2.10", sip_service_port="5060")


def description(*classes: str, besides: str = "") -> Description:
    """A directory with `staff`, and with these auxiliary classes, which have places `besides`."""
    always = ("top", "staff", "extensibleObject")
    known = [text for text in CLASSES if any(f"'{name}'" in text for name in (*always, *classes))]
    schema = Schema(TYPES, [text.replace("acmeSipSecret", f"acmeSipSecret {besides}") for text in known])
    attributes = {info.name: info for info in schema.types.values()}
    return Description(
        "test", "test", attributes, schema=DirectorySchema(types=schema.types, classes=schema.classes, closed=True)
    )


def user(number: int, *classes: str, **values: str) -> User:
    held = {name: (value,) for name, value in values.items()}
    return User(str(number), f"cn=u{number}", {"objectClass": ("staff", *classes), "cn": (f"u{number}",), **held})


def found(users: Sequence[User], *classes: str, besides: str = "") -> FieldPlaces:
    return place_fields(users, TENANT, description(*classes, besides=besides), RULES)


def names(places: FieldPlaces) -> list[str]:
    """The attributes that are mapped."""
    return sorted(several[0].info.name for several in places.found.values() if several[0].is_free)


@pytest.mark.parametrize("having", [0, 1, 5, 40, 80, 94, 96, 100, 120, 190, 199])
def test_a_class_that_some_users_have_is_added_to_the_others(having: int) -> None:
    users = [user(number, *["acmeTelephony"] * (number < having)) for number in range(COUNT)]
    places = found(users, "acmeTelephony")
    assert places.are_enough()
    assert places.classes == ("acmeTelephony",)
    assert names(places) == ["acmeSipSecret", "acmeSipUri", "acmeSipUser"]


def test_a_class_that_everybody_has_is_not_added() -> None:
    users = [user(number, "acmeTelephony") for number in range(COUNT)]
    assert (found(users, "acmeTelephony").classes, names(found(users, "acmeTelephony"))) == (
        (),
        ["acmeSipSecret", "acmeSipUri", "acmeSipUser"],
    )


def test_of_two_classes_that_allow_as_much_the_one_in_use_is_added() -> None:
    users = [user(number, *["acmeTelephony"] * (number == 7)) for number in range(COUNT)]
    assert found(users, "acmeOther", "acmeTelephony").classes == ("acmeTelephony",)
    assert found(users[8:], "acmeOther", "acmeTelephony").classes == ("acmeOther",)


@pytest.mark.parametrize(("lacking", "fits"), [(0, True), (100, True), (101, False)])
def test_a_class_is_added_where_most_users_hold_what_it_requires(lacking: int, *, fits: bool) -> None:
    """Users who lack it have another class besides, since one user speaks for all of the same classes."""
    users = [user(number, "acmeNone") for number in range(lacking)]
    users += [user(number, acmeStaffCode=f"c{number}") for number in range(lacking, COUNT)]
    places = found(users, "acmeStrict")
    assert places.are_enough() == fits
    assert places.classes == (("acmeStrict",) if fits else ())


WHOLE = ["acmeSipSecret", "acmeSipUri", "acmeSipUser"]
OLD = {"acmeSipUser": "old", "acmeSipUri": "sip:old@pbx.example"}
NEW = {"acmeSipUser": "7100", "acmeSipUri": "sip:7100@192.0.2.10"}


@pytest.mark.parametrize(
    ("values", "holding", "mapped", "owned"),
    [
        (OLD, 1, WHOLE, {"7*", "sip:*@192.0.2.10"}),
        (OLD, 100, WHOLE, {"7*", "sip:*@192.0.2.10"}),
        (OLD, 101, [], set()),
        # the tenant's numbers begin alike; of a number that does so too, nobody can tell whose it is
        ({"acmeSipUser": "old"}, 1, WHOLE, {"7*"}),
        ({"acmeSipUser": "7old"}, 1, [], set()),
        # what was made for another agent is not ours
        (NEW, 200, [], set()),
        ({"acmeSipUri": "sip:old@192.0.2.10"}, 1, WHOLE, {"sip:7*@192.0.2.10"}),
        ({"acmeSipUri": "sip:7old@192.0.2.10"}, 1, [], set()),
        ({"acmeSipUser": "old", "acmeSipUri": "sip:7old@192.0.2.10"}, 1, WHOLE, {"7*"}),
        ({**OLD, "acmeSipSecret": "old"}, 1, WHOLE, {"7*", "sip:*@192.0.2.10"}),
        ({"acmeSipSecret": "old"}, 1, ["acmeSipUri", "acmeSipUser"], set()),
        # few users whom no agent matches
        ({"acmeSipUser": "7old", "acmeStaffCode": "x"}, 20, WHOLE, set()),
        ({"acmeSipUser": "7old", "acmeStaffCode": "x"}, 21, [], set()),
    ],
)  # fmt: skip
def test_what_is_mapped_where_users_hold_other_values(
    values: dict[str, str], holding: int, mapped: list[str], owned: set[str]
) -> None:
    held = [{"acmeStaffCode": f"c{number}"} | (values if number < holding else {}) for number in range(COUNT)]
    places = found([user(number, "acmeTelephony", **each) for number, each in enumerate(held)], "acmeTelephony")
    assert names(places) == mapped
    assert {place.owns for place in places.best_places} - {None} == owned
    assert places.are_enough() == bool(mapped)


def test_why_the_schema_of_ones_own_is_not_taken() -> None:
    holding = [user(number, "acmeTelephony", **OLD) for number in range(COUNT)]
    assert found(holding, "acmeTelephony").describe_fault() == (
        "200 of 200 users hold another value in acmeSipUri, acmeSipUser"
    )
    bare = [user(number) for number in range(COUNT)]
    assert found(bare, "acmeStrict").describe_fault() == (
        "200 of 200 users cannot take acmeSipUri, acmeSipUser: "
        "the object class acmestrict requires acmestaffcode, which the entry lacks"
    )
    assert place_fields(bare, TENANT, Description("test", "test", {}), ()).describe_fault() == ""


@pytest.mark.parametrize(
    ("besides", "held", "seat", "unused"),
    [
        ("acmeSeat", {}, "acmeSeat", []),
        ("acmeSeat", {"acmeSeat": "12"}, "# acmeSeat", []),
        ("acmeSeat", {"acmeSeat": "1003"}, "acmeSeat", []),  # an agent's seat
        ("acmeSeat acmeDesk acmeExtension", {}, "acmeSeat", []),
        ("acmeSeat acmeWorkNo", {}, "acmeWorkNo", []),
        ("acmeSeat acmeWorkNo", {"acmeWorkNo": "12"}, "acmeSeat", []),
        ("acmeDesk acmeDeskSide acmeHelpdesk", {}, "", ["acmeDesk", "acmeDeskSide", "acmeHelpdesk"]),
        ("acmeHelpdesk acmeExtension", {}, "", ["acmeExtension", "acmeHelpdesk"]),
        ("acmeNotes acmePin", {}, "", ["acmeNotes"]),
        ("", {}, "", []),
    ],
)
def test_an_unused_attribute_of_the_same_class_is_a_place_for_the_seat(
    besides: str, held: dict[str, str], seat: str, unused: list[str]
) -> None:
    users = [user(number, **(held if number == 7 else {})) for number in range(COUNT)]
    places = found(users, "acmeTelephony", besides=" ".join(f"$ {name}" for name in besides.split()))
    found_names = [f"{'' if place.is_free else '# '}{place.info.name}" for place in places.found.get("{workNo}", [])]
    assert found_names == [seat] * bool(seat)
    assert [place.info.name for place in places.unused.get("{workNo}", [])] == unused
    text = write_skeleton(places, (), "acmeStaffCode")
    if seat:
        assert f'\n  {seat}: {{value: "{{workNo}}", unique: true}}\n' in text
    else:
        assert "\n  # no place was found for {workNo}" + "; unused in the same class:" * bool(unused) + "\n" in text
    for name in unused:
        owns = ', owns: "*"' if name == "acmeNotes" else ""
        assert f'\n  # {name}: {{value: "{{workNo}}"{owns}, unique: true}}\n' in text


def test_an_identity_that_was_made_for_the_user_s_own_agent_is_ours() -> None:
    own = [{"acmeSipUser": str(7000 + n), "acmeSipUri": f"sip:{7000 + n}@192.0.2.10"} for n in range(COUNT)]
    users = [user(n, "acmeTelephony", acmeStaffCode=f"c{n}", **held) for n, held in enumerate(own)]
    assert names(found(users, "acmeTelephony")) == WHOLE


def test_the_seat_alone_is_mapped_where_a_few_users_hold_others_numbers() -> None:
    """Here nothing tells their values from ours, and an agent matches them."""
    held = {"acmeStaffCode": "c7", "acmeSipUser": "7old", "acmeSipUri": "sip:7old@192.0.2.10"}
    users = [user(number, **(held if number == 7 else {})) for number in range(COUNT)]
    places = found(users, "acmeTelephony", besides="$ acmeSeat")
    assert (places.are_enough(), names(places)) == (True, ["acmeSeat"])
    assert "\n  # without acmeSipUri, acmeSipUser no phone rings:\n  # acmeSipSecret: {value" in write_skeleton(
        places, (), "acmeStaffCode"
    )


VALUES = {
    "acmeSipUser": ["old", "7001", "7002"],
    "acmeSipUri": ["sip:old@pbx.example", "sip:old@192.0.2.10", "sip:7001@192.0.2.10", "sip:7002@192.0.2.10", "none"],
    "acmeSipSecret": ["old"],
}
HELD = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})


@given(st.lists(HELD, min_size=1, max_size=12), st.booleans())
def test_a_mapping_from_the_schema_takes_no_value_from_anybody(held: list[dict[str, str]], several: bool) -> None:
    """But for values that were made for an agent of the tenant. Each user with a URI is an agent's."""
    known = description("acmeTelephony")
    if several:
        infos = {**known.attributes, "acmeSipUri": replace(known.attributes["acmeSipUri"], single=False)}
        known = replace(known, attributes=infos)
    agents = [Agent(number, f"c{number}", str(7000 + number), Secret("new")) for number in range(len(held))]
    tenant = replace(TENANT, agents=agents)
    codes = [{"acmeStaffCode": f"c{number}"} if "acmeSipUri" in each else {} for number, each in enumerate(held)]
    users = [user(number, "acmeTelephony", **each, **codes[number]) for number, each in enumerate(held)]
    places = place_fields(users, tenant, known, RULES)
    if not places.are_enough():
        return
    mapping = make_mapping(parse_yaml(write_skeleton(places, (), "acmeStaffCode"), Path("mapping.yaml")))
    differ = UserComparer(tenant, mapping, known)
    for agent, each in zip(agents, users, strict=True):
        draft = differ.draft_user(agent, each, 1) if "acmeStaffCode" in each.values else None
        if draft is not None:
            draft.bind(Bond(mapping.groups))
            lost = {str(value) for change in draft.planned for value in change.old if value not in change.new}
            assert not lost & {"old", "none", "sip:old@pbx.example", "sip:old@192.0.2.10"}
