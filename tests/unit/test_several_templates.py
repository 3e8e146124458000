"""Several templates for one attribute: what a mapping file may say, and what is planned of one user."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.errors import FileError
from connector.model import (
    Agent,
    AttributeDefinition,
    AttributeInfo,
    Description,
    Equality,
    Owned,
    Secret,
    Tenant,
    User,
)
from connector.model.digests import make_fingerprinter
from connector.model.equality import digest_value
from connector.model.mapping import AttributeRule, Mapping, MatchRule, WhenAbsent
from connector.model.patterns import join_patterns
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from connector.planning.standing import Leaver
from connector.planning.suitability import find_faults
from connector.settings import mapping_file as mappings

MATCH = 'match:\n  - {agent: "{accountCode}", directory: uid}\nattributes:\n  a: '
RULE = AttributeRule(
    "uri",
    Template.parse("sip:{sipAccount}"),
    owns="sip:*\ntel:*",
    more=(Template.parse("tel:{sipAccount}"), Template.parse("SIP:{accountCode}")),
)
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
INFOS = {"uid": AttributeInfo("uid"), "uri": AttributeInfo("uri", single=False)}
ANN = Agent(1, "ann", "7")
BARE = Agent(1, "ann")
SAME = Agent(1, "7", "7")
"""Of whom two templates make values that are equal but for case."""


def differ(when_absent: WhenAbsent = "keep", tenant: Tenant | None = None, rule: AttributeRule = RULE) -> UserComparer:
    mapping = Mapping(LOOKS, (replace(rule, when_absent=when_absent),))
    return UserComparer(tenant or Tenant([]), mapping, Description("test", "test", INFOS))


def user(*held: str) -> User:
    return User("id-1", "uid=ann,dc=example", {"uri": held} if held else {})


@pytest.mark.parametrize(
    ("agent", "held", "when_absent", "old", "new"),
    [
        (ANN, [], "keep", [], ["sip:7", "tel:7", "SIP:ann"]),
        (ANN, ["sip:7", "tel:7", "SIP:ann"], "keep", None, None),
        (ANN, ["SIP:ann", "http:x", "tel:7", "SIP:7"], "keep", None, None),
        (ANN, ["tel:7", "tel:8", "http:x"], "keep", ["tel:7", "tel:8"], ["sip:7", "tel:7", "SIP:ann"]),
        (SAME, [], "keep", [], ["sip:7", "tel:7"]),
        (SAME, ["SIP:7", "tel:7"], "keep", None, None),
        # templates whose field the agent lacks drop out
        (BARE, [], "keep", [], ["SIP:ann"]),
        (BARE, ["tel:8", "http:x"], "keep", ["tel:8"], ["tel:8", "SIP:ann"]),
        (BARE, ["tel:8", "sip:ann"], "keep", None, None),
        (BARE, ["tel:8", "sip:ann", "http:x"], "clear", ["tel:8", "sip:ann"], ["SIP:ann"]),
        (BARE, ["sip:ann", "http:x"], "clear", None, None),
        (Agent(1), ["tel:8"], "keep", None, None),
        (Agent(1), ["tel:8", "http:x"], "clear", ["tel:8"], []),
    ],
)
def test_an_attribute_holds_what_each_of_its_templates_makes(
    agent: Agent, held: list[str], when_absent: WhenAbsent, old: list[str] | None, new: list[str] | None
) -> None:
    draft = differ(when_absent).draft_user(agent, user(*held), 1)
    planned = [(list(each.old), list(each.new)) for each in draft.planned] if draft else []
    assert planned == ([] if old is None else [(old, new)])


URIS = ("sip:{sipAccount}@{sipServiceIp}", "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}")
PHONES = ("+1 555 {workNo}", "+1 556 {sipAccount|pad:4}")
NO_PORT = Tenant([], sip_service_ip="192.0.2.1")


@pytest.mark.parametrize(
    ("templates", "agent", "held", "when_absent", "new"),
    [
        # the tenant has no port
        (URIS, ANN, ["sip:7@192.0.2.1:5060"], "keep", ["sip:7@192.0.2.1:5060", "sip:7@192.0.2.1"]),
        (URIS, ANN, ["sip:7@192.0.2.1", "SIP:7@192.0.2.1:5060"], "clear", None),
        (URIS, ANN, ["sip:8@192.0.2.1", "sip:8@192.0.2.1:5060"], "keep", ["sip:7@192.0.2.1"]),
        (URIS, ANN, ["sip:8@192.0.2.1", "sip:7@192.0.2.9:5060"], "clear", ["sip:7@192.0.2.1"]),
        (URIS, ANN, ["sip:17@192.0.2.1:5060", "sip:7@192x0.2.1:1"], "keep", ["sip:7@192.0.2.1"]),
        (URIS, BARE, ["sip:8@192.0.2.1", "sip:8@192.0.2.9:5060"], "keep", None),
        (URIS, BARE, ["sip:8@192.0.2.1", "sip:8@192.0.2.1:5060"], "clear", []),
        # the agent has no sipAccount
        (PHONES, BARE, ["+1 555 1", "+1 555 2", "+1 556 0008"], "keep", ["+1 555 1", "+1 556 0008"]),
        (PHONES, BARE, ["+1555-1", "+1-5560008", "+1-5550002"], "keep", ["+1555-1", "+1-5560008"]),
        ((PHONES[0], URIS[0]), BARE, ["+1 555 2", "sip:8@192.0.2.9"], "keep", ["sip:8@192.0.2.9", "+1 555 1"]),
        (PHONES, BARE, ["+1 555 2", "+1 556 0008"], "clear", ["+1 555 1"]),
    ],
)
def test_a_value_stays_that_a_template_without_its_field_may_have_made_for_this_agent(
    templates: tuple[str, str], agent: Agent, held: list[str], when_absent: WhenAbsent, new: list[str] | None
) -> None:
    rule = replace(RULE, value=Template.parse(templates[0]), more=(Template.parse(templates[1]),), owns="*")
    info = replace(INFOS["uri"], equality=Equality.TELEPHONE if templates is PHONES else Equality.CASE_IGNORE)
    mapping = Mapping(LOOKS, (replace(rule, when_absent=when_absent, together=""),))
    found = UserComparer(NO_PORT, mapping, Description("test", "test", {**INFOS, "uri": info}))
    draft = found.draft_user(agent, user(*held), 1)
    assert (list(draft.planned[0].new) if draft else None) == new


def test_names_stay_in_a_list_for_a_name_fits_no_pattern() -> None:
    templates = [Template.parse(text) for text in ("cn={workNo},dc=x", "cn={sipAccount},dc=x")]
    rule = replace(RULE, value=templates[0], more=(templates[1],), owns="*")
    info = replace(INFOS["uri"], equality=Equality.DN)
    found = UserComparer(Tenant([]), Mapping(LOOKS, (rule,)), Description("test", "test", {**INFOS, "uri": info}))
    draft = found.draft_user(BARE, user("CN=8, DC=x"), 1)
    assert draft is not None
    assert draft.planned[0].new == ("CN=8, DC=x", "cn=1,dc=x")


def test_a_value_that_is_there_among_others_is_not_added_beside() -> None:
    spaced = replace(RULE, value=Template.parse("ext: {sipAccount}"), owns="ext: 7\ntel:*\nSIP:ann")
    draft = differ(rule=spaced).draft_user(ANN, user("ext:  7"), 1)
    assert draft is not None
    assert (draft.planned, [each.why for each in draft.held]) == (
        (),
        ["it already holds the value among those that are not this job's (owns)"],
    )


@pytest.mark.parametrize("when_absent", ["keep", "clear"])
def test_what_is_made_of_a_field_that_the_tenant_lacks_stays_and_is_told_once(when_absent: WhenAbsent) -> None:
    rule = replace(RULE, more=(Template.parse("tel:{sipAccount}@{sipServiceIp}"),))
    found = differ(when_absent, rule=rule)
    why = "the tenant has no sipServiceIp; values made of it are kept in uri"
    assert [problem.why for problem in found.problems] == [why]
    draft = found.draft_user(ANN, user("tel:7@192.0.2.1", "http:x"), 1)
    assert draft is not None
    assert [(each.old, each.new) for each in draft.planned] == [
        (("tel:7@192.0.2.1",), ("tel:7@192.0.2.1", "sip:7")),
    ]


@pytest.mark.parametrize("adopt", [True, False])
def test_a_leaver_loses_what_was_written_though_the_tenant_lacks_a_field_of_one_template(adopt: bool) -> None:
    rule = replace(RULE, more=(Template.parse("tel:{sipAccount}@{sipServiceIp}"),), adopt=adopt)
    found, left = differ(rule=rule), user("sip:7", "tel:7@192.0.2.1", "tel:9", "http:x")
    written = Owned("run", tuple(digest_value(Equality.CASE_IGNORE, each) for each in ("sip:7", "tel:7@192.0.2.1")))
    adopted = found.list_adopted(left)
    assert adopted == ({"uri"} if adopt else set())
    draft = found.draft_clearing(left, Leaver(left.ref, {"uri": written}, adopted), make_fingerprinter(Secret("key")))
    ours = ("sip:7", "tel:7@192.0.2.1", "tel:9")
    assert [(each.old, each.new) for each in draft.planned] == [(ours, () if adopt else ("tel:9",))]


@pytest.mark.parametrize("templates", [["tel:{sipServiceIp}"], ["tel:{sipServiceIp}", "sip:{sipServicePort}"]])
def test_a_leaver_keeps_an_attribute_for_which_nothing_is_planned(templates: list[str]) -> None:
    first, *more = map(Template.parse, templates)
    found = differ(rule=replace(RULE, value=first, more=tuple(more), adopt=True))
    written = Owned("run", (digest_value(Equality.CASE_IGNORE, "tel:7"),))
    draft = found.draft_clearing(user("tel:7"), Leaver(user().ref, {"uri": written}), make_fingerprinter(Secret("key")))
    assert (draft.planned, found.list_adopted(user("tel:7"))) == ((), frozenset())


def test_nothing_is_planned_where_the_tenant_lacks_a_field_of_every_template() -> None:
    rule = replace(RULE, value=Template.parse("sip:{sipServiceIp}"), more=(Template.parse("tel:{sipServicePort}"),))
    found = differ("clear", rule=rule)
    assert found.draft_user(ANN, user("sip:1"), 1) is None
    assert [problem.why for problem in found.problems] == [
        "the tenant has no sipServiceIp; nothing is planned for uri",
        "the tenant has no sipServicePort; nothing is planned for uri",
    ]


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (AttributeInfo("uri"), "uri can hold one value only here: give `value` one template, not a list"),
        (
            AttributeInfo("uri", definition=AttributeDefinition(known=False)),
            "uri may hold one value only: no schema says otherwise: give `value` one template, not a list",
        ),
        (INFOS["uri"], ""),
    ],
)
def test_an_attribute_of_one_value_takes_no_list(info: AttributeInfo, why: str) -> None:
    mapping = Mapping(LOOKS, (replace(RULE, line=5),), where="own.yaml")
    told = list(find_faults(mapping, Description("test", "test", INFOS | {"uri": info})))
    assert told == ([f"own.yaml:5: {why}"] if why else [])


def test_an_attribute_that_users_are_matched_by_gets_nothing_but_what_they_are_looked_for_by() -> None:
    mapping = Mapping((MatchRule(RULE.value, "uri"),), (RULE,))
    (told,) = find_faults(mapping, Description("test", "test", INFOS))
    assert "match rule 1 looks for sip:{sipAccount} in uri, and this line writes another value there" in told


def loaded(folder: Path, attribute: str) -> AttributeRule:
    (folder / "own.yaml").write_text(MATCH + attribute + "\n")
    return mappings.load_mapping("own.yaml", folder / "job.yaml").attributes[0]


def test_value_and_owns_are_one_or_a_list(tmp_path: Path) -> None:
    rule = loaded(tmp_path, '{value: ["sip:{sipAccount}", "tel:{workNo}"], owns: ["tel:*", "sip:*", "tel:*"]}')
    assert [template.text for template in rule.templates] == ["sip:{sipAccount}", "tel:{workNo}"]
    assert rule.owns == join_patterns(["sip:*", "tel:*"])
    assert rule.group == "sip"
    one = loaded(tmp_path, '{value: ["{workNo}"], owns: ["*"]}')
    assert one == loaded(tmp_path, '{value: "{workNo}", owns: "*"}')
    assert loaded(tmp_path, '{value: ["{workNo}", "x"], owns: ["sip:*", "*"]}').owns == "*"


@pytest.mark.parametrize(
    ("attribute", "why"),
    [
        ('{value: [], owns: "*"}', "value: must not be empty"),
        ('{value: ["{workNo}", 5], owns: "*"}',
         'value[2]: must be a template in quotes, such as "{accountCode}"'),
        ('{value: ["{workNo|eval}"], owns: "*"}', "value[1]: no transform 'eval'"),
        ('{value: ["{workNo}", "x{sipPwd}"], owns: "*"}',
         "value: writes a secret: set secret: true"),
        ('{value: ["{workNo}", "x{sipPwd}"], owns: "*", secret: true}',
         "value: a secret takes one template, not a list"),
        ('{value: ["sip:{workNo}", "tel:{workNo}"], owns: ["sip:*", "x*"]}',
         "owns: 'sip:* or x*' does not cover what template 2 of value writes. Widen `owns`"),
        ('{value: "{workNo}", owns: []}', "owns: must not be empty"),
        ('{value: "{workNo}", owns: ["*", 5]}', "owns[2]: must be a text; put a number, true or false in quotes"),
        ('{value: "{workNo}", owns: "a*\\nb*"}', "owns: a pattern holds an unprintable character"),
        ('["{workNo}", "x"]', 'write a list of templates under value: {value: ["…", "…"], owns: "…"}'),
    ],
)  # fmt: skip
def test_what_a_list_may_not_say(tmp_path: Path, attribute: str, why: str) -> None:
    with pytest.raises(FileError) as caught:
        loaded(tmp_path, attribute)
    assert why in str(caught.value)
    assert "5: attributes.a" not in str(caught.value)
    assert "4: attributes.a" in str(caught.value)


def test_a_user_holds_what_is_wanted_of_an_attribute_where_some_template_makes_it() -> None:
    of = differ()
    assert of.holds_most(BARE, of.draft_user(BARE, user("SIP:ann"), 1))
    assert not of.holds_most(BARE, of.draft_user(BARE, user("SIP:bob"), 1))


def test_each_template_is_told_with_what_it_makes() -> None:
    for agent, made in ((ANN, ("sip:7", "tel:7", "SIP:ann")), (BARE, (None, None, "SIP:ann"))):
        (fitted,) = differ().fit_values(agent).values()
        assert fitted == made
