"""One suite for every kind of database that a state can be kept in."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.errors import BusyError, OnHoldError, RefusedError, StateError, UnreachableError, UsageError
from connector.model import (
    AgentRef,
    Approval,
    AttributeChange,
    Change,
    EarlierPlan,
    Equality,
    JobIdentity,
    LastGood,
    Others,
    Outcome,
    Plan,
    Refused,
    Result,
    Secret,
    UserRef,
    WritePart,
)
from connector.model.digests import UNKEYED
from connector.model.equality import digest_value
from connector.planning.order import split_classes
from connector.planning.review import find_news
from connector.reports.document import render
from connector.state.audit_lines import AuditLine, ChainHead, digest_line
from connector.state.database import Transaction, make_storable, restore_row
from connector.state.documents import KEPT
from connector.state.history import Attempt
from connector.state.journal_rows import JournalStep, Sealer
from connector.state.notes import Tick
from connector.state.sqlite import Sqlite
from connector.state.store import State, open_state
from tests.support.audit_lines import PlainAuditor
from tests.support.states import (
    DAYS,
    HERE,
    NOW,
    SEALER,
    THERE,
    KeptState,
    apply,
    at,
    change,
    database,
    interrupt,
    outcomes,
    owned,
    plan,
    sets,
    sets_secret,
    user,
)

# ---------------------------------------------------------------- opening


def test_it_is_the_same_state_whenever_it_is_opened(kept: KeptState) -> None:
    for number in range(3):
        with closing(kept.open()) as opened:
            assert opened.kept
            assert len(opened.history.list_runs("hr")) == number
            apply(opened, id_=f"run-{number}")
    with closing(open_state(None)) as passing:
        assert not passing.kept
        assert passing.history.list_runs("hr") == []


_OPENING = """
import sys
from connector.state.store import open_state
print("ready", flush=True)
sys.stdin.readline()
state = open_state(sys.argv[1])
state.hold_job(sys.argv[2], "opened")
state.close()
print("held", flush=True)
"""


@contextmanager
def other_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of this program's, which is killed at the end if it still runs."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def test_processes_that_open_a_fresh_database_at_once_agree_on_what_is_in_it(kept: KeptState) -> None:
    with (
        other_process(_OPENING, kept.url, "one") as one,
        other_process(_OPENING, kept.url, "two") as two,
        other_process(_OPENING, kept.url, "three") as three,
    ):
        processes = [one, two, three]
        assert [said(process) for process in processes] == ["ready"] * 3
        for process in processes:
            tell(process)
        assert [said(process) for process in processes] == ["held"] * 3
    with closing(kept.open()) as state:
        assert all(state.read_hold(job) for job in ("one", "two", "three"))


@pytest.mark.parametrize("version", [1, 21])
def test_a_state_of_before_the_first_release_is_refused_and_left_alone(kept: KeptState, version: int) -> None:
    kept.execute("create table meta (name text primary key, value text not null)")
    noted = f"insert into meta values ('version', '{version}')"
    kept.execute(f"pragma user_version = {version}" if kept.url.startswith("sqlite") else noted)
    before = kept.execute("select * from meta")
    with pytest.raises(StateError, match=f"before release 0.1.0 .format {version}.*Move it away"):
        kept.open()
    assert kept.execute("select * from meta") == before


def test_a_user_counts_once_by_what_became_of_the_whole_of_its_change(state: State) -> None:
    def part(number: int, result: Result | None, what: WritePart = WritePart.REST) -> None:
        each = replace(change(number, sets("mail", "a@example.org"), digest=f"sha256:{number:064}"), part=what)
        journal.note_writes([], [each])
        if result is not None:
            journal.note_writes(outcomes([each], result), [])

    with state.record_run(plan(), at(HERE), SEALER) as journal:
        part(1, Result.WRITTEN, WritePart.RELEASE)
        part(1, Result.WRITTEN)
        part(2, Result.CONFLICT, WritePart.RELEASE)  # nothing came after it
        part(3, Result.WRITTEN, WritePart.CLASSES)
        part(3, None)
        part(4, Result.WRITTEN, WritePart.CLASSES)  # killed there
        part(5, None, WritePart.CLASSES)
        part(5, Result.FAILED)
        part(6, Result.WRITTEN, WritePart.RELEASE)
        part(6, Result.CONFLICT)
    (run,) = state.history.list_runs("hr")
    assert run.outcomes == {"conflict": 2, "unknown": 2, "written": 2}


def test_of_the_newest_runs_with_changes_the_plans_are_kept_for_comparisons(state: State) -> None:
    def of(number: int) -> EarlierPlan:
        return EarlierPlan(f"run-{number}", NOW, [(f"id-{number}", "d")], [("about", "what")])

    for number in range(KEPT + 2):
        state.drawn.note_run("hr", f"run-{number}", of(number))
    state.drawn.note_run("it", "run-99", of(99))
    state.drawn.note_run("hr", "run-2", of(2))  # it went on
    kept = [state.drawn.find_of_run("hr", f"run-{number}") for number in range(KEPT + 2)]
    assert kept == [None, None, *map(of, range(2, KEPT + 2))]
    assert (state.drawn.find_of_run("hr", "run-99"), state.drawn.find_of_run("it", "run-99")) == (None, of(99))


def test_what_a_job_has_written_since_is_left_of_no_earlier_plan(state: State) -> None:
    one, two, three, four, five, six = writes = [change(n, sets("mail", "a@example.org")) for n in range(1, 7)]
    drawn = EarlierPlan("drawn", NOW, [(each.user.id, each.digest) for each in writes], [("about", "what")])
    state.drawn.note_last("hr", drawn, "serve")
    assert state.drawn.find_unwritten("hr", "serve") == drawn
    apply(state, one, id_="written")
    apply(state, two, id_="unchanged", result=Result.UNCHANGED)
    apply(state, three, id_="conflict", result=Result.CONFLICT)
    apply(state, replace(four, digest=f"sha256:{99:064}"), id_="other")
    apply(state, replace(five, part=WritePart.RELEASE), id_="begun")
    apply(state, six, id_="other job", job="it")
    assert [user_id for user_id, _ in state.drawn.find_unwritten("hr", "serve").changes] == [
        each.user.id for each in (three, four, five, six)
    ]
    later = replace(drawn, created="2099-01-01T00:00:00+00:00")
    state.drawn.note_last("hr", later, "serve")
    assert state.drawn.find_unwritten("hr", "serve") == later
    assert state.drawn.find_unwritten("hr", "") == EarlierPlan()


def deliver(kept: KeptState) -> None:
    """Put the state there that the delivered version has left."""
    text = (Path(__file__).parent.parent / "states" / "format-22.sql").read_text(encoding="utf-8")
    for statement in text.split(";\n"):
        if statement.strip():
            kept.execute(statement)
    if kept.url.startswith("sqlite"):
        kept.execute("pragma user_version = 22")
    else:
        kept.execute("insert into meta values ('version', '22')")


def test_all_that_the_delivered_version_knew_is_known(kept: KeptState) -> None:
    deliver(kept)
    for _ in range(2):
        with closing(kept.open()) as state:
            there = "{folder}/people.ldif"
            memory = state.memory(there, "job")
            assert [run.id for run in state.history.list_runs("job")] == [
                "a-release", "attempt-1", "run-4", "run-3", "run-2", "run-1"
            ]  # fmt: skip
            release, attempt, *_, first = state.history.list_runs("job")
            assert [each.who for each in (*release.approvals, *first.approvals)] == ["anna", "berta"]
            assert (attempt.kind, attempt.result) == ("apply", "failed")
            assert state.read_hold("held") == ("2026-11-30T12:00:00+00:00", "a reason")
            identity = state.read_identity("job")
            assert identity is not None
            assert (identity.tenant, identity.directory) == ("file {folder}/agents.json", there)
            assert set(state.secret_attributes(there)) == {"SIPIdentityPassword", "title"}
            last = "00000000-0000-0000-0000-00000000000"
            assert memory.read_stale() == {f"{last}5": (timedelta(seconds=3), 2)}
            assert memory.read_lapsed() == {f"{last}2"}
            assert memory.read_excluded() == {"account:user4": {f"{last}4"}}
            assert memory.read_refused() == {f"{last}3": Refused(frozenset({"title"}), 2, 3, "not allowed")}
            assert memory.read_last_look() is not None
            assert len(list(memory.read_owned())) == 5
            assert not memory.is_blank()
            assert len(state.drawn.find_last("job").changes) == 1
            counts = state.read_contents("job").counts
            assert (counts["saved_plans"], counts["earlier_plans"], state.read_contents("job").pruned) == (
                1, 4, "2026-01-01T00:00:00+00:00"
            )  # fmt: skip
            good = datetime(2026, 11, 30, 12, tzinfo=UTC)
            assert state.ticks("job").read_last() == Tick(good, ended=True, good=good)
            assert state.audit.read_head("job") == ChainHead(5, "abc")
            (fault,) = state.find_faults("job", SEALER)
            assert fault.startswith("its key is another one")
            steps = state.read_steps_of_run("run-4", "job", SEALER)[1]
            assert [step.change.user.name for step in steps] == ["uid=user1,ou=people,dc=example,dc=org"]
    assert kept.execute("select count(*) from notes") == [(4,)]


def test_nothing_is_kept_of_a_migration_that_fails(kept: KeptState) -> None:
    deliver(kept)
    kept.execute("create table facts (what text)")
    for _ in range(2):
        with pytest.raises(StateError, match="facts"):
            kept.open()
    kept.execute("drop table facts")
    with closing(kept.open()) as state:
        assert len(state.history.list_runs("job")) == 6


def _newer(kept: KeptState) -> None:
    kept.open().close()
    if kept.url.startswith("sqlite"):
        kept.execute("pragma user_version = 99")
    else:
        kept.execute("update meta set value = '99' where name = 'version'")


def test_a_state_of_a_newer_version_is_refused_and_left_as_it_is(kept: KeptState) -> None:
    _newer(kept)
    with pytest.raises(StateError, match=r"newer version of this program \(format 99"):
        kept.open()
    with pytest.raises(StateError, match="newer version"):
        kept.open()


def test_a_database_of_another_program_is_refused_and_left_as_it_is(kept: KeptState) -> None:
    kept.execute("create table meta (what text)")
    with pytest.raises(StateError):
        kept.open()
    assert kept.execute("select * from meta") == []
    with pytest.raises(Exception, match="runs"):
        kept.execute("select * from runs")


# ---------------------------------------------------------------- runs and their journal


def test_a_run_is_recorded_from_its_begin_to_its_end(state: State) -> None:
    changes = [change(number, sets("mail", f"{number}@example.org")) for number in range(1, 6)]
    with state.record_run(plan(*changes), at(HERE), SEALER) as journal:
        (during,) = state.history.list_runs("hr")
        assert (during.ended, during.result, during.outcomes) == (None, None, {})
        journal.note_writes([], changes[:3])
        assert state.history.list_runs("hr")[0].outcomes == {"unknown": 3}
        journal.note_writes(outcomes(changes[:2]) + outcomes(changes[2:3], Result.CONFLICT), [])
        journal.note_unwritten(outcomes(changes[3:], Result.SKIPPED))
        journal.result = "part"
    (run,) = state.history.list_runs("hr")
    assert (run.id, run.job, run.kind, run.digest, run.result) == ("run-1", "hr", "apply", "sha256:" + 64 * "1", "part")
    assert run.ended is not None
    assert run.started <= run.ended
    assert run.summary["agents"] == 4
    assert run.outcomes == {"conflict": 1, "skipped": 2, "written": 2}


def test_a_run_is_under_way_as_long_as_its_process_holds_the_directory(kept: KeptState) -> None:
    with closing(kept.open()) as state, closing(kept.open()) as other:

        def told() -> list[tuple[str, bool]]:
            return [(run.by, run.is_under_way) for run in other.history.list_runs("hr")]

        with state.attempts.keep_attempt("hr", "run-1", Attempt(by="ann")):
            recorded = state.record_run(plan(), at(HERE), SEALER)
            with state.lease(HERE, "hr"):
                recorded.__enter__()
                assert told() == [("ann", True)]
                kept.execute("update events set why = 'on another, process 7,'")
                assert told() == [("ann", False)], "it was killed, and another run holds the directory"
            assert told() == [("ann", False)], "it was killed"
            with state.lease(THERE, "hr"):
                assert told() == [("ann", False)]
        with state.attempts.keep_attempt("hr", "run-1", Attempt(by="bob")):
            with state.lease(HERE, "hr"), state.record_run(plan(), at(HERE), SEALER):
                assert told() == [("bob", True)]
            assert told() == [("bob", False)]
        kept.execute("update runs set ended = '2020-01-01'")
        state.attempts.keep_attempt("hr", "run-2", Attempt()).__enter__()
        apply(state, id_="run-2")
        pruning = state.make_pruning("hr", "2021-01-01", audited=False)
        assert len(list(pruning.take_out(pruning.find_old()))) == 1
        assert kept.execute("select * from events") == []


def test_runs_are_listed_newest_first_and_by_job(state: State) -> None:
    for number in range(3):
        apply(state, change(1, sets("mail", f"{number}@example.org")), id_=f"run-{number}")
    apply(state, change(2, sets("mail", "x@example.org")), id_="other", job="it")
    assert [run.id for run in state.history.list_runs("hr")] == ["run-2", "run-1", "run-0"]
    assert [run.id for run in state.history.list_runs("it")] == ["other"]
    assert state.history.list_runs("nobody") == []


def test_a_run_is_named_by_its_id_by_a_beginning_of_it_or_as_the_last_that_wrote(state: State) -> None:
    for id_, job in (("ab-1", "hr"), ("ab-2", "hr"), ("ac-3", "it")):
        apply(state, change(1, sets("mail", f"{id_}@example.org")), id_=id_, job=job)
    apply(state, id_="ad-4")
    apply(state, id_="ab-12")
    assert [state.history.find_run("hr", written) for written in ("ab-1", "ad", "last")] == ["ab-1", "ad-4", "ab-2"]
    with pytest.raises(UsageError, match=r"the ids of 3 runs begin with 'ab-': ab-12, ab-2, ab-1\. Write more"):
        state.history.find_run("hr", "ab-")
    for written in ("ac", "", "ab_1", "b-1", "ab-1x"):
        with pytest.raises(UsageError, match=f"no run {written!r}"):
            state.history.find_run("hr", written)
    with pytest.raises(UsageError, match="no apply of this job has written anything"):
        state.history.find_run("nobody", "last")
    interrupt(state, change(2, sets("mail", "x")), id_="ae-5")
    assert state.history.find_run("hr", "last") == "ae-5", "what may have been written was"
    apply(state, change(1, sets("mail", "y")), id_="af-6", kind="undo")
    assert state.history.find_run("hr", "last") == "ae-5"


def test_attempts_are_listed_among_the_runs_and_the_oldest_of_many_are_forgotten(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.state.history.KEPT", 2)

    def attempt(id_: str, fault: BaseException, job: str = "hr") -> None:
        with pytest.raises(type(fault)), state.attempts.keep_attempt(job, id_, Attempt()):
            raise fault

    attempt("a-0", UnreachableError("no answer"))
    attempt("it-1", UnreachableError("no answer"), job="it")
    apply(state, id_="run-2")
    state.attempts.begun = False
    for id_, fault in (("a-3", OnHoldError("on hold")), ("a-4", KeyboardInterrupt()), ("a-5", BusyError("held"))):
        attempt(id_, fault)
    attempt("a-6", UsageError("nobody"))
    listed = [(run.id, run.result, run.why) for run in state.history.list_runs("hr")]
    assert listed == [
        ("a-4", "failed", "stopped by a signal"), ("a-3", "refused", "on hold"), ("run-2", "done", ""),
    ]  # fmt: skip
    assert [run.id for run in state.history.list_runs("it")] == ["it-1"]
    assert state.history.find_run("hr", "a-4") == "a-4"
    with pytest.raises(UsageError, match="2 runs begin with 'a-'"):
        state.history.find_run("hr", "a-")
    with state.attempts.keep_attempt("hr", "a-7", Attempt()):
        apply(state, id_="run-7")
        state.attempts.note_refusal(plan())  # it has become a run
    attempt("a-8", KeyError("canary"))
    assert [run.why for run in state.history.list_runs("hr")] == ["", "stopped by a signal", "on hold", ""]
    state.attempts.begun = False
    attempt("a-9", KeyError("canary"))
    assert state.history.list_runs("hr")[0].why == "unexpected KeyError", "its message may hold a value"
    with pytest.raises(OnHoldError), state.attempts.keep_attempt("hr", "a-10", Attempt(plan="saved")):
        raise OnHoldError("on hold")
    plans = {run.id: run.plan for run in state.history.list_runs("hr")}
    assert (plans["a-10"], plans["run-7"]) == ("saved", None)


def test_runs_stay_in_their_order_when_the_clock_is_set_back(state: State, kept: KeptState) -> None:
    for number, year in enumerate((2026, 2090, 2027, 2028)):
        apply(state, id_=f"run-{number}", agents=100 + number)
        time_then = f"'{year}-01-01T00:00:00+00:00'"
        kept.execute(f"update runs set started = {time_then}, ended = {time_then} where id = 'run-{number}'")
    assert [run.id for run in state.history.list_runs("hr")] == ["run-3", "run-2", "run-1", "run-0"]
    assert state.memory(HERE, "hr").last_good() == LastGood(103, 0, 103)


def test_an_attribute_is_of_the_job_that_wrote_it_last_and_another_s_stay_its_own(state: State) -> None:
    both = sets("mail", "b@example.org"), sets("employeeNumber", "1002")
    apply(state, change(1, sets("mail", "a@example.org")), change(2, *both), id_="1")
    assert owned(state) == {"id-00001": {"mail"}, "id-00002": {"mail", "employeeNumber"}}
    assert owned(state, job="it") == {}
    apply(state, change(2, sets("mail", "c@example.org", old=("b@example.org",))), id_="2", job="it")
    assert owned(state) == {"id-00001": {"mail"}, "id-00002": {"employeeNumber"}}
    assert owned(state, job="it") == {"id-00002": {"mail"}}
    assert list(state.memory(HERE, "it").read_other_jobs()) == [
        Others("hr", user(1), {"mail": None}), Others("hr", user(2), {"employeeNumber": None}),
    ]  # fmt: skip
    assert list(state.memory(THERE, "it").read_other_jobs()) == []


def test_what_a_job_took_from_another_goes_back_to_it_when_that_is_undone(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org")), id_="1")
    apply(state, change(1, sets("mail", "b@example.org", old=("a@example.org",))), id_="2", job="it")
    apply(
        state,
        change(1, sets("mail", "a@example.org", old=("b@example.org",))),
        id_="3",
        job="it",
        kind="undo",
        undoes="2",
    )
    assert (owned(state), owned(state, job="it")) == ({"id-00001": {"mail"}}, {})


def test_what_its_owner_no_longer_claims_passes_to_the_job_that_does(state: State) -> None:
    ours, theirs = state.memory(HERE, "hr"), state.memory(HERE, "it")
    both = sets("mail", "a@example.org"), sets("employeeNumber", "1")
    apply(state, change(1, *both), change(2, *both), id_="1")
    apply(state, change(1, sets("title", "agent")), id_="2", job="it")
    theirs.take_over({user(1).id, user(2).id, user(7).id}, {"mail": None})
    assert owned(state) == {each: {"mail", "employeeNumber"} for each in ("id-00001", "id-00002")}
    ours.note_stale([user(1).id, user(2).id], DAYS[1])
    assert {other.user.id: other.claims for other in theirs.read_other_jobs()} == {"id-00001": False, "id-00002": False}
    ours.note_claimed([user(2).id])
    assert {other.user.id: other.claims for other in theirs.read_other_jobs()} == {"id-00001": False, "id-00002": True}
    theirs.take_over({user(1).id, user(2).id, user(7).id}, {"mail": None, "title": None})
    assert owned(state, job="it") == {"id-00001": {"mail", "title"}}
    assert owned(state) == {"id-00001": {"employeeNumber"}, "id-00002": {"mail", "employeeNumber"}}


def test_of_a_value_is_known_what_it_was_whatever_its_spelling(state: State) -> None:
    apply(state, change(1, sets("mail", "A@Example.org", "b@example.org", old=("b@example.org",))))
    ((_, attributes),) = state.memory(HERE, "hr").read_owned()
    assert attributes["mail"].values == (digest_value(Equality.CASE_IGNORE, "a@example.ORG"),)


def test_who_is_stale_for_one_job_is_none_of_another_s_business(state: State) -> None:
    ours, theirs = state.memory(HERE, "hr"), state.memory(HERE, "it")
    ours.note_stale({"id-1"}, DAYS[1])
    theirs.note_stale({"id-2"}, DAYS[2])
    ours.note_stale({"id-1"}, DAYS[3])
    assert ours.read_stale() == {"id-1": (timedelta(days=2), 2)}
    assert theirs.read_stale() == {"id-2": (timedelta(0), 1)}


def test_a_clock_that_was_set_back_does_not_keep_anybody_stale_for_ever(state: State) -> None:
    memory = state.memory(HERE, "hr")
    memory.note_stale({"id-1"}, datetime(2090, 1, 1, tzinfo=UTC))
    for day, waited in ((1, 0), (2, 1), (3, 2), (5, 4)):
        memory.note_stale({"id-1"}, DAYS[day])
        assert memory.read_stale()["id-1"][0] == timedelta(days=waited)


def test_a_clock_that_was_wrong_once_counts_for_a_week(state: State) -> None:
    memory = state.memory(HERE, "hr")
    memory.note_stale({"id-1"}, datetime(1970, 1, 1, tzinfo=UTC))
    memory.note_stale({"id-1", "id-2"}, DAYS[1])
    assert memory.read_stale() == {"id-1": (timedelta(days=7), 2), "id-2": (timedelta(0), 1)}
    memory.note_stale({"id-1"}, datetime(1970, 1, 1, tzinfo=UTC))
    assert memory.read_last_look() == datetime(1970, 1, 1, tzinfo=UTC)
    assert memory.read_stale() == {"id-1": (timedelta(days=7), 3)}


def test_an_exception_leaves_a_run_interrupted_with_all_that_it_noted(state: State) -> None:
    def go_wrong() -> None:
        with state.record_run(plan(), at(HERE), SEALER) as journal:
            journal.note_writes([], [change(1, sets("mail", "a@example.org"))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go_wrong()
    (run,) = state.history.list_runs("hr")
    assert (run.ended, run.result, run.outcomes) == (None, None, {"unknown": 1})


RICH = (
    sets("mail", "new@example.org", old=("old@example.org", "older@example.org")),
    AttributeChange("jpegPhoto", (b"\x00\xff",), (b"\xfe\x01", "text")),
    AttributeChange("SIPIdentitySIPURI", (), ("sip:1@192.0.2.10",), pattern="sip:*"),
    AttributeChange("employeeNumber", ("1",), ("2",), seen=False, unique=True),
    AttributeChange("audio", ("none",), (b"\x01\xff",)),
)


def test_the_journal_gives_a_change_back_as_it_was_planned(state: State) -> None:
    apply(state, change(1, *RICH))
    where, (step,) = state.read_steps_of_run("run-1", "hr", SEALER)
    assert where == HERE
    assert step == JournalStep("run-1", change(1, *RICH), Result.WRITTEN, job="hr", number=1)


def test_the_journal_spells_a_change_as_it_always_has(state: State, kept: KeptState) -> None:
    plain = sets("objectClass", "cecAgent", "SIPIdentity", old=("person",))
    apply(state, change(1, plain, sets("mail"), sets("cn", "J\u00f6rg"), *RICH[1:], sets_secret("hmac-sha256:1")))
    spelt = (
        '[{"name":"objectClass","old":["person"],"new":["cecAgent","SIPIdentity"]},{"name":"mail"},'
        '{"name":"cn","new":["J\u00f6rg"]},'
        '{"name":"jpegPhoto","old":[{"base64":"AP8="}],"new":[{"base64":"/gE="},"text"]},'
        '{"name":"SIPIdentitySIPURI","new":["sip:1@192.0.2.10"],"pattern":"sip:*"},'
        '{"name":"employeeNumber","old":["1"],"new":["2"],"seen":false,"unique":true},'
        '{"name":"audio","old":["none"],"new":[{"base64":"Af8="}]},'
        '{"name":"SIPIdentityPassword","secret":"hmac-sha256:1",'
        f'"key":"{SEALER.check}"}}]'
    )
    assert kept.execute("select agent, attributes from journal") == [('[1001,"user1"]', spelt)]


def test_a_change_for_no_agent_and_by_no_rule_comes_back_too(state: State) -> None:
    cleared = Change(user(1), None, None, (sets("mail", old=("a@example.org",)),), "sha256:1")
    pinned = Change(user(2), AgentRef(None, "lost"), 0, (sets("mail", "b@example.org"),), "sha256:2")
    apply(state, cleared, pinned, result=Result.FAILED)
    assert state.read_steps_of_run("run-1", "hr", SEALER)[1] == [
        JournalStep("run-1", cleared, Result.FAILED, "why", job="hr", number=1),
        JournalStep("run-1", pinned, Result.FAILED, "why", job="hr", number=1),
    ]


def test_a_secret_comes_back_by_its_fingerprint_and_its_old_value_from_its_seal(state: State, kept: KeptState) -> None:
    old = (Secret("canary-old"), Secret(b"\xff\x00canary"), Secret("\udcff-canary"))
    apply(state, change(1, sets_secret("hmac-sha256:1", old)))
    (step,) = state.read_steps_of_run("run-1", "hr", SEALER)[1]
    (each,) = step.change.attributes
    assert (each.secret, each.new, each.fingerprint) == (True, (), "hmac-sha256:1")
    assert [value.reveal() for value in each.old if isinstance(value, Secret)] == [value.reveal() for value in old]
    assert "canary" not in repr(kept.execute("select * from journal"))


@pytest.mark.parametrize("seen", [True, False])
def test_a_secret_that_is_to_go_comes_back_as_one_seen_or_not(state: State, seen: bool) -> None:
    apply(state, change(1, AttributeChange("SIPIdentityPassword", (), (), secret=True, seen=seen)))
    ((each,),) = (step.change.attributes for step in state.read_steps_of_run("run-1", "hr", SEALER)[1])
    assert (each.secret, each.seen, each.fingerprint) == (True, seen, "")


def test_of_what_was_refused_as_changed_it_is_known_what_it_saw_or_could_not_see(state: State) -> None:
    unseen = replace(sets_secret("print-1"), seen=False)
    apply(state, change(1, sets("mail", "b", old=("a",)), sets("title", "t"), unseen), result=Result.CONFLICT)
    past = state.memory(HERE, "hr").read_past([user(1).id])[user(1).id]
    assert [(each.name, each.new, each.seen, each.fingerprint) for _, _, each in past] == [
        ("mail", ("a",), True, UNKEYED), ("SIPIdentityPassword", (), False, UNKEYED),
    ]  # fmt: skip


def test_steps_of_one_change_are_writes_of_their_own(state: State) -> None:
    steps = (sets("mail", "a"), AttributeChange("mail", ("a",), ()), sets("title", "t"))
    interrupt(state, *(replace(change(1, each), part=WritePart.STEP) for each in steps))
    found = [step.change.attributes[0] for step in state.read_open_steps(HERE, "hr", SEALER)]
    assert sorted((each.name, each.new) for each in found) == [("mail", ()), ("mail", ("a",)), ("title", ("t",))]


def test_a_step_that_sets_a_secret_is_settled_by_what_its_journal_has(state: State) -> None:
    gone = AttributeChange("SIPIdentityPassword", (), (), secret=True)
    interrupt(state, *(replace(change(1, each), part=WritePart.STEP) for each in (sets_secret("print-1"), gone)))
    steps = state.read_open_steps(HERE, "hr", SEALER)
    state.settle_steps(at(HERE), [(step, Outcome(step.change.user, Result.WRITTEN, "found")) for step in steps])
    assert state.read_open_steps(HERE, "hr", SEALER) == []


def test_a_secret_that_was_written_with_another_key_was_not_seen(state: State) -> None:
    first, had = change(1, sets_secret("print-1")), change(2, sets_secret("print-2", (Secret("canary-old"),)))
    cleared = change(3, AttributeChange("SIPIdentityPassword", (Secret("canary-old"),), (), secret=True))
    apply(state, first, had, cleared)
    found = [
        step.change.attributes[0] for step in state.read_steps_of_run("run-1", "hr", Sealer(Secret("another-key")))[1]
    ]
    assert [(each.old, each.seen, each.fingerprint) for each in found] == [
        ((), True, UNKEYED), ((), False, UNKEYED), ((), False, ""),
    ]  # fmt: skip


def test_without_a_key_nothing_is_sealed(state: State, kept: KeptState) -> None:
    with state.record_run(plan(), at(HERE), Sealer(None)) as journal:
        journal.note_writes([], [change(1, sets_secret("print-1", (Secret("canary-old"),)))])
    assert "sealed" not in str(kept.execute("select attributes from journal"))
    (step,) = state.read_steps_of_run("run-1", "hr", SEALER)[1]
    assert (step.change.attributes[0].old, step.change.attributes[0].seen) == ((), False)


def test_each_job_has_its_key_from_its_first_run_until_one_has_told_everything_anew(state: State) -> None:
    other = Sealer(Secret("another-key"))
    assert state.knows_key("hr", SEALER)
    assert state.knows_key("hr", other)
    apply(state, id_="1")
    apply(state, id_="2", job="it", sealer=other)
    apply(state, id_="3", sealer=other)
    assert [state.knows_key(job, sealer) for job in ("hr", "it") for sealer in (SEALER, other)] == [
        True, False, False, True,
    ]  # fmt: skip
    state.note_key("hr", other)
    assert [state.knows_key("hr", sealer) for sealer in (SEALER, other)] == [False, True]


def test_a_seal_is_bound_to_its_user_and_attribute(state: State) -> None:
    sealed = SEALER.seal_values(user(1), "SIPIdentityPassword", [Secret("canary")])
    assert sealed is not None
    assert SEALER.open_values(user(1), "sipidentitypassword", sealed) == (Secret("canary"),)
    changed = f"{sealed[:4]}\n{sealed[4:]}"
    for wrong in (
        (user(2), "SIPIdentityPassword", sealed), (user(1), "userPIN", sealed), (user(1), "x", "%"),
        (user(1), "SIPIdentityPassword", changed),
    ):  # fmt: skip
        assert SEALER.open_values(*wrong) is None
    assert sealed != SEALER.seal_values(user(1), "SIPIdentityPassword", [Secret("canary")])


def test_both_halves_of_a_split_change_are_journalled(state: State) -> None:
    whole = change(1, replace(sets("employeeNumber", "2", old=("1",)), unique=True))
    (each,) = whole.attributes
    release, rest = (
        replace(whole, attributes=(replace(each, new=()),), part=WritePart.RELEASE),
        replace(whole, attributes=(replace(each, old=()),)),
    )
    with state.record_run(plan(whole), at(HERE), SEALER) as journal:
        for half in (release, rest):
            journal.note_writes([], [half])
            journal.note_writes(outcomes([half]), [])
        journal.result = "done"
    steps = state.read_steps_of_run("run-1", "hr", SEALER)[1]
    assert [(step.change.attributes, step.outcome) for step in steps] == [
        (rest.attributes, Result.WRITTEN),
        (release.attributes, Result.WRITTEN),
    ]
    assert owned(state) == {"id-00001": {"employeeNumber"}}


def test_of_a_user_whose_object_classes_alone_were_written_the_rest_is_known_to_be_due(state: State) -> None:
    whole = change(1, sets("objectClass", "cecAgent"), replace(sets("cecAccountCode", "a"), unique=True))
    release = replace(whole, attributes=(sets("employeeNumber", old=("1",)),), part=WritePart.RELEASE)
    classes, rest = split_classes(whole)
    with state.record_run(plan(whole), at(HERE), SEALER) as journal:
        for first in (release, classes):
            journal.note_writes([], [first])
            journal.note_writes(outcomes([first]), [])
        assert state.history.find_written_users("run-1") == {}
        assert state.history.find_parts_alone("run-1") == {whole.user.id: {"employeeNumber", "objectClass"}}
        journal.note_writes([], [rest])
        journal.note_writes(outcomes([rest]), [])
    assert state.history.find_written_users("run-1") == {whole.user.id: ""}
    assert state.history.find_parts_alone("run-1") == {}
    (run,) = state.history.list_runs("hr")
    assert run.outcomes == {"written": 1}, "of one user"


def test_a_first_half_that_was_interrupted_is_settled(state: State) -> None:
    release = change(1, replace(sets("employeeNumber", old=("1",)), unique=True))
    interrupt(state, release)
    (step,) = state.read_open_steps(HERE, "hr", SEALER)
    state.settle_steps(at(HERE), [(step, Outcome(step.change.user, Result.WRITTEN, "found"))])
    assert state.read_open_steps(HERE, "hr", SEALER) == []


def test_a_run_of_another_job_or_of_nobody_is_not_shown(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org")))
    for run, job in (("run-1", "it"), ("run-2", "hr")):
        with pytest.raises(UsageError, match=run):
            state.read_steps_of_run(run, job, SEALER)


def test_outcomes_of_one_batch_and_intents_of_the_next_are_noted_together(state: State) -> None:
    one, other, open_ = (change(number, sets("mail", f"{number}@example.org")) for number in (1, 2, 3))
    classes, rest = split_classes(
        change(4, sets("objectClass", "cecAgent"), replace(sets("cecAccountCode", "a"), unique=True))
    )
    lost = (open_, Outcome(open_.user, Result.FAILED, "no answer", unknown=True))
    with state.record_run(plan(one, other, open_, rest), at(HERE), SEALER) as journal:
        journal.note_writes([], [one, open_, classes])
        journal.note_writes([*outcomes([one, classes]), lost], [other, rest])
        steps = {
            (step.change.user, step.change.part): step.outcome
            for step in state.read_steps_of_run("run-1", "hr", SEALER)[1]
        }
        assert steps == {
            (one.user, WritePart.REST): Result.WRITTEN,
            (open_.user, WritePart.REST): None,
            (classes.user, WritePart.CLASSES): Result.WRITTEN,
            (other.user, WritePart.REST): None,
            (rest.user, WritePart.REST): None,
        }
        assert owned(state) == {"id-00001": {"mail"}}
        journal.note_writes(outcomes([other]) + outcomes([rest], Result.CONFLICT), [])
        journal.note_writes([], [])
    assert owned(state) == {"id-00001": {"mail"}, "id-00002": {"mail"}}
    assert state.history.list_runs("hr")[0].outcomes == {"conflict": 1, "unknown": 1, "written": 2}


def test_what_is_settled_and_about_to_be_written_again_is_open(state: State) -> None:
    each = change(1, sets("mail", "a@example.org"))
    with state.record_run(plan(each), at(HERE), SEALER) as journal:
        journal.note_writes([], [each])
        journal.note_writes(outcomes([each]), [each])
    assert [step.outcome for step in state.read_open_steps(HERE, "hr", SEALER)] == [None]
    assert owned(state) == {"id-00001": {"mail"}}


def test_what_was_taken_and_not_shown_is_known_by_name_though_names_of_scim_have_spaces(state: State) -> None:
    work = 'emails[type eq "work"].value'
    each = change(1, sets(work, "a@example.org"), sets("title", "b"))
    with state.record_run(plan(each), at(HERE), SEALER) as journal:
        journal.note_writes([], [each])
        journal.note_writes([(each, Outcome(each.user, Result.FAILED, "not shown", lost=(work,)))], [])
    assert [step.lost for step in state.read_steps_of_run("run-1", "hr", SEALER)[1]] == [(work,)]
    assert state.memory(HERE, "hr").read_unshown() == {each.user.id: {work: ("a@example.org",)}}
    assert owned(state) == {each.user.id: {"title"}}


def test_of_outcomes_and_intents_that_cannot_be_kept_together_none_is_kept(state: State) -> None:
    one, odd = change(1, sets("mail", "a@example.org")), change(2, sets("mail", "b@example.org"))
    odd = replace(odd, user=replace(odd.user, name=None))
    with state.record_run(plan(one), at(HERE), SEALER) as journal:
        journal.note_writes([], [one])
        with pytest.raises(StateError):
            journal.note_writes(outcomes([one]), [odd])
        assert journal.broken
    assert owned(state) == {}
    assert state.history.list_runs("hr")[0].outcomes == {"unknown": 1}


def test_ten_thousand_changes_come_back_in_the_order_of_their_users(state: State) -> None:
    changes = [change(number, sets("mail", f"{number}@example.org")) for number in range(10_000)]
    apply(state, *changes)
    assert state.history.list_runs("hr")[0].outcomes == {"written": 10_000}
    names = [step.change.user.name for step in state.read_steps_of_run("run-1", "hr", SEALER)[1]]
    assert names == sorted(each.user.name for each in changes)


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        ("update journal set attributes = 'x'", "steps"),
        ("update journal set attributes = '[{}]'", "steps"),
        ("update journal set agent = '{'", "steps"),
        ("""update journal set agent = '["x", 5]'""", "steps"),
        ("update journal set outcome = 'eaten'", "steps"),
        ("update runs set summary = '{'", "runs"),
        ("update runs set summary = '[]'", "runs"),
        ("drop table notes", "stale"),
    ],
)
def test_what_was_damaged_is_told(state: State, kept: KeptState, statement: str, reads: str) -> None:
    apply(state, change(1, sets("mail", "a@example.org")))
    kept.execute(statement)
    ways: dict[str, Callable[[], object]] = {
        "steps": lambda: state.read_steps_of_run("run-1", "hr", SEALER),
        "runs": lambda: state.history.list_runs("hr"),
        "stale": lambda: state.memory(HERE, "hr").read_stale(),
    }
    with pytest.raises(StateError):
        ways[reads]()


# ---------------------------------------------------------------- what is ours


def test_what_was_written_is_ours_and_what_was_not_is_not(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org"), sets("objectClass", "cecAgent"), sets_secret("print-1")))
    apply(state, change(2, sets("mail", "b@example.org")), id_="run-2", result=Result.FAILED)
    assert owned(state) == {"id-00001": {"mail", "SIPIdentityPassword"}}
    assert owned(state, THERE) == {}
    memory = state.memory(HERE, "hr")
    assert memory.fingerprint_of("id-00001", "SIPIdentityPassword") == "print-1"
    assert memory.fingerprint_of("id-00001", "mail") is None
    assert memory.fingerprint_of("id-00002", "SIPIdentityPassword") is None
    assert state.memory(THERE, "hr").fingerprint_of("id-00001", "SIPIdentityPassword") is None


def test_a_value_that_was_there_and_that_we_had_not_written_is_not_ours_for_being_kept(state: State) -> None:
    apply(state, change(1, sets("mail", "theirs", old=("gone", "theirs"))))
    assert owned(state) == {}
    apply(state, change(1, sets("mail", "ours", "theirs", old=("theirs",))), id_="run-2")
    apply(state, change(1, sets("mail", "OURS", "theirs", old=("ours", "theirs", "more"))), id_="run-3")
    ((_, held),) = state.memory(HERE, "hr").read_owned()
    assert held["mail"].values == (digest_value(Equality.CASE_IGNORE, "ours"),)


def test_of_a_user_who_is_written_twice_in_a_run_the_last_write_counts(state: State) -> None:
    first = change(1, sets("mail", "a@example.org"), sets("cn", "A"))
    last = change(1, AttributeChange("mail", ("a@example.org",), ()), digest="sha256:last")
    apply(state, first, last)
    assert owned(state) == {"id-00001": {"cn"}}


def test_what_was_cleared_is_ours_no_longer(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org"), sets_secret("print-1")))
    gone = AttributeChange("SIPIdentityPassword", (), (), secret=True)
    apply(state, change(1, sets("mail", old=("a@example.org",)), gone), id_="run-2")
    assert owned(state) == {}
    assert state.memory(HERE, "hr").fingerprint_of("id-00001", "SIPIdentityPassword") is None


def test_a_user_that_was_renamed_is_known_by_its_newest_name(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org")))
    renamed = replace(change(1, sets("cn", "Anna")), user=UserRef(user(1).id, "uid=renamed"))
    apply(state, renamed, id_="run-2")
    assert [ref.name for ref, _ in state.memory(HERE, "hr").read_owned()] == ["uid=renamed"]


def test_an_undo_gives_back_what_was_never_ours(state: State) -> None:
    apply(state, change(1, sets("mail", "ours@example.org", old=("theirs@example.org",))))
    back = change(1, sets("mail", "theirs@example.org", old=("ours@example.org",)), digest="sha256:b")
    apply(state, back, id_="undo-1", kind="undo")
    assert owned(state) == {}


def test_what_an_undo_gave_back_is_not_ours_for_being_kept(state: State) -> None:
    test_an_undo_gives_back_what_was_never_ours(state)
    added = sets("mail", "theirs@example.org", "ours@example.org", old=("theirs@example.org",))
    apply(state, change(1, added, digest="sha256:c"), id_="run-2")
    ((_, held),) = state.memory(HERE, "hr").read_owned()
    assert held["mail"].values == (digest_value(Equality.CASE_IGNORE, "ours@example.org"),)


def test_what_an_undo_gave_back_is_nobodys_whoever_wrote_the_same_elsewhere(state: State) -> None:
    apply(state, change(1, sets("mail", "ours", old=("theirs",)), sets("cn", "theirs")), id_="1")
    apply(state, change(1, sets("mail", "theirs", old=("ours",)), digest="sha256:b"), id_="2", kind="undo")
    assert owned(state) == {"id-00001": {"cn"}}
    assert [set(each.attributes) for each in state.memory(HERE, "it").read_other_jobs()] == [{"cn"}], (
        "nor has another to keep off"
    )


def test_who_has_an_object_class_of_ours_and_nothing_else_holds_nothing_of_ours(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org"), sets("objectClass", "cecAgent")))
    apply(state, change(1, sets("mail", old=("a@example.org",))), id_="run-2")
    assert list(state.memory(HERE, "hr").read_owned()) == []
    assert list(state.memory(HERE, "it").read_other_jobs()) == []


def test_other_jobs_keep_off_what_a_run_of_which_nobody_knows_set_out_to_write(state: State) -> None:
    interrupt(state, change(1, sets("mail", "a@example.org"), sets("objectClass", "cecAgent")))
    assert list(state.memory(HERE, "it").read_other_jobs()) == [Others("hr", user(1), {"mail": None})]
    assert list(state.memory(HERE, "hr").read_other_jobs()) == []
    assert list(state.memory(THERE, "it").read_other_jobs()) == []


def test_what_may_be_ours_counts_beside_what_is_ours_however_its_attribute_is_spelt(state: State) -> None:
    a, b = "a@example.org", "b@example.org"
    apply(state, change(1, sets("mail", a)), change(2, sets("MAIL", a)))
    interrupt(state, change(1, sets("MAIL", a, b, old=(a,))), change(2, sets("mail", a, b, old=(a,))), id_="run-2")
    found = [attributes for _, attributes in state.memory(HERE, "hr", at(HERE)).read_owned()]
    assert [[(name, len(each.values)) for name, each in one.items()] for one in found] == [[("mail", 2)], [("MAIL", 2)]]


def test_what_may_have_been_written_stays_open_where_the_run_goes_on_without_it(state: State) -> None:
    """The plan goes on at another server, on which the user is no longer to be changed."""
    each = change(1, sets("mail", "a@example.org"))
    with state.record_run(plan(each), replace(at(HERE), server="ldap://one"), SEALER) as journal:
        journal.note_writes([], [each])
        journal.note_writes([(each, Outcome(each.user, Result.FAILED, "no answer", unknown=True))], [])
    with state.record_run(plan(each), replace(at(HERE), server="ldap://other"), SEALER) as journal:
        journal.note_unwritten([(each, Outcome(each.user, Result.CONFLICT, "no change is planned any more"))])
    assert [(step.server, step.outcome) for step in state.read_open_steps(HERE, "hr", SEALER)] == [("ldap://one", None)]
    assert dict(state.memory(HERE, "hr", at(HERE)).read_owned())[each.user].keys() == {"mail"}


def test_what_was_taken_and_not_shown_stays_so_where_the_run_goes_on_without_it(state: State) -> None:
    each = change(1, sets("mail", "a@example.org"), sets("title", "b"))
    with state.record_run(plan(each), at(HERE), SEALER) as journal:
        journal.note_writes([], [each])
        journal.note_writes([(each, Outcome(each.user, Result.FAILED, "not shown", lost=("mail",)))], [])
    with state.record_run(plan(each), at(HERE), SEALER) as journal:
        journal.note_unwritten([(each, Outcome(each.user, Result.CONFLICT, "no change is planned any more"))])
    assert [(step.outcome, step.lost) for step in state.read_steps_of_run("run-1", "hr", SEALER)[1]] == [
        (Result.FAILED, ("mail",))
    ]
    assert state.memory(HERE, "hr").read_unshown() == {each.user.id: {"mail": ("a@example.org",)}}


def test_an_open_write_is_overtaken_by_a_later_one_of_the_same_attribute_and_no_earlier_one(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org")), id_="run-0")
    interrupt(state, change(1, sets("mail", "b@example.org"), digest="sha256:b"))
    assert [each.attributes for each in state.memory(HERE, "hr").read_unsettled()] == [("mail",)]
    apply(state, change(1, sets("mail", "c@example.org"), digest="sha256:c"), id_="run-2")
    assert list(state.memory(HERE, "hr").read_unsettled()) == []


def test_an_open_write_is_overtaken_by_a_later_one_that_took_the_attribute_away(state: State) -> None:
    """Then it is nobody's."""
    interrupt(state, change(1, sets("mail", "a@example.org")))
    apply(state, change(1, sets("mail", old=("a@example.org",)), digest="sha256:b"), id_="run-2", job="it")
    assert owned(state, job="it") == {}
    assert list(state.memory(HERE, "hr").read_unsettled()) == []
    assert list(state.memory(HERE, "hr", at(HERE)).read_owned()) == []
    assert list(state.memory(HERE, "it").read_other_jobs()) == []


