"""Undo and resume, where somebody else does something in between, and where writes come late or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_undo
from connector.directories.common.schema import Schema
from connector.errors import StateError
from connector.matching.people import ExcludeList
from connector.model import Agent, Change, Description, Holds, Outcome, Plan, Question, Result, Secret, Tenant, Value
from connector.model.limits import Limit, Limits
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.observers.observer import Observers
from connector.state.database import Transaction
from connector.state.store import State
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import DeathError, Fate, Mortal, MortalDatabase
from tests.support.worlds import BASE, FILTER, SEATS, World

PASSWORD = "SIPIdentityPassword"
CLASSES = ["inetOrgPerson", "cecAgent", "SIPIdentity"]
DEATHS = range(4, 20)
Held = dict[str, tuple[Value, ...]]


def store(count: int, **options: Any) -> MemoryStore:
    """So many users, each on the seat of its number, with a password and all object classes that there are."""
    return MemoryStore(
        {
            f"id-{n}": (
                f"uid=u{n},{BASE}",
                {"objectClass": CLASSES, "uid": [f"u{n}"], "cecWorkNo": [str(n)], PASSWORD: [f"before-{n}".encode()]},
            )
            for n in range(count)
        },
        **options,
    )


def held(mortal: Mortal, number: int) -> Held:
    return mortal.world.store.snapshot()[f"id-{number}"][1]


def put(mortal: Mortal, number: int, **values: Sequence[Value]) -> None:
    """Somebody else sets attributes of a user."""
    name, now = mortal.world.store.snapshot()[f"id-{number}"]
    mortal.world.store.put(f"id-{number}", name, {**now, **values})


def runs(mortal: Mortal) -> list[str]:
    """The runs of the job, the last one first."""
    return [run.id for run in mortal.world.state.history.list_runs("law")]


def noted(mortal: Mortal, run: str) -> dict[str, str | None]:
    """By user what became of its change in a run, as the journal has it."""
    return dict(mortal.database.rows("select user_id, outcome from journal where run = ?", run))


def taken_back(mortal: Mortal, run: str) -> Plan:
    """What an undo of this run would do; nothing is done."""
    with mortal.world.back(run) as undo:
        return dry_undo(undo, lambda plan, outcomes: None).plan


def told(plan: Plan) -> list[tuple[str | None, str]]:
    """By attribute, why something is not taken back."""
    return [(problem.attribute, problem.why) for problem in plan.problems if problem.kind == "undo"]


CHANGED = "changed since that run; kept"
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
SEAT = AttributeRule("cecWorkNo", Template.parse("{workNo}"))
LINES = AttributeRule("SIPIdentityUserName", Template.parse("{sipAccount}"), owns="*", together="")
BOTH = ("cecAgent", "SIPIdentity")


# ---------------------------------------------------------------- an undo that goes on


def test_an_undo_that_goes_on_leaves_alone_what_somebody_has_filled_in_meanwhile() -> None:
    """Two users swap their seats, so that one lets go first; the undo dies, and that one's seat is given to nobody."""
    found = set()
    for death in DEATHS:
        for fills in (True, False):
            mortal = Mortal(World(Tenant([Agent(1, "u0"), Agent(0, "u1")]), store(2), SEATS))
            run = mortal.apply().plan.id
            with suppress(DeathError):
                mortal.undo(run, death)
            emptied = [number for number in range(2) if "cecWorkNo" not in held(mortal, number)]
            for number in emptied if fills else ():
                put(mortal, number, cecWorkNo=["77"])
            plan = mortal.undo(run).plan
            for number in emptied or range(2):
                assert held(mortal, number)["cecWorkNo"] == ("77" if emptied and fills else str(number),)
            assert (("cecWorkNo", CHANGED) in told(plan)) is bool(emptied and fills)
            found.add(bool(emptied))
    assert found == {True, False}, "an undo dies with an empty seat, and without"


def test_what_a_killed_undo_emptied_alone_is_put_back_once() -> None:
    """Two users swap their seats. The next undo puts the seat back, and somebody takes it away after that."""
    found = set()
    for death in DEATHS:
        mortal = Mortal(World(Tenant([Agent(1, "u0"), Agent(0, "u1")]), store(2), SEATS))
        run = mortal.apply().plan.id
        with suppress(DeathError):
            mortal.undo(run, death)
        for number in [number for number in range(2) if "cecWorkNo" not in held(mortal, number)]:
            mortal.undo(run)
            assert held(mortal, number)["cecWorkNo"] == (str(number),)
            put(mortal, number, cecWorkNo=[])
            assert told(mortal.undo(run).plan) == [("cecWorkNo", CHANGED)]
            assert "cecWorkNo" not in held(mortal, number)
            found.add(death)
    assert found


def test_a_value_that_somebody_has_taken_away_is_not_put_back() -> None:
    mortal = Mortal(World(Tenant([Agent(1, "u0")]), store(1), SEATS))
    run = mortal.apply().plan.id
    put(mortal, 0, cecWorkNo=[])
    assert ("cecWorkNo", CHANGED) in told(mortal.undo(run).plan)
    assert "cecWorkNo" not in held(mortal, 0)


def test_a_run_that_takes_more_back_than_allowed_holds_the_job_once_that_is_accepted() -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0")]), bare(1), SEATS))
    run = mortal.apply().plan.id
    mortal.world.limits = Limits(Limit(0), Limit(0), None, Limit(0))
    refused = mortal.undo(run)
    assert refused.refused
    assert mortal.world.state.read_hold("law") is None
    assert not mortal.undo(run, accept=refused.plan.digest).refused
    assert mortal.world.state.read_hold("law") is not None
    assert "cecWorkNo" not in held(mortal, 0)


