"""What an apply, a plan and an undo leave behind in the state, and when they leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.apply.approval import Review
from connector.apply.lookup import FEW
from connector.apply.sync import FinishedRun, apply_run, apply_undo, dry_run, dry_undo
from connector.directories.port import Directory
from connector.errors import OnHoldError, OtherJobError, RefusedError, StateError, UnreachableError, UsageError
from connector.model import (
    NOTICED,
    Agent,
    AgentRef,
    Change,
    Description,
    InvalidRecord,
    Objection,
    Outcome,
    Plan,
    Problem,
    Result,
    Secret,
    Tenant,
    User,
    View,
)
from connector.model.limits import ApplyPace, Limit
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.runtime.stopping import StopRequest
from connector.state.history import Attempt, RunRecord
from connector.state.journal_rows import Sealer
from connector.state.memory import DirectoryMemory
from connector.state.store import open_state
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, SEATS, World, closed_with_the_test

SEAT, TITLE = "employeeNumber", "title"
RULES = (AttributeRule(SEAT, Template.parse("{workNo}")),)
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
NOBODY = Limit(0)
CLASSES = ["inetOrgPerson", "cecAgent", "SIPIdentity"]


def values(number: int) -> dict[str, list[str]]:
    return {"objectClass": ["inetOrgPerson"], "uid": [f"u{number}"], "cn": [f"U {number}"]}


def world(count: int = 4) -> World:
    """So many users, each with an agent, and nothing written yet."""
    store = MemoryStore({f"id-{n}": (f"uid=u{n},{BASE}", values(n)) for n in range(count)})
    return World(tenant(range(count)), store, Mapping(LOOKS, RULES))


def tenant(numbers: Iterable[int], seats: int = 0) -> Tenant:
    return Tenant([Agent(n + seats, f"u{n}") for n in numbers])


class Shown:
    """What was shown, in order."""

    def __init__(self) -> None:
        self.times: list[tuple[Plan, Sequence[Outcome] | None]] = []

    def __call__(self, plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        self.times.append((plan, outcomes))


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def apply(
    of: World, *only: str, accept: str | None = None, reviewed: Plan | None = None, stop: StopRequest | None = None,
    show: Callable[[Plan, Sequence[Outcome] | None], None] = quiet,
) -> FinishedRun:  # fmt: skip
    with of.context() as context:
        return apply_run(context, show, only, accept=accept, review=Review(reviewed), stop=stop)


def plan(of: World, *only: str, save: bool = False) -> Plan:
    with of.context() as context:
        return (dry_run(context, quiet, only, save=True) if save else dry_run(context, quiet, only)).plan


def back(of: World, run: str, accept: str | None = None) -> FinishedRun:
    with of.back(run) as context:
        return apply_undo(context, quiet, accept)


def memory(of: World) -> DirectoryMemory:
    with of.context() as context:
        return of.state.memory(context.directory.describe().identity, of.job)


def tenant_of(of: World) -> str | None:
    """Where the agents came from that the state knows."""
    known = of.state.read_identity(of.job)
    return known.tenant if known else None


def matched(of: World) -> int:
    """How many agents the next run expects to have users."""
    last = memory(of).last_good()
    assert last
    return last.matched


def runs(of: World) -> list[RunRecord]:
    return of.state.history.list_runs(of.job)


def seats(of: World) -> list[tuple[object, ...]]:
    return [held.get(SEAT, ()) for _, held in of.store.snapshot().values()]


def kept(of: World, folder: Path) -> World:
    """With a state that a saved plan can be noted in."""
    of.state = closed_with_the_test(open_state(f"sqlite:///{folder}/state.db"))
    return of


class Odd(Disturbed):
    """A directory on which `act` takes the place of each user's write."""

    def __init__(self, inner: Directory, act: Callable[[Change], Outcome | None]) -> None:
        super().__init__(inner, lambda: None)
        self._act = act

    def alone(self, change: Change) -> Iterator[Outcome]:
        outcome = self._act(change)
        return iter([outcome]) if outcome else super().alone(change)


def oddly(of: World, act: Callable[[Change], Outcome | None]) -> None:
    def connect(view: View) -> Directory:
        return Odd(MemoryDirectory(of.store, view, base=BASE, filter=FILTER), act)

    of.connect = connect


