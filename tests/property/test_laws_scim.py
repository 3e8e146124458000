"""Laws 1 to 4 and 6 again, against real SCIM servers: fewer worlds, and servers that have their own mind about them.

Law 5 is held there by tests/e2e/test_scim_crashes.py.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, make_plan
from connector.directories.scim.protocol import Answer, Request
from connector.directories.scim.transport import HttpTransport
from connector.errors import IncompleteRead, UnreachableError
from connector.model import Agent, Change, InvalidRecord, Outcome, Plan, Result, Secret, Tenant
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.reports import document, text
from tests.support.examples import examples
from tests.support.http_proxy import Asked, HttpProxy, Meddler, pass_on
from tests.support.http_server import Act
from tests.support.memory import MemoryStore
from tests.support.scim_servers import CEC, EACH_KIND, ScimServer, people
from tests.support.scim_worlds import ACCOUNT, FILTER, LINE, PASSWORD, RULES, SEAT, connected, view_of, worlds
from tests.support.worlds import CANARY, World, later

Json = dict[str, Any]
law = settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), kind=request.param) as started:
        yield started


def begin(server: ScimServer, data: st.DataObject) -> World:
    """A world whose users are on the server."""
    world, users = data.draw(worlds(several=server.kind == "scim2-server"))
    server.restore(users)
    server.forget()
    return world


def by_id(server: ScimServer) -> dict[str, dict[str, Any]]:
    return {str(user["id"]): view_of(user) for user in server.all()}


def apply(world: World, server: ScimServer) -> FinishedRun:
    def show(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
        world.shown.extend("".join(renderer.render(plan, outcomes)) for renderer in (text, document))

    with connected(world, server.url) as context:
        return apply_run(context, show)


def plan(world: World, server: ScimServer) -> Plan:
    with connected(world, server.url) as context:
        return make_plan(context).plan


@law
@given(st.data())
def test_1_and_2_what_was_applied_leaves_nothing_to_do_and_nothing_else_was_touched(
    server: ScimServer, data: st.DataObject
) -> None:
    world = begin(server, data)
    for _ in range(2):
        before = by_id(server)
        run = apply(world, server)
        assert run.outcomes is not None
        assert [(outcome.result, outcome.why) for outcome in run.outcomes if outcome.result is not Result.WRITTEN] == []
        untouched(run.plan, before, by_id(server))
        assert plan(world, server).changes == ()
        assert CANARY not in "".join(world.shown)
        world.tenant = data.draw(later(world.tenant))


def untouched(drawn: Plan, before: dict[str, Json], after: dict[str, Json]) -> None:
    """Whoever has no change, or is not active, is as before; and of others all that is not ours."""
    changes = {change.user.id: {each.name for each in change.attributes} for change in drawn.changes}
    assert before.keys() == after.keys()
    for id_, was in before.items():
        now, names = after[id_], changes.get(id_, set())
        assert was.get("active") or not names
        for name in was.keys() | now.keys():
            if name in RULES:
                assert name in names or was.get(name) == now.get(name)
            elif name in {path.partition("[")[0] for path in names}:
                assert theirs(name, was.get(name, [])) == theirs(name, now.get(name, []))
            else:
                assert was.get(name) == now.get(name)


def theirs(name: str, elements: list[Json]) -> list[Json]:
    """The elements that no mapping here owns."""
    if name == "phoneNumbers":
        return [each for each in elements if each["type"] != "work"]
    return [each for each in elements if not each["value"].startswith("sip:")]


class Cut(HttpTransport):
    """Connections that fail for good after so many requests."""

    left = 0

    def send(self, request: Request) -> Answer:
        if self.left <= 0:
            raise UnreachableError("the server is gone")
        self.left -= 1
        return super().send(request)


@law
@given(st.data(), st.integers(0, 25))
def test_3_a_run_that_is_cut_off_while_it_reads_writes_nothing(
    server: ScimServer, data: st.DataObject, requests: int
) -> None:
    world = begin(server, data)
    assume(any(agent.account_code for agent in world.tenant.agents))
    before = by_id(server)

    def cut(job: Any) -> HttpTransport:
        transport = Cut(job, Secret(server.token))
        transport.left = requests
        return transport

    shown: list[Plan] = []
    with connected(world, server.url, cut, page_size=2, concurrency=1) as context:
        try:
            apply_run(context, lambda drawn, outcomes: shown.append(drawn))
        except IncompleteRead:
            event("cut while reading")
    if shown:
        untouched(shown[0], before, by_id(server))
    else:
        assert by_id(server) == before
        assert server.writes() == []


@pytest.mark.slow
@law
@given(st.data(), st.integers(1, 99))
def test_7_a_bad_record_is_one_line_and_changes_nothing_else(
    server: ScimServer, data: st.DataObject, record: int
) -> None:
    world = begin(server, data)
    world.mapping = replace(world.mapping, stale="report")
    before = plan(world, server)
    world.tenant = replace(world.tenant, invalid=[*world.tenant.invalid, InvalidRecord(record, "workNo is a list")])
    after = plan(world, server)
    assert after.changes == before.changes
    assert after.summary.invalid == before.summary.invalid + 1


# ---------------------------------------------------------------- law 4, where versions are heeded

COUNT = 6
SEATS = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "userName"),),
    (
        AttributeRule(ACCOUNT, Template.parse("{accountCode}")),
        AttributeRule(SEAT, Template.parse("{workNo}")),
        AttributeRule(LINE, Template.parse("{sipAccount}"), when_absent="clear"),
        AttributeRule(PASSWORD, Template.parse("{sipPwd}"), secret=True),
    ),
)
EDITS: dict[str, Json] = {
    "seat": {"op": "replace", "path": SEAT, "value": 99},
    "line": {"op": "replace", "path": LINE, "value": "theirs"},
    "line gone": {"op": "remove", "path": LINE},
    "title": {"op": "replace", "path": "title", "value": "theirs"},
    "leaver": {"op": "replace", "path": "active", "value": False},
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), people(COUNT)) as started:
        yield started


class Rival:
    """Somebody who writes to a user just before the program does; it knows what each write of the program found."""

    def __init__(self, server: ScimServer, edits: list[str]) -> None:
        self.seen: list[tuple[str, Json, Json]] = []
        self._server = server
        self._edits = itertools.cycle(edits)
        self._lock = threading.Lock()

    def meddler(self) -> Meddler:
        def meddle(asked: Asked) -> Act:
            if asked.method != "PATCH":
                return pass_on(asked)
            id_ = asked.path.partition("?")[0].rpartition("/")[2]
            with self._lock:
                if edit := EDITS.get(next(self._edits)):
                    self._server.patch(id_, edit)
                before = by_id(self._server)[id_]
                reply = asked.forward()
                self.seen.append((id_, before, by_id(self._server)[id_]))
            return reply

        return meddle


@pytest.mark.slow
@settings(law, max_examples=examples(12))
@given(st.lists(st.sampled_from(["nothing", "nothing", *EDITS]), min_size=5, max_size=15), st.data())
def test_4_what_is_written_is_what_the_plan_showed_to_whom_was_as_the_plan_showed(
    reference: ScimServer, edits: list[str], data: st.DataObject
) -> None:
    held = [{"sipAccount": str(number), "workNo": number} for number in range(COUNT)]
    reference.restore([user | ({CEC: some} if data.draw(st.booleans()) else {})
                       for user, some in zip(people(COUNT), held, strict=True)])  # fmt: skip
    agents = [
        Agent(
            100 + number, f"agent{number:03}", data.draw(st.sampled_from([None, f"70{number}"])), Secret(f"p{number}")
        )
        for number in range(1, COUNT + 1)
    ]
    world = World(Tenant(agents), MemoryStore({}), SEATS)
    rival = Rival(reference, edits)
    base = reference.url.removeprefix(reference.root)
    with (
        HttpProxy(reference.root, rival.meddler()) as proxy,
        connected(world, proxy.url + base, concurrency=4, filter=FILTER) as context,
    ):
        run = apply_run(context, lambda drawn, outcomes: None)
    planned = {change.user.id: change for change in run.plan.changes}
    assert len(rival.seen) >= COUNT - 1  # a first step of five in which no write is confirmed ends the run
    for id_, before, after in rival.seen:
        if before != after:
            as_planned(planned[id_], before, after)
    written = {outcome.user.id for outcome in run.outcomes or () if outcome.result is Result.WRITTEN}
    assert written == {id_ for id_, before, after in rival.seen if before != after}
    event(f"{COUNT - len(written)} conflicts")


def as_planned(change: Change, before: Json, after: Json) -> None:
    assert before["active"]
    attributes = {each.name: each for each in change.attributes}
    for name in {each for each in before.keys() | after.keys() if before.get(each) != after.get(each)}:
        each = attributes[name]
        if not each.secret:
            assert list(each.old) == [str(value) for value in (before.get(name),) if value is not None]
            assert list(each.new) == [str(value) for value in (after.get(name),) if value is not None]