@pytest.mark.parametrize("death", range(1, 12))
def test_what_an_undo_shows_is_what_it_does_also_where_the_run_was_cut_short(death: int) -> None:
    mortal = Mortal(World(Tenant([Agent(n + 10, f"u{n}", str(n)) for n in range(3)]), store(3), SEATS))
    before = mortal.world.store.snapshot()
    with suppress(DeathError):
        mortal.apply(last=death)
    for run in runs(mortal):
        shown = taken_back(mortal, run)
        assert mortal.undo(run).plan.digest == shown.digest
    assert mortal.world.store.snapshot() == before


# ---------------------------------------------------------------- what is put back


@pytest.mark.parametrize("death", range(1, 12))
def test_an_undo_after_a_resumed_run_puts_back_what_was_there_when_it_was_written(death: int) -> None:
    """A password is changed by somebody else, after the run had noted its old value and died before it wrote."""
    world = World(Tenant([Agent(0, "u0", None, Secret("new")), Agent(1, "u1", None, Secret("new"))]), store(2), SEATS)
    mortal = Mortal(world)
    plan = mortal.save()
    with pytest.raises(DeathError):
        mortal.apply(plan, death)
    expected = {}
    for number in range(2):
        if held(mortal, number)[PASSWORD] == (b"new",):
            expected[number] = f"before-{number}".encode()
        else:
            expected[number] = f"meanwhile-{number}".encode()
            put(mortal, number, **{PASSWORD: [expected[number]]})
    assert not mortal.apply(plan).count_ending.in_part
    assert {held(mortal, number)[PASSWORD] for number in range(2)} == {(b"new",)}
    mortal.undo(plan.id)
    assert {number: held(mortal, number)[PASSWORD] for number in range(2)} == {
        number: (value,) for number, value in expected.items()
    }


class Shown(MemoryDirectory):
    """The account may not read all passwords, as far as it is told; these are shown all the same."""

    def describe(self) -> Description:
        described = super().describe()
        info = replace(described.attributes[PASSWORD], readable=None)
        return replace(described, attributes={**described.attributes, PASSWORD: info})


def shown(mortal: Mortal) -> None:
    """Let the rights of the account be so from now on."""
    world = mortal.world
    world.connect = lambda view: Shown(world.store, view, base=BASE, filter=FILTER)


def test_a_password_that_is_shown_is_taken_back_though_not_everyones_may_be_readable() -> None:
    agents = [Agent(n, f"u{n}", None, Secret("new")) for n in range(2)]
    mortal = Mortal(World(Tenant(agents), store(2), SEATS))
    run = mortal.apply().plan.id
    put(mortal, 1, **{PASSWORD: [b"by hand"]})
    shown(mortal)
    plan = mortal.undo(run).plan
    assert [held(mortal, number)[PASSWORD] for number in range(2)] == [(b"before-0",), (b"by hand",)]
    assert (PASSWORD, CHANGED) in told(plan)


@pytest.mark.parametrize("readable", [True, False])
def test_a_password_that_is_gone_is_told_from_one_that_is_hidden(readable: bool) -> None:
    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1), SEATS))
    run = mortal.apply().plan.id
    put(mortal, 0, **{PASSWORD: []})
    if not readable:
        shown(mortal)
    why = dict(told(taken_back(mortal, run)))[PASSWORD]
    assert why == CHANGED if readable else why.startswith("no value is shown: ")


def test_a_password_that_was_put_back_by_hand_is_done_and_one_that_was_never_seen_is_told() -> None:
    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1), SEATS))
    run = mortal.apply().plan.id
    put(mortal, 0, **{PASSWORD: [b"before-0"]})
    assert PASSWORD not in dict(told(taken_back(mortal, run)))
    unseen = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1, hidden=[PASSWORD]), SEATS))
    run = unseen.apply().plan.id
    unseen.world.store.hidden = frozenset()
    why = dict(told(taken_back(unseen, run)))[PASSWORD]
    assert why.startswith("its value before that run could not be read")
    put(unseen, 0, **{PASSWORD: []})
    assert dict(told(taken_back(unseen, run)))[PASSWORD] == CHANGED


AGAIN = "this job did not write the current value; kept"


def test_what_a_later_run_has_written_over_stays_though_somebody_put_it_there_again() -> None:
    """The seat and the password of the first run are there, and not by the job's last word."""
    mortal = Mortal(World(Tenant([Agent(1, "u0", "7", Secret("first"))]), store(1), SEATS))
    first = mortal.apply().plan.id
    assert told(taken_back(mortal, first)) == []
    mortal.world.tenant = Tenant([Agent(2, "u0", "7", Secret("second"))])
    mortal.apply()
    put(mortal, 0, cecWorkNo=["1"], **{PASSWORD: [b"first"]})
    assert sorted(told(taken_back(mortal, first)), key=str) == [(PASSWORD, AGAIN), ("cecWorkNo", AGAIN)]
    mortal.undo(first)
    assert (held(mortal, 0)["cecWorkNo"], held(mortal, 0)[PASSWORD]) == (("1",), (b"first",))
    assert "SIPIdentityUserName" in held(mortal, 0), "the line belongs to the password, which stays"


def test_what_another_job_has_written_since_stays_and_that_job_is_named() -> None:
    mortal = Mortal(World(Tenant([Agent(1, "u0", "7")]), store(1), SEATS))
    run = mortal.apply().plan.id
    other = Mapping(LOOKS, (replace(SEAT, take_over=True, value=Template.parse("{sipAccount}")),))
    it = World(Tenant([Agent(50, "u0", "1")]), mortal.world.store, other, state=mortal.world.state, job="it")
    put(mortal, 0, cecWorkNo=["9"])
    with it.context() as context:
        assert len(apply_run(context, lambda plan, outcomes: None).plan.changes) == 1
    assert held(mortal, 0)["cecWorkNo"] == ("1",), "the very value of the run"
    plan = mortal.undo(run).plan
    assert ("cecWorkNo", "another job (it) wrote it since; kept") in told(plan)
    assert held(mortal, 0)["cecWorkNo"] == ("1",)


