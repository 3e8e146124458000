"""Several attributes of one user: each is waited for, counted and shown by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.model import Agent, Change, Description, Key, Outcome, Plan, Result, Secret, Tenant, User, Value
from connector.model.mapping import AttributeRule, MatchRule, WhenAbsent
from connector.model.templates import Template
from tests.support.examples import examples
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import Mortal
from tests.support.worlds import BASE, FILTER, SEATS, World, busy_tenants, busy_worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=examples(40))
UNIQUE = ("cecWorkNo", "SIPIdentityUserName")
CLASSES = ["inetOrgPerson", "cecAgent", "SIPIdentity"]


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def plan(world: World) -> Plan:
    with world.context() as context:
        return dry_run(context, quiet).plan


def apply(world: World) -> FinishedRun:
    with world.context() as context:
        return apply_run(context, quiet)


def people(*held: tuple[str | None, str | None]) -> MemoryStore:
    """Users with a seat and a line each, or without."""
    return MemoryStore(
        {
            f"id-{n}": (
                f"uid=u{n},{BASE}",
                {
                    "objectClass": CLASSES, "uid": [f"u{n}"], "cecAccountCode": [f"u{n}"],
                    "cecWorkNo": [seat] if seat else [], "SIPIdentityUserName": [line] if line else [],
                },
            )
            for n, (seat, line) in enumerate(held)
        }
    )  # fmt: skip


@law
@given(busy_worlds(), st.data())
def test_not_even_for_a_moment_two_users_hold_a_value_of_which_one_at_a_time_may(
    world: World, data: st.DataObject
) -> None:
    """Seats and lines go round, each in its own way, so that a user may wait for several others."""
    mortal = Mortal(world)
    mortal.apply()
    for _ in range(2):
        mortal.world.tenant = data.draw(busy_tenants(len(world.store.entries)))
        mortal.apply()
    for before, after in mortal.seen:
        for name in UNIQUE:
            was, now = ([one for _, held in some.values() for one in held.get(name, ())] for some in (before, after))
            assert len(now) - len(set(now)) <= len(was) - len(set(was)), name


@pytest.mark.parametrize(
    "agents",
    [
        [Agent(1, "u0", "20"), Agent(5, "u1", "10"), Agent(2, "u2", "60")],
        [Agent(2, "u0", "10"), Agent(1, "u1", "50"), Agent(6, "u2", "20")],
    ],
)
def test_a_user_waits_for_everybody_who_holds_a_value_that_it_is_to_get(agents: list[Agent]) -> None:
    """u0 gets its seat from one user and its line from another."""
    world = World(Tenant(agents), people((None, None), ("1", "10"), ("2", "20")), SEATS)
    assert [change.after for change in plan(world).changes] == [{"id-1", "id-2"}, frozenset(), frozenset()]


class Keeping(MemoryDirectory):
    """A directory that sees to it itself that no two users hold one seat."""

    def describe(self) -> Description:
        described = super().describe()
        seat = replace(described.attributes["cecWorkNo"], unique=True)
        return replace(described, attributes={**described.attributes, "cecWorkNo": seat})


def test_what_the_directory_keeps_apart_by_itself_is_of_one_user_at_a_time_though_no_mapping_says_so() -> None:
    rules = tuple(replace(rule, unique=False) for rule in SEATS.attributes)
    world = World(Tenant([Agent(1, "u0"), Agent(2, "u1")]), people((None, None), ("1", None)), SEATS)
    world.mapping = replace(SEATS, attributes=rules)
    assert [change.after for change in plan(world).changes] == [frozenset(), frozenset()]
    world.connect = lambda view: Keeping(world.store, view, base=BASE, filter=FILTER)
    assert [change.after for change in plan(world).changes] == [{"id-1"}, frozenset()]
    world.tenant = Tenant([Agent(1, "u0")])
    world.mapping = replace(world.mapping, stale="report")
    assert [problem.kind for problem in plan(world).problems if problem.kind != "stale"] == ["reassigned"]


def test_a_value_that_some_server_may_take_for_another_user_s_is_not_free() -> None:
    """Whether these letters are one is the server's business: nobody has to ask where nothing is written."""
    upper, lower = "\u0218", "\u0219"
    world = World(Tenant([Agent(0, "u0", upper), Agent(1, "u1", lower)]), people(("0", None), ("1", None)), SEATS)
    drawn = plan(world)
    assert (drawn.changes, [problem.kind for problem in drawn.problems]) == ((), ["shared"])
    world = World(Tenant([Agent(0, "u0", lower)]), people(("0", None), ("1", upper)), SEATS)
    drawn = plan(world)
    assert (drawn.changes, [problem.kind for problem in drawn.problems]) == ((), ["reassigned"])


