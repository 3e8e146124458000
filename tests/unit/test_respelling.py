"""Whose a value is that the directory shows in another spelling than it was sent."""

from __future__ import annotations

from typing import cast

import pytest
from msgspec.structs import replace

from connector.apply.respelling import SpellingJudge, UnconfirmedWrite
from connector.directories.port import Directory
from connector.model import (
    AttributeChange,
    AttributeInfo,
    Change,
    Description,
    Outcome,
    Result,
    User,
    UserRef,
)

REF = UserRef("id-1", "uid=u1,dc=example")
CHANGE = Change(REF, None, 1, (AttributeChange("mail", ("old",), ("sent",)),))
LOST = Outcome(REF, Result.FAILED, "not shown as written", lost=("mail",))


def judged(spelling: SpellingJudge, change: Change, shown: User, lost: Outcome) -> Outcome:
    respellings = spelling.find_respellings(change, shown, lost.lost)
    assert respellings
    write = UnconfirmedWrite(change, Outcome(REF, Result.WRITTEN), lost, respellings=respellings)
    ((_, outcome),) = spelling.judge_writes([write], again=True)
    return outcome


class Contested:
    """Somebody else has written `theirs` after the first write; the second one is stored as it was sent."""

    def __init__(self, put_back: Result) -> None:
        self._results = [Result.WRITTEN, put_back]

    def write(self, changes: list[Change]) -> list[Outcome]:
        return [Outcome(each.user, self._results.pop(0), "insufficient access") for each in changes]

    def read(self, users: list[UserRef], *, disabled: bool) -> list[User]:
        assert disabled
        return [User(each.id, each.name, {"mail": ("sent",)}) for each in users]

    def holds(self, questions: list[object]) -> list[None]:
        return [None for _ in questions]


@pytest.mark.parametrize(
    ("put_back", "result", "said"),
    [
        (Result.WRITTEN, Result.CONFLICT, "that value stays"),
        (Result.FAILED, Result.FAILED, "which has replaced that value. It cannot be put back: insufficient access"),
    ],
)
def test_a_value_that_cannot_be_put_back_is_not_told_to_stay(put_back: Result, result: Result, said: str) -> None:
    description = Description("test", "test", {"mail": AttributeInfo("mail")})
    spelling = SpellingJudge(cast("Directory", Contested(put_back)), description, lambda user, name, value: "")
    shown = User(REF.id, REF.name, {"mail": ("theirs",)})
    outcome = judged(spelling, CHANGE, shown, LOST)
    assert outcome.result is result
    assert said in outcome.why
    assert outcome.lost == ("mail",)


class Changed:
    """Somebody else writes `theirs` to one of two attributes before the second write, which is a conflict."""

    def write(self, changes: list[Change]) -> list[Outcome]:
        return [Outcome(each.user, Result.CONFLICT) for each in changes]

    def read(self, users: list[UserRef], *, disabled: bool) -> list[User]:
        assert disabled
        return [User(each.id, each.name, {"mail": ("stored",), "title": ("theirs",)}) for each in users]

    def holds(self, questions: list[object]) -> list[None]:
        return [None for _ in questions]


def test_what_somebody_else_has_changed_before_the_second_write_is_theirs_and_no_more() -> None:
    names = ("mail", "title")
    description = Description("test", "test", {name: AttributeInfo(name) for name in names})
    spelling = SpellingJudge(cast("Directory", Changed()), description, lambda user, name, value: "")
    change = replace(CHANGE, attributes=tuple(AttributeChange(name, ("old",), ("sent",)) for name in names))
    shown = User(REF.id, REF.name, dict.fromkeys(names, ("stored",)))
    outcome = judged(spelling, change, shown, replace(LOST, lost=names))
    assert (outcome.result, outcome.lost) == (Result.CONFLICT, ("title",))
