"""Attributes that belong together: which values stay that do not go with the new ones, and what they hold back."""

from __future__ import annotations

from typing import Any

import pytest

from connector.model import Agent, AttributeChange, AttributeInfo, Description, Held, Secret, Tenant, User
from connector.model.mapping import AttributeRule, Mapping
from connector.model.templates import Template
from connector.planning.together import AttributeGroups

HOST = "192.0.2.1"
RULES = (
    AttributeRule("line", Template.parse("{sipAccount}"), owns="*"),
    AttributeRule("address", Template.parse("sip:{sipAccount}@{sipServiceIp}"), owns="sip:*"),
    AttributeRule("host", Template.parse("{sipServiceIp}"), owns="*"),
    AttributeRule("password", Template.parse("{sipPwd}"), owns="*", secret=True),
    AttributeRule("seat", Template.parse("{workNo}")),
)
WHOLE = Agent(7, "ann", "1001", Secret("word"))
LINELESS = Agent(7, "ann", None, Secret("word"))
WORDLESS = Agent(7, "ann", "1001")


def kept(
    agent: Agent, *changes: AttributeChange, hides: bool | None = False, host: str | None = HOST, **shown: Any
) -> list[tuple[str, tuple[str, ...], set[str], bool]]:
    """What stays and does not go with these changes: its name, what is absent, whom it holds, whether it is probed."""
    readable = {False: True, True: None, None: False}[hides]
    infos = {rule.name: AttributeInfo(rule.name, readable=readable) for rule in RULES}
    together = AttributeGroups(Mapping((), RULES), Tenant([agent], [], host), Description("t", "t", infos))
    user = User("ann", "uid=ann", {name: tuple(values) for name, values in shown.items()})
    found = together.find_kept(agent, user, changes)
    assert all(isinstance(each.probe, Secret) == (each.name == "password") for each in found if each.probe is not None)
    return [(each.name, each.fields, set(each.others), each.probe is not None) for each in found]


def change(name: str, old: str, new: str, *, seen: bool = True) -> AttributeChange:
    def values(text: str) -> tuple[Held, ...]:
        return tuple(Secret(each) if name == "password" else each for each in text.split())

    return AttributeChange(name, values(old), values(new), secret=name == "password", seen=seen)


LINE, ADDRESS = change("line", "1000", "1001"), change("address", "sip:1000@192.0.2.1", "sip:1001@192.0.2.1")
WORD = change("password", "", "word", seen=False)


def test_what_a_template_makes_holds_nothing_whatever_the_user_holds() -> None:
    assert kept(WHOLE, LINE, address=["sip:2@x"], host=HOST, password=["x"]) == []


def test_where_nothing_of_a_group_is_planned_nothing_holds_it() -> None:
    assert kept(WORDLESS, change("seat", "6", "7"), password=[Secret("old")]) == []
    assert kept(WORDLESS, password=[Secret("old")]) == []


def test_a_tenants_own_field_that_is_lacking_is_known_beforehand() -> None:
    for host in (HOST, None):
        infos = {rule.name: AttributeInfo(rule.name) for rule in RULES}
        together = AttributeGroups(Mapping((), RULES), Tenant([], [], host), Description("t", "t", infos))
        assert together.lacking is (host is None)


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        (["sip:1001@192.0.2.9"], False),  # the line is the agent's, and any host may have been the tenant's
        (["SIP:1001@192.0.2.9"], False),
        (["sip:1001@host\nof two lines"], False),
        (["sip:1000@192.0.2.9"], True),
        (["sip:1001@a", "sip:1000@a"], True),
        (["sip:1001"], True),
        (["tel:1000"], False),  # not ours
        ([], False),
    ],
)
def test_an_address_of_another_line_that_stays_holds_the_new_line(address: list[str], *, holds: bool) -> None:
    found = kept(WHOLE, LINE, host=None, address=address)
    assert found == ([("address", ("sipServiceIp",), {"line"}, False)] if holds else [])


def test_it_holds_only_what_is_set() -> None:
    cleared = change("line", "1000", "")
    assert kept(WHOLE, cleared, host=None, address=["sip:1000@x"]) == [("address", ("sipServiceIp",), set(), False)]


def test_of_values_that_change_those_that_stay_are_looked_at() -> None:
    both = change("address", "sip:1000@a sip:1001@a", "sip:1000@a")
    assert kept(WHOLE, LINE, both, host=None) == [("address", ("sipServiceIp",), {"line", "address"}, False)]
    gone = change("address", "sip:1000@a sip:1001@a", "sip:1001@a")
    assert kept(WHOLE, LINE, gone, host=None) == []


def test_a_hidden_attribute_that_may_hold_a_value_is_asked_about_and_holds_all() -> None:
    assert kept(WHOLE, LINE, host=None, hides=True, address=[]) == [
        ("address", ("sipServiceIp",), {"line"}, True),
        ("host", ("sipServiceIp",), {"line"}, True),
    ]
    assert kept(WHOLE, LINE, host=None, hides=None)[0][3]
    assert kept(WHOLE, LINE, host=None, hides=False) == []


@pytest.mark.parametrize(
    ("changes", "shown", "renewed"),
    [
        ((LINE,), {}, {"line"}),
        ((LINE, ADDRESS), {}, {"line", "address"}),
        ((change("line", "", "1001"),), {}, {"line"}),
        # a first line beside an address that was made for this very agent
        ((change("line", "", "1001"),), {"address": ["sip:1001@192.0.2.9"]}, set()),
        ((change("line", "", "1001"),), {"address": ["sip:1000@192.0.2.9"]}, {"line"}),
        ((change("line", "", "1001", seen=False),), {"address": ["sip:1001@192.0.2.9"]}, {"line"}),
        ((change("line", "1000", ""),), {}, set()),
        ((change("host", "a", HOST),), {"line": ["1001"]}, set()),
        ((change("address", "sip:1001@a", "sip:1001@192.0.2.1"),), {"line": ["1001"]}, set()),
    ],
)
@pytest.mark.parametrize("shows", [True, False])
def test_a_password_that_stays_holds_what_becomes_another_agents(
    changes: tuple[AttributeChange, ...], shown: dict[str, list[str]], renewed: set[str], *, shows: bool
) -> None:
    """The password of the agent that the user had before does not go with this one's line."""
    held: dict[str, Any] = {**shown, "password": [Secret("old")]} if shows else {**shown}
    found = kept(WORDLESS, *changes, hides=not shows, **held)
    assert found == [("password", ("sipPwd",), renewed, not shows)]
