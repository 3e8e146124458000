"""Reading lists to their end, and knowing that it was the end.

By cursor (RFC 9865) the server says so. By index (RFC 7644 §3.4.2.4) nothing does: users that come
or go move all those behind them, so that one is shown twice and another not at all. So each page
begins with the last user of the page before, where the server lets it; the users are counted
against `totalResults`; and when users came or went, all is read again, and who was not shown before
is added. Measured: servers that cap pages silently, that answer the first page for ever, that know
no `count`, that say a wrong total.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from connector.directories.scim.paths import Resource, read_id
from connector.directories.scim.protocol import Answer, Params, read_list
from connector.errors import IncompleteRead, TruncatedError

PASSES: Final = 3
"""So often a list is read whole before it is given up, since users come and go all the time."""
EMPTY: Final = 1000
"""So many pages running may be empty and yet have one behind them, by cursor."""
FEW: Final = 100
"""So many users are shown before it is looked for whether most of them were shown before."""
_NO_COUNT: Final = (400, 500, 501)

Ask = Callable[[Params], Answer]


class UserPage(Struct, frozen=True):
    """One page, decoded."""

    where: str
    """The address that was asked."""
    users: dict[str, Resource] = {}
    """By id, in order."""
    total: int | None = None
    """How many there are on all pages; None where the server does not say."""
    cursor: str | None = None
    """Of the next page."""


class UserPager:
    """Reads a list: every user once, and a page of them in memory at a time.

    Raises the kinds of IncompleteRead, TruncatedError among them where the list cannot be shown to
    be whole.
    """

    def __init__(self, ask: Ask, size: int) -> None:
        """`ask` gets the answer to a request for the list, `size` is how many a page may hold."""
        self._ask = ask
        self._count: Params = (("count", str(size)),)

    def read_page(self, *params: tuple[str, str], beyond: bool = False) -> UserPage:
        """One page; a server that does not bear `count` is asked without, from then on.

        `beyond`: nothing is left, as far as is known; a refusal is as good as an empty page.
        """
        answer = self._ask((*params, *self._count))
        if beyond and not answer.is_success:
            return UserPage(answer.where)
        if self._count and answer.status in _NO_COUNT:
            self._count = ()
            answer = self._ask(params)
        found = read_list(answer)
        users = {read_id(user): user for user in found.users}
        if len(users) < len(found.users):
            what = "a list names one user twice on one page"
            raise IncompleteRead(what, where=answer.where)
        return UserPage(
            answer.where,
            users,
            found.total,
            found.cursor,
        )

    def read_by_cursor(self) -> Iterator[Resource]:
        """RFC 9865 §2: from page to page by what the page before says, until one says nothing."""
        shown = _ShownUsers()
        empty = 0
        cursor = ""
        while True:
            page = self.read_page(("cursor", cursor))
            empty = 0 if page.users else empty + 1
            shown.add_users(page.users)
            yield from page.users.values()
            if not page.cursor:
                break
            if page.cursor == cursor or empty > EMPTY or shown.repeats_itself():
                what = f"the pager stands still after {len(shown.marks)} users"
                raise TruncatedError(what, where=page.where)
            cursor = page.cursor
        # one that is shown twice may have moved, and another with it
        users = shown.count_users()
        if page.total is not None and users < page.total:
            raise _shows_less(page.total, users, page.where)

    def read_by_index(self) -> Iterator[Resource]:
        """Until as many were shown as the server says there are, in one pass in which nothing moved."""
        earlier: set[int] = set()
        for _ in range(PASSES):
            one = _IndexPass(self.read_page)
            for id_, user in one.read_users():
                if hash(id_) not in earlier:
                    yield user
            # if one was shown twice, another may have been hidden by that
            if one.is_settled and one.shown.count_users() == len(one.shown.marks):
                return
            earlier.update(one.shown.marks)
        raise TruncatedError(
            f"users were added, removed or reordered during each of {PASSES} reads, so some may be missing. Rerun "
            "when the directory is quiet",
            where=one.where,
        )


class _ShownUsers:
    """A mark for everybody who was shown: eight octets each, so that hundreds of thousands are nothing."""

    def __init__(self) -> None:
        self.marks: array[int] = array("q")
        self._next_look = FEW

    def add_users(self, ids: Iterable[str]) -> None:
        """Mark the users of a page."""
        self.marks.extend(map(hash, ids))

    def count_users(self, parts: int = 8) -> int:
        """How many users were shown; counted a part at a time, since there may be very many."""
        return sum(
            len({mark for mark in self.marks if mark % parts == part})
            for part in range(parts)
        )

    def repeats_itself(self) -> bool:
        """Whether most of those who were shown had been before; looked for each time that they have doubled."""
        if len(self.marks) < self._next_look:
            return False
        self._next_look = 2 * len(self.marks)
        return 2 * self.count_users() <= len(self.marks)


class _IndexPass:
    """One pass over a list by index."""

    def __init__(self, read_page: Callable[..., UserPage]) -> None:
        self._read_page = read_page
        self._are_joined = True
        self.shown = _ShownUsers()
        self.is_settled = True
        """Nothing moved while it was read, and the number is right."""
        self.where = ""

    def read_users(self) -> Iterator[tuple[str, Resource]]:
        """Every user that is shown, by id; none twice on two pages running."""
        before: dict[str, Resource] = {}
        total: int | None = None
        while True:
            page = self._read_next(before, total)
            # some servers say 0 behind the end
            if before and (page.users or page.total) and page.total != total:
                self.is_settled = False
            if page.total is not None:
                total = page.total
            self.where = page.where
            fresh = {id_: user for id_, user in page.users.items() if id_ not in before}
            yield from fresh.items()
            self.shown.add_users(fresh)
            shown = len(self.shown.marks)
            if self.shown.repeats_itself() or (total is not None and shown > total):
                self.is_settled = False
                return
            if not fresh:
                break
            before = fresh
        if self.is_settled and total is not None and shown < total:
            raise _shows_less(total, shown, self.where)

    def _read_next(self, before: dict[str, Resource], total: int | None) -> UserPage:
        """The page behind those shown, of which `before` is the last; at the end, one without news.

        Pages are joined where each begins with the last user of the page before.
        """
        shown = len(self.shown.marks)
        if before and self._are_joined:
            page = self._read_page(("startIndex", str(shown)))
            first = next(iter(page.users), None)
            if first == next(reversed(before)):
                if len(page.users) > 1 or shown == total:
                    return page
                return self._read_behind(page, shown)
            if first != next(iter(before)):
                self.is_settled = False
                return page
            # it counts in whole pages, or shows one page whatever it is asked
            self._are_joined = False
        at_end = shown == total
        page = self._read_page(("startIndex", str(shown + 1)), beyond=at_end)
        is_old = page.users and page.users.keys() <= before.keys()
        if is_old and self.is_settled and not at_end:
            what = "the pager stands still: it answers the same page again"
            raise TruncatedError(what, where=page.where)
        return page

    def _read_behind(self, last: UserPage, shown: int) -> UserPage:
        """The page behind one that shows the last user alone, which may be the end, or all that a page may hold."""
        page = self._read_page(("startIndex", str(shown + 1)), beyond=True)
        return page if page.users.keys() - last.users.keys() else last


def _shows_less(
    total: int,
    shown: int,
    where: str,
) -> TruncatedError:
    what = f"the server reports {total} users and shows {shown}"
    return TruncatedError(what, where=where)
