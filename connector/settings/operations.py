"""The keys of a job that speak of running it unattended: who keeps account of it, and where."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from connector.settings.fields import (
    AnyPath,
    CaFile,
    HttpUrl,
    RegularFile,
    SecretRef,
    check_host,
    http_address,
    split_url,
    url_path,
)
from connector.settings.shape import Choice, Strict, matching, misfit

# RFC 5426 §3.3, RFC 6587 §3.2, RFC 5425 §4.1
_SYSLOG_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Occasion = Literal["refused", "failed", "conflict", "pending"]


def _syslog(url: str, info: ValidationInfo) -> str:
    if not url.isascii() or not url.isprintable() or " " in url:
        raise misfit("holds characters that a URL cannot have")
    parts = urlsplit(url)
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.strip("/"):
            raise misfit("a socket is written unix:///dev/log")
        return url
    if parts.scheme not in _SYSLOG_PORTS:
        raise misfit("must begin with udp://, tcp://, tls:// or unix://")
    try:
        port = parts.port or _SYSLOG_PORTS[parts.scheme]
    except ValueError:
        raise misfit("is no valid URL: check its host and port") from None
    if "@" in url or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise misfit("must end after the host and port")
    host = parts.hostname or ""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9a-f:.]+", host):
        raise misfit(
            "names no host" if not host else "is no valid URL: check its host and port"
        )
    if parts.scheme != "tls" and not info.data.get("allow_plaintext"):
        raise misfit(
            f"{parts.scheme}:// sends values in clear; use tls://, or set allow_plaintext: true"
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class Audit(Choice):
    """Where every write is noted for auditors: who, what, when, from which values to which. One place, or both."""

    any_of: ClassVar[tuple[str, ...]] = ("file", "syslog")
    lacking: ClassVar[str] = "needs a place: {file: PATH} or {syslog: URL}"

    file: Annotated[
        AnyPath | None, Field(description="Append JSON lines to this file.")
    ] = None
    allow_plaintext: Annotated[
        bool, Field(description="Allow udp:// and tcp://: values travel in clear.")
    ] = False
    syslog: Annotated[
        Annotated[str, AfterValidator(_syslog)] | None,
        Field(
            description="tls://host[:port], tcp://…, udp://… or unix:///dev/log (RFC 5424)."
        ),
    ] = None
    ca_file: Annotated[
        RegularFile | None,
        Field(description="PEM file of the authorities to trust, for tls://."),
    ] = None


class Log(Strict):
    """What the log says of people."""

    people: Annotated[
        Literal["named", "hashed"],
        Field(
            description="named: warnings name users. hashed: no event names anybody."
        ),
    ] = "named"


def _collected(path: Path) -> Path:
    if path.suffix != ".prom":
        raise misfit("must end in .prom: node-exporter collects no other file")
    return path


class Metrics(Choice):
    """Where a single run leaves its metrics: a file of node-exporter's textfile collector, a Pushgateway, or both."""

    any_of: ClassVar[tuple[str, ...]] = ("textfile", "pushgateway")
    lacking: ClassVar[str] = "needs a place: {textfile: PATH} or {pushgateway: URL}"

    textfile: Annotated[
        Annotated[AnyPath, AfterValidator(_collected)] | None,
        Field(
            description="NAME.prom in the folder of node-exporter's textfile collector; one file a job."
        ),
    ] = None
    pushgateway: Annotated[
        HttpUrl | None, Field(description="http[s]://host[:port] of a Pushgateway.")
    ] = None
    ca_file: CaFile = None


def _seconds(value: object) -> int:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,6})([smhd])", value)):
        seconds = int(found[1]) * _UNITS[found[2]]
        if 1 <= seconds <= 366 * 86400:
            return seconds
    raise misfit("must be a length of time: 90s, 30m, 6h or 7d, and a year at most")


Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[smhd]$"}),
]


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415  # for jobs with a time zone only

    try:
        ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        raise misfit("is no time zone's name, such as Europe/Berlin") from None
    except KeyError:
        raise misfit(
            "is not a known time zone; write a name such as Europe/Berlin"
        ) from None
    return name


def _cron(expression: str) -> str:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415  # for jobs with a schedule only

    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as fault:
        said = str(fault).lower()
        raise misfit(
            f"is no cron expression ({said}); write minute, hour, day, month, day of the week"
        ) from None
    return expression


