"""A write without an answer, and another server of the same directory that is asked after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.apply.approval import Review
from connector.apply.sync import apply_run, apply_undo, dry_run
from connector.directories.port import Directory
from connector.model import Agent, Change, Description, Outcome, Plan, Result, Secret, Tenant, View, WritePart
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.state.store import open_state
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import DeathError
from tests.support.replicas import SERVERS, Replicas, ours, puts
from tests.support.worlds import BASE, FILTER, World, closed_with_the_test


class At(Disturbed):
    """What one server says of a directory; `deaf`: it answers no write."""

    def __init__(self, inner: Directory, server: str, *, deaf: bool) -> None:
        super().__init__(inner, lambda: None)
        self._server = server
        self._deaf = deaf

    def describe(self) -> Description:
        return replace(super().describe(), server=self._server)

    def alone(self, change: Change) -> Iterator[Outcome]:
        found = super().alone(change)
        if not self._deaf:
            return found
        return iter([Outcome(each.user, Result.FAILED, "no answer", unknown=True) for each in found])


def lost(folder: Path) -> tuple[World, Plan]:
    """A job that has lost the answer of `one`, which did what it was told."""
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    rules = (AttributeRule("roomNumber", Template.parse("{workNo}"), owns="*"),)
    entry = {"objectClass": ["inetOrgPerson"], "uid": ["u0"]}
    world = World(
        Tenant([Agent(7, "u0")]), MemoryStore({"id-0": (f"uid=u0,{BASE}", entry)}), Mapping(match, rules),
        state=closed_with_the_test(open_state(f"sqlite:///{folder / 'state.db'}")),
    )  # fmt: skip
    at(world, "one", deaf=True)
    with world.context() as context:
        plan = dry_run(context, lambda plan, outcomes: None, save=True).plan
        apply_run(context, lambda plan, outcomes: None, review=Review(plan))
    return world, plan


def at(world: World, server: str, *, deaf: bool = False) -> None:
    def connect(view: View) -> Directory:
        return At(MemoryDirectory(world.store, view, base=BASE, filter=FILTER), server, deaf=deaf)

    world.connect = connect


def lag(world: World) -> None:
    """Nobody has told the server of the write that is asked next."""
    world.store.put("id-0", f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u0"]})


def planned(world: World) -> Plan:
    with world.context() as context:
        return dry_run(context, lambda plan, outcomes: None).plan


@pytest.mark.parametrize("lags", [True, False])
def test_which_server_is_asked_is_in_no_digest(tmp_path: Path, lags: bool) -> None:
    world, _ = lost(tmp_path)
    if lags:
        lag(world)
    plans = {}
    for server in ("one", "two", "three"):
        at(world, server)
        plans[server] = planned(world)
    assert [problem.kind for problem in plans["two"].problems] == ["unsettled"]
    assert plans["two"].problems != plans["three"].problems
    assert len({plan.digest for plan in plans.values()}) == 1
    with world.context() as context:
        shown = apply_run(context, lambda plan, outcomes: None).plan
    assert shown.digest == plans["two"].digest, "also where the value is found first, and the write settled"


def test_a_value_that_is_not_there_yet_does_not_say_that_it_was_taken_away(tmp_path: Path) -> None:
    """An undo at `one` gets no answer and does nothing; the other server has not heard of the run before it."""
    world, _ = lost(tmp_path)
    at(world, "one")
    with world.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    entry = world.store.entries["id-0"]
    (run, *_) = reversed(world.state.history.list_runs(world.job))
    assert run.outcomes == {"written": 1}
    at(world, "one", deaf=True)
    with world.back(run.id) as back:
        apply_undo(back, lambda plan, outcomes: None)
    lag(world)
    at(world, "two")
    world.state.release_job(world.job)
    world.tenant = Tenant([Agent(8, "u1")])
    with world.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    world.store.put("id-0", entry.name, entry.values)
    assert [problem.kind for problem in planned(world).problems].count("stale") == 1


def test_what_is_written_at_another_server_under_the_same_plan_is_written(tmp_path: Path) -> None:
    world, plan = lost(tmp_path)
    lag(world)
    at(world, "two")
    with world.context() as context:
        again = apply_run(context, lambda plan, outcomes: None, review=Review(plan))
    assert [outcome.result for outcome in again.outcomes or ()] == [Result.WRITTEN]
    assert world.state.history.list_runs(world.job)[-1].outcomes == {"written": 1}
    assert planned(world).problems == ()


def test_what_may_have_been_written_stays_ours_where_the_plan_goes_on_without_it(tmp_path: Path) -> None:
    world, plan = lost(tmp_path)
    lag(world)
    at(world, "two")
    world.tenant = Tenant([Agent(8, "u1")])  # the agent has left
    with world.context() as context:
        again = apply_run(context, lambda plan, outcomes: None, review=Review(plan), accept=planned(world).digest)
    assert [outcome.result for outcome in again.outcomes or ()] == [Result.CONFLICT]
    assert {problem.kind for problem in planned(world).problems} >= {"stale", "unsettled"}


def seated(*agents: Agent) -> Replicas:
    """Three users on two servers, and a mapping that gives one of them a seat at a time."""
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    seats = Mapping(match, (AttributeRule("employeeNumber", Template.parse("{workNo}"), owns="*", unique=True),))
    entries = {f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"]}) for n in range(3)}
    return Replicas(World(Tenant([*agents]), MemoryStore(entries), seats))


def seats(replicas: Replicas) -> dict[str, object]:
    held = replicas.world.store.snapshot().items()
    return {id_: entry[1]["employeeNumber"][0] for id_, entry in held if "employeeNumber" in entry[1]}


def dies_second(told: list[str]) -> None:
    """A run dies before its second write."""
    told.append("a write")
    if len(told) == 2:
        raise DeathError


def test_what_an_undo_has_let_go_alone_at_another_server_is_named_there() -> None:
    """Two users swap seats. The undo dies when one of them has none; the other server knows nothing of all that."""
    replicas = seated(Agent(1, "u0"), Agent(2, "u1"))
    replicas.apply()
    replicas.converge()
    replicas.world.tenant = Tenant([Agent(2, "u0"), Agent(1, "u1")])
    plan = replicas.save()
    replicas.apply(plan)
    replicas.meddle = partial(dies_second, [])
    with pytest.raises(DeathError):
        replicas.undo(plan.id)
    replicas.meddle = lambda: None
    emptied = [replicas.world.store.entries[id_].name for id_ in ("id-0", "id-1") if id_ not in seats(replicas)]
    replicas.serve("two")
    problems = replicas.undo(plan.id).plan.problems
    assert len(emptied) == 1
    assert set(emptied) <= {name for problem in problems for name in problem.users}
    replicas.until_quiet(lambda: replicas.undo(plan.id))
    assert seats(replicas) == {"id-0": "1", "id-1": "2"}


def test_what_one_undo_has_let_go_alone_and_the_next_put_back_elsewhere_is_done() -> None:
    """Else it counts as not shown yet for good, and so do the attributes that go back with it."""
    replicas = swapped()
    plan, before = replicas.save(), seats(replicas)
    replicas.serve("two")
    replicas.apply(plan)
    replicas.meddle = partial(dies_second, [])
    replicas.perhaps(partial(replicas.undo, plan.id))
    replicas.meddle = lambda: None
    replicas.converge()
    assert len(seats(replicas)) == 1, "one user has let go, and has no seat"
    replicas.serve("one")
    replicas.undo(plan.id)
    assert seats(replicas) == before
    assert replicas.undo(plan.id).plan.problems == ()


def hours_ago(replicas: Replicas, hours: int) -> None:
    """All that was noted so far was noted then."""
    then = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    with replicas.database.writing() as transaction:
        transaction.execute("update runs set started = ?", (then,))
        transaction.execute("update runs set ended = ? where ended is not null", (then,))
        transaction.execute("update journal set noted = ?", (then,))


def dies() -> None:
    raise DeathError


def killed_before_its_write() -> Replicas:
    replicas = seated(Agent(1, "u0"))
    replicas.meddle = dies
    replicas.perhaps(replicas.apply)
    replicas.meddle = lambda: None
    assert (len(replicas.journal(None)), seats(replicas)) == (1, {})
    return replicas


def killed_right_after_its_write() -> Replicas:
    for last in count(1):
        replicas = seated(Agent(1, "u0"))
        replicas.perhaps(partial(replicas.apply, last=last))
        if seats(replicas):
            break
    return replicas


@pytest.mark.parametrize("killed", [False, True])
def test_a_value_that_another_server_was_told_to_give_is_given_to_nobody_else(killed: bool) -> None:
    """Else both would have it once all has arrived."""
    replicas = killed_right_after_its_write() if killed else seated(Agent(1, "u0"))
    if not killed:
        replicas.apply()
    assert seats(replicas) == {"id-0": "1"}
    assert sum(replicas.journal(None).values()) == killed
    replicas.world.tenant = Tenant([Agent(1, "u1"), Agent(2, "u2")])
    replicas.serve("two")
    problems = replicas.apply().plan.problems
    (problem,) = (each for each in problems if each.kind == "reassigned")
    assert "does not show it yet" in problem.why
    assert seats(replicas) == {"id-2": "2"}
    replicas.converge()
    (problem,) = (each for each in replicas.apply().plan.problems if each.kind == "reassigned")
    assert "still holds" in problem.why, "now it is shown"


def test_a_server_is_not_waited_for_longer_than_a_day() -> None:
    replicas = seated(Agent(1, "u0"))
    replicas.apply()
    replicas.world.tenant = Tenant([Agent(1, "u1")])
    replicas.serve("two")
    hours_ago(replicas, 25)
    replicas.apply()
    assert seats(replicas) == {"id-1": "1"}


def test_nor_for_a_write_of_which_nobody_knows_whether_it_happened() -> None:
    replicas = killed_before_its_write()
    replicas.world.tenant = Tenant([Agent(1, "u1")])
    replicas.serve("two")
    replicas.apply()
    assert seats(replicas) == {}
    hours_ago(replicas, 25)
    replicas.apply()
    assert seats(replicas) == {"id-1": "1"}


@pytest.mark.parametrize("ends", [True, False])
def test_a_plan_that_goes_on_after_days_has_given_its_values_now(ends: bool) -> None:
    """The run keeps its id and its begin, and may be killed again right after its last write."""
    replicas = seated(Agent(1, "u0"), Agent(2, "u1"))
    plan = replicas.save()
    replicas.meddle = dies
    replicas.perhaps(partial(replicas.apply, plan))
    replicas.meddle = lambda: None
    hours_ago(replicas, 47)
    for last in count(1):
        replicas.perhaps(partial(replicas.apply, plan, None if ends else last))
        if len(replicas.journal("written")) == 2:
            break
    assert seats(replicas) == {"id-0": "1", "id-1": "2"}
    replicas.world.tenant = Tenant([Agent(1, "u2")])
    replicas.serve("two")
    replicas.apply()
    assert seats(replicas) == {}


def test_a_plan_sees_a_value_free_that_this_server_was_told_to_give_and_shows_nobody_to_hold() -> None:
    replicas = killed_before_its_write()
    replicas.world.tenant = Tenant([Agent(1, "u1")])
    plan = planned(replicas.world)
    assert [change.user.id for change in plan.changes] == ["id-1"]
    assert "reassigned" not in {problem.kind for problem in plan.problems}


@pytest.mark.parametrize("attribute", ["employeeNumber", "EMPLOYEENUMBER"])
def test_a_value_that_another_job_may_have_given_at_another_server_is_given_to_nobody_else(attribute: str) -> None:
    replicas = killed_right_after_its_write()
    (rule,) = replicas.world.mapping.attributes
    replicas.world.mapping = replace(replicas.world.mapping, attributes=(replace(rule, name=attribute),))
    replicas.world.job = "another"
    replicas.world.tenant = Tenant([Agent(1, "u1")])
    replicas.serve("two")
    replicas.apply()
    assert seats(replicas) == {}


def test_the_server_that_was_told_is_believed_if_it_no_longer_shows_the_value() -> None:
    replicas = seated(Agent(1, "u0"))
    replicas.apply()
    replicas.world.tenant = Tenant([Agent(1, "u1")])
    replicas.world.store.put("id-0", f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u0"]})
    replicas.apply()
    assert seats(replicas) == {"id-1": "1"}


def test_what_was_taken_away_at_one_server_proves_no_write_at_another() -> None:
    """A run that took away somebody's room, and one at a server that had not heard of it and never wrote: no line."""
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    rules = (
        AttributeRule("employeeNumber", Template.parse("{workNo}")),
        AttributeRule("roomNumber", Template.parse("{sipAccount}"), owns="*", when_absent="clear"),
    )
    entry = {"objectClass": ["inetOrgPerson"], "uid": ["u0"], "roomNumber": ["12"]}
    store = MemoryStore({"id-0": (f"uid=u0,{BASE}", entry)})
    replicas = Replicas(World(Tenant([Agent(1, "u0")]), store, Mapping(match, rules, stale="clear")))
    replicas.apply()
    replicas.serve("two")
    replicas.meddle = dies
    with pytest.raises(DeathError):
        replicas.apply()
    replicas.meddle = lambda: None
    replicas.world.tenant = Tenant([Agent(9, "nobody")])
    replicas.until_quiet(replicas.apply)
    assert seats(replicas) == {}
    assert [each.kind for each in replicas.apply().plan.problems] == ["unmatched"]
    assert (ours(replicas), replicas.journal(None)) == ([], {})


