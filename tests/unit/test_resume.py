"""Writes of an interrupted run, as the next run settles them: what it tells of each, and what stays open."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.approval import Review
from connector.apply.sync import FinishedRun, apply_run, apply_undo, dry_run
from connector.errors import RefusedError, UnreachableError
from connector.model import (
    Agent,
    Change,
    Description,
    Fingerprint,
    Outcome,
    Plan,
    Result,
    Secret,
    Tenant,
    User,
    UserRef,
    View,
)
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.observers.observer import Observer, Observers
from connector.state.audit_lines import AuditLines
from connector.state.store import State
from tests.support.audit_lines import PlainAuditor
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import Fate, MortalDatabase
from tests.support.worlds import BASE, FILTER, World

SEAT, PASSWORD, ROOM = "employeeNumber", "SIPIdentityPassword", "roomNumber"
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
SEATS = Mapping(LOOKS, (AttributeRule(SEAT, Template.parse("{workNo}")),))
PASSWORDS = Mapping(LOOKS, (AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True),))
FOUND = "not confirmed at first; the values are there"
OVERTAKEN = "a later run has written the same attributes"


class Server(Disturbed):
    """A server of a name. `act` is called with each change before it is written, `then` after it."""

    def __init__(
        self, store: MemoryStore, view: View, name: str, act: Callable[[Change], object], then: Callable[[], object]
    ) -> None:
        super().__init__(MemoryDirectory(store, view, base=BASE, filter=FILTER), lambda: None)
        self._name, self._act, self._then = name, act, then
        self.fails = False

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, identity="one directory", server=self._name)

    def alone(self, change: Change) -> Iterator[Outcome]:
        self._act(change)
        found = list(super().alone(change))
        self._then()
        yield from found


class Heard(Observer):
    """What is said of writes of earlier runs; the audit's lines are kept in the state."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Result, str, str]] = []

    def open_directory(self, directory: str, fingerprint: Fingerprint, audit: AuditLines) -> None:
        audit.begin_session("job", PlainAuditor())

    def note_outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        if run is not None:
            self.told.append((change.user.id, outcome.result, outcome.why, run))


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def nothing(*_: object) -> None:
    """Nobody comes between."""


class Job:
    def __init__(
        self, mapping: Mapping, count: int = 1, *, compares: bool = False, hidden: Collection[str] = (PASSWORD,)
    ) -> None:
        people = {
            f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson", "SIPIdentity"], "uid": [f"u{n}"]})
            for n in range(count)
        }
        self.store = MemoryStore(people, hidden=hidden, compares=compares)
        self.world = World(Tenant([]), self.store, mapping, state=State(MortalDatabase(Fate())))
        self.server = Server
        self.says(*range(count))

    def audited(self) -> list[tuple[str, str]]:
        """The runs and results of the audit's lines."""
        lines = [line for some in self.world.state.audit.read_lines("job") for line in some]
        return [(each["run"], each["result"]) for each in (json.loads(line.text) for line in lines)]

    def says(self, *seats: int, password: str = "first") -> None:
        """The agents' seats and passwords."""
        self.world.tenant = Tenant(
            [Agent(seat, f"u{n}", f"7{seat}", Secret(f"{password} {n}")) for n, seat in enumerate(seats)]
        )

    def apply(
        self,
        act: Callable[[Change], object] = nothing,
        then: Callable[[], object] = nothing,
        server: str = "a",
        reviewed: Plan | None = None,
    ) -> FinishedRun:
        heard = Heard()
        self.world.connect = lambda view: self.server(self.store, view, server, act, then)
        with self.world.context() as context:
            run = apply_run(
                replace(context, observer=Observers([heard])), lambda plan, outcomes: None, review=Review(reviewed)
            )
        self.told = heard.told
        return run

    def save(self) -> Plan:
        self.world.connect = lambda view: self.server(self.store, view, "a", nothing, nothing)
        with self.world.context() as context:
            return dry_run(context, lambda plan, outcomes: None, save=True).plan

    def open(self) -> set[str]:
        memory = self.world.state.memory("one directory", self.world.job)
        return {each.user.id for each in memory.read_unsettled()}

    def outcomes(self, run: FinishedRun) -> dict[str, int]:
        """What the history has of a run by now."""
        (record,) = (each for each in self.world.state.history.list_runs(self.world.job) if each.id == run.plan.id)
        return record.outcomes

    def changes(self) -> int:
        with self.world.context() as context:
            return len(dry_run(context, lambda plan, outcomes: None).plan.changes)

    def arrives(self, value: str, number: int = 0) -> None:
        """The write of a run that was killed, and that was on its way for long."""
        id_, name = f"id-{number}", f"uid=u{number},{BASE}"
        self.store.put(id_, name, {**self.store.snapshot()[id_][1], SEAT: [value]})

    def seat(self, number: int = 0) -> tuple[object, ...]:
        return self.store.snapshot()[f"id-{number}"][1].get(SEAT, ())


