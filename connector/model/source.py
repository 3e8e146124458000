"""What the source knows: agents, as records of it, and the tenant that they make up."""

from __future__ import annotations

from msgspec import Struct

from connector.model.change import AgentRef
from connector.model.secret import Secret


class Agent(Struct, frozen=True, gc=False):
    """A record of the source."""

    work_no: int
    account_code: str | None = None
    """None: a seat that no account is tied to (*unassigned*)."""
    sip_account: str | None = None
    sip_pwd: Secret | None = None

    @property
    def ref(self) -> AgentRef:
        return AgentRef(self.work_no, self.account_code)


class InvalidRecord(Struct, frozen=True):
    """A record that cannot be read, and what of it could be."""

    record: int
    """Its place in the answer, from 1."""
    why: str
    """Why it cannot be read."""
    work_no: int | None = None
    account_code: str | None = None


class Tenant(Struct, frozen=True):
    """Everything that the source knows, read whole."""

    agents: list[Agent]
    invalid: list[InvalidRecord] = []
    sip_service_ip: str | None = None
    sip_service_port: str | None = None
    notes: list[str] = []
    """Faults of the tenant's own fields, one line each."""
    others: frozenset[int] = frozenset()
    """Numbers of agents that are not this job's."""
    others_invalid: list[InvalidRecord] = []
    """Records that cannot be read and are not this job's."""
    unknown_secrets: int = 0
    """Agents whose password is masked, or shared by so many that it is taken for a mask."""

    @property
    def size(self) -> int:
        """How many records are this job's."""
        return len(self.agents) - len(self.others) + len(self.invalid)

    @property
    def other_jobs_count(self) -> int:
        """How many are not."""
        return len(self.others) + len(self.others_invalid)
