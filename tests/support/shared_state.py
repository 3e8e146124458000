"""Jobs of one state, and somebody else, on one directory; and a ledger of whose each value is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import note
from msgspec.structs import replace

from connector.apply.sync import apply_run, apply_undo, dry_run
from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Plan, Result, Tenant, UserRef, Value, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule, Stale, WhenAbsent
from connector.model.patterns import is_owned
from connector.model.templates import Template
from connector.state.store import State
from tests.support.disturbed import Disturbed
from tests.support.grounds import ROOM, SEAT, TITLE, Ground, Held
from tests.support.memory import MemoryStore
from tests.support.worlds import World, passing_state

USERS = 2
RULES = {
    SEAT: ("{workNo}", None, ["1", "2", "PAY-7"]),
    ROOM: ("{sipAccount}", "*", ["1", "2", "east"]),
    TITLE: ("agent {workNo}", "agent *", ["agent 1", "agent 2", "agent of HR", "clerk 1", "Dr."]),
}
FURTHER = {ROOM: ("0{workNo}",), TITLE: ("agent {sipAccount}@1",)}
"""By attribute what a job that writes lists puts there beside."""
CLERKS = ("clerk {workNo}", "clerk *")
"""By attribute what is written there, what of it is ours, and what somebody else may put there."""
Place = tuple[str, str]
"""A user by id, and an attribute with the pattern of the values that are meant."""


def slot(name: str, pattern: str | None) -> str:
    """An attribute, or the part of it that a pattern stands for: none here fits another's values as well."""
    return f"{name} {pattern}"