# ---------------------------------------------------------------- what reading tells


def test_a_write_that_happened_is_settled_as_written_and_is_ours() -> None:
    job = Job(SEATS)
    first = job.apply(then=killed)
    assert (job.open(), job.outcomes(first)) == ({"id-0"}, {"unknown": 1})
    second = job.apply()
    ((user, result, why, run),) = job.told
    assert (user, result, run) == ("id-0", Result.WRITTEN, first.plan.id)
    assert why.startswith("not confirmed")
    assert (second.plan.changes, job.open(), job.outcomes(first)) == ((), set(), {"written": 1})
    job.says(50)
    assert job.changes() == 1, "it is changed as ours"


def test_a_write_that_is_settled_by_the_next_run_is_not_gone_since_the_plan_before() -> None:
    job = Job(SEATS, 3)
    state, name = job.world.state, job.world.job
    job.apply(then=killed)
    assert len(state.drawn.find_last(name).changes) == 3
    job.says(0, 50, 51)
    with job.world.context() as context:
        run = apply_run(context, lambda plan, outcomes: None, before=lambda: state.drawn.find_unwritten(name, ""))
    assert run.plan.notes.since is not None
    assert {each: run.plan.notes.since.numbers[each] for each in ("new", "gone", "changed", "same")} == {
        "new": 0, "gone": 0, "changed": 2, "same": 0,
    }  # fmt: skip


def test_a_write_that_did_not_happen_is_settled_as_skipped_and_done_again() -> None:
    job = Job(SEATS)
    first = job.apply(act=killed)
    second = job.apply()
    assert [(user, result, run) for user, result, _, run in job.told] == [("id-0", Result.SKIPPED, first.plan.id)]
    assert [(each.result, each.why) for each in second.outcomes or ()] == [(Result.WRITTEN, "")]
    assert (job.open(), job.seat()) == (set(), ("0",))
    assert job.outcomes(first) == {"skipped": 1}


def test_where_nothing_is_open_nothing_is_settled() -> None:
    job = Job(SEATS)
    job.apply()
    job.apply()
    assert job.told == []


class Hiding(Server):
    """Users are shown only to whoever asks for disabled ones, too."""

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        return super().read(users, disabled=disabled) if disabled else iter(())


class Losing(Server):
    """Users who are asked for by id are not found."""

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        return iter(())


@pytest.mark.parametrize(("server", "settled"), [(Hiding, [Result.WRITTEN]), (Losing, [])])
def test_a_write_to_somebody_who_is_disabled_since_is_settled_and_to_somebody_who_is_gone_is_not(
    server: type[Server], settled: list[Result]
) -> None:
    job = Job(SEATS)
    job.apply(then=killed)
    job.server = server
    job.apply()
    assert [result for _, result, _, _ in job.told] == settled
    assert job.open() == (set() if settled else {"id-0"})


# ---------------------------------------------------------------- late arrivals


