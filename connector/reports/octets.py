"""Values as the plan document and the journal have them: text as it is, octets told from it by Base64."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from connector.model import Held, Secret, Value
from connector.reconcile.digests import lossless


class Octets(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is no text."""

    base64: bytes


def kept(values: Iterable[Held]) -> tuple[str | Octets, ...]:
    """Values to be written down; never a secret's."""
    plain = (lossless(value) for value in values if not isinstance(value, Secret))
    return tuple(Octets(value) if isinstance(value, bytes) else value for value in plain)


def held(values: Iterable[str | Octets]) -> tuple[Value, ...]:
    """The values that were written down."""
    return tuple(value.base64 if isinstance(value, Octets) else value for value in values)
