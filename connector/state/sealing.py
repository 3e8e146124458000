"""Sealing: how a secret's old value is kept for an undo, so that the state alone tells nobody what it was."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import DecodeError, json

from connector.model import Held, Secret, UserRef, Value
from connector.reconcile import equality

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
"""Octets, as NIST SP 800-38D §8.2 recommends; random ones, of which a key may see 2³²."""


def key_name(job: str) -> str:
    """What the table meta calls the key of a job."""
    return f"key of {job}"


class Sealer:
    """AES-256-GCM (NIST SP 800-38D) under a key derived from `key`; each value is bound to its user and attribute.

    Without a key nothing is sealed, and nothing opens. `check`: what the key is known by,
    which does not tell it.
    """

    def __init__(self, key: Secret | None) -> None:
        self._key = key
        self.check = (
            self._derived(b"cec-connector key check/1").hex()[:32]
            if key is not None
            else ""
        )

    def seal(self, user: UserRef, attribute: str, values: Iterable[Held]) -> str | None:
        """The values as a text that only the holder of the key can open."""
        if self._key is None:
            return None
        plain = [equality.plain(value) for value in values]
        body = json.encode(
            [[isinstance(value, bytes), _octets(value)] for value in plain]
        )
        nonce = os.urandom(_NONCE)
        return base64.b64encode(
            nonce + self._cipher().encrypt(nonce, body, _bound(user, attribute))
        ).decode()

    def open(
        self, user: UserRef, attribute: str, sealed: str
    ) -> tuple[Secret, ...] | None:
        """The values again; None where the key is another one, or the text was changed."""
        if self._key is None:
            return None
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # 30 ms that only an undo has to pay

        try:
            octets = base64.b64decode(sealed, validate=True)
            body = self._cipher().decrypt(
                octets[:_NONCE], octets[_NONCE:], _bound(user, attribute)
            )
            parts = json.decode(body, type=list[tuple[bool, bytes]])
        except (InvalidTag, ValueError, DecodeError):
            return None
        return tuple(
            Secret(octets if raw else octets.decode("utf-8", "surrogateescape"))
            for raw, octets in parts
        )

    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # 30 ms, only for sealed values

        return AESGCM(self._derived(b"cec-connector sealing/1"))

    def _derived(self, purpose: bytes) -> bytes:
        assert self._key is not None
        return hmac.digest(_octets(equality.plain(self._key)), purpose, "sha256")


def _bound(user: UserRef, attribute: str) -> bytes:
    return f"{user.id}\0{attribute.lower()}".encode()


def _octets(value: Value) -> bytes:
    return (
        value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    )