@dataclass
class Ledger:
    """Whose each value is, by what was seen to be written: which job wrote last, and which values it put there.

    `once`: whose all values of a place were when these stood there, the last one last; an undo takes its job's word
    back, and gives the values that it puts there to the last one that is left.
    `let_go`: by job the users it wrote to and did not claim in its last apply. `broken` says where a job took what was
    not its own.
    `put` and `taken`: what the run that goes on has put at a place, and what it has taken of nobody's. A run may write
    once more to learn how the server spells a value, and puts back what that replaced (docs/operate.md).
    """

    owner: dict[Place, tuple[str, frozenset[Value]]] = field(default_factory=dict)
    once: dict[tuple[str, str, frozenset[Value]], list[str]] = field(default_factory=dict)
    let_go: dict[str, set[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    new: list[tuple[str, str, frozenset[Value]]] = field(default_factory=list)
    touched: dict[Place, tuple[str, frozenset[Value]] | None] = field(default_factory=dict)
    put: dict[Place, set[Value]] = field(default_factory=dict)
    taken: dict[Place, set[Value]] = field(default_factory=dict)

    def begin(self, job: str, claimed: Collection[str]) -> set[str]:
        """The users that a job which claims these lets go of."""
        return {id_ for (id_, _), (whose, _) in self.owner.items() if whose == job and id_ not in claimed}

    def pass_on(self, job: str, attributes: Collection[str], claimed: Collection[str]) -> None:
        """What its owner let go of is the job's that claims the user."""
        for (id_, name), (whose, values) in list(self.owner.items()):
            if id_ in claimed and name in attributes and id_ in self.let_go.get(whose, ()):
                self.owner[id_, name] = (job, values)

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """What was not found to be there when it was read back changes nothing: what was ours before may be there.

        Where a part of a change was found, that part is ours.
        """
        note(f"ended: {[(outcome.user.id, outcome.result.value, outcome.lost) for outcome in outcomes]}")
        failed = {each.user.id: each.lost for each in outcomes if not (each.result is Result.WRITTEN or each.is_open)}

        def lost(id_: str, slot: str) -> bool:
            return id_ in failed and (not failed[id_] or any(slot.startswith(f"{name} ") for name in failed[id_]))

        for place, before in self.touched.items():
            if lost(*place):
                self.owner.pop(place, None)
                self.owner |= {place: before} if before else {}
        for seen in self.new:
            if lost(*seen[:2]):
                self.once[seen].pop()
        for place, values in self.taken.items():
            if values:
                self.broken.append(f"{sorted(values)} of nobody's was taken from {place}, and not put back")
        for seen_in_run in (self.touched, self.new, self.put, self.taken):
            seen_in_run.clear()

    def see(self, job: str, kind: str, change: Change, before: Held, after: Held) -> None:
        for each in change.attributes:
            if each.name == "objectClass":
                continue
            ours = is_owned(each.pattern or "*")
            was, now = (frozenset(filter(ours, held[each.name])) for held in (before, after))
            place = change.user.id, slot(each.name, each.pattern)
            if before[each.name] - was != after[each.name] - now:
                self.broken.append(f"{job} ({kind}) touched values at {place} that are not {each.pattern}")
            self.touched.setdefault(place, self.owner.get(place))
            note(f"{job} ({kind}) of {change.agent}: {place} {sorted(was)} -> {sorted(now)}")
            whose, values = self.owner.get(place, (None, frozenset()))
            put_before = self.put.setdefault(place, set())
            self.taken.setdefault(place, set()).difference_update(now)
            if kind == "undo":
                gone = was - now - put_before
                self.taken[place] |= gone - values
                if whose not in (job, None) and (gone & values or not put_before):
                    self.broken.append(f"{job} ({kind}) took {sorted(gone)} of {whose}'s from {place}")
            elif change.agent is None and (whose not in (job, None) or was - now - values):
                if was - now or whose not in (job, None):
                    self.broken.append(f"{job} ({kind}) took {sorted(was - now)} of {whose}'s from {place}")
            elif kind == "apply" and whose and whose != job and change.user.id not in self.let_go.get(whose, ()):
                self.broken.append(f"{job} wrote {place}, which is {whose}'s")
            spelt = {f"~{value}" for value in each.new if isinstance(value, str)}  # as some server has it
            put_before |= now - was
            put = (now - was) | (values & now) | (spelt & now)
            writer = self._choose_writer(job, kind, place, was, now)
            self.owner.pop(place, None)
            if put and writer:
                self.owner[place] = (writer, frozenset(put))

    def _choose_writer(
        self, job: str, kind: str, place: Place, was: frozenset[Value], now: frozenset[Value]
    ) -> str | None:
        """Whose the values are that a write leaves: the job's, or after an undo those of the last one that is left."""
        once = self.once.setdefault((*place, now), [])
        if kind == "undo":
            undone = self.once.get((*place, was), [])
            if undone[-1:] == [job]:
                undone.pop()
            return once[-1] if once else None
        if once[-1:] != [job]:
            once.append(job)
            self.new.append((*place, now))
        return job


class Watched(Disturbed):
    """Whoever else writes does so before anything is read or written; the ledger sees each write of the job's."""

    def __init__(self, shared: Shared, job: Job, kind: str, view: View) -> None:
        super().__init__(shared.ground.open(view), lambda: shared.disturb())  # noqa: PLW0108  # whoever disturbs by then
        self._shared, self._job, self._kind = shared, job, kind

    def alone(self, change: Change) -> Iterator[Outcome]:
        shared = self._shared
        user = shared.ground.users[change.user.id]
        before = shared.ground.held(user)
        for outcome in super().alone(change):
            if outcome.result is Result.WRITTEN or outcome.is_open:
                known = replace(change, user=UserRef(f"id-{user}", change.user.name))
                shared.ledger.see(self._job.name, self._kind, known, before, shared.ground.held(user))
            yield outcome


@dataclass
class Job:
    """A job of the shared state; its tenant is a part of the accounts."""

    name: str
    attributes: tuple[str, ...]
    stale: Stale
    take_over: bool
    agents: list[Agent]
    clerks: bool = False
    """Whether it writes other titles than other jobs do."""
    lists: bool = False
    when_absent: WhenAbsent = "clear"

    def rule(self, name: str) -> tuple[str, str | None]:
        """What is written to an attribute, and what of it is ours."""
        template, pattern, _ = RULES[name]
        return CLERKS if name == TITLE and self.clerks else (template, pattern)

    def more(self, name: str) -> tuple[Template, ...]:
        """What is written there beside."""
        further = FURTHER.get(name, ()) if self.lists and not (name == TITLE and self.clerks) else ()
        return tuple(map(Template.parse, further))

    def claimed(self) -> set[str]:
        return {f"id-{(agent.account_code or '')[1:]}" for agent in self.agents}


@dataclass
class Shared:
    """Jobs, one state, one directory, and a ledger of who wrote what."""

    ground: Ground
    jobs: dict[str, Job]
    state: State = field(default_factory=passing_state)
    ledger: Ledger = field(default_factory=Ledger)
    disturb: Callable[[], None] = lambda: None  # a default, of which a name would say no more

    def world(self, job: Job, kind: str) -> World:
        rules = [
            AttributeRule(
                self.ground.names[name], Template.parse(job.rule(name)[0]), owns=job.rule(name)[1],
                take_over=job.take_over, when_absent=job.when_absent, more=job.more(name),
            )
            for name in job.attributes
        ]  # fmt: skip
        mapping = Mapping(
            (MatchRule(Template.parse("{accountCode}"), self.ground.account),), tuple(rules), (), job.stale
        )

        def connect(view: View) -> Directory:
            return Watched(self, job, kind, view)

        return World(Tenant(job.agents), MemoryStore({}), mapping, state=self.state, job=job.name, connect=connect)

    def apply(self, job: Job) -> Plan:
        ledger, claimed = self.ledger, job.claimed()
        let_go = ledger.begin(job.name, claimed)
        with self.world(job, "take over" if job.take_over else "apply").context() as context:
            run = apply_run(context, quiet)
        outcomes = self._known(run.outcomes)
        ledger.end(outcomes)
        if any(outcome.result is Result.WRITTEN for outcome in outcomes):
            failed = {each.user.id for each in outcomes if each.result not in (Result.WRITTEN, Result.UNCHANGED)}
            slots = [slot(self.ground.names[name], job.rule(name)[1]) for name in job.attributes]
            ledger.pass_on(job.name, slots, claimed - failed)  # what could not be written does not pass
        ledger.let_go[job.name] = let_go
        return run.plan

    def plan(self, job: Job) -> Plan:
        with self.world(job, "apply").context() as context:
            return dry_run(context, quiet).plan

    def undo(self, job: Job, run: str) -> Plan:
        with self.world(job, "undo").back(run) as context:
            taken = apply_undo(context, quiet)
        self.ledger.end(self._known(taken.outcomes))
        self.state.release_job(job.name)
        return taken.plan

    def put(self, user: int, name: str, values: list[str]) -> None:
        note(f"somebody: id-{user} {name} {values}")
        self.ground.put(user, name, values)

    def _known(self, outcomes: Iterable[Outcome] | None) -> list[Outcome]:
        """Outcomes by the ledger's names of users."""
        users = self.ground.users
        return [replace(each, user=UserRef(f"id-{users[each.user.id]}", each.user.name)) for each in outcomes or ()]


def quiet(plan: Plan, outcomes: object) -> None:
    """Nobody looks on."""
