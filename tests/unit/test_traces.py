"""What a trace says where no directory at hand would let it: a directory that compares otherwise than the rule says."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from connector.explain.trace import PlanTracer, normalise_value
from connector.matching.people import AgentPin
from connector.matching.roster import AgentRoster
from connector.model import (
    Agent,
    AttributeChange,
    AttributeInfo,
    Description,
    Equality,
    Held,
    Problem,
    Secret,
    Syntax,
    Tenant,
    User,
)
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from connector.planning.explanation import AttributeTrace, RuleTrace, TemplatePart, UserLines

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


def tracer(*agents: Agent) -> PlanTracer:
    tenant, description = Tenant(list(agents)), Description("test", "test", INFOS)
    roster = AgentRoster(tenant, MAPPING, (), description)
    return PlanTracer(tenant, MAPPING, description, roster, UserComparer(tenant, MAPPING, description))


def test_who_is_returned_and_does_not_hold_the_value_is_said_to_be_unequal() -> None:
    other = User("1", "uid=Ann", {"uid": ("Ann",)})
    stranger = User("2", "uid=bob", {"uid": ("bob",)})  # a directory may return more than it was asked for
    first, second = tracer(Agent(1, "ann")).trace_rules(0, {1: [other, stranger]})
    assert (first.outcome, first.found, first.unequal) == ("found nobody", (), ("uid=Ann",))
    assert second.outcome == "no look-up: sipAccount gives no value"


def test_each_step_of_a_template_is_told_and_a_secret_is_one_in_each() -> None:
    agent = Agent(7, "ann", sip_pwd=Secret("canary"))
    user = User("1", "uid=ann", {"uid": ("ann",), "employeeNumber": ("000",), "secret": (Secret("CANARY"),)})
    number, secret, where = tracer(agent).trace_attributes(agent, user, UserLines())
    assert number.rendered[0].parts == (TemplatePart("workNo", "7", (("pad:6", "000007"), ("first:3", "000"))),)
    assert (number.outcome, number.why) == ("same", "")
    assert secret.rendered[0].parts == (TemplatePart("sipPwd", Secret("canary"), (("upper", Secret("CANARY")),)),)
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
    assert normalise_value(rule, value) == key


TWO = (Template.parse("{workNo}"), Template.parse("{sipServiceIp}"))


def traced(
    rule: AttributeRule, agent: Agent, *held: Held, lines: UserLines = UserLines(), readable: bool | None = True,  # noqa: B008  # a frozen value
) -> AttributeTrace:  # fmt: skip
    """What is told of one attribute, `it`."""
    tenant, mapping = Tenant([agent]), Mapping(RULES, (rule,))
    info = AttributeInfo("it", single=rule.owns is None, readable=readable)
    description = Description("test", "test", {**INFOS, "it": info})
    roster = AgentRoster(tenant, mapping, (), description)
    user = User("1", "uid=ann", {"it": held} if held else {})
    tracer = PlanTracer(tenant, mapping, description, roster, UserComparer(tenant, mapping, description))
    (found,) = tracer.trace_attributes(agent, user, lines)
    return found


IT = AttributeRule("it", Template.parse("{sipAccount}"), owns="*")
ANN, LINELESS = Agent(7, "ann", "a b"), Agent(7, "ann")
PLANNED = AttributeChange("it", ("x",), ("a b",))


@pytest.mark.parametrize(
    ("rule", "agent", "held", "lines", "outcome", "why"),
    [
        (IT, ANN, ("x",), UserLines((PLANNED,)), "set", ""),
        (IT, ANN, ("x",), UserLines((replace(PLANNED, new=()),)), "cleared", ""),
        (IT, ANN, ("x",), UserLines((replace(PLANNED, name="other"),)), "same", "not shown; compared, and the same"),
        (IT, ANN, ("x",), UserLines((), (Problem("shared", "it is shared", attribute="it"),)), "refused", "it is shared"),
        (IT, ANN, ("x",), UserLines((), (Problem("exclude", "on the list"),)), "refused", "on the list"),
        (IT, ANN, ("x",), UserLines((), (Problem("flapping", "of another", attribute="other"),)), "same",
         "not shown; compared, and the same"),
        (replace(IT, owns=None), ANN, ("x", "y"), UserLines(), "refused", "it holds 2 values"),
        (IT, ANN, ("a b",), UserLines(), "same", ""),
        (IT, ANN, ("A  B",), UserLines(), "same", "equal by the attribute's equality rule"),
        (IT, LINELESS, ("x",), UserLines(), "kept", "sipAccount gives no value, and when_absent is keep"),
        (replace(IT, when_absent="clear"), LINELESS, (), UserLines(), "same",
         "sipAccount gives no value, and this job has none to clear"),
        (replace(IT, value=TWO[0], more=TWO[1:]), ANN, ("7",), UserLines(), "kept", "the tenant has no sipServiceIp"),
        (replace(IT, value=TWO[1]), ANN, ("7",), UserLines((replace(PLANNED, name="it"),)), "kept",
         "the tenant has no sipServiceIp"),
        (replace(IT, value=Template.parse("{sipAccount}{sipAccount}")), LINELESS, ("x",), UserLines(), "kept",
         "sipAccount gives no value, and when_absent is keep"),
    ],
)  # fmt: skip
def test_what_becomes_of_an_attribute_is_told_with_its_reason(
    rule: AttributeRule, agent: Agent, held: tuple[Held, ...], lines: UserLines, outcome: str, why: str
) -> None:
    found = traced(rule, agent, *held, lines=lines)
    assert (found.outcome, found.why.partition(". In")[0], found.held, found.owns) == (outcome, why, held, rule.owns)
    assert (found.change is None) is (outcome not in ("set", "cleared"))


def test_what_a_template_makes_is_told_as_the_attribute_holds_it() -> None:
    rule = AttributeRule("it", Template.parse("0{workNo}"))
    info = AttributeInfo("it", syntax=Syntax.INTEGER, equality=Equality.INTEGER)
    description, agent = Description("test", "test", {**INFOS, "it": info}), Agent(7, "ann")
    mapping, tenant = Mapping(RULES, (rule,)), Tenant([agent])
    roster = AgentRoster(tenant, mapping, (), description)
    tracer = PlanTracer(tenant, mapping, description, roster, UserComparer(tenant, mapping, description))
    (found,) = tracer.trace_attributes(agent, User("1", "uid=ann", {"it": ("7",)}), UserLines())
    (made,) = found.rendered
    assert (made.value, made.key, made.template, found.outcome, found.why) == ("7", "7", "0{workNo}", "same", "")


def test_of_an_attribute_that_cannot_be_read_a_value_that_was_compared_is_the_same() -> None:
    found = traced(IT, ANN, readable=None)
    assert (found.outcome, found.why) == ("same", "not shown; compared, and the same")


# ---------------------------------------------------------------- match rules


def ruled(pins: Iterable[AgentPin], returned: dict[int, list[User]], *agents: Agent) -> list[RuleTrace]:
    tenant, description = Tenant(list(agents)), Description("test", "test", INFOS)
    roster = AgentRoster(tenant, MAPPING, pins, description)
    return list(
        PlanTracer(tenant, MAPPING, description, roster, UserComparer(tenant, MAPPING, description)).trace_rules(
            0, returned
        )
    )


def person(number: int, **values: str) -> User:
    return User(f"id-{number}", f"uid=u{number}", {name: (value,) for name, value in values.items()})


def test_rules_are_told_in_order_until_one_has_found_somebody() -> None:
    agent = Agent(7, "ann", "7")
    one, two = person(1, uid="ann"), person(2, uid="ann", mail="7")
    assert [(each.rule, each.attribute, each.outcome, each.found) for each in ruled((), {1: [two, one]}, agent)] == [
        (1, "uid", "found 2 users", ("uid=u1", "uid=u2")),
        (2, "mail", "not tried: rule 1 decided", ()),
    ]
    first, second = ruled((), {1: [], 2: [two, person(3, mail="7 ")]}, agent)
    assert (first.outcome, first.found) == ("found nobody", ())
    assert (second.outcome, second.found, second.unequal) == ("found 2 users", ("uid=u2", "uid=u3"), ())
    assert ruled((), {1: [], 2: [two]}, agent)[1].outcome == "found"


def test_a_value_that_only_accents_case_or_spaces_tell_apart_is_named_as_unequal() -> None:
    near = [person(1, uid="\u00c5nn"), person(2, uid="a n n"), person(3, uid="anna"), person(4, mail="ann")]
    (first, _) = ruled((), {1: near}, Agent(7, "ann"))
    assert (first.outcome, first.unequal) == ("found nobody", ("uid=u1", "uid=u2"))


def test_a_pin_takes_the_place_of_all_rules() -> None:
    (pin,) = ruled([AgentPin("ann", user="id-1")], {0: [person(1), person(2)]}, Agent(7, "ann"))
    assert (pin.rule, pin.outcome, pin.found, pin.rendered.value) == (0, "found", ("uid=u1",), "id-1")
    (lost,) = ruled([AgentPin("ann", user="id-9")], {0: []}, Agent(7, "ann"))
    assert (lost.outcome, lost.found) == ("found nobody", ())
    (other,) = ruled([AgentPin("ann", 8, "id-1")], {}, Agent(7, "ann"))
    assert (other.outcome, other.found) == ("no look-up: the pin names another workNo", ())
