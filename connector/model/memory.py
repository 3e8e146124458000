"""What is remembered of earlier runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from connector.model.change import AgentRef, AttributeChange
from connector.model.directory import UserRef
from connector.model.plan import Summary
from connector.model.secret import Held


class Owned(Struct, frozen=True, array_like=True, gc=False):
    """What a job wrote last to one attribute of one user."""

    run: str
    """The run that wrote it."""
    values: tuple[str, ...] = ()
    """A digest of each value (`equality.digest_value`)."""
    fingerprint: str | None = None
    """Of a secret, in place of a digest."""
    times: int = 1
    """In how many runs in a row the same was written."""
    restored: bool = False
    """Whether an undo put back what was nobody's."""
    pattern: str | None = None
    """Which values of the attribute were the job's (`owns`); None: all."""
    sent: tuple[str, ...] = ()
    """Where the directory spells values otherwise: a digest or fingerprint of each one
    that was sent."""
    stored: tuple[str, ...] = ()
    """Likewise of each one that was there then."""
    former: dict[str, tuple[str, ...]] = {}
    """By patterns of earlier mappings, the digests of values that may still be there,
    and that `pattern` leaves out."""


class Cleared(Struct, frozen=True):
    """What a job cleared from a user that no agent claimed."""

    user: UserRef
    attribute: str
    time: str
    """When, in RFC 3339."""
    held: Owned
    """What was the job's own in that attribute until then."""


class Others(Struct, frozen=True):
    """What another job wrote last to one user."""

    job: str
    user: UserRef
    attributes: Mapping[str, str | None]
    """By name, which of its values are that job's (`owns` of its mapping); None: all."""
    claims: bool = True
    """Whether that job's last complete apply claimed the user."""


Past = tuple[str, str, AttributeChange]
"""A run, the server that it wrote to, and what it set out to change of one attribute of a user."""


class Unsettled(Struct, frozen=True):
    """A write of which nobody knows whether it happened."""

    run: str
    server: str
    """The server for which it was meant."""
    user: UserRef
    attributes: tuple[str, ...]


class Refused(Struct, frozen=True):
    """What the directory did not let a job write to one user."""

    attributes: frozenset[str]
    runs: int
    """In how many runs in a row."""
    turn: int
    """The greater, the later it was tried last."""
    why: str = ""


class LastGood(Struct, frozen=True):
    """What the last good apply read."""

    agents: int
    """Records of the source."""
    matched: int
    """Agents that had a user."""
    assigned: int
    """Agents that had an account."""

    @classmethod
    def of(cls, summary: Summary) -> LastGood:
        return cls(summary.agents, summary.matched, summary.agents - summary.unassigned)

    def expected(self, now: LastGood) -> int:
        """How many should have a user by now: as many as before, but for agents with an account that are gone.

        A seat without an account never had a user. One that lost its account is not gone.
        """
        return self.matched - max(
            0, min(self.agents - now.agents, self.assigned - now.assigned)
        )


class SiblingPlan(Struct, frozen=True):
    """What the last full plan of a job says of its agents, for other jobs of the tenant."""

    job: str
    found: frozenset[str]
    """Accounts of agents for which it finds a user, or several."""
    missing: frozenset[str]
    """Accounts of agents that it reports as unmatched."""
    created: str
    """When that plan was made, in RFC 3339."""
    max_age: int | None = None
    """For how many seconds the plan counts; None: as the job does not say."""


class SiblingPlans(Struct, frozen=True):
    """The plans of a job's siblings that count now."""

    plans: tuple[SiblingPlan, ...] = ()
    unheard: tuple[str, ...] = ()
    """Siblings without a full plan in this state, or with an old one."""


class JobIdentity(Struct, frozen=True, omit_defaults=True):
    """What a job is, beside its name: another one of that name would have its users cleared."""

    tenant: str = ""
    """Where its agents come from: the URL without the key, or a file's real path. Empty:
    not known."""
    directory: str = ""
    """The identity of its directory. Empty: not known."""
    bases: tuple[str, ...] | None = None
    """The DNs below which its users are; None: not known."""
    file: str = ""
    """The job file's real path, for messages alone. Empty: an older version has noted none."""


