"""Why a server refused a bind, in words that say what to do: the codes alone tell that to few."""

from __future__ import annotations

import re
from typing import Final

from connector.directories.ldap.responses import Response

_IN_CLEAR: Final = frozenset({8, 13})
_REASON: Final = re.compile(r"AcceptSecurityContext error, data ([0-9a-f]+)", re.IGNORECASE)
_REASONS: Final = {
    "525": "there is no such account",
    "52e": "the name or the password is wrong; the name is a UPN (cec@example.org), EXAMPLE\\cec or a DN",
    "52f": "the account is restricted, by its logon hours, its workstations or an empty password",
    "530": "the account may not log on at this hour",
    "531": "the account may not log on from this machine",
    "532": "the password has expired: set a new one, and let that of a service account never expire",
    "533": "the account is disabled: enable it",
    "701": "the account has expired: extend it",
    "773": 'the password must be changed before it is used: set one without "must change at next logon"',
    "775": "the account is locked out, by wrong passwords: unlock it, and see that no other job has an old one",
}
"""Windows' error codes in hexadecimal, as a domain controller puts them behind `data`."""


def explained(end: Response, *, in_clear: bool) -> str:
    """What a refused bind means and what to do, behind a semicolon; nothing where its code says all there is."""
    if end.code in _IN_CLEAR and in_clear:
        return "; this server takes credentials over TLS alone: use ldaps://, or start_tls: true"
    reason = _REASON.search(end.diagnostic)
    known = _REASONS.get(reason[1].lower()) if reason else None
    return f"; {known}" if known else ""
