"""Fast is slow: users that are taken many at once make the same claims as one by one, and are the same users."""

from __future__ import annotations

import pytest
from hypothesis import event, example, given, settings, strategies as st
from msgspec.structs import replace

from connector.matching import claims as module
from connector.matching.claims import MOST_HASHES, Claims
from connector.matching.people import Pin
from connector.matching.roster import Roster
from connector.model import Agent, AttributeInfo, Batch, Description, Equality, Held, Secret, Tenant, User
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.compare.differences import Differ
from tests.support.batches import in_batches
from tests.support.examples import examples

INFOS = {name: AttributeInfo(name) for name in ("uid", "mail", "employeeNumber", "sn", "title")}
INFOS |= {"cn": AttributeInfo("cn", equality=Equality.CASE_EXACT), "uidNumber": AttributeInfo("uidNumber")}
INFOS["uidNumber"] = AttributeInfo("uidNumber", equality=Equality.INTEGER)
DESCRIPTION = Description("test", "test", INFOS)
RULES = (("{accountCode}", "uid"), ("{accountCode}", "mail"), ("{sipAccount}", "cn"), ("{workNo}", "uidNumber"))
PLAIN = ["ann", "ann", "ann", "bob"]
ODD = ["ANN", "ann b", "ann  b", "\u00e9", "e\u0301", "ann\u200b", ""]
WORDS = st.one_of(st.sampled_from(PLAIN), st.sampled_from(PLAIN), st.sampled_from([*PLAIN, *ODD]))
NUMBERS = st.sampled_from(["7", "7", "7", "8"])
AGENTS = st.builds(Agent, st.sampled_from([7, 7, 8]), st.one_of(WORDS, WORDS, st.none()), st.none() | WORDS)
Shown = dict[str, tuple[Held, ...]]
SHARED: tuple[Shown, ...] = (
    {},
    {},
    {},
    {"sn": ("ann", "bob")},
    {"employeeNumber": ("7", "9")},
    {"uid": ("ann", "bob")},
    {"title": (Secret("ann"),)},
)


@st.composite
def shown(draw: st.DrawFn) -> list[Shown]:
    """What users show, one after the other, some of them alike."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.sets(st.sampled_from(sorted(INFOS)), max_size=3)) | {"uid", "employeeNumber"}
        if draw(st.booleans()):
            names -= {draw(st.sampled_from(["uid", "employeeNumber"]))}
        shared = draw(st.sampled_from(SHARED))
        for _ in range(draw(st.integers(1, 4))):
            values = {name: (draw(NUMBERS if "umber" in name else WORDS),) for name in sorted(names)}
            found.append(values | shared)
    return found


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    rules = draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=3, unique_by=lambda rule: rule[1]))
    rules = [RULES[0]] if draw(st.booleans()) else rules
    match = tuple(MatchRule(Template.parse(text), name) for text, name in rules)
    attributes = [AttributeRule("employeeNumber", Template.parse("{workNo}"))]
    attributes += draw(st.sampled_from([[], [], [], [AttributeRule("sn", Template.parse("{accountCode}"), owns="*")]]))
    attributes += draw(st.sampled_from([[], [], [], [AttributeRule("title", Template.parse("{sipPwd}"), secret=True)]]))
    return Mapping(match=match, attributes=tuple(attributes))


FIRST: Shown = {"uid": ("zed",), "sn": ("zed",)}
"""Until somebody has shown a value of a match attribute, nobody is taken at once."""
IN_STEP: Shown = {"uid": ("ann",), "employeeNumber": ("7",)}
OTHER: Shown = {"uid": ("bob",), "employeeNumber": ("8",)}
ONE_RULE = Mapping(
    match=(MatchRule(Template.parse("{accountCode}"), "uid"),),
    attributes=(AttributeRule("employeeNumber", Template.parse("{workNo}")),),
)
SECRET = AttributeRule("title", Template.parse("{sipPwd}"), secret=True)
RARELY = st.integers(0, 5).map(lambda number: number == 0)


@settings(max_examples=examples(1000))
@given(
    st.lists(AGENTS, max_size=3, unique_by=lambda agent: agent.account_code) | st.lists(AGENTS, max_size=3),
    shown(),
    mappings(),
    RARELY,
    RARELY,
)
@example([Agent(7, "ann")], [IN_STEP, IN_STEP], ONE_RULE, False, False)
@example([Agent(7, "ann")], [IN_STEP | {"employeeNumber": ("8",)}, IN_STEP], ONE_RULE, False, False)
@example([Agent(7, "ann")], [IN_STEP, OTHER], ONE_RULE, False, True)
@example([Agent(7, "ann\u200b")], [IN_STEP, OTHER], ONE_RULE, False, False)
@example(
    [Agent(7, "ann", None, Secret("made-up"))], [IN_STEP, OTHER], replace(ONE_RULE, attributes=(SECRET,)), False, False
)
def test_claims_are_the_same_however_users_come(
    agents: list[Agent], held: list[Shown], mapping: Mapping, pinned: bool, looked_up: bool
) -> None:
    users = [User(f"id-{n % 9}", f"uid=u{n % 9},dc=example", values) for n, values in enumerate([FIRST, *held])]
    tenant = Tenant(agents)
    pins = [Pin("ann", None, "id-1")] if pinned else []
    found = []
    for come in (users, in_batches(users)):
        claims = Claims(Roster(tenant, mapping, pins, DESCRIPTION), Differ(tenant, mapping, DESCRIPTION))
        claims.asked |= {"uid"} if looked_up else set()
        for each in come:
            event(f"{type(each).__name__}")
            for user in claims.take(each) if isinstance(each, Batch) else (each,):
                claims.add(user)
        verdicts = claims.settle(tenant)
        problems = (verdicts.unmatched, verdicts.ambiguous, verdicts.contested, verdicts.unassigned, verdicts.unsure)
        settled = (len(verdicts.matched), verdicts.matched.differing, verdicts.claimed(), list(verdicts.matched))
        told = (
            claims.found(),
            claims.shown,
            claims.shows,
            claims.proven,
            [{claim.id: claim for claim in claims.of(number)} for number in range(len(agents))],
        )
        doubts = {(doubt.agent, doubt.rule, doubt.user.id): doubt for doubt in claims.doubts()}
        found.append((told, doubts, problems, settled, verdicts.unidentified))
    assert found[0] == found[1]


@pytest.mark.parametrize("most", [1, MOST_HASHES])
@pytest.mark.parametrize("ids", ["abcd", "abca", "aabc", "abba"])
def test_agents_whose_users_say_one_id_are_rivals_in_one_batch_and_in_two(
    ids: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HASHES", most)
    tenant = Tenant([Agent(number, name) for number, name in enumerate(["ann", "bob", "eve", "joe"], start=7)])
    held: list[Shown] = [
        {"uid": (str(each.account_code),), "employeeNumber": (str(each.work_no),)} for each in tenant.agents
    ]
    users = [User(id_, f"uid={id_}", values) for id_, values in zip(ids, held, strict=True)]
    claims = Claims(Roster(tenant, ONE_RULE, [], DESCRIPTION), Differ(tenant, ONE_RULE, DESCRIPTION))
    claims.add(User("z", "uid=z", FIRST))
    for batch in (*in_batches(users[:2]), *in_batches(users[2:])):
        assert isinstance(batch, Batch)
        assert not list(claims.take(batch))
    verdicts = claims.settle(tenant)
    assert set(verdicts.contested) == {number for number, id_ in enumerate(ids) if ids.count(id_) > 1}
    assert len(verdicts.matched) == 4 - len(verdicts.contested)
