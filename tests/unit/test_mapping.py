"""What a mapping says of itself: groups, fields, and what is ours whoever wrote it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connector.model import Agent, Tenant, View
from connector.model.mapping import AttributeRule, Disabled, Grace, Mapping, MatchRule, Stale
from connector.model.templates import Template

SEAT = AttributeRule("seat", Template.parse("{workNo}"))
LINE = AttributeRule("line", Template.parse("{sipAccount}"))
WHERE = AttributeRule("where", Template.parse("{workNo}"), more=(Template.parse("{sipServiceIp}"),))


def test_attributes_stand_together_by_what_they_are_made_of_or_as_the_mapping_says() -> None:
    """In their order; one alone is no group."""
    assert (SEAT.group, LINE.group, WHERE.group) == ("", "sip", "sip")
    assert Mapping((), (SEAT, WHERE, LINE)).groups == (("where", "line"),)
    assert Mapping((), (SEAT, LINE)).groups == ()
    assert Mapping((), (replace(SEAT, together="a"), LINE, replace(WHERE, together="a"))).groups == (("seat", "where"),)
    assert Mapping((), (replace(LINE, together=""), WHERE)).groups == ()


def test_what_is_adopted_is_what_the_mapping_says_so_of() -> None:
    assert Mapping((), (SEAT, replace(LINE, adopt=True))).adopting == ("line",)
    assert Mapping((), (SEAT, LINE)).adopting == ()


@pytest.mark.parametrize(
    ("stale", "disabled", "clears"),
    [
        ("report", "report", False),
        ("clear", "report", True),
        ("report", "clear", True),
        (Grace(1, "runs"), "report", True),
    ],
)
def test_a_mapping_clears_where_either_says_so(stale: Stale, disabled: Disabled, clears: bool) -> None:
    assert Mapping((), (SEAT,), stale=stale, disabled=disabled).clears is clears


def test_a_rule_tells_what_it_is_made_of_and_what_is_lacking() -> None:
    """Each field once, in the order of the templates."""
    tenant = Tenant([], sip_service_ip="192.0.2.1")
    assert WHERE.fields == {"workNo", "sipServiceIp"}
    assert WHERE.missing(Tenant([])) == {"sipServiceIp"}
    assert not WHERE.missing(tenant)
    assert not SEAT.missing(Tenant([]))
    two = replace(LINE, more=(Template.parse("{accountCode}{sipAccount}"), SEAT.value))
    assert two.find_missing(Agent(1), tenant) == ("sipAccount", "accountCode")
    assert two.find_missing(Agent(1, "ann", "7"), tenant) == ()


def test_a_grace_is_said_in_words() -> None:
    assert [str(each) for each in (Grace(1, "runs"), Grace(2, "runs"), Grace(1, "days"), Grace(7, "days"))] == [
        "1 run", "2 runs", "1 day", "7 days",
    ]  # fmt: skip


def test_what_tells_whose_the_values_are_comes_in_the_order_of_how_surely() -> None:
    """What one user at a time may hold, then what is made with the number, and last the number itself."""
    own, part = replace(LINE, name="own", owns="*"), replace(LINE, name="part", owns="1*")
    made = AttributeRule("made", Template.parse("{sipAccount}@{sipServiceIp}"))
    mapping = Mapping((), (own, LINE, made, part, SEAT, replace(SEAT, name="one", unique=True)))
    assert mapping.told_by == ("one", "made", "part", "own", "line")


def test_a_view_has_each_attribute_once_those_that_are_matched_by_first() -> None:
    looks = (MatchRule(Template.parse("{accountCode}"), "uid"), MatchRule(Template.parse("{workNo}"), "seat"))
    secret = AttributeRule("word", Template.parse("{sipPwd}"), secret=True)
    mapping = Mapping(looks, (secret, SEAT), ("cls",), disabled="clear")
    assert mapping.view() == View(("uid", "seat", "word"), frozenset({"word"}), ("cls",), disabled=True)
    assert not replace(mapping, disabled="report").view().disabled
    assert mapping.passwords
    assert not Mapping(looks, (SEAT,)).passwords
    assert Mapping((MatchRule(Template.parse("{sipPwd}"), "uid"),), (SEAT,)).passwords
    assert Mapping(looks, (replace(SEAT, more=(secret.value,)),)).passwords