MOST_COUNTED: Final = timedelta(days=7)
"""So much time counts at most between two applies, whatever the clock says."""


def count_time(last: datetime | None, now: datetime) -> timedelta:
    """The time between two applies, as it counts towards a grace."""
    if last is None:
        return timedelta(0)
    return min(max(now - last, timedelta(0)), MOST_COUNTED)


class Memory(Protocol):
    """What earlier runs left behind about one directory, as far as making a plan needs it."""

    def read_confirmed(
        self, users: Collection[str]
    ) -> Mapping[str, Mapping[str, Owned]]:
        """By user id what this job is known to have written last to these users."""

    def read_agents(self, users: Collection[str]) -> Mapping[str, AgentRef]:
        """By user id the agent for whom this job wrote these users last, or may have, where that is known.

        A write that was taken back does not count; what is there then is an earlier
        agent's, or nobody's.
        """

    def read_past(self, users: Collection[str]) -> Mapping[str, Sequence[Past]]:
        """By user id what runs of any job set out to change there, the oldest run's first."""

    def fingerprint_of(
        self,
        user_id: str,
        attribute: str,
    ) -> str | None:
        """The fingerprint of the secret that was last written there, if any."""

    def days_of_writes(
        self,
        users: Collection[str],
        attribute: str,
    ) -> Sequence[str]:
        """The days on which an attribute of these users was written last, in order; not those of pruned runs."""

    def read_owned(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        """Every user that holds something this job wrote last, by attribute; also what it has put back (`restored`).

        What it may have written, for the outcome is not known, counts as written. A user of
        whom only `read_unshown` knows comes without attributes.
        """

    def read_unshown(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        """By user id the attributes whose last write by this job the directory took, and did not show.

        With the values of that write; none, where they are secrets, or were not there any more.
        """

    def read_replaced(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        """Of the same writes as `read_unshown`, the values that were there before; none, where they are secrets."""

    def read_respelt(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        """What any job wrote last and the directory stores in another spelling, by user and attribute."""

    def read_unsettled(self) -> Iterator[Unsettled]:
        """Writes of this job of which nobody knows whether they happened, and that no later one has overtaken."""

    def read_late(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        """What any job wrote last, or may have written, at servers that this one may not have heard of yet."""

    def read_other_jobs(self) -> Iterator[Others]:
        """Every user that holds something another job of this state wrote last."""

    def read_former(self) -> Iterator[tuple[str, str]]:
        """Attributes of users that hold, or held, values of this job which its `owns` leaves out, with what had it."""

    def read_rewritten(self) -> Mapping[tuple[str, str], Owned]:
        """What this job wrote there more than once running, by user id and attribute."""

    def read_stale(self) -> Mapping[str, tuple[timedelta, int]]:
        """Users that nobody claimed in the last apply, by id: for how long by then, and in how many runs."""

    def read_lapsed(self) -> frozenset[str]:
        """Users of this job, by id, that the last apply found nowhere, and said so."""

    def read_cleared(self) -> Iterator[Cleared]:
        """What this job cleared from users that nobody claimed, and to which it has not written since."""

    def read_last_look(self) -> datetime | None:
        """When an apply last looked for who is stale."""

    def read_refused(self) -> Mapping[str, Refused]:
        """By user id, what earlier runs of this job were refused."""

    def read_excluded(self) -> Mapping[str, frozenset[str]]:
        """By entry of the exclude list, the ids of the users that it has named."""

    def last_good(self) -> LastGood | None:
        """What the last good apply of this job found; None: there was none."""

    def is_new(self) -> bool:
        """Whether earlier applies of this job to this directory would be known, and none is."""

    def is_blank(self) -> bool:
        """Whether it would be known what was written to this directory, and nothing is, but for some agents alone."""
