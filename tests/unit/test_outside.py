"""Users of ours that are out of reach: where they are, and that a reader is told so."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from connector.errors import DeniedError
from connector.matching.roster import AgentRoster
from connector.model import (
    ID,
    Agent,
    AgentRef,
    AttributeInfo,
    Description,
    Equality,
    Plan,
    Problem,
    Scope,
    Summary,
    Syntax,
    Tenant,
    User,
    UserRef,
)
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.leavers import place_leavers
from connector.planning.standing import Leaver, LeaverPlace
from tests.support.asked import Asked, answering

UID = AttributeInfo("uid", Syntax.TEXT, Equality.CASE_IGNORE)
DESCRIPTION = Description("memory", "here", {"uid": UID}, scope=Scope(bases=("ou=people",)))
MAPPING = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), (AttributeRule("cn", Template.parse("x")),))
ROSTER = AgentRoster(Tenant([Agent(1, "ANN"), Agent(2, "bob")]), MAPPING, (), DESCRIPTION)
UNMATCHED = {
    0: Problem("unmatched", "no user has uid ANN", AgentRef(1, "ANN")),
    1: Problem("unmatched", "its pin leads nowhere", AgentRef(2, "bob"), rule=0),
}
ANN = UserRef("id-ann", "uid=ann,ou=people")
PLAN = Plan("1", "", "job", "", Summary(), problems=(*UNMATCHED.values(), Problem("stale", "", users=(ANN.name,))))
WITNESS = "id-zoe"
ZOE = User(WITNESS, "uid=zoe,ou=people", {"uid": ("zoe",)})
READ = ("read", ([ANN],), {"disabled": True})
OUTSIDE: tuple[object, ...] = ("find_outside", ([(ID, ANN.id), (ID, WITNESS)],), {})


def user(name: str = ANN.name, *, disabled: bool = False) -> User:
    return User(ANN.id, name, {"uid": ("ann",)}, disabled)


def asked(
    *answers: Iterable[User] | Exception, users: Iterable[UserRef] = (ANN,), description: Description = DESCRIPTION
) -> tuple[list[Asked], list[Leaver]]:
    """What is asked, and what is known of the users then."""
    unclaimed = [Leaver(ref, adopted=frozenset({"cn"})) for ref in users]
    directory = answering(*answers)
    found = place_leavers(directory, unclaimed, description, WITNESS)
    return directory.asked, found


def test_nobody_unclaimed_costs_no_question() -> None:
    assert asked(users=()) == ([], [])


@pytest.mark.parametrize("disabled", [False, True])
def test_who_is_read_is_not_looked_for_past_base_and_filter(disabled: bool) -> None:
    questions, (found,) = asked([user(disabled=disabled)])
    assert questions == [READ]
    assert found.place is (LeaverPlace.DISABLED if disabled else LeaverPlace.WITHIN)


@pytest.mark.parametrize(
    ("shown", "place"),
    [
        ([ZOE, user()], LeaverPlace.FILTERED),
        ([ZOE, user("uid=ann,ou=sub,ou=people")], LeaverPlace.FILTERED),
        ([user("uid=ann,ou=away")], LeaverPlace.MOVED),
        ([ZOE], LeaverPlace.DELETED),
        ([], LeaverPlace.UNKNOWN),  # not even who is there is shown
    ],
)
def test_who_is_out_of_reach_is_told_apart(shown: list[User], place: LeaverPlace) -> None:
    questions, (found,) = asked([], shown)
    assert questions == [READ, OUTSIDE]
    assert found.place is place
    assert (found.now is None) == (place in (LeaverPlace.DELETED, LeaverPlace.UNKNOWN))


def test_nobody_is_deleted_where_the_look_may_miss_a_place() -> None:
    """The server names no naming context, or users may move to another domain."""
    _, (found,) = asked([], [ZOE], description=replace(DESCRIPTION, scope=replace(DESCRIPTION.scope, sees_past=False)))
    assert found.place is LeaverPlace.UNKNOWN


def test_one_level_below_the_base_is_the_base() -> None:
    _, (found,) = asked(
        [],
        [user("uid=ann,ou=sub,ou=people")],
        description=replace(DESCRIPTION, scope=replace(DESCRIPTION.scope, one_level=True)),
    )
    assert found.place is LeaverPlace.MOVED


def test_names_without_a_base_are_never_moved() -> None:
    _, (found,) = asked([], [user("ann")], description=replace(DESCRIPTION, scope=replace(DESCRIPTION.scope, bases=())))
    assert found.place is LeaverPlace.FILTERED


def test_where_nobody_may_look_the_plan_stands() -> None:
    _, (found,) = asked([], DeniedError("no", where="there"))
    assert found.place is LeaverPlace.UNKNOWN


def test_where_users_within_reach_cannot_be_read_there_is_no_plan() -> None:
    with pytest.raises(DeniedError):
        asked(DeniedError("no", where="there"))
