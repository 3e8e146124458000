"""What runs leave behind for those after them: who was refused, what may be whose, and what is still to be told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connector.errors import StateError, UsageError
from connector.model import (
    AttributeChange,
    Change,
    Description,
    Outcome,
    Owned,
    Refused,
    Result,
    Secret,
    UserRef,
    WritePart,
)
from connector.model.digests import UNKEYED
from connector.runtime.clock import format_now
from connector.state.journal_rows import add_server, is_one_of_several, remove_server
from connector.state.notes import JobNotes
from connector.state.store import State, open_state
from tests.support.audit_lines import PlainAuditor
from tests.support.states import DAYS, HERE, SEALER, apply, at, change, interrupt, plan, sets, sets_secret, user

SECRET = "SIPIdentityPassword"
MAIL, TITLE = sets("mail", "a@example.org"), sets("title", "agent")


@pytest.fixture
def state() -> Iterator[State]:
    with closing(open_state(None)) as opened:
        yield opened


@pytest.fixture
def notes(state: State) -> JobNotes:
    return state.memory(HERE, "hr")


def became(number: int, result: Result, *attributes: AttributeChange, unknown: bool = False) -> tuple[Change, Outcome]:
    each = change(number, *(attributes or (MAIL,)))
    return each, Outcome(each.user, result, f"why {number}", unknown=unknown)


def refused(notes: JobNotes, *ended: tuple[Change, Outcome], turns: tuple[int, ...] = ()) -> dict[int, tuple[int, int]]:
    """By user, in how many runs it was refused, and its turn, after a run that ended so."""
    notes.note_refused(ended, {user(number).id for number in turns})
    return {int(id_[3:]): (each.runs, each.turn) for id_, each in notes.read_refused().items()}


# ---------------------------------------------------------------- who was refused


@pytest.mark.parametrize("result", Result)
def test_who_failed_or_was_in_conflict_was_refused_and_nobody_else(notes: JobNotes, result: Result) -> None:
    counts = result in (Result.FAILED, Result.CONFLICT)
    assert refused(notes, became(1, result)) == ({1: (1, 1)} if counts else {})
    if counts:
        assert notes.read_refused() == {user(1).id: Refused(frozenset({"mail"}), 1, 1, "why 1")}


def test_a_write_of_which_nobody_knows_is_no_refusal(notes: JobNotes) -> None:
    assert refused(notes, became(1, Result.FAILED, unknown=True)) == {}
    refused(notes, became(1, Result.FAILED))
    assert refused(notes, became(1, Result.FAILED, unknown=True)) == {1: (1, 1)}


def test_refusals_count_on_as_long_as_the_attributes_that_were_refused_are_among_those_written(notes: JobNotes) -> None:
    refused(notes, became(1, Result.FAILED), became(2, Result.FAILED, MAIL, TITLE))
    found = refused(notes, became(1, Result.CONFLICT, MAIL, TITLE), became(2, Result.FAILED))
    assert {number: runs for number, (runs, _) in found.items()} == {1: 2, 2: 1}
    assert notes.read_refused()[user(1).id].attributes == {"mail", "title"}


@pytest.mark.parametrize("result", [Result.WRITTEN, Result.UNCHANGED])
def test_who_is_written_is_refused_no_longer_and_others_stay(notes: JobNotes, result: Result) -> None:
    refused(notes, became(1, Result.FAILED), became(2, Result.FAILED))
    assert refused(notes, became(1, result)) == {2: (1, 2)}


def test_whoever_was_tried_in_its_turn_comes_after_all_others_next_time(notes: JobNotes) -> None:
    """Also where it was not refused again; who was not tried keeps its place, and who is new comes last."""
    refused(notes, *(became(number, Result.FAILED) for number in (3, 2, 1)))
    ended = became(0, Result.FAILED), became(2, Result.FAILED), became(3, Result.SKIPPED), became(1, Result.SKIPPED)
    found = refused(notes, *ended, turns=(2, 3))
    assert sorted(found, key=lambda number: found[number][1]) == [1, 3, 2, 0]
    assert found == {1: (1, 3), 3: (1, 4), 2: (2, 5), 0: (1, 6)}


def test_who_is_not_to_be_written_any_more_is_refused_no_longer(notes: JobNotes) -> None:
    refused(notes, became(1, Result.FAILED), became(2, Result.FAILED))
    notes.forget_refused([user(2).id, user(3).id])
    assert notes.read_refused().keys() == {user(2).id}


def test_each_job_has_notes_of_its_own(state: State, notes: JobNotes) -> None:
    other = state.memory(HERE, "it")
    for each in (notes, other):
        refused(each, became(1, Result.FAILED))
        each.note_stale({"id-1"}, DAYS[1])
        each.note_lapsed({"id-1"})
        each.note_excluded({"boss": frozenset({"id-1"})})
    refused(notes, became(1, Result.WRITTEN))
    notes.note_claimed({"id-1"})
    notes.note_lapsed(())
    notes.note_excluded({})
    assert (notes.read_refused(), notes.read_stale(), notes.read_lapsed(), notes.read_excluded()) == (
        {},
        {},
        frozenset(),
        {},
    )
    assert other.read_refused().keys() == {user(1).id}
    assert (list(other.read_stale()), list(other.read_lapsed())) == (["id-1"], ["id-1"])
    assert other.read_excluded() == {"boss": frozenset({"id-1"})}


# ---------------------------------------------------------------- who is left alone, or nowhere


def test_an_entry_of_the_exclude_list_names_whom_it_has_named_until_it_is_taken_out(notes: JobNotes) -> None:
    notes.note_excluded({"ann": frozenset({"1"}), "bob": frozenset({"2", "3"}), "nobody": frozenset()})
    assert notes.read_excluded() == {"ann": frozenset({"1"}), "bob": frozenset({"2", "3"})}
    notes.note_excluded({"ann": frozenset({"4"}), "bob": frozenset()})
    assert notes.read_excluded() == {"ann": frozenset({"1", "4"}), "bob": frozenset({"2", "3"})}
    notes.note_excluded({"bob": frozenset({"2"})})
    assert notes.read_excluded() == {"bob": frozenset({"2", "3"})}


def test_who_is_nowhere_is_who_was_so_the_last_time(notes: JobNotes) -> None:
    for nowhere in ({"1", "2"}, {"2"}, set()):
        notes.note_lapsed(nowhere)
        assert notes.read_lapsed() == nowhere


# ---------------------------------------------------------------- what may be a job's


def maybe(state: State, job: str = "hr") -> dict[UserRef, dict[str, Owned]]:
    return {ref: dict(each) for ref, each in state.memory(HERE, job, at(HERE)).read_owned()}


def test_what_an_interrupted_run_set_out_to_write_may_be_its_jobs(state: State) -> None:
    interrupt(state, change(1, sets("mail", "a@example.org", "b@example.org", old=("a@example.org",))), id_="1")
    interrupt(state, change(2, sets("mail", old=("a@example.org",)), sets("objectClass", "cecAgent")), id_="2")
    interrupt(state, change(3, sets_secret("print")), id_="3")
    found = maybe(state)
    assert found.keys() == {user(1), user(3)}, "to clear makes nothing ours, nor does an object class"
    assert (len(found[user(1)]["mail"].values), found[user(1)]["mail"].run) == (1, "1")
    secret = found[user(3)][SECRET]
    assert (secret.values, secret.fingerprint) == ((), "print")
    assert maybe(state, "it") == {}


def test_what_may_be_ours_is_added_to_what_is(state: State) -> None:
    apply(state, change(1, MAIL, TITLE, sets("objectClass", "cecAgent")), id_="1")
    known = maybe(state)[user(1)]
    interrupt(state, change(1, sets("MAIL", "b@example.org", "a@example.org"), digest="b"), id_="2")
    found = maybe(state)[user(1)]
    assert found.keys() == {"mail", "title"}
    assert (found["mail"].values[:1], len(found["mail"].values)) == (known["mail"].values, 2)
    assert found["title"] == known["title"]
    assert found["mail"].run == "1"


def test_what_may_be_ours_is_spelt_as_what_is(state: State) -> None:
    apply(state, change(1, sets("Mail", "a@example.org")), id_="1")
    interrupt(state, change(1, sets("mail", "b@example.org"), digest="b"), id_="2")
    assert {name: len(each.values) for name, each in maybe(state)[user(1)].items()} == {"Mail": 2}


def test_of_a_secret_that_is_ours_the_fingerprint_stays_where_another_may_have_been_written(state: State) -> None:
    apply(state, change(1, sets_secret("first")), id_="1")
    interrupt(state, change(1, sets_secret("second"), digest="b"), id_="2")
    assert maybe(state)[user(1)][SECRET].fingerprint == "first"


def test_what_was_put_back_is_not_ours_and_what_may_have_been_written_since_is(state: State) -> None:
    apply(state, change(1, MAIL), id_="1", job="x")
    apply(state, change(1, sets("mail", "z@example.org", old=("a@example.org",))), id_="2", kind="undo")
    ((restored,),) = ([each.restored for each in found.values()] for found in maybe(state).values())
    assert restored
    interrupt(state, change(1, sets("mail", "b@example.org", old=("z@example.org",)), digest="b"), id_="3")
    assert [(each.run, each.restored) for each in maybe(state)[user(1)].values()] == [("3", False)]


@pytest.mark.parametrize(
    ("job", "attribute", "number", "ours"),
    [
        ("it", sets("MAIL", "c@example.org"), 1, False),
        ("it", sets("mail", old=("a@example.org",)), 1, False),
        ("it", TITLE, 1, True),
        ("it", MAIL, 2, True),
        ("hr", sets("mail", "c@example.org"), 1, True),
        ("it", replace(sets("mail", "tel:1"), pattern="tel:*"), 1, False),
    ],
    ids=["another job", "another job clears", "another attribute", "another user", "the same job", "a part of it"],
)
def test_what_may_be_ours_is_not_where_another_job_has_written_since(
    state: State, job: str, attribute: AttributeChange, number: int, *, ours: bool
) -> None:
    interrupt(state, change(1, MAIL), id_="1")
    (before,) = maybe(state)[user(1)]["mail"].values
    apply(state, change(number, attribute, digest="b"), id_="2", job=job)
    assert (before in [value for each in maybe(state).get(user(1), {}).values() for value in each.values]) is ours


@pytest.mark.parametrize(("theirs", "ours"), [("sip:*", True), ("tel:*", False), ("*", False)])
def test_jobs_with_parts_of_one_attribute_overtake_each_other_where_a_value_may_be_of_both(
    state: State, theirs: str, *, ours: bool
) -> None:
    interrupt(state, change(1, replace(sets("mail", "tel:1"), pattern="tel:*")), id_="1")
    apply(state, change(1, replace(sets("mail", "x"), pattern=theirs), digest="b"), id_="2", job="it")
    assert (user(1) in maybe(state)) is ours
    assert bool(list(state.memory(HERE, "hr").read_unsettled())) is ours
    assert ("hr" in {each.job for each in state.memory(HERE, "it").read_other_jobs()}) is ours


def test_a_write_of_another_directory_or_from_before_overtakes_nothing(state: State) -> None:
    apply(state, change(1, sets("mail", "z@example.org"), digest="z"), id_="0", job="it")
    interrupt(state, change(1, MAIL), id_="1")
    apply(state, change(1, sets("mail", "c@example.org"), digest="b"), id_="2", job="it", directory="elsewhere")
    assert user(1) in maybe(state)
    assert len(list(state.memory(HERE, "hr").read_unsettled())) == 1


# ---------------------------------------------------------------- what another server may not show yet

A, B = (replace(at(HERE), server=f"ldap://{name}") for name in "ab")


def late(state: State, description: Description | None = A, job: str = "hr") -> dict[UserRef, set[str]]:
    return {ref: set(each) for ref, each in state.memory(HERE, job, description).read_late()}


def write(state: State, each: Change, server: Description, run: str, result: Result | None = Result.WRITTEN) -> None:
    """A run of one change; None: it was killed."""
    running = state.record_run(plan(each, id_=run), server, SEALER)
    journal = running.__enter__()
    journal.note_writes([], [each])
    if result is not None:
        journal.note_writes([(each, Outcome(each.user, result, "why"))], [])
        running.__exit__(None, None, None)


@pytest.mark.parametrize("job", ["hr", "it"])
def test_what_another_server_was_told_of_late_may_not_be_here_yet_whoever_told_it(state: State, job: str) -> None:
    write(state, change(1, MAIL), A, "1")
    write(state, change(1, TITLE, digest="b"), B, "2")
    write(state, change(2, MAIL), B, "3", Result.CONFLICT)
    write(state, change(3, MAIL), at(HERE), "4")
    assert late(state, job=job) == {user(1): {"title"}}
    assert late(state, B, job) == {user(1): {"mail"}}
    assert (late(state, at(HERE), job), late(state, None, job)) == ({}, {}), "it is not known which server is asked"


def test_what_another_server_may_have_been_told_may_come_here_too(state: State) -> None:
    write(state, change(1, MAIL), B, "1", None)
    write(state, change(2, sets("title", old=("x",))), B, "2", None)
    write(state, change(3, MAIL), A, "3", None)
    write(state, change(4, MAIL), at(HERE), "4", None)
    assert late(state) == {user(1): {"mail"}, user(2): {"title"}}
    assert late(state, B) == {user(3): {"mail"}}


def test_a_plan_that_went_on_at_this_server_may_have_been_written_at_the_other(state: State) -> None:
    for server in (A, B):
        write(state, change(1, MAIL), server, "1", None)
    assert late(state) == late(state, B) == {user(1): {"mail"}}


def test_an_open_write_is_said_to_be_at_the_servers_that_are_not_asked(state: State) -> None:
    def servers(description: Description | None) -> list[str]:
        return [each.server for each in state.memory(HERE, "hr", description).read_unsettled()]

    write(state, change(1, MAIL), A, "1", None)
    assert (servers(A), servers(B), servers(None)) == (["ldap://a"], ["ldap://a"], ["ldap://a"])
    write(state, change(1, MAIL), B, "1", None)
    assert (servers(A), servers(B), servers(None)) == (["ldap://b"], ["ldap://a"], ["ldap://a, ldap://b"])


@pytest.mark.parametrize(("result", "server"), [(Result.WRITTEN, "ldap://b"), (Result.FAILED, "ldap://a, ldap://b")])
def test_of_two_servers_the_one_that_shows_a_write_has_it(state: State, result: Result, server: str) -> None:
    for each in (A, B):
        write(state, change(1, MAIL), each, "1", None)
    (step,) = state.read_open_steps(HERE, "hr", SEALER)
    state.settle_steps(B, [(step, Outcome(user(1), result, "why"))])
    assert [(each.outcome, each.server) for each in state.read_steps_of_run("1", "hr", SEALER)[1]] == [(result, server)]


def test_a_conflict_leaves_nothing_known_of_what_was_not_shown(state: State) -> None:
    """What was taken once was not shown; that it is still there is believed no longer."""
    lost = change(1, MAIL, TITLE)
    with state.record_run(plan(lost, id_="1"), A, SEALER) as journal:
        journal.note_writes([], [lost])
        journal.note_writes([(lost, Outcome(lost.user, Result.FAILED, "not shown", lost=("mail",)))], [])
    assert state.memory(HERE, "hr").read_unshown() == {user(1).id: {"mail": ("a@example.org",)}}
    write(state, change(1, sets("mail", "b@example.org"), TITLE, digest="b"), A, "2", Result.CONFLICT)
    assert state.memory(HERE, "hr").read_unshown() == {user(1).id: {"mail": ()}}
    write(state, change(1, TITLE, digest="c"), A, "3")
    assert state.memory(HERE, "hr").read_unshown() == {user(1).id: {"mail": ()}}
    write(state, change(1, sets("mail", "c@example.org"), digest="d"), A, "4")
    assert state.memory(HERE, "hr").read_unshown() == {}


def test_users_of_what_was_not_shown_come_once_with_all_that_is_ours_or_may_be(state: State) -> None:
    """Also those to whom nothing else was written; an object class that came with it makes no difference."""
    classes = sets("objectClass", "cecAgent")
    lost = [change(1, MAIL), change(2, MAIL, TITLE), change(3, MAIL), change(4, MAIL, classes)]
    with state.record_run(plan(*lost, id_="1"), at(HERE), SEALER) as journal:
        journal.note_writes([], lost)
        journal.note_writes(
            [(each, Outcome(each.user, Result.FAILED, "not shown", lost=("mail",))) for each in lost], []
        )
    interrupt(state, change(3, TITLE, digest="b"), id_="2")
    found = list(state.memory(HERE, "hr", at(HERE)).read_owned())
    assert sorted((ref.id, list(each)) for ref, each in found) == [
        (user(1).id, []), (user(2).id, ["title"]), (user(3).id, ["title"]), (user(4).id, []),
    ]  # fmt: skip
    assert list(state.memory(HERE, "it", at(HERE)).read_owned()) == []


def test_what_was_written_more_than_a_day_ago_has_come_by_now(tmp_path: Path) -> None:
    with closing(open_state(f"sqlite:///{tmp_path}/state.db")) as state:
        write(state, change(1, MAIL), B, "1")
        write(state, change(2, MAIL), B, "2", None)
        for hours, known in ((23, {user(1), user(2)}), (25, set[UserRef]())):
            with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as db:
                db.execute("update journal set noted = ?", (format_now(before=timedelta(hours=hours)),))
            assert late(state).keys() == known


@pytest.mark.parametrize(
    ("servers", "with_a", "without_a", "among_others"),
    [
        ("", "a", "", False),
        ("a", "a", "", False),
        ("b", "b, a", "b", False),
        ("a, b", "a, b", "b", True),
        ("b, a, c", "b, a, c", "b, c", True),
        ("b, c", "b, c, a", "b, c", False),
    ],
)
def test_the_servers_that_may_have_a_write_are_kept_in_the_order_of_their_runs(
    servers: str, with_a: str, without_a: str, *, among_others: bool
) -> None:
    assert (add_server(servers, "a"), remove_server(servers, "a"), is_one_of_several(servers, "a")) == (
        with_a,
        without_a,
        among_others,
    )


@pytest.mark.parametrize("result", [*Result, None])
def test_of_a_write_that_put_nothing_there_only_what_it_saw_is_past(state: State, result: Result | None) -> None:
    """A failed one may have been carried out all the same."""
    each = change(1, sets("mail", "b", old=("a",)), TITLE, sets_secret("print", old=(Secret("x"),)))
    write(state, each, A, "1", result)
    (past,) = state.memory(HERE, "hr").read_past([user(1).id]).values()
    found = {one.name: (one.old, one.new, one.fingerprint) for _, _, one in past}
    if result in (Result.CONFLICT, Result.SKIPPED):
        assert found == {"mail": (("a",), ("a",), UNKEYED), SECRET: ((), (), UNKEYED)}
    else:
        assert found == {"mail": (("a",), ("b",), ""), "title": ((), ("agent",), ""), SECRET: ((), (), "print")}
    assert {one.name for _, _, one in past if not one.seen} == {SECRET}, "what was there is sealed"
    assert {(run, server) for run, server, _ in past} == {("1", "ldap://a")}
    assert [(step.outcome, step.why) for step in state.read_steps_of_run("1", "hr", SEALER)[1]] == [
        (result, "why" if result else "")
    ]
    assert state.memory("elsewhere", "hr").read_past([user(1).id]) == {}


# ---------------------------------------------------------------- what later runs have written


def since(state: State, run: str = "0") -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    return state.history.find_later_writes(run), state.history.find_overtaken(run)


def test_what_a_run_wrote_is_written_since_until_that_is_undone(state: State) -> None:
    mail = frozenset({"mail"})
    apply(state, change(1, MAIL), change(2, MAIL), id_="0")
    assert since(state) == ({}, {})
    apply(state, change(1, sets("mail", "b@example.org", old=("a@example.org",)), digest="b"), id_="1")
    apply(state, change(3, MAIL), id_="2")
    apply(state, change(2, TITLE, digest="b"), id_="3", directory="elsewhere")
    assert since(state)[0] == {user(1).id: mail}, "of its own users, in its own directory"
    assert since(state)[1] == {user(1).id: mail, user(3).id: mail}
    assert since(state, "1") == ({}, {user(3).id: mail})
    back = change(1, sets("mail", "a@example.org", old=("b@example.org",)), digest="c")
    apply(state, back, id_="4", kind="undo", undoes="1")
    assert since(state) == ({}, {user(1).id: mail, user(3).id: mail})
    apply(state, change(1, MAIL, digest="d"), id_="5", kind="undo", undoes="4")
    assert since(state)[0] == {user(1).id: mail}, "it is there again"


def test_an_undo_of_an_earlier_run_is_a_write_like_any_other(state: State) -> None:
    mail = frozenset({"mail"})
    for number in ("0", "1"):
        apply(state, change(1, MAIL, digest=number), id_=number)
    apply(state, change(1, sets("mail", old=("a@example.org",)), digest="c"), id_="2", kind="undo", undoes="0")
    assert since(state, "1") == ({user(1).id: mail}, {user(1).id: mail})


def test_what_may_have_been_written_counts_as_written_since_and_not_as_overtaken(state: State) -> None:
    apply(state, change(1, MAIL), id_="0")
    apply(state, change(1, TITLE, digest="b"), id_="1", result=Result.FAILED)
    assert since(state) == ({}, {})
    interrupt(state, change(1, TITLE, digest="b"), id_="2")
    assert since(state) == ({user(1).id: frozenset({"title"})}, {})


def test_what_went_first_alone_counts_until_a_later_undo_has_put_it_back(state: State) -> None:
    """A part may be all that an undo wrote of a user; a secret that was put back has no new value in the journal."""
    first, emptied, secret = sets("mail", old=("a@example.org",)), sets("title", old=("agent",)), sets_secret("print")

    def after(run: str, *each: AttributeChange, part: WritePart = WritePart.REST, **how: Any) -> set[str]:
        apply(state, replace(change(1, *each, digest=run), part=part), id_=run, undoes="0", **how)
        return {name for names in state.history.find_parts_alone("0").values() for name in names}

    everything = {"mail", "title", SECRET}
    assert after("0", first, emptied, secret, part=WritePart.STEP) == everything
    assert after("1", MAIL) == everything, "that was no undo"
    assert after("2", MAIL, part=WritePart.STEP, kind="undo") == {"title", SECRET}
    assert after("3", secret, part=WritePart.STEP, kind="undo") == {"title"}
    assert after("4", emptied, kind="undo") == set(), "it was to be empty"
    assert after("5", first, part=WritePart.RELEASE, kind="undo") == {"mail"}
    assert after("6", MAIL, kind="undo", result=Result.FAILED) == {"mail"}


def test_a_value_of_ours_stays_so_beside_a_new_one_and_one_of_others_does_not(state: State) -> None:
    apply(state, change(1, MAIL), id_="0")
    (before,) = maybe(state)[user(1)]["mail"].values
    kept = ("a@example.org", "theirs@example.org")
    apply(state, change(1, sets("mail", *kept, "new@example.org", old=kept), digest="b"), id_="1")
    values = maybe(state)[user(1)]["mail"].values
    assert (values[0], len(values)) == (before, 2)


def test_one_attribute_that_is_written_again_and_again_is_found_among_others(state: State) -> None:
    for number in ("1", "2", "3"):
        apply(state, change(1, MAIL, sets("title", number), digest=number), id_=number)
    found = state.memory(HERE, "hr").read_rewritten()
    assert {place: each.times for place, each in found.items()} == {(user(1).id, "mail"): 3}


def test_an_attribute_is_one_however_two_jobs_spell_it(state: State) -> None:
    apply(state, change(1, MAIL, TITLE), id_="1")
    apply(state, change(1, sets("MAIL", "b@example.org", old=("a@example.org",)), digest="b"), id_="2", job="it")
    assert (list(maybe(state)[user(1)]), list(maybe(state, "it")[user(1)])) == (["title"], ["MAIL"])


@pytest.mark.parametrize(("count", "more"), [(2, False), (5, False), (6, True)])
def test_of_runs_that_begin_alike_a_few_are_named_and_it_is_said_where_there_are_more(
    state: State, count: int, *, more: bool
) -> None:
    for number in range(count):
        apply(state, change(1, MAIL), id_=f"run-{number}")
    with pytest.raises(UsageError, match=f"the ids of {count} runs begin with 'run'") as fault:
        state.history.find_run("hr", "run")
    assert (fault.value.what.count("run-"), ", …. Write" in fault.value.what) == (min(count, 5), more)


# ---------------------------------------------------------------- the account


def test_lines_are_made_from_the_begin_of_a_session_on_and_none_after_it(state: State) -> None:
    apply(state, change(1, MAIL), id_="1")
    state.audit.begin_session("hr", PlainAuditor())
    apply(state, change(2, MAIL), id_="1")
    apply(state, change(3, MAIL), change(4, MAIL), id_="2")
    state.audit.end_session()
    apply(state, change(5, MAIL), id_="3")
    ((*lines,),) = state.audit.read_lines("hr")
    assert [(line.number, json.loads(line.text)["run"]) for line in lines] == [(1, "1"), (2, "2"), (3, "2")]


# ---------------------------------------------------------------- a job's first run


def first(state: State, job: str = "hr") -> tuple[bool, bool]:
    """Whether it would be the job's first, and anybody's."""
    memory = state.memory(HERE, job)
    return memory.is_new(), memory.is_blank()


def test_a_run_is_the_first_until_one_has_begun_and_where_nothing_is_kept_nobody_knows(tmp_path: Path) -> None:
    with closing(open_state(f"sqlite:///{tmp_path}/state.db")) as state, closing(open_state(None)) as forgetful:
        assert (first(state), first(forgetful)) == ((True, True), (False, False))
        for kind, directory in (("undo", HERE), ("apply", "elsewhere")):
            apply(state, change(1, MAIL), id_=kind, kind=kind, directory=directory)
            assert first(state) == (True, True)
        apply(state, id_="nothing to do")
        assert (first(state), first(state, "it")) == ((False, True), (True, True))
        with state.record_run(plan(change(1, MAIL), id_="a pilot"), at(HERE), SEALER, some=True) as journal:
            journal.note_writes([], [change(1, MAIL)])
        assert first(state) == (False, True)
        apply(state, change(1, MAIL), id_="a whole one", job="it")
        assert (first(state), first(state, "it"), first(state, "third")) == ((False,) * 2, (False,) * 2, (True, False))


def test_every_table_is_tried_and_nothing_is_left_of_that(tmp_path: Path) -> None:
    with (
        closing(open_state(f"sqlite:///{tmp_path}/state.db")) as state,
        closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as db,
    ):
        state.try_writing()
        assert db.execute("select * from facts").fetchall() == []
        db.execute("create trigger no before insert on facts begin select raise(abort, 'no'); end")
        with pytest.raises(StateError, match="cannot be written: no"):
            state.try_writing()
        db.execute("drop trigger no")
        db.execute("drop table notes")
        with pytest.raises(StateError, match="no such table: notes"):
            state.try_writing()