def test_a_write_that_arrives_during_the_next_run_is_found_at_its_end() -> None:
    """The agent has another seat by then, so that this run finds a value that it did not plan for."""
    job = Job(SEATS)
    first = job.apply(act=killed)
    job.says(50)
    second = job.apply(act=lambda change: job.arrives("0"))
    assert [outcome.result for outcome in second.outcomes or ()] == [Result.CONFLICT]
    assert [(result, run) for _, result, _, run in job.told] == [
        (Result.SKIPPED, first.plan.id), (Result.WRITTEN, first.plan.id)
    ]  # fmt: skip
    assert job.told[-1][2] == f"{FOUND} after all"
    assert job.outcomes(first) == {"written": 1}
    job.apply()
    assert job.seat() == ("50",)


def test_what_this_run_has_written_itself_did_not_arrive_late() -> None:
    job = Job(SEATS)
    first = job.apply(act=killed)
    job.apply()
    assert job.outcomes(first) == {"skipped": 1}


def test_of_two_late_writes_each_is_judged_by_itself() -> None:
    job = Job(SEATS, 2)
    job.says(10, 11)
    first = job.apply(act=killed)
    assert job.open() == {"id-0", "id-1"}
    job.says(50, 51)
    job.apply(act=lambda change: job.arrives("10") if change.user.id == "id-0" else None)
    assert [user for user, result, _, _ in job.told if result is Result.WRITTEN] == ["id-0"]
    assert job.outcomes(first) == {"written": 1, "skipped": 1}


def test_a_late_write_to_a_user_that_is_disabled_by_the_end_is_found() -> None:
    class Disabling(Server):
        """From the write on its user is shown only to whoever asks for disabled ones, too."""

        def alone(self, change: Change) -> Iterator[Outcome]:
            self.fails = True
            return super().alone(change)

        def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
            return super().read(users, disabled=disabled) if disabled or not self.fails else iter(())

    job = Job(SEATS)
    first = job.apply(act=killed)
    job.says(50)
    job.server = Disabling
    job.apply(act=lambda change: job.arrives("0"))
    assert [result for _, result, _, _ in job.told] == [Result.SKIPPED, Result.WRITTEN]
    assert job.outcomes(first) == {"written": 1}


def test_a_user_that_is_gone_by_the_end_stays_as_it_was_found() -> None:
    job = Job(SEATS)
    first = job.apply(act=killed)
    job.says(50)
    job.apply(act=lambda change: job.store.remove("id-0"))
    assert [result for _, result, _, _ in job.told] == [Result.SKIPPED]
    assert job.outcomes(first) == {"skipped": 1}


def test_where_nobody_can_be_read_at_the_end_all_stays_as_it_was_found() -> None:
    job = Job(SEATS)
    first = job.apply(act=killed)
    job.says(50)

    class Failing(Server):
        def alone(self, change: Change) -> Iterator[Outcome]:
            self.fails = True
            yield Outcome(change.user, Result.CONFLICT, "somebody was there")

        def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
            if self.fails:
                raise UnreachableError("gone")
            return super().read(users, disabled=disabled)

    job.server = Failing
    run = job.apply()
    assert (run.remembered, [result for _, result, _, _ in job.told]) == (True, [Result.SKIPPED])
    assert job.outcomes(first) == {"skipped": 1}


# ---------------------------------------------------------------- what nobody can read


def test_a_secret_that_can_be_compared_is_found_to_be_written() -> None:
    job = Job(PASSWORDS, compares=True)
    first = job.apply(then=killed)
    second = job.apply()
    assert job.told == [("id-0", Result.WRITTEN, FOUND, first.plan.id)]
    assert (second.plan.changes, job.open(), job.outcomes(first)) == ((), set(), {"written": 1})


