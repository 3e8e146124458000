"""The part of a job that names a SCIM 2.0 service provider (RFC 7644)."""

from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import Field, ValidationInfo, field_validator

from connector.settings.directory_fields import ReadBy, SettleTime, Shown
from connector.settings.fields import (
    Bytes,
    CaFile,
    HttpAddress,
    KeyFile,
    RegularFile,
    Seconds,
    SecretRef,
    Text,
)
from connector.settings.shape import Strict, matching, misfit

EXTENSION = "urn:ietf:params:scim:schemas:extension:cec:2.0:User"
"""The URN of the extension that is shipped."""


Urn = Annotated[
    str,
    matching(
        r"urn:[A-Za-z0-9][A-Za-z0-9-]{1,31}:[A-Za-z0-9()+,.:=@;$_!*'%/?#-]+",
        "must be a URN, such as urn:ietf:params:scim:schemas:extension:example:2.0:User",
    ),
]

_NAMES: Final = ["displayName", "name.formatted"]


class ClientCredentials(Strict):
    """An access token of OAuth 2.0 for the program itself (RFC 6749 §4.4); it is renewed before it runs out."""

    token_url: Annotated[
        HttpAddress, Field(description="https:// address of the token endpoint.")
    ]
    client_id: Annotated[
        Text, Field(description="Client id at the authorization server.")
    ]
    client_secret: Annotated[
        SecretRef, Field(description="Place of the client's secret.")
    ]
    scope: Annotated[
        Text | None, Field(description="Scopes to ask for, separated by spaces.")
    ] = None
    client_auth: Annotated[
        Literal["client_secret_basic", "client_secret_post"],
        Field(
            description="Send the secret in a header, or in the body (RFC 6749 §2.3.1)."
        ),
    ] = "client_secret_basic"


class Basic(Strict):
    """A user and a password (RFC 7617)."""

    user: Annotated[
        Text,
        matching("[^:]*", "cannot hold a colon (RFC 7617 §2)"),
        Field(description="User name of the log-in."),
    ]
    password: Annotated[SecretRef, Field(description="Place of the password.")]


class Kept(Struct, frozen=True):
    """The one secret of a job's directory: where it is kept, what it is, and the keys of the job that say so."""

    ref: SecretRef
    what: str
    keys: tuple[str, ...]


class ScimDirectory(Strict):
    """A SCIM 2.0 service provider; who asks is proved by one of `token`, `oauth` and `basic`, or by a certificate."""

    type: Annotated[Literal["scim"], Field(description="A SCIM 2.0 service provider.")]
    allow_plaintext: Annotated[
        bool, Field(description="Allow http://: secrets travel in clear.")
    ] = False
    url: Annotated[
        HttpAddress, Field(description="Base address, such as https://host/scim/v2.")
    ]
    cert_file: Annotated[
        RegularFile | None, Field(description="PEM file of the client certificate.")
    ] = None
    key_file: KeyFile = None
    ca_file: CaFile = None
    oauth: Annotated[
        ClientCredentials | None,
        Field(description="Ask for access tokens with a client's secret."),
    ] = None
    basic: Annotated[
        Basic | None, Field(description="Log in with a user and a password.")
    ] = None
    token: Annotated[
        SecretRef | None,
        Field(description="Place of a bearer token (RFC 6750).", validate_default=True),
    ] = None
    filter: Annotated[
        Text | None, Field(description="Filter of the users (RFC 7644 §3.4.2.2).")
    ] = None
    show: Shown = Field(
        default_factory=lambda: ["displayName", "name.formatted"],
        json_schema_extra={"default": ["displayName", "name.formatted"]},
    )
    read: ReadBy = "auto"
    urn: Annotated[Urn, Field(description="URN of the extension on the server.")] = (
        EXTENSION
    )
    dialect: Annotated[
        RegularFile | None,
        Field(description="Dialect file: what the server does its own way."),
    ] = None
    page_size: Annotated[
        int,
        Field(ge=2, le=100_000, description="Users a page; the server may give fewer."),
    ] = 100
    concurrency: Annotated[
        int, Field(ge=1, le=64, description="Concurrent requests.")
    ] = 8
    rate: Annotated[
        float | None,
        Field(
            gt=0,
            le=10_000,
            allow_inf_nan=False,
            description="Requests a second, at most.",
        ),
    ] = None
    settle_time: SettleTime = 5
    timeout: Annotated[Seconds, Field(description="Seconds to wait for an answer.")] = (
        30
    )
    budget: Annotated[
        Seconds,
        Field(
            description="Most seconds of all pauses that the server asks for in a run."
        ),
    ] = 300
    max_bytes: Annotated[
        Bytes, Field(description="Largest answer to accept, in bytes.")
    ] = 64 << 20

    @field_validator("oauth")
    @classmethod
    def _not_in_clear(
        cls, oauth: ClientCredentials | None, info: ValidationInfo
    ) -> ClientCredentials | None:
        clear = oauth is not None and oauth.token_url.lower().startswith("http:")
        if clear and not info.data.get("allow_plaintext", True):
            raise misfit(
                "token_url: http:// sends secrets in clear; use https://, or set allow_plaintext: true"
            )
        return oauth

    @field_validator("token")
    @classmethod
    def _one_proof(
        cls, token: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if {"oauth", "basic", "cert_file"} <= info.data.keys():
            given = [name for name in ("oauth", "basic") if info.data[name]] + [
                "token"
            ] * (token is not None)
            if len(given) > 1:
                raise misfit(
                    f"cannot be combined: of {', '.join(given)} set one", at=given[0]
                )
            if not given and not info.data["cert_file"]:
                raise misfit("is missing; set one of token, oauth, basic or cert_file")
        return token

    @property
    def secret(self) -> Kept | None:
        """The secret that the job names for this directory; None where a certificate says it all."""
        if self.oauth is not None:
            return Kept(
                self.oauth.client_secret,
                "the client secret",
                ("oauth", "client_secret"),
            )
        if self.basic is not None:
            return Kept(self.basic.password, "the password", ("basic", "password"))
        return (
            Kept(self.token, "the token", ("token",))
            if self.token is not None
            else None
        )
