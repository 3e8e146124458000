"""The kinds of values that the keys of a directory hold: addresses of LDAP servers, base DNs, names of attributes."""

import re
from itertools import permutations
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
)

from connector.reconcile.dn import covers, rdns
from connector.settings.attribute_names import fault_of_name, why_not_matched
from connector.settings.fields import Text, check_host, split_url
from connector.settings.shape import matching, misfit

SettleTime = Annotated[
    float,
    Field(
        ge=0,
        le=300,
        allow_inf_nan=False,
        description="Most seconds to wait until the server shows the written values; 0: no wait.",
    ),
]
ReadBy = Annotated[
    Literal["auto", "find", "scan"],
    Field(
        description="find: look up agents' keys. scan: read all users. auto: the program chooses."
    ),
]


def _ldap_url(url: str, info: ValidationInfo) -> str:
    parts = split_url(url, ("ldaps", "ldap", "ldapi"))
    if parts.path not in ("", "/"):
        raise misfit(
            "must end after the host and port; put a DN into base, write a socket as ldapi://%2Fpath"
        )
    start_tls = info.data.get("start_tls")
    if parts.scheme == "ldapi":
        if not re.fullmatch(
            r"%2[Ff]([A-Za-z0-9._~-]|%(?!00)[0-9A-Fa-f]{2})+", parts.netloc
        ):
            raise misfit(
                "must name the whole path of a socket, as ldapi://%2Frun%2Fldapi with %2F for each slash"
            )
    else:
        check_host(parts)
    if start_tls and parts.scheme != "ldap":
        raise misfit(f"start_tls goes with ldap://, not with {parts.scheme}://")
    if (
        parts.scheme == "ldap"
        and start_tls is False
        and not info.data.get("allow_plaintext", True)
    ):
        raise misfit(
            "ldap:// sends secrets in clear; use ldaps:// or start_tls: true, or set allow_plaintext: true"
        )
    return url.rstrip("/") if parts.scheme != "ldapi" else url


LdapUrl = Annotated[str, AfterValidator(_ldap_url)]
"""`ldaps://host[:port]`, `ldap://` or `ldapi://` (RFC 4516 without a DN), judged by
`start_tls`, `allow_plaintext`."""


def _shown(name: str) -> str:
    if why := fault_of_name(name) or why_not_matched(name):
        raise misfit(f"{name} cannot be shown: {why}")
    return name


Shown = Annotated[
    list[Annotated[Text, AfterValidator(_shown)]],
    Field(
        description="Attributes with the names of people, for reports: the first with a value counts. []: none."
    ),
]
AttributeName = Annotated[
    str,
    matching(
        r"[A-Za-z][A-Za-z0-9_-]{0,255}",
        "must be an attribute's name without options, such as nsUniqueId",
    ),
]
"""An LDAP attribute by name, without options; the schema is the judge of the rest."""


_DN: Final = r"\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)\s*=\s*[^,\s](?s:.*)"
"""Looks like a distinguished name (RFC 4514 §3); the directory is the judge of the rest."""
_NO_DN: Final = "must be a distinguished name, such as ou=people,dc=example,dc=org"


def _listed(value: object) -> object:
    if not isinstance(value, str | list):
        raise misfit("must be a distinguished name, or a list of them")
    return [value] if isinstance(value, str) else value


def _apart(bases: list[str], info: ValidationInfo) -> list[str]:
    """Judged by the `scope` before it: one level below an entry is not below what is under that."""
    onelevel = info.data.get("scope") == "onelevel"
    for one, other in permutations(bases, 2):
        try:
            below = rdns(one) == rdns(other) if onelevel else covers(one, rdns(other))
        except ValueError:  # the directory says what is wrong with it
            continue
        if below:
            raise misfit(
                f"{one or 'the whole'} is not to be below {other or 'the whole'}: name the upper one alone"
            )
    return bases


def _names(bases: list[str]) -> list[str]:
    if not all(re.fullmatch(_DN, base) for base in bases):
        raise misfit(_NO_DN)
    return bases


_BASES: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]
    }
)
_List = Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)]
Bases = Annotated[_List, AfterValidator(_names), AfterValidator(_apart), _BASES]
"""Base DNs, none below another; one alone may be written without brackets."""
BasesOrAll = Annotated[
    _List,
    AfterValidator(lambda bases: bases if bases == [""] else _names(bases)),
    AfterValidator(_apart),
    _BASES,
]
"""The same, or one that is empty."""
