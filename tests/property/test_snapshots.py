"""A snapshot draws the same plan again, in every world, and holds no secret."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.errors import ConnectorError, IncompleteRead, UnreachableError
from connector.model import Key, Plan, User, View
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import Mapping
from connector.reconcile.questions import Show
from connector.reports import document
from connector.run.snapshot.folder import replayed
from connector.run.snapshot.recorder import Recorder
from connector.run.snapshot.tape import NAME, TapeReader, TapeWriter
from connector.sync import apply_run, make_plan
from tests.property.test_laws import OneByOne
from tests.support.examples import examples
from tests.support.memory import MemoryDirectory
from tests.support.worlds import BASE, CANARY, FILTER, World, busy_worlds, later, worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=examples(50))


def taken(world: World, folder: Path) -> Plan:
    with world.context() as context, Recorder(TapeWriter(folder), {}) as recorder:
        return make_plan(replace(context, recorder=recorder)).plan


def again(world: World, folder: Path) -> Plan:
    with closing(TapeReader(folder)) as tape:
        tape.take("snapshot")
        rules = {"job": world.job, "mapping": world.mapping, "limits": world.limits}
        plan, digest = replayed(tape, pins=world.pins, exclude=world.exclude, show=Show(), **rules)
    assert digest == plan.digest
    return plan


def said(plan: Plan) -> list[str]:
    return list(document.render(plan))


def holds(world: World) -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "snapshot"
        plan = taken(world, folder)
        assert said(again(world, folder)) == said(plan)
        text = (folder / NAME).read_bytes()
        assert CANARY.encode() not in text
        assert b'"_wAA"' not in text
        assert b'"/wA="' not in text
        assert list(folder.iterdir()) == [folder / NAME]


TEMPLATES = [
    "{sipPwd}",
    "{sipPwd}",
    "x{sipPwd|digits}",
    "{sipPwd|after:a-7f3a-1}",
    "{accountCode}:{sipPwd|last:1}",
    "{workNo}",
]


@st.composite
def otherwise(draw: st.DrawFn, mapping: Mapping) -> Mapping:
    """The same mapping, with secrets that are made, owned and adopted in other ways."""
    rules = []
    for rule in mapping.attributes:
        template = Template.parse(draw(st.sampled_from(TEMPLATES)))
        owns = draw(st.sampled_from(["*", "*", "x*", "canary*", "o*\n1*"]))
        other = replace(rule, value=template, owns=owns, adopt=draw(st.booleans()))
        rules.append(other if rule.secret else rule)
    return replace(mapping, attributes=tuple(rules), stale=draw(st.sampled_from(["report", "clear"])))


@law
@given(worlds() | busy_worlds(), st.data())
def test_a_snapshot_draws_the_same_plan_again(world: World, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        world.connect = lambda view: OneByOne(world.store, view, base=BASE, filter=FILTER)
    world.mapping = data.draw(otherwise(world.mapping))
    for _ in range(data.draw(st.integers(0, 2))):
        with world.context() as context:
            apply_run(context, lambda _plan, _outcomes: None)
        world.tenant = data.draw(later(world.tenant))
        world.mapping = data.draw(st.just(world.mapping) | otherwise(world.mapping))
    holds(world)


class Failing(MemoryDirectory):
    """Cannot be read to its end after so many users, or not at all."""

    left = 0

    def scan(self, holding: Iterable[str] = ()) -> Iterator[User]:
        return self._some(super().scan(tuple(holding)))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        return self._some(super().find(keys))

    def _some(self, users: Iterator[User]) -> Iterator[User]:
        if Failing.left < 0:
            raise UnreachableError("nobody answers", where="the directory")

        def some() -> Iterator[User]:
            for number, user in enumerate(users):
                if number >= Failing.left:
                    raise IncompleteRead("cut", where="the directory")
                yield user

        return some()


def ended(draw: Callable[[], Plan]) -> list[str]:
    try:
        return said(draw())
    except ConnectorError as fault:
        return [type(fault).__name__, str(fault)]


@law
@given(worlds(), st.integers(-1, 6))
def test_a_read_that_fails_fails_again_in_the_same_way(world: World, left: int) -> None:
    Failing.left = left

    def failing(view: View) -> Failing:
        return Failing(world.store, view, base=BASE, filter=FILTER)

    world.connect = failing
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "snapshot"
        first = ended(lambda: taken(world, folder))
        assert ended(lambda: again(world, folder)) == first