def test_an_object_class_that_arrives_right_before_it_is_added_again_is_of_the_run_that_was_killed() -> None:
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    rules = (AttributeRule("cecWorkNo", Template.parse("{workNo}")),)
    mapping = Mapping(match, rules, object_classes=("cecAgent",))
    entry = {"objectClass": ["inetOrgPerson"], "uid": ["u0"]}
    world = World(Tenant([Agent(1, "u0")]), MemoryStore({"id-0": (f"uid=u0,{BASE}", entry)}), mapping)
    for last in count(1):
        replicas = Replicas(world, classes_first=True)
        replicas.perhaps(partial(replicas.apply, last=last))
        if replicas.put:
            break
    assert replicas.journal(None), "killed between the write and the note of it"
    replicas.serve("two")
    replicas.meddle = replicas.converge
    replicas.apply()
    replicas.meddle = lambda: None
    replicas.until_quiet(replicas.apply)
    assert not replicas.journal(None)
    steps = [step for (run,) in replicas.database.rows("select id from runs") for step in replicas.steps(run)]
    assert {each for step in steps if step.outcome is Result.WRITTEN for each in puts(step.change)} == replicas.put


def goes_on_at_two(*, ends: bool = True) -> tuple[Replicas, Plan]:
    """A reviewed plan whose run was killed at one server before its write, and which goes on at the other."""
    replicas = seated(Agent(1, "u0"))
    plan = replicas.save()
    replicas.meddle = dies
    replicas.perhaps(partial(replicas.apply, plan))
    replicas.serve("two")
    replicas.meddle = (lambda: None) if ends else dies
    replicas.perhaps(partial(replicas.apply, plan))
    replicas.meddle = lambda: None
    return replicas, plan


