"""The keys of a job that speak of running it unattended: who keeps account of it, and where."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
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
    HttpAddress,
    HttpUrl,
    RegularFile,
    SecretRef,
    http_address,
    split_url,
    url_path,
)
from connector.settings.shape import (
    AnyChoice,
    Choice,
    MisfitError,
    Strict,
    match_pattern,
)

# RFC 5426 §3.3, RFC 6587 §3.2, RFC 5425 §4.1
_SYSLOG_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Occasion = Literal["refused", "failed", "conflict", "pending"]


def _check_syslog(url: str, info: ValidationInfo) -> str:
    is_socket = url.startswith("unix:")
    schemes = (*_SYSLOG_PORTS, "unix")
    parts = split_url(url, schemes, instead_of_path=None if is_socket else "")
    if is_socket:
        if parts.netloc or not parts.path.strip("/"):
            raise MisfitError("a socket is written unix:///dev/log")
        return url
    if parts.scheme != "tls" and not info.data.get("allow_plaintext"):
        what = "sends values in clear; use tls://, or set allow_plaintext: true"
        raise MisfitError(f"{parts.scheme}:// {what}")
    if parts.port:
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}://{parts.netloc.rstrip(':')}:{_SYSLOG_PORTS[parts.scheme]}"


SyslogUrl = Annotated[str, AfterValidator(_check_syslog)]


class Audit(AnyChoice):
    """Where every write is noted for auditors: who, what, when, from which values to which. One place, or both."""

    choices = ("file", "syslog")
    lacking = "needs a place: {file: PATH} or {syslog: URL}"

    file: AnyPath | None = None
    """Append JSON lines to this file."""
    allow_plaintext: bool = False
    """Allow udp:// and tcp://: values travel in clear."""
    syslog: SyslogUrl | None = None
    """tls://host[:port], tcp://…, udp://… or unix:///dev/log (RFC 5424)."""
    ca_file: RegularFile | None = None
    """PEM file of the authorities to trust, for tls://."""


class Log(Strict):
    """What the log says of people."""

    people: Literal["named", "hashed"] = "named"
    """named: warnings name users. hashed: no event names anybody."""


def _check_suffix(path: Path) -> Path:
    if path.suffix != ".prom":
        raise MisfitError("must end in .prom: node-exporter collects no other file")
    return path


TextFile = Annotated[AnyPath, AfterValidator(_check_suffix)]


class Metrics(AnyChoice):
    """Where a single run leaves its metrics: a file of node-exporter's textfile collector, a Pushgateway, or both."""

    choices = ("textfile", "pushgateway")
    lacking = "needs a place: {textfile: PATH} or {pushgateway: URL}"

    textfile: TextFile | None = None
    """NAME.prom in the folder of node-exporter's textfile collector; one file a job."""
    pushgateway: HttpUrl | None = None
    """http[s]://host[:port] of a Pushgateway."""
    ca_file: CaFile = None


def _parse_duration(value: object) -> int:
    found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= seconds <= 366 * 86400:
        raise MisfitError(
            "must be a length of time: 90s, 30m, 6h or 7d, and a year at most"
        )
    return seconds


Duration = Annotated[
    int,
    BeforeValidator(_parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[smhd]$"}),
]
"""Seconds, written with a unit."""


def _check_watch(seconds: int) -> int:
    if seconds < 5:
        raise MisfitError("must be 5s or more")
    return seconds


class CallRate(NamedTuple):
    """So many calls in so many seconds."""

    calls: int
    seconds: int


def _parse_rate(value: object) -> CallRate:
    found = re.fullmatch(r"([1-9]\d{0,3})/([smhd])", str(value))
    if found is None:
        raise MisfitError("must be a number of calls in a time: 6/h or 1/m")
    return CallRate(int(found[1]), _UNITS[found[2]])


Rate = Annotated[
    CallRate,
    BeforeValidator(_parse_rate),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9]\d{0,3}/[smhd]$"}),
]
"""Calls in a second, minute, hour or day."""


class Hook(Strict):
    """Who may ask for a run of the job over HTTP: POST /run/JOB at the address of `--listen`."""

    token: SecretRef
    """Place of the bearer token that callers send."""
    at_most: Rate = Field(
        default=CallRate(6, 3600), json_schema_extra={"default": "6/h"}
    )
    """Accepted calls in a time: 6/h, 1/m."""


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise MisfitError(
            "is not a known time zone; write a name such as Europe/Berlin"
        ) from None
    return name


def _check_cron(expression: str) -> str:
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as fault:
        said = str(fault).lower()
        raise MisfitError(
            f"is no cron expression ({said}); write minute, hour, day, month, day of the week"
        ) from None
    return expression


