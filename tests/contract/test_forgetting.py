"""A person is taken out of every kind of state, wholly, and nobody else with it."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from connector.errors import UnsettledError, UsageError
from connector.model import AgentRef, EarlierPlan, Outcome, Problem, Result, UserRef
from connector.state.database import TABLES
from connector.state.store import State
from tests.support.mortal import DeathError, Fate, MortalDatabase
from tests.support.states import (
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
    user,
)

pytestmark = pytest.mark.slow

ONE = user(1)
PARTS = re.compile(r"id-00001|uid=user1\b|user1\b|\b1001\b", re.IGNORECASE)
"""What tells of the first user: id, name, agent."""
Dump = dict[str, list[tuple[object, ...]]]


def dump(kept: KeptState) -> Dump:
    return {table: sorted(kept.execute(f"select * from {table}"), key=repr) for table in TABLES}


def naming(rows: Dump) -> Dump:
    """The rows that tell of the first user."""
    found = {
        table: [row for row in some if any(PARTS.search(str(each)) for each in row)] for table, some in rows.items()
    }
    return {table: some for table, some in found.items() if some}


def saved(rows: Dump) -> set[object]:
    """The saved plans, by their ids."""
    return {row[2] for row in rows["documents"] if row[0] == "saved"}


def with_people(kept: KeptState) -> None:
    """Two users that hr and it wrote to; sentences about the second name the first."""
    with closing(kept.open()) as state:
        for job in ("hr", "it"):
            apply(state, *(change(number, sets(f"mail-{job}", "a")) for number in (1, 2)), id_=f"{job}-1", job=job)
        renamed = replace(change(1, sets("mail-hr", "b", old=("a",))), user=replace(ONE, name="uid=USER1,ou=moved"))
        blocked = change(2, sets("seat", "b"))
        said = f"still held by {ONE.name}; also by someone of uid=user12,ou=people"
        with state.record_run(plan(renamed, blocked, id_="hr-2"), at(HERE), SEALER) as journal:
            journal.note_writes([], [renamed, blocked])
            journal.note_writes([*outcomes([renamed]), (blocked, Outcome(blocked.user, Result.FAILED, said))], [])
            journal.result = "part"
        memory = state.memory(HERE, "hr")
        failed = [(change(number, sets("seat", "b")), Outcome(user(number), Result.FAILED, said)) for number in (1, 2)]
        memory.note_refused(failed, ())
        memory.note_stale({"id-00001", "id-00002"}, datetime(2026, 11, 1, tzinfo=UTC))
        memory.note_lapsed({"id-00001"})
        memory.note_excluded({"uid=user1": frozenset({"id-00001"})})
        state.hold_job("hr", f"because of {ONE.name}")
        events = "events (kind, job, id, who, started, ended, why, digest, result, number)"
        because = f"'because of {ONE.name}', '', 'done', 99"
        kept.execute(f"insert into {events} values ('release', 'hr', 'r', '', '', '{NOW}', {because})")
        drawn = EarlierPlan("p", NOW, [("id-00001", "d"), ("id-00002", "d")])
        state.drawn.note_last("hr", drawn)
        state.drawn.note_run("hr", "hr-1", drawn)
        problem = Problem(
            "stale", "no agent claims it", agent=AgentRef(7, "x"), users=("UID=user1,ou=people,dc=example,dc=org",)
        )
        state.keep_saved_plan(plan(change(1, sets("mail", "c")), id_="changes-it"), HERE)
        state.keep_saved_plan(replace(plan(id_="names-it"), problems=(problem,)), HERE)
        state.keep_saved_plan(plan(change(2, sets("mail", "c")), id_="of-another"), HERE)
        state.keep_saved_plan(plan(change(1, sets("mail", "c")), id_="of-it", job="it"), HERE)


def is_forgotten(before: Dump, after: Dump) -> None:
    assert saved(before) - saved(after) == {"changes-it", "names-it"}
    left = naming(after)
    assert left.pop("notes") == [row for row in before["notes"] if row[0] == "excluded"]
    assert {row[0] for row in left.pop("journal")} == {"it-1"}
    assert {row[1] for row in left.pop("ownership")} == {"it"}
    assert {row[2] for row in left.pop("documents")} == {"of-it"}
    assert left == {}
    others = {
        table: [row for row in rows if row not in naming(before).get(table, [])] for table, rows in before.items()
    }
    for table, rows in others.items():
        assert all(row in after[table] for row in rows), table
    assert any("also by someone of uid=user12" in str(row) for row in after["journal"])


@pytest.mark.parametrize(
    "named", ["id-00001", ONE.name, "user:UID=user1,ou=people,dc=example,dc=org", "uid=user1,ou=moved"]
)
def test_ids_names_and_values_go_and_all_else_stays(kept: KeptState, named: str) -> None:
    with_people(kept)
    before = dump(kept)
    with closing(kept.open()) as state:
        forgetting = state.make_forgetting("hr", audited=False)
        person = forgetting.find_person(named)
        assert (person.id, person.writes, person.runs) == ("id-00001", 2, 2)
        assert person.names == ("uid=USER1,ou=moved", ONE.name)
        assert (person.owned, person.excluded, person.others) == (("mail-hr",), ("uid=user1",), ("it",))
        assert person.plans == ("changes-it", "names-it")
        assert dump(kept) == before
        assert forgetting.forget_person(person.id) == person
        assert state.find_faults("hr", SEALER) == []
        assert "id-00001" not in owned(state)
        with pytest.raises(UsageError, match="knows no user"):
            forgetting.find_person("id-00001")
    is_forgotten(before, dump(kept))


def test_killed_at_any_step_all_of_it_is_there_or_none(kept: KeptState) -> None:
    with_people(kept)
    before = dump(kept)
    for last in range(1, 5):
        fate = Fate()
        with closing(database(kept.url)) as opened:
            state = State(MortalDatabase(fate, opened))
            fate.begin(last)
            try:
                state.make_forgetting("hr", audited=False).forget_person("id-00001")
            except DeathError:
                assert last < 4
        assert (dump(kept) == before) is (last < 3)
        if last >= 3:
            is_forgotten(before, dump(kept))


def test_what_nobody_has_settled_yet_is_not_forgotten(kept: KeptState) -> None:
    with_people(kept)
    with closing(database(kept.url)) as opened:
        interrupt(State(opened), change(1, sets("mail-hr", "z")), id_="killed")
    before = dump(kept)
    with closing(kept.open()) as state:
        for forget in (state.make_forgetting("hr", audited=audited).forget_person for audited in (False, True)):
            with pytest.raises(UnsettledError, match="rerun the job") as raised:
                forget("id-00001")
            assert raised.value.where == "killed"
        assert dump(kept) == before
        assert state.make_forgetting("it", audited=False).forget_person("id-00001", {"hr"}).writes == 1, (
            "of another job"
        )


def test_what_the_audit_may_lack_is_not_forgotten(kept: KeptState) -> None:
    with_people(kept)
    kept.execute("insert into audit_lines values ('hr', 2, '2026', 'id-00001', '{}')")
    with closing(kept.open()) as state:
        with pytest.raises(UnsettledError, match="audit catch-up"):
            state.make_forgetting("hr", audited=True).forget_person("id-00001")
        assert state.make_forgetting("hr", audited=True).forget_person("id-00002").writes == 2
        assert state.make_forgetting("hr", audited=False).forget_person("id-00001").writes == 2


def test_of_a_name_that_two_users_had_the_id_is_wanted(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, *(replace(change(n, sets("mail", "a")), user=replace(user(n), name="bob")) for n in (1, 2)))
        forgetting = state.make_forgetting("hr", audited=False)
        with pytest.raises(UsageError, match=r"Name one of them: user:id-00001 \(bob\) or user:id-00002 \(bob\)"):
            forgetting.find_person("Bob")
        assert forgetting.find_person("id-00002").names == ("bob",)


def test_a_state_of_which_everybody_was_forgotten_is_not_taken_for_a_lost_one(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")))
        state.make_forgetting("hr", audited=False).forget_person("id-00001")
        assert not state.memory(HERE, "hr").is_blank()


@pytest.mark.parametrize(
    ("named", "plans"),
    [
        ("id-00003", ("changes-it", "names-it")),
        ("UID=user3,ou=people,dc=example,dc=org", ("changes-it", "names-it")),
        ("user:uid=user4,ou=people,dc=example,dc=org", ("names-another",)),
        ("id-00005", ()),
        ("id-00006", ()),
    ],
)
def test_whom_only_plans_name_is_forgotten_too(kept: KeptState, named: str, plans: tuple[str, ...]) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")))
        for number, id_ in ((3, "names-it"), (4, "names-another")):
            problem = Problem("ambiguous", "two users", agent=AgentRef(7, "x"), users=(user(number).name,))
            state.keep_saved_plan(replace(plan(id_=id_), problems=(problem,)), HERE)
        state.keep_saved_plan(plan(change(3, sets("mail", "c")), id_="changes-it"), HERE)
        state.keep_saved_plan(plan(change(1, sets("mail", "c")), id_="of-another"), HERE)
        state.drawn.note_last(
            "hr", EarlierPlan("names-it", NOW, [("id-00003", "d"), ("id-00005", "d")], [("about", "said")])
        )
        state.drawn.note_run("hr", "run-1", EarlierPlan("p", NOW, [("id-00006", "d"), ("id-00001", "d")], [("a", "s")]))
        before = dump(kept)
        person = state.make_forgetting("hr", audited=False).find_person(named)
        assert (person.writes, person.plans) == (0, plans)
        state.make_forgetting("hr", audited=False).forget_person(person.id)
        after = dump(kept)
        assert saved(before) - saved(after) == set(plans)
        assert not any(text in repr(after) for text in {person.id, *person.names})
        assert [row[0] for row in after["ownership"]] == [HERE], "of somebody else"
        kept_drawn = state.drawn.find_last("hr")
        assert kept_drawn.problems == ([] if "names-it" in plans else [("about", "said")])
        assert len(state.drawn.find_of_run("hr", "run-1").changes) == (1 if named == "id-00006" else 2)  # type: ignore[union-attr]
        with pytest.raises(UsageError, match="knows no user"):
            state.make_forgetting("hr", audited=False).find_person(named)


def test_what_holds_another_job_back_is_forgotten_only_by_who_lets_it_write(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, change(1, sets("mail", "a")))
        apply(state, change(1, sets("mail", "a")), id_="elsewhere", directory=THERE, job="far")
        forgetting = state.make_forgetting("hr", audited=False)
        assert forgetting.find_person("id-00001").rivals == ()
        apply(state, change(2, sets("seat", "a")), id_="it-1", job="it")
        state.keep_saved_plan(plan(change(1, sets("mail", "c")), id_="of-desk", job="desk"), HERE)
        before = dump(kept)
        assert forgetting.find_person("id-00001").rivals == ("desk", "it")
        with pytest.raises(UnsettledError, match=r"other jobs \(desk\) could then write over .* --yes"):
            forgetting.forget_person("id-00001", {"it"})
        assert dump(kept) == before
        state.memory(HERE, "hr").note_stale({"id-00001"}, datetime(2026, 11, 1, tzinfo=UTC))
        assert forgetting.find_person("id-00001").rivals == (), "it passes to them anyway"
        assert forgetting.forget_person("id-00001").owned == ("mail",)


@pytest.mark.parametrize("as_name", [False, True])
def test_a_short_number_is_taken_out_only_where_it_is_said_of_a_user(kept: KeptState, *, as_name: bool) -> None:
    short = UserRef("id-x", "2") if as_name else UserRef("2", "ann")
    said = "it was /srv/2/agents.json, 2 users at port 2:2; user {0} of https://scim.example.org/Users/{0}: '{0}'"
    with closing(kept.open()) as state:
        apply(state, replace(change(1, sets("mail", "a")), user=short))
        state.hold_job("hr", said.format("2"))
        state.make_forgetting("hr", audited=False).forget_person(short.id)
        assert state.read_hold("hr")[1] == said.format("(forgotten)")  # type: ignore[index]


def test_a_long_number_is_taken_out_wherever_it_is_said(kept: KeptState) -> None:
    with closing(kept.open()) as state:
        apply(state, replace(change(1, sets("mail", "a")), user=UserRef("1234567", "ann")))
        state.hold_job("hr", "of 1234567, not 12345678")
        state.make_forgetting("hr", audited=False).forget_person("1234567")
        assert state.read_hold("hr")[1] == "of (forgotten), not 12345678"  # type: ignore[index]
