"""Values that one user at a time may hold: who is to get one, who holds it, and what falls."""

from __future__ import annotations

from connector.model import AttributeChange, AttributeInfo, Description, Problem, User, UserRef
from connector.model.draft import Draft
from connector.model.mapping import AttributeRule, Mapping
from connector.model.templates import Template
from connector.planning.unique_values import UniqueValues

MAPPING = Mapping((), (AttributeRule("seat", Template.parse("{workNo}"), owns="*", unique=True),))
DESCRIPTION = Description("test", "test", {"seat": AttributeInfo("seat", single=False)})


def draft(name: str, old: str, new: str) -> Draft:
    change = AttributeChange("seat", tuple(old.split()), tuple(new.split()), unique=True)
    return Draft(UserRef(name, f"uid={name}"), None, 1, (change,))


def holder(name: str, *seats: str) -> User:
    return User(name, f"uid={name}", {"seat": seats})


def unique(*drafts: Draft, held: tuple[User, ...] = ()) -> UniqueValues:
    made = UniqueValues(drafts, MAPPING, DESCRIPTION)
    made.held_by(held)
    made.hold_back()
    return made


def about(made: UniqueValues) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.kind, each.users) for each in made.problems]


def test_all_who_are_to_get_one_value_are_named_in_order() -> None:
    names = ["cid", "ann", "eve", "bob", "dan"]
    assert about(unique(*(draft(name, "", "7") for name in names))) == [
        ("shared", tuple(f"uid={name}" for name in sorted(names)))
    ]


def test_all_who_hold_a_value_and_keep_it_are_named_in_order_behind_whoever_waits() -> None:
    names = ["cid", "bob", "eve", "dan"]
    made = unique(draft("ann", "", "7"), held=tuple(holder(name, "7") for name in names))
    assert about(made) == [("reassigned", ("uid=ann", *(f"uid={name}" for name in sorted(names))))]
    assert made.find_taken() == set(), "of what is not planned any more"


def test_a_value_is_free_once_it_is_among_those_that_its_holder_gives_up() -> None:
    for old, new, free in (("7 8", "8", True), ("7 8 9", "9", True), ("7 8", "7", False), ("8", "9", False)):
        waits = draft("ann", "", "7")
        made = unique(waits, draft("bob", old, new), held=(holder("bob", *old.split(), "7"),))
        assert bool(waits.planned) is free
        assert made.find_taken() == ({("ann", "seat")} if free else set())
        assert made.find_waiting().get("ann", frozenset()) == (frozenset({"bob"}) if free else frozenset())


def test_a_value_that_a_user_holds_itself_is_not_taken() -> None:
    made = unique(draft("ann", "a", "A 7"), held=(holder("ann", "7", "a"),))
    assert (made.problems, made.find_taken()) == (list[Problem](), set())