def test_a_secret_that_compares_as_another_stays_open_until_it_is_written() -> None:
    job = Job(PASSWORDS, compares=True)
    first = job.apply(act=killed)
    second = job.apply()
    assert [outcome.why for outcome in second.outcomes or ()] == [""], "comparing tells that it was not there"
    assert second.plan.cautions == ()
    assert [(result, why) for _, result, why, _ in job.told] == [(Result.FAILED, f"no answer from a; {OVERTAKEN}")]
    assert (job.open(), job.outcomes(first)) == (set(), {"failed": 1})


@pytest.mark.parametrize("shown", [False, True])
def test_of_two_runs_that_may_have_set_a_secret_the_later_one_counts(shown: bool) -> None:
    """The first never sent it, the second did. Then it is compared, or it may be read from now on."""
    job = Job(PASSWORDS, compares=True)
    first, second = job.apply(act=killed), job.apply(then=killed)
    assert job.open() == {"id-0"}
    job.store.hidden = frozenset() if shown else job.store.hidden
    third = job.apply()
    assert job.told == [
        ("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", first.plan.id),
        ("id-0", Result.WRITTEN, FOUND, second.plan.id),
    ]
    assert (third.plan.changes, job.open()) == ((), set())
    assert [job.outcomes(each) for each in (first, second)] == [{"failed": 1}, {"written": 1}]


def test_a_plan_that_goes_on_and_writes_has_written_though_nothing_tells_of_its_first_attempt() -> None:
    job = Job(PASSWORDS)
    plan = job.save()
    job.apply(act=killed, reviewed=plan)
    run = job.apply(reviewed=plan)
    assert (job.told, job.outcomes(run)) == ([], {"written": 1})


def test_a_server_without_a_name_is_not_named() -> None:
    job = Job(PASSWORDS)
    job.apply(act=killed, server="")
    job.apply(server="")
    assert [why for _, _, why, _ in job.told] == [f"no answer; {OVERTAKEN}"]


def test_of_several_secrets_all_have_to_be_there_for_a_write_to_have_happened() -> None:
    rooms = AttributeRule(ROOM, Template.parse("{workNo}"), owns="*", secret=True)
    job = Job(Mapping(LOOKS, (*PASSWORDS.attributes, rooms)), hidden=(PASSWORD, ROOM), compares=True)
    job.apply(act=killed)
    id_, (name, held) = next(iter(job.store.snapshot().items()))
    job.store.put(id_, name, {**held, PASSWORD: ["first 0"]})
    job.apply()
    assert [(result, why) for _, result, why, _ in job.told] == [(Result.FAILED, f"no answer from a; {OVERTAKEN}")]


def test_a_secret_that_a_later_run_has_not_set_is_the_earlier_ones() -> None:
    """The second run set out to write another one, and never sent it."""
    job = Job(PASSWORDS, compares=True)
    first = job.apply(then=killed)
    job.says(0, password="second")
    second = job.apply(act=killed)
    job.says(0)
    job.apply()
    assert [(result, run) for _, result, _, run in job.told] == [
        (Result.WRITTEN, first.plan.id), (Result.FAILED, second.plan.id)
    ]  # fmt: skip
    assert job.open() == set()


@pytest.mark.parametrize("server", ["a", "b"])
def test_a_secret_that_compares_as_what_somebody_else_has_set_is_settled_without_a_write(server: str) -> None:
    """But at the server alone that the write was meant for."""
    job = Job(PASSWORDS, compares=True)
    first = job.apply(act=killed)
    job.says(0, password="second")
    id_, (name, held) = next(iter(job.store.snapshot().items()))
    job.store.put(id_, name, {**held, PASSWORD: ["second 0"]})
    assert job.apply(server=server).plan.changes == ()
    settled = [("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", first.plan.id)]
    assert (job.told, job.open()) == ((settled, set()) if server == "a" else ([], {"id-0"}))


