"""A job's directory that is an LDAP server, or an LDIF file."""

import re
from itertools import permutations
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from connector.model.dn import is_below, split_rdns
from connector.settings.fields import (
    CaFile,
    KeyFile,
    ReadBy,
    RegularFile,
    Seconds,
    SecretRef,
    SettleTime,
    Shown,
    Text,
    split_url,
)
from connector.settings.shape import MisfitError, Strict, match_pattern

_SAYS_WHO: Final = {
    "external": "the certificate or the socket",
    "gssapi": "the Kerberos ticket",
}
_SOCKET: Final = r"%2[Ff]([A-Za-z0-9._~-]|%(?!00)[0-9A-Fa-f]{2})+"
_DN: Final = r"\s*([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)\s*=\s*[^,\s](?s:.*)"
"""Looks like a distinguished name (RFC 4514 §3); the directory is the judge of the rest."""
_NAMES: Final = ["displayName", "cn"]


def _check_url(url: str, info: ValidationInfo) -> str:
    hint = "; put a DN into base, write a socket as ldapi://%2Fpath"
    parts = split_url(url, ("ldaps", "ldap", "ldapi"), instead_of_path=hint)
    if parts.scheme == "ldapi" and not re.fullmatch(_SOCKET, parts.netloc):
        raise MisfitError(
            "must name the whole path of a socket, as ldapi://%2Frun%2Fldapi with %2F for each slash"
        )
    start_tls = info.data.get("start_tls")
    if start_tls and parts.scheme != "ldap":
        raise MisfitError(f"start_tls goes with ldap://, not with {parts.scheme}://")
    is_clear = parts.scheme == "ldap" and start_tls is False
    if is_clear and not info.data.get("allow_plaintext", True):
        raise MisfitError(
            "ldap:// sends secrets in clear; use ldaps:// or start_tls: true, or set allow_plaintext: true"
        )
    return url if parts.scheme == "ldapi" else url.rstrip("/")


LdapUrl = Annotated[str, AfterValidator(_check_url)]
"""`ldaps://host[:port]`, `ldap://` or `ldapi://` (RFC 4516 without a DN).

It is judged by `start_tls` and `allow_plaintext` before it.
"""
AttributeName = Annotated[
    str,
    match_pattern(
        r"[A-Za-z][A-Za-z0-9_-]{0,255}",
        "must be an attribute's name without options, such as nsUniqueId",
    ),
]
"""An LDAP attribute by name, without options; the schema is the judge of the rest."""


def _list_bases(value: object) -> object:
    if not isinstance(value, str | list):
        raise MisfitError("must be a distinguished name, or a list of them")
    return [value] if isinstance(value, str) else value


def _check_bases(bases: list[str], info: ValidationInfo) -> list[str]:
    """Refuse what is no DN, and a base below another. An LDIF file may have all entries.

    The `scope` before it counts: one level below an entry is not below what is under that.
    """
    if bases == [""] and info.data.get("type") == "ldif":
        return bases
    if not all(re.fullmatch(_DN, base) for base in bases):
        raise MisfitError(
            "must be a distinguished name, such as ou=people,dc=example,dc=org"
        )
    is_one_level = info.data.get("scope") == "onelevel"
    for lower, upper in permutations(bases, 2):
        try:
            name = split_rdns(upper)
            is_nested = is_below(lower, name)
            if is_one_level:
                is_nested = split_rdns(lower) == name
        except ValueError:  # the directory says what is wrong with it
            continue
        if is_nested:
            raise MisfitError(
                f"{lower} is not to be below {upper}: name the upper one alone"
            )
    return bases


_BASES_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]
    }
)
Bases = Annotated[
    list[str],
    Field(min_length=1),
    BeforeValidator(_list_bases),
    AfterValidator(_check_bases),
    _BASES_SCHEMA,
]
"""Base DNs, none below another; one alone may be written without brackets."""