def interrupted(change: Change) -> Outcome | None:
    raise KeyboardInterrupt


def refuses(*ids: str) -> Callable[[Change], Outcome | None]:
    return lambda change: Outcome(change.user, Result.FAILED, "no") if change.user.id in ids or not ids else None


# ---------------------------------------------------------------- what is written, and remembered


def test_a_plan_leaves_nothing_behind() -> None:
    of = world()
    assert len(plan(of).changes) == 4
    assert (runs(of), tenant_of(of), memory(of).last_good()) == ([], None, None)
    assert seats(of) == [()] * 4


def test_a_record_that_cannot_be_read_is_a_line_of_the_plan() -> None:
    of = world(1)
    of.tenant = replace(of.tenant, invalid=[InvalidRecord(7, "workNo is a list", 3, "x")])
    assert plan(of).problems == (Problem("invalid", "workNo is a list", AgentRef(3, "x"), record=7),)


def test_a_plan_of_some_says_how_many_others_would_change() -> None:
    """Not of whom nothing can be written; what holds that back is told all the same."""
    of = world(3)
    of.mapping = replace(of.mapping, attributes=(AttributeRule("mail", Template.parse("{sipAccount}"), owns="*"),))
    of.tenant = Tenant([Agent(n, f"u{n}", box) for n, box in enumerate(("a", "b", "\u00e9"))])
    found = plan(of, "u0")
    assert [each.user.id for each in found.changes] == ["id-0"]
    assert any("changes of 1 other users are left out" in each for each in found.cautions)
    assert plan(of).problems == found.problems != ()


def test_a_directory_is_asked_what_it_has_against_changes_and_not_about_users_without_one() -> None:
    of, asked = world(3), list[Change]()

    class Asked(MemoryDirectory):
        def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
            asked.extend(changes)
            return iter(())

    of.connect = lambda view: Asked(of.store, view, base=BASE, filter=FILTER)
    of.mapping = replace(of.mapping, attributes=(AttributeRule("mail", Template.parse("{sipAccount}"), owns="*"),))
    of.tenant = Tenant([Agent(n, f"u{n}", box) for n, box in enumerate(("a", "\u00e9", None))])
    assert len(plan(of).problems) == 1
    assert [(each.user.id, len(each.attributes)) for each in asked] == [("id-0", 1)]


def test_an_apply_notes_its_run_its_source_and_its_key() -> None:
    of = world()
    run = apply(of)
    assert [outcome.result for outcome in run.outcomes or ()] == [Result.WRITTEN] * 4
    assert (run.refused, run.remembered, run.tried, run.touched) == (False, True, True, True)
    assert (run.audit_error, run.aside, run.count_ending.in_part) == ("", frozenset(), False)
    assert tenant_of(of) == of.identity
    assert of.state.knows_key(of.job, Sealer(of.key))
    (record,) = runs(of)
    assert (record.id, record.kind, record.result, record.undoes) == (run.plan.id, "apply", "done", None)


def test_a_refused_plan_is_written_only_where_its_own_digest_is_accepted() -> None:
    of = world()
    of.limits = replace(of.limits, update=NOBODY)
    refused = apply(of)
    assert (refused.refused, refused.outcomes, refused.count_ending.in_part) == (True, None, False)
    again = apply(of, accept="another digest")
    assert (again.refused, again.outcomes) == (True, None)
    assert (runs(of), tenant_of(of), seats(of)) == ([], None, [()] * 4)
    run = apply(of, accept=refused.plan.digest)
    assert (run.refused, len(run.outcomes or ())) == (False, 4)
    assert tenant_of(of) == of.identity


def test_a_run_is_shown_before_it_is_written_and_after() -> None:
    of, shown = world(), Shown()
    run = apply(of, show=shown)
    (before, nothing), (after, outcomes) = shown.times
    assert (before, nothing) == (run.plan, None)
    assert (after, outcomes) == (run.plan, run.outcomes)


