"""What somebody else took away from a user that no agent claims is ours no longer, and the user is named once."""

from __future__ import annotations

import pytest

from connector.model import Agent, Tenant
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.standing import CHANGED
from tests.support.memory import MemoryStore
from tests.support.replicas import SERVERS, Replicas, ours
from tests.support.worlds import BASE, World

LINE = "SIPIdentityUserName"
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (AttributeRule(LINE, Template.parse("{sipAccount}"), owns="*"),),
    stale="clear",
)
CLASSES = ["inetOrgPerson", "SIPIdentity"]


def left_with(*values: str) -> Replicas:
    """A user on server one who has left, and of whose line somebody has made these values."""
    store = MemoryStore({"id-0": (f"uid=u0,{BASE}", {"objectClass": CLASSES, "uid": ["u0"]})})
    replicas = Replicas(World(Tenant([Agent(1, "u0", "71")]), store, MAPPING))
    replicas.apply()
    assert len(ours(replicas)) == 1
    replicas.world.store.put("id-0", f"uid=u0,{BASE}", {"objectClass": CLASSES, "uid": ["u0"], LINE: list(values)})
    replicas.world.tenant = Tenant([Agent(9, "nobody")])
    return replicas


def named(replicas: Replicas) -> int:
    return sum(each.kind == "stale" for each in replicas.apply().plan.problems)


def test_who_holds_nothing_any_more_is_named_once() -> None:
    replicas = left_with()
    assert (named(replicas), ours(replicas), named(replicas)) == (1, [], 0)


def test_who_holds_somebody_else_s_value_is_named_each_time() -> None:
    replicas = left_with("theirs")
    for _ in range(3):
        plan = replicas.apply().plan
        assert [(each.attribute, each.why) for each in plan.problems if each.kind == "stale"] == [(LINE, CHANGED)]
        assert plan.summary.stale == 0
    assert len(ours(replicas)) == 1


@pytest.mark.parametrize(
    ("values", "compares", "stays"), [((), True, False), (("theirs",), True, True), ((), False, True)]
)
def test_a_value_that_may_be_hidden_is_asked_for(values: tuple[str, ...], *, compares: bool, stays: bool) -> None:
    """Somebody has hidden the attribute since; without a comparison nobody knows whether the value is there."""
    replicas = left_with(*values)
    store = replicas.world.store
    store.hidden, store.compares = frozenset({LINE.lower()}), compares
    assert named(replicas) == 1
    assert (bool(named(replicas)), bool(ours(replicas))) == (stays, stays)


def test_a_server_that_was_not_told_of_a_value_does_not_tell_that_it_is_away() -> None:
    replicas = left_with()
    replicas.serve(SERVERS[1])
    assert (named(replicas), named(replicas), len(ours(replicas))) == (1, 1, 1)
