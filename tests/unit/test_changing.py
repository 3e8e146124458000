"""Compare-and-set where no server does it: what a change needs to find in an entry, and what it leaves there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, strategies as st

from connector.directories.common.entries import ValueEdit, plan_edits
from connector.directories.common.schema import Schema
from connector.model import AttributeChange, Change, Held, Outcome, Result, Secret, UserRef, Value, View
from tests.support.memory import MemoryDirectory, MemoryStore

SYNTAX = "1.3.6.1.4.1.1466.115.121.1"
SCHEMA = Schema([
    f"( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch SYNTAX {SYNTAX}.38 )",
    f"( 1.1 NAME ( 'plate' 'carLicense' ) EQUALITY caseIgnoreMatch SYNTAX {SYNTAX}.15{{8}} )",
    f"( 1.2 NAME 'number' EQUALITY caseExactMatch SYNTAX {SYNTAX}.15 SINGLE-VALUE )",
    f"( 1.3 NAME 'token' EQUALITY octetStringMatch SYNTAX {SYNTAX}.40{{3}} )",
    f"( 1.4 NAME 'seat' EQUALITY integerMatch SYNTAX {SYNTAX}.27 SINGLE-VALUE )",
    f"( 1.5 NAME 'blob' EQUALITY octetStringMatch SYNTAX {SYNTAX}.40 )",
])  # fmt: skip
Values = Mapping[str, Sequence[Value]]
ANNA = UserRef("1", "uid=anna,dc=example")


def of(*attributes: AttributeChange) -> Change:
    return Change(ANNA, None, 1, attributes)


def changed(before: Values, *attributes: AttributeChange) -> tuple[Outcome, dict[str, list[bytes]]]:
    """What becomes of a change, and of the entry, as it is stored."""
    store = MemoryStore({ANNA.id: (ANNA.name, before)}, SCHEMA)
    (outcome,) = MemoryDirectory(store, View(("plate",))).write([of(*attributes)])
    return outcome, dict(store.entries[ANNA.id].values)


def plates(old: str, new: str, pattern: str | None = "*", *, seen: bool = True) -> AttributeChange:
    return AttributeChange("plate", tuple(old.split()), tuple(new.split()), pattern=pattern, seen=seen)


@pytest.mark.parametrize(
    ("before", "planned", "after"),
    [
        ("", plates("", "a"), "a"),
        ("", plates("", "a b"), "a b"),
        ("a", plates("a", "a b"), "a b"),
        ("a b", plates("b a", "b"), "b"),
        ("a b", plates("a b", ""), ""),
        ("a b c", plates("a b c", "d b e"), "b d e"),
        ("A b", plates("a B", "a c"), "A c"),
        ("x:1 theirs", plates("x:1", "x:2", "x:*"), "theirs x:2"),
        ("X:1 theirs", plates("x:1", "", "x:*"), "theirs"),
        ("theirs x:1", plates("x:1", "x:1 x:2", "x:*"), "theirs x:1 x:2"),
        ("theirs", plates("", "x:1", "x:*"), "theirs x:1"),
        ("theirs", plates("", "new", "x:*"), "theirs new"),
        ("a", plates("a", "b", None), "b"),
        ("a b", plates("", "c", seen=False), "c"),
        ("x:1 theirs", plates("", "x:2", "x:*", seen=False), "theirs x:2"),
        ("a b", plates("", "", seen=False), ""),
    ],
)
def test_values_that_go_are_taken_out_and_new_ones_come_last(before: str, planned: AttributeChange, after: str) -> None:
    outcome, stored = changed({"plate": before.split(), "number": ["1"]}, planned)
    assert outcome.result is Result.WRITTEN
    assert stored.pop("number") == [b"1"]
    assert stored == ({"plate": after.encode().split()} if after else {})


@pytest.mark.parametrize(
    ("before", "planned"),
    [
        ("a", plates("b", "c")),
        ("", plates("a", "b")),
        ("a", plates("", "b")),
        ("a", plates("", "a")),
        ("a", plates("a b", "c")),
        ("a b", plates("a", "c")),
        ("a b", plates("a c", "d")),
        ("a b", plates("a b c", "")),
        ("a b", plates("a", "", None)),
        ("x:1 x:2", plates("x:1", "x:3", "x:*")),
        ("x:1", plates("x:1 x:2", "x:3", "x:*")),
        ("theirs", plates("x:1", "x:2", "x:*")),
        ("X:9 theirs", plates("", "x:1", "x:*")),
        ("x:1 New", plates("x:1", "new", "x:*")),
        ("New", plates("", "new", "x:*")),
        ("x:1 New", plates("", "x:1 new", "x:*", seen=False)),
    ],
)
def test_an_entry_that_the_plan_did_not_see_so_is_a_conflict_and_stays(before: str, planned: AttributeChange) -> None:
    """So is a new value that somebody else holds in it: as if it were ours, it might be taken out again one day."""
    values = {"plate": before.split(), "number": ["1"]}
    for attributes in ((planned,), (AttributeChange("seat", (), ("7",)), planned)):
        outcome, stored = changed(values, *attributes)
        assert outcome.result is Result.CONFLICT
        assert outcome.why.startswith("plate ")
        assert stored == MemoryStore({ANNA.id: (ANNA.name, values)}, SCHEMA).entries[ANNA.id].values


@pytest.mark.parametrize(
    "planned",
    [
        plates("a B", "A b"),
        plates("b a", "a b"),
        plates("a b", "a b", None),
        plates("", "", "x:*"),
        plates("", "b A", seen=False),
    ],
)
def test_a_value_that_stays_is_left_as_it_is_spelt(planned: AttributeChange) -> None:
    values = {"plate": [b"a", b"b"]}
    assert plan_edits(values, of(planned), SCHEMA) == []
    outcome, stored = changed({"plate": ["a", "b"]}, planned)
    assert outcome.result is (Result.UNCHANGED if planned.seen else Result.WRITTEN)
    assert stored == values


@pytest.mark.parametrize(
    ("before", "planned", "why"),
    [
        ({}, plates("", "a 123456789"), "plate: "),
        ({}, AttributeChange("plate", (), ("",), pattern="*"), "plate cannot hold an empty value"),
        ({"plate": ["a"]}, AttributeChange("plate", ("a",), ("a", "")), "plate cannot hold an empty value"),
        ({}, AttributeChange("number", (), ("1", "2")), "number can hold one value only"),
        ({"number": ["1"]}, AttributeChange("number", ("1",), ("1", "2")), "number can hold one value only"),
        ({"number": ["9"]}, AttributeChange("number", (), ("x1",), pattern="x*"), "number can hold one value only"),
        ({}, AttributeChange("seat", (), ("no number",)), "seat: "),
        ({}, AttributeChange("plate", (), (b"\xff",), pattern="*"), "plate cannot hold octets that are no text"),
        ({}, AttributeChange("token", (), (b"1234",), pattern="*"), "token holds at most 3 octets"),
        ({}, AttributeChange("token", (), (Secret("1234"),), secret=True, pattern="*"), "token holds at most 3 octets"),
        ({}, AttributeChange("blob", (), (b"",), pattern="*"), "blob cannot hold an empty value"),
    ],
)  # fmt: skip
def test_what_no_server_would_take_fails_and_says_why_without_the_value(
    before: Values, planned: AttributeChange, why: str
) -> None:
    outcome, stored = changed(before, AttributeChange("plate", (), (), pattern="y:*"), planned)
    assert outcome.result is Result.FAILED
    assert outcome.why.startswith(why)
    assert "1234" not in outcome.why
    assert stored == {
        name: [value.encode() for value in some if isinstance(value, str)] for name, some in before.items()
    }


@pytest.mark.parametrize(
    ("before", "planned", "after"),
    [
        ({"number": ["a"]}, AttributeChange("number", ("a",), ("A",)), {"number": [b"A"]}),
        ({"number": ["1", "2"]}, AttributeChange("number", ("1", "2"), ("1",)), {"number": [b"1"]}),
        ({"number": ["9", "x1"]}, AttributeChange("number", ("x1",), (), pattern="x*"), {"number": [b"9"]}),
        ({"number": ["9", "x1"]}, AttributeChange("number", ("x1",), ("x1",), pattern="x*"), {"number": [b"9", b"x1"]}),
        ({"seat": ["7"]}, AttributeChange("seat", ("7",), ("8",)), {"seat": [b"8"]}),
        ({}, AttributeChange("token", (), (b"123", b"\xff\x00"), pattern="*"), {"token": [b"123", b"\xff\x00"]}),
        ({}, AttributeChange("token", (), (Secret("12"),), secret=True, pattern="*"), {"token": [b"12"]}),
        ({"token": [b"a\xff"]}, AttributeChange("token", (Secret(b"a\xff"),), (b"b",)), {"token": [b"b"]}),
        ({}, AttributeChange("blob", (), (b"1234567",), pattern="*"), {"blob": [b"1234567"]}),
        ({}, AttributeChange("plate", (), ("12345678",), pattern="*"), {"plate": [b"12345678"]}),
        ({"CARLICENSE": ["a"]}, AttributeChange("1.1", ("a",), ("b",), pattern="*"), {"plate": [b"b"]}),
        ({}, AttributeChange("blob", (), ("a\udcff",), pattern="*"), {"blob": [b"a\xff"]}),
    ],
)  # fmt: skip
def test_values_are_compared_and_kept_as_their_attribute_says(
    before: Values, planned: AttributeChange, after: dict[str, list[bytes]]
) -> None:
    outcome, stored = changed(before, planned)
    assert outcome.result is (Result.UNCHANGED if planned.old == planned.new else Result.WRITTEN)
    assert stored == after


@pytest.mark.parametrize(
    ("present", "old", "new", "after"),
    [
        ("person", "", "agent", "person agent"),
        ("person", "", "agent sip", "person agent sip"),
        ("person agent", "", "agent", None),
        ("person AGENT", "", "agent sip", "person AGENT sip"),
        ("person agent", "agent", "", "person"),
        ("person Agent sip", "aGENT sip", "", "person"),
        ("person agent", "agent", "agent sip", "person agent sip"),
        ("person agent sip", "agent sip", "sip", "person sip"),
        ("agent", "agent", "", ""),
        ("person", "agent", "", Result.CONFLICT),
        ("person agent", "agent sip", "", Result.CONFLICT),
        ("", "agent", "sip", Result.CONFLICT),
        ("", "", "agent", "agent"),
    ],
)
@pytest.mark.parametrize("name", ["objectClass", "OBJECTCLASS", "2.5.4.0"])
def test_of_object_classes_those_that_are_not_named_do_not_matter(
    name: str, present: str, old: str, new: str, after: str | Result | None
) -> None:
    planned = AttributeChange(name, tuple(old.split()), tuple(new.split()))
    outcome, stored = changed({"objectClass": present.split()}, planned)
    classes = b" ".join(stored.get("objectclass", [])).decode()
    if isinstance(after, Result):
        assert (outcome.result, classes) == (after, present)
    else:
        expected = Result.UNCHANGED if after is None else Result.WRITTEN
        assert (outcome.result, classes) == (expected, present if after is None else after)


def test_spaces_around_an_object_class_are_none_of_it() -> None:
    planned = AttributeChange("objectClass", ("agent",), ())
    assert plan_edits({"objectclass": [b"person", b" Agent "]}, of(planned), SCHEMA) == [
        ValueEdit("objectClass", (b" Agent ",), ())
    ]


def test_an_entry_is_shown_with_its_classes_and_with_what_is_no_text_as_octets() -> None:
    before: Values = {"objectClass": ["person"], "plate": [b"\xff", "a"], "token": [b"a"], "seat": ["1"]}
    store = MemoryStore({ANNA.id: (ANNA.name, before)}, SCHEMA)
    (found,) = MemoryDirectory(store, View(("plate", "token"))).scan()
    assert found.values == {"objectClass": ("person",), "plate": (b"\xff", "a"), "token": (b"a",)}


VALUES = st.lists(st.sampled_from(["x:1", "X:2", "x:3", "a", "B"]), unique_by=str.lower, max_size=5)


@given(held=VALUES, old=VALUES, new=VALUES, pattern=st.sampled_from(["x:*", "*"]), seen=st.booleans())
def test_whatever_is_written_others_values_stay_and_ours_become_what_was_planned(
    held: list[str], old: list[str], new: list[str], pattern: str, *, seen: bool
) -> None:
    def lower(values: Sequence[str]) -> set[str]:
        return {value.lower() for value in values}

    ours = [value for value in held if pattern == "*" or value.lower().startswith("x:")]
    theirs = [value for value in held if value not in ours]
    believed: tuple[Held, ...] = tuple(old) if seen else ()
    planned = AttributeChange("plate", believed, tuple(new), pattern=pattern, seen=seen)
    outcome, stored = changed({"plate": held}, planned)
    after = [value.decode() for value in stored.get("plate", [])]
    if (seen and lower(old) != lower(ours)) or lower(theirs) & lower(new):
        assert outcome.result is Result.CONFLICT
        assert after == held
        return
    assert outcome.result is (Result.UNCHANGED if seen and lower(new) == lower(ours) else Result.WRITTEN)
    stay = [value for value in held if value in theirs or value.lower() in lower(new)]
    assert after[: len(stay)] == stay
    assert lower(after[len(stay) :]) == lower(new) - lower(ours)