def test_where_one_request_writes_one_attribute_what_tells_whose_they_are_comes_last() -> None:
    sent: list[list[str]] = []

    class Singly(MemoryDirectory):
        def describe(self) -> Description:
            described = super().describe()
            return replace(described, writing=replace(described.writing, singly=True))

        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for change in changes:
                sent.append([each.name for each in change.attributes])
                yield from super().write([change])

    of = world(1)
    rules = (
        AttributeRule(SEAT, Template.parse("{workNo}"), unique=True),
        AttributeRule("cn", Template.parse("x"), owns="*"),
    )
    of.mapping = Mapping(LOOKS, (*rules, AttributeRule("sn", Template.parse("{accountCode}"), owns="*")))
    of.connect = lambda view: Singly(of.store, view, base=BASE, filter=FILTER)
    assert not apply(of).count_ending.in_part
    assert sent == [["cn"], ["sn"], [SEAT]]


def test_a_run_of_which_a_part_failed_has_ended_in_part() -> None:
    of = world()
    oddly(of, refuses("id-1"))
    run = apply(of)
    assert (run.count_ending.in_part, run.tried, run.remembered) == (True, True, True)
    assert [record.result for record in runs(of)] == ["part"]
    assert memory(of).read_refused().keys() == {"id-1"}


# ---------------------------------------------------------------- runs that end early


def test_a_run_that_is_cut_off_leaves_the_state_as_it_was() -> None:
    of, shown = world(), Shown()
    oddly(of, interrupted)
    run = apply(of, show=shown)
    assert (run.remembered, run.count_ending.in_part) == (False, True)
    assert tenant_of(of) == of.identity, "it is noted before the first write"
    assert memory(of).read_stale() == {}
    assert memory(of).read_last_look() is None
    assert [outcomes for _, outcomes in shown.times] == [None, run.outcomes]


def test_a_run_that_is_cut_off_forgets_whom_it_was_refused() -> None:
    """It has not come to its end, so that the next one tries everybody in their order."""
    of = world()
    done: list[Change] = []

    def refused_then_cut(change: Change) -> Outcome:
        if done:
            raise KeyboardInterrupt
        done.append(change)
        return Outcome(change.user, Result.FAILED, "no")

    oddly(of, refused_then_cut)
    assert not apply(of).remembered
    assert memory(of).read_refused() == {}


def test_a_run_that_is_cut_off_before_it_has_written_anything_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    of, shown = world(), Shown()
    monkeypatch.setattr(DirectoryMemory, "read_refused", lambda self: interrupted(None) if shown.times else {})  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        apply(of, show=shown)
    assert [outcomes for _, outcomes in shown.times] == [None]
    assert seats(of) == [()] * 4


def test_a_run_that_stops_itself_says_why() -> None:
    of, stop = world(), StopRequest()
    stop.end_run("the audit cannot be kept")
    run = apply(of, stop=stop)
    assert (run.audit_error, run.tried, run.touched, run.count_ending.in_part) == (
        "the audit cannot be kept",
        False,
        False,
        True,
    )
    assert seats(of) == [()] * 4
    assert [record.result for record in runs(of)] == ["stopped"]


def test_an_account_that_was_not_kept_to_its_end_leaves_a_run_in_part() -> None:
    """Though all of it was written."""
    of, stop = world(1), StopRequest()

    def ends(change: Change) -> None:
        stop.end_run("the audit cannot be kept")

    oddly(of, ends)
    run = apply(of, stop=stop)
    assert [outcome.result for outcome in run.outcomes or ()] == [Result.WRITTEN]
    assert run.count_ending.in_part


def test_a_run_whose_journal_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    of = world()
    of.pace = ApplyPace(ramp=(1,))

    def full(transaction: object, run: str, found: Sequence[object]) -> None:
        if found:
            raise StateError("the disk is full")

    monkeypatch.setattr(of.state.audit, "add_outcomes", full)
    run = apply(of)
    assert [(outcome.result, outcome.unnoted) for outcome in run.outcomes or ()][:2] == [
        (Result.WRITTEN, True),
        (Result.SKIPPED, False),
    ]
    assert (run.remembered, run.tried, run.count_ending.in_part) == (False, False, True)
    assert tenant_of(of) == of.identity, "it is noted before the first write"