def test_several_who_are_to_get_one_value_get_none_and_are_named_together() -> None:
    agents = [Agent(n, f"u{n}", "80") for n in range(2)]
    world = World(Tenant([*agents, Agent(2, "u2", "90")]), people((None, None), (None, None), ("2", None)), SEATS)
    drawn = plan(world)
    assert {change.user.id: [each.name for each in change.attributes] for change in drawn.changes} == {
        "id-0": ["cecWorkNo"], "id-1": ["cecWorkNo"], "id-2": ["SIPIdentityUserName"],
    }  # fmt: skip
    (shared,) = [problem for problem in drawn.problems if problem.kind == "shared"]
    assert (shared.kind, shared.attribute, shared.agent) == ("shared", "SIPIdentityUserName", None)
    assert shared.users == (f"uid=u0,{BASE}", f"uid=u1,{BASE}")


def test_who_alone_is_left_to_get_a_value_gets_it() -> None:
    """U0 and u2 want one room and get neither that nor a line; so u1 is the only one for the line of u0."""
    rules = tuple(
        AttributeRule(name, Template.parse(text), owns="*", unique=True, together="place")
        for name, text in (("roomNumber", "{accountCode|lower}"), ("SIPIdentityUserName", "{sipAccount}"))
    )
    match = (MatchRule(Template.parse("u{workNo}"), "uid"),)
    agents = [Agent(0, "room", "80"), Agent(1, "other", "80"), Agent(2, "ROOM", "90")]
    world = World(Tenant(agents), people(*[(None, None)] * 3), replace(SEATS, match=match, attributes=rules))
    drawn = plan(world)
    assert {change.user.id: [each.new for each in change.attributes] for change in drawn.changes} == {
        "id-1": [("other",), ("80",)],
    }  # fmt: skip
    (shared,) = [problem for problem in drawn.problems if problem.kind == "shared"]
    assert (shared.attribute, shared.users) == ("roomNumber", (f"uid=u0,{BASE}", f"uid=u2,{BASE}"))


@pytest.mark.parametrize("held", ["\uff15", "5\u200b"])
def test_no_users_own_value_is_in_the_way_of_its_new_spelling(held: str) -> None:
    """It is like the new one, and the directory says that it is another."""
    rules = (AttributeRule("description", Template.parse("{workNo}"), owns="*", unique=True),)
    store = MemoryStore(
        {
            f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": CLASSES, "uid": [f"u{n}"], "description": values})
            for n, values in enumerate(([held], []))
        }
    )
    world = World(Tenant([Agent(5, "u0")]), store, replace(SEATS, attributes=rules))
    drawn = plan(world)
    assert [(change.user.id, change.after) for change in drawn.changes] == [("id-0", frozenset())]
    assert drawn.problems == ()
    world.tenant = Tenant([Agent(5, "u1")])
    assert [problem.kind for problem in plan(world).problems] == ["reassigned"]