@pytest.mark.parametrize("happened", [True, False])
def test_a_secret_of_which_nothing_tells_is_written_again_and_settled_by_that(happened: bool) -> None:
    job = Job(PASSWORDS)
    first = job.apply(then=killed) if happened else job.apply(act=killed)
    second = job.apply()
    assert [outcome.why[:13] for outcome in second.outcomes or ()] == ["written again"]
    assert job.told == [("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", first.plan.id)]
    assert job.open() == set()
    job.apply()
    assert job.told == []


def test_a_secret_that_is_not_written_again_stays_open() -> None:
    job = Job(PASSWORDS)
    first = job.apply(act=killed)
    refused = job.apply(act=killed)
    assert refused.outcomes
    assert job.told == []
    assert job.open() == {"id-0"}
    assert job.outcomes(first) == {"unknown": 1}


def test_a_run_that_writes_something_else_of_the_user_settles_nothing() -> None:
    job = Job(PASSWORDS)
    job.apply(act=killed)
    job.world.mapping = Mapping(LOOKS, (AttributeRule(ROOM, Template.parse("{workNo}"), owns="*"),))
    run = job.apply()
    assert [outcome.why for outcome in run.outcomes or ()] == [""]
    assert (job.told, job.open()) == ([], {"id-0"})


def test_a_write_is_settled_once_later_runs_have_written_all_of_it() -> None:
    rooms = AttributeRule(ROOM, Template.parse("{workNo}"), owns="*", secret=True)
    job = Job(Mapping(LOOKS, (*PASSWORDS.attributes, rooms)), hidden=(PASSWORD, ROOM))
    first = job.apply(act=killed)
    job.world.mapping = Mapping(LOOKS, (rooms,))
    second = job.apply()
    assert [outcome.why[:13] for outcome in second.outcomes or ()] == ["written again"], "a part of it is"
    assert (job.open(), job.told) == ({"id-0"}, [])
    job.world.mapping = PASSWORDS
    job.apply()
    assert job.told == [("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", first.plan.id)]
    assert job.open() == set()


def test_a_visible_secret_that_another_key_had_noted_is_told_to_be_unknowable() -> None:
    job = Job(PASSWORDS, hidden=())
    first = job.apply(then=killed)
    job.world.key = Secret("another key")
    job.apply()
    assert [(result, run) for _, result, _, run in job.told] == [(Result.FAILED, first.plan.id)]
    assert "another key" in job.told[0][2]
    assert job.open() == set()


@pytest.mark.parametrize("changed", [True, False])
def test_a_secret_beside_a_value_that_somebody_has_changed_since_is_written_again(changed: bool) -> None:
    """What was written in part, for all that is known: whether the secret is there nobody can see."""
    rooms = AttributeRule(ROOM, Template.parse("{workNo}"), owns="*")
    job = Job(Mapping(LOOKS, (*SEATS.attributes, rooms, *PASSWORDS.attributes)))
    job.apply(then=killed)
    if changed:
        id_, (name, held) = next(iter(job.store.snapshot().items()))
        job.store.put(id_, name, {**held, ROOM: ["another"]})
    run = job.apply()
    assert [result for _, result, _, _ in job.told] == [Result.WRITTEN]
    names = {each.name for change in run.plan.changes for each in change.attributes}
    assert names == ({ROOM, PASSWORD} if changed else set())


def test_beside_a_hidden_secret_one_of_another_key_tells_nothing() -> None:
    rooms = AttributeRule(ROOM, Template.parse("{workNo}"), owns="*", secret=True)
    job = Job(Mapping(LOOKS, (*PASSWORDS.attributes, rooms)), hidden=(ROOM,))
    first = job.apply(then=killed)
    job.world.key = Secret("another key")
    job.apply(act=killed)
    assert job.told == []
    assert job.outcomes(first) == {"unknown": 1}


def test_of_somebody_who_is_gone_a_secret_of_another_key_tells_nothing() -> None:
    job = Job(PASSWORDS)
    job.apply(act=killed)
    job.world.key = Secret("another key")
    job.server = Losing
    job.apply(act=killed)
    assert (job.told, job.open()) == ([], {"id-0"})


