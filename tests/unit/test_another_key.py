"""When the key of a job counts as the one that its hidden passwords are known by."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_run
from connector.model import Agent, Secret, Tenant
from connector.model.limits import Limit
from connector.runtime.stopping import StopRequest
from connector.state.journal_rows import Sealer
from connector.state.store import open_state
from tests.support.memory import MemoryStore
from tests.support.worlds import BASE, SEATS, World, closed_with_the_test

CLASSES = ["inetOrgPerson", "cecAgent", "SIPIdentity"]


def world() -> World:
    entries = {f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": CLASSES, "uid": [f"u{n}"]}) for n in range(3)}
    store = MemoryStore(entries, hidden=["SIPIdentityPassword"], compares=False)
    return World(Tenant([Agent(n, f"u{n}", str(n), Secret(f"canary-{n}")) for n in range(3)]), store, SEATS)


def apply(of: World, stop: StopRequest | None = None) -> int:
    with of.context() as context:
        return len(apply_run(context, lambda plan, outcomes: None, stop=stop).plan.changes)


def test_a_run_that_was_stopped_has_not_told_everything_anew() -> None:
    one = world()
    assert apply(one) == 3
    assert apply(one) == 0
    one.key = Secret("another key")
    stop = StopRequest()
    stop.end_run("asked to stop")
    assert apply(one, stop) == 3
    assert not one.state.knows_key(one.job, Sealer(one.key))
    assert apply(one) == 3
    assert one.state.knows_key(one.job, Sealer(one.key))
    assert apply(one) == 0


def test_users_that_differ_in_hidden_passwords_alone_tell_of_a_lost_state(tmp_path: Path) -> None:
    one = world()
    one.limits = replace(one.limits, state=Limit(50, percent=True))
    assert apply(one) == 3
    one.state = closed_with_the_test(open_state(f"sqlite:///{tmp_path}/state.db"))
    with one.context() as context:
        plan = dry_run(context, lambda plan, outcomes: None).plan
    assert len(plan.changes) == 3
    assert [refusal.limit for refusal in plan.refusals] == ["state"]
