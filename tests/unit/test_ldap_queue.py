"""What is sent and when, as far as that can be told without a server."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import example, given, strategies as st

from connector.directories.ldap.adapter import Queue, judge_by_parent
from connector.directories.ldap.searches import Realm
from connector.model import Change, UserRef
from connector.settings.ldap import LdapDirectory as Settings


def realm(scope: Literal["subtree", "onelevel"]) -> Realm:
    return Realm.of(Settings(type="ldap", urls=["ldaps://ldap.example.org"], base=["ou=p,dc=example"], scope=scope))


PIECES = ["uid=a", "ou=p", "OU=P", "dc=example", ",", ",", ";", "+", "\\", '"', " ", "=", "#", "\\2c", "x", "\n"]


@given(st.sampled_from(["subtree", "onelevel"]), st.lists(st.lists(st.sampled_from(PIECES)).map("".join), max_size=4))
@example("subtree", ["uid=a,ou=p,dc=example", "uid=b,ou=p,dc=example"])
@example("subtree", ["uid=a\\,ou=p,dc=example", "uid=a,ou=p,dc=example", "uid=a,ou=q,ou=p,dc=example"])
@example(
    "onelevel", ["uid=a,ou=p,dc=example", "uid=a,ou=q,ou=p,dc=example", "ou=p,dc=example", "uid=a;ou=p,dc=example"]
)
@example("subtree", ['uid="a,ou=p,dc=example', "uid=a+cn=b,ou=p,dc=example", "uid=a,ou=services,dc=example", "uid=a,"])
def test_a_name_is_judged_by_its_parent_as_it_is_by_itself(
    scope: Literal["subtree", "onelevel"], names: list[str]
) -> None:
    covers = realm(scope).covers
    covered = judge_by_parent(covers)
    for name in names:
        assert covered(name) is covers(name)


def change(id_: str, name: str) -> Change:
    return Change(UserRef(id_, name), None, 1, ())


def test_a_queue_stops_at_an_entry_that_is_busy_and_goes_on_when_it_is_done() -> None:
    first, other = change("1", "uid=a,dc=x"), change("2", "uid=b,dc=x")
    renamed, reused, last = change("1", "uid=c,dc=x"), change("3", "UID=B,dc=x"), change("4", "uid=d,dc=x")
    queue = Queue([first, other, renamed, reused, last])
    assert queue.take(1) == [first]
    assert queue.take(9) == [other]
    assert queue.take(9) == []
    queue.done(first)
    assert queue.take(9) == [renamed]
    queue.done(renamed)
    assert queue.take(9) == []
    queue.done(other)
    assert queue.take(0) == []
    assert queue.take(9) == [reused, last]
    assert list(queue) == []


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_was_not_taken_is_left(taken: int) -> None:
    changes = [change("1", "uid=a,dc=x"), change("1", "uid=a,dc=x"), change("2", "uid=b,dc=x")]
    queue = Queue(iter(changes))
    assert queue.take(taken) == changes[: min(taken, 1)]
    assert list(queue) == changes[min(taken, 1) :]