def test_a_password_that_is_put_back_is_known_by_its_fingerprint_from_then_on() -> None:
    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("first"))]), store(1), SEATS))
    mortal.apply()
    mortal.world.tenant = Tenant([Agent(0, "u0", None, Secret("second"))])
    run = mortal.apply().plan.id
    (change,) = mortal.undo(run).plan.changes
    with mortal.world.context() as context:
        expected = context.fingerprint(change.user, PASSWORD, Secret("first"))
        memory = mortal.world.state.memory(context.directory.describe().identity, "law")
    assert [each.fingerprint for each in change.attributes] == [expected]
    assert memory.fingerprint_of("id-0", PASSWORD) == expected, "it is the job's own again"


@pytest.mark.parametrize("hidden", [True, False])
def test_a_password_that_was_taken_away_unseen_cannot_be_put_back_and_that_is_told(hidden: bool) -> None:
    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1, hidden=[PASSWORD]), SEATS))
    mortal.apply()
    mortal.world.tenant = Tenant([Agent(0, "u0")])
    run = mortal.apply().plan.id
    assert PASSWORD not in held(mortal, 0)
    if not hidden:
        mortal.world.store.hidden = frozenset()
    why = dict(told(taken_back(mortal, run)))[PASSWORD]
    assert why.startswith("its value before that run could not be read")


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_first_password_that_nobody_could_see_and_now_can_is_taken_away_by_its_value(by_hand: bool) -> None:
    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), bare(1, hidden=[PASSWORD]), APART))
    run = mortal.apply().plan.id
    mortal.world.store.hidden = frozenset()
    if by_hand:
        put(mortal, 0, **{PASSWORD: [b"by hand"]})
    plan = taken_back(mortal, run)
    found = [each for change in plan.changes for each in change.attributes if each.name == PASSWORD]
    if by_hand:
        assert found == []
        assert (PASSWORD, CHANGED) in told(plan)
    else:
        (back,) = found
        assert (back.old, back.new, back.seen, back.absent) == ((Secret("new"),), (), True, False)


def bare(count: int, **options: Any) -> MemoryStore:
    """Users that are nothing but people."""
    return MemoryStore(
        {f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"]}) for n in range(count)},
        **options,
    )


APART = replace(SEATS, attributes=tuple(replace(rule, together="") for rule in SEATS.attributes))
"""Each attribute goes back by itself, so that a password alone stays."""


def test_the_class_of_a_hidden_password_stays_if_we_wrote_one_and_goes_if_we_did_not() -> None:
    agents = [Agent(0, "u0", "0", Secret("new")), Agent(1, "u1", "1")]
    mortal = Mortal(World(Tenant(agents), bare(2, hidden=[PASSWORD]), APART))
    run = mortal.apply().plan.id
    assert {"cecAgent", "SIPIdentity"} <= set(held(mortal, 0)["objectClass"]) & set(held(mortal, 1)["objectClass"])
    mortal.undo(run)
    assert held(mortal, 0)["objectClass"] == ("inetOrgPerson", "SIPIdentity")
    assert held(mortal, 0)[PASSWORD] == (b"new",)
    assert held(mortal, 1) == {"objectClass": ("inetOrgPerson",), "uid": ("u1",)}


def test_the_class_of_a_password_that_somebody_took_away_goes_where_it_would_be_shown() -> None:
    """That this job once wrote one keeps the class only where nobody can say whether it is still there."""
    mortal = Mortal(World(Tenant([Agent(0, "u0", "0", Secret("new"))]), bare(1), SEATS))
    run = mortal.apply().plan.id
    put(mortal, 0, **{PASSWORD: []})
    mortal.undo(run)
    assert held(mortal, 0) == {"objectClass": ("inetOrgPerson",), "uid": ("u0",)}


def test_a_class_stays_for_a_hidden_password_that_a_later_run_of_ours_wrote() -> None:
    mortal = Mortal(World(Tenant([Agent(0, "u0", "0")]), bare(1, hidden=[PASSWORD]), APART))
    run = mortal.apply().plan.id
    mortal.world.tenant = Tenant([Agent(0, "u0", "0", Secret("later"))])
    mortal.apply()
    mortal.undo(run)
    assert "SIPIdentityUserName" not in held(mortal, 0)
    assert held(mortal, 0)[PASSWORD] == (b"later",)
    assert held(mortal, 0)["objectClass"] == ("inetOrgPerson", "SIPIdentity")


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_not_put_back_of_a_hidden_password_may_be_lost_where_users_are_written_whole(whole: bool) -> None:
    class Written(MemoryDirectory):
        def describe(self) -> Description:
            described = super().describe()
            return replace(described, writing=replace(described.writing, replaces=whole))

    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1, hidden=[PASSWORD]), SEATS))
    run = mortal.apply().plan.id
    world = mortal.world
    world.connect = lambda view: Written(world.store, view, base=BASE, filter=FILTER)
    stays = "kept. Grant the right to read it and rerun the undo, or remove it by hand"
    end = "it may be lost, since the whole user is written" if whole else stays
    assert dict(told(taken_back(mortal, run)))[PASSWORD].endswith(f"; {end}")


def test_a_password_of_another_key_stays_and_that_is_why() -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0", None, Secret("new"))]), store(1), APART))
    run = mortal.apply().plan.id
    mortal.world.key = Secret("another key")
    plan = taken_back(mortal, run)
    assert [(name, why.partition(",")[0]) for name, why in told(plan)] == [(PASSWORD, "that run had another key")]
    assert [each.name for change in plan.changes for each in change.attributes] == ["cecAccountCode", "cecWorkNo"]


