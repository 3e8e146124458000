"""Users of ours that nobody claims: of whom a plan still speaks, and which values they keep from others."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connector.model import (
    AttributeChange,
    AttributeInfo,
    Description,
    Equality,
    Owned,
    ReadRules,
    User,
    UserRef,
)
from connector.model.draft import Draft
from connector.model.equality import digest_value
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.leavers import find_emptied, split_lapsed
from connector.planning.standing import Leaver, LeaverPlace
from connector.planning.unique_values import UniqueValues, still_holding
from tests.support.asked import answering

RULE = Equality.CASE_IGNORE
INFOS = {name: AttributeInfo(name, equality=RULE) for name in ("seat", "uid")}
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (AttributeRule("seat", Template.parse("{workNo}"), unique=True),),
)
ANN = UserRef("ann", "uid=ann")


def unclaimed(
    place: LeaverPlace, *wrote: str, name: str = "seat", now: tuple[str, ...] | None = None, id_: str = ANN.id
) -> Leaver:
    """A user to whom these values were written, and what it shows now."""
    shows = None if now is None else User(id_, ANN.name, {"seat": now})
    owned = {name: Owned("run", tuple(digest_value(RULE, each) for each in wrote))} if wrote else {}
    return Leaver(UserRef(id_, ANN.name), owned, place=place, now=shows)


def wanting(*values: str) -> UniqueValues:
    change = AttributeChange("seat", (), values, unique=True)
    return UniqueValues(
        [Draft(UserRef("bob", "uid=bob"), None, 1, (change,))], MAPPING, Description("test", "test", INFOS)
    )


@pytest.mark.parametrize(
    ("place", "lapsed", "told", "lapses"),
    [
        (LeaverPlace.DELETED, False, True, True),
        (LeaverPlace.DELETED, True, False, True),
        (LeaverPlace.UNKNOWN, False, True, False),
        (LeaverPlace.UNKNOWN, True, False, True),
        *((place, lapsed, True, False) for place in (LeaverPlace.WITHIN, LeaverPlace.DISABLED, LeaverPlace.FILTERED, LeaverPlace.MOVED)
          for lapsed in (False, True)),
    ],
)  # fmt: skip
def test_of_a_deleted_user_is_spoken_once(place: LeaverPlace, lapsed: bool, told: bool, lapses: bool) -> None:
    """Whoever lapsed and is seen again is spoken of again; it stays lapsed where nobody may look for it."""
    each = unclaimed(place)
    others = frozenset({"zoe"})
    assert split_lapsed([each], others | {ANN.id} if lapsed else others) == (
        [each] if told else [],
        frozenset({ANN.id} if lapses else ()),
    )


@pytest.mark.parametrize(
    ("each", "held"),
    [
        (unclaimed(LeaverPlace.UNKNOWN, "7"), ("7",)),
        (unclaimed(LeaverPlace.UNKNOWN, "7", name="SEAT"), ("7",)),
        (unclaimed(LeaverPlace.UNKNOWN, "7", "8", "9"), ("7", "8")),
        (unclaimed(LeaverPlace.UNKNOWN, "9"), None),
        (unclaimed(LeaverPlace.UNKNOWN, "7", name="uid"), None),
        (unclaimed(LeaverPlace.UNKNOWN), None),
        (unclaimed(LeaverPlace.DELETED, "7"), None),
        (unclaimed(LeaverPlace.MOVED, "7", now=("7", "x")), ("7", "x")),
        (unclaimed(LeaverPlace.FILTERED, "7", now=()), ()),
        (unclaimed(LeaverPlace.DISABLED, "9", now=("7",)), None),
        (unclaimed(LeaverPlace.WITHIN, "7", now=("7",)), None),
    ],
)
def test_out_of_reach_a_user_holds_what_we_wrote_there_last(each: Leaver, held: tuple[str, ...] | None) -> None:
    """As it shows it now, or as the state says where nobody may look. A user within reach is found by its key."""
    holders = [] if held is None else [User(ANN.id, ANN.name, {"seat": held})]
    other = unclaimed(LeaverPlace.WITHIN, "7", now=("7",), id_="zoe")
    assert still_holding(wanting("7", "8"), [other, each]) == holders
    assert still_holding(wanting(), [each]) == []


@pytest.mark.parametrize(
    ("holder", "held", "waits"),
    [
        (UserRef("zoe", "uid=zoe"), "strasse", True),
        (UserRef("zoe", "uid=zoe"), "stra\u00dfe", True),
        (UserRef("zoe", "uid=zoe"), "other", False),
        (UserRef("bob", "uid=bob"), "stra\u00dfe", False),
    ],
)
def test_whose_value_some_server_may_take_for_the_wanted_one_is_waited_for_but_by_itself(
    holder: UserRef, held: str, waits: bool
) -> None:
    unique = wanting("strasse")
    unique.held_by([User(holder.id, holder.name, {"seat": (held,), "uid": ("strasse",)})])
    assert unique.find_taken() == ({("bob", "seat")} if waits else set())
    assert {user: set(others) for user, others in unique.find_waiting().items() if others} == (
        {"bob": {"zoe"}} if waits else {}
    )
    unique.hold_back()
    assert [(each.kind, each.users) for each in unique.problems] == (
        [("reassigned", ("uid=bob", "uid=zoe"))] if waits else []
    )


@pytest.mark.parametrize(
    ("each", "hides", "away"),
    [
        (unclaimed(LeaverPlace.WITHIN, "1", now=()), False, True),
        (unclaimed(LeaverPlace.DISABLED, "1", now=()), False, True),
        (unclaimed(LeaverPlace.WITHIN, "1", now=()), True, False),
        (unclaimed(LeaverPlace.WITHIN, "1", now=("2",)), False, False),
        (unclaimed(LeaverPlace.WITHIN, now=()), False, False),
        (unclaimed(LeaverPlace.FILTERED, "1", now=()), False, False),
        (unclaimed(LeaverPlace.MOVED, "1", now=()), False, False),
        (unclaimed(LeaverPlace.UNKNOWN, "1"), False, False),
        (replace(unclaimed(LeaverPlace.WITHIN, "1", now=()), unshown={"seat": ("1",)}), False, False),
    ],
)
def test_only_who_is_seen_to_hold_nothing_has_been_emptied(each: Leaver, *, hides: bool, away: bool) -> None:
    """Beyond base and filter others may see less, and what was never shown does not tell by not being shown."""
    description = Description("test", "test", INFOS, reading=ReadRules(hides=hides))
    assert find_emptied(answering(), [each], MAPPING, description) == ([(ANN.id, "seat")] if away else [])
