"""Whether users hold values that nobody shows: what is asked, and which answer is whose."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connector.directories.common.ldap_filters import Equal, Filter
from connector.directories.ldap import requests, searches
from connector.directories.ldap.requests import ASSERTION
from connector.directories.ldap.wire import Wire
from connector.model import AttributeInfo, Equality, Holds, Question, Secret, Syntax, Value
from tests.support.ldap_line import BASE, WHERE, Attributes, Line, person

Open = Callable[..., Line]


@pytest.fixture
def server() -> Iterator[Open]:
    """Connections to servers that do as their script says."""
    lines: list[Line] = []

    def opened(script: Callable[[Line], object], **entries: Attributes) -> Line:
        lines.append(Line(script, **entries))
        return lines[-1]

    yield opened
    for line in lines:
        line.close()
        line.cut()


def is_user(id_: str) -> Filter:
    return Equal("entryUUID", id_.encode())


def question(number: int, value: Value = b"canary\xff", attribute: str = "userPassword") -> Question:
    return Question(person(number), attribute, Secret(value))


CODES = {6: Holds.SAME, 5: Holds.OTHER, 16: Holds.ABSENT} | dict.fromkeys((50, 32, 122, 0), Holds.UNKNOWN)


@pytest.mark.parametrize("asserted", [True, False])
@pytest.mark.parametrize("window", [1, 3, 64])
def test_answers_to_comparisons_come_in_the_order_of_their_questions_whatever_theirs_is(
    server: Open, window: int, *, asserted: bool
) -> None:
    def backwards(line: Line) -> None:
        for asked in reversed(line.waiting.copy()):
            line.answer(asked, list(CODES)[int(asked.name[5])])

    line = server(backwards)
    questions = (question(number) for number in range(len(CODES)))
    answers = searches.compare_values(Wire(line, WHERE, 5), questions, window, is_user, str.lower, asserted=asserted)
    assert list(answers) == list(CODES.values())
    assert max(line.waits) == min(window, len(CODES))
    for number, asked in enumerate(line.came):
        assert asked.edits == [("compare", "userPassword", [b"canary\xff"])]
        assert asked.name == person(number).name
        assertion = requests.encode_filter(is_user(f"id-{number}"))
        assert asked.controls == ({ASSERTION: (True, assertion)} if asserted else {})


INFOS = {
    "seat": AttributeInfo("seat", Syntax.INTEGER, Equality.INTEGER),
    "number": AttributeInfo("number", readable=None),
    "token": AttributeInfo("token", Syntax.OCTETS, Equality.OCTETS),
}


@pytest.mark.parametrize(
    ("held", "attribute", "value", "answer"),
    [
        ({"seat": ["007"]}, "seat", "7", Holds.OTHER),
        ({"seat": ["8", "7"]}, "seat", "7", Holds.SAME),
        ({"seat": ["8", "9"]}, "seat", "7", Holds.OTHER),
        ({"seat": []}, "seat", "7", Holds.ABSENT),
        ({}, "seat", "7", Holds.ABSENT),
        ({}, "number", "7", Holds.UNKNOWN),
        ({"number": ["A"]}, "number", "a", Holds.SAME),
        ({"token": [b"\xff"]}, "token", b"\xff", Holds.SAME),
        ({"token": [b"a"]}, "token", "a", Holds.SAME),
        ({"token": [b"A"]}, "token", b"a", Holds.OTHER),
        ({"number": [b"\xff"]}, "number", b"\xff", Holds.SAME),
        (None, "seat", "7", Holds.UNKNOWN),
    ],
)
def test_where_comparing_tells_nothing_values_are_read(
    server: Open, held: Attributes | None, attribute: str, value: Value, answer: Holds
) -> None:
    entries = {} if held is None else {"u1": held}
    line = server(lambda line: None, **entries, u2={"seat": ["7"]})
    asked = [question(2, "7", "seat"), question(1, value, attribute), question(2, "8", "seat")]
    answers = searches.read_values(Wire(line, WHERE, 5), iter(asked), 2, is_user, INFOS.__getitem__)
    assert list(answers) == [Holds.SAME, answer, Holds.OTHER]
    assert [(search.name, search.attributes) for search in line.searches] == [
        (f"uid=u{number},{BASE}", [name]) for number, name in ((2, "seat"), (1, attribute), (2, "seat"))
    ]


# ---------------------------------------------------------------- compared, and where that is not enough, searched for


def told(
    server: Open, codes: dict[str, int], held: Attributes | None, *questions: Question, asserted: bool = False
) -> tuple[list[Holds], Line]:
    """The answers of a server that compares by attribute, and shows this of every user."""

    def compares(line: Line) -> None:
        for asked in line.waiting.copy():
            line.answer(asked, codes[asked.edits[0][1]])

    line = server(compares, **({} if held is None else {f"u{number}": held for number in range(4)}))
    wire = Wire(line, WHERE, 5)
    return list(searches.compare_values(wire, iter(questions), 2, is_user, str.lower, asserted=asserted)), line


def seats(*values: Value, attribute: str = "Seat") -> list[Question]:
    return [Question(person(number), attribute, value) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("code", "held", "answer"),
    [
        (6, {"seat": ["7"]}, Holds.SAME),
        (5, {"seat": ["8"]}, Holds.OTHER),
        (5, {}, Holds.OTHER),
        (5, None, Holds.OTHER),
        (5, {"seat;lang-de": ["7"]}, Holds.ABSENT),
        (6, {"seat;lang-de": ["7"]}, Holds.ABSENT),
        (5, {"seat;lang-de": ["7"], "SEAT": ["8"]}, Holds.OTHER),
        (16, {"seat": ["7"]}, Holds.ABSENT),
    ],
)
def test_what_a_user_shows_of_the_attribute_tells_whether_a_value_is_its_own(
    server: Open, code: int, held: Attributes | None, answer: Holds
) -> None:
    answers, line = told(server, {"Seat": code}, held, *seats("7", "7", "7"))
    assert answers == [answer] * 3
    assert [search.attributes for search in line.searches] == ([] if code == 16 else [["Seat"]] * 3)


@pytest.mark.parametrize("code", [18, 50])
@pytest.mark.parametrize(("found", "answer"), [(True, Holds.ABSENT), (False, Holds.UNKNOWN)])
def test_where_comparing_tells_nothing_whoever_has_no_value_is_searched_for(
    server: Open, code: int, found: bool, answer: Holds
) -> None:
    """A search by an attribute that one may not search by finds nobody."""

    def opened(script: Callable[[Line], object], **entries: Attributes) -> Line:
        line = server(script, **entries)
        line.judges = lambda asked: 0 if found or asked.attributes == ["Seat"] else 32
        return line

    answers, line = told(opened, {"Seat": code}, {}, *seats("7", "8"))
    assert answers == [answer] * 2
    assert [search.attributes for search in line.searches] == [["Seat"]] * 2 + [["1.1"]] * 2


@pytest.mark.parametrize("code", CODES)
def test_a_secret_is_compared_and_never_searched_for(server: Open, code: int) -> None:
    answers, line = told(server, {"userPassword": code}, {}, question(1), question(2))
    assert answers == [CODES[code]] * 2
    assert (line.searches, len(line.came)) == ([], 2)


def test_a_secret_among_others_is_left_to_comparing(server: Open) -> None:
    questions = seats("7")[0], question(1), seats("7", "8")[1]
    codes = {"Seat": 5, "userPassword": 5}
    answers, line = told(server, codes, {"seat;lang-de": ["7"]}, *questions, asserted=True)
    assert answers == [Holds.ABSENT, Holds.OTHER, Holds.ABSENT]
    assert len(line.searches) == 2
    assert {ASSERTION in asked.controls for asked in line.came} == {True}
