"""Modifications in flight: how many at once, never two of one entry, one outcome each, whatever the server does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import pytest

from connector.directories.common.ldap_filters import parse_filter
from connector.directories.ldap import ber, requests
from connector.directories.ldap.adapter import ChangeQueue
from connector.directories.ldap.requests import ASSERTION, POST_READ
from connector.directories.ldap.session import NOTICE_OF_DISCONNECTION
from connector.errors import UnreachableError
from connector.model import AttributeChange, Change, Holds, Outcome, Question, Result, Secret, User, UserRef, View
from tests.support.ldap_line import BASE, Asked, Attributes, Line, change, entry, person, post_read, writer

Script = Callable[[Line], object]
Open = Callable[..., Line]
NUMBER = AttributeChange("employeeNumber", (), ("7",))


@pytest.fixture
def server() -> Iterator[Open]:
    """Connections to servers that do as their script says, and have these controls."""
    lines: list[Line] = []

    def opened(script: Script, *controls: str) -> Line:
        lines.append(Line(script, *controls))
        return lines[-1]

    yield opened
    for line in lines:
        line.close()
        line.cut()


def everyone(line: Line) -> None:
    """All are answered with success."""
    for asked in line.waiting.copy():
        line.answer(asked)


def one(line: Line) -> None:
    """The first is answered with success."""
    line.answer(line.waiting[0])


def after(number: int, act: Script, script: Script = one) -> Script:
    """As the script says, so often; then otherwise."""
    times = iter(range(number))
    return lambda line: script(line) if next(times, None) is not None else act(line)


def results(outcomes: Iterable[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def names(outcomes: Iterable[Outcome]) -> list[UserRef]:
    return [outcome.user for outcome in outcomes]


# ---------------------------------------------------------------- how many at once


@pytest.mark.parametrize(
    ("window", "waits"),
    [
        (1, [1] * 6),
        (2, [2] * 5 + [1]),
        (4, [4, 4, 4, 3, 2, 1]),
        (8, [6, 5, 4, 3, 2, 1]),
    ],
)
def test_a_small_window_is_filled_with_every_answer(server: Open, window: int, waits: list[int]) -> None:
    line = server(one, ASSERTION)
    outcomes = list(writer(line, window=window).write_queue(ChangeQueue(map(change, range(6)))))
    assert names(outcomes) == [person(number) for number in range(6)]
    assert results(outcomes) == [Result.WRITTEN] * 6
    assert line.waits == waits


@pytest.mark.parametrize(("window", "some"), [(8, 2), (12, 3), (64, 16), (100, 25)])
def test_a_larger_window_is_filled_again_when_there_is_room_for_some(server: Open, window: int, some: int) -> None:
    line = server(one, ASSERTION)
    count = window + 2 * some
    assert len(list(writer(line, window=window).write_queue(ChangeQueue(map(change, range(count)))))) == count
    full = [window - number for number in range(some)]
    assert line.waits == full * 3 + list(range(window - some, 0, -1))
    assert max(line.waits) == window


@pytest.mark.parametrize(("controls", "most"), [((ASSERTION,), 100), ((), 64)])
def test_where_users_are_read_before_fewer_are_written_at_once(
    server: Open, controls: tuple[str, ...], most: int
) -> None:
    line = server(everyone, *controls)
    outcomes = list(writer(line, window=100, read=shown).write_queue(ChangeQueue(map(change, range(150)))))
    assert results(outcomes) == [Result.WRITTEN] * 150
    assert line.waits[0] == max(line.waits) == most


def shown(users: Iterable[UserRef]) -> Iterator[User]:
    """As nothing has been changed."""
    return (User(user.id, user.name, {}) for user in users)


def test_the_next_are_sent_before_an_outcome_is_handed_on(server: Open) -> None:
    """Whoever takes the outcomes may be slow with them; the server has something to do meanwhile."""
    line = server(one, ASSERTION)
    outcomes = writer(line, window=4).write_queue(ChangeQueue(map(change, range(9))))
    came = []
    for _ in outcomes:
        line.take()
        came.append(len(line.came))
    assert came == [5, 6, 7, 8, 9, 9, 9, 9, 9]


def test_of_many_changes_some_are_sent_while_the_others_are_made_ready(server: Open) -> None:
    line = server(everyone, ASSERTION)
    drawn: list[int] = []
    sent: list[int] = []

    def covers(name: str) -> bool:
        line.take()
        sent.append(len(line.came))
        return bool(name)

    def changes() -> Iterator[Change]:
        for number in range(40):
            line.take()
            drawn.append(len(line.came))
            yield Change(UserRef(f"{number}", f"uid=u{number},ou=o{number},{BASE}"), None, 1, (NUMBER,))

    outcomes = writer(line, window=40, covers=covers).write_queue(ChangeQueue(changes()))
    assert drawn == []
    assert len(list(outcomes)) == 40
    assert sent == [0] * 16 + [16] * 16 + [32] * 8
    assert drawn == sent, "one may have to be noted before it is handed out, which takes time"


# ---------------------------------------------------------------- one entry


def test_a_second_change_of_an_entry_waits_for_the_answer_to_the_first(server: Open) -> None:
    line = server(everyone, ASSERTION)
    first, second = person(1), UserRef("id-1", f"uid=renamed,{BASE}")
    same_name = UserRef("id-9", f"UID=U2,{BASE}")
    users = [first, person(2), second, person(3), same_name, person(4)]
    outcomes = list(writer(line).write_queue(ChangeQueue(Change(user, None, 1, (NUMBER,)) for user in users)))
    assert names(outcomes) == users
    assert line.waits == [2, 4]  # the second waits, and all behind it; that of a name that is free again goes with them


def test_a_change_behind_one_that_is_not_sent_need_not_wait(server: Open) -> None:
    line = server(everyone, ASSERTION)
    nothing = AttributeChange("employeeNumber", ("7",), ("7",))
    forbidden = AttributeChange("employeeNumber", (), ("1", "2"))
    beyond = Change(UserRef("id-3", f"uid=u3,ou=beyond,{BASE}"), None, 1, (NUMBER,))
    changes = [change(1, nothing), change(1), change(2, forbidden), change(2), beyond, beyond]
    outcomes = list(writer(line, covers=lambda name: "beyond" not in name).write_queue(ChangeQueue(changes)))
    assert sorted((outcome.user.id, outcome.result, outcome.why) for outcome in outcomes) == [
        ("id-1", Result.UNCHANGED, "there is nothing to change"),
        ("id-1", Result.WRITTEN, ""),
        ("id-2", Result.FAILED, "employeeNumber can hold one value only"),
        ("id-2", Result.WRITTEN, ""),
        ("id-3", Result.CONFLICT, "the entry is not below the base"),
        ("id-3", Result.CONFLICT, "the entry is not below the base"),
    ]
    assert [asked.name for asked in line.came] == [person(1).name, person(2).name]


def test_no_change_at_all_has_no_outcome_and_asks_nothing(server: Open) -> None:
    line = server(everyone, ASSERTION)
    assert list(writer(line).write_queue(ChangeQueue([]))) == []
    assert line.came == []


# ---------------------------------------------------------------- a connection that ends


def cut(line: Line) -> None:
    line.cut()


def farewell(line: Line) -> None:
    """The notice of disconnection (RFC 4511 §4.4.1)."""
    parts = [
        ber.encode_integer(52, ber.ENUMERATED),
        ber.encode_tlv(4, b""),
        ber.encode_tlv(4, b"busy"),
        ber.encode_tlv(0x8A, _NOTICE),
    ]
    line.say(0, ber.encode_sequence(parts, 0x78))


_NOTICE = NOTICE_OF_DISCONNECTION.encode()


def of_nothing(line: Line) -> None:
    line.say(
        4711,
        ber.encode_sequence(
            [ber.encode_integer(0, ber.ENUMERATED), ber.encode_tlv(4, b""), ber.encode_tlv(4, b"")], 0x67
        ),
    )


def of_a_search(line: Line) -> None:
    line.say(line.waiting[0].number, entry(line.waiting[0].name, {}))


def noise(line: Line) -> None:
    line.other.send(b"HTTP/1.1 400 Bad Request\r\n")


def silence(line: Line) -> None:
    line.quiet = True


ENDS: dict[str, tuple[Script, str]] = {
    "cut": (cut, "closed the connection"),
    "farewell": (farewell, "unavailable (52): busy"),
    "an answer to nothing": (of_nothing, "which was never sent"),
    "an answer to a search": (of_a_search, "no search"),
    "noise": (noise, "no LDAP message"),
    "silence": (silence, "no answer for"),
}


@pytest.mark.parametrize("answered", [0, 1, 2, 5])
@pytest.mark.parametrize("end", ENDS)
def test_when_no_answers_come_any_more_every_change_has_one_outcome_all_the_same(
    server: Open, end: str, answered: int
) -> None:
    act, said = ENDS[end]
    line = server(after(answered, act), ASSERTION)
    outcomes = list(
        writer(line, window=4, timeout=0.1 if end == "silence" else 5).write_queue(ChangeQueue(map(change, range(9))))
    )
    assert sorted(names(outcomes)) == [person(number) for number in range(9)]
    flying = min(4, 9 - answered)
    expected = [Result.WRITTEN] * answered + [Result.FAILED] * flying + [Result.SKIPPED] * (9 - answered - flying)
    assert results(outcomes) == expected
    assert [outcome.unknown for outcome in outcomes] == [result is Result.FAILED for result in expected]
    for outcome in outcomes[answered:]:
        begin = "no answer: it may have been written (" if outcome.unknown else "not sent ("
        assert outcome.why.startswith(begin)
        assert said in outcome.why


def test_what_was_answered_just_before_the_end_is_told_as_it_was_answered(server: Open) -> None:
    def last_words(line: Line) -> None:
        for asked in line.waiting[:3]:
            line.answer(asked)
        line.cut()

    line = server(last_words, ASSERTION)
    outcomes = list(writer(line, window=4).write_queue(ChangeQueue(map(change, range(6)))))
    # the two that are sent when three have answered may have arrived before the end
    assert results(outcomes[:3]) == [Result.WRITTEN] * 3
    assert sorted(names(outcomes)) == [person(number) for number in range(6)]
    assert {outcome.result for outcome in outcomes[3:]} <= {Result.FAILED, Result.SKIPPED}


def test_nonsense_among_answers_leaves_all_that_came_with_it_unanswered(server: Open) -> None:
    def script(line: Line) -> None:
        asked = line.waiting[0]
        line.answer(line.waiting[1])
        line.say(asked.number, ber.encode_sequence([ber.encode_integer(0)], 0x67))

    line = server(script, ASSERTION)
    outcomes = list(writer(line, window=4).write_queue(ChangeQueue(map(change, range(3)))))
    assert results(outcomes) == [Result.FAILED] * 3
    assert all(outcome.unknown for outcome in outcomes)


def test_whoever_stops_listening_ends_the_writing(server: Open) -> None:
    """What is in flight is given up, and nothing else is sent."""
    line = server(one, ASSERTION)
    outcomes = writer(line, window=4).write_queue(ChangeQueue(map(change, range(9))))
    assert next(outcomes).result is Result.WRITTEN
    outcomes.close()  # type: ignore[attr-defined]  # a generator, as the port does not say
    line.take()
    assert len(line.came) == 5


def test_what_was_given_up_is_told_to_the_server_and_to_nobody_else(server: Open) -> None:
    line = server(one, ASSERTION)
    writes = writer(line, window=4)
    first = writes.write_queue(ChangeQueue(map(change, range(9))))
    next(first)
    first.close()  # type: ignore[attr-defined]  # a generator, as the port does not say
    assert names(writes.write_queue(ChangeQueue([change(20)]))) == [person(20)]
    assert line.given_up == [asked.number for asked in line.came[1:5]]


# ---------------------------------------------------------------- read just before


def test_without_assertions_entries_are_read_just_before_they_are_written_and_those_that_differ_are_not(
    server: Open,
) -> None:
    old = AttributeChange("employeeNumber", ("7",), ("8",))
    now = {
        person(1): User("id-1", person(1).name, {"employeeNumber": ("7",)}),
        person(2): User("id-2", person(2).name, {"employeeNumber": ("9",)}),
        person(3): User("id-3", f"uid=other,{BASE}", {"employeeNumber": ("7",)}),
        person(5): User("id-5", person(5).name.upper(), {"employeeNumber": ("7",), "description": ("theirs",)}),
    }
    asked: list[list[UserRef]] = []

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        asked.append(list(users))
        return (now[user] for user in reversed(asked[-1]) if user in now)

    line = server(everyone)
    outcomes = list(
        writer(line, window=3, read=read).write_queue(ChangeQueue(change(number, old) for number in range(1, 6)))
    )
    by_user = {outcome.user.id: outcome for outcome in outcomes}
    assert {id_: outcome.result for id_, outcome in by_user.items()} == {
        "id-1": Result.WRITTEN, "id-2": Result.CONFLICT, "id-3": Result.CONFLICT, "id-4": Result.CONFLICT,
        "id-5": Result.WRITTEN,
    }  # fmt: skip
    assert len(outcomes) == 5
    assert "employeeNumber changed since the plan" in by_user["id-2"].why
    assert "the entry was renamed" in by_user["id-3"].why
    assert "gone" in by_user["id-4"].why
    assert [person(number) for number in range(1, 6)] == [user for some in asked for user in some]
    assert [asked.name for asked in line.came] == [person(1).name, person(5).name]
    assert all(not asked.controls for asked in line.came)


def test_with_assertions_nobody_is_read(server: Open) -> None:
    def read(users: Iterable[UserRef]) -> Iterator[User]:
        raise AssertionError

    line = server(everyone, ASSERTION)
    assert results(writer(line, read=read).write_queue(ChangeQueue([change(1)]))) == [Result.WRITTEN]


# ---------------------------------------------------------------- what no filter says

FAX = AttributeChange("facsimileTelephoneNumber", ("1",), ("2",), pattern="*")


def marked(*marks: str, **held: str) -> Callable[[Iterable[UserRef]], Iterator[User]]:
    """Users as they were planned for, each time under the next mark; `asked` says whom."""
    left = iter(marks)

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        mark = next(left)
        for user in users:
            values = {"facsimileTelephoneNumber": (held.get(mark, "1"),), "entryCSN": (mark,)}
            yield User(user.id, user.name, values if mark else {"facsimileTelephoneNumber": ("1",)})

    return read


def asserted(asked: Asked) -> list[str]:
    """The marks in an assertion."""
    return re.findall(r"mark-\d", asked.controls[ASSERTION][1].decode("latin-1"))


def refuse(line: Line) -> None:
    """An assertion failed."""
    line.answer(line.waiting[0], 122)


def test_a_value_without_an_equality_rule_is_read_first_and_the_entrys_mark_is_asserted(server: Open) -> None:
    line = server(everyone, ASSERTION)
    asked: list[str] = []

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        wanted = list(users)
        asked.extend(user.id for user in wanted)
        return marked("mark-1")(wanted)

    changes = [change(1), change(2, FAX), change(3), change(4, NUMBER, FAX)]
    assert results(writer(line, read=read).write_queue(ChangeQueue(changes))) == [Result.WRITTEN] * 4
    assert asked == ["id-2", "id-4"], "whoever gets another attribute is not read"
    assert [asserted(each) for each in line.came] == [[], ["mark-1"], [], ["mark-1"]]


def test_where_the_mark_alone_has_moved_it_is_read_and_sent_once_more(server: Open) -> None:
    line = server(after(1, everyone, refuse), ASSERTION)
    outcomes = list(writer(line, read=marked("mark-1", "mark-2")).write_queue(ChangeQueue([change(1, FAX)])))
    assert results(outcomes) == [Result.WRITTEN]
    assert [asserted(each) for each in line.came] == [["mark-1"], ["mark-2"]]


def test_where_it_moves_again_it_is_a_conflict_and_no_endless_race(server: Open) -> None:
    line = server(refuse, ASSERTION)
    read = marked("mark-1", "mark-2", "mark-3", "mark-4")
    (first, second) = writer(line, read=read).write_queue(ChangeQueue([change(1, FAX), change(1, FAX)]))
    assert (first.result, second.result) == (Result.CONFLICT, Result.CONFLICT)
    assert "twice" in first.why
    assert len(line.came) == 4, "the next change of this user has two tries of its own"


def test_where_the_value_is_another_by_now_it_is_not_sent_again(server: Open) -> None:
    line = server(refuse, ASSERTION)
    read = marked("mark-1", "mark-2", **{"mark-2": "theirs"})
    (outcome,) = writer(line, read=read).write_queue(ChangeQueue([change(1, FAX)]))
    assert (outcome.result, outcome.why) == (Result.CONFLICT, "facsimileTelephoneNumber changed since the plan")
    assert len(line.came) == 1


def test_a_failed_assertion_of_other_values_is_a_conflict_at_once(server: Open) -> None:
    line = server(refuse, ASSERTION)
    old = AttributeChange("employeeNumber", ("7",), ("8",))
    (outcome,) = writer(line, read=marked()).write_queue(ChangeQueue([change(1, old)]))
    assert (outcome.result, outcome.why) == (Result.CONFLICT, "the entry is no longer as planned")


@pytest.mark.parametrize(
    ("answer", "sent", "why"),
    [
        (Holds.ABSENT, 2, ""),
        (Holds.OTHER, 1, "employeeNumber may have a value that this account cannot read"),
        (Holds.UNKNOWN, 1, "employeeNumber may have a value that this account cannot read"),
    ],
)
def test_where_no_value_cannot_be_asserted_it_is_asked_about_and_the_mark_asserted(
    server: Open, answer: Holds, sent: int, why: str
) -> None:
    """As of a user with `employeeNumber;lang-de`, which "no employeeNumber" counts."""
    line = server(after(1, everyone, refuse), ASSERTION)
    asked: list[Question] = []

    def holds(questions: Iterable[Question]) -> Iterator[Holds]:
        asked.extend(questions)
        return iter([answer])

    description = AttributeChange("description", (), ("x:1",), pattern="x:*")

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        return (User(user.id, user.name, {"entryCSN": ("mark-2",), "description": ("theirs",)}) for user in users)

    (outcome,) = writer(line, read=read, holds=holds).write_queue(ChangeQueue([change(1, NUMBER, description)]))
    assert outcome.why == why
    assert outcome.result is (Result.CONFLICT if why else Result.WRITTEN)
    assert [(each.attribute, each.value) for each in asked] == [("employeeNumber", "7")], "who shows others shows all"
    assert len(line.came) == sent
    if not why:
        first, second = (each.controls[ASSERTION][1] for each in line.came)
        assert (b"employeeNumber" in first, b"employeeNumber" in second) == (True, False)
        assert asserted(line.came[1]) == ["mark-2"]


def test_without_a_mark_it_is_read_first_all_the_same(server: Open) -> None:
    line = server(everyone, ASSERTION)
    assert results(writer(line, read=marked("")).write_queue(ChangeQueue([change(1, FAX)]))) == [Result.WRITTEN]
    assert asserted(line.came[0]) == []


def test_who_cannot_be_read_again_is_a_conflict_and_all_others_have_their_outcomes(server: Open) -> None:
    calls = iter([marked("mark-1")])

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        found = next(calls, None)
        if found is None:
            raise UnreachableError("gone")
        return found(users)

    def script(line: Line) -> None:
        line.answer(line.waiting[0], 122 if line.waiting[0].name == person(1).name else 0)

    line = server(script, ASSERTION)
    outcomes = list(writer(line, read=read).write_queue(ChangeQueue([change(0), change(1, FAX), change(2)])))
    assert {outcome.user.id: outcome.result for outcome in outcomes} == {
        "id-0": Result.WRITTEN, "id-1": Result.CONFLICT, "id-2": Result.WRITTEN,
    }  # fmt: skip


def test_where_entries_cannot_be_read_any_more_every_change_has_one_outcome_all_the_same(server: Open) -> None:
    calls = iter([shown, shown])

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        found = next(calls, None)
        if found is None:
            raise UnreachableError("gone")
        return found(users)

    line = server(one)
    outcomes = list(writer(line, window=2, read=read).write_queue(ChangeQueue(map(change, range(7)))))
    assert [(outcome.user.id, outcome.result, outcome.unknown) for outcome in outcomes] == [
        ("id-0", Result.WRITTEN, False), ("id-1", Result.WRITTEN, False), ("id-2", Result.FAILED, True),
        ("id-3", Result.SKIPPED, False), ("id-4", Result.SKIPPED, False), ("id-5", Result.SKIPPED, False),
        ("id-6", Result.SKIPPED, False),
    ]  # fmt: skip
    assert all("gone" in outcome.why for outcome in outcomes[2:])


# ---------------------------------------------------------------- controls, and what they show


def test_a_change_asserts_what_the_plan_saw_and_asks_for_what_was_written(server: Open) -> None:
    line = server(everyone, ASSERTION, POST_READ)
    attributes = (
        AttributeChange("employeeNumber", ("7",), ("8",)),
        AttributeChange("description", ("a", "b"), ("b", "c"), pattern="*"),
    )
    outcomes = list(
        writer(line, filter_="(&(uid=*)(|(sn=x)(Mail=*)))").write_queue(ChangeQueue([change(1, *attributes)]))
    )
    assert results(outcomes) == [Result.WRITTEN]
    (asked,) = line.came
    assert asked.name == person(1).name
    assert asked.edits == [
        ("delete", "employeeNumber", [b"7"]),
        ("add", "employeeNumber", [b"8"]),
        ("delete", "description", [b"a"]),
        ("add", "description", [b"c"]),
    ]
    asserted = requests.encode_filter(
        parse_filter("(&(entryUUID=id-1)(&(uid=*)(|(sn=x)(Mail=*)))(employeeNumber=7)(description=a)(description=b))")
    )
    assert asked.controls[ASSERTION] == (True, asserted)
    critical, wanted = asked.controls[POST_READ]
    names_of = [name.encode() for name in ("employeeNumber", "description", "Mail", "sn", "uid", "entryUUID")]
    assert not critical
    assert wanted == ber.encode_sequence(ber.encode_tlv(4, name) for name in names_of)


@pytest.mark.parametrize("controls", [(), (ASSERTION,), (POST_READ,), (ASSERTION, POST_READ)])
def test_no_control_is_used_that_the_server_does_not_know(server: Open, controls: tuple[str, ...]) -> None:
    line = server(everyone, *controls)
    assert results(writer(line, read=shown).write_queue(ChangeQueue([change(1)]))) == [Result.WRITTEN]
    assert set(line.came[0].controls) == set(controls)


def test_the_result_is_not_asked_for_where_only_the_server_could_judge_it(server: Open) -> None:
    line = server(everyone, POST_READ)
    outcomes = list(writer(line, read=shown, filter_="(ou:dn:=people)").write_queue(ChangeQueue([change(1)])))
    assert (results(outcomes), outcomes[0].shown) == ([Result.WRITTEN], None)
    assert line.came[0].controls == {}


def test_what_a_server_shows_unasked_is_not_believed_where_only_the_server_could_judge_it(server: Open) -> None:
    line = server(lambda line: line.answer(line.waiting[0], control=post_read(person(1).name, HELD)), POST_READ)
    (outcome,) = writer(line, read=shown, filter_="(ou:dn:=people)").write_queue(ChangeQueue([change(1)]))
    assert (outcome.result, outcome.shown) == (Result.WRITTEN, None)


HELD: Attributes = {"entryUUID": ["id-1"], "uid": ["u1"], "employeeNumber": ["7"]}


@pytest.mark.parametrize(
    ("filter_", "held", "is_shown"),
    [
        ("(uid=*)", HELD, True),
        ("(uid=*)", {**HELD, "ENTRYUUID": ["id-1"], "entryUUID": ["id-1"]}, False),
        ("(uid=*)", {**HELD, "entryUUID": ["id-2"]}, False),
        ("(uid=*)", {name: held for name, held in HELD.items() if name != "entryUUID"}, False),
        ("(uid=*)", {name: held for name, held in HELD.items() if name != "uid"}, False),
        ("(userid=U1)", HELD, True),
        ("(!(employeeNumber=7))", HELD, False),
        ("(&(uid=*)(mail=x))", HELD, False),
        ("(objectClass=person)", {**HELD, "objectClass": ["top", "PERSON"]}, True),
        ("(objectClass=person)", {**HELD, "objectClass": ["top"]}, False),
        ("(objectClass=person)", HELD, False),
        ("(&(objectClass=top)(uid=u1))", {**HELD, "objectClass": ["top"]}, True),
        ("(!(objectClass=agent))", {**HELD, "objectClass": ["agent"]}, False),
    ],
)
def test_an_answer_shows_the_user_only_where_it_plainly_is_that_user_and_in_the_filter(
    server: Open, filter_: str, held: Attributes, *, is_shown: bool
) -> None:
    line = server(lambda line: line.answer(line.waiting[0], control=post_read(person(1).name, held)), POST_READ)
    (outcome,) = writer(line, filter_=filter_, read=shown).write_queue(ChangeQueue([change(1)]))
    assert outcome.result is Result.WRITTEN
    if not is_shown:
        assert outcome.shown is None
        return
    assert outcome.shown is not None
    assert outcome.shown.ref == person(1)
    values = {name: some for name, some in outcome.shown.values.items() if name != "objectClass"}
    assert values == {"uid": ("u1",), "employeeNumber": ("7",)}


@pytest.mark.parametrize("control", [b"", b"\x30\x00", post_read(person(1).name, HELD)[:-1] + b"\x00"])
def test_an_answer_that_shows_nothing_or_nonsense_is_a_yes_without_a_user(server: Open, control: bytes) -> None:
    value = ber.encode_sequence([ber.encode_tlv(4, POST_READ.encode()), ber.encode_tlv(4, control)])
    line = server(lambda line: line.answer(line.waiting[0], control=value), ASSERTION, POST_READ)
    (outcome,) = writer(line).write_queue(ChangeQueue([change(1)]))
    assert (outcome.result, outcome.shown) == (Result.WRITTEN, None)


def test_an_answer_that_is_a_no_shows_nobody_and_is_what_the_server_says(server: Open) -> None:
    control = post_read(person(1).name, HELD)
    line = server(lambda line: line.answer(line.waiting[0], 53, "not now", control), ASSERTION, POST_READ)
    (outcome,) = writer(line).write_queue(ChangeQueue([change(1)]))
    assert outcome == Outcome(person(1), Result.FAILED, "unwillingToPerform (53): not now")


def test_what_is_shown_of_a_secret_is_wrapped(server: Open) -> None:
    view = View(("uid", "userPassword"), frozenset({"userPassword"}))
    held = {**HELD, "userPassword": ["canary"]}
    line = server(lambda line: line.answer(line.waiting[0], control=post_read(person(1).name, held)), POST_READ)
    (outcome,) = writer(line, view=view, read=shown).write_queue(ChangeQueue([change(1)]))
    assert outcome.shown is not None
    assert outcome.shown.values["userPassword"] == (Secret("canary"),)
    assert "canary" not in repr(outcome)


SEAT, OFF = AttributeChange("employeeNumber", ("6",), ("7",)), AttributeChange("employeeNumber", ("7",), ())
BARE: Attributes = {name: held for name, held in HELD.items() if name != "employeeNumber"}


@pytest.mark.parametrize(
    ("earlier", "seat", "held", "is_shown"),
    [
        ([], OFF, BARE, False),
        ([HELD], OFF, BARE, True),
        ([BARE], OFF, BARE, False),
        ([HELD, BARE], OFF, BARE, True),
        ([], OFF, HELD, True),
        ([], SEAT, BARE, True),
    ],
)
def test_that_an_answer_shows_no_value_is_believed_where_answers_have_shown_some(
    server: Open, earlier: list[Attributes], seat: AttributeChange, held: Attributes, *, is_shown: bool
) -> None:
    """Else it may be one that answers never show. Of a value that was set, the verdict says that it is missing."""
    answers = iter([*earlier, held])

    def next_one(line: Line) -> None:
        line.answer(line.waiting[0], control=post_read(person(1).name, next(answers)))

    by = writer(server(next_one, ASSERTION, POST_READ), window=1)
    *_, (outcome,) = [list(by.write_queue(ChangeQueue([change(1, each)]))) for each in (*(SEAT for _ in earlier), seat)]
    assert outcome.result is Result.WRITTEN
    assert (outcome.shown is not None) == is_shown


def test_a_value_that_is_there_already_is_a_conflict_with_advice_on_rights(server: Open) -> None:
    line = server(lambda line: line.answer(line.waiting[0], 20), ASSERTION)
    (outcome,) = writer(line).write_queue(ChangeQueue([change(0)]))
    assert outcome.result is Result.CONFLICT
    assert "already there" in outcome.why
    assert "the right to read employeeNumber" in outcome.why
