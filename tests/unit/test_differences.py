"""One user against its agent, or against nobody: what is planned of each attribute, and what is held back and why."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.errors import FileError
from connector.model import (
    Agent,
    AgentRef,
    AttributeDefinition,
    AttributeInfo,
    Description,
    Equality,
    Held,
    Owned,
    ReadRules,
    Secret,
    Syntax,
    Tenant,
    User,
    WriteRules,
)
from connector.model.digests import make_fingerprinter
from connector.model.equality import digest_value
from connector.model.mapping import AttributeRule, Mapping, MatchRule, WhenAbsent
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from connector.planning.standing import CHANGED, UNSHOWN_LEAVER, Leaver

PRINT: Final = make_fingerprinter(Secret("key"))
INFOS: Final = {
    "uid": AttributeInfo("uid"),
    "mail": AttributeInfo("mail"),
    "uri": AttributeInfo("uri", single=False),
    "one": AttributeInfo("one"),
    "seen": AttributeInfo("seen", equality=Equality.OCTETS),
    "unseen": AttributeInfo("unseen", equality=Equality.OCTETS, readable=None),
}
RULES: Final = {
    "mail": AttributeRule("mail", Template.parse("{sipAccount}")),
    "uri": AttributeRule("uri", Template.parse("sip:{sipAccount}"), owns="sip:*"),
    "one": AttributeRule("one", Template.parse("sip:{sipAccount}"), owns="sip:*"),
    "seen": AttributeRule("seen", Template.parse("{sipPwd}"), owns="*", secret=True),
    "unseen": AttributeRule("unseen", Template.parse("{sipPwd}"), owns="*", secret=True),
}
Planned = tuple[tuple[Held, ...], tuple[Held, ...], bool]
ANN: Final = Agent(1, "ann", "1", Secret("new"))
NOBODY: Final = Agent(1, "ann")


def differ(name: str, when_absent: WhenAbsent = "keep", *, adopt: bool = False) -> UserComparer:
    rule = replace(RULES[name], when_absent=when_absent, adopt=adopt)
    mapping = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), (rule,))
    return UserComparer(Tenant([]), mapping, Description("test", "test", INFOS))


def user(name: str, *held: Held) -> User:
    return User("id-1", "uid=ann,dc=example", {name: held} if held else {})


@pytest.mark.parametrize(
    ("name", "agent", "held", "when_absent", "planned"),
    [
        ("mail", ANN, (), "keep", ((), ("1",), True)),
        ("mail", ANN, ("2",), "keep", (("2",), ("1",), True)),
        ("mail", ANN, ("1",), "keep", None),
        ("mail", NOBODY, ("2",), "keep", None),
        ("mail", NOBODY, ("2",), "clear", (("2",), (), True)),
        ("mail", NOBODY, (), "clear", None),
        ("uri", ANN, ("tel:1",), "keep", ((), ("sip:1",), True)),
        ("uri", ANN, ("tel:1", "sip:2", "sip:3"), "keep", (("sip:2", "sip:3"), ("sip:1",), True)),
        ("uri", ANN, ("tel:1", "SIP:1"), "keep", None),
        ("uri", NOBODY, ("tel:1", "sip:2"), "clear", (("sip:2",), (), True)),
        ("uri", NOBODY, ("tel:1",), "clear", None),
        ("seen", ANN, (), "keep", ((), (Secret("new"),), True)),
        ("seen", ANN, (Secret("old"),), "keep", ((Secret("old"),), (Secret("new"),), True)),
        ("seen", NOBODY, (), "clear", None),
        ("unseen", ANN, (), "keep", ((), (Secret("new"),), False)),
        ("unseen", NOBODY, (), "clear", ((), (), False)),
        ("unseen", NOBODY, (), "keep", None),
        ("unseen", ANN, (Secret("old"),), "keep", ((Secret("old"),), (Secret("new"),), True)),
    ],
)
def test_what_is_planned_of_an_attribute(
    name: str, agent: Agent, held: tuple[Held, ...], when_absent: WhenAbsent, planned: Planned | None
) -> None:
    draft = differ(name, when_absent).draft_user(agent, user(name, *held), 1)
    assert (draft is None) is (planned is None)
    if draft is not None:
        assert [(each.old, each.new, each.seen) for each in draft.planned] == [planned]
        assert (draft.held, draft.agent and draft.agent.account_code, draft.rule) == ((), "ann", 1)


@pytest.mark.parametrize(
    ("name", "held", "why"),
    [
        ("mail", ("2", "3"), "it holds 2 values. In the mapping, set `owns` to those of this job"),
        ("one", ("tel:1",), "its only value is not this job's"),
    ],
)
def test_what_is_held_back_before_anything_is_asked(name: str, held: tuple[Held, ...], why: str) -> None:
    draft = differ(name).draft_user(ANN, user(name, *held), 1)
    assert draft is not None
    assert (draft.planned, [problem.why.partition(" (")[0] for problem in draft.held]) == ((), [why])


def test_a_naming_attribute_is_never_written_though_a_value_of_it_that_is_right_is_in_step() -> None:
    """By whatever name of the attribute the entry is named."""
    info = AttributeInfo("mail", definition=AttributeDefinition(aliases=frozenset({"mail", "rfc822mailbox"})))
    mapping = Mapping((), (replace(RULES["mail"], when_absent="clear"),))
    found = UserComparer(Tenant([]), mapping, Description("t", "t", {"mail": info}))
    for naming in ("MAIL=1", "rfc822mailbox=2+cn=x"):
        draft = found.draft_user(ANN, User("id", f"{naming},dc=example", {"mail": ("2",)}), 1)
        assert draft is not None
        assert (draft.planned, [problem.why for problem in draft.held]) == (
            (),
            ["it names the entry; a naming attribute is never written"],
        )
        assert found.draft_user(ANN, User("id", f"{naming},dc=example", {"mail": ("1",)}), 1) is None
        assert found.draft_user(NOBODY, User("id", f"{naming},dc=example", {}), 1) is None, "nothing is to be cleared"
    assert found.draft_user(ANN, User("id", "cn=x,mail=1,dc=example", {"mail": ("2",)}), 1) is not None


def test_it_is_told_what_each_template_makes_as_the_attribute_can_hold_it() -> None:
    mapping = Mapping((), (RULES["mail"], RULES["uri"], replace(RULES["one"], value=Template.parse("tel:{workNo}"))))
    found = UserComparer(Tenant([]), mapping, Description("t", "t", INFOS))
    assert found.fit_values(ANN) == {"mail": ("1",), "uri": ("sip:1",), "one": (None,)}
    assert found.fit_values(NOBODY) == {"mail": (None,), "uri": (None,), "one": (None,)}


AGENTS: Final = st.builds(
    Agent, st.just(1), st.just("ann"), st.sampled_from([None, "1", "a", "A b"]), st.sampled_from([None, Secret("new")])
)
HELD: Final = st.lists(
    st.sampled_from(["1", "a", "A b", "a  B", "", "sip:1", "sip:a", "SIP:1", "tel:1", b"1", b"\xff", Secret("new")]),
    max_size=3, unique_by=repr,
).map(tuple)  # fmt: skip


@given(
    agent=AGENTS,
    values=st.dictionaries(st.sampled_from(list(RULES)), HELD),
    names=st.lists(st.sampled_from(list(RULES)), unique=True),
    clear=st.booleans(),
)
def test_a_user_is_in_step_if_each_attribute_is_by_itself(
    agent: Agent, values: dict[str, tuple[Held, ...]], names: list[str], *, clear: bool
) -> None:
    rules = [replace(RULES[name], when_absent="clear" if clear else "keep") for name in names]
    of, *alone = (
        UserComparer(Tenant([]), Mapping((), tuple(some)), Description("t", "t", INFOS))
        for some in (rules, *([rule] for rule in rules))
    )
    held = User("id", "cn=x", {name: found for name, found in values.items() if found})
    whole, apart = of.draft_user(agent, held, 1), [draft for one in alone if (draft := one.draft_user(agent, held, 1))]
    assert (whole is None) == (not apart)
    if whole is not None:
        assert whole.planned == tuple(each for draft in apart for each in draft.planned)
        assert whole.held == tuple(problem for draft in apart for problem in draft.held)


def test_a_first_value_beside_those_of_others_is_planned_as_one_that_is_shown() -> None:
    draft = differ("uri").draft_user(ANN, user("uri", "tel:1"), 1)
    assert draft is not None
    assert draft.shows == {"uri"}
    for held in ((), ("tel:1", "sip:2")):
        other = differ("uri").draft_user(ANN, user("uri", *held), 1)
        assert other is not None
        assert other.shows == frozenset()


@pytest.mark.parametrize(
    ("aliases", "dn", "names"),
    [
        ((), "MAIL=2,dc=example", True),
        (("rfc822mailbox",), "rfc822Mailbox=2+cn=a,dc=example", True),
        (("rfc822mailbox",), "cn=a,mail=2", False),
    ],
)
def test_an_attribute_that_names_the_user_is_not_written_by_whatever_name(
    aliases: tuple[str, ...], dn: str, names: bool
) -> None:
    infos = {**INFOS, "mail": AttributeInfo("mail", definition=AttributeDefinition(aliases=frozenset(aliases)))}
    of = UserComparer(Tenant([]), Mapping((), (RULES["mail"],)), Description("test", "test", infos))
    draft = of.draft_user(ANN, User("id-1", dn, {"mail": ("2",)}), 1)
    assert draft is not None
    assert (bool(draft.held), bool(draft.planned)) == (names, not names)


def ours(*values: str, secret: str = "") -> Owned:
    print_ = PRINT(user("seen").ref, "seen", secret) if secret else None
    return Owned("run", tuple(digest_value(Equality.CASE_IGNORE, value) for value in values), print_)


@pytest.mark.parametrize(
    ("name", "held", "owned", "adopt", "planned", "theirs"),
    [
        ("mail", ("1",), ours("1"), False, (("1",), (), True), False),
        ("mail", ("2",), ours("1"), False, None, True),
        ("mail", ("2",), ours("1"), True, (("2",), (), True), False),
        ("mail", ("2",), None, True, (("2",), (), True), False),
        ("mail", ("2",), None, False, None, False),
        ("mail", (), ours("1"), False, None, False),
        ("uri", ("tel:1", "sip:1", "sip:2"), ours("sip:1"), False, (("sip:1", "sip:2"), ("sip:2",), True), True),
        ("uri", ("tel:1", "sip:1"), ours("sip:1", "tel:1"), False, (("sip:1",), (), True), False),
        ("uri", ("tel:1",), ours("sip:1"), False, None, False),
        ("seen", (Secret("x"),), ours(secret="x"), False, ((Secret("x"),), (), True), False),
        ("seen", (Secret("y"),), ours(secret="x"), False, None, True),
        ("seen", (), ours(secret="x"), False, None, False),
        ("unseen", (), ours(secret="x"), False, ((), (), False), False),
        ("unseen", (), None, False, None, False),
    ],
)
def test_of_a_user_whom_nobody_claims_goes_what_this_job_wrote_or_adopts(
    name: str, held: tuple[Held, ...], owned: Owned | None, adopt: bool, planned: Planned | None, theirs: bool
) -> None:
    found = Leaver(user(name).ref, {name.upper(): owned} if owned else {}, frozenset({name} if adopt else ()))
    draft = differ(name, adopt=adopt).draft_clearing(user(name, *held), found, PRINT)
    assert [(each.old, each.new, each.seen) for each in draft.planned] == ([planned] if planned else [])
    assert [problem.why for problem in draft.held] == ([CHANGED] if theirs else [])
    assert draft.agent is None


GONE: Final = (("sip:1",), (), False)
"""A value of ours that the directory took, taken out without being seen."""


@pytest.mark.parametrize(
    ("held", "unshown", "change", "planned", "why"),
    [
        ((), ("sip:1",), {"readable": None}, GONE, None),
        ((), ("sip:1",), {"hides": True}, GONE, None),
        ((), ("sip:1",), {}, None, None),
        ((), ("sip:1",), {"readable": None, "by_value": False}, None, UNSHOWN_LEAVER),
        ((), ("sip:1",), {"readable": None, "comparable": False}, None, UNSHOWN_LEAVER),
        ((), (), {"readable": None}, None, UNSHOWN_LEAVER),
        (("sip:1", "tel:1"), ("sip:1",), {"readable": None}, (("sip:1",), (), True), None),
        (("sip:1", "sip:2"), ("sip:1",), {}, (("sip:1", "sip:2"), ("sip:2",), True), CHANGED),
        (("sip:2",), ("sip:1",), {}, None, CHANGED),
        (("sip:2",), (), {}, None, None),
    ],
)
def test_of_a_leaver_goes_what_the_directory_took_and_did_not_show(
    held: tuple[str, ...], unshown: tuple[str, ...], change: dict[str, Any], planned: Planned | None, why: str | None
) -> None:
    """By its value where it is not shown still, if the server takes that; what is shown by now is known again."""
    of_server = {name: change[name] for name in ("hides", "by_value") if name in change}
    of_attribute = {name: value for name, value in change.items() if name not in of_server}
    infos = {**INFOS, "uri": replace(INFOS["uri"], **of_attribute)}
    description = Description(
        "test",
        "test",
        infos,
        reading=ReadRules(hides=of_server.get("hides", False)),
        writing=WriteRules(by_value=of_server.get("by_value", True)),
    )
    of = UserComparer(Tenant([]), Mapping((), (RULES["uri"],)), description)
    found = Leaver(user("uri").ref, unshown={"uri": unshown})
    draft = of.draft_clearing(user("uri", *held), found, PRINT)
    assert [(each.old, each.new, each.seen) for each in draft.planned] == ([planned] if planned else [])
    assert [problem.why for problem in draft.held] == ([why] if why else [])


def test_what_a_leaver_may_hide_is_cleared_unseen_only_where_it_is_a_secret() -> None:
    infos = {**INFOS, "uri": replace(INFOS["uri"], readable=None)}
    of = UserComparer(Tenant([]), Mapping((), (RULES["uri"],)), Description("test", "test", infos))
    assert of.draft_clearing(user("uri"), Leaver(user("uri").ref, {"uri": ours("sip:1")}), PRINT).planned == ()


@pytest.mark.parametrize(("held", "expected"), [(("tel:1",), set()), (("sip:1", "tel:1"), {"uri"}), ((), set())])
def test_what_is_adopted_is_what_an_attribute_holds_of_ours(held: tuple[Held, ...], expected: set[str]) -> None:
    assert differ("uri", adopt=True).list_adopted(user("uri", *held)) == expected
    assert differ("uri").list_adopted(user("uri", *held)) == set()


@pytest.mark.parametrize(
    ("syntax", "good", "bad"),
    [
        (Syntax.DEFINED, "2.5.4.3", "1.2.3"),
        (Syntax.DN, "cn=a", "nosuch=a"),
        (Syntax.NAME_AND_UID, "cn=a#'01'B", "nosuch=a#''B"),
    ],
)
def test_names_that_a_server_parses_are_held_to_its_schema_where_that_is_known(
    syntax: Syntax, good: str, bad: str
) -> None:
    known = known_schema()
    mapping = Mapping((), (AttributeRule("kind", Template.parse("{sipAccount}")),))
    described = Description("t", "t", {"kind": AttributeInfo("kind", syntax=syntax)})
    for value, types, fits in ((good, known.types, True), (bad, known.types, False), (bad, {}, True)):
        found = UserComparer(
            Tenant([]),
            mapping,
            replace(described, schema=replace(described.schema, types=types, classes=known.classes if types else {})),
        )
        draft = found.draft_user(Agent(1, "ann", value), user("mail"), 1)
        assert draft is not None
        assert bool(draft.planned) is fits
        assert bool(draft.held) is not fits
        assert all(each.agent == AgentRef(1, "ann") for each in draft.held)


def test_a_mapping_that_the_schema_forbids_is_refused_with_all_that_is_wrong() -> None:
    rules = tuple(AttributeRule(name, Template.parse("{workNo}"), line=line) for line, name in enumerate(("a", "b"), 3))
    infos = {name: AttributeInfo(name, writable=False) for name in ("a", "b")}
    with pytest.raises(FileError) as fault:
        UserComparer(Tenant([]), Mapping((), rules, where="m.yaml"), Description("t", "t", infos))
    assert [line.partition(" cannot")[0] for line in str(fault.value).splitlines()] == ["m.yaml:3: a", "m.yaml:4: b"]


def test_a_field_that_the_tenant_lacks_is_told_with_what_is_made_of_it() -> None:
    """Of what several templates make, the others are made all the same."""
    whole = AttributeRule("mail", Template.parse("{sipServiceIp}"))
    part = AttributeRule("uri", Template.parse("{sipServiceIp}"), owns="*", more=(Template.parse("{sipAccount}"),))
    found = UserComparer(Tenant([]), Mapping((), (whole, part)), Description("t", "t", INFOS))
    assert [(each.kind, each.why) for each in found.problems] == [
        ("tenant", "the tenant has no sipServiceIp; nothing is planned for mail"),
        ("tenant", "the tenant has no sipServiceIp; values made of it are kept in uri"),
    ]
    draft = found.draft_user(ANN, user("uri"), 1)
    assert draft is not None
    assert [(each.name, each.new) for each in draft.planned] == [("uri", ("1",))]


@pytest.mark.parametrize(
    ("held", "most"),
    [
        ({"mail": ("1",), "uri": ("sip:1",), "one": ("sip:1",)}, True),
        ({"mail": ("1",), "uri": ("sip:1",)}, True),
        ({"mail": ("1",)}, False),
        ({"mail": ("1",), "uri": ("sip:1",), "one": ("tel:1",)}, True),
        ({"mail": ("1",), "uri": ("sip:2",), "one": ("tel:1",)}, False),
        ({}, False),
    ],
)
def test_a_user_holds_most_of_what_is_wanted_if_more_than_half_is_in_step(
    held: dict[str, tuple[str, ...]], most: bool
) -> None:
    """What is held back is not in step."""
    found = UserComparer(Tenant([]), Mapping((), tuple(RULES[name] for name in ("mail", "uri", "one"))),
                   Description("t", "t", INFOS))  # fmt: skip
    draft = found.draft_user(ANN, User("id-1", "uid=ann", held), 1)
    assert found.holds_most(ANN, draft) is most


def test_a_secret_that_nobody_sees_may_be_there_and_does_not_tell_by_itself() -> None:
    both = UserComparer(Tenant([]), Mapping((), (RULES["mail"], RULES["unseen"])), Description("t", "t", INFOS))
    for mail, most in (("1", True), ("2", False)):
        assert both.holds_most(ANN, both.draft_user(ANN, user("mail", mail), 1)) is most
    alone = differ("unseen")
    assert not alone.holds_most(ANN, alone.draft_user(ANN, user("unseen"), 1))
    assert not alone.holds_most(ANN, None)
    assert not alone.holds_most(NOBODY, None)
    assert differ("mail").holds_most(ANN, None)


@pytest.mark.parametrize("word", ["x", "y"])
def test_a_leavers_secret_that_may_be_hidden_and_is_shown_is_known_by_its_value(word: str) -> None:
    held = user("unseen", Secret(word))
    found = Leaver(held.ref, {"unseen": Owned("run", (), PRINT(held.ref, "unseen", "x"))})
    draft = differ("unseen").draft_clearing(held, found, PRINT)
    planned = [(each.old, each.new, each.seen) for each in draft.planned]
    assert planned == ([((Secret("x"),), (), True)] if word == "x" else [])
    assert [problem.why for problem in draft.held] == ([CHANGED] if word == "y" else [])
