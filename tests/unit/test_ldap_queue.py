"""What is sent and when, as far as that can be told without a server."""

from __future__ import annotations

import pytest

from connector.directories.ldap.adapter import ChangeQueue
from connector.model import Change, UserRef


def change(id_: str, name: str) -> Change:
    return Change(UserRef(id_, name), None, 1, ())


def test_a_queue_stops_at_an_entry_that_is_busy_and_goes_on_when_it_is_done() -> None:
    first, other = change("1", "uid=a,dc=x"), change("2", "uid=b,dc=x")
    renamed, reused, last = change("1", "uid=c,dc=x"), change("3", "UID=B,dc=x"), change("4", "uid=d,dc=x")
    queue = ChangeQueue([first, other, renamed, reused, last])
    assert queue.take_next(1) == [first]
    assert queue.take_next(9) == [other]
    assert queue.take_next(9) == []
    queue.mark_done(first)
    assert queue.take_next(9) == [renamed]
    queue.mark_done(renamed)
    assert queue.take_next(9) == []
    queue.mark_done(other)
    assert queue.take_next(0) == []
    assert queue.take_next(9) == [reused, last]
    assert list(queue) == []


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_was_not_taken_is_left(taken: int) -> None:
    changes = [change("1", "uid=a,dc=x"), change("1", "uid=a,dc=x"), change("2", "uid=b,dc=x")]
    queue = ChangeQueue(iter(changes))
    assert queue.take_next(taken) == changes[: min(taken, 1)]
    assert list(queue) == changes[min(taken, 1) :]
