"""Documents of a fleet's runs, in every kind of state: which plan waits, its report, and who is named no more."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing

import psycopg
import pytest
from msgspec.structs import replace

from connector.errors import StateError
from connector.model import Outcome, Plan, Result
from connector.model.digests import digest_of_change, digest_of_plan
from connector.reports.document import render
from connector.state.store import State
from tests.support.states import HERE, SEALER, KeptState, apply, change, plan, sets, user

YEAR = "2025-11-25T12:00:00+00:00"


def drawn(id_: str, *numbers: int, job: str = "hr") -> Plan:
    """A plan that sets these users' mail, with its digests."""
    changes = [change(number, sets("mail", "a")) for number in numbers]
    changes = [replace(each, digest=digest_of_change(each)) for each in changes]
    made = plan(*changes, id_=id_, job=job)
    return replace(made, digest=digest_of_plan(made))


def document(plan_: Plan, outcomes: Sequence[Outcome] | None = None) -> bytes:
    return "".join(render(plan_, outcomes)).encode()


def kept_plan(state: State, id_: str, *numbers: int, job: str = "hr") -> Plan:
    made = drawn(id_, *numbers, job=job)
    state.keep_saved_plan(made, HERE)
    state.documents.keep_document("plan", made, document(made))
    return made


def kept_report(state: State, id_: str, *numbers: int, why: str = "") -> Plan:
    made = kept_plan(state, id_, *numbers)
    outcomes = [Outcome(each.user, Result.FAILED if why else Result.WRITTEN, why) for each in made.changes]
    apply(state, *made.changes, id_=id_)
    state.documents.keep_document("report", made, document(made, outcomes))
    return made


def ids(state: State, job: str = "hr") -> list[str]:
    return [each.id for each in state.documents.read_all(job)]


def test_one_plan_of_a_job_waits_and_a_newer_one_supersedes_it(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        assert state.documents.find_waiting("hr") is None
        kept_plan(state, "old", 1, 2)
        kept_plan(state, "of another", 3, job="it")
        new = kept_plan(state, "new", 1)
    with closing(kept.open()) as state:
        found = state.documents.find_waiting("hr")
        assert found is not None
        assert (found.id, found.kind, found.digest) == ("new", "plan", new.digest)
        assert found.octets == document(new)
        read = state.documents.read_plan(found)
        assert (read.id, [each.digest for each in read.changes]) == ("new", [each.digest for each in new.changes])
        assert state.documents.find_document("hr", "old") is None
        assert state.documents.find_document("hr", "of another") is None
        state.documents.withdraw_plan("hr", "old")
        state.documents.withdraw_plan("it", "new")
        assert state.documents.find_waiting("hr") is not None
        state.documents.withdraw_plan("hr")
        assert state.documents.find_waiting("hr") is None
        assert ids(state, "it") == ["of another"]


def test_two_plans_of_a_job_never_wait(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        kept_report(state, "first", 1)
        kept_report(state, "second", 1)
        kept_plan(state, "third", 1)
        columns = "job, kind, directory, content, digest, created, octets, number"
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)):
            kept.execute(
                f"insert into documents (id, {columns}) select 'fourth', {columns} from documents where kind = 'plan'"
            )
        assert ids(state) == ["first", "second", "third"]


def test_a_report_stays_and_no_plan_that_is_spent_waits(state: State) -> None:
    made = kept_plan(state, "first", 1)
    apply(state, *made.changes, id_="first", ended="stopped")
    assert state.documents.find_waiting("hr"), "its rest is still to be written"
    apply(state, *made.changes, id_="first")
    assert state.documents.find_waiting("hr") is None, "killed before its report was kept"
    state.documents.keep_document("report", made, document(made, [Outcome(user(1), Result.WRITTEN)]))
    kept_plan(state, "second", 2)
    found = state.documents.find_document("hr", "first")
    assert found is not None
    assert (found.kind, b'"outcomes"' in found.octets, ids(state)) == ("report", True, ["first", "second"])
    assert (state.read_contents("hr").counts["documents"], state.read_contents("it").counts["documents"]) == (2, 0)


def test_a_plan_that_was_superseded_while_it_was_applied_has_its_report(state: State) -> None:
    made = drawn("first", 1)
    kept_plan(state, "second", 2)
    state.documents.keep_document("report", made, document(made, ()))
    assert ids(state) == ["first", "second"]


@pytest.mark.parametrize("spoilt", ["octets", "whole", "text"])
def test_a_document_that_cannot_be_read_is_found_by_the_check(kept: KeptState, spoilt: str) -> None:
    with closing(kept.open()) as state:
        made = kept_plan(state, "first", 1)
        assert state.find_faults("hr", SEALER) == []
        octets = {
            "octets": b"x",
            "whole": zlib.compress(b"{"),
            "text": zlib.compress(document(made).replace(b"user1", b"user2")),
        }
        kept.execute(f"update documents set octets = {binary(kept, octets[spoilt])}")
        assert state.find_faults("hr", SEALER) == ["the state is damaged: a kept document cannot be read"]
        with pytest.raises(StateError, match="a kept document cannot be read"):
            state.documents.read_plan(*state.documents.read_all("hr"))


def binary(kept: KeptState, octets: bytes) -> str:
    return f"x'{octets.hex()}'" if kept.url.startswith("sqlite") else f"'\\x{octets.hex()}'"


def test_reports_take_the_job_s_new_name_and_plans_that_wait_go(state: State) -> None:
    kept_report(state, "first", 1)
    kept_plan(state, "second", 2)
    kept_plan(state, "of the new name", 3, job="staff")
    state.rename_job("hr", "staff")
    assert (ids(state), ids(state, "staff")) == ([], ["first"])
    assert state.find_faults("staff", SEALER) == []


@pytest.mark.parametrize("aged", [True, False])
def test_documents_are_pruned_with_their_runs_and_plans(kept: KeptState, *, aged: bool) -> None:
    with closing(kept.open()) as state:
        for run in ("first", "second"):
            kept_report(state, run, 1)
        kept_plan(state, "waiting", 2)
        kept.execute(f"update runs set started = '{YEAR}', ended = '{YEAR}' where id = 'first'")
        kept.execute(f"update documents set created = '{YEAR}' where kind = 'saved' and id = 'first'")
        if aged:
            kept.execute(f"update documents set created = '{YEAR}' where kind = 'saved' and id = 'waiting'")
        pruning = state.make_pruning("hr", "2026-06-01T00:00:00+00:00", audited=False)
        assert [run.id for run in pruning.take_out(pruning.find_old())] == ["first"]
        assert ids(state) == (["second"] if aged else ["second", "waiting"])


def test_documents_that_name_a_person_are_deleted_with_what_else_is_known(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        kept_report(state, "wrote it", 1, 2)
        kept_report(state, "wrote others", 2, 3)
        kept_report(state, "in a sentence", 3, why=f"the value is held by {user(1).name.upper()}")
        kept_report(state, "of another name", 3, why="the value is held by uid=user12,ou=people,dc=example,dc=org")
        kept_plan(state, "waiting", 1)
        kept.execute("delete from documents where kind = 'saved' and id = 'wrote it'")  # as a rename of the job does
        forgetting = state.make_forgetting("hr", audited=False)
        named = ("in a sentence", "waiting", "wrote it")
        assert forgetting.find_person("id-00001").documents == named
        assert forgetting.forget_person("id-00001").documents == named
        assert ids(state) == ["of another name", "wrote others"]
        assert state.documents.find_waiting("hr") is None
        assert state.find_faults("hr", SEALER) == []
