"""Looking users up by what they hold, as far as a server's filters can be trusted; where not, all users are read.

Measured: filters by an extension's attributes that silently find nobody, or by `id`, or by
`emails`; `userName eq` that tells case apart where the schema says that it does not; `or`
that is refused; escapes that are not undone; filters that are ignored. Somebody who is not
found becomes an agent without a user, and perhaps values to be cleared: so every attribute
that is searched by is tried first, with values that the server itself has shown, as many as
will be asked for at once: some servers cut an answer short, and do not say so.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from connector.directories.scim import filters
from connector.directories.scim.answers import id_of
from connector.directories.scim.paths import Resource, encoded
from connector.directories.scim.reading import Resources
from connector.directories.scim.view import Attributes, Located
from connector.model import ID, Equality, Key
from connector.runtime.log import log

TERMS: Final = (25, 5, 1)
"""So many values are asked for at once; or fewer, where a server does not bear that
(measured: 500 beyond 26)."""
UNTRIED: Final = 5
"""So many at once, where none of the first users shows a value to try."""
OCTETS: Final = 1_800
"""So much of an address a filter may be: servers and what stands before them bear some
2,000 octets at least."""
AHEAD: Final = 640
"""So many keys are drawn at once."""
NEVER: Final = 0


class Finder:
    """Looks keys up at one server. Raises the kinds of IncompleteRead."""

    def __init__(self, resources: Resources, attributes: Attributes) -> None:
        self._resources = resources
        self._attributes = attributes
        self._terms: dict[str, int] = {}
        self._proved: set[str] = set()
        self._said: set[str] = set()

    def find(self, keys: Iterable[Key]) -> Iterator[Resource]:
        """Whoever holds one of the keys, or everybody. Keys are drawn as answers come in."""
        for name, some in groupby(keys, key=itemgetter(0)):
            values = (value for _, value in some)
            if name == ID:
                found = self._resources.transport.each(
                    self._resources.get, filter(None, values)
                )
                yield from (user for user, _ in filter(None, found))
            elif not (
                yield from self._by_value(self._attributes.located(name), values)
            ):
                self._say(name)
                # among them everybody that the keys to come ask for
                yield from self._resources.all()
                return

    def _say(self, name: str) -> None:
        """Say once of an attribute why all users are read."""
        if name not in self._said:
            self._said.add(name)
            why = (
                {"refused": self._resources.refusal} if self._resources.refusal else {}
            )
            log.warning(
                "look-ups are not reliable, reading all users", attribute=name, **why
            )

    def _by_value(
        self, located: Located, values: Iterator[str]
    ) -> Generator[Resource, None, bool]:
        """Whoever holds one of the values; returns whether that is certain to be everybody who does."""
        terms = self.terms(located)
        asked = False
        while terms != NEVER and (some := list(islice(values, AHEAD))):
            for found in self._resources.transport.each(
                self._answer, _lookups(located, some, terms)
            ):
                asked = True
                if found is None:
                    self._terms[located.name] = terms = NEVER
                    break
                if found:
                    self._proved.add(located.name)
                yield from self._resources.existing(found)
        return terms != NEVER and (located.name in self._proved or not asked)

    def _answer(self, lookup: _Lookup) -> list[Resource] | None:
        """Whom the server finds, by all values at once or by fewer; None where it does not look as it is asked."""
        found = self._resources.matching(lookup.filter, lookup.expects)
        if found is not None:
            return found if lookup.answered_by(found) else None
        if len(lookup.values) == 1:
            return None
        fewer = next(number for number in TERMS if number < len(lookup.values))
        users: list[Resource] = []
        for part in _lookups(lookup.located, lookup.values, fewer):
            answer = self._answer(part)
            if answer is None:
                return None
            users += answer
        return users

    # ------------------------------------------------------------ trying a filter

    def terms(self, located: Located) -> int:
        """How many values of this attribute can be asked for at once; NEVER: it cannot be searched by.

        Where nobody shows a value of it, that remains to be seen.
        """
        if located.name not in self._terms:
            some, _ = self._resources.first
            shown = {
                value: id_of(user)
                for user in some
                for value in located.path.values(user)
                if not _escaped(value)
            }
            self._terms[located.name] = (
                self._tried(located, shown) if shown else UNTRIED
            )
        return self._terms[located.name]

    def _tried(self, located: Located, shown: dict[str, str]) -> int:
        """Look for users who are known to be there; in the other case where case is said not to matter.

        One value stands beside one that nobody has, to see whether `or` is understood.
        """
        swaps = located.info.equality is Equality.CASE_ALONE
        nobody = (
            f"{2**31 - 1}" if located.info.equality is Equality.INTEGER else uuid4().hex
        )
        for terms in TERMS:
            known = list(islice(shown.items(), terms))
            values = [value.swapcase() if swaps else value for value, _ in known]
            lookup = next(
                _lookups(
                    located, values + [nobody] * (len(values) == 1 < terms), terms
                ),
                None,
            )
            found = (
                self._resources.matching(lookup.filter, lookup.expects)
                if lookup
                else None
            )
            if lookup is None or found is None:
                continue
            holders = {
                holder for (_, holder), _ in zip(known, lookup.values, strict=False)
            }
            if holders <= set(map(id_of, found)):
                self._proved.add(located.name)
                return len(lookup.values)
        return NEVER


class _Lookup:
    """A question to the server: who holds one of these values? Each of them is one that can be there."""

    def __init__(self, located: Located, values: list[str]) -> None:
        self.located = located
        self.values = values
        self._lower = {value.lower() for value in values}

    @property
    def filter(self) -> str:
        return " or ".join(_term(self.located, value) for value in self.values)

    def expects(self, user: Resource) -> bool:
        """Whether the user may be meant: a server may well know no case, but not find strangers."""
        return any(
            value.lower() in self._lower for value in self.located.path.values(user)
        )

    def answered_by(self, found: list[Resource]) -> bool:
        """Whether the answer can be believed: some servers look for escaped characters as they are escaped."""
        doubtful = {value.lower() for value in self.values if _escaped(value)}
        return not doubtful or doubtful <= {
            value.lower() for user in found for value in self.located.path.values(user)
        }


def _escaped(value: str) -> bool:
    return len(encoded(value).encode()) != len(value.encode()) + 2


def _term(located: Located, value: str) -> str:
    return filters.equal(located.path, located.json(value))


def _lookups(located: Located, values: Iterable[str], terms: int) -> Iterator[_Lookup]:
    """Questions of a bounded number of terms and a bounded length; a value that cannot be there is not asked for."""
    held: list[str] = []
    length = 0
    for value in values:
        try:
            octets = len(quote(f" or {_term(located, value)}"))
        except ValueError:
            continue
        if held and (len(held) == terms or length + octets > OCTETS):
            yield _Lookup(located, held)
            held, length = [], 0
        held.append(value)
        length += octets
    if held:
        yield _Lookup(located, held)
