"""Names on the command line: which agents and users they name, and which are two things."""

from __future__ import annotations

import pytest

from connector.errors import UsageError
from connector.model import AgentRef, UserRef
from connector.reconcile.matching.selection import EVERYBODY, nobody, selected

ANN, TWIN, SEAT, SELF = AgentRef(1, "ann"), AgentRef(2, "7"), AgentRef(7, "bob"), AgentRef(9, "9")
AGENTS = [ANN, TWIN, SEAT, SELF, AgentRef(8)]


@pytest.mark.parametrize(
    ("name", "agents"),
    [
        ("ann", [ANN]), ("account:ann", [ANN]), ("1", [ANN]), ("seat:1", [ANN]), ("account:7", [TWIN]),
        ("seat:7", [SEAT]), ("9", [SELF]), ("seat:8", [AgentRef(8)]), ("user:uid=ann", []), ("user:user:x", []),
    ],
)  # fmt: skip
def test_a_name_names_agents_by_account_or_seat(name: str, agents: list[AgentRef]) -> None:
    found = selected([name], AGENTS, "--only")
    assert [each for each in AGENTS if found.names_agent(each)] == agents
    assert found.users == ((name[5:],) if name.startswith("user:") else ())
    assert bool(found)
    assert found.names == (name,)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("7", "'7' is the account of 7 (workNo 2), and the seat of bob (workNo 7): say account:7 or seat:7"),
        ("account:1", "no agent with accountCode '1'"),
        ("seat:ann", "no agent with workNo 'ann'"),
        ("seat:", "no agent with workNo ''"),
        ("user:", "no agent with accountCode or workNo 'user:'"),
        ("", "no agent with accountCode or workNo ''"),
    ],
)
def test_a_name_that_is_nobody_or_two_things_is_a_mistake(name: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        selected(["ann", name], AGENTS, "--only")
    assert why in str(raised.value)
    assert raised.value.where == "--only"


@pytest.mark.parametrize(("name", "meant"), [("anna", "; did you mean 'ann'?"), ("Seat:7", ""), ("uid=ann,o=x", "")])
def test_a_bare_name_that_is_no_agents_may_be_a_users(name: str, meant: str) -> None:
    found = selected(["ann", name], AGENTS, "--only")
    assert found.users == (name,)
    why = f"the source has no agent with accountCode or workNo {name!r}, and base and filter have no user of that name"
    assert nobody(found, name) == f"{why}{meant}"


def test_nobody_named_is_everybody() -> None:
    assert not selected([], AGENTS, "--only")
    assert not EVERYBODY
    assert not EVERYBODY.holds(None, UserRef("1", "x"))
