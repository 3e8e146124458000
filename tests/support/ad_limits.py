"""The limits of a real Active Directory before Samba, which has none: how much one answer may hold.

[MS-ADTS] 3.1.1.3.4.6. A search without pages ends with sizeLimitExceeded (4) after `MaxPageSize` entries, and pages are
no larger, whatever was asked for. Of an attribute of more than `MaxValRange` values so many are sent under a name that
says which, beside the attribute itself without any.
"""

from __future__ import annotations

import re
from collections import Counter

from connector.directories.ldap import ber, requests, responses
from connector.directories.ldap.ber import Frame
from connector.directories.ldap.responses import DONE, ENTRY
from tests.support.ldap_proxy import SEARCH, LdapProxy, Line, octets_of, result

_RANGE = re.compile(rb"(.+);range=(\d+)-\*", re.IGNORECASE)


class Limits(LdapProxy):
    """A proxy that lets no more through. `cut` counts entries that lost values, and searches that lost entries."""

    def __init__(self, host: str, *, page: int = 1000, values: int = 1500) -> None:
        self.page, self.values = page, values
        self.cut: Counter[str] = Counter()
        self._paged: set[tuple[Line, int]] = set()
        self._sent: Counter[tuple[Line, int]] = Counter()
        super().__init__(389, host=host)

    def _request(self, frame: Frame) -> bytes:
        if frame.tag != SEARCH:
            return super()._request(frame)
        paged = responses.read_controls(frame).get(requests.PAGED)
        if paged is None:
            return octets_of(frame)
        size, cookie = responses.decode_page(paged)
        self._paged.add((self._line, frame.id))
        operation = ber.encode_tlv(frame.tag, frame.data[frame.start : frame.stop])
        return requests.encode_message(frame.id, operation, [requests.paging_control(min(size, self.page), cookie)])

    def _heard(self, frame: Frame) -> bytes:
        search = self._line, frame.id
        if frame.tag == ENTRY:
            self._sent[search] += 1
            if search not in self._paged and self._sent[search] > self.page:
                return b""
            return self._entry(frame)
        if frame.tag == DONE:
            self._paged.discard(search)
            if self._sent.pop(search, 0) > self.page:
                self.cut["searches"] += 1
                return result(frame.id, DONE, 4)
        return octets_of(frame)

    def _entry(self, frame: Frame) -> bytes:
        found = responses.decode_entry(frame)
        attributes: list[tuple[bytes, list[bytes]]] = []
        for name, values in found.attributes:
            if len(values) <= self.values:
                attributes.append((name, values))
                continue
            self.cut["entries"] += 1
            asked = _RANGE.fullmatch(name)
            base, start = (asked[1], int(asked[2])) if asked else (name, 0)
            attributes += [] if asked else [(base, [])]
            last = start + self.values - 1
            attributes.append((b"%b;range=%d-%d" % (base, start, last), values[: self.values]))
        parts = [
            ber.encode_sequence((_text(name), ber.encode_sequence(map(_text, values), ber.SET)))
            for name, values in attributes
        ]
        return requests.encode_message(
            frame.id, ber.encode_sequence((_text(found.name), ber.encode_sequence(parts)), ENTRY)
        )


def _text(octets: bytes) -> bytes:
    return ber.encode_tlv(ber.OCTETS, octets)
