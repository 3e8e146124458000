"""What the source knows: agents, as records of it, and the tenant that they make up."""

from __future__ import annotations

from msgspec import Struct

from connector.model.change import AgentRef
from connector.model.secret import Secret


class Account(Struct, frozen=True, gc=False):
    """What the tenant's account list says of an agent's account, as far as a job uses it."""

    email: str | None = None
    phone: str | None = None
    user_name: str | None = None
    agent_type: str | None = None
    role: str | None = None
    skills: tuple[str, ...] = ()
    unknown: frozenset[str] = frozenset()
    """Fields that the list masks or does not tell, or all if it lacks the account: neither a value nor absent."""


class Agent(Struct, frozen=True, gc=False):
    """A record of the source."""

    work_no: int
    account_code: str | None = None
    """None: a seat that no account is tied to (*unassigned*)."""
    sip_account: str | None = None
    sip_pwd: Secret | None = None
    account: Account | None = None
    """None: the account list is not read, or the seat has no account."""

    def has_unknown(self, fields: frozenset[str]) -> bool:
        """Whether the account list does not tell one of these fields."""
        return self.account is not None and not fields.isdisjoint(self.account.unknown)

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


class AccountList(Struct, frozen=True):
    """How the tenant's account list fits its agents."""

    listed: int
    """Records of the list."""
    unlisted: int
    """Agents whose account it lacks."""
    alone: frozenset[str]
    """Accounts that no agent has."""
    unknown: dict[str, int]
    """Agents of whom it does not tell a field, by the field."""
    contradictions: dict[int, str]
    """Why an agent, by its number, cannot be who the list says."""
    shape: str
    """How the list stood in its answer, for `check`."""


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
    accounts: AccountList | None = None
    """None: the account list is not read."""

    @property
    def size(self) -> int:
        """How many records are this job's."""
        return len(self.agents) - len(self.others) + len(self.invalid)

    @property
    def other_jobs_count(self) -> int:
        """How many are not."""
        return len(self.others) + len(self.others_invalid)