def test_what_a_run_that_was_cut_off_may_have_written_is_open_until_the_next_one_has_written_it() -> None:
    """Of secrets that nobody can read or compare; what that run had not sent is no longer open."""
    hidden = World(tenant([]), MemoryStore({}, hidden=["SIPIdentityPassword"], compares=False), SEATS)
    for n in range(3):
        hidden.store.put(f"id-{n}", f"uid=u{n},{BASE}", {**values(n), "objectClass": CLASSES})
    hidden.tenant = Tenant([Agent(n, f"u{n}", str(n), Secret(f"canary-{n}")) for n in range(3)])
    hidden.mapping = replace(SEATS, attributes=SEATS.attributes[-1:])
    oddly(hidden, interrupted)
    apply(hidden)
    open_ = {each.user.id for each in memory(hidden).read_unsettled()}
    assert open_
    hidden.connect = None
    run = apply(hidden)
    assert {outcome.user.id for outcome in run.outcomes or () if "again" in outcome.why} == open_
    assert list(memory(hidden).read_unsettled()) == []
    assert plan(hidden).changes == ()


def test_how_many_users_a_directory_has_at_least_is_not_forgotten() -> None:
    of = world()
    memory(of).note_users(100)
    plan(of)
    assert memory(of).count_users() == 100


def test_how_many_users_a_scan_has_shown_serves_the_next_run() -> None:
    """Of a directory that does not say how many it has, read whole since more are wanted than are few."""

    class Silent(MemoryDirectory):
        def size(self) -> int | None:
            return None

    of = world()
    of.store = MemoryStore({f"id-{n}": (f"uid=u{n},{BASE}", values(n)) for n in range(FEW + 1)})
    of.tenant = tenant(range(FEW + 1))
    of.connect = lambda view: Silent(of.store, view, base=BASE, filter=FILTER)
    plan(of)
    assert memory(of).count_users() == FEW + 1


def test_who_has_to_write_one_value_over_and_over_is_told_that_somebody_takes_it_away() -> None:
    of = world(1)
    for times in (0, 1, 2):
        drawn = apply(of).plan
        told = [each for each in drawn.problems if each.kind == "flapping"]
        assert [(each.attribute, each.users) for each in told] == [(SEAT, (f"uid=u0,{BASE}",))] * (times > 1)
        of.store.put("id-0", f"uid=u0,{BASE}", {**values(0), SEAT: ["9"]})
    of.tenant = tenant([0], 5)
    assert [each.kind for each in plan(of).problems] == [], "of another value nobody knows"


def test_a_run_of_some_does_not_tell_that_the_state_knows_who_was_written(tmp_path: Path) -> None:
    of = kept(world(), tmp_path)
    assert memory(of).is_blank()
    apply(of, "u0")
    assert memory(of).is_blank()
    apply(of)
    assert not memory(of).is_blank()


# ---------------------------------------------------------------- agents from elsewhere, and holds


def test_agents_from_elsewhere_are_another_jobs_whatever_was_released() -> None:
    of = world()
    apply(of)
    of.identity, of.tenant = "another tenant", tenant([0], 50)
    for run in (apply, plan):
        with pytest.raises(
            OtherJobError, match=r"(?s)another tenant.*agents of a tenant; .*agents of another tenant; "
        ):
            run(of)
    assert not of.state.release_job(of.job)
    with pytest.raises(OtherJobError):
        apply(of)
    assert seats(of)[0] == ("0",)
    of.identity = "a tenant"
    apply(of)
    assert seats(of)[0] == ("50",)


def test_a_job_that_is_not_on_hold_says_nothing_of_it() -> None:
    of = world()
    apply(of)
    assert "on hold" not in dict(plan(of).about)


# ---------------------------------------------------------------- runs of some agents


def test_a_run_of_some_leaves_what_the_next_whole_run_is_held_against() -> None:
    of = world()
    apply(of)
    for number in (1, 2):
        of.store.remove(f"id-{number}")
    apply(of, "u0")
    assert matched(of) == 4, "two users are gone, and no limit has judged that"
    apply(of)
    assert matched(of) == 2


def test_a_run_of_some_takes_agents_that_are_gone_off_what_is_expected() -> None:
    of = world()
    apply(of)
    of.tenant = tenant([0, 1, 2])
    for number in (1, 2):
        of.store.remove(f"id-{number}")
    apply(of, "u0")
    assert matched(of) == 3


def test_a_run_of_some_that_finds_more_users_says_so() -> None:
    of = world(3)
    of.tenant = tenant(range(4))
    apply(of)
    of.store.put("id-3", f"uid=u3,{BASE}", values(3))
    apply(of, "u0")
    assert matched(of) == 4


