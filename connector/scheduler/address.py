"""Where to listen: `host:port`."""

from __future__ import annotations

import re

from msgspec import Struct


class Address(Struct, frozen=True):
    """A host (a name or an address, IPv6 without brackets) and a TCP port; 0 is any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`127.0.0.1:9467`, `[::1]:9467`, `localhost:9467`. Raises ValueError."""
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})", text)
        if not found or int(found[3]) > 65535:
            raise ValueError("an address to listen at is HOST:PORT, such as 127.0.0.1:9467 or [::1]:9467")
        return cls(found[1] or found[2], int(found[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
