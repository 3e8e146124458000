"""Bounds of whole exchanges; that connections are cut by them is tested where there are connections."""

from __future__ import annotations

from connector.net.deadlines import Bound, Line


def test_a_bound_has_passed_by_the_clock_also_before_its_thread_has_noticed() -> None:
    with Bound(Line(), 0) as bound:
        assert bound.passed
    with Bound(Line(), 3600) as bound:
        assert not bound.passed
