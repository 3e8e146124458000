"""Users read from a server: one by one, all of them, and by what they hold.

Users are looked up by filters as far as a server's filters can be trusted; where not, all users are
read. Measured: filters by an extension's attributes that silently find nobody, or by `id`, or by
`emails`; `userName eq` that tells case apart where the schema says that it does not; `or` that is
refused; escapes that are not undone; filters that are ignored. Somebody who is not found becomes an
agent without a user, and perhaps values to be cleared: so every attribute that is searched by is
tried first, with values that the server itself has shown, as many as will be asked for at once: some
servers cut an answer short, and do not say so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cached_property, partial
from itertools import groupby
from operator import itemgetter
from typing import Final
from urllib.parse import quote

from connector.directories.scim.paging import UserPager
from connector.directories.scim.paths import (
    AttributePath,
    Resource,
    UserFilter,
    encode_literal,
    equality_filter,
    find_member,
    read_id,
    spell_member,
)
from connector.directories.scim.protocol import (
    GONE,
    Answer,
    Params,
    Request,
    Transport,
    describe_refusal,
    read_list,
    read_user,
    refusal_error,
)
from connector.directories.scim.schemas import ACTIVE, LocatedAttribute, ViewAttributes
from connector.errors import MalformedError, TruncatedError
from connector.model import ID, Equality, Key
from connector.runtime.log import log

SAMPLE: Final = 25
"""So many users are read to try look-ups with."""
SEARCHING: Final = "search for users (GET /Users?filter=…)"
"""The right that look-ups take."""
TERMS: Final = (25, 5, 1)
"""So many values are asked for at once; or fewer, where a server does not bear that (measured: 500
beyond 26)."""
UNTRIED: Final = 5
"""So many at once, where none of the first users shows a value to try."""
NEVER: Final = 0
"""An attribute cannot be searched by."""
OCTETS: Final = 1_800
"""So much of an address a filter may be: servers and what stands before them bear some 2,000 octets
at least."""
_ODD: Final = (400, 500)
"""How some servers answer to an id that is none of theirs."""


class UserResources:
    """The resources at one endpoint that match the job's filter; others do not exist.

    Raises the kinds of IncompleteRead.
    """

    def __init__(
        self,
        transport: Transport,
        endpoint: str,
        filter_: UserFilter,
        *,
        page_size: int,
        by_cursor: bool,
    ) -> None:
        self.transport = transport
        self._endpoint = endpoint
        self._filter = filter_
        self._page_size = page_size
        self._by_cursor = by_cursor
        self._matching_count = 0
        self.shown_count = 0
        """How many the server has shown."""
        self.search_refusal = ""
        """The server's words, where it refuses filters."""

    def build_path(self, id_: str) -> str:
        """Where one resource is; `meta.location` is not to be trusted (measured)."""
        return f"{self._endpoint}/{quote(id_, safe='')}"

    def is_matching(self, found: Resource) -> bool:
        """Whether the job's filter leaves the resource in."""
        return self._filter.matches_user(found)

    def is_disabled(self, found: Resource) -> bool:
        """Whether the job's filter leaves it out since it is not active (RFC 7643 §4.1.1)."""
        if find_member(found, ACTIVE) is not False or self.is_matching(found):
            return False
        return self.is_matching({**found, spell_member(found, ACTIVE): True})

    def _ask_server(self, path: str, params: Params = ()) -> Answer:
        return self.transport.send(Request.get(path, params))

    def read_all(self) -> Iterator[Resource]:
        """Every user, once."""
        pager = UserPager(partial(self._ask_server, self._endpoint), self._page_size)
        found = pager.read_by_cursor() if self._by_cursor else pager.read_by_index()
        return self.keep_matching(found)

    def read_users(
        self, ids: Iterable[str], *, disabled: bool = False
    ) -> Iterator[Resource]:
        """Those of these ids that `read_one` finds, in any order."""
        read_one = partial(self.read_one, disabled=disabled)
        for found in self.transport.each(read_one, ids):
            if found is not None:
                yield found[0]

    def keep_matching(self, found: Iterable[Resource]) -> Iterator[Resource]:
        """Those that the job's filter leaves in."""
        for each in found:
            self.shown_count += 1
            if self.is_matching(each):
                self._matching_count += 1
                yield each

    @property
    def is_all_outside(self) -> bool:
        """Whether the server has shown users, and the filter leaves every one of them out."""
        return bool(self.shown_count) and not self._matching_count

    @cached_property
    def sample(self) -> tuple[list[Resource], int | None]:
        """Some users, whatever the job's filter says, and how many there are, if the server tells."""
        first: Params = (("startIndex", "1"), ("count", str(SAMPLE)))
        answer = self._ask_server(self._endpoint, first)
        if not answer.is_success:
            answer = self._ask_server(self._endpoint)
        found = read_list(answer)
        return found.users[:SAMPLE], found.total

    def read_one(
        self, id_: str, *, disabled: bool = False
    ) -> tuple[Resource, Answer] | None:
        """One resource by its id, as it is now; None where it is gone, or outside of the filter.

        `disabled`: also one that the filter leaves out since it is not active.
        """
        answer = self._ask_server(self.build_path(id_))
        if answer.status in GONE:
            return None
        if not answer.is_success:
            if answer.status in _ODD and self._knows_nobody(id_):
                return None
            raise refusal_error(answer, "a user, asked for by id,")
        found = read_user(answer)
        if read_id(found) != id_:
            what = "another user was answered than was asked for by id"
            raise MalformedError(what, where=answer.where)
        if self.is_matching(found) or (disabled and self.is_disabled(found)):
            return found, answer
        return None

    def _knows_nobody(self, id_: str) -> bool:
        """Whether the server says by another way that it has no such id: it answers one that it has."""
        known = next(iter(self.sample[0]), None)
        if known is None:
            return True
        other = self._ask_server(self.build_path(read_id(known)))
        by_filter = self.search_users(
            equality_filter(AttributePath("id"), id_),
            lambda found: read_id(found) == id_,
        )
        return other.is_success and by_filter == []

    def search_users(
        self, text: str, is_expected: Callable[[Resource], bool]
    ) -> list[Resource] | None:
        """Whom the server finds by a filter; None where it refuses to look, or finds strangers."""
        found: dict[str, Resource] = {}
        start: Params = ()
        while True:
            answer = self._ask_server(self._endpoint, (("filter", text), *start))
            if not answer.is_success:
                if found or answer.status == 401:
                    raise refusal_error(answer, "a search for users", SEARCHING)
                # also 403: some let an account read, and not search (measured)
                self.search_refusal = describe_refusal(answer, SEARCHING)
                return None
            page = read_list(answer)
            if not all(map(is_expected, page.users)):
                return None
            before = len(found)
            found.update((read_id(user), user) for user in page.users)
            stands_still = len(found) == before
            # where it does not say how many, it is asked until it shows no more
            is_over = stands_still
            if page.total is not None:
                is_over = len(found) >= page.total
            if is_over:
                return list(found.values())
            if stands_still:
                why = f"the server reports {page.total} users and shows {before}"
                raise TruncatedError(why, where=answer.where)
            start = (("startIndex", str(len(found) + 1)),)