def test_the_first_run_of_some_is_held_to_itself() -> None:
    of = world()
    apply(of, "u0")
    assert (seats(of), matched(of)) == ([("0",), (), (), ()], 4)


def test_a_run_of_some_neither_renews_the_key_nor_forgets_who_was_refused() -> None:
    of = world()
    oddly(of, refuses("id-1"))
    apply(of)
    of.key, of.connect = Secret("another key"), None
    of.store.put("id-1", f"uid=u1,{BASE}", {**values(1), SEAT: ["1"]})
    apply(of, "u0")
    assert memory(of).read_refused().keys() == {"id-1"}
    assert not of.state.knows_key(of.job, Sealer(of.key))
    apply(of)
    assert memory(of).read_refused() == {}
    assert of.state.knows_key(of.job, Sealer(of.key))


# ---------------------------------------------------------------- users that nobody claims


def test_users_that_nobody_claims_are_counted_from_run_to_run() -> None:
    of = world()
    apply(of)
    assert memory(of).read_last_look() is not None
    of.tenant = tenant([0, 1, 2])
    for times in (1, 2):
        apply(of)
        assert {user: counted for user, (_, counted) in memory(of).read_stale().items()} == {"id-3": times}
    of.tenant = tenant(range(4))
    apply(of)
    assert memory(of).read_stale() == {}


def test_users_of_ours_that_are_nowhere_are_told_once() -> None:
    of = world()
    of.mapping = replace(of.mapping, stale="clear")
    apply(of)
    of.tenant = tenant([0, 1, 2])
    of.store.remove("id-3")
    apply(of)
    assert memory(of).read_lapsed() == {"id-3"}
    assert memory(of).read_stale().keys() == {"id-3"}
    of.store.put("id-3", f"uid=u3,{BASE}", {**values(3), SEAT: ["3"]})
    of.tenant = tenant(range(4))
    apply(of)
    assert (memory(of).read_lapsed(), memory(of).read_stale()) == (frozenset(), {})


# ---------------------------------------------------------------- what another job had written


def passing_on() -> World:
    """A job to which two users pass: another one has written their seats, and claims them no longer."""
    of = world()
    apply(of)
    of.tenant = tenant([0, 1])
    apply(of)
    rules = (*RULES, AttributeRule(TITLE, Template.parse("agent {workNo}"), owns="*"))
    return replace_world(of, job="it", tenant=tenant([2, 3]), mapping=Mapping(LOOKS, rules))


def replace_world(of: World, *, job: str, tenant: Tenant, mapping: Mapping) -> World:
    return World(tenant, of.store, mapping, state=of.state, job=job)


def seats_of(of: World) -> set[str]:
    """The users whose seats are this job's own."""
    owned = memory(of).read_confirmed(["id-2", "id-3"])
    return {user for user, attributes in owned.items() if SEAT in attributes}


def test_a_whole_run_that_writes_takes_over_the_users_that_it_claims() -> None:
    of = passing_on()
    apply(of)
    assert seats_of(of) == {"id-2", "id-3"}


def test_a_run_takes_over_nobody_whose_write_failed() -> None:
    of = passing_on()
    oddly(of, refuses("id-3"))
    apply(of)
    assert seats_of(of) == {"id-2"}


def test_a_run_that_writes_nothing_takes_over_nobody() -> None:
    of = passing_on()
    oddly(of, refuses())
    apply(of)
    assert seats_of(of) == set()


def test_a_run_of_some_takes_over_nobody() -> None:
    of = passing_on()
    apply(of, "u2")
    assert seats_of(of) == set()


# ---------------------------------------------------------------- reviewed plans


def reviewed(folder: Path) -> tuple[World, Plan]:
    """A plan that sets everybody's seat anew, after an apply; no user may go."""
    of = kept(world(), folder)
    of.limits = replace(of.limits, matched_drop=NOBODY, agents_drop=NOBODY)
    apply(of)
    of.tenant = tenant(range(4), 50)
    return of, plan(of, save=True)


def test_a_reviewed_plan_that_was_not_saved_is_not_written(tmp_path: Path) -> None:
    of, _ = reviewed(tmp_path)
    with pytest.raises(RefusedError, match="foreign"):
        apply(of, reviewed=plan(of))
    assert seats(of)[0] == ("0",)