def test_open_writes_come_in_the_order_of_their_runs(state: State) -> None:
    for id_ in ("run-b", "run-c", "run-a"):
        interrupt(state, change(1, sets("mail", "a@example.org")), id_=id_)
    assert [step.run for step in state.read_open_steps(HERE, "hr", SEALER)] == ["run-b", "run-c", "run-a"]


def test_why_something_was_not_written_is_kept_with_it(state: State) -> None:
    with state.record_run(plan(), at(HERE), SEALER) as journal:
        one, other = change(1, sets("mail", "a@example.org")), change(2, sets("mail", "b@example.org"))
        journal.note_unwritten([(one, Outcome(one.user, Result.SKIPPED, "left out (--only)"))])
        journal.note_unwritten([(other, Outcome(other.user, Result.SKIPPED))])
    assert [(step.outcome, step.why) for step in state.read_steps_of_run("run-1", "hr", SEALER)[1]] == [
        (Result.SKIPPED, "left out (--only)"), (Result.SKIPPED, ""),
    ]  # fmt: skip


def test_an_undo_leaves_us_what_was_ours_before(state: State) -> None:
    first = change(1, sets("mail", "first@example.org"), sets_secret("print-1"), digest="sha256:1")
    second = change(
        1,
        sets("mail", "second@example.org", old=("first@example.org",)),
        sets_secret("print-2", (Secret("canary"),)),
        digest="sha256:2",
    )
    apply(state, first)
    apply(state, second, id_="run-2")
    back = change(
        1, sets("mail", "first@example.org", old=("second@example.org",)), sets_secret("print-1"), digest="sha256:3"
    )
    apply(state, back, id_="undo-1", kind="undo", undoes="run-2")
    assert owned(state) == {"id-00001": {"mail", "SIPIdentityPassword"}}
    assert state.memory(HERE, "hr").fingerprint_of("id-00001", "SIPIdentityPassword") == "print-1"
    (newest, *_) = state.history.list_runs("hr")
    assert (newest.kind, newest.undoes) == ("undo", "run-2")


