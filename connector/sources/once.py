"""A source that several plans share, so that all of them are made of the same agents."""

from __future__ import annotations

from functools import cached_property

from connector.model import Tenant
from connector.sources.port import Source


class OnceSource:
    """Reads another source when it is first asked, and never again."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self) -> Tenant:
        """The tenant, whole. Raises what the source raises."""
        return self._tenant

    @cached_property
    def _tenant(self) -> Tenant:
        return self._source.read()