def test_a_reviewed_plan_is_written_once_and_nothing_beside_it(tmp_path: Path) -> None:
    of, saved = reviewed(tmp_path)
    of.tenant = Tenant([*tenant(range(4), 50).agents, Agent(9, "u9")])
    of.store.put("id-9", f"uid=u9,{BASE}", values(9))
    run = apply(of, reviewed=saved)
    assert seats(of) == [("50",), ("51",), ("52",), ("53",), ()]
    assert (run.plan.id, set(run.aside)) == (saved.id, {"id-9"})
    with pytest.raises(RefusedError, match="spent"):
        apply(of, reviewed=saved)


def test_a_run_that_leaves_users_aside_does_not_renew_the_key(tmp_path: Path) -> None:
    of, saved = reviewed(tmp_path)
    of.store.put("id-9", f"uid=u9,{BASE}", values(9))
    of.tenant = Tenant([*tenant(range(4), 50).agents, Agent(9, "u9")])
    of.key = Secret("another key")
    apply(of, reviewed=saved)
    assert not of.state.knows_key(of.job, Sealer(of.key))


@pytest.mark.parametrize("seen", [True, False])
def test_of_a_conflict_it_is_told_which_attributes_differ(seen: bool, tmp_path: Path) -> None:
    of, saved = reviewed(tmp_path)

    def meanwhile(change: Change) -> None:
        if change.user.id == "id-1":
            of.store.put("id-1", f"uid=u1,{BASE}", {**values(1), SEAT: ["99"]})

    oddly(of, meanwhile)
    run = apply(of, reviewed=saved if seen else None)
    assert [each for outcome in run.outcomes or () for each in outcome.differs] == [SEAT]


@pytest.mark.parametrize("gone", ["agent", "user"])
def test_what_is_missing_since_the_review_refuses_a_reviewed_plan(gone: str, tmp_path: Path) -> None:
    of, saved = reviewed(tmp_path)
    if gone == "agent":
        of.tenant = tenant(range(3), 50)
    else:
        of.store.remove("id-3")
    run = apply(of, reviewed=saved)
    assert (run.refused, run.outcomes) == (True, None)
    assert run.plan.id != saved.id
    assert seats(of)[0] == ("0",)
    assert apply(of, reviewed=saved, accept=saved.digest).outcomes is None
    accepted = apply(of, reviewed=saved, accept=run.plan.digest)
    assert sorted(outcome.result for outcome in accepted.outcomes or ()) == [Result.CONFLICT, *[Result.WRITTEN] * 3]


@pytest.mark.parametrize(("gone", "writes"), [("agent", False), ("user", True)])
def test_a_drop_of_users_is_not_in_the_way_of_some_agents_a_drop_of_agents_is(
    gone: str, writes: bool, tmp_path: Path
) -> None:
    of, saved = reviewed(tmp_path)
    if gone == "agent":
        of.tenant = tenant(range(3), 50)
    else:
        of.store.remove("id-3")
    run = apply(of, "u0", reviewed=saved)
    assert (run.outcomes is not None) is writes
    assert seats(of)[:2] == [("50",) if writes else ("0",), ("1",)]


# ---------------------------------------------------------------- plans that later ones are compared with


def drawn_by(of: World, by: str = "") -> str:
    """The id of the plan that the next one is compared with."""
    return of.state.drawn.find_last(of.job, by).plan


def test_a_plan_of_all_agents_is_kept_for_whoever_drew_it() -> None:
    of = world()
    first = plan(of)
    assert (drawn_by(of), drawn_by(of, "serve")) == (first.id, "")
    plan(of, "u0")
    assert drawn_by(of) == first.id, "one of some agents is not"
    with of.context() as context:
        served = dry_run(context, quiet, by="serve").plan
    assert (drawn_by(of), drawn_by(of, "serve")) == (first.id, served.id)
    with of.context() as context:
        applied = apply_run(context, quiet, by="serve").plan
    assert (drawn_by(of), drawn_by(of, "serve")) == (first.id, applied.id)


