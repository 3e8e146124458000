"""Reviewed plans and unseen secrets: what was true then, what is true now, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from connector.apply.approval import Review
from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.model import Agent, Description, Outcome, Plan, Result, Secret, Tenant
from connector.model.limits import Limit
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.reports import document
from connector.state.store import State
from tests.support.memory import Entries, MemoryDirectory, MemoryStore
from tests.support.mortal import Fate, MortalDatabase
from tests.support.worlds import BASE, FILTER, NO_LIMITS, World

PASSWORD = "SIPIdentityPassword"
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
SEAT = AttributeRule("cecWorkNo", Template.parse("{workNo}"))
SECRET = AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True)
CLEARED = replace(SECRET, when_absent="clear")
CLASSES = ("cecAgent", "SIPIdentity")


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


class Whole(MemoryDirectory):
    """A directory whose users are written whole, so that what is not seen is lost unless it is said again."""

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, writing=replace(described.writing, replaces=True))


def people(count: int, password: bytes | None = None, *, compares: bool = True, hidden: bool = True) -> MemoryStore:
    entries: Entries = {
        f"id-{n}": (
            f"uid=u{n},{BASE}",
            {"objectClass": ["inetOrgPerson", *CLASSES], "uid": [f"u{n}"], PASSWORD: [password] if password else []},
        )
        for n in range(count)
    }
    return MemoryStore(entries, hidden=[PASSWORD] if hidden else [], compares=compares)


def agents(*seats: int, password: str | None = "new") -> Tenant:
    """Agents on these seats, all with one password or none."""
    return Tenant([Agent(seat, f"u{n}", None, Secret(password) if password else None) for n, seat in enumerate(seats)])


def world(store: MemoryStore, rule: AttributeRule = SECRET, *, whole: bool = False) -> World:
    count = len(store.entries)
    state = State(MortalDatabase(Fate()))  # one that says it is kept, as saved plans want
    made = World(agents(*range(count)), store, Mapping(LOOKS, (SEAT, rule), CLASSES), state=state)
    if whole:
        made.connect = lambda view: Whole(store, view, base=BASE, filter=FILTER)
    return made


def plan(of: World) -> Plan:
    with of.context() as context:
        return dry_run(context, quiet).plan


def apply(of: World, reviewed: Plan | None = None, accept: str | None = None) -> FinishedRun:
    with of.context() as context:
        return apply_run(context, quiet, review=Review(reviewed), accept=accept)


def saved(of: World) -> Plan:
    """A plan as a reviewer has it."""
    with of.context() as context:
        drawn = dry_run(context, quiet, save=True).plan
    return document.parse_plan("".join(document.render(drawn)).encode())


def named(drawn: Plan) -> dict[str, list[str]]:
    return {change.user.id: [each.name for each in change.attributes] for change in drawn.changes}


def both(*names: str) -> dict[str, list[str]]:
    """Both users with these attributes."""
    return {"id-0": [*names], "id-1": [*names]}


def results(run: FinishedRun) -> dict[str, tuple[Result, str]]:
    return {outcome.user.id: (outcome.result, outcome.why) for outcome in run.outcomes or ()}


# ---------------------------------------------------------------- secrets that nobody sees


@pytest.mark.parametrize("compares", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_secret_that_is_compared_or_known_to_be_there_is_not_written_again(compares: bool, whole: bool) -> None:
    of = world(people(2, compares=compares), whole=whole)
    assert named(plan(of)) == both("cecWorkNo", PASSWORD)
    apply(of)
    assert plan(of).changes == ()
    assert plan(of).summary.unchanged == 2
    of.tenant = agents(0, 1, password="another")
    assert named(plan(of)) == both(PASSWORD)


@pytest.mark.parametrize(
    ("compares", "whole", "written"),
    [(True, False, ["cecWorkNo"]), (False, False, ["cecWorkNo"]), (True, True, ["cecWorkNo"]),
     (False, True, ["cecWorkNo", PASSWORD])],
)  # fmt: skip
def test_it_goes_along_with_other_changes_only_where_it_would_be_lost(
    compares: bool, whole: bool, written: list[str]
) -> None:
    """Where a user is written whole, and nobody can say what is there; the other user stays as it is."""
    of = world(people(2, compares=compares), whole=whole)
    apply(of)
    of.tenant = agents(7, 1)
    assert named(plan(of)) == {"id-0": written}
    apply(of)
    assert plan(of).changes == ()
    assert {held[PASSWORD] for _, held in of.store.snapshot().values()} == {(b"new",)}


@pytest.mark.parametrize("compares", [True, False])
def test_a_password_that_is_to_be_gone_is_taken_away_once(compares: bool) -> None:
    """There is one that we wrote at first, and never another one after that."""
    of = world(people(2, compares=compares), CLEARED)
    apply(of)
    of.tenant = agents(0, 1, password=None)
    assert named(plan(of)) == both(PASSWORD)
    apply(of)
    assert all(PASSWORD not in held for _, held in of.store.snapshot().values())
    assert plan(of).changes == ()


def test_of_users_who_are_written_whole_nothing_is_taken_away_that_was_never_there() -> None:
    of = world(people(2, compares=False), CLEARED, whole=True)
    of.tenant = agents(0, 1, password=None)
    apply(of)
    of.tenant = agents(7, 1, password=None)
    assert named(plan(of)) == {"id-0": ["cecWorkNo"]}


def test_a_password_that_is_there_already_is_found_by_comparing_and_not_written() -> None:
    of = world(people(2, b"new"))
    assert named(plan(of)) == both("cecWorkNo")
    of = world(people(2, b"other"))
    assert named(plan(of)) == both("cecWorkNo", PASSWORD)


def test_one_of_which_nothing_is_known_is_set_and_known_from_then_on_by_this_state_alone() -> None:
    of = world(people(1, b"new", compares=False))
    assert named(plan(of)) == {"id-0": ["cecWorkNo", PASSWORD]}
    apply(of)
    assert plan(of).changes == ()
    other = World(of.tenant, of.store, of.mapping, state=State(MortalDatabase(Fate())))
    assert named(plan(other)) == {"id-0": [PASSWORD]}


# ---------------------------------------------------------------- what was reviewed and is true already


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("compares", [True, False])
def test_what_another_run_has_written_meanwhile_is_unchanged_secrets_included(hidden: bool, compares: bool) -> None:
    of = world(people(2, compares=compares, hidden=hidden))
    reviewed = saved(of)
    apply(of)
    assert {result for result, _ in results(apply(of, reviewed)).values()} == {Result.UNCHANGED}


def test_a_shown_password_that_is_gone_is_not_true_though_we_once_wrote_it() -> None:
    """And nobody would set it now, for its agent has none any more."""
    of = world(people(1, hidden=False))
    reviewed = saved(of)
    apply(of)
    name, held = of.store.snapshot()["id-0"]
    of.store.put("id-0", name, {**held, PASSWORD: []})
    of.tenant = agents(0, password=None)
    assert results(apply(of, reviewed)) == {
        "id-0": (
            Result.CONFLICT,
            f"no change is planned any more. Not written. The reviewed values are not there: {PASSWORD}",
        )
    }


def test_a_hidden_password_that_we_wrote_otherwise_is_not_what_was_reviewed() -> None:
    of = world(people(1, compares=False))
    reviewed = saved(of)
    of.tenant = agents(0, password="another")
    apply(of)
    ((result, why),) = results(apply(of, reviewed)).values()
    assert (result, why.rpartition(": ")[2]) == (Result.CONFLICT, PASSWORD)


# ---------------------------------------------------------------- what was refused when it was reviewed


def drop(of: World, count: int) -> None:
    """So many agents are left."""
    of.tenant = replace(of.tenant, agents=of.tenant.agents[:count])


@pytest.mark.parametrize(
    ("before", "later", "refused"), [(6, 6, False), (6, 5, True), (6, 7, False), (9, 7, True), (9, 8, False)]
)
def test_a_drop_of_agents_that_was_reviewed_is_no_reason_to_refuse_and_a_larger_one_is(
    before: int, later: int, refused: bool
) -> None:
    """The reviewer has said yes to the plan; since then the first user was changed by hand, so that it is another."""
    of = world(people(10))
    of.limits = replace(NO_LIMITS, agents_drop=Limit(2))
    apply(of)
    first = of.tenant.agents
    for id_, (name, held) in of.store.snapshot().items():
        of.store.put(id_, name, {**held, "cecWorkNo": ["77"] if id_ == "id-0" else ["88"]})
    drop(of, before)
    reviewed = saved(of)
    assert bool(reviewed.refusals) is (before < 8)
    name, held = of.store.snapshot()["id-0"]
    of.store.put("id-0", name, {**held, "cecWorkNo": ["0"]})
    of.tenant = replace(of.tenant, agents=first)
    drop(of, later)
    run = apply(of, reviewed, accept=reviewed.digest if reviewed.refusals else None)
    assert run.refused is refused
    if not refused:
        found = {id_: result for id_, (result, _) in results(run).items()}
        assert found["id-0"] is Result.UNCHANGED
        assert all(found[f"id-{n}"] is Result.WRITTEN for n in range(1, min(before, later)))


def test_a_tenant_that_is_empty_now_is_refused_whatever_was_reviewed() -> None:
    of = world(people(3))
    reviewed = saved(of)
    of.tenant = Tenant([])
    assert apply(of, reviewed).refused
    assert not any("cecWorkNo" in held for _, held in of.store.snapshot().values())


def test_limits_of_users_were_judged_with_the_plan_and_refuse_nothing_again() -> None:
    """More users would be changed now than are allowed; those that were reviewed are written, the others are told."""
    of = world(people(4))
    of.limits = replace(NO_LIMITS, update=Limit(2))
    whole = of.tenant
    of.tenant = Tenant(whole.agents[:2])
    reviewed = saved(of)
    of.tenant = whole
    assert [refusal.limit for refusal in plan(of).refusals] == ["update", "secret"]
    run = apply(of, reviewed)
    assert not run.refused
    assert [results(run)[f"id-{n}"][0] for n in range(4)] == [Result.WRITTEN] * 2 + [Result.SKIPPED] * 2
