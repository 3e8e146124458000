"""The kinds of values that the keys of a file hold: files, addresses, secrets, limits, the state.

Each is a validator that says in one sentence what is wrong. Where the file is being read,
`info.context` is its path: relative paths are resolved against its folder, and files that
must be there are looked for. A model that a program builds by itself has no context, and
its paths stay as they are.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from connector.errors import FileError
from connector.model import Secret
from connector.model.limits import Limit
from connector.settings.attribute_names import fault_of_name, why_not_matched
from connector.settings.shape import Choice, MisfitError, Strict, match_pattern
from connector.settings.textfile import read_disk_text, why_no_file

MAX_SECRET_BYTES: Final = 64 << 10
CLEAR_SECRET: Final = (
    "a secret must not be written here in clear; write {env: NAME} or {file: PATH}"  # noqa: S105  # a message
)
INVALID_URL: Final = "is no valid URL: check its host and port"
CLEAR_HTTP: Final = (
    "http:// sends secrets in clear; use https://, or set allow_plaintext: true"
)
HOST_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?"
_SOCKETS: Final = frozenset({"ldapi", "unix"})
"""Schemes of addresses that name a socket of this machine in place of a host."""
_OWN_HEADERS: Final = frozenset({
    "authorization", "proxy-authorization", "cookie", "x-app-key", "host", "x-token-expire", "content-length",
    "transfer-encoding",
})  # fmt: skip

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]

_LIMIT_SCHEMA: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\d{1,9}%?$"},
    ]
}
UserLimit = Annotated[
    InstanceOf[Limit], BeforeValidator(Limit.parse), WithJsonSchema(_LIMIT_SCHEMA)
]
"""A number of users, or a percentage."""


def as_written(limit: Limit) -> str | int:
    """Say a limit as a file does: `20%` or a number."""
    return str(limit) if limit.percent else limit.number


# ---------------------------------------------------------------- files


def folder_of(info: ValidationInfo) -> Path | None:
    """Return the folder that relative paths start from, while a file is being read."""
    path: Path | None = info.context
    return path.absolute().parent if path else None


def _resolve_path(value: object, info: ValidationInfo) -> Path:
    is_text = isinstance(value, str) and value and value.isprintable()
    if isinstance(value, Path) or is_text:
        return (folder_of(info) or Path()) / str(value)
    raise MisfitError("must be the path of a file")


def _check_file(path: Path, info: ValidationInfo) -> Path:
    fault = why_no_file(path) if folder_of(info) else None
    if fault:
        raise MisfitError(fault)
    return path


def _check_certificate(key_file: Path, info: ValidationInfo) -> Path:
    if info.data.get("cert_file", key_file) is None:
        raise MisfitError("needs a cert_file as well")
    return key_file


AnyPath = Annotated[Path, BeforeValidator(_resolve_path)]
RegularFile = Annotated[AnyPath, AfterValidator(_check_file)]
"""A file that is looked for while the file that names it is read."""
CaFile = Annotated[
    RegularFile | None, Field(description="PEM file of the authorities to trust.")
]
KeyFile = Annotated[
    Annotated[RegularFile, AfterValidator(_check_certificate)] | None,
    Field(description="PEM file of the client certificate's key."),
]
"""The key of a validated `cert_file` before it."""


# ---------------------------------------------------------------- addresses


def split_url(
    url: str, schemes: tuple[str, ...], *, instead_of_path: str | None = None
) -> SplitResult:
    """Split a URL of these schemes that has an authority and no query (RFC 3986 §3).

    With `instead_of_path` it ends after the host and port; this is said of what stands
    behind. No message repeats the URL.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise MisfitError(
            "holds characters that a URL cannot have; write host names in their xn-- form"
        )
    if "@" in url:
        raise MisfitError("must not hold a user or a password")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MisfitError(INVALID_URL) from None
    has_authority = url.lower().startswith(f"{parts.scheme}://")
    if parts.scheme not in schemes or not has_authority:
        beginnings = [f"{scheme}://" for scheme in schemes]
        raise MisfitError(f"must begin with {' or '.join(beginnings)}")
    if "?" in url or "#" in url:
        raise MisfitError("must not hold a query or a fragment")
    if port == 0:
        raise MisfitError("port 0 is not valid")
    if instead_of_path is not None and parts.path not in ("", "/"):
        raise MisfitError(f"must end after the host and port{instead_of_path}")
    is_name = "[" in parts.netloc or re.fullmatch(HOST_NAME, parts.hostname or "")
    if parts.scheme not in _SOCKETS and not is_name:
        raise MisfitError(INVALID_URL if parts.hostname else "names no host")
    return parts