def test_passwords_are_nobodys_alone_and_are_looked_up_by_nobody() -> None:
    """Whatever the directory says of the attribute."""
    asked: list[str] = []

    class Watched(Keeping):
        def describe(self) -> Description:
            described = super().describe()
            password = replace(described.attributes["SIPIdentityPassword"], unique=True)
            return replace(described, attributes={**described.attributes, "SIPIdentityPassword": password})

        def find(self, keys: Iterable[Key]) -> Iterator[User]:
            wanted = list(keys)
            asked.extend(name for name, _ in wanted)
            return super().find(wanted)

    agents = [Agent(n, f"u{n}", None, Secret("same")) for n in range(2)]
    world = World(Tenant(agents), people((None, None), ("1", None)), SEATS)
    world.connect = lambda view: Watched(world.store, view, base=BASE, filter=FILTER)
    drawn = plan(world)
    assert [[each.name for each in change.attributes] for change in drawn.changes] == [
        ["cecWorkNo", "SIPIdentityPassword"], ["SIPIdentityPassword"],
    ]  # fmt: skip
    assert set(asked) <= {"uid", "cecWorkNo"}


def test_a_plan_lists_users_by_name_in_whatever_order_they_are_found() -> None:
    store = MemoryStore({f"id-{uid}": (f"uid={uid},{BASE}", {"objectClass": CLASSES, "uid": [uid]}) for uid in "cab"})
    world = World(Tenant([Agent(n, uid) for n, uid in enumerate("bca")]), store, SEATS)
    assert [change.user.id for change in plan(world).changes] == ["id-a", "id-b", "id-c"]


class Refusing(MemoryDirectory):
    """Does not write some users."""

    refuses: frozenset[str] = frozenset()

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            if change.user.id in self.refuses:
                yield Outcome(change.user, Result.FAILED, "no")
            else:
                yield from super().write([change])


def refusing(world: World, *ids: str) -> None:
    """Let the directory of this world refuse these users."""

    def connect(view: object) -> Refusing:
        directory = Refusing(world.store, world.mapping.view(), base=BASE, filter=FILTER)
        directory.refuses = frozenset(ids)
        return directory

    world.connect = connect


def test_nobody_waits_for_the_holder_of_a_value_that_it_does_not_get_anyway() -> None:
    """u0's line is left out, since u1 keeps it; u1's seat cannot be written, and u0's can."""
    world = World(Tenant([Agent(10, "u0", "80"), Agent(11, "u1", "80")]), people(("0", "7"), ("1", "80")), SEATS)
    drawn = plan(world)
    assert {change.user.id: [each.name for each in change.attributes] for change in drawn.changes} == {
        "id-0": ["cecWorkNo"], "id-1": ["cecWorkNo"],
    }  # fmt: skip
    assert [problem.kind for problem in drawn.problems] == ["reassigned"]
    refusing(world, "id-1")
    outcomes = {outcome.user.id: outcome.result for outcome in apply(world).outcomes or ()}
    assert outcomes == {"id-0": Result.WRITTEN, "id-1": Result.FAILED}


def test_a_value_that_is_kept_keeps_all_those_where_they_are_who_wait_for_one_another_behind_it() -> None:
    """u3 has no agent and keeps its seat; so nobody can move there, nor to the seat of who cannot move, and so on."""
    for seats, wanted in ((("0", "1", "2", "3"), (1, 2, 3)), (("1", "2", "3", "0"), (0, 1, 2))):
        world = World(Tenant([]), people(*((seat, None) for seat in seats)), replace(SEATS, stale="report"))
        world.tenant = Tenant([Agent(seat, f"u{number}") for number, seat in enumerate(wanted)])
        drawn = plan(world)
        assert drawn.changes == ()
        assert sorted(problem.users[0] for problem in drawn.problems if problem.kind == "reassigned") == [
            f"uid=u{number},{BASE}" for number in range(3)
        ]


def told(drawn: Plan) -> list[tuple[str | None, str]]:
    return [(problem.attribute, problem.why) for problem in drawn.problems if problem.kind == "flapping"]


def by_hand(world: World, **values: Sequence[Value]) -> None:
    """Somebody else sets attributes of the one user."""
    name, held = world.store.snapshot()["id-0"]
    world.store.put("id-0", name, {**held, **values})