def test_what_another_directory_was_given_makes_nothing_ours_here(state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org")), directory=THERE)
    apply(state, change(1, sets("mail", "a@example.org")), id_="undo-1", kind="undo")
    assert owned(state) == {}


def test_what_is_written_again_and_again_is_counted_until_it_is_another_value(state: State) -> None:
    memory = state.memory(HERE, "hr")
    for number in range(3):
        apply(state, change(1, sets("mail", "same@example.org")), id_=f"run-{number}")
        counted = memory.read_rewritten()
        assert [each.times for each in counted.values()] == ([] if number == 0 else [number + 1])
    assert list(memory.read_rewritten()) == [("id-00001", "mail")]
    assert state.memory(THERE, "hr").read_rewritten() == {}
    apply(state, change(1, sets("mail", "other@example.org")), id_="run-4")
    assert memory.read_rewritten() == {}


# ---------------------------------------------------------------- what a directory is like


def test_stale_users_are_counted_by_run_and_forgotten_when_they_are_claimed(state: State) -> None:
    memory, other = state.memory(HERE, "hr"), state.memory(THERE, "hr")
    assert memory.read_stale() == {}
    memory.note_stale({"id-1", "id-2"}, DAYS[1])
    memory.note_stale({"id-2", "id-3"}, DAYS[2])
    other.note_stale({"id-1"}, DAYS[3])
    assert memory.read_stale() == {"id-2": (timedelta(days=1), 2), "id-3": (timedelta(0), 1)}
    memory.note_stale((), DAYS[4])
    assert memory.read_stale() == {}
    memory.note_stale(["id-2"], DAYS[5])
    assert memory.read_stale() == {"id-2": (timedelta(0), 1)}
    assert other.read_stale() == {"id-1": (timedelta(0), 1)}


def test_the_size_of_a_directory_is_remembered(state: State) -> None:
    memory = state.memory(HERE, "hr")
    assert memory.count_users() == 0
    for users in (7, 2_000_000):
        memory.note_users(users)
        assert memory.count_users() == users
    assert state.memory(THERE, "hr").count_users() == 0


def test_the_last_good_run_of_this_job_on_this_directory_says_how_many_agents_there_were(state: State) -> None:
    memory = state.memory(HERE, "hr")
    assert memory.last_good() is None
    apply(state, id_="1", agents=100)
    apply(state, id_="2", agents=90, matched=80, ended="part")
    assert memory.last_good() == LastGood(90, 80, 90)
    apply(state, id_="3", agents=1, ended="stopped")
    apply(state, id_="4", agents=2, kind="undo")
    apply(state, id_="5", agents=3, directory=THERE)
    apply(state, id_="6", agents=4, job="it")
    interrupt(state, id_="7")
    assert memory.last_good() == LastGood(90, 80, 90)
    with state.record_run(plan(agents=90, id_="8"), at(HERE), SEALER, found=LastGood(91, 85, 89)) as journal:
        journal.result = "done"
    assert memory.last_good() == LastGood(91, 85, 89)


def test_no_transaction_is_begun_where_there_is_nothing_to_note() -> None:
    """A transaction waits for other writers, and each run looks after all of this."""

    class Counted(Sqlite):
        transactions = 0

        @contextmanager
        def writing(self) -> Iterator[Transaction]:
            self.transactions += 1
            with super().writing() as transaction:
                yield transaction

    database = Counted(None)
    with closing(State(database)) as state:
        memory = state.memory(HERE, "hr")
        memory.note_stale([user(1).id], DAYS[1])
        state.note_key("hr", SEALER)
        database.transactions = 0
        memory.note_claimed([user(2).id])
        memory.note_lapsed(frozenset())
        memory.note_excluded({"an entry": frozenset()})
        memory.note_refused([*outcomes([change(1)]), *outcomes([change(2)], Result.SKIPPED)], [user(2).id])
        memory.forget_refused([user(1).id])
        memory.take_over([user(1).id], {"mail": None})
        state.note_key("hr", SEALER)
        state.note_servers([])
        state.audit.begin_session("hr", PlainAuditor())
        assert database.transactions == 0
        with state.record_run(plan(), at(HERE), SEALER) as journal:
            database.transactions = 0
            journal.note_unwritten(outcomes([change(1)]))
            assert database.transactions == 0


# ---------------------------------------------------------------- plans to compare with


def test_the_last_plan_is_kept_for_each_job_and_for_whoever_has_it_drawn(state: State) -> None:
    first, second, other, served = (
        EarlierPlan(name, NOW, [("id-1", name)], [("about", "said")]) for name in ("first", "second", "other", "served")
    )
    assert state.drawn.find_last("hr") == EarlierPlan()
    for drawn, job, by in ((first, "hr", ""), (second, "hr", ""), (other, "it", ""), (served, "hr", "serve")):
        state.drawn.note_last(job, drawn, by)
    assert [each.plan for each in (state.drawn.find_last("hr"), state.drawn.find_last("it"))] == ["second", "other"]
    kept = state.drawn.find_last("hr", "serve")
    assert replace(kept, changes=[*map(tuple, kept.changes)], problems=[*map(tuple, kept.problems)]) == served
    assert state.drawn.find_last("it", "serve") == EarlierPlan()


# ---------------------------------------------------------------- saved plans and holds


SAVED = plan(change(1, sets("mail", "a@example.org")))


def test_a_saved_plan_may_be_applied_by_its_job_on_its_directory(state: State) -> None:
    state.keep_saved_plan(SAVED, HERE)
    state.permit_plan(SAVED, "hr", HERE)
    for job, directory in (("it", HERE), ("hr", THERE)):
        with pytest.raises(RefusedError, match="foreign"):
            state.permit_plan(SAVED, job, directory)
    with pytest.raises(RefusedError, match="foreign"):
        state.permit_plan(replace(SAVED, id="never-saved"), "hr", HERE)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SAVED, digest="sha256:" + 64 * "2"),
        replace(SAVED, job="it"),
        replace(SAVED, created="2027-01-01T00:00:00+00:00"),
        replace(SAVED, about=(("base", "dc=elsewhere"),)),
        replace(SAVED, about=()),
    ],
)
def test_a_saved_plan_that_was_changed_is_refused(state: State, changed: Plan) -> None:
    state.keep_saved_plan(SAVED, HERE)
    with pytest.raises(RefusedError, match="changed"):
        state.permit_plan(changed, "hr", HERE)


