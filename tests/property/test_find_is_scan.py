"""Law 9, find is scan: the same users match however they are read, and nobody is cleared whom a look-up only missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hypothesis import HealthCheck, event, given, settings, strategies as st
from msgspec.structs import replace

from connector.directories.port import Directory, Read
from connector.errors import FileError, IncompleteRead
from connector.model import ID, NAME, Agent, AttributeInfo, Key, Plan, Tenant, User, View
from connector.reconcile import equality
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.templates import Template
from connector.sync import dry_run, wet_run
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

law = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=80)

SPELLINGS = ["ann", "ANN", "ann\u200b", "a nn", " a  nn", "a\tnn", "a\u00a0nn", "\u0218", "\u0219", "\u00e9", "e\u0301",
             "\uff41nn", "\u03bf\u03c2", "\u039f\u03a3", "bob", "cid"]  # fmt: skip
RULES = ("uid", "mail", "employeeNumber")


@dataclass(frozen=True)
class Habits:
    """What a server does with look-ups. `deaf`: attributes that it shows and does not find anybody by.

    `bare`: attributes without an equality rule. `lax`: it takes for equal whatever any server does.
    """

    deaf: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    lax: bool = False
    size: bool = True


class Server(MemoryDirectory):
    """A directory that looks users up in its own way."""

    habits = Habits()

    def size(self) -> int | None:
        return super().size() if self.habits.size else None

    def info(self, name: str) -> AttributeInfo:
        return replace(super().info(name), comparable=name not in self.habits.bare)

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        for name, value in keys:
            if name in (ID, NAME):
                yield from super().find([(name, value)])
            elif name not in self.habits.deaf and name not in self.habits.bare:
                rule = self.schema.info(name).equality
                key = equality.likenesses_of(rule) if self.habits.lax else equality.keys_of(rule)
                for user in self.scan():
                    if any(key(held) == key(value) for held in map(equality.plain, user.values.get(name, ()))):
                        yield user


@st.composite
def worlds(draw: st.DrawFn) -> World:
    texts = st.sampled_from(SPELLINGS)
    count = draw(st.integers(1, 5))
    entries = {
        f"id-{n}": (
            f"cn=U {n},{BASE}",
            {"objectClass": ["inetOrgPerson"], "cn": [f"U {n}"]}
            | {name: draw(st.lists(texts, max_size=2 if name == "uid" else 1)) for name in RULES},
        )
        for n in range(count)
    }
    rules = draw(st.permutations(RULES))[: draw(st.integers(1, 3))]
    match = tuple(MatchRule(Template.parse("{accountCode}"), name) for name in rules)
    mapping = Mapping(match, (AttributeRule("title", Template.parse("{workNo}"), owns="*"),), (), "clear")
    accounts = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    tenant = Tenant([Agent(1000 + n, account) for n, account in enumerate(accounts)])
    return World(tenant, MemoryStore(entries), mapping)


def plan(world: World, habits: Habits, read: Read) -> Plan:
    def connect(view: View) -> Directory:
        directory = Server(world.store, view, base=BASE, filter=FILTER)
        directory.habits = habits
        return directory

    world.connect = connect
    with world.parts() as parts:
        return dry_run(replace(parts, read=read), lambda plan, outcomes: None).plan


habits = st.builds(
    Habits,
    st.lists(st.sampled_from(RULES), max_size=2).map(tuple),
    st.lists(st.sampled_from(RULES), max_size=1).map(tuple),
    st.booleans(),
    st.booleans(),
)


@law
@given(worlds(), habits, st.data())
def test_the_same_users_match_however_they_are_read(world: World, habits: Habits, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        with world.parts() as parts:
            wet_run(parts, lambda plan, outcomes: None)
        world.tenant = Tenant(data.draw(st.lists(st.sampled_from(world.tenant.agents), min_size=1, unique=True)))
    read = plan(world, habits, "scan")
    assert plan(world, habits, "auto").changes == read.changes
    try:
        found = plan(world, habits, "find")
    except (FileError, IncompleteRead) as refused:
        why = str(refused)
    else:
        why = ""
        assert found.changes == read.changes
        assert found.summary == read.summary
    event("refused" if why else "found")
    assert not why or any(name in why for name in (*habits.deaf, *habits.bare))


@law
@given(worlds(), habits)
def test_nobody_is_cleared_whom_an_agent_would_claim(world: World, habits: Habits) -> None:
    with world.parts() as parts:
        wet_run(parts, lambda plan, outcomes: None)
    sure = {change.user.id for change in plan(world, Habits(), "scan").changes if change.agent is None}
    for read in ("auto", "scan"):
        assert {change.user.id for change in plan(world, habits, read).changes if change.agent is None} <= sure
