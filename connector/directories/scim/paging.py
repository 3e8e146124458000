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
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from typing import Final

from msgspec import Struct

from connector.directories.scim.paths import Resource, read_id
from connector.directories.scim.protocol import Answer, Params, read_list, read_user
from connector.errors import IncompleteRead, TruncatedError

PASSES: Final = 3
"""So often a list is read whole before it is given up, since users come and go all the time."""
EMPTY: Final = 1000
"""So many pages running may be empty and yet have one behind them, by cursor."""
FEW: Final = 1000
"""So many users are shown before it is looked for whether most of them were shown before."""
_NO_COUNT: Final = (400, 500, 501)

Ask = Callable[[Params], Answer]


class Page(Struct, frozen=True):
    """One page, decoded."""

    users: dict[str, Resource]
    """By id, in order."""
    total: int | None
    """How many there are on all pages; None where the server does not say."""
    cursor: str | None
    """Of the next page."""
    where: str
    """The address that was asked."""


class Pager:
    """Reads a list: every user once, and a page of them in memory at a time.

    Raises the kinds of IncompleteRead, TruncatedError among them where the list cannot be shown to
    be whole.
    """

    def __init__(self, ask: Ask, size: int) -> None:
        """`ask` gets the answer to a request for the list, `size` is how many a page may hold."""
        self._ask = ask
        self._count: Params = (("count", str(size)),)

    def read_page(self, *params: tuple[str, str], beyond: bool = False) -> Page:
        """One page; a server that does not bear `count` is asked without, from then on.

        `beyond`: nothing is left, as far as is known; a refusal is as good as an empty page.
        """
        answer = self._ask((*params, *self._count))
        if beyond and not answer.is_success:
            return Page(
                {},
                None,
                None,
                answer.where,
            )
        if self._count and answer.status in _NO_COUNT:
            self._count = ()
            answer = self._ask(params)
        found = read_list(answer)
        decoded = (read_user(answer, raw) for raw in found.resources)
        users = {read_id(user): user for user in decoded}
        if len(users) < len(found.resources):
            what = "a list names one user twice on one page"
            raise IncompleteRead(what, where=answer.where)
        return Page(
            users,
            found.total,
            found.cursor,
            answer.where,
        )

    def read_by_cursor(self) -> Iterator[Resource]:
        """RFC 9865 §2: from page to page by what the page before says, until one says nothing."""
        shown, circle = _Shown(), _Circle()
        cursor = ""
        while True:
            page = self.read_page(("cursor", cursor))
            goes_round = page.cursor == cursor or circle.is_closed_by(page.users)
            if page.cursor and (goes_round or shown.repeats_itself()):
                what = f"the pager stands still after {len(shown.marks)} users"
                raise TruncatedError(what, where=page.where)
            yield from page.users.values()
            shown.marks.extend(map(hash, page.users))
            if not page.cursor:
                break
            cursor = page.cursor
        # one that is shown twice may have moved, and another with it
        users = _count_different(shown.marks)
        if page.total is not None and users < page.total:
            raise _shows_less(page.total, users, page.where)

    def read_by_index(self) -> Iterator[Resource]:
        """Until as many were shown as the server says there are, in one pass in which nothing moved."""
        earlier: array[int] = array("q")
        for _ in range(PASSES):
            one = _Pass(self.read_page)
            fresh = _Shown()
            for id_, user in one.read_users():
                mark = hash(id_)
                if not _contains(earlier, mark):
                    fresh.marks.append(mark)
                    yield user
                if fresh.repeats_itself():
                    what = "the pager shows the same users over and over"
                    raise TruncatedError(what, where=one.where)
            # if one was shown twice, another may have been hidden by that
            if one.is_settled and not fresh.has_repeats():
                return
            earlier = array("q", sorted((*earlier, *fresh.marks)))
        raise TruncatedError(
            f"users were added, removed or reordered during each of {PASSES} reads, so some may be missing. Rerun "
            "when the directory is quiet",
            where=one.where,
        )