ZoneName = Annotated[str, AfterValidator(_check_zone)]
CronExpression = Annotated[str, AfterValidator(_check_cron)]


class Reports(Strict):
    """A folder with a page of each run of `serve`, for any web server to show."""

    folder: AnyPath
    """Folder of the pages. Made if its parent exists."""
    keep: int = Field(default=30, ge=1)
    """Runs of the job that keep their page; failed ones are counted apart."""
    url: HttpAddress | None = None
    """Address that the web server gives the folder. The page at `/` links to it."""


class Serve(Choice):
    """When `cec-connector serve` runs the job, and whether it may write."""

    choices = ("cron", "every")
    lacking = "needs exactly one of {every: 30m} or {cron: 15 6 * * *}"

    every: Duration | None = None
    """Time between runs: 90s, 30m, 6h, 1d."""
    timezone: ZoneName | None = None
    """Time zone of cron. Default: UTC."""
    cron: CronExpression | None = None
    """Minute, hour, day, month, day of the week, such as `15 6-20 * * 1-5`."""
    jitter: Duration | None = None
    """Random delay of each start, up to this."""
    mode: Literal["dry-run", "apply"] = "dry-run"
    """apply: write plans within the limits; save others. dry-run: save all plans."""
    plans: AnyPath | None = None
    """Folder of saved plans. Default: that of the state."""
    reports: Reports | None = None
    """Where each run leaves its report."""
    max_age: Duration | None = None
    """Most age of the last good run for /readyz. Default: three runs."""
    watch: Annotated[Duration, AfterValidator(_check_watch)] | None = None
    """Look this often for changes of the tenant and the directory; a change starts a run."""
    hook: Hook | None = None
    """Start a run when it is asked for over HTTP."""
    max_run_time: Duration = Field(default=86400, json_schema_extra={"default": "1d"})
    """Longest time of a run. A longer run is ended as failed."""

    @model_validator(mode="after")
    def _check_zone_of_cron(self) -> Self:
        if self.every is not None and self.timezone is not None:
            raise MisfitError(
                "timezone goes with cron; `every` is the same in every zone"
            )
        return self


def _check_webhook_url(url: str, info: ValidationInfo) -> str:
    """Check the host, and the path apart from it, for a path may hold an @."""
    found = re.fullmatch("([^:]*://[^/]*)(/.*)?", url, re.DOTALL)
    http_address(found[1] if found else url, info)
    if found and found[2]:
        url_path(found[2])
    return url


WebhookUrl = Annotated[str, AfterValidator(_check_webhook_url)]


class Webhook(Strict):
    """Whom to tell over HTTPS: a POST of JSON, signed as https://www.standardwebhooks.com says."""

    allow_plaintext: bool = False
    """Allow http://."""
    url: WebhookUrl
    """https://host[:port]/path."""
    secret: SecretRef
    """Place of the secret that signs messages."""
    ca_file: CaFile = None


def _check_mail_server(url: str) -> str:
    split_url(url, ("smtp", "smtps"), instead_of_path="")
    return url.rstrip("/")


MailServer = Annotated[str, AfterValidator(_check_mail_server)]
MailAddress = Annotated[
    str,
    match_pattern(
        r"[!-~]+@[A-Za-z0-9.-]+", "must be a mail address, such as identity@example.org"
    ),
]


class Mail(Strict):
    """Whom to tell by e-mail."""

    allow_plaintext: bool = False
    """Allow smtp:// without STARTTLS."""
    server: MailServer
    """smtp://host[:port], with STARTTLS (RFC 3207), or smtps://host[:port]."""
    sender: MailAddress
    """Sender address."""
    to: list[MailAddress] = Field(min_length=1)
    """Recipient addresses."""
    user: str | None = Field(default=None, min_length=1)
    """User name of the log-in."""
    password: SecretRef | None = Field(default=None, validate_default=True)
    """Place of the password of user."""
    ca_file: CaFile = None

    @field_validator("password")
    @classmethod
    def _check_name_and_password(
        cls, password: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if "user" in info.data and (password is None) != (info.data["user"] is None):
            raise MisfitError("user and password go together")
        return password


class Notify(AnyChoice):
    """Who is told when a run needs somebody."""

    choices = ("webhook", "mail")
    lacking = "needs a recipient: {webhook: …} or {mail: …}"

    when: list[Occasion] = Field(default=list(get_args(Occasion)), min_length=1)
    """Occasions: a refused plan, a failed run or write, a conflict, or changes that wait."""
    webhook: Webhook | None = None
    """A receiver of JSON over HTTPS."""
    mail: Mail | None = None
    """E-mail."""
