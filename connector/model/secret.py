"""`Secret` is the form in which a password travels between the modules of this program.

It is bare only in the source's record, where two values are compared, and in the adapter
that compares or encodes it. Records and edits that hold it have no repr of it.
"""

from __future__ import annotations

import hmac
from typing import Final, NoReturn

Value = str | bytes
"""A value of a directory attribute: `str`, or `bytes` where the syntax is an octet string."""


class Secret:
    """A value that no repr, str, format, pickle, JSON, traceback or debugger view shows; `reveal()` alone does."""

    __slots__ = ("__value", "place")

    def __init__(self, value: Value, place: str = "") -> None:
        """`place`: where people keep it, for messages; empty where nobody is to look there."""
        self.__value = value
        self.place = place

    def reveal(self) -> Value:
        """The value itself. Call it only where it goes onto the wire, into the directory, or into a digest."""
        return self.__value

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __dir__(self) -> list[str]:
        return ["reveal"]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = _to_octets(self.__value), _to_octets(other.reveal())
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash would put a secret into sets, dicts and their views

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled or copied")


def _to_octets(value: Value) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


UNKNOWN_SECRET: Final = Secret("")
"""A secret that the source has and does not tell, by identity: it is neither absent nor a value."""


def hide_value(value: Value | Secret) -> Secret:
    """The value as a secret, whatever it was."""
    return value if isinstance(value, Secret) else Secret(value)


def text_of(secret: Secret) -> str:
    """A secret as text, bare."""
    held = secret.reveal()
    return held if isinstance(held, str) else held.decode()


Held = Value | Secret
"""A value as a directory hands it out: attributes that the mapping marks `secret` arrive
wrapped."""