class _Circle:
    """Notices that pages come round again.

    It keeps one of all that came, the latest whose number is a power of two.
    """

    def __init__(self) -> None:
        self._kept: frozenset[str] = frozenset()
        self._pages = 0
        self._empty = 0

    def is_closed_by(self, users: Collection[str]) -> bool:
        """Whether a page of these users shows none beside those of the kept page; or if none shows any."""
        self._pages += 1
        if not users:
            self._empty += 1
            return self._empty > EMPTY
        self._empty = 0
        closed = self._kept.issuperset(users)
        if self._pages & (self._pages - 1) == 0:
            self._kept = frozenset(users)
        return closed


class _Shown:
    """A mark for everybody who was shown: eight octets each, so that hundreds of thousands are nothing."""

    def __init__(self) -> None:
        self.marks: array[int] = array("q")
        self._next_look = FEW

    def repeats_itself(self) -> bool:
        """Whether most of those who were shown had been before; looked for each time that they have doubled."""
        if len(self.marks) < self._next_look:
            return False
        self._next_look = 2 * len(self.marks)
        return 2 * _count_different(self.marks) < len(self.marks)

    def has_repeats(self) -> bool:
        """Whether anybody was shown twice."""
        return _count_different(self.marks) < len(self.marks)


class _Pass:
    """One pass over a list by index."""

    def __init__(self, read_page: Callable[..., Page]) -> None:
        self._read_page = read_page
        self._are_joined = True
        self.is_settled = True
        """Nothing moved while it was read, and the number is right."""
        self.where = ""

    def read_users(self) -> Iterator[tuple[str, Resource]]:
        """Every user that is shown, by id; none twice on two pages running."""
        shown = 0
        before: dict[str, Resource] = {}
        total: int | None = None
        circle = _Circle()
        while True:
            page = self._read_next(shown, before, total)
            # some servers say 0 behind the end
            if before and (page.users or page.total) and page.total != total:
                self.is_settled = False
            if page.total is not None:
                total = page.total
            self.where = page.where
            fresh = {id_: user for id_, user in page.users.items() if id_ not in before}
            shown += len(fresh)
            if circle.is_closed_by(fresh) or (total is not None and shown > total):
                self.is_settled = False
                break
            if not fresh:
                break
            yield from fresh.items()
            before = fresh
        if self.is_settled and total is not None and shown < total:
            raise _shows_less(total, shown, self.where)

    def _read_next(
        self,
        shown: int,
        before: dict[str, Resource],
        total: int | None,
    ) -> Page:
        """The page behind those `shown`, of which `before` is the last; at the end, one without news.

        Pages are joined where each begins with the last user of the page before.
        """
        if not before or not self._are_joined:
            at_end = shown == total
            page = self._read_page(("startIndex", str(shown + 1)), beyond=at_end)
            is_old = page.users and page.users.keys() <= before.keys()
            if is_old and self.is_settled and not at_end:
                what = "the pager stands still: it answers the same page again"
                raise TruncatedError(what, where=page.where)
            return page
        page = self._read_page(("startIndex", str(shown)))
        first = next(iter(page.users), None)
        if first == next(reversed(before)):
            return page
        if first == next(iter(before)):
            # it counts in whole pages, or shows one page whatever it is asked
            self._are_joined = False
            return self._read_next(shown, before, total)
        self.is_settled = False
        return page


def _shows_less(
    total: int,
    shown: int,
    where: str,
) -> TruncatedError:
    what = f"the server reports {total} users and shows {shown}"
    return TruncatedError(what, where=where)


def _count_different(marks: Collection[int], parts: int = 8) -> int:
    """How many of them differ; a part at a time, since there may be very many."""
    return sum(
        len({mark for mark in marks if mark % parts == part}) for part in range(parts)
    )


def _contains(marks: array[int], mark: int) -> bool:
    """Whether a mark is among sorted ones."""
    place = bisect_left(marks, mark)
    return place < len(marks) and marks[place] == mark
