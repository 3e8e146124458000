"""Old runs are taken out of every kind of state, and nothing that is still needed goes with them."""

from __future__ import annotations

from contextlib import closing

import pytest
from msgspec.structs import replace

from connector.model import EarlierPlan, Outcome, Result
from connector.state.database import TABLES
from connector.state.history import Attempt
from connector.state.pruning import OldContents
from connector.state.store import State
from tests.support.audit_lines import PlainAuditor
from tests.support.mortal import DeathError, Fate, MortalDatabase
from tests.support.states import (
    HERE,
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
)

YEAR, NOW = "2025-11-25T12:00:00+00:00", "2026-11-25T12:00:00+00:00"
BEFORE = "2026-06-01T00:00:00+00:00"
Dump = dict[str, list[tuple[object, ...]]]


class EndedError(Exception):
    """An attempt ends."""


def age(kept: KeptState, *runs: str) -> None:
    """These runs were a year ago."""
    for run in runs:
        kept.execute(f"update runs set started = '{YEAR}', ended = '{YEAR}' where id = '{run}'")


def dump(kept: KeptState) -> Dump:
    return {table: sorted(kept.execute(f"select * from {table}"), key=repr) for table in TABLES}


def old(state: State, job: str = "hr", *, audited: bool = False) -> OldContents:
    return state.make_pruning(job, BEFORE, audited=audited).find_old()


def prune(state: State, job: str = "hr", *, audited: bool = False) -> list[str]:
    pruning = state.make_pruning(job, BEFORE, audited=audited)
    return [run.id for run in pruning.take_out(pruning.find_old())]


def why(found: OldContents) -> str:
    """The reason why a run stays."""
    ((_, said),) = found.stay
    return said


def with_a_past(kept: KeptState) -> None:
    """Three users that hr writes over and over; it takes one over; what is not of this year is old."""
    with closing(kept.open()) as state:
        for number in (1, 2):
            with pytest.raises(EndedError), state.attempts.keep_attempt("hr", f"attempt-{number}", Attempt()):
                raise EndedError
        apply(state, *(change(number, sets("mail", "a")) for number in (1, 2, 3)), id_="first")
        apply(state, *(change(number, sets("mail", "b", old=("a",))) for number in (1, 2)), id_="second")
        apply(state, change(1, sets("mail", "c", old=("b",))), id_="taken", job="it")
        state.keep_saved_plan(plan(id_="spent"), HERE)
        apply(state, change(3, sets("mail", "d", old=("a",)), sets_secret("print")), id_="spent")
        for number in (1, 2):
            state.keep_saved_plan(plan(id_=f"unused-{number}"), HERE)
        for by, created in ("", YEAR), ("serve", NOW):
            state.drawn.note_last("hr", EarlierPlan("p", created, [("id-00001", "d")]), by)
        for run in ("first", "last", "attempt-1", "attempt-2"):
            state.drawn.note_run("hr", run, EarlierPlan(run, NOW, [("id-00001", "d")]))
        apply(state, change(2, sets("mail", "e", old=("b",))), id_="last")
    age(kept, "first", "second", "taken", "spent")
    kept.execute("update events set ended = '2025-01-01' where id = 'attempt-1'")
    kept.execute("update documents set created = '2025-01-01' where kind = 'saved' and id in ('unused-1', 'spent')")
    events = "events (kind, job, id, who, started, ended, why, digest, result, number)"
    for release, time in ("released then", YEAR), ("released now", NOW):
        kept.execute(
            f"insert into {events} values ('release', 'hr', '{release}', '', '', '{time}', 'why', '', 'done', 9)"
        )
    for approved in ("first", "last", "released then", "released now"):
        row = f"('approval', 'hr', '{approved}', 'anna', '', '{YEAR}', '', 'SHA256:x', '', 0)"
        kept.execute(f"insert into {events} values {row}")


