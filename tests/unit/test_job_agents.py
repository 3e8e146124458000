"""Which agents of a tenant are a job's, by patterns of accounts and ranges of seats."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from connector.matching.selection import AgentPattern, JobAgents
from connector.model import Agent, InvalidRecord, Tenant


def job(only: str = "", besides: str = "") -> JobAgents:
    return JobAgents(
        [AgentPattern.parse_text(each) for each in only.split()],
        [AgentPattern.parse_text(each) for each in besides.split()],
    )


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("p*", {"p1", "P2"}),
        ("account:p*", {"p1", "P2"}),
        ("p1", {"p1"}),
        ("account:seat:7", {"seat:7"}),
        ("*1", {"p1", "x1"}),
        ("p.", set()),
        ("*", {"p1", "P2", "x1", "seat:7"}),
        ("seat:1", {"p1"}),
        ("seat:2-3", {"P2", "x1"}),
        ("seat:1-9", {"p1", "P2", "x1", "seat:7", None}),
    ],
)
def test_an_account_fits_a_pattern_and_a_seat_a_range(pattern: str, fits: set[str | None]) -> None:
    agents = [Agent(1, "p1"), Agent(2, "P2"), Agent(3, "x1"), Agent(4, "seat:7"), Agent(5)]
    assert {agent.account_code for agent in agents if AgentPattern.parse_text(pattern).fits_record(agent)} == fits


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "must be a pattern"), ("account:", "must be a pattern"), ("seats:1", "must be a pattern"),
        ("p\n", "must be a pattern"), ("seat:", "must be a pattern"), ("seat:x", "seats are numbers"),
        ("seat:1-", "seats are numbers"), ("seat:-1", "seats are numbers"), ("seat:5-4", "ends before it begins: 5-4"),
    ],
)  # fmt: skip
def test_what_is_neither_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AgentPattern.parse_text(pattern)


def test_whoever_fits_is_the_jobs_and_the_rest_is_marked() -> None:
    tenant = Tenant([Agent(1, "p1"), Agent(2, "x1"), Agent(3, "p3"), Agent(4)], [])
    part = job("p* seat:4", "p3").mark_others(tenant)
    assert (set(part.others), part.size, part.other_jobs_count, part.agents) == ({1, 2}, 2, 2, tenant.agents)
    assert job(besides="p*").mark_others(tenant).others == {0, 2}
    assert job().mark_others(tenant) == tenant


def test_a_record_that_cannot_be_read_is_the_jobs_unless_what_could_be_read_says_otherwise() -> None:
    unread = [
        InvalidRecord(1, "", 1, "p1"),
        InvalidRecord(2, "", 2, "x1"),
        InvalidRecord(3, "", None, None),
        InvalidRecord(4, "", 7, None),
    ]
    tenant = Tenant([], unread)
    for part, theirs in ((job("p*"), [2]), (job("seat:7"), [1, 2]), (job("p* seat:7"), [2]), (job(besides="x*"), [2])):
        found = part.mark_others(tenant)
        assert [each.record for each in found.others_invalid] == theirs
        assert [each.record for each in found.invalid] == [each.record for each in unread if each.record not in theirs]


def test_a_pattern_that_no_agent_fits_is_named() -> None:
    tenant = Tenant([Agent(1, "p1")], [InvalidRecord(2, "", 2, "x1")], notes=["the port is missing"])
    assert job("p* q* seat:2", "x1 y").mark_others(tenant).notes == [
        "the port is missing", "no agent fits 'q*' of source.only", "no agent fits 'y' of source.except",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["a*", "b", "seat:1-3", "*"]), min_size=1), st.lists(st.integers(1, 5)))
def test_what_one_job_takes_another_leaves_by_the_same_patterns(patterns: list[str], seats: list[int]) -> None:
    tenant = Tenant([Agent(seat, "ab"[seat % 2] * seat) for seat in seats])
    one, other = job(" ".join(patterns)).mark_others(tenant), job(besides=" ".join(patterns)).mark_others(tenant)
    assert one.others | other.others == set(range(len(seats)))
    assert not one.others & other.others
