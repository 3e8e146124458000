"""Law 11: a SIP identity is whole. No run leaves a user with a part of a new one, no undo with a part of an old one.

In these worlds others hold single-holder values, numbers are shared, values do not fit, some values are not ours, some
attributes are hidden or may not be written, the tenant and its agents lack fields, somebody else writes at any moment,
and runs die. What a user is to hold is worked out here anew, from a table of five lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, event, given, settings, strategies as st
from msgspec.structs import replace

from connector.directories.common.builtin_schema import ATTRIBUTES, OBJECT_CLASSES
from connector.directories.common.schema import Schema
from connector.model import Agent, Change, Objection, Result, Secret, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.identities import (
    ADDRESS,
    HOSTS,
    IDENTITY,
    LINES,
    NUMBER,
    OWNS,
    PASSWORD,
    PHONE,
    REGISTRAR,
    WORDS,
    Held,
    Writing,
    later,
    tenants,
)
from tests.support.memory import MemoryStore
from tests.support.mortal import DeathError, Mortal, MortalDirectory, Snapshot
from tests.support.worlds import BASE, World

BY_CASE = Schema(
    [
        f"( 0.0.8.350.1.1.6.1.5 NAME '{PASSWORD}' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"
        if f"'{PASSWORD}'" in each
        else each
        for each in ATTRIBUTES
    ],
    OBJECT_CLASSES,
)
"""A directory that compares passwords without case."""
law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large])


@dataclass
class Fixture:
    """A world whose runs can die, what may not be written there, and what somebody else has touched in a run."""

    mortal: Mortal
    forbidden: frozenset[tuple[str, str]]
    writing: Writing
    touched: set[tuple[str, str]] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)
    """Users whose password somebody else has touched in any run."""

    @property
    def agents(self) -> dict[str, Agent]:
        """By user its agent; whom several claim has none."""
        agents = self.mortal.world.tenant.agents
        return {f"id-{agent.account_code[1:]}": agent for agent in agents if agent.account_code}

    def held(self, snapshot: Snapshot, user: str) -> Held:
        """What is ours of an identity."""
        tenant = self.mortal.world.tenant
        values = {
            name: [each if isinstance(each, str) else each.decode() for each in held]
            for name, held in snapshot[user][1].items()
            if name in IDENTITY
        }
        return self.writing.held(values, self.agents.get(user), tenant)

    def untold(self, user: str) -> bool:
        """Whether nobody can say if there is a password, or if it still is what we wrote."""
        store = self.mortal.world.store
        if store.schema.attribute_key(PASSWORD) not in store.hidden:
            return False
        if store.compares:  # of what somebody else has put there it may say that it is ours
            return user in self.ever and store.schema is BY_CASE
        return self.agents[user].sip_pwd is None or user in self.ever


class Guarded(MortalDirectory):
    """One that says beforehand what may not be written, and keeps to it."""

    fixture: Fixture

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        for change in changes:
            for each in change.attributes:
                if (change.user.id, each.name) in self.fixture.forbidden:
                    yield Objection(change.user.id, each.name, "rights", "may not be written")


@st.composite
def scenes(draw: st.DrawFn) -> Fixture:
    count = draw(st.integers(2, 5))
    writing = Writing.drawn(draw, OWNS)
    rules = writing.rules(draw, dict(zip(IDENTITY, IDENTITY, strict=True)))
    rules.insert(0, AttributeRule("employeeNumber", Template.parse("{workNo}"), unique=True))
    match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    mapping = Mapping(match, tuple(rules), ("SIPIdentity",), draw(st.sampled_from(["report", "clear"])))
    hidden = draw(st.sampled_from([[], [], [PASSWORD], [ADDRESS]]))
    schema = draw(st.sampled_from([None, BY_CASE]))
    store = MemoryStore(draw(people(count)), schema, hidden=hidden, compares=draw(st.booleans()))
    mortal = Mortal(World(draw(tenants(count)), store, mapping), classes_first=draw(st.booleans()))
    pairs = st.tuples(st.integers(0, count - 1).map("id-{}".format), st.sampled_from(sorted(writing.owns)))
    fixture = Fixture(mortal, draw(st.just(frozenset()) | st.frozensets(pairs, max_size=1)), writing)

    def connect(view: View) -> Guarded:
        directory = Guarded(mortal, view)
        directory.fixture = fixture
        return directory

    mortal.world.connect = connect
    return fixture


@st.composite
def people(draw: st.DrawFn, count: int) -> dict[str, tuple[str, dict[str, list[Any]]]]:
    """Users with an identity, with none, or with parts of one, ours or not."""
    found: dict[str, tuple[str, dict[str, list[Any]]]] = {}
    for number in range(count):
        values: dict[str, list[Any]] = {"objectClass": ["inetOrgPerson", "user"], "uid": [f"u{number}"], "cn": ["x"]}
        values["employeeNumber"] = draw(st.lists(st.integers(0, 4).map(str), max_size=1))
        if draw(st.integers(0, 2)):
            values["objectClass"] += ["SIPIdentity"]
            line, host = draw(st.sampled_from(LINES)), draw(st.sampled_from(HOSTS))
            whole = {NUMBER: line, ADDRESS: f"sip:{line}@{host}", REGISTRAR: host, PHONE: line[:64]}
            values |= {name: [value] for name, value in whole.items() if draw(st.integers(0, 3))}
            values[PASSWORD] = draw(st.lists(st.sampled_from(WORDS).map(str.encode), max_size=1))
        found[f"id-{number}"] = (f"uid=u{number},{BASE}", values)
    return found


def check_apply(fixture: Fixture, before: Snapshot, written: set[str] | None) -> None:
    """Each matched user's identity is whole, or untouched. `written`: users whose outcome is that; None: it died.

    Whoever waits in a ring of single-holder values lets go of the number first: until the rest is written, a part of
    the old one is gone, and there is nothing of a new one.
    """
    after = fixture.mortal.world.store.snapshot()
    for user in fixture.agents:
        spared = {name for id_, name in fixture.touched if id_ == user}
        was, now = fixture.held(before, user), fixture.held(after, user)
        let_go = (written is None or user not in written) and all(
            now[name] <= was[name] for name in was.keys() - spared
        )
        if not let_go:
            agent, tenant = fixture.agents[user], fixture.mortal.world.tenant
            wrong = fixture.writing.faults(agent, tenant, was, now, spared, untold=fixture.untold(user))
            assert list(wrong) == [], (agent, was, now)


def meddling(fixture: Fixture, data: st.DataObject) -> Callable[[], None]:
    """Somebody else sets or empties an attribute of somebody's identity, now and then."""
    store = fixture.mortal.world.store

    def meddle() -> None:
        if data.draw(st.integers(0, 3)):
            return
        id_ = data.draw(st.sampled_from(sorted(store.entries)))
        name = data.draw(st.sampled_from(sorted(fixture.writing.owns)))
        entry, values = store.snapshot()[id_]
        if "SIPIdentity" in values["objectClass"]:
            theirs = {ADDRESS: "sip:99@192.0.2.1", PASSWORD: b"theirs"}.get(name, "99")
            put = {each: list(held) for each, held in values.items()}
            store.put(id_, entry, {**put, name: data.draw(st.sampled_from([[theirs], []]))})
            fixture.touched.add((id_, name))
            fixture.ever |= {id_} if name == PASSWORD else set()

    return meddle


