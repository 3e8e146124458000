"""Sealing: how a secret's old value is kept for an undo, so that the state alone tells nobody what it was."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import DecodeError, json

from connector.errors import StateError
from connector.model import Held, Secret, UserRef, Value
from connector.reconcile import equality

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
"""Octets, as NIST SP 800-38D §8.2 recommends; random ones, of which a key may see 2³²."""


class Sealer:
    """AES-256-GCM (NIST SP 800-38D) under a key derived from `key`; each value is bound to its user and attribute."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def seal(self, user: UserRef, attribute: str, values: Iterable[Held]) -> str:
        """The values as a text that only the holder of the key can open."""
        plain = [equality.plain(value) for value in values]
        body = json.encode([[isinstance(value, bytes), _octets(value)] for value in plain])
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._cipher().encrypt(nonce, body, _bound(user, attribute))).decode()

    def open(self, user: UserRef, attribute: str, sealed: str) -> tuple[Secret, ...]:
        """The values again. Raises StateError where the key is another one, or the text was changed."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # 30 ms that only an undo has to pay

        try:
            octets = base64.b64decode(sealed, validate=True)
            body = self._cipher().decrypt(octets[:_NONCE], octets[_NONCE:], _bound(user, attribute))
            parts = json.decode(body, type=list[tuple[bool, bytes]])
        except (InvalidTag, ValueError, DecodeError):
            raise StateError(
                f"the old value of {attribute} cannot be opened: it was sealed with another key, or was changed since",
                where=user.name,
            ) from None
        return tuple(Secret(octets if raw else octets.decode("utf-8", "surrogateescape")) for raw, octets in parts)

    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # see above

        material = equality.plain(self._key)
        key = hmac.digest(_octets(material), b"cec-connector sealing/1", "sha256")
        return AESGCM(key)


def _bound(user: UserRef, attribute: str) -> bytes:
    return f"{user.id}\0{attribute.lower()}".encode()


def _octets(value: Value) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