def test_a_password_that_nobody_has_now_is_put_back_whoever_set_one_since() -> None:
    """Nothing is taken away by that."""
    mortal = Mortal(World(Tenant([Agent(0, "u0")]), store(1), SEATS))
    run = mortal.apply().plan.id
    mortal.world.tenant = Tenant([Agent(0, "u0", None, Secret("since"))])
    mortal.apply()
    put(mortal, 0, **{PASSWORD: []})
    assert PASSWORD not in dict(told(mortal.undo(run).plan))
    assert held(mortal, 0)[PASSWORD] == (b"before-0",)


def test_of_a_user_who_is_gone_it_is_told_whose_and_which_it_was() -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0"), Agent(8, "u1")]), store(2), SEATS))
    run = mortal.apply().plan.id
    mortal.world.store.remove("id-0")
    plan = mortal.undo(run).plan
    assert [(each.kind, str(each.agent), each.users) for each in plan.problems] == [
        ("undo", "u0 (workNo 7)", (f"uid=u0,{BASE}",)),
    ]  # fmt: skip
    assert held(mortal, 1)["cecWorkNo"] == ("1",)


@pytest.mark.parametrize("compares", [True, False])
def test_what_is_hidden_by_now_stays_and_is_told_from_what_is_gone(compares: bool) -> None:
    """Of two lines the first was not among those before, so that it is asked for."""
    two = Mapping(LOOKS, (replace(LINES, value=Template.parse("{sipAccount}")), replace(SEAT, together="")), BOTH)
    users = {"objectClass": CLASSES, "cecWorkNo": ["1"]}
    people = {f"id-{n}": (f"uid=u{n},{BASE}", {**users, "uid": [f"u{n}"]}) for n in range(2)}
    mortal = Mortal(
        World(Tenant([Agent(7, "u0", "70"), Agent(8, "u1", "80")]), MemoryStore(people, compares=compares), two)
    )
    run = mortal.apply().plan.id
    put(mortal, 1, cecWorkNo=[])
    mortal.world.store.hidden = frozenset({"cecworkno"})
    plan = taken_back(mortal, run)
    unreadable = (
        "no value is shown: it is gone, or this account cannot read it. It may have changed since that run; kept. "
        "Grant the right to read it and rerun the undo, or remove it by hand"
    )
    whys = {problem.users[0][4:6]: problem.why for problem in plan.problems if problem.attribute == "cecWorkNo"}
    assert whys == {"u0": unreadable, "u1": CHANGED if compares else unreadable}
    assert [[each.name for each in change.attributes] for change in plan.changes] == [[LINES.name], [LINES.name]]


@pytest.mark.parametrize("compares", [True, False])
def test_what_was_emptied_and_is_hidden_by_now_is_put_back_only_where_nobody_has_filled_it(compares: bool) -> None:
    seat = replace(SEAT, value=Template.parse("{sipAccount}"), when_absent="clear", unique=False)
    values = {"objectClass": CLASSES, "cecWorkNo": ["1"]}
    people = {f"id-{n}": (f"uid=u{n},{BASE}", {**values, "uid": [f"u{n}"]}) for n in range(2)}
    mortal = Mortal(
        World(
            Tenant([Agent(n, f"u{n}") for n in range(2)]),
            MemoryStore(people, compares=compares),
            Mapping(LOOKS, (seat,), ("cecAgent",)),
        )
    )
    run = mortal.apply().plan.id
    assert "cecWorkNo" not in held(mortal, 0)
    put(mortal, 0, cecWorkNo=["9"])
    mortal.world.store.hidden = frozenset({"cecworkno"})
    plan = taken_back(mortal, run)
    assert [change.user.id for change in plan.changes] == (["id-1"] if compares else [])
    kept = [problem.users[0][4:6] for problem in plan.problems if "cannot read it" in problem.why]
    assert kept == (["u0"] if compares else ["u0", "u1"])


def test_what_is_asked_of_a_hidden_password_is_never_seen() -> None:
    """Also of one that was readable when it was taken away."""
    asked: list[Question] = []

    class Listening(MemoryDirectory):
        def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
            asked.extend(questions)
            return super().holds(asked)

    mortal = Mortal(World(Tenant([Agent(0, "u0")]), store(1), SEATS))
    run = mortal.apply().plan.id
    world = mortal.world
    world.store.hidden = frozenset({PASSWORD.lower()})
    world.connect = lambda view: Listening(world.store, view, base=BASE, filter=FILTER)
    taken_back(mortal, run)
    assert [each.attribute for each in asked] == [PASSWORD]
    assert "before-0" not in repr(asked)


@pytest.mark.parametrize(
    "exclude",
    [ExcludeList(frozenset({"u0"})), ExcludeList(users=frozenset({"id-0"})), ExcludeList(work_nos=frozenset({7}))],
)
def test_who_is_on_the_exclude_list_keeps_what_the_run_has_written(exclude: ExcludeList) -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0"), Agent(8, "u1")]), store(2), SEATS))
    run = mortal.apply().plan.id
    mortal.world.exclude = exclude
    plan = mortal.undo(run).plan
    assert [held(mortal, number)["cecWorkNo"] for number in range(2)] == [("7",), ("1",)]
    assert [(each.kind, str(each.agent), each.users) for each in plan.problems] == [
        ("exclude", "u0 (workNo 7)", (f"uid=u0,{BASE}",))
    ]


@pytest.mark.parametrize("listed", ["uid=u0", "uid=renamed"])
def test_who_was_renamed_since_is_spared_by_the_old_name_or_the_new_one(listed: str) -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0"), Agent(8, "u1")]), store(2), SEATS))
    run = mortal.apply().plan.id
    _, values = mortal.world.store.snapshot()["id-0"]
    mortal.world.store.put("id-0", f"uid=renamed,{BASE}", values)
    mortal.world.exclude = ExcludeList(users=frozenset({f"{listed},{BASE}"}))
    plan = mortal.undo(run).plan
    assert [each.users for each in plan.problems] == [(f"uid=renamed,{BASE}",)]
    assert [change.user.id for change in plan.changes] == ["id-1"]


