"""Schema definitions as directories publish them (RFC 4512 §4.1): one description string, one `Definition`.

Servers stray from the grammar (Active Directory quotes syntaxes, others put names where
numbers belong), so reading is generous, and total: a definition that cannot be read is
None, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Final, TypeVar

from msgspec import Struct

T = TypeVar("T")
_FLAGS: Final = frozenset(
    {
        "OBSOLETE",
        "SINGLE-VALUE",
        "COLLECTIVE",
        "NO-USER-MODIFICATION",
        "ABSTRACT",
        "STRUCTURAL",
        "AUXILIARY",
    }
)
_TOKEN: Final = re.compile(r"'([^']*)'|([()$])|([^\s()$']+)")
_HEAD: Final = re.compile(
    r"\s*\(\s*'?([^\s()$']+)'?\s+(?:NAME\s*(?:'([^']*)'|\(([^()]*)\)))?", re.IGNORECASE
)
"""Number and names alone: all that an index needs, at a tenth of the cost of reading the whole."""
_QUOTED: Final = re.compile(r"'([^']*)'")


class Definition(Struct, frozen=True):
    """An attribute type, an object class or a content rule: its number, its names, and what its keywords say.

    `fields` maps a keyword in upper case to its arguments; a keyword that takes none is there with an empty tuple.
    """

    oid: str
    names: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        return self.names[0] if self.names else self.oid

    @property
    def spellings(self) -> frozenset[str]:
        """Its number and its names, in lower case."""
        return frozenset(map(str.lower, (self.oid, *self.names)))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The attributes that an object class or a content rule itself requires or allows."""
        return (*self.fields.get("MUST", ()), *self.fields.get("MAY", ()))

    def first(self, keyword: str) -> str | None:
        arguments = self.fields.get(keyword, ())
        return arguments[0] if arguments else None


def read(text: str) -> Definition | None:
    """The definition; None for what is none."""
    tokens = [(quoted, mark or word) for quoted, mark, word in _TOKEN.findall(text)]
    words = iter(tokens)
    if next(words, None) != ("", "(") or not tokens or tokens[-1] != ("", ")"):
        return None
    quoted, oid = next(words)
    oid = oid or quoted
    if not oid or oid in "()$":
        return None
    fields: dict[str, tuple[str, ...]] = {}
    for _, word in words:
        keyword = word.upper()
        if keyword == ")":
            break
        if not keyword or keyword in "($":
            return None
        fields[keyword] = () if keyword in _FLAGS else tuple(_arguments(words))
    else:
        return None
    return Definition(oid, fields.get("NAME", ()), fields)


def _arguments(words: Iterator[tuple[str, str]]) -> Iterator[str]:
    """What follows a keyword: one word, or all that stand in parentheses."""
    quoted, word = next(words, ("", ""))
    if word != "(":
        yield quoted or word
        return
    for inner, bare in words:
        if bare == ")":
            return
        if bare != "$":
            yield inner or bare


class Index:
    """Definitions by number and name, read when they are first asked for; one that cannot be read is not there."""

    def __init__(self, definitions: Iterable[str]) -> None:
        self._texts: list[str] = []
        self._places: dict[str, int] = {}
        self._at = cache(lambda place: read(self._texts[place]))
        for text in definitions:
            head = _HEAD.match(text)
            if head is None:
                continue
            oid, name, names = head.groups()
            for spelling in (
                oid,
                *([name] if name is not None else _QUOTED.findall(names or "")),
            ):
                self._places.setdefault(spelling.lower(), len(self._texts))
            self._texts.append(text)

    def get(self, name: str) -> Definition | None:
        """By number or any name, whatever the case."""
        place = self._places.get(name.lower())
        return None if place is None else self._at(place)

    @property
    def names(self) -> Collection[str]:
        """Every name and number, in lower case."""
        return self._places.keys()

    def __iter__(self) -> Iterator[Definition]:
        found = (self._at(place) for place in range(len(self._texts)))
        return (definition for definition in found if definition is not None)

    def lineage(self, name: str) -> list[Definition]:
        """A definition and all that it inherits from (SUP), nearest first; a circle is walked once."""
        found: dict[str, Definition] = {}
        waiting = [name]
        while waiting:
            definition = self.get(waiting.pop(0))
            if definition is not None and definition.oid.lower() not in found:
                found[definition.oid.lower()] = definition
                waiting.extend(definition.fields.get("SUP", ()))
        return list(found.values())


class Defined(Mapping[str, T]):
    """What is made of the definitions of an index, by any name or number in lower case; each when it is asked for."""

    def __init__(self, index: Index, make: Callable[[str], T | None]) -> None:
        self._index = index
        self._make: Callable[[str], T | None] = cache(make)

    def __getitem__(self, name: str) -> T:
        made = self._make(name)
        if made is None:
            raise KeyError(name)
        return made

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._index.names if name in self)

    def __bool__(self) -> bool:
        return bool(self._index.names)

    def __len__(self) -> int:
        return sum(1 for _ in self)
