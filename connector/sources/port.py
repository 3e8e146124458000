"""What a source is to the rest of the program."""

from __future__ import annotations

from typing import Protocol

from connector.model import Tenant


class Source(Protocol):
    """Where agents come from."""

    def read(self) -> Tenant:
        """The tenant, whole.

        A record that cannot be read is one `Invalid` in it. Raises `IncompleteRead` (or one
        of its kinds) when the answer as a whole is missing, cut, malformed, or an error in
        disguise.
        """