@pytest.mark.parametrize(
    ("listed", "lost"),
    [("id-0", 0), (f"uid=renamed,{BASE}", 0), (f"uid=u0,{BASE}", 0), ("id-9", 1), (f"uid=u9,{BASE}", 1)],
)
def test_an_undo_is_refused_for_who_is_on_the_exclude_list_and_neither_was_there_nor_is(listed: str, lost: int) -> None:
    """Also where nobody may look past base and filter."""
    mortal = Mortal(World(Tenant([Agent(7, "u0"), Agent(8, "u1")]), store(2), SEATS))
    run = mortal.apply().plan.id
    _, values = mortal.world.store.snapshot()["id-0"]
    mortal.world.store.put("id-0", f"uid=renamed,{BASE}", values)
    mortal.world.exclude = ExcludeList(users=frozenset({listed}))
    assert [(each.limit, each.planned) for each in taken_back(mortal, run).refusals] == [("exclude", 1)] * lost


# ---------------------------------------------------------------- object classes


@pytest.mark.parametrize("hidden", [True, False])
def test_the_class_of_a_value_that_nobody_can_see_and_that_stays_is_kept(hidden: bool) -> None:
    rules = (SEAT, LINES)
    mortal = Mortal(World(Tenant([Agent(7, "u0", "70")]), bare(1, compares=False), Mapping(LOOKS, rules, BOTH)))
    run = mortal.apply().plan.id
    mortal.world.store.hidden = frozenset({"cecworkno"} if hidden else ())
    (change,) = taken_back(mortal, run).changes
    (classes,) = [each for each in change.attributes if each.name == "objectClass"]
    assert classes.old == (("SIPIdentity",) if hidden else ("cecAgent", "SIPIdentity"))


def test_an_undo_of_an_undo_brings_the_classes_back_unless_somebody_has_done_so() -> None:
    for again in (True, False):
        mortal = Mortal(World(Tenant([Agent(0, "u0", "7")]), bare(1), SEATS))
        mortal.apply()
        after = mortal.world.store.snapshot()
        run = mortal.undo(runs(mortal)[0]).plan
        assert told(run) == []
        assert held(mortal, 0)["objectClass"] == ("inetOrgPerson",)
        if again:
            put(mortal, 0, objectClass=["inetOrgPerson", "CECAGENT"])
        plan = mortal.undo(runs(mortal)[0]).plan
        (classes,) = [each for change in plan.changes for each in change.attributes if each.name == "objectClass"]
        assert sorted(map(str, classes.new)) == (["SIPIdentity"] if again else ["SIPIdentity", "cecAgent"])
        assert held(mortal, 0).keys() == after["id-0"][1].keys()


def test_a_class_goes_though_something_stays_that_no_schema_knows() -> None:
    extra = AttributeRule("x-extra", Template.parse("{sipAccount}"), when_absent="keep")
    mortal = Mortal(World(Tenant([Agent(0, "u0")]), bare(1), Mapping(LOOKS, (SEAT, extra), ("cecAgent",))))
    put(mortal, 0, **{"x-extra": ["theirs"]})
    mortal.apply()
    assert "cecAgent" in held(mortal, 0)["objectClass"]
    mortal.undo(runs(mortal)[0])
    assert held(mortal, 0)["objectClass"] == ("inetOrgPerson",)
    assert held(mortal, 0)["x-extra"] == ("theirs",)


TYPES = (
    "( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.38 )",
    "( 1.1.1 NAME 'uid' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
    "( 1.1.2 NAME 'seat' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )",
    "( 1.1.3 NAME 'line' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )",
)
KINDS = (
    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
    "( 1.2.1 NAME 'inetOrgPerson' SUP top STRUCTURAL MAY uid )",
    "( 1.2.2 NAME 'first' SUP top AUXILIARY MAY ( seat $ line ) )",
    "( 1.2.3 NAME 'second' SUP top AUXILIARY MAY seat )",
    "( 1.2.4 NAME 'third' SUP top AUXILIARY MAY seat )",
)
SEAT_AND_LINE = (
    AttributeRule("seat", Template.parse("{workNo}")),
    AttributeRule("line", Template.parse("{sipAccount}")),
)


@pytest.mark.parametrize(
    ("classes", "stays"),
    [
        (("first", "second"), {"second"}),
        (("second", "first"), {"first"}),
        (("first", "second", "third"), {"third"}),
        (("First", "Second"), {"Second"}),
        (("first",), {"first"}),
    ],
)
def test_of_several_classes_that_allow_what_is_left_one_stays(classes: tuple[str, ...], stays: set[str]) -> None:
    """The run added all of them; somebody has changed the seat since, so that it stays."""
    world = World(
        Tenant([Agent(7, "u0", "70")]),
        bare(1, schema=Schema(TYPES, KINDS)),
        Mapping(LOOKS, SEAT_AND_LINE, classes),
    )
    mortal = Mortal(world)
    run = mortal.apply().plan.id
    assert set(held(mortal, 0)["objectClass"]) == {"inetOrgPerson", *classes}
    put(mortal, 0, seat=["8"])
    mortal.undo(run)
    assert set(held(mortal, 0)["objectClass"]) == {"inetOrgPerson", *stays}
    assert held(mortal, 0)["seat"] == ("8",)
    assert "line" not in held(mortal, 0)


