"""A job's directory that is an LDAP server."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from connector.settings.directory_fields import (
    AttributeName,
    Bases,
    LdapUrl,
    ReadBy,
    SettleTime,
    Shown,
)
from connector.settings.fields import (
    CaFile,
    KeyFile,
    RegularFile,
    Seconds,
    SecretRef,
    Text,
)
from connector.settings.shape import Strict, misfit

_SAYS_WHO: Final = {
    "external": "the certificate or the socket",
    "gssapi": "the Kerberos ticket",
}

_NAMES: Final = ["displayName", "cn"]


class LdapDirectory(Strict):
    """An LDAP server; the first of `urls` that answers serves the whole run."""

    type: Annotated[Literal["ldap"], Field(description="An LDAP server.")]
    allow_plaintext: Annotated[
        bool, Field(description="Allow ldap:// without StartTLS.")
    ] = False
    start_tls: Annotated[
        bool,
        Field(description="Use StartTLS on an ldap:// connection (RFC 4511 §4.14)."),
    ] = False
    urls: Annotated[
        list[LdapUrl],
        Field(
            min_length=1, description="ldaps://, ldap:// or ldapi:// of its servers."
        ),
    ]
    sasl: Annotated[
        Literal["external", "gssapi"] | None,
        Field(
            description="Bind by client certificate or local socket (external), or by Kerberos ticket (gssapi)."
        ),
    ] = None
    bind_dn: Annotated[
        Text | None,
        Field(description="Bind DN; for Active Directory also a UPN, or DOMAIN\\name."),
    ] = None
    password: Annotated[
        SecretRef | None,
        Field(description="Place of the password of bind_dn.", validate_default=True),
    ] = None
    ca_file: CaFile = None
    cert_file: Annotated[
        RegularFile | None,
        Field(description="PEM file of the client certificate.", validate_default=True),
    ] = None
    key_file: KeyFile = None
    scope: Annotated[
        Literal["subtree", "onelevel"],
        Field(description="sub: all entries below base. one: its direct children."),
    ] = "subtree"
    base: Annotated[
        Bases,
        Field(
            description="Base DN of the users, or a list. Entries outside are not read or written."
        ),
    ]
    filter: Annotated[Text, Field(description="Filter of the users (RFC 4515).")] = (
        "(objectClass=*)"
    )
    show: Shown = Field(
        default_factory=lambda: ["displayName", "cn"],
        json_schema_extra={"default": ["displayName", "cn"]},
    )
    read: ReadBy = "auto"
    id: Annotated[
        AttributeName | None,
        Field(description="Attribute with each user's id, if the server has no ids."),
    ] = None
    page_size: Annotated[
        int,
        Field(ge=0, le=100_000, description="Entries a page (RFC 2696); 0: no paging."),
    ] = 1000
    window: Annotated[
        int, Field(ge=1, le=256, description="Concurrent writes; reads use 64 at most.")
    ] = 256
    settle_time: SettleTime = 5
    timeout: Annotated[Seconds, Field(description="Seconds to wait for an answer.")] = (
        30
    )

    @field_validator("bind_dn")
    @classmethod
    def _one_identity(cls, bind_dn: str | None, info: ValidationInfo) -> str | None:
        sasl = info.data.get("sasl")
        if bind_dn and sasl:
            raise misfit(
                f"does not go with sasl: {sasl}, where {_SAYS_WHO[sasl]} identifies the account"
            )
        return bind_dn

    @field_validator("password")
    @classmethod
    def _name_and_password(
        cls, password: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if "bind_dn" in info.data and "sasl" in info.data:
            if password is None and info.data["bind_dn"]:
                raise misfit("needs a password as well (RFC 4513 §5.1.2)", at="bind_dn")
            if password is not None and not info.data["bind_dn"]:
                other = (
                    f"sasl: {info.data['sasl']} needs none"
                    if info.data["sasl"]
                    else "needs a bind_dn as well"
                )
                raise misfit(other)
        return password

    @field_validator("cert_file")
    @classmethod
    def _something_to_show(
        cls, cert_file: Path | None, info: ValidationInfo
    ) -> Path | None:
        local = all(
            url.lower().startswith("ldapi:") for url in info.data.get("urls", ())
        )
        if info.data.get("sasl") == "external" and cert_file is None and not local:
            raise misfit(
                "external needs a client certificate (cert_file) or an ldapi:// address",
                at="sasl",
            )
        return cert_file