def http_address(
    url: str, info: ValidationInfo, *, instead_of_path: str | None = None
) -> str:
    """Check `https://host[:port]/path`.

    `http://` is allowed where a validated `allow_plaintext` before it says so.
    """
    parts = split_url(url, ("https", "http"), instead_of_path=instead_of_path)
    url_path(parts.path or "/")
    if parts.scheme == "http" and not info.data.get("allow_plaintext", True):
        raise MisfitError(CLEAR_HTTP)
    return url


def _check_http_host(url: str, info: ValidationInfo) -> str:
    hint = "; put the rest into path and token_path"
    return http_address(url, info, instead_of_path=hint).rstrip("/")


def url_path(path: str) -> str:
    """Check a path on a host, without a query."""
    if not re.fullmatch(r"/[!-~]*", path) or re.search(r"[?#]", path):
        raise MisfitError("must begin with / and hold neither spaces nor a query")
    if re.search(r"/\.{1,2}(/|$)", path):
        raise MisfitError("must not hold . or .. between slashes")
    return path


HttpUrl = Annotated[str, AfterValidator(_check_http_host)]
"""`https://host[:port]`."""
HttpAddress = Annotated[str, AfterValidator(http_address)]
"""`https://host[:port]/path`; a slash at its end is kept, for it may matter."""
UrlPath = Annotated[str, AfterValidator(url_path)]


def _check_header_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # RFC 9110 §5.1
        raise MisfitError("is no header name")
    if name.lower() in _OWN_HEADERS:
        raise MisfitError("cannot be set here: the program sets it, or it is a secret")
    return name


HeaderName = Annotated[str, AfterValidator(_check_header_name)]
HeaderValue = Annotated[
    str,
    match_pattern(
        r"([!-~]([ -~]*[!-~])?)?", "holds characters that a header cannot have"
    ),
]
Headers = dict[HeaderName, HeaderValue]


# ---------------------------------------------------------------- secrets


VariableName = Annotated[
    str,
    match_pattern(
        r"[A-Za-z_][A-Za-z0-9_]{0,200}",
        "must be the name of an environment variable: letters, digits and _",
    ),
]
CredentialName = Annotated[
    str,
    match_pattern(
        r"(?!\.{1,2}\Z)[A-Za-z0-9_.:-]{1,200}",
        "must be the name of a credential: letters, digits and any of _ . : -",
    ),
]
VaultPath = Annotated[
    str,
    match_pattern(
        r"[A-Za-z0-9_.@=:+-]+(/[A-Za-z0-9_.@=:+-]+)*",
        "must be a path in Vault without a slash at either end, such as cec/production",
    ),
]


class Place(Choice):
    """Where a secret is kept on this machine."""

    discreet = True
    choices: ClassVar[tuple[str, ...]] = ("env", "file", "credential")
    lacking = "name exactly one place: {env: NAME}, {file: PATH} or {credential: NAME}"

    env: VariableName | None = None
    """Name of the environment variable."""
    file: AnyPath | None = None
    """Path of the file; a final line break is not part of the secret."""
    credential: CredentialName | None = None
    """Name of a systemd credential (LoadCredential=)."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_clear_text(cls, value: Any) -> Any:
        if not isinstance(value, dict | Place):
            raise MisfitError(CLEAR_SECRET)
        return value


class AppRole(Strict):
    """A role to log in to Vault as."""

    mount: VaultPath = "approle"
    """Mount path of the auth method."""
    role_id: Text
    """Id of the role."""
    secret_id: Place
    """Place of its secret id."""


class VaultRef(Choice):
    """A value in a version 2 KV store of HashiCorp Vault, and who asks for it."""

    choices = ("token", "approle")
    lacking = "needs exactly one of token and approle"

    allow_plaintext: bool = False
    """Allow http://: secrets travel in clear."""
    url: HttpUrl
    """https://host[:port] of the server."""
    mount: VaultPath = "secret"
    """Mount path of the store."""
    path: VaultPath
    """Path of the secret in the store."""
    key: Text
    """Key of the value in the secret."""
    namespace: VaultPath | None = None
    """Vault namespace, if any."""
    ca_file: CaFile = None
    token: Place | None = None
    """Place of a token."""
    approle: AppRole | None = None
    """AppRole to log in with."""


class SecretRef(Place):
    """Where a secret is kept: on this machine, or in a vault."""

    choices = (*Place.choices, "vault")
    lacking = f"{Place.lacking.replace(' or', ',')}, or {{vault: …}}"

    vault: VaultRef | None = None
    """A value in HashiCorp Vault."""


