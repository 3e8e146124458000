"""Fingerprints: how a secret is recognised later, in a state or in a reviewed plan, without being kept there."""

from __future__ import annotations

import hmac

from connector.model import Fingerprint, Held, Secret, UserRef
from connector.reconcile import equality


def fingerprinter(key: Secret) -> Fingerprint:
    """HMAC-SHA-256 (RFC 2104) under `key`, of one user's one attribute, so that equal passwords do not look equal."""
    material = equality.plain(key)
    octets = material if isinstance(material, bytes) else material.encode()

    def fingerprint(user: UserRef, attribute: str, secret: Held) -> str:
        value = equality.plain(secret)
        body = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        message = b"\x00".join([user.id.encode(), attribute.lower().encode(), body])
        return "hmac-sha256:" + hmac.new(octets, message, "sha256").hexdigest()

    return fingerprint