def test_a_saved_plan_is_known_by_its_file_where_that_counts(state: State) -> None:
    state.keep_saved_plan(SAVED, HERE)
    octets = "".join(render(SAVED)).encode()
    for each in (None, octets):
        state.permit_plan(SAVED, "hr", HERE, octets=each)
    with pytest.raises(RefusedError, match="this file was changed after it was saved"):
        state.permit_plan(SAVED, "hr", HERE, octets=octets + b"\n")


@pytest.mark.parametrize("ended", ["done", "part"])
def test_a_saved_plan_is_spent_once_it_was_tried_to_its_end(state: State, ended: str) -> None:
    state.keep_saved_plan(SAVED, HERE)
    apply(state, *SAVED.changes, ended=ended)
    with pytest.raises(RefusedError, match="spent"):
        state.permit_plan(SAVED, "hr", HERE)


def test_an_interrupted_or_stopped_run_goes_on_under_its_plan(state: State) -> None:
    first, second = change(1, sets("mail", "a@example.org")), change(2, sets("mail", "b@example.org"))
    saved = plan(first, second)
    state.keep_saved_plan(saved, HERE)
    interrupt(state, first)
    assert state.history.find_written_users("run-1") == {}
    state.permit_plan(saved, "hr", HERE)
    (step,) = state.read_open_steps(HERE, "hr", SEALER)
    state.settle_steps(at(HERE), [(step, Outcome(step.change.user, Result.WRITTEN, "found"))])
    assert state.history.find_written_users("run-1") == {first.user.id: "found"}
    apply(state, second, result=Result.SKIPPED, ended="stopped")
    state.permit_plan(saved, "hr", HERE)
    assert state.history.find_written_users("run-1") == {first.user.id: "found"}
    apply(state, second)
    (run,) = state.history.list_runs("hr")
    assert (run.result, run.outcomes) == ("done", {"written": 2})
    assert state.history.find_written_users("run-1") == {first.user.id: "found", second.user.id: ""}
    with pytest.raises(RefusedError, match="spent"):
        state.permit_plan(saved, "hr", HERE)