def resolve_secret(ref: Place, what: str, where: str) -> Secret:
    """Fetch a secret from where it is kept on this machine.

    `what` says what it is for ("the app key"), `where` which line of the job asks for it.
    An empty one is refused: to LDAP it would be an anonymous bind that succeeds (RFC 4513
    §5.1.2). Raises FileError, which names the variable or the file and never what is in it.
    """
    try:
        value = _read_variable(ref.env) if ref.env else _read_secret_file(ref)
    except FileError as fault:
        raise FileError(f"{what}: {fault}", where=where) from None
    if value:
        return Secret(value)
    raise FileError(f"{what}: {name_place(ref)} is empty", where=where)


def name_place(ref: Place) -> str:
    """Name the place of a secret for a message."""
    if isinstance(ref, SecretRef) and ref.vault:
        return f"Vault, {ref.vault.mount}/{ref.vault.path}"
    return f"environment variable {ref.env}" if ref.env else str(file_of(ref))


def file_of(ref: Place) -> Path | None:
    """Return the file on this machine that a secret is kept in; None where it is elsewhere.

    That of a credential is named by systemd (systemd.exec(5), $CREDENTIALS_DIRECTORY).
    """
    if ref.credential is None:
        return ref.file
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) / ref.credential if folder else None


def _read_variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise FileError(f"environment variable {name} is not set")
    # Python keeps octets that are not UTF-8 as surrogates
    if re.search("[\ud800-\udfff]", value):
        raise FileError(f"environment variable {name} is not UTF-8 text")
    return value


def _read_secret_file(ref: Place) -> str:
    path = file_of(ref)
    if path is None:
        why = "systemd passes none here (CREDENTIALS_DIRECTORY is not set). Add LoadCredential= to the unit"
        raise FileError(f"credential {ref.credential}: {why}")
    text = read_disk_text(path, MAX_SECRET_BYTES)
    return re.sub(r"\r?\n\Z", "", text)


# ---------------------------------------------------------------- the state


def _check_state(url: str, info: ValidationInfo) -> str:
    scheme, _, rest = url.partition(":")
    if not re.match(r"[a-z][a-z0-9+.]*:", url):
        raise MisfitError("must be a URL, such as sqlite:///state.db")
    if scheme in ("postgresql", "postgres"):
        return _check_postgresql(url)
    if scheme != "sqlite":
        what = "is not supported; a state is kept at sqlite:///state.db or postgresql://host/database"
        raise MisfitError(f"{scheme}: {what}")
    if not re.fullmatch(r"///[^?#]*[^?#/]", rest) or rest[3:] == ":memory:":
        what = (
            "names no file; write sqlite:///relative.db or sqlite:////absolute/path.db"
        )
        raise MisfitError(what)
    return f"sqlite:///{(folder_of(info) or Path()) / rest[3:]}"


def _check_postgresql(url: str) -> str:
    """Check a connection URI of libpq (PostgreSQL manual, 34.1.1.2) without a password."""
    if not url.isprintable():
        raise MisfitError("holds characters that a URL cannot have")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise MisfitError(INVALID_URL) from None
    query = parse_qs(parts.query, keep_blank_values=True)
    if parts.password is not None or "password" in query:
        raise MisfitError(
            "holds a password: leave it to PGPASSWORD, or to a password file (PGPASSFILE, ~/.pgpass)"
        )
    for name in ("sslpassword", "oauth_client_secret"):
        if name in query:
            raise MisfitError(
                f"holds a secret ({name}): leave it to a service file (PGSERVICEFILE)"
            )
    host = r"(\[[^\[\]]*\]|[^:\[\]]*)(:\d{0,5})?"
    if not re.fullmatch(f"([^@]*@)?{host}(,{host})*", parts.netloc):
        raise MisfitError(INVALID_URL)
    if not parts.path.strip("/") and not {"service", "dbname"} & query.keys():
        raise MisfitError("names no database; write postgresql://user@host/database")
    return url


StateUrl = Annotated[str, AfterValidator(_check_state)]


# ---------------------------------------------------------------- directories


def _check_shown_name(name: str) -> str:
    why = fault_of_name(name) or why_not_matched(name)
    if why:
        raise MisfitError(f"{name} cannot be shown: {why}")
    return name


ShownName = Annotated[Text, AfterValidator(_check_shown_name)]
Shown = Annotated[
    list[ShownName],
    Field(
        description="Attributes with the names of people, for reports: the first with a value counts. []: none."
    ),
]
ReadBy = Annotated[
    Literal["auto", "find", "scan"],
    Field(
        description="find: look up agents' keys. scan: read all users. auto: the program chooses."
    ),
]
SettleTime = Annotated[
    float,
    Field(
        ge=0,
        le=300,
        allow_inf_nan=False,
        description="Most seconds to wait until the server shows the written values; 0: no wait.",
    ),
]
