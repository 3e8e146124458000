"""What a trace says where no directory at hand would let it: a directory that compares otherwise than the rule says."""

from __future__ import annotations

import pytest

from connector.model import Agent, AttributeInfo, Description, Equality, Secret, Tenant, User
from connector.reconcile.diff.differences import Differ
from connector.reconcile.diff.templates import Template
from connector.reconcile.explain.explanation import Lines, Part
from connector.reconcile.explain.trace import Tracer, normalised
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.matching.roster import Roster

RULES = (MatchRule(Template.parse("{accountCode}"), "uid"), MatchRule(Template.parse("{sipAccount}"), "mail"))
ATTRIBUTES = (
    AttributeRule("employeeNumber", Template.parse("{workNo|pad:6|first:3}")),
    AttributeRule("secret", Template.parse("{sipPwd|upper}"), secret=True),
    AttributeRule("where", Template.parse("{sipServiceIp}")),
)
MAPPING = Mapping(RULES, ATTRIBUTES)
INFOS = {name: AttributeInfo(name) for name in ("mail", "employeeNumber", "where")}
INFOS["uid"] = AttributeInfo("uid", equality=Equality.CASE_EXACT)
INFOS["secret"] = AttributeInfo("secret", equality=Equality.OCTETS)


def tracer(*agents: Agent) -> Tracer:
    tenant, description = Tenant(list(agents)), Description("test", "test", INFOS)
    roster = Roster(tenant, MAPPING, (), description)
    return Tracer(tenant, MAPPING, description, roster, Differ(tenant, MAPPING, description))


def test_who_is_returned_and_does_not_hold_the_value_is_said_to_be_unequal() -> None:
    other = User("1", "uid=Ann", {"uid": ("Ann",)})
    stranger = User("2", "uid=bob", {"uid": ("bob",)})  # a directory may return more than it was asked for
    first, second = tracer(Agent(1, "ann")).rules(0, {1: [other, stranger]})
    assert (first.outcome, first.found, first.unequal) == ("found nobody", (), ("uid=Ann",))
    assert second.outcome == "no look-up: sipAccount gives no value"


def test_each_step_of_a_template_is_told_and_a_secret_is_one_in_each() -> None:
    agent = Agent(7, "ann", sip_pwd=Secret("canary"))
    user = User("1", "uid=ann", {"uid": ("ann",), "employeeNumber": ("000",), "secret": (Secret("CANARY"),)})
    number, secret, where = tracer(agent).attributes(agent, user, Lines())
    assert number.rendered[0].parts == (Part("workNo", "7", (("pad:6", "000007"), ("first:3", "000"))),)
    assert (number.outcome, number.why) == ("same", "")
    assert secret.rendered[0].parts == (Part("sipPwd", Secret("canary"), (("upper", Secret("CANARY")),)),)
    assert secret.rendered[0].key is None
    assert secret.outcome == "same"
    assert (where.outcome, where.why) == ("kept", "the tenant has no sipServiceIp")
    assert "canary" not in repr((number, secret, where)).lower()


@pytest.mark.parametrize(
    ("rule", "value", "key"),
    [
        (Equality.CASE_IGNORE, "  Ann  Smith ", "ann smith"),
        (Equality.INTEGER, "7", "7"),
        (Equality.TELEPHONE, "+1 555-0100", "+15550100"),
        (Equality.OCTETS, b"\x00", None),
        (Equality.DN, "uid=Ann,dc=example", None),
        (Equality.CASE_IGNORE, Secret("canary"), None),
    ],
)
def test_the_form_in_which_a_value_is_compared(rule: Equality, value: str | bytes | Secret, key: str | None) -> None:
    assert normalised(rule, value) == key
