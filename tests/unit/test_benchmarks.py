"""What the benchmarks say of their figures."""

from __future__ import annotations

import pytest

from tests.benchmarks.check import MARGIN, WORKS, Work
from tests.benchmarks.figures import Figure
from tests.benchmarks.measure import Ratio, Sample
from tests.benchmarks.people import person
from tests.benchmarks.rivals import compared


def _figure(against: str, ratio: Ratio) -> Figure:
    spent = Sample(1.0, 1.0, 0.0, 0)
    return Figure("read", 10_000, "our reader", against, ratio, spent, spent)


def test_a_rival_is_so_many_times_as_fast_or_as_slow() -> None:
    said = compared(
        [
            _figure("ldapsearch", Ratio(0.5, 0.4, 0.8, 3)),
            _figure("ldap3", Ratio(0.5, 0.4, 0.8, 3)),
            _figure("python-ldap", Ratio(1.5, 0.9, 2.0, 3)),
        ]
    )
    assert list(said) == [
        "read, 10,000 users: our reader is 2 times as fast as ldap3 (1.2 to 2.5)",
        "read, 10,000 users: our reader is 1.5 times as slow as python-ldap (0.9 to 2)",
    ]


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_a_step_back_is_told_beyond_the_margin(work: Work) -> None:
    """With the work's start taken off, and by how much."""
    start = 2.0 if work.start else 0.0
    spent = {work.unit: 0.25} | ({work.start: start} if work.start else {})

    def verdict(times: float) -> str:
        return work.verdict(spent | {work.command: start + times * work.recorded * work.times * 0.25})

    assert verdict(1.0) == verdict(MARGIN - 0.01) == ""
    takes = (
        f"Slower: {work.name} takes {3 * work.recorded:.2f} times the processor time of {work.unit}. That is 3.0 times"
    )
    assert verdict(3.0).startswith(takes)
    assert "make bench-check" in verdict(MARGIN + 0.01)


def test_people_are_the_same_in_every_run_and_as_varied_as_people_are() -> None:
    people = [person(number) for number in range(1, 2001)]
    assert people == [person(number) for number in range(1, 2001)]
    for each in ({one.login for one in people}, {one.work_no for one in people}, {one.sip for one in people}):
        assert len(each) == len(people)
    assert len({len(one.login) for one in people}) > 10
    assert {len(one.mails) for one in people} == {0, 1, 2}
    assert 0 < sum(not one.login.isascii() for one in people) < 100