def apply(fixture: Fixture, death: int | None) -> None:
    """An apply, perhaps its last; what it leaves is held to the law."""
    before = fixture.mortal.world.store.snapshot()
    written = None
    with suppress(DeathError):
        run = fixture.mortal.apply(last=death)
        written = {outcome.user.id for outcome in run.outcomes or () if outcome.result is Result.WRITTEN}
        kinds = {problem.kind for problem in run.plan.problems}
        event("held back together" if "together" in kinds else "nothing held back together")
    check_apply(fixture, before, written)


@law
@given(scenes(), st.data(), st.booleans(), st.booleans())
def test_11_no_apply_leaves_a_user_with_a_part_of_a_new_identity(
    fixture: Fixture, data: st.DataObject, meddles: bool, dies: bool
) -> None:
    for _ in range(3):
        fixture.touched.clear()
        if meddles:
            fixture.mortal.meddle = meddling(fixture, data)
        apply(fixture, data.draw(st.integers(1, 40)) if dies else None)
        world = fixture.mortal.world
        world.tenant = data.draw(later(world.tenant, len(world.store.entries)))


@law
@given(scenes(), st.booleans(), st.sampled_from(["compared", "read"]))
def test_11_a_password_that_differs_in_case_alone_comes_with_its_number(fixture: Fixture, dies: bool, how: str) -> None:
    """The directory calls both passwords the same. Each agent gets another line, and its password in capitals."""
    world = fixture.mortal.world
    hidden = [PASSWORD] if how == "compared" else []
    world.store = MemoryStore(world.store.snapshot(), BY_CASE, hidden=hidden)
    apply(fixture, None)
    lines = {line: LINES[(number + 1) % 4] for number, line in enumerate(LINES)}
    changed = [
        replace(
            agent,
            sip_account=lines.get(agent.sip_account or ""),
            sip_pwd=agent.sip_pwd and Secret(str(agent.sip_pwd.reveal()).swapcase()),
        )
        for agent in world.tenant.agents
    ]
    world.tenant = replace(world.tenant, agents=changed)
    apply(fixture, 3 if dies else None)
    apply(fixture, None)


@law
@given(scenes(), st.data(), st.booleans())
def test_11_an_undo_puts_an_identity_back_whole_or_leaves_it(
    fixture: Fixture, data: st.DataObject, meddles: bool
) -> None:
    """Of any of three runs, whatever was written after it, and what somebody else did in between."""
    mortal = fixture.mortal
    runs: dict[str, Snapshot] = {}
    failed: set[str] = set()
    for _ in range(data.draw(st.integers(1, 3))):
        before = mortal.world.store.snapshot()
        run = mortal.apply()
        runs[run.plan.id] = before
        failed |= {outcome.user.id for outcome in run.outcomes or () if outcome.result is Result.FAILED}
        mortal.world.tenant = data.draw(later(mortal.world.tenant, len(before)))
    if meddles:
        meddling(fixture, data)()
    for _ in range(data.draw(st.integers(1, 2))):
        id_ = data.draw(st.sampled_from(list(runs)))
        before = mortal.world.store.snapshot()
        plan = mortal.undo(id_).plan
        event("undo held back together" if any(each.kind == "together" for each in plan.problems) else "undone")
        after = mortal.world.store.snapshot()
        for user in before.keys() - failed:  # a write that cannot be verified is told, and looked after by somebody
            touched = {name for whose, name in fixture.touched if whose == user}
            old, was, now = (fixture.held(each, user) for each in (runs[id_], before, after))
            if any(was[name] != now[name] for name in was):
                event("an identity is put back")
                assert all(now[name] == old[name] for name in now.keys() - touched), (old, was, now)
        mortal.world.state.release_job("law")
