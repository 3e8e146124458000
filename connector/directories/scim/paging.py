"""Reading lists to their end, and knowing that it was the end.

By cursor (RFC 9865) the server says so. By index (RFC 7644 §3.4.2.4) nothing does: users
that come or go move all those behind them, so that one is shown twice and another not at
all. So each page begins with the last user of the page before, where the server lets it;
the users are counted against `totalResults`; and when users came or went, all is read
again, and who was not shown before is added. Measured: servers that cap pages silently,
that answer the first page for ever, that know no `count`, that say a wrong total.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from typing import Final

from msgspec import Struct

from connector.directories.scim.answers import Listing, good, id_of, listing, resource
from connector.directories.scim.paths import Resource
from connector.directories.scim.protocol import Answer
from connector.errors import IncompleteRead, TruncatedError

PASSES: Final = 3
"""So often a list is read whole before it is given up, since users come and go all the time."""

EMPTY: Final = 1000
"""So many pages running may be empty and yet have one behind them, by cursor."""
FEW: Final = 1000
"""So many users are shown before it is looked for whether most of them were shown before."""

_NO_COUNT: Final = (400, 500, 501)

Params = tuple[tuple[str, str], ...]
Ask = Callable[[Params], Answer]


class Page(Struct, frozen=True):
    """One page, decoded, in order: id → resource."""

    users: dict[str, Resource]
    total: int | None
    cursor: str | None
    where: str


class Pager:
    """Reads the list that `ask` asks for, `size` a page; every user once, and a page of them in memory at a time.

    Raises the kinds of IncompleteRead, TruncatedError among them where the list cannot be
    shown to be whole.
    """

    def __init__(self, ask: Ask, size: int) -> None:
        self._ask = ask
        self._count: Params = (("count", str(size)),)

    def _page(self, *params: tuple[str, str], beyond: bool = False) -> Page:
        """One page; a server that does not bear `count` is asked without, from then on.

        `beyond`: there is nothing left, as far as is known, so that a refusal is as good as an empty page.
        """
        answer = self._ask((*params, *self._count))
        if beyond and not good(answer):
            return Page({}, None, None, answer.where)
        if self._count and answer.status in _NO_COUNT:
            self._count, answer = (), self._ask(params)
        return _decoded(listing(answer), answer)

    # ------------------------------------------------------------ by cursor

    def by_cursor(self) -> Iterator[Resource]:
        """RFC 9865 §2: from page to page by what the page before says, until one says nothing."""
        shown, circle = _Shown(), _Circle()
        cursor = ""
        while True:
            page = self._page(("cursor", cursor))
            if page.cursor and (
                page.cursor == cursor or circle.closes(page.users) or shown.repeats()
            ):
                raise TruncatedError(
                    f"the pager stands still after {len(shown.marks)} users",
                    where=page.where,
                )
            yield from page.users.values()
            shown.marks.extend(map(hash, page.users))
            if not page.cursor:
                break
            cursor = page.cursor
        # one that is shown twice may have moved, and another with it
        users = _different(shown.marks)
        if page.total is not None and users < page.total:
            raise TruncatedError(
                f"the server reports {page.total} users and shows {users}",
                where=page.where,
            )

    # ------------------------------------------------------------ by index

    def by_index(self) -> Iterator[Resource]:
        """Until as many users were shown as the server says there are, in one pass in which nothing moved."""
        known = _Known()
        for _ in range(PASSES):
            one = _Pass(self._page)
            for id_, user in one.users():
                if known.new(id_):
                    yield user
                if known.stale():
                    raise TruncatedError(
                        "the pager shows the same users over and over", where=one.where
                    )
            if one.settled and known.each_once():
                return
            known.end_pass()
        raise TruncatedError(
            f"users were added, removed or reordered during each of {PASSES} reads, so some may be missing. Rerun "
            "when the directory is quiet",
            where=one.where,
        )


class _Circle:
    """Notices that pages come round again: it keeps one of all that came, the latest whose number is a power of two."""

    def __init__(self) -> None:
        self._kept: frozenset[str] = frozenset()
        self._pages = self._empty = 0

    def closes(self, users: Collection[str]) -> bool:
        """Whether a page, of these users, shows none beside those of the page that is kept; or if none shows any."""
        self._pages += 1
        self._empty = 0 if users else self._empty + 1
        closed = self._empty > EMPTY or bool(users and self._kept.issuperset(users))
        if users and self._pages & (self._pages - 1) == 0:
            self._kept = frozenset(users)
        return closed


def _different(marks: Collection[int], parts: int = 8) -> int:
    """How many of them differ; a part at a time, since there may be very many."""
    return sum(
        len({mark for mark in marks if mark % parts == part}) for part in range(parts)
    )


class _Shown:
    """A mark for everybody who was shown: eight octets for each, so that hundreds of thousands are nothing."""

    def __init__(self) -> None:
        self.marks = array("q")
        self._next_look = FEW

    def repeats(self) -> bool:
        """Whether most of those who were shown had been before; looked for each time that they have doubled."""
        if len(self.marks) < self._next_look:
            return False
        self._next_look = 2 * len(self.marks)
        return 2 * _different(self.marks) < len(self.marks)


class _Known:
    def __init__(self) -> None:
        self._earlier = array("q")
        self._now = _Shown()

    def new(self, id_: str) -> bool:
        """Whether no earlier pass has shown the user; it counts as shown from now on."""
        mark = hash(id_)
        place = bisect_left(self._earlier, mark)
        if place < len(self._earlier) and self._earlier[place] == mark:
            return False
        self._now.marks.append(mark)
        return True

    def stale(self) -> bool:
        """Whether most of those who were new had been shown before in this very pass."""
        return self._now.repeats()

    def each_once(self) -> bool:
        """Whether this pass showed nobody twice who was new; else another user may have been hidden by that."""
        return _different(self._now.marks) == len(self._now.marks)

    def end_pass(self) -> None:
        self._earlier = array("q", sorted((*self._earlier, *self._now.marks)))
        self._now = _Shown()


class _Pass:
    """One pass over a list by index. `settled`: nothing moved while it was read, and the number is right.

    `joined`: each page began with the last user of the page before.
    """

    def __init__(self, page: Callable[..., Page]) -> None:
        self._ask = page
        self.joined = True
        self.settled = True
        self.where = ""

    def users(self) -> Iterator[tuple[str, Resource]]:
        """Every user that is shown; none twice on two pages running."""
        shown = 0
        before: dict[str, Resource] = {}
        total: int | None = None
        circle = _Circle()
        while True:
            page = self._next(shown, before, total)
            if before and (
                page.users or page.total
            ):  # some servers say 0 behind the end
                self.settled &= page.total == total
            total, self.where = (
                page.total if page.total is not None else total,
                page.where,
            )
            fresh = {id_: user for id_, user in page.users.items() if id_ not in before}
            shown += len(fresh)
            if circle.closes(fresh) or (total is not None and shown > total):
                self.settled = False
                break
            if not fresh:
                break
            yield from fresh.items()
            before = fresh
        if self.settled and total is not None and shown < total:
            raise TruncatedError(
                f"the server reports {total} users and shows {shown}", where=self.where
            )

    def _next(self, shown: int, before: dict[str, Resource], total: int | None) -> Page:
        """The page behind those `shown`, of which `before` is the last; at the end, one that has nothing new."""
        end = shown == total
        if not before or not self.joined:
            page = self._ask(("startIndex", str(shown + 1)), beyond=end)
            if (
                page.users
                and page.users.keys() <= before.keys()
                and self.settled
                and not end
            ):
                raise TruncatedError(
                    "the pager stands still: it answers the same page again",
                    where=page.where,
                )
            return page
        page = self._ask(("startIndex", str(shown)))
        first, last = next(iter(page.users), None), next(reversed(before))
        if first == last:
            return page
        if first == next(
            iter(before)
        ):  # it counts in whole pages, or shows one page whatever it is asked
            self.joined = False
            return self._next(shown, before, total)
        self.settled = False
        return page


def _decoded(found: Listing, answer: Answer) -> Page:
    users = {
        id_of(user): user for user in (resource(answer, raw) for raw in found.resources)
    }
    if len(users) < len(found.resources):
        raise IncompleteRead(
            "a list names one user twice on one page", where=answer.where
        )
    return Page(users, found.total, found.cursor, answer.where)
