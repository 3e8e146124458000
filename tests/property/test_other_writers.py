"""Law 8, ours only, and law 10, jobs keep apart: jobs of one state, and somebody else, write to one directory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, event, given, note, settings, strategies as st

from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Plan, Problem, Result, Tenant, User, Value, View
from connector.parts import WetUndo
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule, Stale
from connector.reconcile.templates import Template
from connector.state.store import Store, open_state
from connector.sync import dry_run, wet_run, wet_undo
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60)

USERS = 2
RULES = {
    "employeeNumber": ("{workNo}", None, ["1", "2", "PAY-7"]),
    "roomNumber": ("{sipAccount}", "*", ["1", "2", "east"]),
    "title": ("agent {workNo}", "agent *", ["agent 1", "agent 2", "agent of HR", "Dr."]),
}
"""By attribute what is written there, what of it is ours, and what somebody else may put there."""
Place = tuple[str, str]
"""A user by id, and an attribute."""


@dataclass
class Ledger:
    """Whose each value is, by what was seen to be written: which job wrote last, and which values it put there.

    `let_go`: by job the users it wrote to and did not claim in its last apply. `broken` says where a job took what was
    not its own.
    """

    owner: dict[Place, tuple[str, frozenset[Value]]] = field(default_factory=dict)
    once: dict[tuple[str, str, frozenset[Value]], str] = field(default_factory=dict)
    let_go: dict[str, set[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    new: list[tuple[str, str, frozenset[Value]]] = field(default_factory=list)
    touched: dict[Place, tuple[str, frozenset[Value]] | None] = field(default_factory=dict)

    def begin(self, job: str, claimed: Collection[str]) -> set[str]:
        """The users that a job which claims these lets go of."""
        return {id_ for (id_, _), (whose, _) in self.owner.items() if whose == job and id_ not in claimed}

    def pass_on(self, job: str, attributes: Collection[str], claimed: Collection[str]) -> None:
        """What its owner let go of is the job's that claims the user."""
        for (id_, name), (whose, values) in list(self.owner.items()):
            if id_ in claimed and name in attributes and id_ in self.let_go.get(whose, ()):
                self.owner[id_, name] = (job, values)

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """What was not found to be there when it was read back changes nothing: what was ours before may be there."""
        note(f"ended: {[(outcome.user.id, outcome.result.value) for outcome in outcomes]}")
        lost = {outcome.user.id for outcome in outcomes if outcome.result is not Result.WRITTEN}
        for place, before in self.touched.items():
            if place[0] in lost:
                self.owner.pop(place, None)
                self.owner |= {place: before} if before else {}
        for seen in self.new:
            if seen[0] in lost:
                del self.once[seen]
        self.touched.clear()
        self.new.clear()

    def see(self, job: str, kind: str, change: Change, before: User, after: User) -> None:
        for each in change.attributes:
            if each.name == "objectClass":
                continue
            was, now = (frozenset(map(str, user.values.get(each.name, ()))) for user in (before, after))
            place = change.user.id, each.name
            self.touched.setdefault(place, self.owner.get(place))
            note(f"{job} ({kind}) of {change.agent}: {place} {sorted(was)} -> {sorted(now)}")
            whose, values = self.owner.get(place, (None, frozenset()))
            if (change.agent is None or kind == "undo") and (whose not in (job, None) or was - now - values):
                if was - now or whose not in (job, None):
                    self.broken.append(f"{job} ({kind}) took {sorted(was - now)} of {whose}'s from {place}")
            elif kind == "apply" and whose and whose != job and change.user.id not in self.let_go.get(whose, ()):
                self.broken.append(f"{job} wrote {place}, which is {whose}'s")
            put = (now - was) | (values & now)
            writer = self.once.get((*place, now - was)) if kind == "undo" else job
            self.owner.pop(place, None)
            if put and writer:
                self.owner[place] = (writer, frozenset(put))
                if (*place, frozenset(put)) not in self.once:
                    self.new.append((*place, frozenset(put)))
                self.once[*place, frozenset(put)] = writer


