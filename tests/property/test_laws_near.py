"""Near misses over random worlds: hints that change nothing, and that are the same however users are got at."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from connector.apply.sync import make_plan
from connector.model import Plan, dn
from connector.model.digests import digest_of_plan
from tests.support.worlds import BASE, World, worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def plan(world: World) -> Plan:
    with world.context() as context:
        return make_plan(context).plan


@pytest.mark.slow
@law
@given(worlds())
def test_whoever_is_near_is_within_reach_and_is_nobodys(world: World) -> None:
    drawn = plan(world)
    changed = {change.user.name for change in drawn.changes if change.agent}
    for problem in drawn.problems:
        assert problem.near == () or problem.kind == "unmatched"
        for near in problem.near:
            assert dn.is_below(near.user, dn.split_rdns(BASE))
            assert near.user not in changed


@pytest.mark.slow
@law
@given(worlds())
def test_a_plan_has_the_same_digest_without_its_hints(world: World) -> None:
    drawn = plan(world)
    bare = replace(drawn, problems=tuple(replace(problem, near=()) for problem in drawn.problems))
    assert digest_of_plan(bare) == drawn.digest
