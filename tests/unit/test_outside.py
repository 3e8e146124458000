"""Looking for users past base and filter is a hint: one question, bounded, and it ends no run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from connector.errors import DeniedError
from connector.model import (
    ID,
    Agent,
    AgentRef,
    AttributeInfo,
    Description,
    Equality,
    Plan,
    Problem,
    Summary,
    Syntax,
    Tenant,
    User,
    UserRef,
)
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.outside import USERS, told_outside
from connector.reconcile.questions import Find, Query, Read
from connector.reconcile.roster import Roster
from connector.reconcile.stale import Unclaimed
from connector.reconcile.templates import Template

UID = AttributeInfo("uid", Syntax.TEXT, Equality.CASE_IGNORE)
DESCRIPTION = Description("memory", "here", {"uid": UID})
MAPPING = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), (AttributeRule("cn", Template.parse("x")),))
ROSTER = Roster(Tenant([Agent(1, "ANN"), Agent(2, "bob")]), MAPPING, (), DESCRIPTION)
UNMATCHED = {
    0: Problem("unmatched", "no user has uid ANN", AgentRef(1, "ANN")),
    1: Problem("pin", "its pin leads nowhere", AgentRef(2, "bob")),
}
ANN = UserRef("id-ann", "uid=ann")
PLAN = Plan("1", "", "job", "", Summary(), problems=(*UNMATCHED.values(), Problem("stale", "", users=(ANN.name,))))


def asked(users: list[UserRef], *answers: Iterable[User] | Exception) -> tuple[list[Query[Any]], Plan]:
    """What is asked, and the plan that comes of these answers."""
    planning = told_outside(PLAN, [Unclaimed(ref, adopted=frozenset({"cn"})) for ref in users], UNMATCHED, ROSTER)
    questions = []
    waiting = list(answers)
    try:
        questions.append(next(planning))
        while True:
            answer = waiting.pop(0)
            questions.append(planning.throw(answer) if isinstance(answer, Exception) else planning.send(answer))
    except StopIteration as end:
        return questions, end.value


def user(ref: UserRef, name: str = "") -> User:
    return User(ref.id, name or ref.name, {"uid": (ref.name.removeprefix("uid="),)})


def test_nobody_unclaimed_costs_no_question() -> None:
    assert asked([]) == ([], PLAN)


def test_who_is_within_is_not_looked_for_past_base_and_filter() -> None:
    assert asked([ANN], [user(ANN)]) == ([Read([ANN])], PLAN)


def test_who_is_outside_is_named_in_its_own_line_and_in_that_of_its_agent() -> None:
    questions, plan = asked([ANN], [], [user(ANN, "uid=ann,ou=away")])
    assert questions == [Read([ANN]), Find([(ID, ANN.id)], outside=True)]
    assert [problem.outside for problem in plan.problems] == [("uid=ann,ou=away",), (), ("uid=ann,ou=away",)]
    assert plan.about == ()


def test_so_many_are_looked_for() -> None:
    many = [UserRef(f"id-{number:03}", f"uid=u{number:03}") for number in range(USERS + 7)]
    (read, find), plan = asked(many, [], [user(many[0])])
    assert isinstance(read, Read)
    assert isinstance(find, Find)
    assert len(list(read.users)) == len(list(find.keys)) == USERS == 50
    assert plan.about == (("outside", "looked for, for 50 users of ours; 7 more are left out"),)


def test_where_nobody_may_look_the_plan_says_so_and_stands() -> None:
    _, plan = asked([ANN], [], DeniedError("no", where="there"))
    assert plan.problems == PLAN.problems
    assert plan.about == (("outside", "users past base and filter could not be looked for: there: no"),)


def test_where_users_within_reach_cannot_be_read_there_is_no_plan() -> None:
    with pytest.raises(DeniedError):
        asked([ANN], DeniedError("no", where="there"))