class Watched(MemoryDirectory):
    """Whoever else writes does so before anything is read or written; `ledger` sees each write of the job's."""

    ledger: Ledger
    job: str
    kind: str
    meanwhile: Callable[[], None]

    def find(self, keys: Iterable[tuple[str, str]]) -> Iterator[User]:
        self.meanwhile()
        return super().find(keys)

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        self.meanwhile()
        return super().scan(holding)

    def read(self, users: Iterable[object]) -> Iterator[User]:
        self.meanwhile()
        return super().read(users)  # type: ignore[arg-type]  # what it is given goes on as it is

    def _write(self, change: Change) -> Outcome:
        self.meanwhile()
        before = self._now(change)
        outcome = super()._write(change)
        if outcome.result is Result.WRITTEN and before is not None:
            after = self._now(change)
            assert after is not None
            self.ledger.see(self.job, self.kind, change, before, after)
        return outcome

    def _now(self, change: Change) -> User | None:
        entries = self.store.snapshot()
        return User(change.user.id, *entries[change.user.id]) if change.user.id in entries else None


@dataclass
class Job:
    """A job of the shared state; its tenant is a part of the accounts."""

    name: str
    attributes: tuple[str, ...]
    stale: Stale
    take_over: bool
    agents: list[Agent]

    def claimed(self) -> set[str]:
        return {f"id-{(agent.account_code or '')[1:]}" for agent in self.agents}


@dataclass
class Shared:
    """Jobs, one state, one directory, and a ledger of who wrote what."""

    store: MemoryStore
    jobs: dict[str, Job]
    state: Store = field(default_factory=lambda: open_state(None))
    ledger: Ledger = field(default_factory=Ledger)
    disturb: Callable[[], None] = lambda: None  # a default, of which a name would say no more
    worlds: list[World] = field(default_factory=list)
    """Each closes the state when it is gone, so that all are kept."""

    def __post_init__(self) -> None:
        weakref.finalize(self, self.state.close)

    def world(self, job: Job, kind: str) -> World:
        rules = [
            AttributeRule(
                name, Template.parse(RULES[name][0]), owns=RULES[name][1], take_over=job.take_over, when_absent="clear"
            )
            for name in job.attributes
        ]
        mapping = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), tuple(rules), (), job.stale)

        def connect(view: View) -> Directory:
            directory = Watched(self.store, view, base=BASE, filter=FILTER)
            directory.ledger, directory.job, directory.kind = self.ledger, job.name, kind
            directory.meanwhile = self.disturb
            return directory

        world = World(Tenant(job.agents), self.store, mapping, state=self.state, job=job.name, connect=connect)
        self.worlds.append(world)
        return world

    def apply(self, job: Job) -> Plan:
        ledger, claimed = self.ledger, job.claimed()
        let_go = ledger.begin(job.name, claimed)
        with self.world(job, "take over" if job.take_over else "apply").parts() as parts:
            run = wet_run(parts, quiet)
        ledger.end(run.outcomes or ())
        if any(outcome.result is Result.WRITTEN for outcome in run.outcomes or ()):
            ledger.pass_on(job.name, job.attributes, claimed)
        ledger.let_go[job.name] = let_go
        return run.plan

    def plan(self, job: Job) -> Plan:
        with self.world(job, "apply").parts() as parts:
            return dry_run(parts, quiet).plan

    def undo(self, job: Job, run: str) -> Plan:
        with self.world(job, "undo").parts() as parts:
            back = WetUndo(
                job=job.name, reader=parts.reader, directory=parts.directory, mapping=parts.mapping,
                limits=parts.limits, read=parts.read, state=parts.state, fingerprint=parts.fingerprint,
                sealer=parts.sealer, pace=parts.pace, watch=parts.watch, run=run,
                wrote_to=parts.directory.describe().identity,
            )  # fmt: skip
            taken = wet_undo(back, quiet)
        self.ledger.end(taken.outcomes or ())
        self.state.release(job.name)
        return taken.plan

    def put(self, user: int, name: str, values: list[str]) -> None:
        note(f"somebody: id-{user} {name} {values}")
        dn, held = self.store.snapshot()[f"id-{user}"]
        self.store.put(f"id-{user}", dn, {**held, name: values})


