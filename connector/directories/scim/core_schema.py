"""What the RFC and this program's own extension say of attributes, for a server that publishes no schema of them.

RFC 7643 §3.1 (common attributes, which no server publishes), §4.1 (User), §4.3 (enterprise
User), and
`deploy/schema/scim/cec-extension.json`, under whatever URN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connector.directories.scim.resource_schema import Attribute

_EXACT: Final = frozenset(
    {"id", "externalId", "profileUrl", "password", "sipAccount", "sipPassword"}
)
_NEVER: Final = frozenset({"password", "sipPassword"})
_READ_ONLY: Final = frozenset({"id", "meta", "groups"})
_INTEGERS: Final = frozenset({"workNo", "sipServicePort"})
_NAME: Final = (
    "formatted",
    "familyName",
    "givenName",
    "middleName",
    "honorificPrefix",
    "honorificSuffix",
)
_ADDRESS: Final = (
    "formatted",
    "streetAddress",
    "locality",
    "region",
    "postalCode",
    "country",
    "type",
)
_ELEMENT: Final = ("value", "display", "type")


def _attributes(
    *names: str, subs: tuple[str, ...] = (), several: bool = False
) -> Iterator[Attribute]:
    for name in names:
        primary = (Attribute("primary", "boolean"),) if several else ()
        kind = (
            "complex"
            if subs
            else "boolean"
            if name == "active"
            else "integer"
            if name in _INTEGERS
            else "string"
        )
        yield Attribute(
            name,
            kind,
            multi_valued=several,
            case_exact=name in _EXACT,
            mutability="readOnly"
            if name in _READ_ONLY
            else "writeOnly"
            if name in _NEVER
            else "readWrite",
            returned="never" if name in _NEVER else "default",
            sub_attributes=(*_attributes(*subs), *primary),
        )


COMMON: Final = tuple(_attributes("id", "externalId"))
USER: Final = (
    *_attributes(
        "userName",
        "displayName",
        "nickName",
        "profileUrl",
        "title",
        "userType",
        "preferredLanguage",
    ),
    *_attributes("locale", "timezone", "active", "password"),
    *_attributes("name", subs=_NAME),
    *_attributes(
        "emails", "phoneNumbers", "ims", "photos", "groups", subs=_ELEMENT, several=True
    ),
    *_attributes(
        "entitlements", "roles", "x509Certificates", subs=_ELEMENT, several=True
    ),
    *_attributes("addresses", subs=_ADDRESS, several=True),
)
ENTERPRISE_USER: Final = (
    *_attributes(
        "employeeNumber", "costCenter", "organization", "division", "department"
    ),
    *_attributes("manager", subs=("value", "displayName")),
)
CEC: Final = tuple(
    _attributes(
        "accountCode",
        "workNo",
        "sipAccount",
        "sipPassword",
        "sipServiceIp",
        "sipServicePort",
    )
)
