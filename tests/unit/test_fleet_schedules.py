"""What is done about one schedule, where the server says yes and does not do it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.api.schedule.v1 import Schedule
from temporalio.api.workflowservice.v1 import DescribeScheduleResponse, UpdateScheduleRequest
from temporalio.service import RPCError, RPCStatusCode

from connector.fleet import schedules
from connector.fleet.schedules import Change, make

SEEN = b"1"


class Server:
    """Takes every update; whether it does it, and what has come of it meanwhile, is said beforehand."""

    namespace, identity = "default", "test"

    def __init__(self, *, obeys: bool = True, late: int = 0, fails: RPCStatusCode | None = None) -> None:
        self.fails = fails
        self.has, self.new, self.obeys, self.late = Schedule(), Schedule(), obeys, late
        self.sent: list[UpdateScheduleRequest] = []

    @property
    def workflow_service(self) -> Any:
        return self

    async def describe_schedule(self, *_: object, **__: object) -> DescribeScheduleResponse:
        if self.sent and self.obeys:
            self.late -= 1
            self.has = self.new if self.late < 0 else self.has
        return DescribeScheduleResponse(schedule=self.has, conflict_token=SEEN)

    async def update_schedule(self, request: UpdateScheduleRequest, **_: object) -> None:
        self.sent.append(request)
        self.new = request.schedule
        if self.fails:
            raise RPCError("canary-of-the-server", self.fails, b"")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_PAUSES", (0, 0, 0))


def paused() -> Schedule:
    new = Schedule()
    new.state.paused = True
    return new


@pytest.mark.parametrize(
    ("server", "seen", "sent", "why"),
    [
        (Server(), SEEN, 1, ""),
        (Server(late=2), SEEN, 1, ""),
        (
            Server(fails=RPCStatusCode.DEADLINE_EXCEEDED), SEEN, 1,
            "Temporal answers DEADLINE_EXCEEDED. Rerun to see whether it was made",
        ),
        (Server(fails=RPCStatusCode.NOT_FOUND), SEEN, 1, "it is gone"),
        (Server(obeys=False), SEEN, 1, "somebody has changed it since it was read"),
        (Server(), b"0", 0, "somebody has changed it since it was read"),
    ],
)  # fmt: skip
def test_an_update_is_made_where_the_server_shows_it(server: Any, seen: bytes, sent: int, why: str) -> None:
    change = Change("pause", "acme", "", paused(), seen)
    (made,) = asyncio.run(make(server, [change]))
    assert (made.why, len(server.sent)) == (why, sent)
    assert all(each.conflict_token == SEEN for each in server.sent)