def quiet(plan: Plan, outcomes: object) -> None:
    """Nobody looks on."""


def directory() -> MemoryStore:
    return MemoryStore(
        {
            f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "cn": [f"U {n}"]})
            for n in range(USERS)
        }
    )


@st.composite
def agents(draw: st.DrawFn) -> list[Agent]:
    """Whoever is in a tenant; somebody always is, so that a tenant that is empty is not what is tried here."""
    seats = draw(st.permutations(range(1, USERS + 1)))
    here = [Agent(seats[n], f"u{n}", str(seats[n])) for n in range(USERS) if draw(st.booleans())]
    return [*here, Agent(99, "nobody")]


@st.composite
def shared(draw: st.DrawFn, take_over: bool = True) -> Shared:
    names = draw(st.sampled_from([["hr"], ["hr", "it"], ["hr", "it", "copy"]]))
    attributes = st.lists(st.sampled_from(sorted(RULES)), min_size=2, unique=True).map(tuple)
    stale: st.SearchStrategy[Stale] = st.sampled_from(["clear", "clear", "report"])
    taking = st.booleans() if take_over else st.just(False)
    jobs = {name: Job(name, draw(attributes), draw(stale), draw(taking), draw(agents())) for name in names}
    return Shared(directory(), jobs)


values = st.sampled_from(sorted(RULES)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.lists(st.sampled_from(RULES[name][2]), max_size=2 if RULES[name][1] else 1, unique=True)
    )
)  # fmt: skip
writes = st.tuples(st.integers(0, USERS - 1), values)


@law
@given(shared(), st.data())
def test_nobody_else_s_value_is_taken_from_whom_no_agent_claims_nor_undone(world: Shared, data: st.DataObject) -> None:
    def disturb() -> None:
        if data.draw(st.integers(0, 9)) == 9:
            user, (name, put) = data.draw(writes)
            world.put(user, name, put)

    world.disturb = disturb
    for job in world.jobs.values():
        world.apply(job)
    for _ in range(data.draw(st.integers(3, 9))):
        job = data.draw(st.sampled_from(sorted(world.jobs.values(), key=lambda job: job.name)))
        step = data.draw(st.sampled_from(["apply", "leave", "write", "undo"]))
        if step == "apply":
            world.apply(job)
        elif step == "leave":
            job.agents = data.draw(agents())
            world.apply(job)
        elif step == "write":
            user, (name, put) = data.draw(writes)
            world.put(user, name, put)
        elif runs := [run.id for run in world.state.runs(job.name) if run.kind == "apply"]:
            world.undo(job, data.draw(st.sampled_from(runs)))
    assert not world.ledger.broken
    event(f"{len(world.jobs)} jobs, {'some' if world.ledger.owner else 'nothing'} written")


@law
@given(shared(take_over=False), st.data())
def test_each_job_finds_its_own_stale_users_and_no_other_s(world: Shared, data: st.DataObject) -> None:
    """Without anybody else: whatever the order of runs, what a job wrote last and no longer claims is stale for it."""
    for _ in range(data.draw(st.integers(3, 9))):
        job = data.draw(st.sampled_from(sorted(world.jobs.values(), key=lambda job: job.name)))
        if data.draw(st.booleans()):
            job.agents = data.draw(agents())
        world.apply(job)
    for job in world.jobs.values():
        claimed = job.claimed()
        stale = {id_ for (id_, _), (owner, _) in world.ledger.owner.items() if owner == job.name and id_ not in claimed}
        drawn = world.plan(job)
        assert _stale(drawn.problems) == {f"uid=u{id_[3:]},{BASE}" for id_ in stale}
        assert drawn.summary.stale == len(stale)
    assert not world.ledger.broken


def _stale(problems: Iterable[Problem]) -> set[str]:
    return {name for problem in problems if problem.kind == "stale" for name in problem.users}
