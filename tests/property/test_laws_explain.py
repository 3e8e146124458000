"""An explanation says of an agent what the plan says of it, whatever the world."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import apply_run, make_plan
from connector.explain.explainer import explain_name
from connector.model import Agent, Plan, Problem, Tenant
from connector.model.mapping import MatchRule
from connector.model.templates import Template
from connector.planning.explanation import Explanation
from tests.support.examples import examples
from tests.support.worlds import SEATS, World, busy_worlds, later, worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def explanations(world: World) -> tuple[Plan, list[Explanation]]:
    """The plan, and every record explained: those that share an account or a seat come under both."""
    with world.context() as context:
        plan = make_plan(context).plan
        names = {name for agent in world.tenant.agents for name in (agent.account_code, str(agent.work_no)) if name}
        return plan, [explained for name in sorted(names) for explained in explain_name(context, name).explanations]


def bare(problem: Problem) -> Problem:
    """A line without its hints: an explanation names those whom others claim as well."""
    return replace(problem, near=())


UNREADABLE = "unreadable"
"""A line for one user in a plan may be one for all in an explanation, which reads fewer users that show something.

So may the line of what is held back with it."""


def agree(plan: Plan, explained: Explanation) -> None:
    """The explanation has the plan's own lines for this agent, and tells them in its words."""
    changes = [change for change in plan.changes if change.agent == explained.agent]
    assert ([explained.change] if explained.change else []) == changes
    ours = {bare(problem) for problem in plan.problems if problem.agent == explained.agent and problem.record is None}
    said = {bare(problem) for problem in explained.problems if problem.agent == explained.agent}
    alone = {problem for problem in ours if problem.kind == UNREADABLE}
    with_it = {
        problem
        for problem in ours
        if problem.kind == "together" and any(f"held back with {each.attribute}" in problem.why for each in alone)
    }
    assert {problem.why for problem in with_it} <= {problem.why for problem in explained.problems}
    unseen = {problem.why for problem in explained.problems if problem.kind == UNREADABLE}
    hidden = {trace.name for trace in explained.attributes if trace.why in unseen}
    assert {problem.attribute for problem in alone} <= hidden
    assert hidden <= {each.attribute for each in plan.problems if each.kind == UNREADABLE and not each.agent} | {
        problem.attribute for problem in alone
    }
    ours, said = ours - alone - with_it, {problem for problem in said if problem.kind != UNREADABLE} - with_it
    # records that share a seat and an account have lines that name both alike
    assert said <= ours if explained.verdict == "contested" else said == ours
    if explained.user:
        name = explained.user.name
        lines = {bare(line) for line in plan.problems if line.agent is None and name in line.users}
        assert {bare(line) for line in explained.problems if line.agent is None and line.users} == lines
    changed = {each.name for each in explained.change.attributes} - {"objectClass"} if explained.change else set()
    assert {trace.name for trace in explained.attributes if trace.outcome in {"set", "cleared"}} == changed


def verdicts(explained: list[Explanation]) -> dict[str, int]:
    seats = {(each.agent, each.verdict) for each in explained}
    return {verdict: sum(1 for _, other in seats if other == verdict) for _, verdict in seats}


@law
@given(worlds(), st.data())
def test_an_explanation_says_what_the_plan_says(world: World, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        with world.context() as context:
            apply_run(context, lambda plan, outcomes: None)
        world.tenant = data.draw(later(world.tenant))
    plan, explained = explanations(world)
    for each in explained:
        agree(plan, each)
    if len({agent.work_no for agent in world.tenant.agents}) == len(world.tenant.agents):
        counts = verdicts(explained)
        for verdict in ("matched", "unmatched", "ambiguous", "contested", "unassigned"):
            assert counts.get(verdict, 0) == getattr(plan.summary, verdict)


KNOTTED = replace(
    SEATS, match=(*SEATS.match, MatchRule(Template.parse("{sipAccount}"), "telephoneNumber"))
)  # an agent without a line and without a user could not be looked for


@st.composite
def knotted(draw: st.DrawFn) -> Tenant:
    """Few users for some more agents, who want one another's lines and seats, the same ones, or none."""
    accounts = draw(st.lists(st.sampled_from([f"u{number}" for number in range(6)]), min_size=1, unique=True))
    accounts += ["stranger"] if not draw(st.integers(0, 3)) else []
    seats = draw(st.permutations(range(8)))
    lines = st.none() | st.integers(0, 3).map(str)
    return Tenant([Agent(seat, account, draw(lines)) for seat, account in zip(seats, accounts, strict=False)])


@pytest.mark.slow
@law
@given(busy_worlds(), knotted(), knotted())
def test_also_where_several_want_a_value_or_wait_for_one_that_is_nobodys_any_more(
    world: World, before: Tenant, after: Tenant
) -> None:
    world.mapping, world.tenant = KNOTTED, before
    with world.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    world.tenant = after
    plan, explained = explanations(world)
    for each in explained:
        agree(plan, each)


@pytest.mark.slow
@law
@given(busy_worlds(), st.data())
def test_also_where_single_holder_values_go_round_and_nobodys_are_cleared(world: World, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        with world.context() as context:
            apply_run(context, lambda plan, outcomes: None)
        world.tenant = data.draw(later(world.tenant))
    plan, explained = explanations(world)
    for each in explained:
        agree(plan, each)


@pytest.mark.slow
@settings(law, max_examples=examples(50))
@given(worlds(), st.data())
def test_also_where_attributes_may_not_be_read(world: World, data: st.DataObject) -> None:
    names = st.sampled_from([rule.name for rule in world.mapping.attributes])
    world.store.hidden |= frozenset(map(world.store.schema.attribute_key, data.draw(st.sets(names))))
    users = st.sets(st.sampled_from(sorted(world.store.entries)))
    world.store.veiled, world.store.mute = data.draw(st.none() | users), data.draw(users)
    plan, explained = explanations(world)
    for each in explained:
        agree(plan, each)
