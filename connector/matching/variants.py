"""Other spellings of a value that somebody may have meant by it, the likeliest first: for near misses alone.

Every spelling is a whole value, so that a directory can be asked for it by equality, which
its indexes answer whatever its size. Substring filters would find more, and cost a walk
through the directory wherever there is no index for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

Spelling = tuple[str, str]
"""(how it differs, the other value)."""

CASE, SPACES, ZEROS, DOMAIN = "case", "spaces", "leading zeros", "domain"
WIDTH: Final = 8
"""Numbers are padded with zeros up to so many digits."""
LONGEST: Final = 64
"""Characters of a value into which a space is put; a longer one is no account."""
_NUMBER: Final = re.compile(r"[0-9]+")
_WORD: Final = re.compile(r"[^\W\d_]+")


def spellings(value: str, domains: Iterable[str]) -> Iterator[Spelling]:
    """Other cases, spaces, zeros and domains, the likeliest first; some come more than once.

    `domains`: what stands after the `@` of other values of the attribute.
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
    if len(local) <= LONGEST:
        for place in range(1, len(local)):
            yield SPACES, f"{local[:place]} {local[place:]}{at}{domain}"


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