def test_a_job_is_on_hold_until_it_is_released(state: State) -> None:
    assert state.read_hold("hr") is None
    assert not state.release_job("hr")
    state.hold_job("hr", "its run was taken back")
    state.hold_job("hr", "another one too")
    held = state.read_hold("hr")
    assert held is not None
    assert held[1] == "another one too"
    assert state.read_hold("it") is None
    assert state.release_job("hr")
    assert state.read_hold("hr") is None


def test_approvals_are_kept_with_their_run_and_their_release(state: State) -> None:
    anna, boris = (Approval(who, f"SHA256:{who}", "2026-11-28T10:00:00+00:00") for who in ("anna", "boris"))
    interrupted = replace(plan(), approvals=(anna,))
    state.record_run(interrupted, at(HERE), SEALER).__enter__()
    again = replace(interrupted, approvals=(replace(anna, time="2026-11-28T11:00:00+00:00"), boris))
    with state.record_run(again, at(HERE), SEALER) as journal:
        journal.result = "done"
    state.hold_job("hr", "why")
    held = state.read_hold("hr")
    with pytest.raises(RefusedError, match="the hold has changed meanwhile"):
        state.release_job("hr", [boris], seen=("earlier", "why"))
    assert state.read_hold("hr") == held
    assert state.release_job("hr", [boris], seen=held)
    assert (state.read_hold("hr"), state.history.find_last_run("hr")) == (None, "run-1")
    apply(state, id_="run-2")
    assert state.rename_job("hr", "staff") == 0
    last, release, first = state.history.list_runs("staff")
    assert (last.id, release.kind, release.why, first.id) == ("run-2", "release", "why", "run-1")
    assert (last.approvals, release.approvals, first.approvals) == ((), (boris,), again.approvals)
    assert state.history.list_runs("hr") == []


