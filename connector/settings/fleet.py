"""The fleet file: where Temporal is, and how much the jobs of a fleet may do at once.

It is found beside the job files as `fleet.yaml`, or named by `--fleet`. These classes are
its shape, its JSON Schema (`cec-connector schema fleet`) and its documentation in one.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Final

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from connector.settings.fields import (
    HOST_NAME,
    CaFile,
    KeyFile,
    RegularFile,
    SecretRef,
    StateUrl,
)
from connector.settings.operations import Duration, Notify
from connector.settings.shape import (
    MisfitError,
    Strict,
    check_document,
    match_pattern,
)
from connector.settings.textfile import Document, read_yaml

NAME: Final = "fleet.yaml"
"""What the file is called where it stands beside the job files."""
TemporalName = Annotated[
    str,
    match_pattern(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}",
        "must begin with a letter or digit, and go on with those or any of _ . -",
    ),
]
HostName = Annotated[str, match_pattern(HOST_NAME, "must be a host name")]


class Tls(Strict):
    """TLS to Temporal. `{}` is TLS with the authorities that this machine trusts."""

    ca_file: CaFile = None
    cert_file: RegularFile | None = None
    """PEM file of the client certificate."""
    key_file: KeyFile = Field(default=None, validate_default=True)
    server_name: HostName | None = None
    """Host name that the certificate carries, if it is not that of address."""

    @field_validator("key_file")
    @classmethod
    def _check_key_of_certificate(
        cls, key_file: Path | None, info: ValidationInfo
    ) -> Path | None:
        if key_file is None and info.data.get("cert_file") is not None:
            raise MisfitError("needs a key_file as well", at="cert_file")
        return key_file


def _check_address(address: str, info: ValidationInfo) -> str:
    found = re.fullmatch(rf"({HOST_NAME}|\[[0-9A-Fa-f:.]+\]):(\d{{1,5}})", address)
    if found is None or not 0 < int(found[3]) < 65536:
        raise MisfitError("must be host:port, such as temporal.example.org:7233")
    is_refused = not info.data.get("allow_plaintext", True)
    is_clear = info.data.get("tls", "") is None
    if is_refused and is_clear and not _is_loopback(found[1].strip("[]")):
        raise MisfitError(
            "without tls all travels in clear; add `tls: {}`, or set allow_plaintext: true"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _parse_percentage(value: object) -> int:
    found = re.fullmatch(r"([1-9]\d?|100)%", str(value))
    if found is None:
        raise MisfitError("must be a percentage from 1% to 100%")
    return int(found[1])


Address = Annotated[str, AfterValidator(_check_address)]
SharedState = Annotated[
    StateUrl,
    match_pattern("postgres.*", "must be postgresql://…: all workers share it"),
]
Share = Annotated[
    int,
    BeforeValidator(_parse_percentage),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}%$"}),
]
"""A number of hundredths, from 1 to 100."""


class Brake(Strict):
    """When applies stop in the whole fleet: too many jobs turned bad within a while."""

    share: Share = Field(default=25, json_schema_extra={"default": "25%"})
    """Applies stop when more than this share turned bad. 100%: never."""
    window: Duration = Field(default=3600, json_schema_extra={"default": "1h"})
    """Jobs that ran within this time count."""
    least: int = Field(default=5, ge=1, le=100_000)
    """Fewest jobs that have to have run for it."""


class FleetLimits(Strict):
    """How much all jobs together may do at once."""

    applies: int = Field(default=8, ge=1, le=10_000)
    """Most applies at once."""
    per_server: int = Field(default=1, ge=1, le=1000)
    """Most applies at once on one directory server."""
    source_rate: int = Field(default=60, ge=1, le=100_000)
    """Most runs that begin within a minute, for each CEC host."""
    brake: Brake = Brake()
    """When applies stop in the whole fleet."""


class FleetFile(Strict):
    """Where Temporal is, and the limits of the fleet."""

    allow_plaintext: bool = False
    """Allow a connection without TLS to another machine."""
    tls: Tls | None = None
    """TLS to Temporal. Default: none, on this machine only."""
    address: Address
    """host:port of Temporal's frontend."""
    namespace: TemporalName = "default"
    """Namespace in Temporal."""
    task_queue: TemporalName = "cec-connector"
    """Task queue of this fleet's workers."""
    api_key: SecretRef | None = None
    """Place of the API key, for Temporal Cloud."""
    state: SharedState | None = None
    """Database of the limits. Default: that of the jobs, if all name one."""
    limits: FleetLimits = FleetLimits()
    """Limits of the whole fleet."""
    notify: Notify | None = None
    """Who is told when applies stop."""


class LoadedFleet(Struct, frozen=True):
    """A fleet file as it was read; the paths in it are absolute."""

    name: ClassVar[str] = "fleet"
    """How the log calls it."""

    path: Path
    settings: FleetFile
    document: Document

    @property
    def notify(self) -> Notify | None:
        """Who is told when applies stop."""
        return self.settings.notify

    def where(self, *keys: str | int) -> str:
        """Tell `path:line` of a key, for messages."""
        return self.document.tell_place(*keys)


def load_fleet(path: Path) -> LoadedFleet:
    """Read a fleet file. Raises FileError with every fault of the file and the line of each."""
    document = read_yaml(path)
    return LoadedFleet(path, check_document(FleetFile, document), document)


def find_fleet(folder: Path, named: Path | None = None) -> LoadedFleet:
    """Load the fleet file that was named, else the one beside the job files. Raises FileError."""
    return load_fleet(named or folder / NAME)
