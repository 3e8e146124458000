"""Two jobs of one state on one directory: whose an attribute is, when it passes on, and what a reader is told of that.

Law 10 holds any jobs to keeping apart (`test_other_writers.py`); here each rule has the case it is there for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pytest
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, apply_undo, dry_run
from connector.model import Agent, Change, Outcome, Plan, Result, Tenant
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.runtime.clock import format_now
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import DeathError
from tests.support.worlds import BASE, FILTER, World, passing_state

LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
SEAT = AttributeRule("employeeNumber", Template.parse("{workNo}"))
TITLE = AttributeRule("title", Template.parse("agent {workNo}"), owns="agent *")


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def plan(of: World) -> Plan:
    with of.context() as context:
        return dry_run(context, quiet).plan


def apply(of: World) -> FinishedRun:
    with of.context() as context:
        return apply_run(context, quiet)


def jobs(first: Sequence[AttributeRule], second: Sequence[AttributeRule], count: int = 3) -> tuple[World, World]:
    """`hr` claims all of so many users, and has written to them; `it` claims the same ones by other seats."""
    store = MemoryStore(
        {
            f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "cn": [f"U {n}"]})
            for n in range(count)
        }
    )
    state = passing_state()
    hr = World(Tenant([Agent(n, f"u{n}") for n in range(count)]), store, Mapping(LOOKS, tuple(first)), state=state)
    it = World(
        Tenant([Agent(n + 50, f"u{n}") for n in range(count)]), store, Mapping(LOOKS, tuple(second)), state=state
    )
    hr.job, it.job = "hr", "it"
    assert len(apply(hr).plan.changes) == count
    return hr, it


def changed(drawn: Plan) -> dict[str, list[str]]:
    return {change.user.id: [each.name for each in change.attributes] for change in drawn.changes}


def told(drawn: Plan) -> dict[str, str]:
    """What the heading of the plan says of other jobs."""
    return {name: said for name, said in drawn.about if name.startswith("job ")}


def test_what_another_job_wrote_last_is_left_to_it_attribute_by_attribute_and_named() -> None:
    hr, it = jobs([SEAT], [SEAT, TITLE])
    drawn = plan(it)
    assert changed(drawn) == {f"id-{n}": ["title"] for n in range(3)}
    lines = [(problem.users, problem.attribute, problem.why) for problem in drawn.problems]
    why = "another job (hr) writes this attribute"
    assert lines == [((f"uid=u{n},{BASE}",), "employeeNumber", why) for n in range(3)]
    assert {problem.kind for problem in drawn.problems} == {"another job"}
    assert told(drawn) == {"job hr": "wrote to 3 of these users; attributes in common: employeeNumber"}
    assert told(plan(hr)) == {}


def test_under_another_name_it_is_the_same_attribute() -> None:
    family, surname = (AttributeRule(name, Template.parse("{workNo}"), owns="*") for name in ("sn", "surname"))
    _, it = jobs([family], [surname])
    drawn = plan(it)
    assert changed(drawn) == {}
    assert {problem.attribute for problem in drawn.problems} == {"surname"}
    assert told(drawn) == {"job hr": "wrote to 3 of these users; attributes in common: surname"}


def test_a_job_that_is_to_take_it_over_writes_it_all_the_same_and_has_it_from_then_on() -> None:
    hr, it = jobs([SEAT], [replace(SEAT, take_over=True)])
    drawn = plan(it)
    assert changed(drawn) == {f"id-{n}": ["employeeNumber"] for n in range(3)}
    assert told(drawn) == {"job hr": "wrote to 3 of these users; attributes in common: employeeNumber"}
    apply(it)
    assert changed(plan(hr)) == {}
    assert [problem.why for problem in plan(hr).problems] == ["another job (it) writes this attribute"] * 3


@pytest.mark.parametrize("pruned", [False, True])
def test_an_undo_returns_a_value_to_the_job_that_wrote_it_also_where_that_run_was_pruned(pruned: bool) -> None:
    hr, it = jobs([SEAT, TITLE], [replace(SEAT, take_over=True)])
    hr.tenant = Tenant([Agent(n + 10, f"u{n}") for n in range(3)])
    apply(hr)
    taken = apply(it).plan.id
    if pruned:
        apply(hr)  # the last run stays
        pruning = hr.state.make_pruning("hr", format_now(), audited=False)
        assert len(list(pruning.take_out(pruning.find_old()))) == 2
    with it.back(taken) as context:
        assert len(apply_undo(context, quiet).plan.changes) == 3
    it.state.release_job("it")
    assert [hr.store.snapshot()[f"id-{n}"][1]["employeeNumber"] for n in range(3)] == [("10",), ("11",), ("12",)]
    hr.mapping = replace(hr.mapping, stale="clear")
    hr.tenant = Tenant(hr.tenant.agents[1:])
    assert changed(plan(hr)) == {"id-0": ["employeeNumber", "title"]}, "the seat is its own again"


def test_what_its_owner_claims_no_longer_passes_to_the_job_that_does_user_by_user() -> None:
    hr, it = jobs([SEAT], [SEAT])
    hr.tenant = Tenant(hr.tenant.agents[:1])
    assert changed(plan(it)) == {}, "the owner has not yet said so, by an apply"
    apply(hr)
    drawn = plan(it)
    assert changed(drawn) == {"id-1": ["employeeNumber"], "id-2": ["employeeNumber"]}
    assert told(drawn) == {
        "job hr": "wrote to 3 of these users; attributes in common: employeeNumber; "
        "2 users, which it no longer claims, pass to this job"
    }
    apply(it)
    hr.tenant = Tenant([Agent(n, f"u{n}") for n in range(3)])
    assert changed(plan(hr)) == {}
    assert {problem.users for problem in plan(hr).problems} == {(f"uid=u{n},{BASE}",) for n in (1, 2)}


def test_what_one_job_finds_gone_from_its_stale_users_is_still_known_to_the_other() -> None:
    """Somebody takes the values of both away, and puts them back after one has looked."""
    hr, it = jobs([TITLE], [AttributeRule("title", Template.parse("line {workNo}"), owns="line *")])
    apply(it)
    before = hr.store.entries["id-0"]
    hr.store.put("id-0", before.name, {"objectClass": ["inetOrgPerson"], "uid": ["u0"], "cn": ["U 0"]})
    hr.tenant, it.tenant = Tenant(hr.tenant.agents[1:]), Tenant(it.tenant.agents[1:])
    apply(hr)
    hr.store.entries["id-0"] = before
    stale = {job.job: [each.users for each in plan(job).problems if each.kind == "stale"] for job in (hr, it)}
    assert stale == {"hr": [], "it": [(before.name,)]}


class Dying(MemoryDirectory):
    """Dies with its job once it has written to a user."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        (outcome,) = super().write(islice(changes, 1))
        assert outcome.result is Result.WRITTEN
        raise DeathError


