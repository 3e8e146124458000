"""Law 11 on a file and on real servers: no apply leaves a part of a new SIP identity, and no undo a part of an old one.

Numbers are shared, go from user to user, fit no telephone number, or are held by somebody who is no agent; some values
are not ours; writes are refused; and somebody else writes between any two steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping as AbstractMapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings, strategies as st

from connector.apply.sync import FinishedRun, apply_run, apply_undo
from connector.model import Change, Outcome, Plan, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.directory_fixtures import DirectoryFixture, DomainFixture
from tests.support.disturbed import Disturbed
from tests.support.grounds import Ground, HouseGround, ScimGround, few
from tests.support.identities import (
    ADDRESS,
    HOSTS,
    IDENTITY,
    NUMBER,
    OWNS,
    PASSWORD,
    PHONE,
    REGISTRAR,
    Held,
    Writing,
    later,
    tenants,
)
from tests.support.memory import MemoryStore
from tests.support.scim_servers import CEC, ENTERPRISE, ScimServer
from tests.support.worlds import World

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
USERS = 4
"""The last one is no agent of any tenant here, and may hold a number all the same."""
SEAT = "employeeNumber"
OURS = {**OWNS, PHONE: ("*",)}
PUT = {
    NUMBER: ["1", "2", "77"],
    ADDRESS: ["sip:1@192.0.2.1", "mailto:x@example.org"],
    REGISTRAR: HOSTS,
    PHONE: ["1", "77"],
    PASSWORD: ["theirs"],
}
"""What somebody else may put there."""


@pytest.fixture
def ground(served: DirectoryFixture | ScimServer) -> Iterator[Ground]:
    if isinstance(served, ScimServer):
        paths = (
            f"{CEC}:sipAccount", 'ims[type eq "sip"].value', f"{CEC}:sipServiceIp",
            'phoneNumbers[type eq "work"].value', f"{CEC}:sipPassword",
        )  # fmt: skip
        names = {SEAT: f"{ENTERPRISE}:employeeNumber", **dict(zip(IDENTITY, paths, strict=True))}
        with closing(ScimGround(served, names)) as users:
            yield users
    else:
        names = {SEAT: SEAT, **{name: name for name in IDENTITY}}
        if not isinstance(served, DomainFixture):
            names[PHONE] = "telephoneNumber"
        with closing(HouseGround(served, names, ["SIPIdentity"])) as entries:
            yield entries


class Refusing(Disturbed):
    """Refuses a write now and then."""

    def __init__(self, fixture: Fixture, view: View) -> None:
        super().__init__(fixture.ground.open(view), fixture.meddle)
        self._scene = fixture

    def alone(self, change: Change) -> Iterator[Outcome]:
        if self._scene.data.draw(st.integers(0, 7)) == 7:
            return iter([Outcome(change.user, Result.FAILED, "refused")])
        return super().alone(change)


@dataclass
class Fixture:
    """A directory, what is written there, and what somebody else has touched in a run."""

    ground: Ground
    data: st.DataObject
    writing: Writing
    world: World
    touched: set[tuple[int, str]] = field(default_factory=set)
    ever: set[int] = field(default_factory=set)
    """Users whose password somebody else has touched in any run."""

    def put(self, user: int, name: str, values: list[str]) -> None:
        """Somebody else writes. The first user has no object class for that."""
        if user:
            self.ground.put(user, name, values)
            self.touched.add((user, name))
            self.ever |= {user} if name == PASSWORD else set()

    def meddle(self) -> None:
        if self.data.draw(st.integers(0, 5)) == 5:
            name = self.data.draw(st.sampled_from(sorted(self.writing.owns)))
            values = self.data.draw(st.lists(st.sampled_from(PUT[name]), max_size=1))
            self.put(self.data.draw(st.integers(1, USERS - 1)), name, values)

    def seen(self) -> list[AbstractMapping[str, frozenset[str]]]:
        """What all users hold, by the names of this page."""
        names = self.ground.names
        everybody = [self.ground.held(user) for user in range(USERS)]
        return [{name: held[names[name]] for name in IDENTITY} for held in everybody]

    def ours(self, seen: list[AbstractMapping[str, frozenset[str]]], user: int) -> Held:
        return self.writing.held(seen[user], self.agents().get(user), self.world.tenant)

    def agents(self) -> dict[int, Any]:
        return {int((agent.account_code or "")[1:]): agent for agent in self.world.tenant.agents}

    def apply(self) -> FinishedRun:
        """An apply; each matched user's identity is whole afterwards, or untouched."""
        self.touched.clear()
        before = self.seen()
        with self.world.context() as context:
            run = apply_run(context, quiet)
        after = self.seen()
        written = {self.ground.users[each.user.id] for each in run.outcomes or () if each.result is Result.WRITTEN}
        for user, agent in self.agents().items():
            spared = {name for whose, name in self.touched if whose == user}
            was, now = self.ours(before, user), self.ours(after, user)
            let_go = user not in written and all(now[name] <= was[name] for name in was.keys() - spared)
            untold = isinstance(self.ground, ScimGround) and (agent.sip_pwd is None or user in self.ever)
            faults = self.writing.faults(agent, self.world.tenant, was, now, spared, untold=untold)
            assert let_go or list(faults) == [], (agent, was, now)
        kinds = {problem.kind for problem in run.plan.problems}
        event("held back together" if "together" in kinds else "nothing held back together")
        return run

    def undo(self, run: FinishedRun, old: list[AbstractMapping[str, frozenset[str]]]) -> None:
        """Take the last run back; each identity is as it was before that run, or untouched."""
        before = self.seen()
        with self.world.back(run.plan.id) as context:
            apply_undo(context, quiet)
        self.world.state.release_job(self.world.job)
        after = self.seen()
        for user in range(USERS):
            spared = {name for whose, name in self.touched if whose == user}
            then, was, now = (self.ours(each, user) for each in (old, before, after))
            if any(was[name] != now[name] for name in was.keys() - spared):
                event("an identity is put back")
                assert all(now[name] == then[name] for name in now.keys() - spared), (then, was, now)


