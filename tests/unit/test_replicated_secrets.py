"""With replicas, of a password that nobody sees, only what stands is ours, whatever is known of it, and when.

Runs that die at either server set and clear it, beside a line that is seen. In the end everybody has left.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import Struct

from connector.model import Agent, Secret, Tenant
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.memory import MemoryStore
from tests.support.mortal import DeathError
from tests.support.replicas import SERVERS, Replicas, ours
from tests.support.worlds import BASE, World

LINE, PASSWORD = "SIPIdentityUserName", "SIPIdentityPassword"
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (
        AttributeRule(LINE, Template.parse("{sipAccount}"), owns="*", when_absent="clear"),
        AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True, when_absent="clear"),
    ),
    stale="clear",
)
LEFT = Tenant([Agent(9, "nobody")])


class Step(Struct, frozen=True):
    """A run at a server, after all has `arrived` there or not. It ends, or dies right before or after its write."""

    server: str
    arrived: bool
    agent: Agent
    dies: str


def killed(replicas: Replicas, when: str) -> Callable[[], None]:
    """What befalls a run right before its write."""

    def dies() -> None:
        raise DeathError

    def dies_next() -> None:
        replicas.fate.last = replicas.fate.calls + 1

    return {"before": dies, "after": dies_next}.get(when, lambda: None)


def one_user(*, compares: bool) -> Replicas:
    entry = {"objectClass": ["inetOrgPerson", "SIPIdentity"], "uid": ["u0"]}
    store = MemoryStore({"id-0": (f"uid=u0,{BASE}", entry)}, hidden=[PASSWORD], compares=compares)
    return Replicas(World(LEFT, store, MAPPING))


def played(*steps: Step, compares: bool = True) -> Replicas:
    """These runs, one after the other, and nobody's since."""
    replicas = one_user(compares=compares)
    for each in steps:
        if each.arrived:
            replicas.converge()
        replicas.serve(each.server)
        replicas.world.tenant = Tenant([each.agent])
        replicas.meddle = killed(replicas, each.dies)
        replicas.perhaps(replicas.apply)
    replicas.meddle = lambda: None
    replicas.world.tenant = LEFT
    return replicas


@pytest.mark.parametrize("server", SERVERS)
def test_a_password_that_somebody_took_away_is_ours_no_longer(server: str) -> None:
    """It may be that of somebody else when it is there again. A server that was not told of it proves nothing."""
    replicas = one_user(compares=True)
    replicas.world.tenant = Tenant([Agent(1, "u0", None, Secret("canary-1"))])
    replicas.apply()
    replicas.serve(server)
    name, values = replicas.world.store.snapshot()["id-0"]
    values.pop(PASSWORD, None)
    replicas.world.store.put("id-0", name, values)
    replicas.world.tenant = LEFT
    assert {each.kind for each in replicas.apply().plan.problems} == {"stale", "unmatched"}
    assert len(ours(replicas)) == (server != SERVERS[0])
    replicas.world.store.put("id-0", name, {**values, PASSWORD: ["theirs" if server == SERVERS[0] else "canary-1"]})
    replicas.apply()
    assert ours(replicas) == []
    assert (PASSWORD in replicas.world.store.snapshot()["id-0"][1]) == (server == SERVERS[0])


def test_a_server_that_has_not_heard_of_a_password_does_not_tell_that_it_was_cleared() -> None:
    """The run that was to clear it died before that, and the password would stay, and be nobody's."""
    replicas = one_user(compares=True)
    replicas.serve("two")
    replicas.world.tenant = Tenant([Agent(1, "u0", None, Secret("canary-1"))])
    replicas.apply()
    replicas.world.tenant = Tenant([Agent(1, "u0")])
    replicas.meddle = killed(replicas, "before")
    replicas.perhaps(replicas.apply)
    replicas.meddle = lambda: None
    replicas.serve("one")
    replicas.apply()
    assert len(ours(replicas)) == len(replicas.journal(None)) == 1
    replicas.until_quiet(replicas.apply)
    assert (ours(replicas), replicas.journal(None)) == ([], {})
    assert PASSWORD not in replicas.world.store.snapshot()["id-0"][1]


def test_a_line_that_a_later_run_took_away_does_not_tell_that_it_was_never_set() -> None:
    replicas = played(
        Step("one", False, Agent(1, "u0", "71"), ""),
        Step("two", False, Agent(1, "u0", None, Secret("canary-1")), ""),
        Step("two", False, Agent(1, "u0", "71"), "after"),
    )
    replicas.until_quiet(replicas.apply)
    assert not replicas.journal("skipped")
    assert (ours(replicas), replicas.journal(None)) == ([], {})