def killed_after_a_write(of: World) -> None:
    of.connect = lambda view: Dying(of.store, view, base=BASE, filter=FILTER)
    with pytest.raises(DeathError):
        apply(of)
    of.connect = None


def test_what_another_job_took_over_after_a_kill_stays_its_own_once_the_killed_run_is_settled() -> None:
    hr, it = jobs([SEAT, TITLE], [replace(SEAT, take_over=True)])
    hr.tenant = Tenant([Agent(n + 10, f"u{n}") for n in range(3)])
    killed_after_a_write(hr)
    apply(it)
    apply(hr)
    assert [hr.store.snapshot()[f"id-{n}"][1]["employeeNumber"] for n in range(3)] == [("50",), ("51",), ("52",)]
    assert [hr.store.snapshot()[f"id-{n}"][1]["title"] for n in range(3)] == [(f"agent {n + 10}",) for n in range(3)]
    assert [problem.why for problem in plan(hr).problems] == ["another job (it) writes this attribute"] * 3
    it.mapping = replace(it.mapping, stale="clear")
    it.tenant = Tenant(it.tenant.agents[1:])
    assert changed(plan(it)) == {"id-0": ["employeeNumber"]}


def test_what_this_job_wrote_since_is_known_by_the_newer_run() -> None:
    """A server may carry out a write after its sender is dead, when the next run has begun."""
    hr, _ = jobs([SEAT, TITLE], [SEAT])
    hr.tenant = Tenant([Agent(n + 10, f"u{n}") for n in range(3)])
    before = hr.store.snapshot()["id-0"]
    killed_after_a_write(hr)
    written = hr.store.snapshot()["id-0"]
    hr.store.put("id-0", *before)

    class Late(MemoryDirectory):
        def size(self) -> int | None:
            hr.store.put("id-0", *written)  # the next thing is to look agents up
            return super().size()

    hr.connect = lambda view: Late(hr.store, view, base=BASE, filter=FILTER)
    hr.tenant = Tenant([Agent(n + 20, f"u{n}") for n in range(3)])
    run = apply(hr)
    assert run.plan.changes[0].attributes[0].old == ("10",), "it came between"
    hr.connect = None
    hr.mapping = replace(hr.mapping, stale="clear")
    hr.tenant = Tenant(hr.tenant.agents[1:])
    assert changed(plan(hr)) == {"id-0": ["employeeNumber", "title"]}