# ---------------------------------------------------------------- several servers of one directory


def test_a_write_to_another_server_stays_open_until_this_one_was_written_to() -> None:
    job = Job(PASSWORDS)
    first = job.apply(act=killed, server="a")
    second = job.apply(server="b")
    assert [outcome.why for outcome in second.outcomes or ()] == [""], "this server was not asked before"
    assert job.told == [("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", first.plan.id)]
    assert job.open() == set()


@pytest.mark.parametrize("before", [None, "9"])
def test_a_value_that_another_server_was_to_have_is_not_taken_for_unwritten_here(before: str | None) -> None:
    job = Job(SEATS)
    if before:
        job.arrives(before)
    first = job.apply(act=killed, server="a")
    job.apply(server="b")
    assert job.told == [("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", first.plan.id)]
    assert job.seat() == ("0",)


def test_a_value_that_an_earlier_run_had_put_there_tells_nothing_of_another_server() -> None:
    job = Job(SEATS)
    job.apply(server="b")
    job.says(50)
    job.apply(server="b")
    job.says(0)
    job.apply(act=killed, server="a")
    job.arrives("0")
    job.apply(server="b")
    assert (job.told, job.open()) == ([], {"id-0"})


def test_a_conflict_with_what_another_server_was_sent_leaves_the_value_ours() -> None:
    job = Job(SEATS)
    first = job.apply(act=killed, server="a")
    second = job.apply(act=lambda change: job.arrives("0"), server="b")
    assert [outcome.result for outcome in second.outcomes or ()] == [Result.CONFLICT]
    job.apply(server="c")
    assert job.told == [("id-0", Result.WRITTEN, FOUND, first.plan.id)]
    job.says(50)
    assert job.changes() == 1, "it is changed as ours"


class Refusing(Server):
    """It refuses all."""

    def alone(self, change: Change) -> Iterator[Outcome]:
        self._act(change)
        yield Outcome(change.user, Result.FAILED, "not today")


@pytest.mark.parametrize(
    ("server", "result"), [(Server, Result.CONFLICT), (Refusing, Result.FAILED)], ids=["conflict", "refusal"]
)
def test_a_plan_that_goes_on_at_another_server_leaves_open_what_it_does_not_write(
    server: type[Server], result: Result
) -> None:
    """The write of its first attempt arrives there right before its own."""
    job = Job(SEATS)
    plan = job.save()
    job.apply(act=killed, reviewed=plan)
    job.server = server
    second = job.apply(act=lambda change: job.arrives("0"), server="b", reviewed=plan)
    ((outcome,), job.server) = second.outcomes or (), Server
    assert (outcome.result, outcome.is_open, job.open()) == (result, True, {"id-0"})
    assert "may have written it" in outcome.why
    job.apply(server="b")
    assert job.told == [("id-0", Result.WRITTEN, FOUND, plan.id)]
    job.says(50)
    assert job.changes() == 1, "it is changed as ours"


def test_what_a_plan_that_goes_on_leaves_open_is_in_the_audit_once_it_is_known() -> None:
    job = Job(SEATS)
    plan = job.save()
    job.apply(act=killed, reviewed=plan)
    job.says(50)
    (outcome,) = job.apply(server="b", reviewed=plan).outcomes or ()
    assert (outcome.result, outcome.is_open, job.audited(), job.open()) == (Result.CONFLICT, True, [], {"id-0"})
    run = job.apply()
    assert job.audited() == [(plan.id, Result.SKIPPED), (run.plan.id, Result.WRITTEN)]