class Serve(Choice):
    """When `cec-connector serve` runs the job, and whether it may write."""

    one_of: ClassVar[tuple[str, ...]] = ("cron", "every")
    lacking: ClassVar[str] = "needs exactly one of {every: 30m} or {cron: 15 6 * * *}"

    every: Annotated[
        Duration | None, Field(description="Time between runs: 90s, 30m, 6h, 1d.")
    ] = None
    timezone: Annotated[
        Annotated[str, AfterValidator(_zone)] | None,
        Field(description="Time zone of cron. Default: UTC."),
    ] = None
    cron: Annotated[
        Annotated[str, AfterValidator(_cron)] | None,
        Field(
            description="Minute, hour, day, month, day of the week, such as `15 6-20 * * 1-5`."
        ),
    ] = None
    jitter: Annotated[
        Duration | None, Field(description="Random delay of each start, up to this.")
    ] = None
    mode: Annotated[
        Literal["dry-run", "apply"],
        Field(
            description="apply: write plans within the limits; save others. dry-run: save all plans."
        ),
    ] = "dry-run"
    plans: Annotated[
        AnyPath | None,
        Field(description="Folder of saved plans. Default: that of the state."),
    ] = None
    max_age: Annotated[
        Duration | None,
        Field(
            description="Most age of the last good run for /readyz. Default: three runs."
        ),
    ] = None
    max_run_time: Annotated[
        Duration,
        Field(
            description="Longest time of a run. A longer run is ended as failed.",
            json_schema_extra={"default": "1d"},
        ),
    ] = 86400

    @model_validator(mode="after")
    def _zone_of_cron(self) -> Self:
        if self.every is not None and self.timezone is not None:
            raise misfit("timezone goes with cron; `every` is the same in every zone")
        return self


def _hook(url: str, info: ValidationInfo) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    http_address(f"{scheme}://{host}", info)
    if slash:
        url_path(f"/{path}")
    return url


class Webhook(Strict):
    """Whom to tell over HTTPS: a POST of JSON, signed as https://www.standardwebhooks.com says."""

    allow_plaintext: Annotated[bool, Field(description="Allow http://.")] = False
    url: Annotated[
        Annotated[str, AfterValidator(_hook)],
        Field(description="https://host[:port]/path."),
    ]
    secret: Annotated[
        SecretRef, Field(description="Place of the secret that signs messages.")
    ]
    ca_file: CaFile = None


def _smtp(url: str) -> str:
    parts = split_url(url, ("smtp", "smtps"))
    check_host(parts)
    if parts.path not in ("", "/"):
        raise misfit("must end after the host and port")
    return url.rstrip("/")


MailAddress = Annotated[
    str,
    matching(
        r"[!-~]+@[A-Za-z0-9.-]+", "must be a mail address, such as identity@example.org"
    ),
]


class Mail(Strict):
    """Whom to tell by e-mail."""

    allow_plaintext: Annotated[
        bool, Field(description="Allow smtp:// without STARTTLS.")
    ] = False
    server: Annotated[
        Annotated[str, AfterValidator(_smtp)],
        Field(
            description="smtp://host[:port], with STARTTLS (RFC 3207), or smtps://host[:port]."
        ),
    ]
    sender: Annotated[MailAddress, Field(description="Sender address.")]
    to: Annotated[
        list[MailAddress], Field(min_length=1, description="Recipient addresses.")
    ]
    user: Annotated[
        str | None, Field(min_length=1, description="User name of the log-in.")
    ] = None
    password: Annotated[
        SecretRef | None,
        Field(description="Place of the password of user.", validate_default=True),
    ] = None
    ca_file: CaFile = None

    @field_validator("password")
    @classmethod
    def _name_and_password(
        cls, password: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if "user" in info.data and (password is None) != (info.data["user"] is None):
            raise misfit("user and password go together")
        return password


class Notify(Choice):
    """Who is told when a run needs somebody."""

    any_of: ClassVar[tuple[str, ...]] = ("webhook", "mail")
    lacking: ClassVar[str] = "needs a recipient: {webhook: …} or {mail: …}"

    when: Annotated[
        list[Occasion],
        Field(
            min_length=1,
            description=(
                "Occasions: a refused plan, a failed run or write, a conflict, or changes that wait for an apply."
            ),
        ),
    ] = Field(default_factory=lambda: list(get_args(Occasion)))
    webhook: Annotated[
        Webhook | None, Field(description="A receiver of JSON over HTTPS.")
    ] = None
    mail: Annotated[Mail | None, Field(description="E-mail.")] = None