def test_what_could_not_be_written_does_not_pass() -> None:
    hr, it = jobs([SEAT], [SEAT])
    hr.tenant = Tenant(hr.tenant.agents[:1])
    apply(hr)

    class Refusing(MemoryDirectory):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for change in changes:
                refused = change.user.id == "id-1"
                yield from [Outcome(change.user, Result.FAILED, "refused")] if refused else super().write([change])

    it.connect = lambda view: Refusing(it.store, view, base=BASE, filter=FILTER)
    apply(it)
    assert [problem.users for problem in plan(hr).problems] == [(f"uid=u1,{BASE}",)], "ours still, and stale"


def test_of_a_user_that_is_written_also_what_is_in_step_passes() -> None:
    hr, it = jobs([SEAT], [SEAT, TITLE])
    it.tenant = Tenant([Agent(n, f"u{n}") for n in range(3)])
    hr.tenant = Tenant(hr.tenant.agents[:1])
    apply(hr)
    assert changed(plan(it)) == {f"id-{n}": ["title"] for n in range(3)}
    apply(it)
    assert plan(hr).problems == (), "users 1 and 2 are the other job's now, seat and all"


def test_two_jobs_write_values_of_different_patterns_to_one_attribute_and_each_keeps_to_its_own() -> None:
    clerk = AttributeRule("title", Template.parse("clerk {workNo}"), owns="clerk *")
    hr, it = jobs([TITLE], [clerk])
    drawn = plan(it)
    assert changed(drawn) == {f"id-{n}": ["title"] for n in range(3)}
    assert (drawn.problems, told(drawn)) == ((), {"job hr": "wrote to 3 of these users; attributes in common: none"})
    run = apply(it)
    titles = [frozenset((f"agent {n}", f"clerk {n + 50}")) for n in range(3)]
    assert [frozenset(hr.store.snapshot()[f"id-{n}"][1]["title"]) for n in range(3)] == titles
    assert (plan(hr).changes, plan(hr).problems) == ((), ())
    for job in (hr, it):
        job.mapping = replace(job.mapping, stale="clear")
    hr.tenant = Tenant(hr.tenant.agents[1:])
    it.tenant = Tenant(it.tenant.agents[:2])
    apply(hr), apply(it)
    left = [frozenset(hr.store.snapshot()[f"id-{n}"][1]["title"]) for n in range(3)]
    assert left == [{"clerk 50"}, {"agent 1", "clerk 51"}, {"agent 2"}]
    assert (plan(hr).problems, plan(it).problems) == ((), ())
    with it.back(run.plan.id) as context:
        apply_undo(context, quiet)
    assert hr.store.snapshot()["id-1"][1]["title"] == ("agent 1",)


def test_values_of_another_pattern_do_not_pass_to_the_job_that_claims_the_user() -> None:
    clerk = AttributeRule("title", Template.parse("clerk {workNo}"), owns="clerk *", take_over=True)
    hr, it = jobs([TITLE], [clerk])
    people = hr.tenant
    hr.tenant = Tenant(people.agents[1:])
    apply(hr)
    apply(it)
    assert [problem.users for problem in plan(hr).problems] == [(f"uid=u0,{BASE}",)], "still ours, and stale"
    hr.tenant = people
    assert plan(hr).problems == ()


def test_jobs_with_nothing_in_common_do_not_stand_in_each_other_s_way() -> None:
    _, it = jobs([SEAT], [TITLE])
    drawn = plan(it)
    assert drawn.problems == ()
    assert told(drawn) == {"job hr": "wrote to 3 of these users; attributes in common: none"}


@pytest.mark.parametrize("claims", [True, False])
def test_of_users_that_this_job_neither_claims_nor_wrote_to_nothing_is_said(claims: bool) -> None:
    _, it = jobs([SEAT], [SEAT])
    it.tenant = Tenant([Agent(51, "u1" if claims else "nobody")])
    said = {"job hr": "wrote to 1 of these users; attributes in common: employeeNumber"}
    assert told(plan(it)) == (said if claims else {})


def test_a_user_whom_the_other_job_claims_is_cleared_of_what_is_ours_alone() -> None:
    hr, it = jobs([SEAT], [TITLE])
    apply(it)
    it.mapping = replace(it.mapping, stale="clear")
    it.tenant = Tenant(it.tenant.agents[:2])
    assert changed(plan(it)) == {"id-2": ["title"]}
    apply(it)
    values = hr.store.snapshot()["id-2"][1]
    assert (values["employeeNumber"], "title" in values) == (("2",), False)
