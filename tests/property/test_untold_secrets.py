"""Secrets that can be neither read nor compared, and a write of them without an answer: nothing ever tells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.apply.sync import apply_run, dry_run
from connector.directories.port import Directory
from connector.model import Agent, Change, Outcome, Plan, Result, Secret, Tenant, View
from connector.model.mapping import AttributeRule, Grace, Mapping, MatchRule, Stale
from connector.model.templates import Template
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

PASSWORD = "SIPIdentityPassword"
ENTRY = {"objectClass": ["inetOrgPerson", "SIPIdentity"], "uid": ["u0"]}


class Silent(Disturbed):
    """Does what it is told, and does not say so."""

    def __init__(self, inner: Directory) -> None:
        super().__init__(inner, lambda: None)

    def alone(self, change: Change) -> Iterator[Outcome]:
        found = super().alone(change)
        return iter([Outcome(each.user, Result.FAILED, "no answer", unknown=True) for each in found])


class Job:
    """One agent, and somebody else, who is no user."""

    def __init__(self, stale: Stale = "report") -> None:
        self.store = MemoryStore({"id-0": (f"uid=u0,{BASE}", ENTRY)}, hidden=[PASSWORD], compares=False)
        rule = AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True)
        match = (MatchRule(Template.parse("{accountCode}"), "uid"),)
        self.world = World(Tenant([]), self.store, Mapping(match, (rule,), stale=stale))

    def says(self, password: str | None) -> None:
        """What the agent's password is; None: the agent has left."""
        left = [Agent(1, "u1", "11", Secret("another"))]
        self.world.tenant = Tenant(left + ([Agent(0, "u0", "10", Secret(password))] if password else []))

    def apply(self, *, silent: bool = False) -> Plan:
        def connect(view: View) -> Directory:
            inner = MemoryDirectory(self.store, view, base=BASE, filter=FILTER)
            return Silent(inner) if silent else inner

        self.world.connect = connect
        with self.world.context() as context:
            run = apply_run(context, lambda plan, outcomes: None)
        self.outcomes = run.outcomes or ()
        return run.plan

    def stale(self) -> int:
        with self.world.context() as context:
            return dry_run(context, lambda plan, outcomes: None).plan.summary.stale

    def held(self) -> bytes | None:
        values = self.store.entries["id-0"].values.get(PASSWORD.lower())
        return values[0] if values else None


def test_it_is_told_of_a_leaver_as_long_as_it_may_be_there() -> None:
    job = Job()
    job.says("first")
    job.apply(silent=True)
    job.says(None)
    for _ in range(3):
        job.apply()
        assert job.stale() == 1
    job.says("first")
    job.apply()
    assert job.world.state.history.list_runs("law")[-1].outcomes == {"failed": 1}, "written again, so that one is over"
    assert job.stale() == 0


@pytest.mark.parametrize("stale", ["clear", Grace(2, "runs")])
def test_it_is_cleared_as_ours_is(stale: Stale) -> None:
    job = Job(stale)
    job.says("first")
    job.apply(silent=True)
    job.says(None)
    for _ in range(3):
        job.apply()
    assert job.held() is None
    assert job.stale() == 0
    assert {outcome for run in job.world.state.history.list_runs("law") for outcome in run.outcomes} <= {
        "written",
        "failed",
    }


def test_it_is_said_of_no_other_write_that_it_may_be_the_second() -> None:
    job = Job()
    job.says("first")
    job.apply(silent=True)
    room = AttributeRule("roomNumber", Template.parse("{sipAccount}"), owns="*")
    job.world.mapping = Mapping(job.world.mapping.match, (room,))
    job.apply()
    assert [outcome.why for outcome in job.outcomes] == [""]


def test_it_is_set_again_though_the_source_says_what_was_there_before() -> None:
    job = Job()
    job.says("first")
    job.apply()
    job.says("second")
    job.apply(silent=True)
    assert job.held() == b"second"
    job.says("first")
    assert job.apply().summary.secret == 1
    assert job.held() == b"first"
    assert job.apply().changes == ()


@pytest.mark.parametrize("stale", ["report", "clear"])
def test_of_a_user_who_is_out_of_reach_nothing_tells_either(stale: Stale) -> None:
    """Somebody is moved out of the base for a while, and has left by the time that he comes back."""
    job = Job(stale)
    room = AttributeRule("roomNumber", Template.parse("{sipAccount}"), owns="*")
    job.world.mapping = Mapping(job.world.mapping.match, (room,), stale=stale)
    job.says("first")
    job.apply(silent=True)
    here = job.store.entries["id-0"]
    job.store.put("id-0", "uid=u0,ou=away", here.values)
    job.apply()
    job.says(None)
    job.apply()
    assert job.stale() == 1
    job.store.put("id-0", here.name, here.values)
    job.apply()
    assert ("roomnumber" in job.store.entries["id-0"].values) == (stale == "report")
    assert job.stale() == (stale == "report")


@pytest.mark.parametrize("stale", ["report", "clear"])
def test_it_does_not_keep_the_user_from_another_job_that_claims_him_now(stale: Stale) -> None:
    job = Job(stale)
    job.says("first")
    job.apply(silent=True)
    job.says(None)
    other = Job()
    other.store = other.world.store = job.store
    other.world.state, other.world.job = job.world.state, "other"
    other.says("second")
    other.apply()
    assert job.held() == b"first", "it may still be the first job's"
    if stale == "report":
        job.apply()
        other.apply()
        assert job.held() == b"second"
        for _ in range(2):
            job.apply()
            assert other.apply().changes == ()
    job.world.mapping = Mapping(job.world.mapping.match, job.world.mapping.attributes, stale="clear")
    job.apply()
    assert job.held() == (b"second" if stale == "report" else None)
    assert job.stale() == 0