def test_a_saved_undo_is_for_the_run_that_it_takes_back(state: State) -> None:
    for id_, undoes in (("undo-1", "run-1"), ("plan-1", None)):
        saved = plan(id_=id_)
        state.keep_saved_plan(saved, HERE, undoes)
        state.permit_plan(saved, "hr", HERE, undoes)
        for other in {"run-1", "run-2", None} - {undoes}:
            with pytest.raises(RefusedError, match="Use that command, or make a new plan"):
                state.permit_plan(saved, "hr", HERE, other)


# ---------------------------------------------------------------- what was interrupted


def test_open_steps_are_those_of_this_directory_and_are_settled_once(state: State) -> None:
    changes = [change(number, sets("mail", f"{number}@example.org"), sets_secret(f"p{number}")) for number in (1, 2, 3)]
    interrupt(state, *changes)
    interrupt(state, change(9, sets("mail", "x@example.org")), id_="elsewhere", directory=THERE)
    steps = state.read_open_steps(HERE, "hr", SEALER)
    assert [(step.change.user, step.outcome) for step in steps] == [(user(number), None) for number in (1, 2, 3)]
    results = (Result.WRITTEN, Result.SKIPPED, Result.FAILED)
    found = [(step, Outcome(step.change.user, result, "found")) for step, result in zip(steps, results, strict=True)]
    state.settle_steps(at(HERE), found)
    assert state.read_open_steps(HERE, "hr", SEALER) == []
    assert len(state.read_open_steps(THERE, "hr", SEALER)) == 1
    assert owned(state) == {"id-00001": {"mail", "SIPIdentityPassword"}}
    assert state.memory(HERE, "hr").fingerprint_of("id-00001", "SIPIdentityPassword") == "p1"
    assert [(step.outcome, step.why) for step in state.read_steps_of_run("run-1", "hr", SEALER)[1]] == [
        (result, "found") for result in results
    ]
    state.settle_steps(at(HERE), [])


def test_steps_of_several_runs_are_settled_together(state: State) -> None:
    for number in (1, 2):
        interrupt(state, change(number, sets("mail", f"{number}@example.org")), id_=f"run-{number}")
    steps = state.read_open_steps(HERE, "hr", SEALER)
    state.settle_steps(at(HERE), [(step, Outcome(step.change.user, Result.WRITTEN, "found")) for step in steps])
    assert owned(state) == {"id-00001": {"mail"}, "id-00002": {"mail"}}


# ---------------------------------------------------------------- transactions


def test_a_transaction_that_fails_keeps_nothing_and_the_next_one_goes_through(kept: KeptState) -> None:
    hold = (
        "insert into events (kind, job, id, who, started, ended, why, digest, result, number) "
        "values ('hold', ?, '', '', '', ?, ?, '', '', 0)"
    )
    with closing(kept.open()) as state, closing(database(kept.url)) as opened:

        def go_wrong(fault: type[BaseException]) -> None:
            with opened.writing() as transaction:
                transaction.execute(hold, ("hr", NOW, "x"))
                raise fault

        def write_twice() -> None:
            with opened.writing() as transaction:
                transaction.execute(hold, ("hr", NOW, "x"))
                transaction.executemany(hold, [("hr", NOW, "y")])

        for fault in (ZeroDivisionError, KeyboardInterrupt):
            with pytest.raises(fault):
                go_wrong(fault)
            assert state.read_hold("hr") is None
        with pytest.raises(StateError, match="cannot be written"):
            write_twice()
        assert state.read_hold("hr") is None
        state.hold_job("hr", "z")
        assert state.read_hold("hr") is not None


def test_a_batch_of_which_one_row_cannot_be_kept_is_not_kept_at_all(state: State, kept: KeptState) -> None:
    changes = [change(number, sets("mail", f"{number}@example.org")) for number in range(3)]
    with state.record_run(plan(*changes), at(HERE), SEALER) as journal:
        journal.note_writes([], changes[:1])
        kept.execute("alter table journal rename to gone")
        with pytest.raises(StateError):
            journal.note_writes(outcomes(changes[:1]), [])
        assert journal.broken
    kept.execute("alter table gone rename to journal")
    assert owned(state) == {}
    assert state.history.list_runs("hr")[0].outcomes == {"unknown": 1}


# ---------------------------------------------------------------- odd characters


ODD = [
    "\0",
    "a\0b",
    "\ud83d\ude00",
    "\ud800",
    "\udfff\udc80x",
    "\ufdd0",
    "\ufdd00000",
    "\ufdd0\0",
    "\U0001f600",
    "\ufffe",
    "?%s",
    "'",
]


