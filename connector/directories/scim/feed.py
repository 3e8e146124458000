"""Whether users of a SCIM server may have changed: a filter on `meta.lastModified`, where the server filters by it.

Deletions do not show. Where the server ignores or refuses the filter, it cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from connector.directories.port import FeedAnswer
from connector.directories.scim.discovery import ServerDiscovery
from connector.directories.scim.protocol import Answer, Request, Transport, read_list
from connector.errors import ConnectorError

_LONG_AGO: Final = "1970-01-01T00:00:00Z"
_NEVER_YET: Final = "9999-01-01T00:00:00Z"
_SECOND: Final = timedelta(seconds=1)
"""A header's Date has no smaller part, so what changed in that very second is asked for again."""


class ScimFeed:
    """A SCIM server, asked again and again."""

    def __init__(self, open_transport: Callable[[], Transport], url: str) -> None:
        self._open_transport = open_transport
        self._url = url
        self._transport: Transport | None = None
        self._users_path = ""
        """Empty: not asked for yet."""
        self._can_tell = False

    def ask_since(self, mark: str) -> FeedAnswer:
        """Whether a user may have changed; one request after the first call. Raises ConnectorError."""
        try:
            return self._ask_server(mark)
        except ConnectorError:
            self.close()
            raise

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _ask_server(self, mark: str) -> FeedAnswer:
        transport = self._transport = self._transport or self._open_transport()
        if not self._users_path:
            path = ServerDiscovery(transport, self._url).users_path
            self._can_tell = self._tries_well(transport, path)
            self._users_path = path
        if not self._can_tell:
            return FeedAnswer("", has_moved=False)
        answer = _ask_after(transport, self._users_path, mark or _NEVER_YET)
        date = _read_date(answer)
        if date is None:
            return FeedAnswer("", has_moved=bool(mark))
        now = (date - _SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
        return FeedAnswer(now, has_moved=bool(mark) and _finds_anybody(answer))

    def _tries_well(self, transport: Transport, path: str) -> bool:
        """Whether the filter finds somebody who changed since long ago, and nobody who will change in future."""
        found = [_ask_after(transport, path, time) for time in (_LONG_AGO, _NEVER_YET)]
        if not all(answer.is_success for answer in found):
            return False
        return [_finds_anybody(answer) for answer in found] == [True, False]


def _ask_after(transport: Transport, path: str, time: str) -> Answer:
    params = (("filter", f'meta.lastModified gt "{time}"'), ("count", "1"))
    return transport.send(Request.get(path, params))


def _finds_anybody(answer: Answer) -> bool:
    found = read_list(answer)
    return bool(found.users or found.total)


def _read_date(answer: Answer) -> datetime | None:
    """The server's time, as its answer's Date says (RFC 9110 §6.6.1); None where it says none."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