def test_a_plan_is_compared_where_that_is_asked_for_also_if_it_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    of = world()
    assert plan(of).notes.since is None
    before = of.state.drawn.find_last(of.job)

    def fails(*_: object) -> None:
        raise StateError("no space left")

    monkeypatch.setattr(of.state.drawn, "note_last", fails)
    of.tenant = tenant(range(1, 4))
    with of.context() as context:
        dry = dry_run(context, quiet, before=lambda: before).plan
        applied = apply_run(context, quiet, before=lambda: before).plan
    for each in (dry, applied):
        assert each.notes.since is not None
        assert (each.notes.since.plan, each.notes.since.new, each.notes.since.gone, each.notes.since.same) == (
            before.plan,
            (),
            1,
            3,
        )


def test_the_plan_of_a_run_is_kept_where_it_changes_something_for_all() -> None:
    of = world()
    of.limits = replace(of.limits, update=NOBODY)
    with of.state.attempts.keep_attempt(of.job, "attempt", Attempt()):
        refused = apply(of)
    assert [(each.id, each.result) for each in runs(of)] == [(refused.plan.id, "refused")]
    of.limits = replace(of.limits, update=Limit(100, percent=True))
    some, whole = apply(of, "u0"), apply(of)
    none, undone = apply(of), back(of, whole.plan.id)
    found = [of.state.drawn.find_of_run(of.job, each.plan.id) for each in (refused, some, whole, none, undone)]
    assert [len(each.changes) if each else None for each in found] == [4, None, 3, None, None]


def test_a_reviewed_plan_that_is_refused_by_now_is_kept(tmp_path: Path) -> None:
    of, saved = reviewed(tmp_path)
    of.tenant = tenant(range(3), 50)
    with of.state.attempts.keep_attempt(of.job, "attempt", Attempt(plan=saved.id)):
        refused = apply(of, reviewed=saved)
    assert refused.refused
    assert of.state.drawn.find_of_run(of.job, "attempt") is not None
    accepted = apply(of, reviewed=saved, accept=refused.plan.digest)
    assert accepted.outcomes is not None


