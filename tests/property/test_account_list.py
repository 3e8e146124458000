"""The account list is joined exactly, or nothing is planned: whatever the tenant, the pages and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import UNSET

from connector.demo.simulator import AccountListing, Fault
from connector.errors import IncompleteRead
from connector.model import Agent, Tenant
from connector.sources.accounts import AccountPage, AccountRecord, collect_records, decode_page, join_accounts

FIELDS = frozenset({"email", "phone"})
texts = st.one_of(
    st.none(), st.just(""), st.just("t**@*****.com"), st.just(7), st.sampled_from(["a@example.org", "+491"])
)
seats = st.one_of(st.none(), st.integers(1, 4), st.sampled_from(["2", "x"]))
records = st.fixed_dictionaries(
    {},
    optional={
        "userAccount": st.sampled_from("abcdef"),
        "userName": texts,
        "email": texts,
        "phone": texts,
        "workNo": seats,
    },
)
listings = st.builds(
    AccountListing,
    st.lists(records, max_size=6, unique_by=lambda record: record.get("userAccount", id(record))),
    wrapped=st.booleans(),
    largest_page=st.integers(1, 4),
    has_total=st.booleans(),
    fault=st.sampled_from(["", "", "short total", "repeated page", "account twice", "cut"]),
)
agents = st.lists(
    st.builds(Agent, st.integers(1, 4), st.one_of(st.none(), st.sampled_from("abcd"))), max_size=5, unique_by=id
)


def expected(agent: Agent, listed: list[dict[str, Any]]) -> dict[str, Any]:
    """What the list says of an agent, found without the program: a value, "absent" or "unknown"."""
    found = next((each for each in listed if each.get("userAccount") == agent.account_code), None)
    told: dict[str, Any] = {}
    for field in FIELDS:
        held = "" if found is None else found.get(field) or ""
        shown = [each.get(field) for each in listed if "userAccount" in each]
        if found is None or not any(shown) or not isinstance(held, str) or "*" in held:
            told[field] = "unknown"
        else:
            told[field] = held or "absent"
    return told


def said(agent: Agent) -> dict[str, Any]:
    assert agent.account is not None
    told = {field: getattr(agent.account, field) or "absent" for field in FIELDS}
    return told | dict.fromkeys(agent.account.unknown, "unknown")


@given(listings, agents)
def test_the_join_is_exact_or_nothing_is_planned(listing: AccountListing, agents: list[Agent]) -> None:
    def ask(number: int) -> AccountPage:
        parameters: dict[str, Any] = {"pageNum": number, "pageSize": 3}
        _, body = listing.show_page({"requestParams": parameters} if listing.wrapped else parameters)
        assert isinstance(body, bytes)
        return decode_page(body, "list")

    fault: Fault = listing.fault
    try:
        listed, shape = collect_records(ask, "list", FIELDS)
    except IncompleteRead:
        nameless = sum("userAccount" not in record for record in listing.records)
        assert fault or nameless > 1, "a list without a fault was refused"
        return
    unused = [each.user_name for each in listed.by_account.values()]
    assert unused.count(UNSET) == len(unused)
    tenant = join_accounts(Tenant(agents), listed, shape)
    assert listed.by_account.keys() == {each["userAccount"] for each in listing.records if "userAccount" in each}
    for agent in tenant.agents:
        if agent.account_code is None:
            assert agent.account is None
        else:
            assert said(agent) == expected(agent, listing.records)
    assert tenant.accounts is not None
    for number, agent in enumerate(agents):
        found = next((each for each in listing.records if each.get("userAccount") == agent.account_code), {})
        seat = found.get("workNo") if agent.account_code else None
        differs = seat not in (None, "x") and int(seat) != agent.work_no
        assert (number in tenant.accounts.contradictions) is differs


def test_records_without_an_account_behind_the_total_are_seen() -> None:
    pages = [AccountPage([AccountRecord()], 1, "flat", b"1"), AccountPage([AccountRecord()], 1, "flat", b"2")]
    with pytest.raises(IncompleteRead, match="says 1 records, and shows more"):
        collect_records(pages.__getitem__, "list", FIELDS)
