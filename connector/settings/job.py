"""The job file: one source, one directory, one mapping, and the limits of what may happen between them.

These classes are the file's shape, its JSON Schema (`cec-connector schema job`) and its
documentation in one. They hold references to secrets, never secrets. A key that is judged
by others stands behind those, because pydantic hands a validator the keys before its own;
that way every fault of a file is found at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace
from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator

from connector.errors import FileError
from connector.reconcile.checks.limits import Limit
from connector.settings.approvers import Approvers
from connector.settings.document import Document
from connector.settings.fields import RegularFile, SecretRef, StateUrl, Text, folder_of
from connector.settings.ldap import LdapDirectory
from connector.settings.ldif import LdifDirectory
from connector.settings.limits import UserLimit
from connector.settings.mapping_file import locate
from connector.settings.operations import Audit, Log, Metrics, Notify, Serve
from connector.settings.scim import ScimDirectory
from connector.settings.shape import Strict, misfit
from connector.settings.source import CecSource, FileSource
from connector.settings.textfile import wrong
from connector.settings.validation import check
from connector.settings.yamlfile import read

AnySource = Annotated[CecSource | FileSource, Field(discriminator="type")]
AnyDirectory = Annotated[
    LdapDirectory | LdifDirectory | ScimDirectory, Field(discriminator="type")
]


class Limits(Strict):
    """How many users one run may change; beyond it the plan is refused unless that very plan is accepted.

    A number, or a percentage of the matched users (`clear`: of the users that hold
    something we wrote), rounded down.
    `secret` is as `update` unless it is said. `agents_drop` and `matched_drop` are against the last good run.
    """

    update: Annotated[
        UserLimit, Field(description="Most users with an attribute to set.")
    ] = Limit.parse("20%")
    clear: Annotated[
        UserLimit | None,
        Field(
            description="Most users with an attribute to empty. Default: 10 users, and of each attribute 20 % of those "
            "that hold a value of the job there, at least 1."
        ),
    ] = None
    secret: Annotated[
        UserLimit | None,
        Field(description="Most users with a secret to set. Default: as update."),
    ] = None
    agents_drop: Annotated[
        UserLimit, Field(description="Most agents fewer than in the last good run.")
    ] = Limit.parse("10%")
    matched_drop: Annotated[
        UserLimit,
        Field(
            description="Most matched agents fewer than in the last good run, without those that are gone."
        ),
    ] = Limit.parse("10%")
    state: Annotated[
        UserLimit,
        Field(
            description="Most users that already hold the values when the state knows no earlier apply."
        ),
    ] = Limit.parse("50%")
    attributes: Annotated[
        dict[str, UserLimit],
        Field(description="Most users with this one attribute to set or empty."),
    ] = Field(default_factory=dict)


def _located(named: str, info: ValidationInfo) -> str:
    """A ready mapping's name as it is; a path resolved. Both must be there."""
    folder = folder_of(info)
    if folder is None:
        return named
    try:
        path, ready = locate(named, folder)
    except FileError as fault:
        raise misfit(fault.what) from None
    return named if ready else str(path)


