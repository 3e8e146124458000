"""Names on the command line: which agents and users they name, and which are two things."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.errors import UsageError
from connector.matching.selection import EVERYBODY, Selection, describe_nobody, look_up_users, select_names
from connector.matching.user_names import NameRules
from connector.model import AgentRef, Description, Holds, User, UserRef
from tests.support.asked import answering

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
    found = select_names([name], AGENTS, "--only")
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
        select_names(["ann", name], AGENTS, "--only")
    assert why in str(raised.value)
    assert raised.value.where == "--only"


@pytest.mark.parametrize(("name", "meant"), [("anna", "; did you mean 'ann'?"), ("Seat:7", ""), ("uid=ann,o=x", "")])
def test_a_bare_name_that_is_no_agents_may_be_a_users(name: str, meant: str) -> None:
    found = select_names(["ann", name], AGENTS, "--only")
    assert found.users == (name,)
    why = f"the source has no agent with accountCode or workNo {name!r}, and base and filter have no user of that name"
    assert describe_nobody(found, name) == f"{why}{meant}"


def test_of_several_agents_of_nearly_a_name_the_nearest_is_named_first() -> None:
    agents = [AgentRef(1000 + number, f"agent{number:03}") for number in range(1, 12)]
    why = describe_nobody(select_names(["agent0099"], agents, "--only"), "agent0099")
    assert "; did you mean 'agent009' or 'agent0" in why


def test_an_account_may_be_called_as_a_kind_of_name_is() -> None:
    agents = [AgentRef(1, "seat"), AgentRef(2, "account"), AgentRef(3, "user")]
    for agent in agents:
        found = select_names([agent.account_code or ""], agents, "--only")
        assert [each for each in agents if found.names_agent(each)] == [agent]


def test_an_agent_of_another_job_is_no_agent_of_this_one() -> None:
    assert select_names(["ann"], AGENTS, "--only", others=[1, 2]).accounts == {"ann"}
    for name in ("account:7", "seat:2"):
        with pytest.raises(UsageError, match=r"7 \(workNo 2\) is not this job's: see source.only and source.except"):
            select_names([name], AGENTS, "--only", others=[1, 2])


def test_nobody_named_is_everybody() -> None:
    assert not select_names([], AGENTS, "--only")
    assert not EVERYBODY
    assert not EVERYBODY.holds_user(None, UserRef("1", "x"))


def test_names_are_read_once_and_each_as_what_it_is() -> None:
    found = select_names(["ann", "seat:7", "ann", "user:id-1", "uid=x", "user:id-1"], AGENTS, "--only")
    assert found.names == ("ann", "seat:7", "user:id-1", "uid=x")
    assert found.accounts == {"ann"}
    assert found.seats == {7}
    assert found.users == ("id-1", "uid=x")
    assert describe_nobody(found, "id-1") == "there is no user 'id-1' within base and filter"
    assert describe_nobody(found, "uid=x").startswith(
        "the source has no agent with accountCode or workNo 'uid=x', and base"
    )


def looked(selection: Selection, users: Sequence[User]) -> Selection:
    """The selection, where a server finds these users by whatever it is asked for."""
    return look_up_users(answering(users), selection, NameRules(Description("test", "test", {})), (), "--only")


def test_users_are_held_by_the_ids_of_those_whom_a_name_really_names() -> None:
    """A server may return more than it was asked for."""
    users = [User("id-1", "uid=a,o=x", {}), User("id-2", "uid=b,o=x", {})]
    found = looked(select_names(["ann", "user:UID=A, o=x", "ID-2"], AGENTS, "--only"), users)
    assert found.ids == {"id-1", "id-2"}
    assert looked(select_names(["user:id-1"], AGENTS, "--only"), users).ids == {"id-1"}
    only = looked(select_names(["ann", "user:id-1"], AGENTS, "--only"), users)
    assert only.holds_user(None, users[0].ref)
    assert not only.holds_user(None, users[1].ref)
    assert only.holds_user(ANN, users[1].ref)
    assert not only.holds_user(TWIN, users[1].ref)


def test_a_user_that_is_not_there_is_a_mistake() -> None:
    users = [User("id-1", "uid=a", {}), User("id-2", "uid=b", {})]
    only = select_names(["user:id-9"], AGENTS, "--only")
    naming = NameRules(Description("test", "test", {}))

    def look_up(*answers: Holds) -> Selection:
        """By uid, mail and so on, which are not read: the server compares them."""
        return look_up_users(answering(users, users, answers), only, naming, (), "--only")

    with pytest.raises(UsageError, match="there is no user 'id-9' within base and filter") as raised:
        look_up(*[Holds.OTHER, Holds.ABSENT, Holds.UNKNOWN, Holds.OTHER] * 2)
    assert raised.value.where == "--only"
    assert look_up(*[Holds.OTHER] * 5, Holds.SAME, Holds.OTHER, Holds.OTHER).ids == {"id-2"}
    with pytest.raises(UsageError, match=r"2 users have 'id-9'\. Name one of them: 'user:uid=a' or 'user:uid=b'"):
        look_up(*[Holds.SAME] * 8)
