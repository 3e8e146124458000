"""Where a job's agents come from, and which of them are the job's."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from connector.reconcile.matching.job_agents import AgentPattern, JobAgents
from connector.settings.fields import (
    Bytes,
    CaFile,
    Headers,
    HttpUrl,
    RegularFile,
    Seconds,
    SecretRef,
    UrlPath,
)
from connector.settings.shape import Strict, misfit


def _pattern(text: str) -> str:
    try:
        AgentPattern.parse(text)
    except ValueError as fault:
        raise misfit(str(fault)) from None
    return text


AgentPatterns = Annotated[
    list[Annotated[str, AfterValidator(_pattern)]], Field(min_length=1)
]


class Selective(Strict):
    """A source of which a job may take some agents only."""

    only: Annotated[
        AgentPatterns | None,
        Field(
            description="The job's agents, by patterns of accounts (p*, account:p*) or by seats (seat:1000-1999)."
        ),
    ] = None
    besides: Annotated[
        AgentPatterns | None,
        Field(
            alias="except",
            description="Agents that are not the job's, written likewise.",
        ),
    ] = None

    shared_secrets: Annotated[
        bool, Field(description="Write a SIP password that ten agents or more share.")
    ] = False

    @property
    def agents(self) -> JobAgents:
        """The agents that are the job's."""
        only, besides = (
            [AgentPattern.parse(each) for each in some or ()]
            for some in (self.only, self.besides)
        )
        return JobAgents(only, besides)


class CecSource(Selective):
    """The agent query of a CEC tenant, over HTTPS."""

    type: Annotated[
        Literal["cec"], Field(description="The agent query of a CEC tenant.")
    ]
    allow_plaintext: Annotated[
        bool, Field(description="Allow http://: secrets travel in clear.")
    ] = False
    url: Annotated[
        HttpUrl, Field(description="https://host[:port] of the tenant's API.")
    ]
    app_key: Annotated[SecretRef, Field(description="Place of the app key.")]
    app_secret: Annotated[SecretRef, Field(description="Place of the app secret.")]
    path: Annotated[UrlPath, Field(description="Path of the agent query.")] = (
        "/apiaccess/CC-Mangemant/v1/queryAgentInfo"  # spelt as on the vendor's page
    )
    token_path: Annotated[UrlPath, Field(description="Path of the token query.")] = (
        "/apigovernance/api/oauth/tokenByAkSk"  # noqa: S105  # a path, not a token
    )
    headers: Headers = Field(
        default_factory=dict, description="Further headers, such as X-TenantSpaceID."
    )
    ca_file: CaFile = None
    timeout: Annotated[Seconds, Field(description="Seconds to wait for an answer.")] = (
        30
    )
    max_bytes: Annotated[
        Bytes, Field(description="Largest answer to accept, in bytes.")
    ] = 1 << 30
    retries: Annotated[
        int, Field(ge=0, le=20, description="Retries of a failed call.")
    ] = 4


class FileSource(Selective):
    """A file of the API's own JSON shape."""

    type: Annotated[
        Literal["file"], Field(description="A file in the format of the agent query.")
    ]
    path: Annotated[RegularFile, Field(description="Path of the JSON file.")]
    max_bytes: Annotated[
        Bytes, Field(description="Largest file to accept, in bytes.")
    ] = 1 << 30
