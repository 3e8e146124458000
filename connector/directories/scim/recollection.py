"""What was last seen of users while they were read, so that writing need not read them again.

It is good for one thing only: a write that says which version it is meant for (If-Match, RFC 7644 §3.14), since the
server then refuses it where the user has changed in the meantime.
"""

from __future__ import annotations

import threading
from typing import Final

import msgspec

from connector.directories.scim.answers import id_of
from connector.directories.scim.paths import Resource

OCTETS: Final = 8 << 20
"""So much of it is kept; of more, that which was read last: users are many, and those that are written few."""


class Recollection:
    """Resources by id, encoded, up to a bound. Several threads may use it at once."""

    def __init__(self, octets: int = OCTETS) -> None:
        self._free = octets
        self._held: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def keep(self, found: Resource) -> None:
        id_, octets = id_of(found), msgspec.json.encode(found)
        with self._lock:
            self._drop(id_)
            self._held[id_] = octets
            self._free -= len(octets)
            while self._free < 0:
                self._drop(next(iter(self._held)))

    def take(self, id_: str) -> Resource | None:
        """The resource as it was last seen; it is forgotten with that."""
        with self._lock:
            octets = self._drop(id_)
        if octets is None:
            return None
        found: Resource = msgspec.json.decode(octets)
        return found

    def _drop(self, id_: str) -> bytes | None:
        octets = self._held.pop(id_, None)
        if octets is not None:
            self._free += len(octets)
        return octets
