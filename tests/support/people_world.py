"""A world in which people come and go: whatever happens to them between any two steps, each write is judged (law 8)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from hypothesis import note, strategies as st

from connector.apply.sync import FinishedRun, apply_run, apply_undo
from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Plan, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.disturbed import Disturbed
from tests.support.grounds import ROOM, SEAT
from tests.support.memory import MemoryStore
from tests.support.staff import KINDS, Person, Staff, swap
from tests.support.worlds import World

USERS = 2


class _World(World):
    """One whose directory is of some kind."""

    staff: Staff

    def beyond(self) -> Directory:
        return self.staff.open(self.mapping.view(), past=True)


def mapping(staff: Staff) -> Mapping:
    return Mapping(
        (MatchRule(Template.parse("{accountCode}"), staff.account),),
        (
            AttributeRule(staff.names[SEAT], Template.parse("{workNo}"), unique=True, when_absent="clear"),
            AttributeRule(staff.names[ROOM], Template.parse("{sipAccount}"), owns="*", when_absent="clear"),
        ),
        (),
        "clear",
    )


@dataclass
class People:
    """A directory, and by user id and attribute what the job wrote there last.

    Nobody can tell who wrote a value, if somebody else writes the very one that the job wrote last: then it is ours.
    So it is if a write is not confirmed, since the value of `before` the run is there again. `calm`: nobody else is at
    work.
    """

    data: st.DataObject
    staff: Staff
    last: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    before: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    once: set[tuple[str, str, str]] = field(default_factory=set)
    undoing: bool = False
    calm: bool = False

    def __post_init__(self) -> None:
        for id_ in self.staff.everybody():
            self.staff.delete(id_)
        self._numbers, self._ids = count(), list[str]()
        for number in range(USERS):
            self.come(f"p{number}", f"u{number}")
        self.world = _World(Tenant([]), MemoryStore({}), mapping(self.staff), connect=self._connect)
        self.world.staff = self.staff

    def _connect(self, view: View) -> Directory:
        return _Watched(self, self.staff.open(view))

    def come(self, name: str, account: str) -> None:
        self.staff.come(name, account)
        self._ids += self.staff.everybody().keys() - set(self._ids)

    def disturb(self) -> None:
        """Sometimes somebody does something."""
        if not self.calm and self.data.draw(st.booleans()):
            self.meddle(KINDS)

    def meddle(self, kinds: Collection[str]) -> None:
        draw, everybody = self.data.draw, self.staff.everybody()
        here = [id_ for id_ in self._ids if id_ in everybody]  # in the order in which they came, for ids are random
        if not here:
            return
        place, what = draw(st.integers(0, len(here) - 1)), draw(st.sampled_from(sorted(kinds)))
        id_ = here[place]
        someone = everybody[id_]
        note(f"somebody: {what} {id_} {someone.name}")
        if what == "rename":
            self.staff.rename(id_, f"r{next(self._numbers)}")
        elif what == "swap":
            swap(self.staff, id_, here[(place + 1) % len(here)])
        elif what == "move":
            self.staff.move(id_)
        elif what == "disable":
            self.staff.disable(id_)
        elif what in {"delete", "replace"}:
            self.staff.delete(id_)
            if what == "replace" and someone.within:
                self.come(someone.name, someone.account if draw(st.booleans()) else f"u{draw(st.integers(0, USERS))}")
        else:
            name = self.staff.names[draw(st.sampled_from([SEAT, ROOM]))]
            past = sorted(value for whose, which, value in self.once if (whose, which) == (id_, name))
            self.staff.put(id_, name, [draw(st.sampled_from([*past, "1", "2", "east"]))])

    def judge(self, change: Change, before: dict[str, Person]) -> None:
        """What one write has done, to whom."""
        after = self.staff.everybody()
        for id_, person in before.items():
            for name, was in person.held.items():
                now = after[id_].held[name]
                if now == was:
                    continue
                note(f"job: {change.agent} {id_} {person.name} {name} {set(was)} -> {set(now)}")
                assert id_ == change.user.id, "another user was written"
                assert person.within, "outside of the base"
                assert not person.disabled, "disabled"
                if change.agent is not None and not self.undoing:
                    assert person.account == change.agent.account_code, "the wrong person"
                    (each,) = [each for each in change.attributes if each.name == name]
                    assert was == set(map(str, each.old)), "what was not seen is replaced"
                else:
                    assert was - now <= self.last.get((id_, name), frozenset()), "not ours"
                if not self.undoing:
                    self.once |= {(id_, name, value) for value in now}
                self.before.setdefault((id_, name), self.last.get((id_, name), frozenset()))
                self.last[id_, name] = frozenset(value for value in now if (id_, name, value) in self.once)

    def run(self, tenant: Tenant) -> None:
        self.world.tenant = tenant
        with self.world.context() as context:
            self._end(apply_run(context, quiet))

    def _end(self, run: FinishedRun) -> None:
        lost = {each.user.id for each in run.outcomes or () if each.result is not Result.WRITTEN}
        for place, values in self.before.items():
            self.last[place] |= values if place[0] in lost else frozenset()
        self.before.clear()

    def runs(self) -> list[str]:
        """The applies so far."""
        return [run.id for run in self.world.state.history.list_runs(self.world.job) if run.kind == "apply"]

    def undo(self, run: str) -> None:
        self.undoing = True
        with self.world.back(run) as context:
            self._end(apply_undo(context, quiet))
        self.world.state.release_job(self.world.job)
        self.undoing = False


class _Watched(Disturbed):
    """Whoever else is at work is so before anything is read or written; each write is judged."""

    def __init__(self, people: People, inner: Directory) -> None:
        super().__init__(inner, people.disturb)
        self._people = people

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            self._people.disturb()
            before = self._people.staff.everybody()
            outcomes = list(self.alone(change))
            self._people.judge(change, before)
            yield from outcomes


def quiet(plan: Plan, outcomes: object) -> None:
    """Nobody looks on."""


@st.composite
def tenants(draw: st.DrawFn) -> Tenant:
    """Agents for some of the people; they change seats, and may have a line."""
    seats = draw(st.permutations(range(1, USERS + 1)))
    here = [Agent(seats[n], f"u{n}", draw(st.none() | st.just(f"1{n}"))) for n in range(USERS) if draw(st.booleans())]
    return Tenant([*here, Agent(99, "nobody")])
