"""Other spellings of a value that somebody may have meant by it, the likeliest first: for near misses alone.

Every spelling is a whole value, so that a directory can be asked for it by equality, which
its indexes answer whatever its size. Substring filters would find more, and cost a walk
through the directory wherever there is no index for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

Spelling = tuple[str, str]
"""(how it differs, the other value)."""

CASE, SPACES, ZEROS, DOMAIN, EDIT = (
    "case",
    "spaces",
    "leading zeros",
    "domain",
    "one edit",
)
LOOK, END = "a letter for a digit", "a cut end"
WIDTH: Final = 8
"""Numbers are padded with zeros up to so many digits."""
SHORTEST: Final = 3
CUT: Final = 4
"""So many characters may be missing at the end of the shorter value; at most one where the
directory's is longer."""
_FIELD, _FEW = 20, 8
"""Where directories cut account names: sAMAccountName, and user names of old Unix systems,
which had no separators."""
LONGEST: Final = 64
"""Characters of a value that is edited: of a shorter one everything is an edit away, a
longer one is no account."""
_LOOKS: Final = {"0": "o", "1": "li", "2": "z", "5": "s", "6": "b", "8": "b", "9": "g"}
"""Digits, each with the letters that are taken for it."""
_LETTERS: Final = {
    letter: digit for digit, letters in _LOOKS.items() for letter in letters
}
_SEPARATORS: Final = ".-_ "
_NUMBER: Final = re.compile(r"[0-9]+")
_WORD: Final = re.compile(r"[^\W\d_]+")


def spellings(value: str, domains: Iterable[str]) -> Iterator[Spelling]:
    """Case, spaces, zeros and domain, alone and with another domain; then what looks alike, is cut, or is an edit away.

    An edit leaves a letter out, puts one in, puts another in its place, or swaps two
    neighbours. `domains`: what stands after the `@` of other values of the attribute. Some
    spellings come more than once.
    """
    local, at, domain = value.rpartition("@") if "@" in value else (value, "", "")
    tails = [
        ("", at + domain),
        *[
            (DOMAIN, "@" + other)
            for other in domains
            if other.lower() != domain.lower()
        ],
    ]
    tails += [(DOMAIN, "")] if at else []
    for how, form in _forms(local):
        for other, tail in tails:
            if how or other:
                yield " and ".join(filter(None, (how, other))), form + tail
    if SHORTEST <= len(local) <= LONGEST:
        yield from ((how, edited + at + domain) for how, edited in _edits(local))


def _forms(text: str) -> Iterator[Spelling]:
    yield "", text
    for other in (text.lower(), text.upper(), text.title()):
        yield CASE, other
    for word in islice(_WORD.finditer(text), 3):
        yield (
            CASE,
            text[: word.start()] + word.group().capitalize() + text[word.end() :],
        )
    yield SPACES, "".join(text.split())
    for number in islice(_NUMBER.finditer(text), 2):
        bare = number.group().lstrip("0") or "0"
        for width in range(len(bare), WIDTH + 1):
            yield (
                ZEROS,
                text[: number.start()] + bare.rjust(width, "0") + text[number.end() :],
            )


def _edits(text: str) -> Iterator[Spelling]:
    """First those of which there are few."""
    places = range(len(text))
    if any(letter.isalpha() for letter in text):
        yield from ((LOOK, other) for other in _looks(text, _LOOKS))
    shortest = max(SHORTEST, len(text) // 2 + 1, len(text) - CUT)
    yield from (
        (END, text[:length]) for length in range(len(text) - 1, shortest - 1, -1)
    )
    yield from ((END, text[:length]) for length in _cuts(text))
    yield from ((EDIT, text[:place] + text[place + 1 :]) for place in places)
    yield from (
        (EDIT, text[:place] + text[place + 1] + text[place] + text[place + 2 :])
        for place in places[:-1]
    )
    yield from (
        (EDIT, text[:place] + text[place] + text[place:]) for place in places[:-1]
    )
    yield from ((END, text + letter) for letter in _kin(text[-1]))
    yield from ((LOOK, other) for other in _looks(text, _LETTERS))
    yield from ((SPACES, text[:place] + " " + text[place:]) for place in places[1:])
    yield from (
        (EDIT, text[:place] + letter + text[place + 1 :])
        for place in places
        for letter in _kin(text[place])
    )
    yield from (
        (EDIT, text[:place] + letter + text[place:])
        for place in places
        for letter in _kin(text[place])
    )


def _cuts(text: str) -> Iterator[int]:
    """Lengths that a directory may have cut a longer value to; of eight characters, half a value must be left."""
    yield _FIELD
    if text.isalnum() and len(text) <= 2 * _FEW:
        yield _FEW


def _looks(text: str, looks: Mapping[str, str]) -> Iterator[str]:
    """What looks like it: one letter or digit in the place of the other, then all that are the same."""
    found = [
        (letter, place, other)
        for place, letter in enumerate(text)
        for other in looks.get(letter.lower(), "")
    ]
    capital = text.upper() == text
    for _, place, other in found:
        yield text[:place] + (other.upper() if capital else other) + text[place + 1 :]
    for letter, other in dict.fromkeys(
        (letter, other) for letter, _, other in found if text.count(letter) > 1
    ):
        yield text.replace(letter, other.upper() if capital else other)


def _kin(letter: str) -> str:
    """The letters of its kind, which alone are put into its place or beside it."""
    if letter in "0123456789":
        return "0123456789"
    if letter in _SEPARATORS:
        return _SEPARATORS
    return (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        if letter.isupper()
        else "abcdefghijklmnopqrstuvwxyz"
    )