def is_what_is_left(before: Dump, after: Dump) -> None:
    ids = {"last", "taken"}
    assert [row for row in before["journal"] if row[0] in ids] == after["journal"]
    assert {row[0] for row in after["runs"]} == ids
    assert {row[:3] for row in after["events"]} == {
        ("apply", "hr", "attempt-2"),
        ("release", "hr", "released now"),
        ("approval", "hr", "last"),
        ("approval", "hr", "released now"),
    }
    assert {row[:3] for row in after["documents"]} == {
        ("saved", "hr", "unused-2"),
        ("run", "hr", "last"),
        ("run", "hr", "attempt-2"),
        ("drawn", "hr", "serve"),
    }
    facts = {row for row in after["facts"] if row not in before["facts"]}
    assert facts == {("pruned", "hr", HERE, "", f'["{YEAR}",true]')}
    assert {name: after[name] for name in ("ownership", "notes")} == {
        name: before[name] for name in ("ownership", "notes")
    }


def test_what_is_old_goes_and_what_is_ours_stays(kept: KeptState) -> None:
    with_a_past(kept)
    before = dump(kept)
    with closing(kept.open()) as state:
        found = old(state)
        assert [(run.id, run.wrote) for run in found.runs] == [("first", 3), ("second", 2), ("spent", 1)]
        assert (found.attempts, found.plans, found.stay) == (1, 1, [])
        assert prune(state) == ["first", "second", "spent"]
        assert state.find_faults("hr", SEALER) == []
    is_what_is_left(before, dump(kept))
    with closing(kept.open()) as state:
        assert prune(state) == []
    is_what_is_left(before, dump(kept))


@pytest.mark.slow
def test_killed_at_any_step_it_leaves_whole_runs_and_the_next_one_ends_it(kept: KeptState) -> None:
    last, ended = 0, False
    while not ended:
        last += 1
        kept.open().close()
        for table in sorted({*TABLES} - {"meta"}, key=lambda table: table == "runs"):
            kept.execute(f"delete from {table}")
        with_a_past(kept)
        before, fate = dump(kept), Fate()
        with closing(database(kept.url)) as opened:
            state = State(MortalDatabase(fate, opened))
            fate.begin(last)
            try:
                prune(state)
                ended = True
            except DeathError:
                pass
        after = dump(kept)
        left = {row[0] for row in after["runs"]}
        assert after["journal"] == [row for row in before["journal"] if row[0] in left]
        assert after["ownership"] == before["ownership"]
        with closing(kept.open()) as state:
            assert state.find_faults("hr", SEALER) == []
            prune(state)
        is_what_is_left(before, dump(kept))
    assert last > 3 * 4, "it did not die at each of its steps"


def test_the_newest_apply_and_the_newest_good_one_stay(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")), id_="older")
        apply(state, change(1, sets("mail", "b")), id_="good", agents=7, matched=5)
        apply(state, change(1, sets("mail", "c")), id_="cut", ended="stopped")
        age(kept, "older", "good", "cut")
        good = state.memory(HERE, "hr").last_good()
        assert "run good is the last that the limits" in why(old(state))
        assert prune(state) == ["older"]
        assert state.memory(HERE, "hr").last_good() == good
        assert good is not None
        assert good.agents == 7


def test_a_state_whose_whole_past_was_pruned_is_not_taken_for_a_lost_one(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")), id_="older")
        apply(state, id_="newer")
        age(kept, "older", "newer")
        assert prune(state) == ["older"]
        memory = state.memory(HERE, "hr")
        assert not memory.is_blank()
        assert not memory.is_new()
        assert state.memory(THERE, "hr").is_blank()


@pytest.mark.parametrize("job", ["hr", "it"])
def test_writes_whose_outcome_nobody_knows_stay_whosever_they_are_and_all_that_came_after(
    kept: KeptState, job: str
) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")), id_="before")
    with closing(database(kept.url)) as opened:
        interrupt(State(opened), change(2, sets("mail", "a")), id_="killed", job=job)
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "b", old=("a",))), id_="after")
        apply(state, change(1, sets("mail", "c", old=("b",))), id_="last")
        age(kept, "before", "killed", "after", "last")
        assert "the outcome of writes of run killed" in why(old(state))
        assert ("of the job it" in why(old(state))) is (job == "it")
        assert prune(state) == ["before"]


