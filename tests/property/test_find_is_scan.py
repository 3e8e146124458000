"""Law 9, find is scan: the same users match however they are read, and nobody is cleared whom a look-up only missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace as replace_

import pytest
from hypothesis import HealthCheck, currently_in_test_context, event, given, note, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_run
from connector.directories.port import Read
from connector.errors import FileError, IncompleteRead, LimitError
from connector.explain.explainer import explain_name
from connector.model import (
    ID,
    NAME,
    Agent,
    AttributeInfo,
    Description,
    Equality,
    Held,
    Holds,
    Key,
    Plan,
    Question,
    Tenant,
    User,
    UserRef,
    equality,
)
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.examples import examples
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

law = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=examples(80))

SPELLINGS = ["ann", "ANN", "ann\u200b", "a nn", " a  nn", "a\tnn", "a\u00a0nn", "\u0218", "\u0219", "\u00e9", "e\u0301",
             "\uff41nn", "\u03bf\u03c2", "\u039f\u03a3", "bob", "cid"]  # fmt: skip
RULES = ("uid", "mail", "employeeNumber")


@dataclass(frozen=True)
class Habits:
    """What a server does with look-ups. `deaf`: attributes that it shows and does not find anybody by.

    `bare`: attributes without an equality rule. `lax`: it takes for equal whatever any server does. `blind`: attributes
    that it neither shows nor finds anybody by, and says nothing of that. `lost`: users that no look-up finds.
    `everybody`: it answers each look-up with all users, and says that it may. `most`: its size limit,
    if it has one.
    """

    deaf: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    lax: bool = False
    size: bool = True
    blind: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    everybody: bool = False
    most: int | None = None

    def equal(self, rule: Equality, one: Held, other: Held) -> bool:
        key = equality.likenesses_of(rule) if self.lax else equality.keys_of(rule)
        return key(equality.reveal_value(one)) == key(equality.reveal_value(other))

    def finds(self, name: str, user: User) -> bool:
        return name not in self.deaf + self.bare + self.blind and user.id not in self.lost


class Server(MemoryDirectory):
    """A directory that looks users up in its own way."""

    habits = Habits()

    def size(self) -> int | None:
        return super().size() if self.habits.size else None

    def info(self, name: str) -> AttributeInfo:
        return replace(super().info(name), comparable=name not in self.habits.bare)

    def _seen(self, users: Iterable[User]) -> Iterator[User]:
        for user in users:
            yield replace(
                user, values={name: held for name, held in user.values.items() if name not in self.habits.blind}
            )

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        for number, user in enumerate(self._all(holding)):
            if number == self.habits.most:
                raise LimitError("the server's size limit cut the search short")
            yield user

    def _all(self, holding: Collection[str] = ()) -> Iterator[User]:
        return self._seen(super().scan(holding))

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        return self._seen(super().read(users, disabled=disabled))

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, reading=replace(described.reading, decides=not self.habits.everybody))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        for name, value in keys:
            if self.habits.everybody:
                yield from self._all()
            elif name in (ID, NAME):
                yield from super().find([(name, value)])
            else:
                yield from (user for user in self._all() if self.holding(user, name, value))

    def holding(self, user: User, name: str, value: str) -> bool:
        rule = self.schema.info(name).equality
        held = user.values.get(name, ())
        return self.habits.finds(name, user) and any(self.habits.equal(rule, each, value) for each in held)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        users = {user.id: user for user in self._all()}
        for asked in questions:
            rule, held = (
                self.schema.info(asked.attribute).equality,
                users[asked.user.id].values.get(asked.attribute, ()),
            )
            same = any(self.habits.equal(rule, each, asked.value) for each in held)
            yield Holds.SAME if same else Holds.OTHER if held else Holds.ABSENT


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


def opened(world: World, habits: Habits) -> Server:
    if currently_in_test_context():
        note(f"{habits}; {world.store.snapshot()}")
    directory = Server(world.store, world.mapping.view(), base=BASE, filter=FILTER)
    directory.habits = habits
    return directory


def plan(world: World, habits: Habits, read: Read) -> Plan:
    world.connect = lambda view: opened(world, habits)
    with world.context() as context:
        return dry_run(replace(context, read=read), lambda plan, outcomes: None).plan


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
        with world.context() as context:
            apply_run(context, lambda plan, outcomes: None)
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
@given(worlds(), habits, st.integers(0, 4))
def test_the_same_users_match_where_a_size_limit_cuts_a_scan_short(world: World, habits: Habits, most: int) -> None:
    """Or the run is refused, or proves nothing, and names the attribute that no look-up finds anybody by."""
    whole = plan(world, habits, "scan")
    reads: tuple[Read, ...] = ("auto", "scan")
    for read in reads:
        try:
            cut = plan(world, replace_(habits, most=most), read)
        except LimitError as refused:
            event("refused")
            why = [str(refused)]
        else:
            looked_up = any(place == "read" for place, _ in cut.about)
            event("looked up" if looked_up else "read whole")
            why = [caution for caution in cut.cautions if "prove nothing" in caution]
            if (cut.changes, cut.summary) == (whole.changes, whole.summary):
                continue
        assert any(name in said for name in (*habits.deaf, *habits.bare) for said in why)


@law
@given(worlds(), st.booleans(), st.booleans())
def test_who_matches_is_who_the_server_finds(world: World, lax: bool, everybody: bool) -> None:
    """By the first rule that finds anybody, whatever is alike here and not equal there."""
    server = opened(world, Habits(lax=lax))
    found: dict[int, set[str]] = {}
    for agent in world.tenant.agents:
        for rule in world.mapping.match:
            users = {
                user.id for user in server.scan() if server.holding(user, rule.directory, agent.account_code or "")
            }
            if users:
                found[agent.work_no] = users
                break
    claims = Counter(id_ for users in found.values() for id_ in users)
    alone = {(seat, id_) for seat, users in found.items() if len(users) == 1 for id_ in users if claims[id_] == 1}
    habits = Habits(lax=lax, everybody=everybody and not lax)
    drawn = plan(world, habits, "find" if everybody else "scan")
    assert {(change.agent.work_no, change.user.id) for change in drawn.changes if change.agent} == alone


@law
@given(worlds(), st.sampled_from(SPELLINGS), st.booleans())
def test_a_value_that_is_alike_is_in_step_if_the_server_says_so(world: World, title: str, lax: bool) -> None:
    world.tenant, world.mapping = (
        Tenant([Agent(1, "ann", title)]),
        replace(world.mapping, attributes=(AttributeRule("title", Template.parse("{sipAccount}"), owns="*"),)),
    )
    held = {"objectClass": ["inetOrgPerson"], "cn": ["U"], "title": ["Ann"]} | {name: ["ann"] for name in RULES}
    world.store.entries.clear()
    world.store.put("id-0", f"cn=U,{BASE}", held)
    planned = bool(plan(world, Habits(lax=lax), "scan").changes)
    assert planned != Habits(lax=lax).equal(world.store.schema.info("title").equality, "Ann", title)


@law
@given(
    worlds(), habits, st.lists(st.sampled_from(RULES), max_size=2).map(tuple), st.integers(0, 4),
    st.none() | st.integers(0, 4),
)  # fmt: skip
def test_nobody_is_cleared_whom_an_agent_would_claim(
    world: World, habits: Habits, blind: tuple[str, ...], lost: int, most: int | None
) -> None:
    # nobody can tell whether values are equal that are merely alike, where the server does not find their user
    habits = replace_(habits, blind=blind, lost=() if habits.lax else (f"id-{lost}",), most=most)
    with world.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    sure = cleared(plan(world, Habits(lax=habits.lax, bare=habits.bare), "scan"))  # a rule says what is equal
    reads: tuple[Read, ...] = ("auto", "scan", "find")
    for read in reads:
        with suppress(FileError, IncompleteRead):
            assert cleared(plan(world, habits, read)) <= sure


@pytest.mark.parametrize(("rule", "kept"), [("uid", True), ("mail", False)])
def test_nobody_is_cleared_whom_an_agent_with_another_user_would_claim_as_well(rule: str, kept: bool) -> None:
    """By the rule that decided or a better one; by a later rule nobody is looked for once one has found somebody."""
    match = tuple(MatchRule(Template.parse("{accountCode}"), name) for name in ("uid", "mail"))
    mapping = Mapping(match, (AttributeRule("title", Template.parse("{workNo}"), owns="*"),), (), "clear")
    held = {"objectClass": ["inetOrgPerson"], "cn": ["U"]}
    world = World(Tenant([Agent(1, "ann")]), MemoryStore({"id-0": (f"cn=0,{BASE}", {**held, rule: ["ann"]})}), mapping)
    with world.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    world.store.put("id-1", f"cn=1,{BASE}", {**held, "uid": ["ann"]})
    drawn = plan(world, Habits(lost=("id-0",)), "find")
    assert cleared(drawn) == (set() if kept else {"id-0"})
    assert [problem.users for problem in drawn.problems if "no look-up gave it" in problem.why] == (
        [(f"cn=0,{BASE}",)] if kept else []
    )


def cleared(drawn: Plan) -> set[str]:
    return {change.user.id for change in drawn.changes if change.agent is None}


@settings(law, max_examples=examples(60))
@given(worlds(), habits)
def test_an_agent_is_explained_as_it_is_planned_whatever_look_ups_find(world: World, habits: Habits) -> None:
    drawn = plan(world, habits, "auto")
    changes = {change.agent: change for change in drawn.changes}
    said: dict[str, int] = {}
    for agent in world.tenant.agents:
        with world.context() as context:
            (explained,) = explain_name(context, str(agent.work_no)).explanations
        assert explained.change == changes.get(explained.agent)
        said[explained.verdict] = said.get(explained.verdict, 0) + 1
    for verdict in ("matched", "unmatched", "ambiguous", "contested"):
        assert said.get(verdict, 0) == getattr(drawn.summary, verdict)