@pytest.mark.parametrize(
    ("mapping", "attribute", "taken_back"), [(SEATS, SEAT, False), (PASSWORDS, PASSWORD, False), (SEATS, SEAT, True)]
)
def test_a_plan_that_goes_on_leaves_what_a_later_run_has_written(
    mapping: Mapping, attribute: str, taken_back: bool
) -> None:
    """Somebody, or an undo, has taken that away since. Killed once more, the plan's write would be nobody's."""
    job = Job(replace(mapping, stale="clear"), hidden=())
    plan = job.save()
    job.apply(act=killed, reviewed=plan)
    job.says(50, password="second")
    later = job.apply()
    if taken_back:
        with job.world.back(later.plan.id) as back:
            apply_undo(back, lambda plan, outcomes: None)
        job.world.state.release_job(job.world.job)
    else:
        id_, (name, held) = next(iter(job.store.snapshot().items()))
        job.store.put(id_, name, {each: values for each, values in held.items() if each != attribute})
    job.says(0)
    nobody = Tenant([Agent(99, "nobody")])
    if taken_back:  # an undo spends every plan that was made before it
        with pytest.raises(RefusedError, match="this plan is spent: undo"):
            job.apply(then=killed, reviewed=plan)
    else:
        (outcome,) = job.apply(then=killed, reviewed=plan).outcomes or ()
        assert (outcome.result, "a later run wrote" in outcome.why) == (Result.CONFLICT, True)
    job.apply(then=killed)
    job.apply()
    job.world.tenant = nobody
    job.apply()
    assert attribute not in job.store.snapshot()["id-0"][1], "it was ours, and is cleared from a leaver"


def test_what_a_plan_that_goes_on_writes_is_late_at_the_server_that_did_not_answer_alone() -> None:
    job = Job(SEATS)
    plan = job.save()
    job.apply(act=killed, reviewed=plan)
    job.apply(server="b", reviewed=plan)
    late = {
        server: [user.id for user, _ in job.world.state.memory("one directory", job.world.job, here).read_late()]
        for server in ("a", "b")
        for here in [Description("one", "one directory", {}, server=server)]
    }
    assert late == {"a": ["id-0"], "b": []}


def nobody_claims_what_was_sent_to(job: Job, *servers: str) -> Plan:
    """A plan that was killed at each server, with its agent gone since."""
    plan = job.save()
    for server in servers:
        job.apply(act=killed, server=server, reviewed=plan)
    job.world.tenant = Tenant([Agent(99, "nobody")])
    return plan


def test_a_write_that_two_servers_may_have_had_is_settled_once_both_were_asked() -> None:
    job = Job(SEATS)
    plan = nobody_claims_what_was_sent_to(job, "a", "b")
    job.apply(server="b")
    assert (job.told, job.open()) == ([], {"id-0"}), "what was sent to a may still come"
    job.apply(server="c")
    assert (job.told, job.open()) == ([], {"id-0"}), "it was sent nothing"
    job.apply(server="a")
    assert [(result, run) for _, result, _, run in job.told] == [(Result.SKIPPED, plan.id)]
    assert job.open() == set()


def test_a_write_that_one_of_two_servers_has_not_had_is_settled_by_a_new_one_there() -> None:
    job = Job(SEATS)
    plan = job.save()
    for server in ("a", "b"):
        job.apply(act=killed, server=server, reviewed=plan)
    job.apply(server="b")
    assert job.told == [("id-0", Result.FAILED, f"no answer from a; {OVERTAKEN}", plan.id)]
    assert job.outcomes(FinishedRun(plan, refused=False)) == {"failed": 1}


def test_a_secret_that_two_servers_may_have_had_and_nobody_sees_stays_open() -> None:
    job = Job(PASSWORDS)
    nobody_claims_what_was_sent_to(job, "a", "b")
    job.apply(server="b")
    assert (job.told, job.open()) == ([], {"id-0"})


def test_a_write_that_comes_from_the_first_of_two_servers_is_ours() -> None:
    job = Job(SEATS)
    plan = nobody_claims_what_was_sent_to(job, "a", "b")
    job.apply(server="b")
    job.arrives("0")
    job.apply(server="b")
    assert job.told == [("id-0", Result.WRITTEN, FOUND, plan.id)]
    assert job.outcomes(FinishedRun(plan, refused=False)) == {"written": 1}