class LdapConnection(Strict):
    """How an LDAP server is reached, and who binds."""

    type: Literal["ldap"]
    """An LDAP server."""
    allow_plaintext: bool = False
    """Allow ldap:// without StartTLS."""
    start_tls: bool = False
    """Use StartTLS on an ldap:// connection (RFC 4511 §4.14)."""
    urls: list[LdapUrl] = Field(min_length=1)
    """ldaps://, ldap:// or ldapi:// of its servers."""
    sasl: Literal["external", "gssapi"] | None = None
    """Bind by client certificate or local socket (external), or by Kerberos ticket (gssapi)."""
    bind_dn: Text | None = None
    """Bind DN; for Active Directory also a UPN, or DOMAIN\\name."""
    password: SecretRef | None = Field(default=None, validate_default=True)
    """Place of the password of bind_dn."""
    ca_file: CaFile = None
    cert_file: RegularFile | None = Field(default=None, validate_default=True)
    """PEM file of the client certificate."""
    key_file: KeyFile = None

    @field_validator("bind_dn")
    @classmethod
    def _check_one_account(
        cls, bind_dn: str | None, info: ValidationInfo
    ) -> str | None:
        sasl = info.data.get("sasl")
        if bind_dn and sasl:
            what = f"does not go with sasl: {sasl}, where {_SAYS_WHO[sasl]} identifies the account"
            raise MisfitError(what)
        return bind_dn

    @field_validator("password")
    @classmethod
    def _check_password(
        cls, password: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if not {"sasl", "bind_dn"} <= info.data.keys():
            return password  # one of them is at fault itself
        sasl, bind_dn = info.data["sasl"], info.data["bind_dn"]
        if bind_dn and not password:
            what = "needs a password as well (RFC 4513 §5.1.2)"
            raise MisfitError(what, at="bind_dn")
        if password and sasl:
            raise MisfitError(f"sasl: {sasl} needs none")
        if password and not bind_dn:
            raise MisfitError("needs a bind_dn as well")
        return password

    @field_validator("cert_file")
    @classmethod
    def _check_certificate(
        cls, cert_file: Path | None, info: ValidationInfo
    ) -> Path | None:
        is_local = all(
            url.lower().startswith("ldapi:") for url in info.data.get("urls", ())
        )
        is_external = info.data.get("sasl") == "external"
        if is_external and cert_file is None and not is_local:
            what = (
                "external needs a client certificate (cert_file) or an ldapi:// address"
            )
            raise MisfitError(what, at="sasl")
        return cert_file


class LdapDirectory(LdapConnection):
    """An LDAP server; the first of `urls` that answers serves the whole run."""

    scope: Literal["subtree", "onelevel"] = "subtree"
    """sub: all entries below base. one: its direct children."""
    base: Bases
    """Base DN of the users, or a list. Entries outside are not read or written."""
    filter: Text = "(objectClass=*)"
    """Filter of the users (RFC 4515)."""
    show: Shown = Field(default=_NAMES)
    read: ReadBy = "auto"
    id: AttributeName | None = None
    """Attribute with each user's id, if the server has no ids."""
    page_size: int = Field(default=1000, ge=0, le=100_000)
    """Entries a page (RFC 2696); 0: no paging."""
    window: int = Field(default=256, ge=1, le=256)
    """Concurrent writes; reads use 64 at most."""
    settle_time: SettleTime = 5
    timeout: Seconds = 30
    """Seconds to wait for an answer."""


class LdifDirectory(Strict):
    """An LDIF file (RFC 2849) as a directory; it is rewritten whole and atomically."""

    read: ClassVar[Literal["auto"]] = "auto"
    settle_time: ClassVar[float] = 0

    type: Literal["ldif"]
    """An LDIF file (RFC 2849)."""
    path: RegularFile
    """Path of the LDIF file."""
    base: Bases = Field(default_factory=lambda: [""])
    """Base DN of the users, or a list; empty: all entries."""
    filter: Text = "(objectClass=*)"
    """Filter of the users (RFC 4515)."""
    show: Shown = Field(default=_NAMES)