class KeyFinder:
    """Looks keys up at one server. Raises the kinds of IncompleteRead."""

    def __init__(self, resources: UserResources, attributes: ViewAttributes) -> None:
        self._resources = resources
        self._attributes = attributes
        self._terms: dict[str, int] = {}
        """How many values of an attribute are asked for at once."""
        self._proved: set[str] = set()
        self._warned: set[str] = set()

    def find_users(self, keys: Iterable[Key]) -> Iterator[Resource]:
        """Whoever holds one of the keys, or everybody. Keys are drawn as answers come in."""
        for name, some in groupby(keys, key=itemgetter(0)):
            values = (value for _, value in some)
            if name == ID:
                yield from self._resources.read_users(filter(None, values))
                continue
            is_certain = yield from self._find_values(name, values)
            if not is_certain:
                if name not in self._warned:
                    self._warned.add(name)
                    refusal = self._resources.search_refusal
                    why = {"refused": refusal} if refusal else {}
                    what = "look-ups are not reliable, reading all users"
                    log.warning(what, attribute=name, **why)
                # among them everybody that the keys to come ask for
                yield from self._resources.read_all()
                return

    def _find_values(
        self, name: str, values: Iterator[str]
    ) -> Generator[Resource, None, bool]:
        """Whoever holds one of the values; returns whether that is certain to be everybody who does."""
        located = self._attributes.locate_name(name)
        terms = self._count_terms(located)
        if terms == NEVER:
            return False
        is_asked = False
        lookups = _split_values(located, values, terms)
        look_up = partial(self._look_up, located)
        for found in self._resources.transport.each(look_up, lookups):
            is_asked = True
            if found is None:
                self._terms[located.name] = NEVER
                return False
            if found:
                self._proved.add(located.name)
            yield from self._resources.keep_matching(found)
        return located.name in self._proved or not is_asked

    def _look_up(
        self, located: LocatedAttribute, values: list[str]
    ) -> list[Resource] | None:
        """Whom the server finds, by all values at once or one by one; None where it does not look as asked.

        Some servers look for escaped characters as they are escaped (measured), so none is asked for such a value.
        """
        if any(map(_is_escaped, values)):
            return None
        found = self._search_values(located, values)
        if found is not None or len(values) == 1:
            return found
        users: list[Resource] = []
        for value in values:
            holders = self._search_values(located, [value])
            if holders is None:
                return None
            users += holders
        return users

    def _search_values(
        self, located: LocatedAttribute, values: list[str]
    ) -> list[Resource] | None:
        """Whom the server finds by one filter; None where it refuses to look, or finds strangers.

        It may well know no case.
        """
        wanted = {value.lower() for value in values}

        def is_expected(user: Resource) -> bool:
            held = located.path.find_values(user)
            return any(value.lower() in wanted for value in held)

        text = " or ".join(_build_term(located, value) for value in values)
        return self._resources.search_users(text, is_expected)

    # ------------------------------------------------------------ trying a filter

    def _count_terms(self, located: LocatedAttribute) -> int:
        """How many values of this attribute can be asked for at once, or NEVER.

        Where nobody shows a value of it, that remains to be seen.
        """
        if located.name not in self._terms:
            shown: dict[str, str] = {}
            for user in self._resources.sample[0]:
                for value in located.path.find_values(user):
                    if not _is_escaped(value):
                        shown[value] = read_id(user)
            terms = self._try_terms(located, shown) if shown else UNTRIED
            self._terms[located.name] = terms
        return self._terms[located.name]

    def _try_terms(self, located: LocatedAttribute, shown: dict[str, str]) -> int:
        """Look for users who are known to be there; in the other case where case is said not to matter.

        `shown`: ids by value.
        """
        swaps_case = located.info.equality is Equality.CASE_ALONE
        for terms in TERMS:
            some = next(_split_values(located, shown, terms), [])
            values = [value.swapcase() for value in some] if swaps_case else some
            found = self._search_values(located, values) if values else None
            if found and {shown[value] for value in some} <= set(map(read_id, found)):
                self._proved.add(located.name)
                return len(values)
        return NEVER


def _is_escaped(value: str) -> bool:
    return len(encode_literal(value).encode()) != len(value.encode()) + 2


def _build_term(located: LocatedAttribute, value: str) -> str:
    return equality_filter(located.path, located.to_json(value))


def _split_values(
    located: LocatedAttribute,
    values: Iterable[str],
    terms: int,
) -> Iterator[list[str]]:
    """Values for filters of bounded terms and length; one that cannot be there is not asked for."""
    held: list[str] = []
    length = 0
    for value in values:
        try:
            octets = len(quote(f" or {_build_term(located, value)}"))
        except ValueError:
            continue
        if held and (len(held) == terms or length + octets > OCTETS):
            yield held
            held, length = [], 0
        held.append(value)
        length += octets
    if held:
        yield held
