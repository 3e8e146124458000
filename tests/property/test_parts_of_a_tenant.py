"""Jobs that share a tenant by `source.only` and `source.except` plan for their agents as one job would for all."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import apply_run, make_plan
from connector.model import AgentRef, Plan
from tests.support.examples import examples
from tests.support.worlds import World, later, worlds


def plan(world: World) -> Plan:
    with world.context() as context:
        return make_plan(context).plan


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=examples(60))
@given(worlds(), st.data())
def test_a_part_is_planned_as_in_the_whole(world: World, data: st.DataObject) -> None:
    rules = tuple(replace(rule, unique=False) for rule in world.mapping.attributes)  # who waits for whom may differ
    world.mapping = replace(world.mapping, attributes=rules)
    with world.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    world.tenant = data.draw(later(world.tenant))
    whole = plan(world)
    agents = world.tenant.agents
    others = data.draw(st.frozensets(st.sampled_from(range(len(agents))) if agents else st.nothing()))
    theirs = {AgentRef(agents[number].work_no, agents[number].account_code) for number in others}
    ours = {AgentRef(agent.work_no, agent.account_code) for n, agent in enumerate(agents) if n not in others}
    world.tenant = replace(world.tenant, others=others)
    part = plan(world)
    if world.tenant.size:
        wanted = [change for change in whole.changes if change.agent is None or change.agent in ours - theirs]
        found = [change for change in part.changes if change.agent is None or change.agent in ours - theirs]
        assert [change.digest for change in found] == [change.digest for change in wanted]
    else:
        assert "agents" in {refusal.limit for refusal in part.refusals}
    assert {change.agent for change in part.changes} <= ours | {None}
    assert not {problem.agent for problem in part.problems} & (theirs - ours)
    counted = part.summary
    without = counted.unmatched + counted.ambiguous + counted.contested + counted.unassigned + counted.invalid
    assert counted.agents == world.tenant.size == counted.matched + without
    assert (("not this job's", f"{len(others)} agents of the source") in part.about) == bool(others)
