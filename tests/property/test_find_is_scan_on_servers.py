"""Law 9, find is scan, on a file and on real servers: odd spellings match the same users however these are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import dry_run
from connector.directories.port import Read
from connector.model import Agent, Plan, Tenant
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.directory_fixtures import DirectoryFixture
from tests.support.grounds import few
from tests.support.memory import MemoryStore
from tests.support.scim_servers import ScimServer
from tests.support.spelt import PHONES, SEATS, TEXTS, Spelt, spelt_in
from tests.support.worlds import World


@pytest.fixture
def spelt(served: DirectoryFixture | ScimServer) -> Iterator[Spelt]:
    with closing(spelt_in(served)) as users:
        yield users


@st.composite
def tenants(draw: st.DrawFn) -> Tenant:
    """Agents with odd names, on seats that are written with leading zeros."""
    accounts = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6, unique=True))
    seats = draw(st.permutations([*SEATS, *range(100, 100 + len(accounts))]))
    phones = st.sampled_from(PHONES) | st.none()
    return Tenant([Agent(seats[place], account, draw(phones)) for place, account in enumerate(accounts)])


@st.composite
def mappings(draw: st.DrawFn, spelt: Spelt) -> Mapping:
    """One, two or three match rules; it writes a seat, and perhaps the account as well, which may be in step."""
    rules = [(spelt.text, "{accountCode}"), (spelt.phone, "{sipAccount}"), (spelt.seat, "{workNo|pad:3}")]
    some = draw(st.permutations(rules))[: draw(st.integers(1, 3))]
    writes = [AttributeRule(spelt.written, Template.parse("1{workNo}"))]
    if draw(st.booleans()):
        writes.append(AttributeRule(spelt.text, Template.parse("{accountCode}"), owns="*"))
    return Mapping(tuple(MatchRule(Template.parse(text), name) for name, text in some), tuple(writes))


def plan(world: World, read: Read) -> Plan:
    with world.context() as context:
        return dry_run(replace(context, read=read), lambda plan, outcomes: None).plan


def test_the_same_users_match_however_they_are_read(served: DirectoryFixture | ScimServer, spelt: Spelt) -> None:
    became: Counter[str] = Counter()
    everybody = range(len(TEXTS))

    @settings(suppress_health_check=[HealthCheck.too_slow], max_examples=few(served, 20))
    @given(tenants(), mappings(spelt), st.sets(st.sampled_from(everybody), min_size=1, max_size=12))
    def law(tenant: Tenant, mapping: Mapping, users: set[int]) -> None:
        world = World(tenant, MemoryStore({}), mapping, connect=lambda view: spelt.opening(view, users))
        scanned = plan(world, "scan")
        reads: tuple[Read, ...] = ("find", "auto")
        for read in reads:
            drawn = plan(world, read)
            assert (drawn.changes, drawn.summary) == (scanned.changes, scanned.summary), read
        became["matched"] += scanned.summary.matched
        became["unmatched"] += scanned.summary.unmatched

    law()
    assert became["matched"], became
    assert became["unmatched"], became