def test_a_class_that_the_user_had_and_that_allows_what_is_left_lets_all_others_go() -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0", "70")]), bare(1, schema=Schema(TYPES, KINDS)),
                          Mapping(LOOKS, SEAT_AND_LINE, ("first", "second"))))  # fmt: skip
    run = mortal.apply().plan.id
    put(mortal, 0, seat=["8"], objectClass=["inetOrgPerson", "first", "second", "third"])
    mortal.undo(run)
    assert held(mortal, 0) == {"objectClass": ("inetOrgPerson", "third"), "uid": ("u0",), "seat": ("8",)}


def test_a_class_stays_for_values_that_are_not_ours() -> None:
    """Out of an attribute of several values only ours are taken, and what stays needs the class."""
    rule = AttributeRule("SIPIdentitySIPURI", Template.parse("sip:{sipAccount}@example.org"), owns="sip:*")
    mortal = Mortal(World(Tenant([Agent(0, "u0", "7")]), bare(1), Mapping(LOOKS, (rule,), ("SIPIdentity",))))
    run = mortal.apply().plan.id
    put(mortal, 0, SIPIdentitySIPURI=["sip:7@example.org", "tel:7"])
    mortal.undo(run)
    assert held(mortal, 0)["SIPIdentitySIPURI"] == ("tel:7",)
    assert held(mortal, 0)["objectClass"] == ("inetOrgPerson", "SIPIdentity")


def test_of_a_class_that_somebody_has_taken_away_already_nothing_is_to_be_done() -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0")]), bare(1), SEATS))
    run = mortal.apply().plan.id
    put(mortal, 0, objectClass=["inetOrgPerson"], cecWorkNo=[], cecAccountCode=["u0"])
    (change,) = taken_back(mortal, run).changes
    assert [(each.name, each.new) for each in change.attributes] == [("cecAccountCode", ())]


def test_an_undo_of_an_undo_brings_the_classes_back() -> None:
    mortal = Mortal(World(Tenant([Agent(7, "u0", "70")]), bare(1), SEATS))
    run = mortal.apply().plan.id
    after = mortal.world.store.snapshot()
    back = mortal.undo(run).plan.id
    assert held(mortal, 0)["objectClass"] == ("inetOrgPerson",)
    mortal.undo(back)
    assert {name: set(values) for name, values in held(mortal, 0).items()} == {
        name: set(values) for name, values in after["id-0"][1].items()
    }


def test_a_class_stays_of_whose_attributes_none_is_in_the_mapping_any_more() -> None:
    """Nobody can say then whether something left needs it."""
    mortal = Mortal(World(Tenant([Agent(7, "u0", "70")]), bare(1), SEATS))
    run = mortal.apply().plan.id
    lines = [rule for rule in SEATS.attributes if rule.name.startswith("SIP")]
    mortal.world.mapping = replace(SEATS, attributes=tuple(lines))
    mortal.undo(run)
    assert held(mortal, 0)["objectClass"] == ("inetOrgPerson", "cecAgent")
    assert held(mortal, 0)["cecWorkNo"] == ("7",)
    assert "SIPIdentityUserName" not in held(mortal, 0)


# ---------------------------------------------------------------- a run that was cut short


@pytest.mark.parametrize("compares", [True, False])
def test_a_write_of_which_nothing_tells_whether_it_happened_is_not_taken_back(compares: bool) -> None:
    """A password that is never shown; what an undo could compare it with, nobody has kept."""
    world = World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1, hidden=[PASSWORD], compares=compares), SEATS)
    mortal = Mortal(world)
    put(mortal, 0, cecAccountCode=["u0"])
    plan, death = mortal.save(), 0
    assert [each.name for change in plan.changes for each in change.attributes] == [PASSWORD]
    while not mortal.journal(None):
        death += 1
        with suppress(DeathError):
            mortal.apply(plan, death)
    undone = mortal.undo(plan.id)
    assert undone.plan.changes == ()
    why = f"no answer tells whether that run wrote here, and nothing that is read tells of {PASSWORD}; kept"
    assert [each.why for each in undone.plan.problems] == [why]
    assert held(mortal, 0)[PASSWORD] in {(b"new",), (b"before-0",)}


# ---------------------------------------------------------------- limits


def test_the_limits_of_an_undo_are_of_all_users_that_hold_something_of_ours() -> None:
    """Ten users are ours, and the run that is taken back wrote to one of them: that is a tenth, and not all."""
    mortal = Mortal(World(Tenant([Agent(n, f"u{n}", str(n)) for n in range(9)]), bare(10), SEATS))
    mortal.apply()
    mortal.world.tenant = Tenant([*mortal.world.tenant.agents, Agent(9, "u9", "9")])
    run = mortal.apply().plan.id
    tenth = Limit(10, percent=True)
    mortal.world.limits = Limits(tenth, tenth, None, Limit(100, percent=True))
    assert taken_back(mortal, run).refusals == ()
    mortal.world.limits = Limits(tenth, Limit(9, percent=True), None, Limit(100, percent=True))
    assert [refusal.limit for refusal in taken_back(mortal, run).refusals] == ["clear"]


# ---------------------------------------------------------------- late arrivals


def late(mortal: Mortal, *, gone: Callable[[Change], Iterable[Change]] = lambda change: [change]) -> str:
    """A run that dies with a write to u0 on its way, which arrives while the next run writes; the first one's id.

    u0's agent has left by then. `gone` says what arrives of the write.
    """
    world = mortal.world
    world.tenant = Tenant([Agent(70, "u0", "7")])
    plan = mortal.save()
    before = world.store.snapshot()
    death = 0
    while mortal.journal(None)[("id-0", plan.changes[0].digest)] == 0:
        death += 1
        assert death < 20
        with suppress(DeathError):
            mortal.apply(plan, death)
    assert world.store.snapshot() == before, "it was noted, and did not happen"
    world.tenant = Tenant([Agent(71, "u1", "8")])

    def arrives() -> None:
        mortal.meddle = lambda: None
        network = MemoryDirectory(world.store, world.mapping.view(), base=BASE, filter=FILTER)
        list(network.write(gone(plan.changes[0])))

    mortal.meddle = arrives
    return plan.id


