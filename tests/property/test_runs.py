"""A run from its begin to its end, but for the plan itself: what it is refused for, what it keeps, and who is told."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, dry_run, dry_undo
from connector.errors import OutputError, UsageError
from connector.model import Agent, Change, Fingerprint, Outcome, Plan, Result, Tenant
from connector.model.limits import Limit
from connector.model.mapping import AttributeRule, Grace, Mapping, MatchRule
from connector.model.templates import Template
from connector.observers.observer import Observer
from connector.state.audit_lines import AuditLines
from tests.support.memory import MemoryStore
from tests.support.worlds import BASE, NO_LIMITS, World

MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (AttributeRule("employeeNumber", Template.parse("{workNo}")),),
    stale=Grace(2, "runs"),
)


def world(count: int = 3, *, agents: int | None = None) -> World:
    store = MemoryStore(
        {
            f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "cn": [f"U {n}"]})
            for n in range(count)
        }
    )
    seats = range(count if agents is None else agents)
    return World(Tenant([Agent(n, f"u{n}") for n in seats]), store, MAPPING)


class Shown:
    """Remembers what was shown: each plan, and what became of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int | None]] = []

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        self.calls.append((plan.id, None if outcomes is None else len(outcomes)))


def apply(of: World, shown: Shown | None = None, accept: str | None = None) -> FinishedRun:
    with of.context() as context:
        return apply_run(context, shown or Shown(), accept=accept)


def plan(of: World) -> Plan:
    with of.context() as context:
        return dry_run(context, Shown()).plan


def numbers(of: World) -> dict[str, str]:
    """The seats as the directory has them."""
    return {
        id_: str(held["employeeNumber"][0])
        for id_, (_, held) in of.store.snapshot().items()
        if "employeeNumber" in held
    }


def test_a_plan_is_shown_before_it_is_applied_and_again_with_what_became_of_it() -> None:
    of, shown = world(), Shown()
    run = apply(of, shown)
    assert shown.calls == [(run.plan.id, None), (run.plan.id, 3)]
    assert not run.refused
    assert not run.count_ending.in_part
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", run.plan.created), "to the second, in UTC"
    assert numbers(of) == {"id-0": "0", "id-1": "1", "id-2": "2"}


def test_a_refused_plan_is_shown_and_nothing_of_the_run_is_kept() -> None:
    of, shown = world(), Shown()
    of.limits = replace(NO_LIMITS, update=Limit(2))
    run = apply(of, shown)
    assert (run.refused, run.outcomes) == (True, None)
    assert shown.calls == [(run.plan.id, None)]
    assert numbers(of) == {}
    assert of.state.history.list_runs("law") == []
    of.identity = "another"
    assert apply(of).refused, "nor where its agents came from"
    assert apply(of, accept="sha256:another").refused
    assert not apply(of, accept=plan(of).digest).refused
    assert len(numbers(of)) == 3


def test_a_run_that_is_refused_counts_for_no_grace() -> None:
    of = world(4)
    apply(of)
    of.tenant = Tenant(of.tenant.agents[:3])
    of.limits = replace(NO_LIMITS, agents_drop=Limit(0))
    assert apply(of).refused
    assert "seen by 0 applies" in plan(of).problems[0].why
    of.limits = NO_LIMITS
    apply(of)
    assert "seen by 1 applies" in plan(of).problems[0].why


class Hearing(Observer):
    """Remembers in which order it was told what; `owes`: it cannot keep its account."""

    def __init__(self, *, owes: bool = False) -> None:
        self.told: list[str] = []
        self._owes = owes

    def open_directory(self, directory: str, fingerprint: Fingerprint, audit: AuditLines) -> None:
        self.told.append(f"opens {directory}")
        if self._owes:
            raise OutputError("the audit cannot be written")

    def take_plan(self, plan: Plan) -> None:
        self.told.append(f"planned {len(plan.changes)}")

    def note_outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.told.append(f"{outcome.result.value} {change.user.id}")


def heard(of: World, hearing: Hearing) -> list[str]:
    with of.context() as context:
        where = context.directory.describe().identity
        apply_run(replace(context, observer=hearing), Shown())
    return [each.replace(where, "it") for each in hearing.told]


def test_whoever_watches_is_told_of_the_directory_first_then_of_the_plan_and_of_each_outcome() -> None:
    written = [f"written id-{n}" for n in range(3)]
    assert heard(world(), Hearing()) == ["opens it", "planned 3", *written]


def test_where_a_watcher_cannot_keep_its_account_nothing_is_written() -> None:
    of, hearing = world(), Hearing(owes=True)
    with pytest.raises(OutputError):
        heard(of, hearing)
    assert len(hearing.told) == 1
    assert numbers(of) == {}


def test_a_dry_run_opens_nothing_and_writes_nothing() -> None:
    of, hearing = world(), Hearing()
    with of.context() as context:
        dry_run(replace(context, observer=hearing), Shown())
    assert hearing.told == ["planned 3"]
    assert (numbers(of), of.state.history.list_runs("law")) == ({}, [])


def test_a_run_of_another_directory_is_not_taken_back_here() -> None:
    of = world()
    run = apply(of).plan.id
    with of.back(run) as undo:
        assert len(dry_undo(undo, Shown()).plan.changes) == 3
        with pytest.raises(UsageError, match="another directory"):
            dry_undo(replace(undo, wrote_to="another"), Shown())


def test_a_run_that_writes_nothing_takes_nothing_over_from_a_job_that_no_longer_claims_it() -> None:
    hr = world()
    apply(hr)
    it = World(hr.tenant, hr.store, MAPPING, state=hr.state, job="it")
    hr.tenant = Tenant(hr.tenant.agents[:1])
    apply(hr)
    assert not apply(it).plan.changes, "it finds all in step"
    hr.tenant = Tenant([Agent(0, "u0"), Agent(7, "u1")])
    assert [change.user.id for change in plan(hr).changes] == ["id-1"], "what is still its own"
    it.tenant = Tenant([*it.tenant.agents[:2], Agent(9, "u2")])
    assert len(apply(it).plan.changes) == 1
    assert plan(hr).changes == (), "with what it wrote it has taken over the others that it claims"
    assert {problem.kind for problem in plan(hr).problems} == {"another job"}


def test_what_a_run_came_to_is_done_or_in_part_and_what_was_left_out_on_purpose_does_not_count() -> None:
    refs = [change.user for change in plan(world()).changes]
    outcomes = [Outcome(ref, result) for ref, result in zip(refs, (Result.WRITTEN, Result.UNCHANGED), strict=False)]
    done = FinishedRun(plan(world()), refused=False, outcomes=outcomes)
    assert not done.count_ending.in_part
    for result in (Result.CONFLICT, Result.FAILED, Result.SKIPPED):
        part = replace(done, outcomes=[*outcomes, Outcome(refs[2], result)])
        assert part.count_ending.in_part
    left = [*outcomes, Outcome(refs[2], Result.SKIPPED, "left out (--only)", aside=True)]
    assert not replace(done, outcomes=left).count_ending.in_part
    assert replace(done, audit_error="the audit is full").count_ending.in_part
