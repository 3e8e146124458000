"""Whom a look before a write, or after a failed one, is for, and what it finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import pytest

from connector.directories.common.ldap_filters import Equal, parse_filter
from connector.directories.ldap.assertions import UNSEEN, UserLooker, UserSight
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.modifying import FILTER, ChangeModifier
from connector.directories.ldap.requests import ASSERTION
from connector.directories.ldap.wire import Wire
from connector.errors import UnreachableError
from connector.model import ID, AttributeChange, Change, Holds, Question, User, UserRef
from tests.support.ldap_line import BASE, VIEW, WHERE, Line, change, person

FAX = "facsimileTelephoneNumber"
"""An attribute without an equality rule."""
ALL = (ID, FILTER, *VIEW.attributes)
MARK = Equal("entryCSN", b"csn-1")
SEAT = AttributeChange("employeeNumber", ("7",), ("8",))
FIRST = AttributeChange("employeeNumber", (), ("7",))
NOTE = AttributeChange("description", ("old",), ("new",))
CLASS = AttributeChange("objectClass", (), ("cecAgent",))


class Fixture:
    """`shown`: what users are read as, by number; `asked`: whom was read and what was asked about."""

    looker: UserLooker

    def __init__(self) -> None:
        self.shown: dict[int, dict[str, tuple[str, ...]]] = {}
        self.answers: list[Holds] = []
        self.read_: list[str] = []
        self.asked: list[tuple[str, str, object]] = []
        self.fails = False

    def read(self, users: Iterable[UserRef]) -> Iterator[User]:
        if self.fails:
            raise UnreachableError("gone")
        wanted = list(users)
        self.read_ += [user.id for user in wanted]
        return (User(person(n).id, person(n).name, held) for n, held in self.shown.items() if person(n) in wanted)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        asked = list(questions)
        self.asked += [(each.user.id, each.attribute, each.value) for each in asked]
        return iter(self.answers[: len(asked)])

    def before(self, *changes: Change) -> dict[str, UserSight]:
        return self.looker.look_before(changes)

    def again(self, *changes: Change) -> dict[str, UserSight]:
        return self.looker.look_again(changes)


@contextmanager
def looking(
    *controls: str,
    proven: Collection[str] = ALL,
    refuted: Collection[str] = (),
) -> Iterator[Fixture]:
    line = Line(lambda line: None, *controls)
    wire = Wire(line, WHERE, 5)
    inspection = Inspection(wire, BASE)
    modifier = ChangeModifier(inspection.dialect, parse_filter("(uid=*)"), inspection.info, inspection.has_substrings)
    fixture = Fixture()
    fixture.looker = UserLooker(wire, modifier, fixture.read, fixture.holds)
    fixture.looker.proven |= set(proven)
    fixture.looker.refuted |= set(refuted)
    try:
        yield fixture
    finally:
        line.close()
        line.cut()


@pytest.mark.parametrize(
    ("controls", "proven", "refuted", "reads_most"),
    [
        ((), ALL, (), True),
        ((ASSERTION,), ALL, (), False),
        ((ASSERTION,), (), (), True),
        ((ASSERTION,), ALL, ("description",), True),
    ],
)
def test_most_users_are_looked_at_unless_assertions_say_enough(
    controls: tuple[str, ...], proven: Collection[str], refuted: Collection[str], *, reads_most: bool
) -> None:
    with looking(*controls, proven=proven, refuted=refuted) as fixture:
        assert fixture.looker.reads_most is reads_most


# ---------------------------------------------------------------- before a write


def test_without_the_control_everybody_is_looked_at() -> None:
    with looking() as fixture:
        fixture.shown = {1: {"employeeNumber": ("7",)}, 2: {"employeeNumber": ("9",)}}
        sights = fixture.before(change(1, SEAT), change(2, SEAT), change(3, SEAT))
        assert fixture.read_ == ["id-1", "id-2", "id-3"]
        assert sights["id-1"] == UNSEEN, "this server's entries have no mark in sight"
        assert [sights[id_].why for id_ in ("id-2", "id-3")] == [
            "employeeNumber changed since the plan",
            "the entry is gone, or no longer in base and filter",
        ]


def test_who_changes_what_can_be_asserted_is_not_looked_at() -> None:
    with looking(ASSERTION) as fixture:
        assert fixture.before(change(1, SEAT), change(2, FIRST), change(3, CLASS)) == {}
        assert fixture.read_ == []


def test_nobody_is_read_where_there_is_nobody_to_look_at() -> None:
    with looking() as fixture:
        assert fixture.before() == {}
        assert fixture.again() == {}


@pytest.mark.parametrize(
    ("one", "looked"),
    [
        (AttributeChange(FAX, ("1",), ("2",)), True),
        (AttributeChange(FAX, ("1",), ()), True),
        (AttributeChange(FAX, (), ("2",)), False),
        (AttributeChange(FAX, ("1",), ("2",), seen=False), False),
    ],
)
def test_who_replaces_a_value_that_cannot_be_compared_is_looked_at_and_the_mark_asserted(
    one: AttributeChange, *, looked: bool
) -> None:
    with looking(ASSERTION) as fixture:
        fixture.shown = {1: {FAX: one.old, "entryCSN": ("csn-1",)}}  # type: ignore[dict-item]
        sights = fixture.before(change(1, one), change(2, SEAT))
        assert sights == ({"id-1": UserSight(mark=MARK)} if looked else {})


def test_an_attribute_of_which_no_assertion_is_believed_is_looked_at() -> None:
    with looking(ASSERTION, proven=(ID, FILTER, "employeeNumber")) as fixture:
        fixture.shown = {1: {"description": ("old",), "entryCSN": ("csn-1",)}}
        assert fixture.before(change(1, NOTE), change(2, SEAT)) == {"id-1": UserSight(mark=MARK)}
        assert set(fixture.read_) == {"id-1"}


# ---------------------------------------------------------------- after a failed assertion


@pytest.mark.parametrize(
    ("attributes", "may"),
    [
        ((SEAT,), False),
        ((FIRST,), True),
        ((SEAT, AttributeChange("description", (), ("new",))), True),
        ((AttributeChange(FAX, ("1",), ("2",)),), True),
        ((CLASS,), False),
        ((AttributeChange("employeeNumber", (), ("7",), seen=False),), False),
        ((AttributeChange("employeeNumber", (), ()),), False),
    ],
)
def test_a_user_may_still_be_as_planned_where_no_value_was_asserted(
    attributes: tuple[AttributeChange, ...], *, may: bool
) -> None:
    with looking(ASSERTION) as fixture:
        assert fixture.looker.may_still_hold(change(1, *attributes)) is may


def test_so_may_one_of_whom_nothing_is_proven() -> None:
    with looking(ASSERTION, proven=(ID, FILTER)) as fixture:
        assert fixture.looker.may_still_hold(change(1, SEAT))


def test_what_a_user_does_not_show_is_asked_about_and_then_not_asserted() -> None:
    with looking(ASSERTION) as fixture:
        fixture.shown = {1: {"entryCSN": ("csn-1",)}}
        fixture.answers = [Holds.ABSENT]
        assert fixture.again(change(1, FIRST, CLASS)) == {
            "id-1": UserSight(mark=MARK, absent=frozenset({"employeeNumber"})),
        }  # fmt: skip
        assert fixture.asked == [("id-1", "employeeNumber", "7")]


@pytest.mark.parametrize("answer", [Holds.SAME, Holds.OTHER, Holds.UNKNOWN])
def test_a_value_that_may_be_hidden_keeps_its_user_alone(answer: Holds) -> None:
    with looking(ASSERTION) as fixture:
        fixture.shown = {1: {}, 2: {}, 3: {"employeeNumber": ("9",)}}
        fixture.answers = [answer, Holds.ABSENT]
        sights = fixture.again(change(1, FIRST), change(2, FIRST), change(3, FIRST))
        assert sights["id-1"].why == "employeeNumber may have a value that this account cannot read"
        assert sights["id-2"].why is None
        assert sights["id-3"].why == "employeeNumber changed since the plan"
        assert [user for user, _, _ in fixture.asked] == ["id-1", "id-2"], "who differs is not asked about"


def test_of_an_attribute_that_shows_values_of_others_nothing_is_asked() -> None:
    with looking(ASSERTION) as fixture:
        fixture.shown = {1: {"description": ("theirs",)}}
        ours = AttributeChange("description", (), ("x:1",), pattern="x:*")
        assert fixture.again(change(1, ours)) == {"id-1": UserSight(absent=frozenset({"description"}))}
        assert fixture.asked == []
