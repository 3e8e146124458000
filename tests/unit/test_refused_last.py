"""Who goes last, and whose turn it is: refused users, and whoever waits for them."""

from __future__ import annotations

import pytest

from connector.model import AttributeChange, Change, Refused, UserRef
from connector.planning.order import choose_turn, go_last, tell_refused

SEAT = AttributeChange("employeeNumber", (), ("1",))
LINE = AttributeChange("telephoneNumber", (), ("1",))


def change(name: str, *after: str, attributes: tuple[AttributeChange, ...] = (SEAT,)) -> Change:
    return Change(UserRef(name, f"uid={name}"), None, 1, attributes, after=frozenset(after))


def refused(turn: int = 0, runs: int = 1) -> Refused:
    return Refused(frozenset({"employeeNumber"}), runs, turn, "no right")


def names(changes: list[Change]) -> list[str]:
    return [each.user.id for each in changes]


def test_refused_users_go_last_and_with_them_all_that_wait_for_them_however_far() -> None:
    changes = [change("a", "b"), change("b", "c"), change("c"), change("d", "e"), change("e")]
    first, last = go_last(changes, {"c": refused()})
    assert (names(first), names(last)) == (["d", "e"], ["a", "b", "c"])


def test_users_that_wait_for_each_other_in_a_ring_go_last_together() -> None:
    first, last = go_last([change("a", "b"), change("b", "a"), change("c")], {"a": refused()})
    assert (names(first), names(last)) == (["c"], ["a", "b"])


def test_a_refusal_is_not_met_again_by_a_change_of_less() -> None:
    known = {"a": Refused(frozenset({"employeeNumber", "telephoneNumber"}), 1, 0)}
    assert names(go_last([change("a")], known)[1]) == []
    assert names(go_last([change("a", attributes=(SEAT, LINE))], known)[1]) == ["a"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_those_whose_turn_is_longest_ago_are_tried_and_the_rest_wait(most: int) -> None:
    last = [change(name) for name in "abcd"] + [change("w", "a")]
    known = {"a": refused(4), "b": refused(1), "c": refused(3), "d": refused(2)}
    now = choose_turn(last, known, most)
    chosen = ["b", "d", "c"][:most]
    assert now.users == frozenset(chosen)
    assert names(now.now) == sorted(chosen)
    assert names(now.rest) == [each for each in "abcdw" if each not in chosen]


def test_of_one_turn_they_are_tried_in_the_order_of_their_ids() -> None:
    assert choose_turn([change("b"), change("a")], {"a": refused(1), "b": refused(1)}, 1).users == {"a"}


def test_a_user_is_tried_with_the_refused_ones_that_it_waits_for_be_they_too_many() -> None:
    last = [change("a", "b"), change("b", "c"), change("c"), change("d")]
    known = {"a": refused(1), "b": refused(2), "c": refused(3), "d": refused(4)}
    assert choose_turn(last, known, 1).users == {"a", "b", "c"}
    assert choose_turn(last, {**known, "d": refused(0)}, 1).users == {"d"}
    assert choose_turn(last, {**known, "d": refused(0)}, 4).users == {"a", "b", "c", "d"}


@pytest.mark.parametrize(("most", "users"), [(2, {"a", "r"}), (3, {"a", "r", "z"})])
def test_who_was_not_refused_and_waits_takes_no_turn(most: int, users: set[str]) -> None:
    last = [change("a", "m"), change("m", "r"), change("r"), change("z")]
    now = choose_turn(last, {"a": refused(0), "r": refused(5), "z": refused(1)}, most)
    assert now.users == users
    assert names(now.now) == [each for each in "amrz" if each == "m" or each in users]


@pytest.mark.parametrize(("runs", "said"), [(1, "refused in the last run (no right)"), (2, "refused 2 runs running")])
def test_a_line_says_in_how_many_runs_a_user_was_refused(runs: int, said: str) -> None:
    (line,) = tell_refused([change("a"), change("b")], {"a": refused(runs=runs)})
    assert (line.kind, line.users) == ("refused", ("uid=a",))
    assert line.why.startswith(said)
