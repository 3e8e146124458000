"""The kinds of values that a job's keys hold: files, addresses, places of secrets, the state, header lines.

Each is a validator that says in one sentence what is wrong. Where the file is being read,
`info.context` is its path: relative paths are resolved against its folder, and files that
must be there are looked for. A model that a program builds by itself has no context, and
its paths stay as they are.
"""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    model_validator,
)

from connector.settings.shape import Choice, Strict, matching, misfit
from connector.settings.textfile import why_no_file

CLEAR_SECRET: Final = (
    "a secret must not be written here in clear; write {env: NAME} or {file: PATH}"  # noqa: S105  # a message
)
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]
_OURS: Final = frozenset({
    "authorization", "proxy-authorization", "cookie", "x-app-key", "host", "x-token-expire", "content-length",
    "transfer-encoding",
})  # fmt: skip


def folder_of(info: ValidationInfo) -> Path | None:
    """The folder that relative paths start from, while a file is being read."""
    return info.context.absolute().parent if isinstance(info.context, Path) else None


def _resolved(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, str) and value and value.isprintable():
        value = Path(value)
    if not isinstance(value, Path):
        raise misfit("must be the path of a file")
    return (folder_of(info) or Path()) / value


def _there(path: Path, info: ValidationInfo) -> Path:
    if folder_of(info) is not None and (fault := why_no_file(path)):
        raise misfit(fault)
    return path


AnyPath = Annotated[Path, BeforeValidator(_resolved)]
RegularFile = Annotated[AnyPath, AfterValidator(_there)]
"""A file that is looked for while the file that names it is read."""


def _of_a_certificate(key_file: Path, info: ValidationInfo) -> Path:
    if info.data.get("cert_file", key_file) is None:
        raise misfit("needs a cert_file as well")
    return key_file


CaFile = Annotated[
    RegularFile | None, Field(description="PEM file of the authorities to trust.")
]
KeyFile = Annotated[
    Annotated[RegularFile, AfterValidator(_of_a_certificate)] | None,
    Field(description="PEM file of the client certificate's key."),
]
"""The key of a validated `cert_file` before it."""


_VARIABLE: Final = matching(
    r"[A-Za-z_][A-Za-z0-9_]{0,200}",
    "must be the name of an environment variable: letters, digits and _",
)
_CREDENTIAL: Final = matching(
    r"(?!\.{1,2}\Z)[A-Za-z0-9_.:-]{1,200}",
    "must be the name of a credential: letters, digits and any of _ . : -",
)


class Place(Choice):
    """Where a secret is kept on this machine."""

    discreet: ClassVar[bool] = True
    one_of: ClassVar[tuple[str, ...]] = ("env", "file", "credential")
    lacking: ClassVar[str] = (
        "name exactly one place: {env: NAME}, {file: PATH} or {credential: NAME}"
    )

    env: Annotated[
        Annotated[str, _VARIABLE] | None,
        Field(description="Name of the environment variable."),
    ] = None
    file: Annotated[
        AnyPath | None,
        Field(
            description="Path of the file; a final line break is not part of the secret."
        ),
    ] = None
    credential: Annotated[
        Annotated[str, _CREDENTIAL] | None,
        Field(description="Name of a systemd credential (LoadCredential=)."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _never_in_clear(cls, value: Any) -> Any:
        if not isinstance(value, dict | Place):
            raise misfit(CLEAR_SECRET)
        return value


def split_url(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of a URL that has an authority and nothing behind it (RFC 3986 §3). Never repeats the URL."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise misfit(
            "holds characters that a URL cannot have; write host names in their xn-- form"
        )
    if "@" in url:
        raise misfit("must not hold a user or a password")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise misfit("is no valid URL: check its host and port") from None
    if (
        parts.scheme not in schemes
        or f"{parts.scheme}://" != url[: len(parts.scheme) + 3].lower()
    ):
        raise misfit(
            f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
        )
    if "?" in url or "#" in url:
        raise misfit("must not hold a query or a fragment")
    if port == 0:
        raise misfit("port 0 is not valid")
    return parts


def check_host(parts: SplitResult) -> None:
    """Raises where the URL names no host."""
    host = parts.hostname or ""
    if "[" not in parts.netloc and not re.fullmatch(
        r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?", host
    ):
        raise misfit(
            "names no host" if not host else "is no valid URL: check its host and port"
        )


def http_address(url: str, info: ValidationInfo, *, with_path: bool = True) -> str:
    """`https://host[:port]/path`; `http://` where a validated `allow_plaintext` before it says so."""
    parts = split_url(url, ("https", "http"))
    check_host(parts)
    if not with_path and parts.path not in ("", "/"):
        raise misfit(
            "must end after the host and port; put the rest into path and token_path"
        )
    url_path(parts.path or "/")
    if parts.scheme == "http" and not info.data.get("allow_plaintext", True):
        raise misfit(
            "http:// sends secrets in clear; use https://, or set allow_plaintext: true"
        )
    return url if with_path else url.rstrip("/")


def url_path(path: str) -> str:
    """A path on a host, without a query."""
    if not re.fullmatch(r"/[!-~]*", path) or re.search(r"[?#]", path):
        raise misfit("must begin with / and hold neither spaces nor a query")
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise misfit("must not hold . or .. between slashes")
    return path


HttpUrl = Annotated[
    str, AfterValidator(lambda url, info: http_address(url, info, with_path=False))
]
"""`https://host[:port]`; `http://` where a validated `allow_plaintext` before it says so."""
HttpAddress = Annotated[str, AfterValidator(http_address)]
"""The same with a path: `https://host[:port]/path`; a slash at its end is kept, for it may
matter."""
UrlPath = Annotated[str, AfterValidator(url_path)]
"""A path on that host, without a query."""


VaultPath = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_.@=:+-]+(/[A-Za-z0-9_.@=:+-]+)*",
        "must be a path in Vault without a slash at either end, such as cec/production",
    ),
]


