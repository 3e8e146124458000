"""Reading a list to its end, from servers that page well, oddly and falsely; and from lists that change meanwhile."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from connector.directories.scim.paging import UserPager
from connector.directories.scim.protocol import Answer, Params
from connector.errors import IncompleteRead, TruncatedError

WHERE = "http://scim.example.org/Users"


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, {}, msgspec.json.encode(body), WHERE)


class Server:
    """A list of users, and how it is paged. `between` is called after every page with the number of it."""

    def __init__(self, count: int, between: Callable[[Server, int], None] | None = None, **odd: Any) -> None:
        self.ids = [f"u{number}" for number in range(count)]
        self.asked: list[dict[str, str]] = []
        self._between = between
        self._odd = odd

    def __call__(self, params: Params) -> Answer:
        asked = dict(params)
        self.asked.append(asked)
        found = self._answer(asked)
        if self._between is not None:
            self._between(self, len(self.asked))
        return found

    def _answer(self, asked: dict[str, str]) -> Answer:
        if "count" in asked and "no_count" in self._odd:
            return answer({"detail": "no"}, self._odd["no_count"])
        caps = self._odd.get("caps", [1 << 30])
        size = min(int(asked.get("count", "7")), caps[len(self.asked) % len(caps)])
        total = self._odd.get("total", len(self.ids))
        if "cursor" in asked:
            start = 0 if self._odd.get("stands") else int(asked["cursor"] or 0)
            rest = {"nextCursor": str(start + size)} if start + size < len(self.ids) else {}
            return answer({"totalResults": total, "Resources": self._users(start, size)} | rest)
        start = int(asked["startIndex"]) - 1
        if self._odd.get("stands"):
            start = 0
        if self._odd.get("aligned"):
            start -= start % size
        if self._odd.get("strict") and start >= max(1, len(self.ids)):
            return answer({"detail": "no such page"}, 404)
        key = self._odd.get("key", "Resources")
        return answer({"totalResults": total, key: self._users(start, size)})

    def _users(self, start: int, size: int) -> list[dict[str, str]]:
        return [{"id": id_} for id_ in self.ids[start : start + size]]


def read(server: Server, size: int = 10) -> list[str]:
    return [user["id"] for user in UserPager(server, size).read_by_index()]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"caps": [3]},
        {"caps": [1]},
        {"caps": [1], "total": None},
        {"caps": [4, 1, 3]},
        {"caps": [2, 1, 1, 5], "total": None},
        {"no_count": 500},
        {"no_count": 400},
        {"aligned": True},
        {"strict": True},
        {"aligned": True, "strict": True},
        {"key": "resources"},
        {"total": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 25])
def test_every_user_is_read_once(count: int, odd: dict[str, Any]) -> None:
    assert read(Server(count, **odd)) == [f"u{number}" for number in range(count)]


def test_a_list_of_thousands_is_read_in_one_pass() -> None:
    server = Server(2500)
    assert read(server, 100) == [f"u{number}" for number in range(2500)]
    assert len(server.asked) == 27


@pytest.mark.parametrize("odd", [{"stands": True}, {"total": 99}, {"total": 26}], ids=str)
def test_a_pager_that_stands_still_and_a_total_that_is_too_high_are_told(odd: dict[str, Any]) -> None:
    with pytest.raises(TruncatedError):
        read(Server(25, **odd))


def test_a_total_that_is_too_low_hides_nobody() -> None:
    with pytest.raises(TruncatedError):
        read(Server(25, total=10))


@given(st.integers(2, 7), st.integers(1, 30), st.data())
def test_whoever_is_there_all_the_time_is_read_or_it_is_told_that_the_list_is_not_whole(
    size: int, count: int, data: st.DataObject
) -> None:
    """Users come and go, anywhere in the list, between any two pages, for some of the time or all of it."""
    busy = data.draw(st.integers(0, 12))

    def between(server: Server, asked: int) -> None:
        if asked <= busy and data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(server.ids)))
            if data.draw(st.booleans()):
                server.ids.insert(place, f"new{asked}")
            elif server.ids:
                del server.ids[min(place, len(server.ids) - 1)]

    server = Server(count, between)
    always = set(server.ids)
    try:
        found = set(read(server, size))
    except IncompleteRead:
        assert busy
        return
    always &= set(server.ids)
    if len(server.asked) >= busy:
        assert always <= found


def test_somebody_who_goes_moves_the_others_and_nobody_is_missed() -> None:
    def between(server: Server, asked: int) -> None:
        if asked == 1:
            del server.ids[3]

    found = read(Server(30, between))
    assert sorted(found) == sorted(f"u{number}" for number in range(30))


def test_one_who_goes_while_another_comes_at_the_end_is_noticed_though_the_number_stays() -> None:
    def between(server: Server, asked: int) -> None:
        if asked == 1:
            del server.ids[3]
            server.ids.append("new")

    found = read(Server(30, between))
    assert sorted(found) == sorted([*(f"u{number}" for number in range(30)), "new"])


def test_one_who_comes_first_just_as_the_last_of_a_page_goes_is_read_though_the_number_stays() -> None:
    def between(server: Server, asked: int) -> None:
        if asked == 1:
            server.ids = ["new", "u0", "u1", "u3", "u4"]

    assert sorted(read(Server(5, between), 3)) == ["new", *(f"u{number}" for number in range(5))]


def test_two_that_change_places_are_both_read_though_all_pages_join() -> None:
    """Neither is the last of a page, and the number stays."""

    def between(server: Server, asked: int) -> None:
        if asked == 1:
            server.ids[0], server.ids[28] = server.ids[28], server.ids[0]

    assert set(read(Server(30, between))) == {f"u{number}" for number in range(30)}


def test_two_that_change_places_are_both_read_where_pages_are_not_joined() -> None:
    """As many are shown as there are: one of them twice, and another not at all."""

    def between(server: Server, asked: int) -> None:
        if asked == 3:
            server.ids = ["u4", "u1", "u2", "u3", "u0", "u5"]

    assert set(read(Server(6, between, aligned=True), 2)) == {f"u{number}" for number in range(6)}


def test_a_user_who_moves_behind_the_last_page_is_read_though_pages_seem_not_to_join() -> None:
    """A first one that comes, goes, and takes another with it: only the empty page's total tells."""

    def between(server: Server, asked: int) -> None:
        if asked == 1:
            server.ids.insert(0, "new")
        elif asked in (2, 3):
            del server.ids[0]

    assert {f"u{number}" for number in range(1, 5)} <= set(read(Server(5, between), 2))


