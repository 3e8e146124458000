"""Of which former leavers a plan looks again whether what was cleared is back."""

from __future__ import annotations

from connector.model import Cleared, Owned, UserRef
from connector.planning.leavers import READ_AGAIN, cleared_last


def cleared(number: int, *times: str) -> list[Cleared]:
    user = UserRef(f"id-{number}", f"uid=u{number},dc=example,dc=org")
    return [Cleared(user, f"attribute{place}", time, Owned("run")) for place, time in enumerate(times)]


def test_those_cleared_last_come_first_and_no_more_than_a_plan_may_read() -> None:
    count = READ_AGAIN + 7
    days = [cleared(number, f"2026-01-01T{number:06}Z", "2025-01-01T000000Z") for number in range(count)]
    found = [int(ref.id.removeprefix("id-")) for ref in cleared_last(days)]
    assert found == list(range(count - 1, 6, -1))