class AppRole(Strict):
    """A role to log in to Vault as."""

    mount: Annotated[VaultPath, Field(description="Mount path of the auth method.")] = (
        "approle"
    )
    role_id: Annotated[str, Field(min_length=1, description="Id of the role.")]
    secret_id: Annotated[Place, Field(description="Place of its secret id.")]


class VaultRef(Choice):
    """A value in a version 2 KV store of HashiCorp Vault, and who asks for it."""

    one_of: ClassVar[tuple[str, ...]] = ("token", "approle")
    lacking: ClassVar[str] = "needs exactly one of token and approle"

    allow_plaintext: Annotated[
        bool, Field(description="Allow http://: secrets travel in clear.")
    ] = False
    url: Annotated[HttpUrl, Field(description="https://host[:port] of the server.")]
    mount: Annotated[VaultPath, Field(description="Mount path of the store.")] = (
        "secret"
    )
    path: Annotated[VaultPath, Field(description="Path of the secret in the store.")]
    key: Annotated[
        str, Field(min_length=1, description="Key of the value in the secret.")
    ]
    namespace: Annotated[
        VaultPath | None, Field(description="Vault namespace, if any.")
    ] = None
    ca_file: CaFile = None
    token: Annotated[Place | None, Field(description="Place of a token.")] = None
    approle: Annotated[AppRole | None, Field(description="AppRole to log in with.")] = (
        None
    )


class SecretRef(Place):
    """Where a secret is kept: on this machine, or in a vault."""

    one_of: ClassVar[tuple[str, ...]] = (*Place.one_of, "vault")
    lacking: ClassVar[str] = f"{Place.lacking.replace(' or', ',')}, or {{vault: …}}"

    vault: Annotated[
        VaultRef | None, Field(description="A value in HashiCorp Vault.")
    ] = None


def _state(url: str, info: ValidationInfo) -> str:
    scheme, colon, rest = url.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9+.]*", scheme):
        raise misfit("must be a URL, such as sqlite:///state.db")
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url)
    if scheme != "sqlite":
        raise misfit(
            f"{scheme}: is not supported; a state is kept at sqlite:///state.db or postgresql://host/database"
        )
    if not re.fullmatch(r"///[^?#]*[^?#/]", rest) or rest[3:] == ":memory:":
        raise misfit(
            "names no file; write sqlite:///relative.db or sqlite:////absolute/path.db"
        )
    return f"sqlite:///{(folder_of(info) or Path()) / rest[3:]}"


def _postgresql(url: str) -> str:
    """A connection URI of libpq (PostgreSQL manual, 34.1.1.2), which takes a password from elsewhere."""
    if not url.isprintable():
        raise misfit("holds characters that a URL cannot have")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise misfit("is no valid URL: check its host and port") from None
    query = parse_qs(parts.query, keep_blank_values=True)
    if parts.password is not None or "password" in query:
        raise misfit(
            "holds a password: leave it to PGPASSWORD, or to a password file (PGPASSFILE, ~/.pgpass)"
        )
    if secret := {"sslpassword", "oauth_client_secret"} & query.keys():
        raise misfit(
            f"holds a secret ({', '.join(secret)}): leave it to a service file (PGSERVICEFILE)"
        )
    for host in parts.netloc.rpartition("@")[2].split(","):
        if not re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(:\d{0,5})?", host):
            raise misfit("is no valid URL: check its host and port")
    if not parts.path.strip("/") and not {"service", "dbname"} & query.keys():
        raise misfit("names no database; write postgresql://user@host/database")
    return url


StateUrl = Annotated[str, AfterValidator(_state)]


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # RFC 9110 §5.1
        raise misfit("is no header name")
    if name.lower() in _OURS:
        raise misfit("cannot be set here: the program sets it, or it is a secret")
    return name


Headers = dict[
    Annotated[str, AfterValidator(_header_name)],
    Annotated[
        str,
        matching(
            r"([!-~]([ -~]*[!-~])?)?", "holds characters that a header cannot have"
        ),
    ],
]
