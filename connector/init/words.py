"""The words that the name of an attribute is made of, such as `acme`, `sip`, `user` of `acmeSipUser`."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET: Final = frozenset(
    {"credential", "hash", "key", "pass", "password", "pin", "pwd", "secret", "token"}
)


def words(name: str) -> list[str]:
    """In lower case, in their order."""
    return [word.lower() for word in _WORD.findall(name)]


def is_secret(name: str) -> bool:
    """Whether an attribute sounds as if it held secrets."""
    return not _SECRET.isdisjoint(words(name)) or name.lower().endswith(
        ("password", "secret", "pwd", "passwd")
    )