def test_a_line_that_was_taken_away_before_it_was_set_again_does_not_tell_who_took_it_away_since() -> None:
    replicas = played(
        Step("two", False, Agent(1, "u0", "71"), ""),
        Step("two", False, Agent(1, "u0"), ""),
        Step("one", False, Agent(1, "u0", "71", Secret("canary-1")), ""),
        Step("one", False, Agent(1, "u0"), "after"),
        compares=False,
    )
    (open_,) = replicas.journal(None)
    replicas.until_quiet(replicas.apply)
    assert open_ in replicas.journal("written")
    assert (ours(replicas), replicas.journal(None)) == ([], {})


SET, CLEARED = Agent(1, "u0", None, Secret("canary-1")), Agent(1, "u0")


@pytest.mark.parametrize(
    "steps",
    [
        (Step("one", False, SET, "after"), Step("two", True, CLEARED, "after")),
        (Step("one", False, SET, ""), Step("two", True, CLEARED, ""), Step("one", False, CLEARED, "before")),
    ],
)
def test_a_clear_of_a_password_that_nobody_owns_any_more_is_not_waited_for(steps: tuple[Step, ...]) -> None:
    """Where both writes were killed when they had happened, or the clear had been made elsewhere already."""
    replicas = played(*steps)
    replicas.until_quiet(replicas.apply)
    replicas.apply()
    assert (ours(replicas), replicas.journal(None)) == ([], {})


def test_a_line_that_a_killed_run_took_away_is_ours_no_longer() -> None:
    """A later run has taken the password alone away, for nothing was known of it; then the killed one was overtaken."""
    replicas = played(
        Step("one", False, Agent(1, "u0", "71", Secret("canary-1")), ""),
        Step("two", True, CLEARED, "before"),
        Step("one", False, CLEARED, "after"),
        compares=False,
    )
    replicas.until_quiet(replicas.apply)
    assert (ours(replicas), replicas.journal(None)) == ([], {})


def test_a_line_that_an_open_write_may_have_brought_does_not_tell_that_a_password_was_taken_away() -> None:
    """Both were killed, the first when it had happened, the other before. The password would stay, and be nobody's."""
    replicas = played(
        Step("two", False, Agent(1, "u0", "71", Secret("canary-1")), "after"),
        Step("one", False, Agent(1, "u0", "71"), "before"),
        compares=False,
    )
    replicas.until_quiet(replicas.apply)
    assert (ours(replicas), replicas.journal(None)) == ([], {})
    assert PASSWORD not in replicas.world.store.snapshot()["id-0"][1]


def test_a_line_that_another_run_has_replaced_elsewhere_does_not_tell_that_a_password_was_set() -> None:
    agent = Agent(1, "u0", None, Secret("canary-1"))
    replicas = played(
        Step("one", False, Agent(1, "u0", "71"), ""),
        Step("two", False, Agent(1, "u0", "72"), ""),
        Step("one", False, agent, "before"),
        compares=False,
    )
    replicas.world.tenant = Tenant([agent])
    replicas.until_quiet(replicas.apply)
    assert replicas.world.store.snapshot()["id-0"][1][PASSWORD] == (b"canary-1",)


@pytest.mark.parametrize(
    "steps",
    [
        (
            Step("two", False, Agent(1, "u0", "72"), ""),
            Step("two", False, CLEARED, "before"),
            Step("one", True, CLEARED, "before"),
            Step("two", False, Agent(1, "u0", "72"), ""),
        ),
        (
            Step("one", False, Agent(1, "u0", "72", Secret("canary-1")), ""),
            Step("one", False, CLEARED, "before"),
            Step("two", False, Agent(1, "u0", "72"), "after"),
        ),
        (
            Step("one", False, Agent(1, "u0", "72"), ""),
            Step("one", False, Agent(1, "u0", None, Secret("canary-1")), "before"),
            Step("two", False, Agent(1, "u0", "72"), "after"),
        ),
    ],
)
@pytest.mark.parametrize("compares", [False, True])
def test_a_line_that_is_there_again_leaves_no_write_open_that_was_to_take_it_away(
    steps: tuple[Step, ...], *, compares: bool
) -> None:
    replicas = played(*steps, compares=compares)
    replicas.world.tenant = Tenant([steps[-1].agent])
    replicas.until_quiet(replicas.apply)
    assert not replicas.journal(None)
