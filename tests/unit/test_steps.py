"""The order of writes: a single-holder value is free before it is given."""

from __future__ import annotations

from hypothesis import given, strategies as st

from connector.model import AttributeChange, Change, UserRef
from connector.reconcile.steps import steps


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
    for step in steps(moving):
        for each in step:
            (attribute,) = each.attributes
            user = int(each.user.id)
            assert (holds[user],) == attribute.old or (holds[user], attribute.old) == ("", ())
            assert all(value not in holds.values() for value in attribute.new)
        for each in step:
            holds[int(each.user.id)] = str(each.attributes[0].new[0]) if each.attributes[0].new else ""
    assert holds == target
