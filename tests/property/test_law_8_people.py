"""Law 8 with people who come and go: between any two steps somebody renames, moves, disables or deletes users.

Names go round, and a new user may get the name or the account of one who was deleted. Whatever happens: nobody but the
agent's own user is written, nothing that was not seen is replaced, and only what this job wrote last is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, given, note, settings, strategies as st

from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Plan, Tenant, View
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.templates import Template
from connector.sync import wet_run, wet_undo
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, World

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
law = settings(max_examples=100, report_multiple_bugs=False, suppress_health_check=CHECKS)
FILTER = "(&(objectClass=inetOrgPerson)(!(pager=off)))"
ELSEWHERE = "ou=elsewhere,dc=example,dc=org"
USERS = 2
SEAT, ROOM = "employeeNumber", "roomNumber"
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (
        AttributeRule(SEAT, Template.parse("{workNo}"), unique=True, when_absent="clear"),
        AttributeRule(ROOM, Template.parse("{sipAccount}"), owns="*", when_absent="clear"),
    ),
    (),
    "clear",
)


@dataclass
class People:
    """A directory, and by user id and attribute what the job wrote there last and nobody has touched since."""

    data: st.DataObject
    store: MemoryStore = field(default_factory=lambda: MemoryStore({}))
    ours: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    once: set[tuple[str, str, str]] = field(default_factory=set)
    undoing: bool = False

    def __post_init__(self) -> None:
        self._numbers = count()
        for number in range(USERS):
            self.come(f"cn=p{number},{BASE}", f"u{number}")
        self.world = World(Tenant([]), self.store, MAPPING, connect=self._connect)

    def _connect(self, view: View) -> Directory:
        return _Watched(self, MemoryDirectory(self.store, view, base=BASE, filter=FILTER))

    def come(self, dn: str, account: str) -> None:
        values = {"objectClass": ["inetOrgPerson"], "uid": [account], "cn": [account], "sn": [account]}
        self.store.put(f"id-{next(self._numbers)}", dn, values)

    def held(self, id_: str, name: str) -> set[str]:
        return set(map(str, self.store.snapshot()[id_][1].get(name, ()))) if id_ in self.store.entries else set()

    def disturb(self) -> None:
        """Sometimes somebody does something."""
        if self.data.draw(st.booleans()) and self.store.entries:
            self.meddle()

    def meddle(self) -> None:
        draw, everybody = self.data.draw, self.store.snapshot()
        id_ = draw(st.sampled_from(sorted(everybody)))
        dn, values = everybody[id_]
        names = {name for name, _ in everybody.values()}
        what = draw(st.sampled_from(["rename", "swap", "swap", "move", "disable", "delete", "replace", "put", "put"]))
        note(f"somebody: {what} {id_} {dn}")
        if what == "rename":
            free = f"cn=r{next(self._numbers)},{dn.partition(',')[2]}"
            self.store.put(id_, free, values)
        elif what == "swap":
            other = draw(st.sampled_from(sorted(everybody)))
            self.store.put(id_, everybody[other][0], values)
            self.store.put(other, dn, everybody[other][1] if other != id_ else values)
        elif what == "move":
            there = f"{dn.partition(',')[0]},{BASE if dn.endswith(ELSEWHERE) else ELSEWHERE}"
            if there not in names:
                self.store.put(id_, there, values)
        elif what == "disable":
            self.store.put(id_, dn, {**values, "pager": [] if "pager" in values else ["off"]})
        elif what in {"delete", "replace"}:
            self.store.remove(id_)
            if what == "replace":
                self.come(dn, str(values["uid"][0]) if draw(st.booleans()) else f"u{draw(st.integers(0, USERS))}")
        else:
            name = draw(st.sampled_from([SEAT, ROOM]))
            self.store.put(id_, dn, {**values, name: [draw(st.sampled_from(["1", "2", "east"]))]})
            self.ours.pop((id_, name), None)

    def judge(self, change: Change, before: dict[str, tuple[str, dict[str, set[str]]]]) -> None:
        """What one write has done, to whom."""
        for id_, (dn, held) in before.items():
            for name, was in held.items():
                now = self.held(id_, name)
                if now == was:
                    continue
                note(f"job: {change.agent} {id_} {dn} {name} {was} -> {now}")
                assert id_ == change.user.id, "another user was written"
                assert dn.endswith(f",{BASE}"), "outside of the base"
                assert not self.held(id_, "pager"), "disabled"
                if change.agent is not None and not self.undoing:
                    assert self.held(id_, "uid") == {change.agent.account_code}, "the wrong person"
                    (each,) = [each for each in change.attributes if each.name == name]
                    assert was == set(map(str, each.old)), "what was not seen is replaced"
                else:
                    assert was - now <= self.ours.get((id_, name), set()), "not ours"
                if not self.undoing:
                    self.once |= {(id_, name, value) for value in now}
                self.ours[id_, name] = {value for value in now if (id_, name, value) in self.once}

    def run(self) -> None:
        with self.world.parts() as parts:
            wet_run(parts, quiet)

    def undo(self, run: str) -> None:
        self.undoing = True
        with self.world.back(run) as parts:
            wet_undo(parts, quiet)
        self.world.state.release(self.world.job)
        self.undoing = False


class _Watched(Disturbed):
    """Whoever else is at work is so before anything is read or written; each write is judged."""

    def __init__(self, people: People, inner: Directory) -> None:
        super().__init__(inner, people.disturb)
        self._people = people

    def alone(self, change: Change) -> Iterator[Outcome]:
        people = self._people
        everybody = people.store.snapshot()
        before = {
            id_: (dn, {name: people.held(id_, name) for name in (SEAT, ROOM, "pager")})
            for id_, (dn, _) in everybody.items()
        }
        outcomes = list(super().alone(change))
        people.judge(change, before)
        return iter(outcomes)


def quiet(plan: Plan, outcomes: object) -> None:
    """Nobody looks on."""


@st.composite
def tenants(draw: st.DrawFn) -> Tenant:
    seats = draw(st.permutations(range(1, USERS + 1)))
    here = [Agent(seats[n], f"u{n}", draw(st.none() | st.just(f"1{n}"))) for n in range(USERS) if draw(st.booleans())]
    return Tenant([*here, Agent(99, "nobody")])


@law
@given(st.data())
def test_only_the_agents_own_users_are_written_whatever_becomes_of_people(data: st.DataObject) -> None:
    people = People(data)
    for _ in range(data.draw(st.integers(2, 6))):
        people.world.tenant = data.draw(tenants())
        people.run()
        people.disturb()
        runs = [run.id for run in people.world.state.history.runs(people.world.job) if run.kind == "apply"]
        if runs and data.draw(st.integers(0, 3)) == 3:
            people.undo(data.draw(st.sampled_from(runs)))
