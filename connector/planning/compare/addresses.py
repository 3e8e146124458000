"""SIP and telephone addresses that templates make: a field may not bring another host, or a part that is none.

`7@evil` in `sip:{sipAccount}@192.0.2.10` would call a host that the tenant has not named.
"""

from __future__ import annotations

import re
from typing import Final

from connector.model import Agent, Held, Tenant
from connector.model.equality import plain
from connector.model.templates import Template
from connector.planning.compare.conversion import UnfitError

_SCHEMES: Final = ("sip:", "sips:", "tel:")
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME: Final = rf"(?:{_LABEL}\.)*(?![0-9]){_LABEL}\.?"
_HOST: Final = rf"{_NAME}|[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}|\[[0-9A-Fa-f:.]+\]"
_MORE: Final = r"(?:[;?](?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$=?]|%[0-9A-Fa-f]{2})+)*"
"""Parameters and headers."""
_USER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+")
_HOST_PORT: Final = re.compile(rf"(?:{_HOST})(?::[0-9]{{1,5}})?{_MORE}")
_ALONE: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/:\[\]]|%[0-9A-Fa-f]{2})+")
_NUMBER: Final = re.compile(rf"\+?[0-9A-Fa-f*#().-]+{_MORE}")
_SPACE: Final = re.compile(r"\s")


def check(value: Held, template: Template, agent: Agent, tenant: Tenant) -> None:
    """Hold what a template made to RFC 3261 §25.1, or to RFC 3966 §3. Raises UnfitError, which never repeats it.

    A space that the template itself has ends the address: what follows is a label (RFC
    2079). Right after the colon it makes the whole a text, such as `SIP: 7001`.
    """
    text = plain(value)
    if isinstance(text, bytes) or not text[:5].lower().startswith(_SCHEMES):
        return
    address, label = "", None
    for piece, made in zip(
        template.pieces, template.outline(agent, tenant), strict=True
    ):
        label = _SPACE.search(piece) if isinstance(piece, str) else None
        address += (made or "")[: label.start() if label else None]
        if label:
            break
    scheme, _, rest = address.partition(":")
    if label and not rest:
        return
    user, at, host = rest.rpartition("@")
    if scheme.lower() == "tel":
        if not _NUMBER.fullmatch(rest):
            raise UnfitError(
                "it is not a telephone number (RFC 3966): use digits and -.()*# alone. Fix it in the tenant"
            )
    elif at and not _USER.fullmatch(user):
        why = "no space, no second @, no colon, ASCII alone"
        raise UnfitError(
            f"the part before @ is not a user of a SIP URI (RFC 3261): {why}. Fix it in the tenant"
        )
    elif not (_HOST_PORT if at else _ALONE).fullmatch(host):
        why = "a name, an IPv4 address, or an IPv6 address in brackets (`|host`)"
        raise UnfitError(
            f"the host is not one of a SIP URI (RFC 3261): {why}. Fix it in the tenant"
        )
