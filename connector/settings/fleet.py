"""The fleet file: where Temporal is, and how much the jobs of a fleet may do at once.

It is found beside the job files as `fleet.yaml`, or named by `--fleet`. These classes are
its shape, its JSON Schema (`cec-connector schema fleet`) and its documentation in one.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from connector.settings.document import Document
from connector.settings.fields import CaFile, KeyFile, RegularFile, SecretRef
from connector.settings.operations import Duration, Notify
from connector.settings.shape import Strict, matching, misfit
from connector.settings.textfile import wrong
from connector.settings.validation import check
from connector.settings.yamlfile import read

NAME: Final = "fleet.yaml"
"""What the file is called where it stands beside the job files."""
_HOST: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?"
_NAME: Final = matching(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}",
    "must begin with a letter or digit, and go on with those or any of _ . -",
)


class Tls(Strict):
    """TLS to Temporal. `{}` is TLS with the authorities that this machine trusts."""

    ca_file: CaFile = None
    cert_file: Annotated[
        RegularFile | None, Field(description="PEM file of the client certificate.")
    ] = None
    key_file: Annotated[KeyFile, Field(validate_default=True)] = None
    server_name: Annotated[
        Annotated[str, matching(_HOST, "must be a host name")] | None,
        Field(
            description="Host name that the certificate carries, if it is not that of address."
        ),
    ] = None

    @field_validator("key_file")
    @classmethod
    def _of_the_certificate(
        cls, key_file: Path | None, info: ValidationInfo
    ) -> Path | None:
        if key_file is None and info.data.get("cert_file") is not None:
            raise misfit("needs a key_file as well", at="cert_file")
        return key_file


def _address(address: str, info: ValidationInfo) -> str:
    found = re.fullmatch(rf"({_HOST}|\[[0-9A-Fa-f:.]+\]):(\d{{1,5}})", address)
    if found is None or not 0 < int(found[3]) < 65536:
        raise misfit("must be host:port, such as temporal.example.org:7233")
    plain = (
        "tls" in info.data
        and info.data["tls"] is None
        and not info.data.get("allow_plaintext", True)
    )
    if plain and not _is_loopback(found[1].strip("[]")):
        raise misfit(
            "without tls all travels in clear; add `tls: {}`, or set allow_plaintext: true"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _percentage(value: object) -> int:
    if (
        isinstance(value, str)
        and (found := re.fullmatch(r"(\d{1,3})%", value))
        and 1 <= int(found[1]) <= 100
    ):
        return int(found[1])
    raise misfit("must be a percentage from 1% to 100%")


Share = Annotated[
    int,
    BeforeValidator(_percentage),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}%$"}),
]
"""A number of hundredths, from 1 to 100."""


class Brake(Strict):
    """When applies stop in the whole fleet: too many jobs turned bad within a while."""

    share: Annotated[
        Share,
        Field(
            description="Applies stop when more than this share turned bad. 100%: never.",
            json_schema_extra={"default": "25%"},
        ),
    ] = 25
    window: Annotated[
        Duration,
        Field(
            description="Jobs that ran within this time count.",
            json_schema_extra={"default": "1h"},
        ),
    ] = 3600
    least: Annotated[
        int,
        Field(
            ge=1, le=100_000, description="Fewest jobs that have to have run for it."
        ),
    ] = 5


class FleetLimits(Strict):
    """How much all jobs together may do at once."""

    applies: Annotated[
        int, Field(ge=1, le=10_000, description="Most applies at once.")
    ] = 8
    per_server: Annotated[
        int,
        Field(
            ge=1, le=1000, description="Most applies at once on one directory server."
        ),
    ] = 1
    source_rate: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Most runs that begin within a minute, for each CEC host.",
        ),
    ] = 60
    brake: Annotated[
        Brake, Field(description="When applies stop in the whole fleet.")
    ] = Field(default_factory=Brake)


class FleetFile(Strict):
    """Where Temporal is, and the limits of the fleet."""

    allow_plaintext: Annotated[
        bool, Field(description="Allow a connection without TLS to another machine.")
    ] = False
    tls: Annotated[
        Tls | None,
        Field(description="TLS to Temporal. Default: none, on this machine only."),
    ] = None
    address: Annotated[
        Annotated[str, AfterValidator(_address)],
        Field(description="host:port of Temporal's frontend."),
    ]
    namespace: Annotated[
        Annotated[str, _NAME], Field(description="Namespace in Temporal.")
    ] = "default"
    task_queue: Annotated[
        Annotated[str, _NAME], Field(description="Task queue of this fleet's workers.")
    ] = "cec-connector"
    api_key: Annotated[
        SecretRef | None, Field(description="Place of the API key, for Temporal Cloud.")
    ] = None
    limits: Annotated[FleetLimits, Field(description="Limits of the whole fleet.")] = (
        Field(default_factory=FleetLimits)
    )
    notify: Annotated[
        Notify | None, Field(description="Who is told when applies stop.")
    ] = None


class LoadedFleet(Struct, frozen=True):
    """A fleet file as it was read; the paths in it are absolute."""

    path: Path
    settings: FleetFile
    document: Document

    @property
    def name(self) -> str:
        """How the log calls it."""
        return "fleet"

    @property
    def notify(self) -> Notify | None:
        """Who is told when applies stop."""
        return self.settings.notify

    def where(self, *keys: str | int) -> str:
        """`path:line` of a key, for messages."""
        return self.document.where(*keys)


def load(path: Path) -> LoadedFleet:
    """Read a fleet file. Raises FileError with every fault of the file and the line of each."""
    document = read(path)
    settings, faults = check(FleetFile, document)
    if settings is None or faults:
        raise wrong(path, faults)
    return LoadedFleet(path, settings, document)


def find(folder: Path, named: Path | None = None) -> LoadedFleet:
    """The fleet file that was named, else the one beside the job files. Raises FileError."""
    return load(named or folder / NAME)
