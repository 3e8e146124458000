"""Which attributes answers to writes do not show, as the report tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from connector.directories.common.ldap_filters import parse_filter
from connector.directories.ldap.adapter import PostRead
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import POST_READ
from connector.directories.ldap.responses import Response
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.model import AttributeChange, User
from tests.support.ldap_line import BASE, VIEW, WHERE, Attributes, Line, change, entry, person

SHOWN: Attributes = {"entryUUID": ["id-1"], "uid": ["u1"]}
SEAT = AttributeChange("employeeNumber", ("6",), ("7",))
NOTE = AttributeChange("description", (), ("new",))
OFF = AttributeChange("employeeNumber", ("7",), ())


@pytest.fixture
def reading() -> Iterator[PostRead]:
    line = Line(lambda line: None, POST_READ)
    inspection = Inspection(Wire(line, WHERE, 5), BASE)
    yield PostRead(inspection, UserDecoder(VIEW, inspection), parse_filter("(uid=*)"))
    line.close()
    line.cut()


def answered(reading: PostRead, held: Attributes, *attributes: AttributeChange) -> User | None:
    shown = entry(person(1).name, {**SHOWN, **held})
    return reading.read_user(change(1, *attributes), Response(0, controls={POST_READ: shown}))


def cautions(reading: PostRead, answers: Iterable[tuple[Attributes, tuple[AttributeChange, ...]]]) -> list[str]:
    for held, attributes in answers:
        answered(reading, held, *attributes)
    return list(reading.list_cautions())


def test_what_is_shown_as_written_is_nothing_to_tell(reading: PostRead) -> None:
    assert answered(reading, {"employeeNumber": ["7"]}, SEAT) is not None
    assert list(reading.list_cautions()) == []


def test_what_was_set_and_is_not_shown_is_told_once_and_in_order(reading: PostRead) -> None:
    (said,) = cautions(reading, [({}, (SEAT, NOTE)), ({}, (SEAT,)), ({"employeeNumber": ["7"]}, (SEAT,))])
    assert "did not show description, employeeNumber as written" in said


def test_what_was_cleared_and_is_not_shown_is_as_it_should_be(reading: PostRead) -> None:
    assert cautions(reading, [({}, (OFF,))]) == []


def test_a_secret_need_not_be_shown(reading: PostRead) -> None:
    secret = AttributeChange("description", (), ("new",), secret=True)
    assert cautions(reading, [({}, (secret,))]) == []


def test_an_answer_of_somebody_else_tells_nothing(reading: PostRead) -> None:
    assert answered(reading, {"entryUUID": ["id-2"]}, SEAT) is None
    assert list(reading.list_cautions()) == []