def test_writes_that_the_directory_took_and_does_not_show_stay_until_they_are_written_anew(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, change(2, sets("mail", "a")), id_="before")
        changed = change(1, sets("mail", "a"))
        with state.record_run(plan(changed, id_="lost"), at(HERE), SEALER) as journal:
            journal.note_writes([], [changed])
            (known,) = outcomes([changed], Result.FAILED)
            journal.note_writes([(changed, replace(known[1], lost=("mail",)))], [])
            journal.result = "part"
        for number in range(2):
            apply(state, change(2, sets("mail", "b")), id_=f"after-{number}")
        age(kept, "before", "lost", "after-0", "after-1")
        unshown = state.memory(HERE, "hr").read_unshown()
        assert set(unshown) == {"id-00001"}
        assert "does not show them" in why(old(state))
        assert prune(state) == ["before"]
        assert state.memory(HERE, "hr").read_unshown() == unshown
        apply(state, changed, id_="anew")
        apply(state, id_="last")
        age(kept, "anew", "last")
        assert prune(state) == ["lost", "after-0", "after-1", "anew"]


def test_old_lines_of_an_audit_go_where_no_file_may_lack_them(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        state.audit.begin_session("hr", PlainAuditor())
        for name in ("first", "last"):
            apply(state, change(1, sets("mail", name)), change(2, sets("mail", name)), id_=name)
        kept.execute("update audit_lines set time = '2020' where number in (1, 2, 4)")
        prune(state, audited=True)
        assert [line.number for lines in state.audit.read_lines("hr") for line in lines] == [1, 2, 3, 4]
        prune(state)
        assert [line.number for lines in state.audit.read_lines("hr") for line in lines] == [3, 4]
        kept.execute("update audit_lines set time = '2020'")
        prune(state)
        (left,) = [line.number for lines in state.audit.read_lines("hr") for line in lines]
        assert left == state.audit.read_head("hr").number == 4, "it shows where the chain ends"


def test_a_directory_that_a_job_has_left_holds_nothing_up(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        for number in range(2):
            apply(state, change(1, sets("mail", f"a{number}")), id_=f"there-{number}", directory=THERE)
        for number in range(2):
            apply(state, change(1, sets("mail", f"a{number}")), id_=f"here-{number}")
        age(kept, "there-0", "there-1", "here-0", "here-1")
        assert prune(state) == ["there-0", "here-0"]
        assert owned(state, THERE) == owned(state) == {"id-00001": {"mail"}}


def test_an_undo_gives_values_back_to_a_job_whose_runs_are_gone_by_the_name_that_it_has_then(
    kept: KeptState,
) -> None:
    with_a_past(kept)
    with closing(kept.open()) as state:
        prune(state)
        state.rename_job("hr", "staff")
        back = replace(change(1, sets("mail", "b", old=("c",))), digest="back")
        apply(state, back, id_="undo", job="it", kind="undo", undoes="taken")
        assert owned(state, job="staff")["id-00001"] == {"mail"}
        assert owned(state, job="it") == {}


def test_the_run_that_an_open_undo_takes_back_stays(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")), id_="first")
        apply(state, change(1, sets("mail", "b", old=("a",))), id_="second")
    back = replace(change(1, sets("mail", "a", old=("b",))), digest="back")
    with closing(database(kept.url)) as opened:
        running = State(opened).record_run(plan(back, id_="undo"), at(HERE), SEALER, kind="undo", undoes="second")
        running.__enter__().note_writes([], [back])
    with closing(kept.open()) as state:
        apply(state, change(2, sets("mail", "a")), id_="last")
        age(kept, "first", "second", "undo")
        assert "the outcome of writes of run undo" in why(old(state))
        assert prune(state) == ["first"]
        (step,) = state.read_open_steps(HERE, "hr", SEALER)
        state.settle_steps(at(HERE), [(step, Outcome(step.change.user, Result.WRITTEN))])
        assert owned(state)["id-00001"] == {"mail"}
