"""The job file: one source, one directory, one mapping, and the limits of what may happen between them.

These classes are the file's shape, its JSON Schema (`cec-connector schema job`) and its
documentation in one. They hold references to secrets, never secrets. A key that is judged
by others stands behind those, because pydantic hands a validator the keys before its own;
that way every fault of a file is found at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from msgspec import Struct
from msgspec.structs import replace
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from connector.errors import FileError
from connector.matching.selection import AgentPattern, JobAgents
from connector.model.limits import Limit
from connector.settings.approvers import Approvers
from connector.settings.fields import (
    Bytes,
    CaFile,
    Headers,
    HttpUrl,
    RegularFile,
    Seconds,
    SecretRef,
    StateUrl,
    Text,
    UrlPath,
    UserLimit,
    folder_of,
)
from connector.settings.ldap import LdapDirectory, LdifDirectory
from connector.settings.mapping_file import locate_mapping
from connector.settings.operations import Audit, Log, Metrics, Notify, Serve
from connector.settings.scim import ScimDirectory
from connector.settings.shape import MisfitError, Strict, check_document
from connector.settings.textfile import Document, read_yaml


def _check_pattern(text: str) -> str:
    AgentPattern.parse_text(text)  # raises ValueError
    return text


PatternText = Annotated[str, AfterValidator(_check_pattern)]
AgentPatterns = Annotated[list[PatternText], Field(min_length=1)]


class Accounts(Strict):
    """How the tenant's account list is read."""

    page_size: int = Field(default=100, ge=1, le=10_000)
    """Records to ask for a page; the server may give fewer."""
    path: UrlPath = "/apiaccess/rest/cc-management/v1/agentAccount/query"
    """Path of the account list. A file has the key `accounts` instead."""


def _expand_accounts(value: object) -> object:
    """What `true` and `false` stand for."""
    if isinstance(value, bool):
        return Accounts() if value else None
    return value


AccountsChoice = Annotated[
    Accounts | None,
    BeforeValidator(_expand_accounts, json_schema_input_type=bool | Accounts),
]


class Selective(Strict):
    """A source of which a job may take some agents only."""

    accounts: AccountsChoice = None
    """Read the account list too: it has {email}, {phone}, {userName} and {agentType}."""
    only: AgentPatterns | None = None
    """The job's agents, by patterns: p* or account:p*, seat:1000-1999, agent_type:…, role:…, skill:…"""
    besides: AgentPatterns | None = Field(default=None, alias="except")
    """Agents that are not the job's, written likewise."""
    shared_secrets: bool = False
    """Write a SIP password that ten agents or more share."""

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        if self.own_agents.account_fields and not self.accounts:
            raise MisfitError("agent_type, role and skill need `accounts: true`")
        return self

    @property
    def own_agents(self) -> JobAgents:
        """The agents that are the job's."""
        only = map(AgentPattern.parse_text, self.only or ())
        besides = map(AgentPattern.parse_text, self.besides or ())
        return JobAgents(list(only), list(besides))


class CecSource(Selective):
    """The agent query of a CEC tenant, over HTTPS."""

    type: Literal["cec"]
    """The agent query of a CEC tenant."""
    allow_plaintext: bool = False
    """Allow http://: secrets travel in clear."""
    url: HttpUrl
    """https://host[:port] of the tenant's API."""
    app_key: SecretRef
    """Place of the app key."""
    app_secret: SecretRef
    """Place of the app secret."""
    path: UrlPath = "/apiaccess/CC-Mangemant/v1/queryAgentInfo"
    """Path of the agent query, as the vendor spells it."""
    token_path: UrlPath = "/apigovernance/api/oauth/tokenByAkSk"  # noqa: S105  # a path, not a token
    """Path of the token query."""
    headers: Headers = Field(default_factory=dict)
    """Further headers, such as X-TenantSpaceID."""
    ca_file: CaFile = None
    timeout: Seconds = 30
    """Seconds to wait for an answer."""
    max_bytes: Bytes = 1 << 30
    """Largest answer to accept, in bytes."""
    retries: int = Field(default=4, ge=0, le=20)
    """Retries of a failed call."""


class FileSource(Selective):
    """A file of the API's own JSON shape."""

    type: Literal["file"]
    """A file in the format of the agent query."""
    path: RegularFile
    """Path of the JSON file."""
    max_bytes: Bytes = 1 << 30
    """Largest file to accept, in bytes."""


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

    update: UserLimit = Limit.parse("20%")
    """Most users with an attribute to set."""
    clear: UserLimit | None = None
    """Most users with an attribute to empty. Default: 10 users, and of each attribute 20 %
    of those that hold a value of the job there, at least 1."""
    secret: UserLimit | None = None
    """Most users with a secret to set. Default: as update."""
    agents_drop: UserLimit = Limit.parse("10%")
    """Most agents fewer than in the last good run."""
    matched_drop: UserLimit = Limit.parse("10%")
    """Most matched agents fewer than in the last good run, without those that are gone."""
    state: UserLimit = Limit.parse("50%")
    """Most users that already hold the values when the state knows no earlier apply."""
    attributes: dict[str, UserLimit] = Field(default_factory=dict)
    """Most users with this one attribute to set or empty."""