def quiet(plan: Plan, outcomes: object) -> None:
    """Nobody looks on."""


def begun(ground: Ground, data: st.DataObject) -> Fixture:
    """Users who hold nothing, or what somebody gave them."""
    ground.begin(USERS)
    writing = data.draw(st.composite(lambda draw: Writing.drawn(draw, OURS))())
    rules = [
        AttributeRule(ground.names[SEAT], Template.parse("{workNo}"), unique=True),
        *data.draw(st.composite(lambda draw: writing.rules(draw, ground.names))()),
    ]
    match = (MatchRule(Template.parse("{accountCode}"), ground.account),)
    classes = ("SIPIdentity",) if isinstance(ground, HouseGround) else ()
    world = World(Tenant([]), MemoryStore({}), Mapping(match, tuple(rules), classes))
    fixture = Fixture(ground, data, writing, world)
    world.connect = lambda view: Refusing(fixture, view)
    for user in range(1, USERS):
        for name in data.draw(st.lists(st.sampled_from(sorted(writing.owns)), max_size=2, unique=True)):
            fixture.put(user, name, [data.draw(st.sampled_from(PUT[name]))])
    return fixture


@pytest.mark.slow
def test_11_an_identity_is_whole_on_a_file_or_a_server(served: DirectoryFixture | ScimServer, ground: Ground) -> None:
    @settings(suppress_health_check=CHECKS, max_examples=few(served, 8))
    @given(st.data())
    def law(data: st.DataObject) -> None:
        fixture = begun(ground, data)
        fixture.world.tenant = data.draw(tenants(USERS - 1))
        for _ in range(3):
            old = fixture.seen()
            run = fixture.apply()
            if data.draw(st.integers(0, 2)) == 2:
                fixture.undo(run, old)
            fixture.world.tenant = data.draw(later(fixture.world.tenant, USERS - 1))

    law()