def test_before_and_after_the_writes_a_stop_knows_how_the_run_stands() -> None:
    """Where there is something to write, and it may be."""
    of, stop = world(), StopRequest()
    stands: list[tuple[int, int]] = []

    def note(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        if stop.standing is not None:
            ending = stop.standing()
            stands.append((ending.not_sent, ending.written))

    apply(of, show=note, stop=stop)
    assert stands == [(4, 0), (0, 4)]
    stop.standing = None
    apply(of, show=note, stop=stop)
    assert stands[2:] == [(0, 0)], "once it is over"
    of, stop = world(), StopRequest()
    of.limits = replace(of.limits, update=NOBODY)
    apply(of, show=note, stop=stop)
    assert len(stands) == 3


# ---------------------------------------------------------------- undo


def test_an_undo_writes_no_more_than_was_reviewed() -> None:
    of = world()
    run = apply(of).plan.id
    with of.back(run) as context:
        shown = dry_undo(context, quiet).plan
    of.store.put("id-0", f"uid=u0,{BASE}", values(0))
    with of.back(run) as context:
        undone = apply_undo(
            context, quiet, review=Review(replace(shown, changes=shown.changes[:2]), was_just_shown=True)
        )
    assert {outcome.user.id: outcome.result for outcome in undone.outcomes or ()} == {
        "id-0": Result.UNCHANGED, "id-1": Result.WRITTEN, "id-2": Result.SKIPPED, "id-3": Result.SKIPPED,
    }  # fmt: skip
    assert seats(of) == [(), (), ("2",), ("3",)]


def test_an_undo_holds_the_job_and_is_noted_as_the_undo_of_its_run() -> None:
    of = world()
    run = apply(of).plan.id
    with of.back(run) as context:
        assert len(dry_undo(context, quiet).plan.changes) == 4
    assert of.state.read_hold(of.job) is None
    undone = back(of, run)
    assert (seats(of), undone.refused) == ([()] * 4, False)
    held = of.state.read_hold(of.job)
    assert held
    assert held[1] == f"its run {run} was taken back"
    newest = runs(of)[0]
    assert (newest.id, newest.kind, newest.undoes) == (undone.plan.id, "undo", run)
    with pytest.raises(OnHoldError):
        apply(of)
    again = back(of, run)
    assert (again.plan.changes, of.state.read_hold(of.job)) == ((), held), "it stays on hold"


def test_an_undo_without_anything_to_take_back_holds_nothing() -> None:
    of = world()
    run = apply(of).plan.id
    for number in range(4):
        of.store.put(f"id-{number}", f"uid=u{number},{BASE}", values(number))
    assert back(of, run).plan.changes == ()
    assert of.state.read_hold(of.job) is None


def test_an_undo_that_is_refused_holds_nothing_until_it_is_accepted() -> None:
    of = world()
    run = apply(of).plan.id
    of.limits = replace(of.limits, clear=NOBODY)
    refused = back(of, run)
    assert refused.refused
    assert (of.state.read_hold(of.job), seats(of)[0]) == (None, ("0",))
    assert back(of, run, "another digest").refused
    assert of.state.read_hold(of.job) is None
    of.state.hold_job(of.job, "somebody looks into it")
    held = of.state.read_hold(of.job)
    assert back(of, run).refused
    assert of.state.read_hold(of.job) == held
    back(of, run, refused.plan.digest)
    assert of.state.read_hold(of.job)
    assert seats(of) == [()] * 4


def test_an_undo_of_which_nothing_could_be_written_lets_the_job_go_again() -> None:
    of = world()
    run = apply(of).plan.id
    oddly(of, refuses())
    assert not back(of, run).touched
    assert of.state.read_hold(of.job) is None
    of.state.hold_job(of.job, "somebody looks into it")
    assert not back(of, run).touched
    assert of.state.read_hold(of.job), "it was on hold before"


class Cut(Disturbed):
    """A directory to which the first write is not even begun."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        raise KeyboardInterrupt


@pytest.mark.parametrize("sent", [True, False])
def test_an_undo_that_is_cut_off_keeps_the_job_on_hold(sent: bool) -> None:
    of = world()
    run = apply(of).plan.id
    oddly(of, interrupted)
    if not sent:
        of.connect = lambda view: Cut(MemoryDirectory(of.store, view, base=BASE, filter=FILTER), lambda: None)
    undone = back(of, run)
    assert (undone.remembered, undone.touched) == (False, sent)
    assert of.state.read_hold(of.job)


def test_an_undo_goes_to_the_directory_that_the_run_wrote_to() -> None:
    of = world()
    run = apply(of).plan.id
    with of.back(run) as context, pytest.raises(UsageError, match="another directory"):
        apply_undo(replace(context, wrote_to="memory:another"), quiet)


# ---------------------------------------------------------------- cautions that come up late


class Noticing(Disturbed):
    """A directory that says `late` once it was written to, or fails to say anything."""

    late: Sequence[str] = ("the server forgets values",)
    fails = False
    wrote = False

    def describe(self) -> Description:
        described = replace(super().describe(), cautions=("known before",))
        if self.wrote and self.fails:
            raise UnreachableError("gone")
        return replace(described, cautions=("known before", *self.late)) if self.wrote else described

    def alone(self, change: Change) -> Iterator[Outcome]:
        self.wrote = True
        return super().alone(change)


@pytest.mark.parametrize(
    ("late", "fails", "noticed"), [(("one", "two"), False, "one; two"), ((), False, None), (("one",), True, None)]
)
def test_cautions_that_come_up_while_it_is_written_are_shown_in_the_end(
    late: Sequence[str], fails: bool, noticed: str | None
) -> None:
    of, shown = world(), Shown()

    def connect(view: View) -> Directory:
        directory = Noticing(MemoryDirectory(of.store, view, base=BASE, filter=FILTER), lambda: None)
        directory.late, directory.fails = late, fails
        return directory

    of.connect = connect
    run = apply(of, show=shown)
    before, after = (dict(drawn.about).get(NOTICED) for drawn, _ in shown.times)
    assert (before, after) == (None, noticed)
    assert run.plan.cautions == ("known before",)


def test_cautions_that_came_up_while_the_plan_was_drawn_are_told_once_in_the_end() -> None:
    of, shown = world(), Shown()

    class Searched(Noticing):
        late: Sequence[str] = ("one",)

        def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
            self.wrote = True
            return super().scan(holding)

        def alone(self, change: Change) -> Iterator[Outcome]:
            self.late = ("one", "two")
            return super().alone(change)

    of.connect = lambda view: Searched(MemoryDirectory(of.store, view, base=BASE, filter=FILTER), lambda: None)
    apply(of, show=shown)
    told = [[what for place, what in drawn.about if place == NOTICED] for drawn, _ in shown.times]
    assert told == [["one"], ["one; two"]]