def test_the_server_where_a_plan_went_on_is_believed_if_it_no_longer_shows_the_value() -> None:
    replicas, _ = goes_on_at_two()
    assert seats(replicas) == {"id-0": "1"}
    replicas.world.tenant = Tenant([Agent(1, "u1")])
    replicas.world.store.put("id-0", f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u0"]})
    replicas.apply()
    assert seats(replicas) == {"id-1": "1"}


@pytest.mark.parametrize("killed", [False, True])
def test_an_undo_believes_the_server_where_a_plan_went_on(killed: bool) -> None:
    """Somebody has taken the value away there, before the next run or after it."""
    replicas, plan = goes_on_at_two()
    if killed:  # after the write, and before the note of it
        with replicas.database.writing() as transaction:
            transaction.execute("update journal set outcome = null, server = 'one, two'")
        replicas.apply()
    replicas.world.store.put("id-0", f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u0"]})
    assert replicas.undo(plan.id).plan.problems == ()


def test_a_line_about_a_plan_that_went_on_names_the_other_server_alone() -> None:
    replicas, _ = goes_on_at_two(ends=False)
    with replicas.world.context() as context:
        shown = dry_run(context, lambda plan, outcomes: None).plan
    (line,) = (problem.why for problem in shown.problems if problem.kind == "unsettled")
    assert "at one without an answer. two does" in line


def swapped() -> Replicas:
    """Two users that have a seat each, on both servers, and are to swap them."""
    replicas = seated(Agent(1, "u0"), Agent(2, "u1"))
    replicas.apply()
    replicas.converge()
    replicas.world.tenant = Tenant([Agent(2, "u0"), Agent(1, "u1")])
    return replicas


def test_a_value_that_arrives_after_a_run_was_killed_there_stays_the_one_of_the_run_that_wrote_it() -> None:
    """The killed run was to take away the value of before."""
    replicas = swapped()
    replicas.serve("two")
    replicas.apply()
    replicas.serve("one")
    replicas.meddle = dies
    replicas.perhaps(replicas.apply)
    assert replicas.journal(None)
    replicas.meddle = lambda: None
    was = ours(replicas)
    assert len(was) == 2
    replicas.until_quiet(replicas.apply)
    assert (ours(replicas), replicas.journal(None)) == (was, {})


def test_what_arrives_right_before_a_plan_that_goes_on_writes_it_again_is_taken_back() -> None:
    """The run was killed at `one`, after its first write. At `two` the next one finds that done already."""
    for last in count(10):
        replicas = swapped()
        plan, before = replicas.save(), replicas.journal("written")
        replicas.perhaps(partial(replicas.apply, plan, last))
        if first := replicas.journal("written") - before:
            break
    replicas.serve("two")
    replicas.meddle = replicas.converge
    replicas.perhaps(partial(replicas.apply, plan))
    replicas.meddle = lambda: None
    assert first <= replicas.journal("written")
    replicas.until_quiet(lambda: replicas.undo(plan.id))
    assert seats(replicas) == {"id-0": "1", "id-1": "2"}


@pytest.mark.parametrize(
    "rule",
    [
        AttributeRule("cecWorkNo", Template.parse("{workNo}")),
        AttributeRule("SIPIdentityPassword", Template.parse("{sipPwd}"), owns="*", secret=True),
    ],
    ids=lambda rule: rule.name,
)
def test_a_write_that_never_happened_is_not_ours_for_a_value_that_was_taken_away_elsewhere_since(
    rule: AttributeRule,
) -> None:
    """The value that `two` shows is that of an earlier run, and a later one has taken it away at `one`."""
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    mapping = Mapping(match, (rule,), ("cecAgent", "SIPIdentity"), "clear")
    store = MemoryStore({"id-0": (f"uid=u0,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["u0"]})})
    replicas = Replicas(World(Tenant([Agent(1, "u0", sip_pwd=Secret("canary"))]), store, mapping))
    replicas.apply()
    replicas.serve("two")
    replicas.meddle = dies
    with pytest.raises(DeathError):
        replicas.apply()
    replicas.meddle = lambda: None
    replicas.converge()
    replicas.world.tenant = Tenant([Agent(9, "nobody")])
    replicas.serve("one")
    replicas.apply()
    replicas.serve("two")
    for last in count(1):  # settled, and killed before it takes the value away there, too
        replicas.perhaps(partial(replicas.apply, last=last))
        if not replicas.journal(None):
            break
    assert replicas.said[-1] == "died"
    replicas.until_quiet(replicas.apply)
    assert [each.kind for each in replicas.apply().plan.problems] == ["unmatched"]
    assert (ours(replicas), replicas.journal(None)) == ([], {})


def releases_alone(replicas: Replicas, apply: Callable[[], object]) -> str:
    """Somebody changes one user right before its write, so that the seat of the other is released alone; its id."""
    told: list[str] = []

    def meddle() -> None:
        told.append("a write")
        if len(told) == 2:
            (other,) = (id_ for id_, seat in seats(replicas).items() if seat in {"1", "2"})
            entry = replicas.world.store.snapshot()[other]
            replicas.world.store.put(other, entry[0], {**entry[1], "employeeNumber": ["9"]})

    replicas.meddle = meddle
    apply()
    replicas.meddle = lambda: None
    (released,) = {"id-0", "id-1"} - seats(replicas).keys()
    return released


@pytest.mark.parametrize("server", SERVERS)
def test_a_seat_that_a_plan_went_on_to_release_alone_is_known_to_be_released(server: str) -> None:
    replicas = swapped()
    plan, before = replicas.save(), seats(replicas)
    replicas.meddle = dies
    replicas.perhaps(partial(replicas.apply, plan))
    replicas.serve(server)
    released = releases_alone(replicas, partial(replicas.apply, plan))
    (step,) = (each for each in replicas.steps(plan.id) if each.change.part is WritePart.RELEASE)
    assert step.outcome is Result.WRITTEN
    replicas.until_quiet(lambda: replicas.undo(plan.id))
    assert seats(replicas)[released] == before[released]


def test_a_seat_that_one_run_released_alone_proves_no_write_of_the_killed_run_before() -> None:
    replicas = swapped()
    replicas.meddle = dies
    replicas.perhaps(replicas.apply)
    killed = replicas.world.state.history.list_runs(replicas.world.job)[0].id
    releases_alone(replicas, replicas.apply)
    assert [step.outcome for step in replicas.steps(killed)] == [Result.SKIPPED]


LINE, PASSWORD = "SIPIdentityUserName", "SIPIdentityPassword"


def a_line_that_went(*, compares: bool, sent: bool, clear_first: bool = False) -> Replicas:
    """A run at `two` was to take a line away and to set a password that nobody sees. It died before or after that.

    A run at `one`, before it (`clear_first`) or after it, took the line away there, and that has arrived at `two`.
    """
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    rules = (
        AttributeRule(LINE, Template.parse("{sipAccount}"), owns="*", when_absent="clear"),
        AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True, when_absent="clear"),
    )
    mapping = Mapping(match, rules, stale="clear")
    entry = {"objectClass": ["inetOrgPerson", "SIPIdentity"], "uid": ["u0"]}
    store = MemoryStore({"id-0": (f"uid=u0,{BASE}", entry)}, hidden=[PASSWORD], compares=compares)
    replicas = Replicas(World(Tenant([Agent(1, "u0", "71")]), store, mapping))
    replicas.apply()
    replicas.converge()
    if clear_first:
        replicas.world.tenant = Tenant([Agent(1, "u0")])
        replicas.apply()
    replicas.serve("two")
    replicas.world.tenant = Tenant([Agent(1, "u0", None, Secret("canary"))])

    def dies() -> None:
        raise DeathError

    if sent:
        reach, replicas.meddle = replicas.fate.reach, lambda: setattr(replicas.fate, "reach", dies)
    else:
        replicas.meddle = dies
    with pytest.raises(DeathError):
        replicas.apply()
    replicas.meddle = lambda: None
    if sent:
        replicas.fate.reach = reach  # type: ignore[method-assign]
    return replicas


def line_and_password(replicas: Replicas) -> dict[str, tuple[object, ...]]:
    _, values = replicas.world.store.snapshot()["id-0"]
    return {name: values[name] for name in (LINE, PASSWORD) if name in values}


@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize("sent", [False, True])
def test_a_line_that_another_server_took_away_does_not_make_a_password_ours(compares: bool, sent: bool) -> None:
    """What nobody has written would be cleared as ours, whoever writes it next; what was written is cleared."""
    replicas = a_line_that_went(compares=compares, sent=sent)
    replicas.serve("one")
    replicas.world.tenant = Tenant([Agent(9, "nobody")])
    replicas.until_quiet(replicas.apply)
    assert (ours(replicas), replicas.journal(None)) == ([], {})
    assert line_and_password(replicas) == {}
    assert [each.kind for each in replicas.apply().plan.problems] == ["unmatched"]
    for server in SERVERS:
        there = replicas.stores[server].snapshot()["id-0"]
        replicas.stores[server].put("id-0", there[0], {**there[1], PASSWORD: ["theirs"]})
    replicas.until_quiet(replicas.apply)
    assert line_and_password(replicas) == {PASSWORD: (b"theirs",)}


@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize("sent", [False, True])
def test_a_line_that_another_server_took_away_does_not_say_that_a_password_was_set(compares: bool, sent: bool) -> None:
    replicas = a_line_that_went(compares=compares, sent=sent, clear_first=True)
    replicas.converge()
    replicas.serve("two")
    assert len(replicas.apply().plan.changes) == (0 if compares and sent else 1)
    assert line_and_password(replicas) == {PASSWORD: (b"canary",)}
    assert replicas.journal(None) == {}
    assert replicas.apply().plan.changes == ()
    assert [name for _, name, _, _ in ours(replicas)] == [PASSWORD]
