"""Law 6, silence: wherever a run breaks, no traceback shows a password, not even one that prints all variables."""

from __future__ import annotations

import copy
import importlib
import io
import pickle
import pprint
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import rich.console
import rich.traceback
import structlog.tracebacks

from connector.model import Agent, Outcome, Plan, Secret, Tenant
from connector.reports import SUFFIXES, renderer, text
from connector.sync import draw, wet_run
from tests.support.memory import MemoryStore
from tests.support.worlds import BASE, CANARY, SEATS, World

OLD = f"{CANARY}-old"


def world() -> World:
    """Everybody's password changes from one that is seen, so that there is something to seal; two swap their seats."""
    entries: dict[str, tuple[str, dict[str, list[Any]]]] = {
        f"id-{number}": (
            f"uid=u{number},{BASE}",
            {
                "objectClass": ["inetOrgPerson", "cecAgent", "SIPIdentity"], "uid": [f"u{number}"],
                "cecWorkNo": [str(number)], "SIPIdentityPassword": [f"{OLD}-{number}".encode()],
            },
        )
        for number in range(3)
    }  # fmt: skip
    agents = [Agent((number + 1) % 3, f"u{number}", str(number), Secret(f"{CANARY}-{number}")) for number in range(3)]
    return World(Tenant(agents), MemoryStore(entries), SEATS)


def show(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """All that a command line would print."""
    for suffix in SUFFIXES:
        assert CANARY not in "".join(renderer(suffix)(plan, outcomes))
    assert CANARY not in "".join(text.render(plan, outcomes, most=None))


PLACES = [
    "sync:settle", "sync:Lookup", "lookup:Lookup.answer", "reconcile.roster:Roster.__init__",
    "reconcile.claims:Claims.add", "reconcile.claims:Claims.settle", "reconcile.planner:Planner.plan",
    "reconcile.drawing:Drawing.drawn", "reconcile.draft:Draft.judge", "reconcile.settling:Moves",
    "reconcile.moves:Moves.hold_back", "reconcile.drawing:change_of", "reconcile.differences:Differ.draft",
    "reports.text:render", "reports.html:render", "state.store:Store.run", "state.journal:RunJournal.note",
    "state.journal:RunJournal._row", "state.journal:is_secret", "state.sealing:Sealer.seal",
    "state.journal:Ours.take", "directories.entries:EntryReader.read",
    "sync:apply", "apply:steps", "apply:Ledger", "ledger:Ledger.settle", "verification:Verifier.judged",
    "verification:stands", "verification:_confirmed",
    "watch:Watchers.stage", "watch:Watchers.outcome", "sync:Run",
]  # fmt: skip


def break_(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    module, _, path = place.partition(":")
    holder: Any = importlib.import_module(f"connector.{module}")
    *inner, name = path.split(".")
    for each in inner:
        holder = getattr(holder, each)

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("a fault of our own", arguments, options)

    monkeypatch.setattr(holder, name, fail)


def with_locals(fault: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(fault, capture_locals=True).format())


def in_colour(fault: BaseException) -> str:
    console = rich.console.Console(file=io.StringIO(), width=100_000)
    shown = rich.traceback.Traceback.from_exception(
        type(fault), fault, fault.__traceback__, show_locals=True, locals_max_length=1000, locals_max_string=10_000
    )
    console.print(shown)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def in_a_log(fault: BaseException) -> str:
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=True, locals_max_string=100_000)
    return repr(transform((type(fault), fault, fault.__traceback__)))


FORMATS: dict[str, Callable[[BaseException], str]] = {
    "plain": lambda fault: "".join(traceback.format_exception(fault)),
    "with locals": with_locals,
    "structlog": in_a_log,
    "the fault": lambda fault: f"{fault!r} {fault} {fault.args} {vars(fault)}",
}


@pytest.mark.parametrize("place", PLACES)
def test_no_traceback_shows_a_password(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    broken = world()
    break_(monkeypatch, place)
    with broken.parts() as parts, pytest.raises(RuntimeError, match="a fault of our own") as caught:
        wet_run(parts, show)
    for name, format_ in FORMATS.items():
        assert CANARY not in format_(caught.value), name
    if place in {"apply:verified", "state.sealing:Sealer.seal"}:  # the frames above are the same everywhere
        assert CANARY not in in_colour(caught.value)


def test_what_a_plan_holds_is_not_shown_by_any_way_of_writing_it_down() -> None:
    with world().parts() as parts:
        plan = draw(parts).plan
    change = plan.changes[0]
    assert any(value.reveal() for each in change.attributes for value in each.new if isinstance(value, Secret))
    for held in (plan, change, *change.attributes):
        for written in (repr(held), str(held), f"{held}", f"{held!r:>10}", pprint.pformat(held)):
            assert CANARY not in written
        for write in (pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode):
            if CANARY in repr(_revealed(held)):
                with pytest.raises(TypeError) as caught:
                    write(held)
                assert CANARY not in with_locals(caught.value)


def _revealed(held: Any) -> list[Any]:
    changes = getattr(held, "changes", ()) or ([held] if hasattr(held, "attributes") else [])
    attributes = [each for change in changes for each in change.attributes] or [held]
    return [value.reveal() for each in attributes for value in each.new if isinstance(value, Secret)]