@pytest.mark.parametrize("odd", [{}, {"aligned": True}, {"caps": [3]}, {"caps": [1]}, {"total": None}], ids=str)
@pytest.mark.parametrize("many", [1, 2, 3])
def test_whoever_changes_places_while_the_list_is_read_hides_nobody(many: int, odd: dict[str, Any]) -> None:
    """The first ones move to the end, so that as many others come before the page that is read next."""
    for when in range(1, 9):

        def between(server: Server, asked: int, when: int = when) -> None:
            if asked == when:
                server.ids += [server.ids.pop(0) for _ in range(many)]

        found = read(Server(30, between, **odd))
        assert set(found) == {f"u{number}" for number in range(30)}, when


def test_a_list_that_never_rests_is_told() -> None:
    def between(server: Server, asked: int) -> None:
        server.ids.insert(0, f"new{asked}")

    never = Server(30, between)
    with pytest.raises(TruncatedError, match="added, removed or reordered"):
        read(never)
    assert [asked["startIndex"] for asked in never.asked].count("1") == 3


@pytest.mark.parametrize("count", [0, 1, 10, 25])
def test_by_cursor_every_user_is_read_once(count: int) -> None:
    found = [user["id"] for user in UserPager(Server(count), 10).read_by_cursor()]
    assert found == [f"u{number}" for number in range(count)]


@pytest.mark.parametrize("odd", [{"stands": True}, {"total": 99}], ids=str)
def test_a_cursor_that_stands_still_and_a_false_total_are_told(odd: dict[str, Any]) -> None:
    with pytest.raises(TruncatedError):
        list(UserPager(Server(25, **odd), 10).read_by_cursor())


def pages(*lists: list[str], total: int | None = None) -> Callable[[Params], Answer]:
    """A server that answers these pages round and round, whatever it is asked; the cursor is never the same."""
    numbers = itertools.count(1)

    def ask(params: Params) -> Answer:
        number = next(numbers)
        assert number < 5000, "it would be asked for ever"
        users = [{"id": id_} for id_ in lists[number % len(lists)]]
        return answer({"totalResults": total, "Resources": users, "nextCursor": f"c{number}"})

    return ask


ROUND = [["a", "b"], ["c", "d"], ["e", "f"], ["g"], ["h", "i"]]


@pytest.mark.parametrize("total", [None, 9, 1_000_000])
@pytest.mark.parametrize("lists", [ROUND, ROUND[:3], [[], ["a"]], [[]], [["a", "b"], ["b", "c"], ["c", "a"]]], ids=str)
def test_pages_that_come_round_for_ever_are_told(lists: list[list[str]], total: int | None) -> None:
    with pytest.raises(TruncatedError, match="stands still"):
        list(UserPager(pages(*lists, total=total), 2).read_by_cursor())


@pytest.mark.parametrize("lists", [ROUND, ROUND[:3], [["a", "b"], ["b", "c"], ["c", "a"]]], ids=str)
@pytest.mark.parametrize("total", [None, 9, 1_000_000])
def test_pages_that_come_round_for_ever_are_told_by_index(lists: list[list[str]], total: int | None) -> None:
    with pytest.raises(TruncatedError):
        list(UserPager(pages(*lists, total=total), 2).read_by_index())


