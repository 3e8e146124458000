"""What the source knows: agents, as records of it, and the tenant that they make up."""

from __future__ import annotations

from msgspec import Struct

from connector.model.change import AgentRef
from connector.model.secret import Secret


class Agent(Struct, frozen=True, gc=False):
    """A record of the source. `account_code` None: a seat that no account is tied to (*unassigned*)."""

    work_no: int
    account_code: str | None = None
    sip_account: str | None = None
    sip_pwd: Secret | None = None

    @property
    def ref(self) -> AgentRef:
        return AgentRef(self.work_no, self.account_code)


class Invalid(Struct, frozen=True):
    """A record that cannot be read: its place in the answer (from 1), what of it could be read, and why not."""

    record: int
    why: str
    work_no: int | None = None
    account_code: str | None = None


class Tenant(Struct, frozen=True):
    """Everything that the source knows, read whole. `notes`: faults of the tenant's own fields, one line each.

    `others`: numbers of agents that are not this job's; `others_invalid`: records that cannot be read, and are not.
    """

    agents: list[Agent]
    invalid: list[Invalid] = []
    sip_service_ip: str | None = None
    sip_service_port: str | None = None
    notes: list[str] = []
    others: frozenset[int] = frozenset()
    others_invalid: list[Invalid] = []
    unknown_secrets: int = 0
    """Agents whose password is masked, or shared by so many that it is taken for a mask."""

    @property
    def size(self) -> int:
        """How many records are this job's."""
        return len(self.agents) - len(self.others) + len(self.invalid)

    @property
    def beside(self) -> int:
        """How many are not."""
        return len(self.others) + len(self.others_invalid)