def test_each_attribute_is_counted_by_itself_when_somebody_keeps_changing_it() -> None:
    world = World(Tenant([Agent(7, "u0", "70")]), people((None, None)), SEATS)
    times = "this job wrote the same value {} times in a row, and somebody changed it each time. Find the other writer"
    apply(world)
    by_hand(world, cecWorkNo=["1"], SIPIdentityUserName=["1"])
    assert told(plan(world)) == [], "it was written once"
    by_hand(world, SIPIdentityUserName=["70"])
    apply(world)
    by_hand(world, cecWorkNo=["1"], SIPIdentityUserName=["1"])
    assert told(plan(world)) == [("cecWorkNo", times.format(2))]
    apply(world)
    by_hand(world, cecWorkNo=["1"], SIPIdentityUserName=["1"])
    assert sorted(told(plan(world)), key=str) == [
        ("SIPIdentityUserName", times.format(2)), ("cecWorkNo", times.format(3)),
    ]  # fmt: skip


def test_a_password_that_somebody_keeps_changing_is_counted_too_by_its_fingerprint() -> None:
    password, times = "SIPIdentityPassword", "this job wrote the same value 2 times in a row, and somebody changed it"
    world = World(Tenant([Agent(7, "u0", None, Secret("canary"))]), people((None, None)), SEATS)
    for _ in range(2):
        apply(world)
        assert told(plan(world)) == []
        by_hand(world, **{password: [b"by hand"]})
    assert [(name, why.startswith(times)) for name, why in told(plan(world))] == [(password, True)]
    world.tenant = Tenant([Agent(7, "u0", None, Secret("another"))])
    assert told(plan(world)) == []


def test_what_is_to_be_another_value_this_time_is_no_longer_counted() -> None:
    world = World(Tenant([Agent(7, "u0", "70")]), people((None, None)), SEATS)
    for _ in range(3):
        apply(world)
        by_hand(world, cecWorkNo=["1"])
    world.tenant = Tenant([Agent(8, "u0", "70")])
    assert told(plan(world)) == []
    apply(world)
    by_hand(world, cecWorkNo=["1"])
    assert told(plan(world)) == [], "the new one was written once"


NUMBER, URI = "SIPIdentityUserName", "SIPIdentitySIPURI"
URIS = ("sip:{sipAccount}@{sipServiceIp}", "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}")


@law
@given(st.data(), st.sampled_from(["keep", "clear"]), st.booleans())
def test_a_new_number_leaves_nothing_of_the_old_one_in_a_list_whatever_the_tenant_lacks(
    data: st.DataObject, when_absent: WhenAbsent, alone: bool
) -> None:
    """Numbers, the host and the port change, and a port comes and goes; each user holds its own number's URIs alone."""
    rules = [
        AttributeRule(NUMBER, Template.parse("{sipAccount}"), owns="*", unique=True),
        AttributeRule(
            URI, Template.parse(URIS[0]), "sip:*", more=(Template.parse(URIS[1]),), unique=True, when_absent=when_absent
        ),
    ]
    mapping = replace(SEATS, attributes=tuple(rules[alone:]))
    world = World(Tenant([]), people((None, None), (None, None), (None, None)), mapping)
    for _ in range(4):
        lines = data.draw(st.permutations("12345"))[:3]
        host = data.draw(st.sampled_from(["192.0.2.1", "192.0.2.2"]))
        port = data.draw(st.sampled_from(["5060", "5061", None]))
        agents = [Agent(n, f"u{n}", line) for n, line in enumerate(lines)]
        world.tenant = Tenant(agents, [], host, port)
        assert {outcome.result for outcome in apply(world).outcomes or ()} <= {Result.WRITTEN}
        drawn = plan(world)
        assert drawn.changes == ()
        assert [problem.kind for problem in drawn.problems] == ([] if port else ["tenant"])
        for n, line in enumerate(lines):
            held = world.store.snapshot()[f"id-{n}"][1]
            bare = f"sip:{line}@{host}"
            assert alone or held[NUMBER] == (line,)
            allowed = [{bare, f"{bare}:{each}"} for each in ([port] if port else ["5060", "5061"])]
            assert set(held[URI]) in (allowed if port else [{bare}, *allowed])