@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800\udfff\ufdd00123456789abcdef")))
def test_any_text_can_be_spelt_so_that_a_database_stores_it_and_comes_back(text: str) -> None:
    (stored,) = make_storable([text])
    assert isinstance(stored, str)
    assert "\0" not in stored
    stored.encode()
    assert restore_row((stored,)) == (text,)


@pytest.mark.parametrize("text", ODD)
def test_any_text_is_kept_as_it_is(state: State, text: str) -> None:
    odd = Change(
        UserRef(f"id{text}", f"uid={text}"), AgentRef(1, text), 1, (sets("mail", text, old=(text + "x",)),), "sha256:1"
    )
    directory = f"file:{text}"
    drawn = replace(
        plan(odd, id_="run", job=f"job{text}"),
        about=(("base", text),),
        notes=replace(plan(odd, id_="run", job=f"job{text}").notes, people={text: text}, only=(text,)),
    )
    drawn = replace(drawn, notes=replace(drawn.notes, since=find_news(EarlierPlan(), drawn)))
    state.keep_saved_plan(drawn, directory)
    state.permit_plan(drawn, drawn.job, directory)
    interrupt_outcome = Outcome(odd.user, Result.FAILED, f"the server said {text}")
    with state.record_run(drawn, at(directory), SEALER) as journal:
        journal.note_writes([], [odd])
        journal.note_writes([(odd, interrupt_outcome)], [])
        journal.note_writes(outcomes([odd]), [])
        journal.note_writes([(odd, interrupt_outcome)], [])
        journal.result = "done"
    where, (step,) = state.read_steps_of_run("run", drawn.job, SEALER)
    assert where == directory
    assert step.why == interrupt_outcome.why
    assert (step.change.user, step.change.agent) == (odd.user, odd.agent)
    (run,) = state.history.list_runs(drawn.job)
    assert run.job == drawn.job
    memory = state.memory(directory, drawn.job)
    assert [(user, set(names)) for user, names in memory.read_owned()] == [(odd.user, {"mail"})]
    memory.note_stale([odd.user.id], DAYS[1])
    assert memory.read_stale() == {odd.user.id: (timedelta(0), 1)}
    memory.note_users(3)
    assert memory.count_users() == 3
    assert memory.fingerprint_of(odd.user.id, text) is None
    state.hold_job(drawn.job, text)
    assert (state.read_hold(drawn.job) or ("", ""))[1] == text
    with state.lease(directory):
        pass
    with pytest.raises(UsageError):
        state.read_steps_of_run(text, "hr", SEALER)


# ---------------------------------------------------------------- the lease


def test_a_directory_is_held_by_one_at_a_time_and_others_are_not_kept_waiting(kept: KeptState) -> None:
    with closing(kept.open()) as one, closing(kept.open()) as two:
        with one.lease(HERE):
            with pytest.raises(BusyError, match="another run"), two.lease(HERE):
                raise AssertionError
            with two.lease(THERE):
                pass
            with pytest.raises(BusyError), two.lease(HERE):
                raise AssertionError
        with two.lease(HERE):
            pass
        with pytest.raises(ZeroDivisionError), two.lease(HERE):
            raise ZeroDivisionError
        with one.lease(HERE):
            pass


def test_who_finds_a_directory_held_is_told_by_whom_where_and_since_when(kept: KeptState) -> None:
    for job in ("hr", "it"):
        with closing(kept.open()) as one, closing(kept.open()) as two, one.lease(HERE, job):
            with pytest.raises(BusyError) as raised, two.lease(HERE, "x"):
                raise AssertionError
            told = raised.value.what
            assert told.startswith("another run holds this directory: ")
            assert f"job {job}" in told
            assert socket.gethostname()[:20] in told
            assert f"process {os.getpid()}" in told
            assert re.search(r", since 20\d\d-\d\d-\d\dT\S+$", told)
            assert raised.value.where == HERE
    nameless = pytest.raises(BusyError, match=r"another run holds this directory(: cec-connector, since \S+)?$")
    with closing(kept.open()) as one, closing(kept.open()) as two, two.lease(THERE), nameless:
        one.lease(THERE, "hr").__enter__()


def test_what_is_no_word_of_a_holder_is_not_shown(tmp_path: Path) -> None:
    """Whoever may write beside the state may leave anything in a lock, such as what moves a terminal's cursor."""
    with closing(open_state(f"sqlite:///{tmp_path}/state.db")) as state, state.lease(HERE, "hr"):
        (lock,) = tmp_path.glob("*.lock")
        for word, shown in ((b"a word", ": a word"), (b"\x1b[2Jnothing", ""), (b"", "")):
            lock.write_bytes(word)
            with pytest.raises(BusyError) as raised, state.lease(HERE):
                raise AssertionError
            assert raised.value.what == f"another run holds this directory{shown}"


def test_two_directories_are_written_at_once_by_way_of_one_state(kept: KeptState) -> None:
    with closing(kept.open()) as one, closing(kept.open()) as two, one.lease(HERE), two.lease(THERE):
        here, there = change(1, sets("mail", "a@example.org")), change(2, sets("mail", "b@example.org"))
        with (
            one.record_run(plan(here, id_="here"), at(HERE), SEALER) as first,
            two.record_run(plan(there, id_="there", job="it"), at(THERE), SEALER) as second,
        ):
            for journal, each in ((first, here), (second, there), (first, here), (second, there)):
                journal.note_writes([], [each])
                journal.note_writes(outcomes([each]), [])
            first.result = second.result = "done"
        assert owned(one) == {"id-00001": {"mail"}}
        assert owned(one, THERE, "it") == {"id-00002": {"mail"}}


_HOLDING = """
import sys
from connector.state.store import open_state
state = open_state(sys.argv[1])
with state.lease(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_elsewhere(kept: KeptState, directory: str) -> Iterator[subprocess.Popen[str]]:
    with other_process(_HOLDING, kept.url, directory) as process:
        assert said(process) == "held"
        yield process


def test_the_lease_of_a_process_that_was_killed_is_gone_with_it(kept: KeptState, state: State) -> None:
    with held_elsewhere(kept, HERE) as process:
        with pytest.raises(BusyError), state.lease(HERE):
            raise AssertionError
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        assert soon_free(state)


def soon_free(state: State) -> bool:
    """Whether the lease can be had: a server may need an instant to see that its holder's connection is closed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(BusyError), state.lease(HERE):
            return True
        time.sleep(0.01)
    return False


def test_a_lease_is_not_passed_on_to_a_child_that_outlives_its_holder(kept: KeptState, state: State) -> None:
    with state.lease(HERE):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with closing(kept.open()) as other, other.lease(HERE):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_state_in_memory_holds_whatever_it_is_asked_to() -> None:
    with closing(open_state(None)) as passing, passing.lease(HERE):
        apply(passing, change(1, sets("mail", "a@example.org")))
        assert owned(passing) == {"id-00001": {"mail"}}


# ---------------------------------------------------------------- SQLite alone