def _check_mapping(named: str, info: ValidationInfo) -> str:
    """Return a ready mapping's name as it is, and a path resolved. Both must be there."""
    folder = folder_of(info)
    if folder is None:
        return named
    try:
        path, is_ready = locate_mapping(named, folder)
    except FileError as fault:
        raise MisfitError(fault.what) from None
    return named if is_ready else str(path)


MappingName = Annotated[Text, AfterValidator(_check_mapping)]
StepSize = Annotated[int, Field(ge=1, le=100_000)]


class Reconciliation(Strict):
    """What a job reads, matches and writes, and how much of it at once."""

    source: AnySource
    """Source of the agents."""
    directory: AnyDirectory
    """Directory of the users."""
    mapping: MappingName
    """Name of a ready mapping, or path of a file."""
    limits: Limits = Limits()
    """Limits of what one run may change."""
    state: StateUrl = Field(default="sqlite:///state.db", validate_default=True)
    """State: runs, and the values that they wrote."""
    key: SecretRef | None = Field(default=None, validate_default=True)
    """Key of fingerprints and seals. Default: a file beside a SQLite state."""
    ramp: list[StepSize] = Field(default_factory=lambda: [5, 50])
    """Users in each first step of an apply. Each step is read back before the next."""
    max_failures: int = Field(default=8, ge=1)
    """Failed writes that end an apply."""
    pins: RegularFile | None = None
    """CSV file that ties agents to users by hand."""
    exclude: RegularFile | None = None
    """CSV file of agents and users to exclude."""
    siblings: list[RegularFile] = Field(default_factory=list)
    """Job files of the same tenant and the same state. An agent that one of them finds is not unmatched here."""

    @field_validator("key")
    @classmethod
    def _check_key_of_database(
        cls, key: SecretRef | None, info: ValidationInfo
    ) -> SecretRef | None:
        if key is None and info.data.get("state", "").startswith("postgres"):
            raise MisfitError(
                "in PostgreSQL needs a key outside the database; add `key: {file: PATH}`",
                at="state",
            )
        return key


class Job(Reconciliation):
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

    log: Log | None = None
    """What the log says of people."""
    approvers: Approvers | None = None
    """Who has to approve plans, by SSH signature."""
    audit: Audit | None = None
    """Audit: a record of each write."""
    metrics: Metrics | None = None
    """Metrics of single runs."""
    notify: Notify | None = None
    """Notices of runs that need attention."""
    traces: Literal["otlp"] | None = None
    """Send a trace of each run, as OTEL_* variables configure."""
    serve: Serve | None = None
    """Schedule of this job for `cec-connector serve`."""


class LoadedJob(Struct, frozen=True):
    """A job as it was read."""

    name: str
    """Its file's name without the suffix."""
    path: Path
    job: Job
    """What the file says; paths are absolute."""
    document: Document

    def where(self, *keys: str | int) -> str:
        """Tell `path:line` of a key, for messages: `where("source", "app_key")`."""
        return self.document.tell_place(*keys)

    @property
    def notify(self) -> Notify | None:
        """Who is told when a run needs somebody."""
        return self.job.notify

    @property
    def hashes_people(self) -> bool:
        """Whether no event of the log may name anybody."""
        return self.job.log is not None and self.job.log.people == "hashed"

    @property
    def state_path(self) -> Path | None:
        """The SQLite file that `state` names; None where it is kept in a database server."""
        scheme, _, path = self.job.state.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    def widen_to_everybody(self) -> "LoadedJob":
        """Widen the job to users past its filter, to tell who is there.

        An LDAP reader goes past the base itself (`past`).
        """
        everybody: dict[str, dict[str, object]] = {
            "ldap": {"filter": "(objectClass=*)", "scope": "subtree"},
            "ldif": {"filter": "(objectClass=*)", "base": [""]},
            "scim": {"filter": None},
        }
        return self._change_directory(everybody[self.job.directory.type])

    def shorten_waits(self, seconds: float) -> "LoadedJob":
        """Shorten the job's waits for an answer to this, for what is not worth a wait."""
        keys = dict(self.job.directory)
        waits = {"timeout", "budget"} & keys.keys()
        return self._change_directory({key: min(keys[key], seconds) for key in waits})

    def _change_directory(self, keys: Mapping[str, object]) -> "LoadedJob":
        directory = self.job.directory.model_copy(update=keys)
        return replace(self, job=self.job.model_copy(update={"directory": directory}))


def load_job(path: Path) -> LoadedJob:
    """Read a job file. Raises FileError with every fault of the file and the line of each.

    The files that it names are there, but are not read: see `mapping_file.load_mapping`,
    `people_lists.load_pins`, `fields.resolve_secret`.
    """
    return make_job(read_yaml(path))


def make_job(document: Document) -> LoadedJob:
    """Make a job from what its file says. Raises FileError."""
    path = document.path
    return LoadedJob(path.stem, path, check_document(Job, document), document)
