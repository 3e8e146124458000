"""The order of writes: a single-holder value is free before it is given, an object class there before it is needed."""

from __future__ import annotations

from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.model import AttributeChange, Change, UserRef, WritePart
from connector.model.digests import digest_of_change
from connector.model.mapping import AttributeRule, Mapping
from connector.model.templates import Template
from connector.planning.order import digest_of_rest, order_steps, split_classes, split_rounds


def change(user: int, old: str, new: str, after: set[int]) -> Change:
    attribute = AttributeChange("employeeNumber", (old,) if old else (), (new,) if new else (), unique=True)
    return Change(
        UserRef(f"{user:02}", f"uid={user}"), None, 1, (attribute,), after=frozenset(f"{o:02}" for o in after)
    )


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_no_value_is_ever_held_by_two_users_whatever_the_moves(seats: list[int], vacated: set[int]) -> None:
    """User n holds value n and is to get value seats[n]; some users are to lose theirs altogether."""
    target = {user: "" if user in vacated else str(seat) for user, seat in enumerate(seats)}
    holds = {user: str(user) for user in range(8)}
    moving = [
        change(user, str(user), new, {int(new)} - {user} if new else set())
        for user, new in target.items()
        if new != str(user)
    ]
    for step in order_steps(moving):
        for each in step:
            (attribute,) = each.attributes
            user = int(each.user.id)
            assert (holds[user],) == attribute.old or (holds[user], attribute.old) == ("", ())
            assert all(value not in holds.values() for value in attribute.new)
        for each in step:
            holds[int(each.user.id)] = str(each.attributes[0].new[0]) if each.attributes[0].new else ""
    assert holds == target


def test_of_users_that_wait_for_each_other_in_a_ring_one_lets_go_first_and_keeps_the_rest_of_its_change() -> None:
    others = (AttributeChange("mail", ("old",), ("new",)), AttributeChange("pager", (), ("7",), unique=True))
    ring = [change(1, "1", "2", {2}), change(2, "2", "1", {1}), change(3, "3", "4", set())]
    ring[0] = replace(ring[0], attributes=(*ring[0].attributes, *others))
    alone, (released,), second, (rest,) = order_steps(ring)
    assert [each.user.id for each in alone] == ["03"], "whoever waits for nobody does not wait for the ring"
    assert [each.user.id for each in second] == ["02"]
    assert (released.user.id, released.part, released.after) == ("01", WritePart.RELEASE, frozenset())
    assert [(each.name, each.old, each.new) for each in released.attributes] == [("employeeNumber", ("1",), ())]
    assert (rest.user.id, rest.part) == ("01", WritePart.REST)
    assert rest.attributes == (AttributeChange("employeeNumber", (), ("2",), unique=True), *others)
    assert digest_of_rest(ring[0], {"employeeNumber"}) == digest_of_change(rest), "what is left is known by its digest"


def test_one_attribute_at_a_time_goes_in_rounds_with_what_is_emptied_first_and_the_number_last() -> None:
    def whole(user: int, *attributes: AttributeChange) -> Change:
        return replace(change(user, "", "", {9}), attributes=attributes, digest="sha256:d")

    number, uri = AttributeChange("number", ("1",), ("2",)), AttributeChange("uri", ("sip:1",), ("sip:2",))
    mail, gone = AttributeChange("mail", (), ("m",)), AttributeChange("gone", ("x",), ())
    several = whole(1, number, mail, uri, gone)
    first, second, third, last = split_rounds(
        [several, whole(2, mail), whole(3, number, mail)], classes_first=False, singly=True, last=("uri", "number")
    )
    assert [[(each.user.id, each.attributes, each.part) for each in some] for some in (first, second, third, last)] == [
        [("01", (gone,), WritePart.STEP), ("03", (mail,), WritePart.STEP)],
        [("01", (mail,), WritePart.STEP)],
        [("01", (uri,), WritePart.STEP)],
        [("01", (number,), WritePart.REST), ("02", (mail,), WritePart.REST), ("03", (number,), WritePart.REST)],
    ]
    assert {each.digest for some in (first, second, third, last) for each in some} == {"sha256:d"}
    assert split_rounds([whole(2, mail)], classes_first=False, singly=True) == [[whole(2, mail)]]


def test_what_tells_whose_the_values_are_comes_last_and_the_number_alone_at_the_end() -> None:
    rules = {
        "number": AttributeRule("number", Template.parse("{sipAccount}")),
        "uri": AttributeRule("uri", Template.parse("sip:{sipAccount}@{sipServiceIp}"), owns="sip:*"),
        "seat": AttributeRule("seat", Template.parse("{workNo}"), unique=True),
        "mail": AttributeRule("mail", Template.parse("{accountCode}@example.org")),
    }
    assert Mapping((), tuple(rules.values())).told_by == ("seat", "uri", "number")


def test_who_waits_for_somebody_outside_of_this_plan_or_for_itself_alone_is_not_kept_waiting_for_ever() -> None:
    """The rest of a plan may have been written before this run began."""
    assert [len(step) for step in order_steps([change(1, "", "9", {9}), change(2, "", "1", {1})])] == [1, 1]


def test_a_ring_to_which_others_lead_is_found_from_wherever_one_begins() -> None:
    waiting = [change(1, "", "2", {2}), change(2, "2", "3", {3}), change(3, "3", "2", {2})]
    (released,), *later = order_steps(waiting)
    assert released.part is WritePart.RELEASE
    assert released.user.id in {"02", "03"}, "who is not in the ring frees nobody by letting go"
    assert sorted(each.user.id for step in later for each in step) == ["01", "02", "03"]


CLASSES = AttributeChange("objectClass", ("top",), ("top", "cecAgent"))
SEAT = AttributeChange("cecWorkNo", (), ("1",))
GONE = AttributeChange("objectClass", ("cecAgent",), ())


def written(*attributes: AttributeChange) -> Change:
    return Change(UserRef("1", "uid=1"), None, 1, attributes, "digest", frozenset({"2"}))


def test_where_a_server_wants_it_object_classes_are_a_write_of_their_own_before_what_needs_them() -> None:
    both, seat_alone, classes_alone = written(CLASSES, SEAT), written(SEAT), written(CLASSES)
    firsts, rest = split_rounds([both, seat_alone, classes_alone], classes_first=True)
    (first,) = firsts
    assert (first.attributes, first.part, first.after) == ((CLASSES,), WritePart.CLASSES, frozenset())
    assert rest == [written(SEAT), seat_alone, classes_alone]
    assert digest_of_rest(both, {"objectClass"}) == digest_of_change(rest[0])


def test_a_change_that_adds_no_class_or_nothing_else_is_one_write() -> None:
    for whole in (written(SEAT), written(CLASSES), written(GONE, SEAT)):
        assert split_classes(whole) == (whole,)
        assert split_rounds([whole], classes_first=True) == [[whole]]


def test_other_servers_take_a_whole_change_at_once() -> None:
    assert split_rounds([written(CLASSES, SEAT)], classes_first=False) == [[written(CLASSES, SEAT)]]