@pytest.mark.parametrize("total", [10, 200])
def test_users_in_no_order_at_all_are_told_where_the_server_says_how_many_there_are(total: int) -> None:
    chance = random.Random(7)

    def ask(params: Params) -> Answer:
        assert next(numbers) < 5000, "it would be asked for ever"
        return answer({"totalResults": total, "Resources": [{"id": f"u{n}"} for n in chance.sample(range(total), 5)]})

    numbers = itertools.count()
    with pytest.raises(TruncatedError):
        list(UserPager(ask, 5).read_by_index())


@pytest.mark.parametrize("way", ["read_by_cursor", "read_by_index"])
def test_users_in_no_order_at_all_are_told_where_nothing_says_how_many_there_are(way: str) -> None:
    chance = random.Random(7)

    def ask(params: Params) -> Answer:
        number = next(numbers)
        assert number < 5000, "it would be asked for ever"
        shown = [{"id": f"u{n}"} for n in chance.sample(range(3000), 5)]
        return answer({"Resources": shown, "nextCursor": f"c{number}"})

    numbers = itertools.count()
    with pytest.raises(TruncatedError):
        list(getattr(UserPager(ask, 5), way)())


def test_users_who_are_all_known_in_no_order_at_all_are_read_no_more_than_about_twice_in_a_pass() -> None:
    """The first pass was in order, and somebody came; from then on there is none."""
    chance, ids, numbers = random.Random(7), [f"u{n}" for n in range(3000)], itertools.count()

    def ask(params: Params) -> Answer:
        number = next(numbers)
        assert number < 5000, "it would be asked for ever"
        start = int(dict(params)["startIndex"]) - 1
        some = ids[start : start + 5] if number < 800 else chance.sample(ids, 5)
        return answer({"totalResults": 3000 - (number == 0), "Resources": [{"id": id_} for id_ in some]})

    with pytest.raises(TruncatedError, match="added, removed or reordered"):
        list(UserPager(ask, 5).read_by_index())


def test_by_cursor_one_who_is_shown_twice_does_not_stand_for_another() -> None:
    told = iter([(["a", "b"], "1"), (["b", "c"], "2"), (["d"], "")])

    def ask(params: Params) -> Answer:
        ids, cursor = next(told)
        return answer({"totalResults": 5, "Resources": [{"id": id_} for id_ in ids], "nextCursor": cursor})

    with pytest.raises(TruncatedError, match="5 users and shows 4"):
        list(UserPager(ask, 2).read_by_cursor())


def test_by_cursor_a_few_who_are_shown_twice_among_thousands_are_no_sign_of_pages_that_come_round() -> None:
    """They changed places, and nothing says how many there are."""
    server = Server(5000, total=None)
    for place in range(100, 5000, 100):
        server.ids.insert(place, f"u{place - 60}")
    found = [user["id"] for user in UserPager(server, 50).read_by_cursor()]
    assert set(found) == {f"u{number}" for number in range(5000)}


def test_a_page_that_is_refused_by_cursor_is_no_end_though_nothing_says_how_many_there_are() -> None:
    def ask(params: Params) -> Answer:
        first = dict(params)["cursor"] == ""
        return answer({"Resources": [{"id": "a"}], "nextCursor": "1"} if first else {}, 200 if first else 404)

    with pytest.raises(IncompleteRead, match="404"):
        list(UserPager(ask, 1).read_by_cursor())


@pytest.mark.parametrize("way", ["read_by_cursor", "read_by_index"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"Resources": [{"id": "a"}, {"id": "a"}], "totalResults": 2}, 200),
        ({"Resources": [{"userName": "a"}], "totalResults": 1}, 200),
        ({"Resources": ["a"], "totalResults": 1}, 200),
        ({"Resources": {"id": "a"}, "totalResults": 1}, 200),
        ({}, 200),
        ([], 200),
        ({"detail": "canary-7f3a"}, 403),
        ({"detail": "canary-7f3a"}, 500),
    ],
)
def test_what_is_no_list_is_told_and_its_body_is_not(body: Any, status: int, way: str) -> None:
    with pytest.raises(IncompleteRead) as fault:
        list(getattr(UserPager(lambda params: answer(body, status), 10), way)())
    assert "canary" not in str(fault.value)
    assert WHERE in str(fault.value)


def test_html_is_no_list() -> None:
    html = Answer(200, {"content-type": "application/scim+json"}, b"<html>canary</html>", WHERE)
    with pytest.raises(IncompleteRead, match="HTML") as fault:
        list(UserPager(lambda params: html, 10).read_by_index())
    assert "canary" not in str(fault.value)
