"""Whether users of an LDAP server may have changed, told by marks that the server keeps for itself.

| server | mark | does not show |
|---|---|---|
| Active Directory | highestCommittedUSN of the controller, then uSNChanged ([MS-ADTS] 3.1.1.1.9) | deletions |
| OpenLDAP | contextCSN, where slapo-syncprov(5) keeps it | nothing |
| others | modifyTimestamp (RFC 4512 §3.4.2), by the server's clock | deletions; late replication |

"Deletions" are also users who leave the job's base or filter. Each mark begins with the server that it is of.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from connector.directories.common.ldap_filters import Filter, GreaterOrEqual
from connector.directories.ldap.connection import connect_server
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import NOTHING, search_entry
from connector.directories.ldap.searches import JobRealm
from connector.directories.port import FeedAnswer
from connector.errors import ConnectorError
from connector.model import Secret
from connector.runtime.clock import read_clock
from connector.settings.ldap import LdapDirectory

_CLOCKS_DIFFER: Final = timedelta(seconds=10)
"""So far a server's clock may be behind ours where it does not show it."""
_TIME: Final = re.compile(r"\d{14}(?:\.\d+)?Z")


class LdapFeed:
    """An LDAP server, asked again and again over one connection. Raises FileError for a base or filter that is none."""

    def __init__(self, settings: LdapDirectory, password: Secret | None) -> None:
        self._settings = settings
        self._password = password
        self._realm = JobRealm.from_settings(settings)
        self._inspection: Inspection | None = None
        self._has_context_csn = True

    def ask_since(self, mark: str) -> FeedAnswer:
        """Whether a user may have changed; two requests where nothing has, beside those of a new connection."""
        try:
            return self._ask_server(mark)
        except ConnectorError:
            self.close()
            raise

    def close(self) -> None:
        if self._inspection is not None:
            self._inspection.wire.close()
            self._inspection = None

    def _ask_server(self, mark: str) -> FeedAnswer:
        if self._inspection is None:
            wire = connect_server(self._settings, self._password)
            self._inspection = Inspection(wire, self._settings.base, unread=True)
            self._has_context_csn = True
        inspection = self._inspection
        if inspection.native_dialect.microsoft:
            return self._ask_for_usn(inspection, mark)
        if self._has_context_csn:
            context = inspection.naming_context
            found = _read_texts(inspection, context, "contextCSN")
            numbers = sorted(found.get("contextcsn", []))
            if numbers:
                now = " ".join([inspection.wire.where, *numbers])
                return FeedAnswer(now, has_moved=bool(mark) and mark != now)
            self._has_context_csn = False
        return self._ask_for_times(inspection, mark)

    def _ask_for_usn(self, inspection: Inspection, mark: str) -> FeedAnswer:
        root = _read_texts(inspection, "", "dsServiceName", "highestCommittedUSN")
        controller = "".join(root.get("dsservicename", []))
        highest = "".join(root.get("highestcommittedusn", []))
        if not (controller and highest.isdecimal()):
            return FeedAnswer("", has_moved=bool(mark))
        now = f"{controller} {highest}"
        earlier, _, number = mark.rpartition(" ")
        if earlier != controller:
            return FeedAnswer(now, has_moved=bool(mark))
        if number == highest:
            return FeedAnswer(now, has_moved=False)
        following = GreaterOrEqual("uSNChanged", str(int(number) + 1).encode())
        return FeedAnswer(now, has_moved=self._finds_anybody(inspection, following))

    def _ask_for_times(self, inspection: Inspection, mark: str) -> FeedAnswer:
        now = f"{inspection.wire.where} {_read_time(inspection)}"
        server, _, since = mark.rpartition(" ")
        if server != inspection.wire.where or not _TIME.fullmatch(since):
            return FeedAnswer(now, has_moved=bool(mark))
        following = GreaterOrEqual("modifyTimestamp", since.encode())
        return FeedAnswer(now, has_moved=self._finds_anybody(inspection, following))

    def _finds_anybody(self, inspection: Inspection, term: Filter) -> bool:
        """Whether this is true of anybody within base and filter."""
        for search in self._realm.search_holding(term, NOTHING):
            count, is_cut = inspection.wire.count_entries(search, 1)
            if count or is_cut:
                return True
        return False


def _read_time(inspection: Inspection) -> str:
    """The server's time (GeneralizedTime), or a time of ours that its clock has passed if clocks are in step."""
    clock = inspection.native_dialect.clock
    if clock is not None:
        found = _read_texts(inspection, clock.entry, clock.attribute)
        for text in found.get(clock.attribute.lower(), []):
            if _TIME.fullmatch(text):
                return text
    return (read_clock() - _CLOCKS_DIFFER).strftime("%Y%m%d%H%M%SZ")


def _read_texts(
    inspection: Inspection, name: str, *attributes: str
) -> dict[str, list[str]]:
    """What one entry shows of these attributes, by names in lower case; nothing where it is hidden."""
    for entry in inspection.wire.search_visible(search_entry(name, attributes)):
        return entry.decode_texts()
    return {}