def cleared(mortal: Mortal) -> set[str]:
    return {change.user.id for change in mortal.apply().plan.changes if change.agent is None}


def test_a_write_that_arrives_late_during_the_next_apply_is_ours() -> None:
    mortal = Mortal(World(Tenant([]), bare(2), SEATS))
    first = late(mortal)
    assert {change.user.id for change in mortal.apply().plan.changes} == {"id-1"}
    assert held(mortal, 0)["cecWorkNo"] == ("70",)
    assert noted(mortal, first)["id-0"] == "written"
    assert cleared(mortal) == {"id-0"}
    assert held(mortal, 0)["uid"] == ("u0",)
    assert "cecWorkNo" not in held(mortal, 0)


def test_a_write_that_arrives_late_during_an_undo_is_ours() -> None:
    mortal = Mortal(World(Tenant([Agent(71, "u1", "8")]), bare(2), SEATS))
    run = mortal.apply().plan.id
    first = late(mortal)
    mortal.undo(run)
    assert noted(mortal, first)["id-0"] == "written"
    mortal.undo(first)
    assert "cecWorkNo" not in held(mortal, 0)


def test_of_a_write_that_did_not_arrive_nothing_is_ours_though_somebody_wrote_a_part_of_the_same() -> None:
    def seat(change: Change) -> list[Change]:
        return [
            replace(change, attributes=tuple(e for e in change.attributes if e.name in ("objectClass", "cecWorkNo")))
        ]

    mortal = Mortal(World(Tenant([]), bare(2), SEATS))
    first = late(mortal, gone=seat)
    mortal.apply()
    assert "cecWorkNo" in held(mortal, 0)
    assert noted(mortal, first)["id-0"] == "skipped"
    assert cleared(mortal) == set()


def test_what_the_next_run_writes_itself_is_no_late_arrival() -> None:
    """The agent is still there, so that the next run writes the very same to its user."""
    mortal = Mortal(World(Tenant([]), bare(2), SEATS))
    first = late(mortal, gone=lambda change: [])
    mortal.world.tenant = Tenant([Agent(70, "u0", "7")])
    mortal.apply()
    assert noted(mortal, first)["id-0"] == "skipped"
    assert mortal.journal("written").total() == len(mortal.log) == 1


def test_a_write_that_arrives_late_where_the_next_run_would_do_the_same_makes_that_one_a_conflict() -> None:
    mortal = Mortal(World(Tenant([]), bare(2), SEATS))
    first = late(mortal)
    mortal.world.tenant = Tenant([Agent(70, "u0", "7")])
    assert [outcome.result for outcome in mortal.apply().outcomes or ()] == [Result.CONFLICT]
    assert noted(mortal, first)["id-0"] == "written"