def test_a_symbolic_link_leads_to_the_same_state_and_the_same_locks(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere" / "state.db")
    with (
        closing(open_state(f"sqlite:///{tmp_path}/link.db")) as one,
        closing(open_state(f"sqlite:///{tmp_path}/elsewhere/state.db")) as two,
    ):
        apply(one)
        assert [run.id for run in two.history.list_runs("hr")] == ["run-1"]
        with one.lease(HERE), pytest.raises(BusyError), two.lease(HERE):
            raise AssertionError
    assert (tmp_path / "elsewhere" / "state.db").stat().st_mode & 0o077 == 0


def test_nothing_but_the_file_is_left_of_a_state_that_was_closed(tmp_path: Path) -> None:
    """Nor does it matter that a run which was killed had no time for that."""
    path, rollbacks = tmp_path / "state.db", tmp_path / "state.db-journal"
    with closing(open_state(f"sqlite:///{path}")) as state:
        apply(state, change(1, sets("mail", "a@example.org")))
        assert rollbacks.read_bytes()[:28] == bytes(28), "nothing to be rolled back"
        left = rollbacks.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
    rollbacks.write_bytes(left)
    with closing(open_state(f"sqlite:///{path}")) as state:
        assert owned(state) == {"id-00001": {"mail"}}
    assert list(tmp_path.iterdir()) == [path]


def test_closing_a_state_whose_file_was_replaced_leaves_what_belongs_to_the_new_one(tmp_path: Path) -> None:
    """Of a run that is killed on the new one, that is all that can take back the half of its transaction."""
    path, rollbacks = tmp_path / "state.db", tmp_path / "state.db-journal"
    first = open_state(f"sqlite:///{path}")
    path.rename(tmp_path / "elsewhere.db")
    with closing(open_state(f"sqlite:///{path}")) as second:
        second.hold_job("hr", "x")
        assert rollbacks.exists()
        first.close()
        assert rollbacks.exists()


def test_a_file_that_goes_away_just_as_it_is_written_to_is_an_error_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(f"sqlite:///{path}")) as state:
        look = Path.stat

        def look_and_lose(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
            found = look(self, follow_symlinks=follow_symlinks)
            path.unlink()
            return found

        monkeypatch.setattr(Path, "stat", look_and_lose)
        with pytest.raises(StateError, match="cannot be written"):
            state.hold_job("hr", "x")


def test_a_new_file_has_large_pages_of_which_a_batch_touches_few(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_state(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma page_size").fetchall() == [(16384,)]


def test_closing_a_state_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = open_state(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        began = time.monotonic()
        state.close()
        assert time.monotonic() - began < 5  # it would be ten


def test_a_file_that_somebody_keeps_with_a_write_ahead_log_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_state(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("pragma journal_mode = wal")
    with closing(open_state(f"sqlite:///{path}")) as state:
        apply(state, change(1, sets("mail", "a@example.org")))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute("pragma journal_mode").fetchall() == [("wal",)]


def test_octets_of_a_file_that_were_overwritten_are_an_error_and_never_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(f"sqlite:///{path}")) as state:
        apply(state, *[change(number, *RICH, sets_secret("p", (Secret("x"),))) for number in range(40)])
        state.memory(HERE, "hr").note_stale(["id-1"], DAYS[1])
        state.hold_job("hr", "x")
    whole = path.read_bytes()
    told = 0
    for _ in range(200):
        spoilt = bytearray(whole)
        for _ in range(4):
            start = secrets.randbelow(len(spoilt) - 4)
            spoilt[start : start + 4] = secrets.token_bytes(4)
        path.write_bytes(spoilt)
        try:
            with closing(open_state(f"sqlite:///{path}")) as state:
                _read_all(state)
        except StateError:
            told += 1
    assert told > 0


def test_damage_that_the_library_itself_cannot_spell_is_told_as_damage(tmp_path: Path) -> None:
    """Its message quotes the name of an index, which is no text any more."""
    path = tmp_path / "state.db"
    open_state(f"sqlite:///{path}").close()
    whole = path.read_bytes()
    assert whole.count(b"indexownership_jobs") == 1
    path.write_bytes(whole.replace(b"indexownership_jobs", b"index\xff\xffnership_jobs"))
    with pytest.raises(StateError, match="it is damaged"):
        open_state(f"sqlite:///{path}")


def _read_all(state: State) -> None:
    state.knows_key("hr", SEALER)
    state.history.list_runs("hr")
    memory = state.memory(HERE, "hr")
    list(memory.read_owned())
    memory.read_stale()
    memory.read_last_look()
    memory.read_rewritten()
    memory.last_good()
    memory.count_users()
    state.read_hold("hr")
    state.read_open_steps(HERE, "hr", SEALER)
    state.history.find_written_users("run-1")
    with suppress(UsageError):
        state.read_steps_of_run("run-1", "hr", SEALER)
    with suppress(RefusedError):
        state.permit_plan(SAVED, "hr", HERE)


# ---------------------------------------------------------------- names of jobs


def _known(state: State, job: str) -> list[object]:
    """All that a state can know of a job."""
    memory, tick = state.memory(HERE, job), state.ticks(job).read_last()
    hold = state.read_hold(job)
    return [
        [run.id for run in state.history.list_runs(job)],
        owned(state, job=job),
        memory.read_stale(),
        memory.read_last_look(),
        hold and hold[1],
        state.read_identity(job),
        tick and tick.tick,
    ]


def test_all_that_is_known_of_a_job_goes_to_its_new_name_and_nothing_of_another_s(state: State) -> None:
    now = datetime(2026, 11, 25, 6, tzinfo=UTC)
    for job, number in (("hr", 1), ("it", 2)):
        apply(state, change(number, sets("mail", "a@example.org")), id_=f"run of {job}", job=job)
        state.memory(HERE, job).note_stale([user(number).id], DAYS[1])
        state.note_identity(job, JobIdentity(f"tenant of {job}", HERE, ()))
        with state.ticks(job).begin_turn(now, now):
            pass
    state.hold_job("it", "it waits")
    saved = plan(id_="saved", job="hr")
    state.keep_saved_plan(saved, HERE)
    hr, it, nothing = (_known(state, job) for job in ("hr", "it", "nobody"))
    assert hr == [
        ["run of hr"],
        {"id-00001": {"mail"}},
        {"id-00001": (timedelta(0), 1)},
        DAYS[1],
        None,
        JobIdentity("tenant of hr", HERE, ()),
        now,
    ]
    assert state.rename_job("hr", "staff") == 1
    assert [_known(state, job) for job in ("staff", "it", "hr")] == [hr, it, nothing]
    for job in ("staff", "hr"):  # it says the old name, which may be another job's by now
        with pytest.raises(RefusedError, match="foreign"):
            state.permit_plan(saved, job, HERE)
    assert (state.knows_key("staff", SEALER), state.knows_key("staff", Sealer(Secret("another key")))) == (True, False)


@pytest.mark.parametrize("what", ["run", "hold", "identity", "tick"])
def test_two_jobs_are_never_mixed_and_one_that_is_not_known_has_no_name_to_change(state: State, what: str) -> None:
    now = datetime(2026, 11, 25, 6, tzinfo=UTC)
    with pytest.raises(UsageError, match="no job 'hr'"):
        state.rename_job("hr", "staff")
    for job in ("hr", "it"):
        if what == "run":
            apply(state, id_=job, job=job)
        elif what == "hold":
            state.hold_job(job, "why")
        elif what == "identity":
            state.note_identity(job, JobIdentity("somewhere"))
        else:
            with state.ticks(job).begin_turn(now, now):
                pass
    before = [_known(state, job) for job in ("hr", "it")]
    with pytest.raises(UsageError, match="already has a job 'it'"):
        state.rename_job("hr", "it")
    assert [_known(state, job) for job in ("hr", "it")] == before
    if what == "hold":
        with pytest.raises(OnHoldError, match="Release it, then rename"):
            state.rename_job("hr", "staff")
        assert _known(state, "hr") == before[0]
        return
    assert state.rename_job("hr", "staff") == 0
    assert _known(state, "staff") == before[0]


def test_a_job_keeps_its_name_while_a_run_of_its_directory_is_under_way(kept: KeptState, state: State) -> None:
    apply(state, change(1, sets("mail", "a@example.org")))
    apply(state, change(1, sets("mail", "a@example.org")), id_="run-2", directory=THERE)
    with closing(kept.open()) as other:
        for directory in (HERE, THERE):
            with other.lease(directory), pytest.raises(BusyError):
                state.rename_job("hr", "staff")
            assert [run.id for run in state.history.list_runs("hr")] == ["run-2", "run-1"]
        with other.lease("ldap:another"):
            assert state.rename_job("hr", "staff") == 2


# ---------------------------------------------------------------- the schedule


def test_a_tick_is_run_once_unless_it_did_not_come_to_its_end(state: State) -> None:
    first, second = (datetime(2026, 11, 25, hour, tzinfo=UTC) for hour in (6, 7))
    ticks = state.ticks("hr")
    assert ticks.read_last() is None
    for _ in range(2):  # the first one was interrupted
        with ticks.begin_turn(first, believed=second) as mine:
            assert mine
        assert ticks.read_last() == Tick(first, ended=False, good=None)
    ticks.note_end(first, good=True)
    assert ticks.read_last() == Tick(first, ended=True, good=first)
    with ticks.begin_turn(first, believed=first) as mine:
        assert not mine
    with ticks.begin_turn(second, believed=second) as mine:
        assert mine
    ticks.note_end(second, good=False)
    assert ticks.read_last() == Tick(second, ended=True, good=first)
    assert state.ticks("other").read_last() is None


def test_a_tick_that_was_noted_by_a_wrong_clock_does_not_count(state: State) -> None:
    now = datetime(2026, 11, 25, 6, tzinfo=UTC)
    ticks = state.ticks("hr")
    with ticks.begin_turn(now.replace(year=2030), believed=now.replace(year=2031)):
        pass
    ticks.note_end(now.replace(year=2030), good=False)
    with ticks.begin_turn(now, believed=now.replace(minute=10)) as mine:
        assert mine
    assert ticks.read_last() == Tick(now, ended=False, good=None)


def test_there_is_one_turn_at_a_time(kept: KeptState) -> None:
    now = datetime(2026, 11, 25, 6, tzinfo=UTC)
    with closing(kept.open()) as one, closing(kept.open()) as other, one.ticks("hr").begin_turn(now, now) as mine:
        assert mine
        with pytest.raises(BusyError), other.ticks("hr").begin_turn(now, now):
            pass
        with other.ticks("it").begin_turn(now, now) as theirs:
            assert theirs


# ---------------------------------------------------------------- the lines of the audit (law 13)


def lines_of(state: State, job: str = "hr", after: int = 0) -> list[AuditLine]:
    return [line for lines in state.audit.read_lines(job, after) for line in lines]


def test_each_outcome_has_a_line_with_its_number_and_the_digest_of_the_one_before(kept: KeptState) -> None:
    changes = [change(number, sets("mail", f"{number}@example.org")) for number in range(4)]
    with closing(kept.open()) as state:
        state.audit.begin_session("hr", PlainAuditor())
        running = state.record_run(plan(*changes), at(HERE), SEALER)
        journal = running.__enter__()
        journal.note_writes([], changes)
        journal.note_writes(outcomes(changes[:2]), [])()
    with closing(kept.open()) as state:  # killed, and gone on with
        state.audit.begin_session("hr", PlainAuditor())
        steps = state.read_open_steps(HERE, "hr", SEALER)
        state.settle_steps(at(HERE), [(each, Outcome(each.change.user, Result.WRITTEN)) for each in steps])
        with state.record_run(plan(*changes), at(HERE), SEALER) as journal:
            journal.note_unwritten(
                outcomes(changes, Result.UNCHANGED)
            )  # what was written stays so, and is told as that
            journal.result = "done"
        lines = lines_of(state)
        head = state.audit.read_head("hr")
    said = [json.loads(line.text) for line in lines]
    assert [(line.number, each["number"], each["user"]["id"]) for line, each in zip(lines, said, strict=True)] == [
        (number + 1, number + 1, changes[number].user.id) for number in range(4)
    ]
    digests = [f"sha256:{digest_line(line.text)}" for line in lines]
    assert [each["prev"] for each in said] == [None, *digests[:-1]]
    assert (head.number, f"sha256:{head.digest}") == (4, digests[-1])


def test_lines_that_a_file_has_are_deleted_and_the_chain_goes_on(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        state.audit.begin_session("hr", PlainAuditor())
        apply(state, *(change(number, sets("mail", f"{number}@example.org")) for number in range(3)))
        state.audit.delete_lines(2)
        state.audit.add_record({"time": NOW, "event": "end"})
        assert [line.number for line in lines_of(state)] == [3, 4]
        assert [line.number for line in lines_of(state, after=3)] == [4]
        assert (state.audit.read_line("hr", 2), lines_of(state, "it")) == (None, [])
        assert state.audit.read_line("hr", 4) == lines_of(state)[-1].text


def test_of_outcomes_that_cannot_be_kept_there_is_no_line(kept: KeptState) -> None:
    one, odd = change(1, sets("mail", "a@example.org")), change(2, sets("mail", "b@example.org"))
    odd = replace(odd, user=replace(odd.user, name=None))
    with closing(kept.open()) as state:
        state.audit.begin_session("hr", PlainAuditor())
        with state.record_run(plan(one), at(HERE), SEALER) as journal:
            journal.note_writes([], [one])
            with pytest.raises(StateError):
                journal.note_writes(outcomes([one]), [odd])
        assert lines_of(state) == []
        assert state.audit.read_head("hr") == ChainHead()


def test_one_process_at_a_time_makes_lines_for_a_job(kept: KeptState) -> None:
    with closing(kept.open()) as one, closing(kept.open()) as other:
        one.audit.begin_session("hr", PlainAuditor())
        with pytest.raises(BusyError, match="another run adds to the audit of this job"):
            other.audit.begin_session("hr", PlainAuditor())
        other.audit.begin_session("it", PlainAuditor())
        one.audit.end_session()
        other.audit.begin_session("hr", PlainAuditor())
