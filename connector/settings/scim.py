"""The part of a job that names a SCIM 2.0 service provider (RFC 7644)."""

from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import Field, ValidationInfo, field_validator

from connector.settings.fields import (
    CLEAR_HTTP,
    Bytes,
    CaFile,
    HttpAddress,
    KeyFile,
    ReadBy,
    RegularFile,
    Seconds,
    SecretRef,
    SettleTime,
    Shown,
    Text,
)
from connector.settings.shape import MisfitError, Strict, match_pattern

EXTENSION = "urn:ietf:params:scim:schemas:extension:cec:2.0:User"
"""The URN of the extension that is shipped."""
_NAMES: Final = ["displayName", "name.formatted"]

Urn = Annotated[
    str,
    match_pattern(
        r"urn:[A-Za-z0-9][A-Za-z0-9-]{1,31}:[A-Za-z0-9()+,.:=@;$_!*'%/?#-]+",
        "must be a URN, such as urn:ietf:params:scim:schemas:extension:example:2.0:User",
    ),
]
UserName = Annotated[Text, match_pattern("[^:]*", "cannot hold a colon (RFC 7617 §2)")]
Rate = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]


class ClientCredentials(Strict):
    """An access token of OAuth 2.0 for the program itself (RFC 6749 §4.4); it is renewed before it runs out."""

    token_url: HttpAddress
    """https:// address of the token endpoint."""
    client_id: Text
    """Client id at the authorization server."""
    client_secret: SecretRef
    """Place of the client's secret."""
    scope: Text | None = None
    """Scopes to ask for, separated by spaces."""
    client_auth: Literal["client_secret_basic", "client_secret_post"] = (
        "client_secret_basic"
    )
    """Send the secret in a header, or in the body (RFC 6749 §2.3.1)."""


class Basic(Strict):
    """A user and a password (RFC 7617)."""

    user: UserName
    """User name of the log-in."""
    password: SecretRef
    """Place of the password."""


class Kept(Struct, frozen=True):
    """The one secret of a job's directory."""

    ref: SecretRef
    """Where it is kept."""
    what: str
    """What it is, for messages."""
    keys: tuple[str, ...]
    """The keys of the directory that name it."""


class ScimConnection(Strict):
    """How a SCIM service provider is reached.

    One of `token`, `oauth` and `basic`, or a certificate, proves who asks.
    """

    type: Literal["scim"]
    """A SCIM 2.0 service provider."""
    allow_plaintext: bool = False
    """Allow http://: secrets travel in clear."""
    url: HttpAddress
    """Base address, such as https://host/scim/v2."""
    cert_file: RegularFile | None = None
    """PEM file of the client certificate."""
    key_file: KeyFile = None
    ca_file: CaFile = None
    oauth: ClientCredentials | None = None
    """Ask for access tokens with a client's secret."""
    basic: Basic | None = None
    """Log in with a user and a password."""
    token: SecretRef | None = Field(default=None, validate_default=True)
    """Place of a bearer token (RFC 6750)."""

    @field_validator("oauth")
    @classmethod
    def _refuse_clear_token_url(
        cls, oauth: ClientCredentials | None, info: ValidationInfo
    ) -> ClientCredentials | None:
        is_clear = oauth is not None and oauth.token_url.lower().startswith("http:")
        if is_clear and not info.data.get("allow_plaintext", True):
            raise MisfitError(f"token_url: {CLEAR_HTTP}")
        return oauth

    @field_validator("token")
    @classmethod
    def _check_one_proof(
        cls, token: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if not {"oauth", "basic", "cert_file"} <= info.data.keys():
            return token  # one of them is at fault itself
        proofs = {**info.data, "token": token}
        given = [name for name in ("oauth", "basic", "token") if proofs[name]]
        if len(given) > 1:
            raise MisfitError(
                f"cannot be combined: of {', '.join(given)} set one", at=given[0]
            )
        if not given and not proofs["cert_file"]:
            raise MisfitError("is missing; set one of token, oauth, basic or cert_file")
        return token

    @property
    def secret(self) -> Kept | None:
        """The secret that the job names for this directory; None where a certificate is all."""
        if self.oauth is not None:
            keys = ("oauth", "client_secret")
            return Kept(self.oauth.client_secret, "the client secret", keys)
        if self.basic is not None:
            return Kept(self.basic.password, "the password", ("basic", "password"))
        if self.token is not None:
            return Kept(self.token, "the token", ("token",))
        return None


class ScimDirectory(ScimConnection):
    """A SCIM 2.0 service provider; who asks is proved by one of `token`, `oauth` and `basic`, or by a certificate."""

    filter: Text | None = None
    """Filter of the users (RFC 7644 §3.4.2.2)."""
    show: Shown = Field(default=_NAMES)
    read: ReadBy = "auto"
    urn: Urn = EXTENSION
    """URN of the extension on the server."""
    dialect: RegularFile | None = None
    """Dialect file: what the server does its own way."""
    page_size: int = Field(default=100, ge=2, le=100_000)
    """Users a page; the server may give fewer."""
    concurrency: int = Field(default=8, ge=1, le=64)
    """Concurrent requests."""
    rate: Rate | None = None
    """Requests a second, at most."""
    settle_time: SettleTime = 5
    timeout: Seconds = 30
    """Seconds to wait for an answer."""
    budget: Seconds = 300
    """Most seconds of all pauses that the server asks for in a run."""
    max_bytes: Bytes = 64 << 20
    """Largest answer to accept, in bytes."""
