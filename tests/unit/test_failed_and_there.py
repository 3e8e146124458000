"""Writes that are told as failed, and of which the server holds something: read again, they are ours, and undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connector.apply.sync import apply_run, apply_undo, dry_run, dry_undo
from connector.directories.port import Directory
from connector.directories.scim.protocol import Answer, Request
from connector.model import Agent, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.memory import MemoryStore
from tests.support.scim_provider import ACCOUNT, SEAT, Provider, opened, said, user
from tests.support.worlds import World

USERS = 3
Odd = Callable[[Provider, Request], Answer | None]


def erases(provider: Provider, request: Request) -> Answer | None:
    """A value that is none of ours is gone with each write."""
    if request.method != "PATCH":
        return None
    answer = provider.answer(request)
    id_ = request.path.rpartition("/")[2]
    provider.set(id_, title=None)
    return answer if answer.status >= 300 else said(provider.shown(id_), request=request)


def does_a_part(provider: Provider, request: Request) -> Answer | None:
    """The first operation is done and the second refused; neither is anything ever taken back."""
    if request.method != "PATCH":
        return None
    operations = request.body["Operations"]
    if operations[0].get("value") is not None:
        provider.answer(Request("PATCH", request.path, (), request.body | {"Operations": operations[:1]}))
    return said({"detail": "no more"}, 400, request=request)


def world(odd: Odd) -> tuple[Provider, World]:
    provider = Provider(*(user(n) for n in range(1, USERS + 1)), etag=False)
    provider.meddle = lambda request: odd(provider, request)
    rules = tuple(AttributeRule(name, Template.parse(text)) for name, text in
                  ((SEAT, "{workNo}"), (ACCOUNT, "{accountCode}")))  # fmt: skip
    match = (MatchRule(Template.parse("{accountCode}"), "userName"),)
    tenant = Tenant([Agent(n, f"agent{n:03}", None) for n in range(1, USERS + 1)])

    def connect(view: View) -> Directory:
        return opened(provider, view)

    return provider, World(tenant, MemoryStore({}), Mapping(match, rules), connect=connect)


def held(provider: Provider) -> list[dict[str, object]]:
    schema = SEAT.rpartition(":")[0]
    return [provider.stored(f"u{n}").get(schema, {}) for n in range(1, USERS + 1)]


@pytest.mark.parametrize("look_first", [True, False])
@pytest.mark.parametrize("odd", [erases, does_a_part])
def test_an_undo_takes_back_what_a_failed_write_has_left(odd: Odd, look_first: bool) -> None:
    provider, of = world(odd)
    with of.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    assert [outcome.result for outcome in run.outcomes or ()] == [Result.FAILED] * USERS
    assert run.touched
    assert any(held(provider)), "something was written"
    provider.meddle = lambda request: None
    with of.back(run.plan.id) as context:
        if look_first:
            shown = dry_undo(context, lambda plan, outcomes: None).plan
            assert len(shown.changes) == sum(map(bool, held(provider)))
        back = apply_undo(context, lambda plan, outcomes: None)
    assert [outcome.result for outcome in back.outcomes or ()] == [Result.WRITTEN] * len(back.plan.changes)
    assert held(provider) == [{}] * USERS


def test_what_a_failed_write_has_left_is_ours_from_the_next_run_on() -> None:
    provider, of = world(erases)
    with of.context() as context:
        first = apply_run(context, lambda plan, outcomes: None).plan
    of.tenant = Tenant([Agent(n, f"agent{n:03}", None) for n in range(2, USERS + 1)])
    provider.meddle = lambda request: None
    with of.context() as context:
        assert dry_run(context, lambda plan, outcomes: None).plan.changes == ()
        apply_run(context, lambda plan, outcomes: None)
        problems = dry_run(context, lambda plan, outcomes: None).plan.problems
    assert [problem.kind for problem in problems] == ["stale"]
    counts = {record.id: record.outcomes for record in of.state.history.list_runs(of.job)}
    assert counts[first.id] == {"written": USERS}