class Hearing(Observers):
    """Remembers what it is told of earlier runs."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str | None, Result]] = []

    def note_outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.told.append((change.user.id, run, outcome.result))


def test_each_write_is_told_once_of_the_run_that_it_is_of() -> None:
    """Of a run that was cut short, some had happened, some had not, and one does later."""
    mortal = Mortal(World(Tenant([Agent(n, f"u{n}") for n in range(4)]), bare(4), SEATS))
    plan = mortal.save()
    while not (mortal.log and mortal.journal(None)):
        with suppress(DeathError):
            mortal.apply(plan, mortal.fate.calls + 1)
    done = {id_ for id_, _ in mortal.log}
    still_open = {id_ for id_, _ in mortal.journal(None)}
    assert done & still_open
    hearing = Hearing()
    with mortal.world.context() as context:
        run = apply_run(replace(context, observer=hearing), lambda plan, outcomes: None)
    settled = {(id_, plan.id, Result.WRITTEN if id_ in done else Result.SKIPPED) for id_ in still_open}
    written = {(change.user.id, None, Result.WRITTEN) for change in run.plan.changes}
    assert len(hearing.told) == len(set(hearing.told))
    assert set(hearing.told) == settled | written


@pytest.mark.parametrize(
    ("telling", "said"), [((), "secrets of 2 users."), ((1,), "secrets of one user."), ((1, 2), "")]
)
def test_the_next_run_says_of_how_many_users_it_writes_secrets_again_of_which_nothing_tells(
    telling: Sequence[int], said: str
) -> None:
    """Not of those whose secrets nobody had begun to write, nor of those of whom another attribute tells."""
    agents = [Agent(n, f"u{n}", None, Secret("new")) for n in range(4)]
    mortal = Mortal(World(Tenant(agents), store(4, hidden=[PASSWORD], compares=False), SEATS))
    for number in range(4):
        put(mortal, number, cecAccountCode=[] if number in telling else [f"u{number}"])
    with suppress(DeathError):
        mortal.apply(last=26)
    assert {id_ for id_, _ in mortal.journal(None)} == {"id-1", "id-2"}, "what was under way"
    mortal.said.clear()
    mortal.apply()
    cautions = {caution for caution in mortal.said if "interrupted run wrote secrets" in caution}
    assert [said in caution for caution in cautions] == ([True] if said else [])
    again = "written again, perhaps: the result of an interrupted run is unknown"
    assert mortal.said.count(again) == 2 - len(telling)


@pytest.mark.parametrize(("other", "exact"), [("SIPIdentitySIPURI", True), ("SIPIdentityServiceLevel", False)])
def test_of_two_passwords_both_have_to_be_found_before_they_count_as_written(other: str, exact: bool) -> None:
    """They can only be compared, and somebody has set one of them again before the next run looks.

    Where the server ignores case, finding tells nothing: `NEW` may have been there all along.
    """
    secrets = tuple(
        AttributeRule(name, Template.parse("{sipPwd}"), owns="*", secret=True) for name in (PASSWORD, other)
    )
    for undone in ((), (PASSWORD,), (other,), (PASSWORD, other)):
        mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), store(1, hidden=[PASSWORD, other]),
                              Mapping(LOOKS, secrets, ("SIPIdentity",))))  # fmt: skip
        plan = mortal.save()
        death = 0
        while not mortal.log:
            death += 1
            with suppress(DeathError):
                mortal.apply(plan, death)
        for name in undone:
            put(mortal, 0, **{name: [b"by hand"]})
        mortal.apply()
        outcome = "written" if exact and not undone else "failed"
        assert noted(mortal, plan.id) == {"id-0": outcome}
        assert (held(mortal, 0)[PASSWORD], held(mortal, 0)[other]) == ((b"new",), ("new",))


@pytest.mark.parametrize("mute", [True, False])
def test_who_is_written_again_is_told_so_only_where_nothing_told_that_it_was_written(mute: bool) -> None:
    """The password was written, and the run died; its user gets another seat in the next one."""
    people = store(1, hidden=[PASSWORD], compares=not mute)
    mortal = Mortal(World(Tenant([Agent(0, "u0", None, Secret("new"))]), people, SEATS))
    put(mortal, 0, cecAccountCode=["u0"])
    death = 0
    while not mortal.log:
        death += 1
        with suppress(DeathError):
            mortal.apply(last=death)
    assert mortal.journal(None)
    mortal.world.tenant = Tenant([Agent(5, "u0", None, Secret("new"))])
    mortal.said.clear()
    mortal.apply()
    assert any("written again, perhaps" in said for said in mortal.said) is mute


def test_who_is_deleted_before_its_late_write_could_arrive_stays_as_it_was_found() -> None:
    mortal = Mortal(World(Tenant([]), bare(2), SEATS))
    first = late(mortal)

    def leave() -> None:
        mortal.meddle = lambda: None
        mortal.world.store.remove("id-0")

    mortal.meddle = leave
    assert [outcome.result for outcome in mortal.apply().outcomes or ()] == [Result.WRITTEN]
    assert noted(mortal, first)["id-0"] == "skipped"


class Full(MortalDatabase):
    """A state that keeps nothing more once it is `full`, and of its transactions not this one, counted from 0."""

    full = False
    fails = -1

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        self.fails -= 1
        if self.full or self.fails == -1:
            raise StateError("the disk is full")
        with super().writing() as transaction:
            yield transaction


class Lossy(MemoryDirectory):
    """One that dies before it writes, and then writes what it was sent before it died first; `after` is called last."""

    sent: list[Change]
    dies = True
    after: Callable[[], None] = lambda: None

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            if self.dies:
                self.sent.append(change)
                raise DeathError
            list(super().write(self.sent))
            self.sent.clear()
            yield from super().write([change])
            self.after()


def test_a_late_write_stays_as_it_was_found_where_the_state_cannot_be_written_any_more() -> None:
    """The run says so of what it wrote itself, and ends in good order."""
    database = Full(Fate())
    world = World(Tenant([Agent(70, "u0", "7")]), bare(2), SEATS, state=State(database))
    directory = Lossy(world.store, world.mapping.view(), base=BASE, filter=FILTER)
    directory.sent = []
    world.connect = lambda view: directory
    with world.context() as context, pytest.raises(DeathError):
        apply_run(context, lambda plan, outcomes: None)
    directory.dies, world.tenant = False, Tenant([Agent(71, "u1", "8")])

    def fill() -> None:
        database.full = True

    directory.after = fill
    with world.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    assert not run.remembered
    assert [(each.user.id, each.result, each.unnoted) for each in run.outcomes or ()] == [
        ("id-1", Result.WRITTEN, True)
    ]
    assert "cecWorkNo" in world.store.snapshot()["id-0"][1]


@pytest.mark.parametrize(
    "transaction", range(2, 9)
)  # the first two keep the plan, for siblings and the next comparison
def test_a_run_of_which_something_could_not_be_kept_never_ends_as_if_it_had_been(transaction: int) -> None:
    """Either it ends with an error, or it says that it is not remembered; what was written is told in any case."""
    database = Full(Fate())
    world = World(Tenant([Agent(70, "u0", "7")]), bare(2), SEATS, state=State(database))
    database.fails = transaction
    said: list[Sequence[Outcome]] = []
    with world.context() as context:
        try:
            run = apply_run(context, lambda plan, outcomes: said.append(outcomes or ()))
        except StateError:
            remembered = False
        else:
            remembered = run.remembered
    failed = database.fails < 0
    assert remembered is not failed
    assert failed or transaction > 6
    if "cecWorkNo" in world.store.snapshot()["id-0"][1]:
        assert [outcome.user.id for outcome in said[-1]] == ["id-0"]


@pytest.mark.parametrize("death", range(1, 8))
def test_a_write_that_a_death_prevented_is_never_ours(death: int) -> None:
    """Somebody writes the same then, and the agent leaves: it is theirs, and stays."""
    mortal = Mortal(World(Tenant([Agent(70, "u0", "7")]), bare(2), SEATS))
    plan = mortal.save()
    with suppress(DeathError):
        mortal.apply(plan, death)
    mortal.world.tenant = Tenant([Agent(71, "u1", "8")])
    mortal.apply()
    if not mortal.log or mortal.log[0][0] != "id-0":
        somebody = MemoryDirectory(mortal.world.store, mortal.world.mapping.view(), base=BASE, filter=FILTER)
        list(somebody.write(plan.changes))
        assert cleared(mortal) == set()
        assert held(mortal, 0)["cecWorkNo"]
