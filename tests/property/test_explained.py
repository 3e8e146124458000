"""Explanations by example: who is told about, who is near, and who is found past base and filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.directories.port import Reader
from connector.errors import DeniedError, UsageError
from connector.explaining import explain
from connector.model import ID, Agent, Invalid, Key, Tenant, User
from connector.reconcile.explanation import Explanation
from connector.reconcile.people import Pin
from connector.sync import draw
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, SEATS, World

AWAY = "ou=elsewhere,dc=example,dc=org"


def world(*accounts: str, users: Iterable[str] = (), away: Iterable[str] = ()) -> World:
    """Agents of these accounts, and users within reach and elsewhere."""
    people = [("id", uid, BASE) for uid in users] + [("far", uid, AWAY) for uid in away]
    store = MemoryStore(
        {
            f"{place}-{uid}": (f"uid={uid},{base}", {"objectClass": ["inetOrgPerson"], "uid": [uid], "cn": [uid]})
            for place, uid, base in people
        }
    )
    return World(Tenant([Agent(number, account) for number, account in enumerate(accounts)]), store, SEATS)


def explained(of: World, name: str, beyond: Reader | None = None) -> list[Explanation]:
    with of.parts() as parts:
        return explain(replace(parts, beyond=None if beyond is None else lambda: beyond), name)


def one(of: World, name: str, beyond: Reader | None = None) -> Explanation:
    (found,) = explained(of, name, beyond)
    return found


def everywhere(of: World) -> MemoryDirectory:
    return MemoryDirectory(of.store, of.mapping.view())


class Closed(MemoryDirectory):
    """One that this account may not look into."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        raise DeniedError("no rights to search", where="a test")


def test_who_holds_the_value_past_base_and_filter_is_named_where_nobody_within_does() -> None:
    of = world("ann", "bob", users=["bob"], away=["ann", "bob"])
    (rule,) = one(of, "ann", everywhere(of)).rules
    assert (rule.outcome, rule.outside) == ("found nobody", (f"uid=ann,{AWAY}",))
    (rule,) = one(of, "bob", everywhere(of)).rules
    assert (rule.outcome, rule.outside) == ("found", ())
    (rule,) = one(of, "ann").rules
    assert rule.outside == (), "without a look past them"


def test_where_nobody_may_look_past_base_and_filter_all_else_is_explained() -> None:
    of = world("ann", away=["ann"])
    closed = Closed(of.store, of.mapping.view())
    assert one(of, "ann", closed) == one(of, "ann")


def test_whom_another_agent_claims_is_near_nobody() -> None:
    """However many of those who are nearest are claimed."""
    crowd = [f"ann{letter}" for letter in "abcdefghij"]
    of = world("ann", *crowd[:7], users=crowd)
    (problem,) = one(of, "ann").problems
    assert [near.user for near in problem.near] == [f"uid={uid},{BASE}" for uid in crowd[7:]]
    with of.parts() as parts:
        (planned,) = draw(parts).plan.problems
    assert problem == planned


class Hesitant(MemoryDirectory):
    """Answers every look-up but those by name, by which near misses are held to who claims them."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        asked = list(keys)
        if any(name not in (ID, "uid") for name, _ in asked):
            raise DeniedError("no rights to search", where="a test")
        return super().find(asked)


def test_a_near_miss_of_which_nobody_can_say_that_it_is_free_is_no_hint() -> None:
    of = world("ann", users=["anna"])
    assert one(of, "ann").problems[0].near
    of.connect = lambda view: Hesitant(of.store, view, base=BASE, filter=FILTER)
    found = one(of, "ann")
    assert found.verdict == "unmatched"
    assert found.problems[0].near == ()


def test_every_record_of_that_name_is_explained_those_that_cannot_be_read_too() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    unread = [Invalid(7, "workNo is a list", None, "ann"), Invalid(8, "sipAccount is a list", 0, "x")]
    of.tenant = Tenant([*of.tenant.agents, Agent(9, "ann"), Agent(1)], invalid=unread)
    of.mapping = replace(of.mapping, stale="report")

    def told(name: str) -> list[tuple[int | None, str]]:
        return [(each.agent.work_no, each.verdict) for each in explained(of, name)]

    assert told("ann") == [(0, "contested"), (9, "contested"), (None, "invalid")]
    assert told("0") == [(0, "contested"), (0, "invalid")]
    assert told("1") == [(1, "contested"), (1, "contested")], "a seat with two records"
    assert told("x") == [(0, "invalid")]
    assert explained(of, "x")[0].why == "record 8: sipAccount is a list"


def test_why_an_agent_matches_is_told_in_a_sentence() -> None:
    of = world("ann", "bob", users=["ann", "carl"])
    of.pins = (Pin("bob", user="id-carl"),)
    assert one(of, "ann").why == "rule 1 found the user, and no other agent claims it"
    assert one(of, "bob").why == "a pin found the user, and no other agent claims it"
    of.tenant = Tenant([*of.tenant.agents, Agent(9)])
    assert one(of, "9").why == "the seat has no account, so nobody is looked for"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Anb", "; did you mean 'Ann'?"),
        ("ANN ", "; did you mean 'Ann'?"),
        ("bob", "; did you mean 'bob@one.example' or 'bob@two.example'?"),
        ("bob@three.example", "; did you mean 'bob@one.example' or 'bob@two.example'?"),
        ("01001", "; did you mean '1001'?"),
        ("agent", "; did you mean 'agenta' or 'agentb' or 'agentc' or 'agentd' or 'agente'?"),
        ("somebody-else", ""),
    ],
)
def test_of_an_agent_that_there_is_not_those_of_nearly_that_name_are_named(name: str, meant: str) -> None:
    of = world()
    agents = [Agent(1001, "Ann"), Agent(2, "bob@one.example"), Agent(3, "bob@two.example"), Agent(4)]
    of.tenant = Tenant([*agents, *(Agent(70 + number, f"agent{each}") for number, each in enumerate("fdbgeca"))])
    with pytest.raises(UsageError) as fault:
        explained(of, name)
    assert str(fault.value).endswith(f"no agent with accountCode or workNo {name!r}{meant}")
