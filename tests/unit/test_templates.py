"""Templates: fields, transforms from a closed table, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from connector.model import Agent, Secret, Tenant
from connector.model.templates import Template, TemplateError, field_of

TENANT = Tenant([], sip_service_ip="192.0.2.1", sip_service_port="5060")
AGENT = Agent(1001, "Ann_Sample", "7001", Secret("canary"))


def rendered(text: str, agent: Agent = AGENT, tenant: Tenant = TENANT) -> object:
    return Template.parse(text).bind(tenant)(agent)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{accountCode}", "Ann_Sample"),
        ("{workNo}", "1001"),
        ("{accountCode|lower}@example.org", "ann_sample@example.org"),
        ("{accountCode|upper}", "ANN_SAMPLE"),
        ("sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", "sip:7001@192.0.2.1:5060"),
        ("{workNo|pad:6}", "001001"),
        ("{workNo|pad:2}", "1001"),
        ("{accountCode|replace:'_':'.'|lower}", "ann.sample"),
        ("{accountCode|before:_}", "Ann"),
        ("{accountCode|before:@}", "Ann_Sample"),
        ("{accountCode|after:_}", "Sample"),
        ("{accountCode|first:3}", "Ann"),
        ("{workNo|last:2}", "01"),
        ("{accountCode|digits}", None),
        ("{accountCode|after:@}", None),
        ("{{{workNo}}}", "{1001}"),
        ("{accountCode|replace:'n':'{'}", "A{{_Sample"),
        ("{accountCode|replace:'a':':'}", "Ann_S:mple"),
        ("{ accountCode | upper }", "ANN_SAMPLE"),
        ("{workNo}-{sipAccount}", "1001-7001"),
        ("{sipServiceIp}", "192.0.2.1"),
        ("sip:{sipAccount}@{sipServiceIp|host}", "sip:7001@192.0.2.1"),
        ("all", "all"),
    ],
)
def test_a_template_renders(text: str, value: str | None) -> None:
    assert rendered(text) == value


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("2001:db8::1", "[2001:db8::1]"),
        ("::ffff:192.0.2.1", "[::ffff:192.0.2.1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("sip.example.org", "sip.example.org"),
        ("sip.example.org:5061", "sip.example.org:5061"),
    ],
)
def test_an_ipv6_address_stands_in_brackets_in_a_uri(host: str, written: str) -> None:
    tenant = Tenant([], sip_service_ip=host, sip_service_port="5060")
    text = "sip:{sipAccount}@{sipServiceIp|host}:{sipServicePort}"
    assert rendered(text, tenant=tenant) == f"sip:7001@{written}:5060"


@pytest.mark.parametrize(
    ("transform", "given", "made"),
    [
        ("lower", "\u00c4nn", "\u00e4nn"),
        ("upper", "stra\u00dfe", "STRASSE"),
        ("strip", " \tann b ", "ann b"),
        ("digits", "+49 (30) 1\u0662a2", "493012"),
        ("nfc", "a\u0308", "\u00e4"),
        ("pad:3", "7", "007"),
        ("unpad", "007", "7"),
        ("unpad", "000", "0"),
        ("unpad", "0a0", "a0"),
        ("pad:64", "7", "7".rjust(64, "0")),
        ("first:1", "ann", "a"),
        ("first:64", "ann", "ann"),
        ("last:1", "ann", "n"),
        ("last:9", "ann", "ann"),
        ("replace:nn:mm", "ann-nn", "amm-mm"),
        ("replace:n:", "ann", "a"),
        ("before:-", "a-b-c", "a"),
        ("after:-", "a-b-c", "b-c"),
        ("default:x", "ann", "ann"),
    ],
)
def test_each_transform_does_what_its_line_of_the_table_says(transform: str, given: str, made: str) -> None:
    assert rendered(f"{{accountCode|{transform}}}", Agent(1, given)) == made


def test_an_absent_field_leaves_no_value_unless_a_default_stands_in() -> None:
    bare = Agent(1001, "x")
    assert rendered("{sipAccount}", bare) is None
    assert rendered("sip:{sipAccount}@x", bare) is None
    assert rendered("{workNo}-{sipAccount}", bare) is None
    assert rendered("{sipAccount}{sipPwd}", bare) is None
    assert rendered("sip:{sipAccount|default:none}@x", bare) == "sip:none@x"
    assert rendered("{workNo}-{sipAccount|default:none}", bare) == "1001-none"
    assert rendered("{workNo}{sipAccount|digits}", Agent(1001, "x", "none")) is None, "nothing is left of a field"
    assert rendered("{sipServiceIp}", tenant=Tenant([])) is None
    assert rendered("{sipServiceIp|default:192.0.2.9}", tenant=Tenant([])) == "192.0.2.9"


def test_missing_tenant_fields_are_named() -> None:
    template = Template.parse("sip:{sipAccount}@{sipServiceIp}:{sipServicePort|default:5060}")
    assert template.missing(Tenant([])) == {"sipServiceIp"}
    assert template.missing(TENANT) == frozenset()


@pytest.mark.parametrize(
    ("text", "agent", "tenant", "outline", "lacks"),
    [
        ("sip:{sipAccount}@{sipServiceIp}", AGENT, TENANT, ["sip:", "7001", "@", "192.0.2.1"], ()),
        ("sip:{sipAccount}@{sipServiceIp}", AGENT, None, ["sip:", "7001", "@", None], None),
        ("{sipAccount}@{sipServiceIp}", Agent(1, "x"), Tenant([]), [None, "@", None], ("sipAccount", "sipServiceIp")),
        ("{accountCode|digits}{workNo|pad:3}", Agent(1, "x"), TENANT, [None, "001"], ("accountCode",)),
        ("{sipServiceIp|digits}{sipAccount|default:7}", Agent(1), Tenant([], sip_service_ip="x"), [None, "7"],
         ("sipServiceIp",)),
        ("{sipServicePort|default:5060}", AGENT, Tenant([]), ["5060"], ()),
        ("{sipPwd}-{sipPwd|upper}", AGENT, TENANT, ["canary", "-", "CANARY"], ()),
        ("{sipPwd}", Agent(1, "x", sip_pwd=Secret(b"octets")), TENANT, ["octets"], ()),
    ],
)  # fmt: skip
def test_what_each_piece_comes_to_is_told_and_of_which_field_nothing_is_left(
    text: str, agent: Agent, tenant: Tenant | None, outline: list[str | None], lacks: tuple[str, ...] | None
) -> None:
    template = Template.parse(text)
    assert template.outline(agent, tenant) == outline
    if tenant is not None:
        assert template.find_missing(agent, tenant) == lacks


def test_a_field_is_what_the_record_or_the_tenant_says() -> None:
    fields = ("workNo", "accountCode", "sipAccount", "sipPwd", "sipServiceIp", "sipServicePort")
    assert [field_of(field, TENANT, AGENT) for field in fields] == [
        "1001", "Ann_Sample", "7001", "canary", "192.0.2.1", "5060"
    ]  # fmt: skip
    assert [field_of(field, Tenant([]), Agent(1)) for field in fields] == ["1", None, None, None, None, None]


@pytest.mark.parametrize(
    "text", ["{sipPwd}", "{sipPwd|lower}", "x{sipPwd}", "{sipPwd}{workNo}", "{sipServiceIp}{sipPwd}"]
)
def test_a_password_that_is_absent_or_of_which_nothing_is_left_makes_nothing(text: str) -> None:
    assert rendered(text, Agent(1, "x")) is None
    assert isinstance(rendered(text), Secret)


def test_a_template_names_its_fields_once_each() -> None:
    template = Template.parse("{workNo}-{sipPwd}-{workNo}")
    assert template.fields == {"workNo", "sipPwd"}
    assert template.secret
    assert not Template.parse("{workNo}").secret


def test_whatever_names_the_password_is_a_secret() -> None:
    for text in ("{sipPwd}", "x{sipPwd}", "{sipPwd|upper}"):
        value = rendered(text)
        assert isinstance(value, Secret)
        assert "canary" not in f"{value} {value!r}".lower()
    assert rendered("{sipPwd|upper}") == Secret("CANARY")
    assert rendered("{sipPwd}", Agent(1, "x")) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty template"),
        ("{", "unclosed"),
        ("}", "closing brace"),
        ("{workno}", "no field 'workno'"),
        ("{workNo:3}", "no field"),
        ("{workNo|shell}", "no transform 'shell'"),
        ("{workNo|pad}", "takes 1 argument"),
        ("{workNo|pad:0}", "from 1 to 64"),
        ("{workNo|first:65}", "from 1 to 64"),
        ("{workNo|last:-1}", "from 1 to 64"),
        ("{workNo|last:\u0663}", "from 1 to 64"),
        ("{workNo|lower:1}", "lower takes 0 argument"),
        ("{workNo|replace:1}", "replace takes 2 argument"),
        ("{workNo|after:}", "after: an empty argument"),
        ("{workNo|replace::x}", "replace: an empty argument"),
        ("{workNo|pad:99999999999}", "from 1 to 64"),
        ("{workNo|replace:'a}", "unclosed"),
        ("{workNo|before:}", "empty argument"),
        ("{workNo{x}}", "unclosed"),
    ],
)
def test_a_faulty_template_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        Template.parse(text)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_a_template_error(text: str) -> None:
    try:
        Template.parse(text).bind(TENANT)(AGENT)
    except TemplateError:
        return


@given(st.text(alphabet="{}|:'abc", max_size=30))
def test_the_syntax_alone_is_total_too(text: str) -> None:
    try:
        Template.parse(text)
    except TemplateError:
        return