class Job(Strict):
    """One source, one directory, one mapping."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {
                "required": ["state"],
                "properties": {"state": {"pattern": "^postgres"}},
            },
            "then": {"required": ["key"]},
        }
    )
    renamed: ClassVar[Mapping[str, str]] = {"never": "exclude"}

    source: Annotated[AnySource, Field(description="Source of the agents.")]
    directory: Annotated[AnyDirectory, Field(description="Directory of the users.")]
    mapping: Annotated[
        Text,
        AfterValidator(_located),
        Field(description="Name of a ready mapping, or path of a file."),
    ]
    limits: Annotated[
        Limits, Field(description="Limits of what one run may change.")
    ] = Limits()
    state: Annotated[
        StateUrl,
        Field(
            description="State: runs, and the values that they wrote.",
            validate_default=True,
        ),
    ] = "sqlite:///state.db"
    key: Annotated[
        SecretRef | None,
        Field(
            description="Key of fingerprints and seals. Default: a file beside a SQLite state.",
            validate_default=True,
        ),
    ] = None
    ramp: Annotated[
        list[Annotated[int, Field(ge=1, le=100_000)]],
        Field(
            description="Users in each first step of an apply. Each step is read back before the next."
        ),
    ] = Field(default_factory=lambda: [5, 50])
    max_failures: Annotated[
        int, Field(ge=1, description="Failed writes that end an apply.")
    ] = 8
    pins: Annotated[
        RegularFile | None,
        Field(description="CSV file that ties agents to users by hand."),
    ] = None
    exclude: Annotated[
        RegularFile | None,
        Field(description="CSV file of agents and users to exclude."),
    ] = None
    log: Annotated[Log | None, Field(description="What the log says of people.")] = None
    approvers: Annotated[
        Approvers | None,
        Field(description="Who has to approve plans, by SSH signature."),
    ] = None
    audit: Annotated[
        Audit | None, Field(description="Audit: a record of each write.")
    ] = None
    metrics: Annotated[Metrics | None, Field(description="Metrics of single runs.")] = (
        None
    )
    notify: Annotated[
        Notify | None, Field(description="Notices of runs that need attention.")
    ] = None
    traces: Annotated[
        Literal["otlp"] | None,
        Field(description="Send a trace of each run, as OTEL_* variables configure."),
    ] = None
    serve: Annotated[
        Serve | None,
        Field(description="Schedule of this job for `cec-connector serve`."),
    ] = None

    @field_validator("key")
    @classmethod
    def _not_in_the_database(
        cls, key: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if key is None and info.data.get("state", "").startswith("postgres"):
            raise misfit(
                "in PostgreSQL needs a key outside the database; add `key: {file: PATH}`",
                at="state",
            )
        return key


class LoadedJob(Struct, frozen=True):
    """A job as it was read. `name` is its file's name without the suffix; `job`'s paths are absolute."""

    name: str
    path: Path
    job: Job
    document: Document

    def where(self, *keys: str | int) -> str:
        """`path:line` of a key, for messages: `where("source", "app_key")`."""
        return self.document.where(*keys)

    @property
    def notify(self) -> Notify | None:
        """Who is told when a run needs somebody."""
        return self.job.notify

    @property
    def state_path(self) -> Path | None:
        """The SQLite file that `state` names; None where it is kept in a database server."""
        named = self.job.state
        return (
            Path(named.removeprefix("sqlite:///"))
            if named.startswith("sqlite:///")
            else None
        )

    def past(self) -> "LoadedJob":
        """The same job past the filter, for telling who is there; an LDAP reader goes past the base itself (`past`)."""
        directory = self.job.directory
        if directory.type == "scim":
            everybody: dict[str, str | list[str] | None] = {"filter": None}
        elif directory.type == "ldap":
            everybody = {"filter": "(objectClass=*)", "scope": "subtree"}
        else:
            everybody = {"filter": "(objectClass=*)", "base": [""]}
        return self._with(everybody)

    def hurried(self, seconds: float) -> "LoadedJob":
        """The same job, waiting no longer than this for an answer, for what is not worth a wait."""
        directory = self.job.directory
        if directory.type == "ldif":
            return self
        waits = {"timeout": min(directory.timeout, seconds)}
        if directory.type == "scim":
            waits["budget"] = min(directory.budget, seconds)
        return self._with(waits)

    def _with(self, said: Mapping[str, object]) -> "LoadedJob":
        directory = self.job.directory.model_copy(update=said)
        return replace(self, job=self.job.model_copy(update={"directory": directory}))


def load(path: Path) -> LoadedJob:
    """Read a job file. Raises FileError with every fault of the file and the line of each.

    The files that it names are there, but are not read: see `mapping.load`,
    `people.load_pins`, `secrets.resolve`.
    """
    return shaped(read(path))


def shaped(document: Document) -> LoadedJob:
    """A job from what its file says. Raises FileError."""
    path = document.path
    job, faults = check(Job, document)
    if job is None or faults:
        raise wrong(path, faults)
    return LoadedJob(path.stem, path, job, document)
