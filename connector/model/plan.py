"""What is to be done, what became of it, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from connector.model.change import AgentRef, AttributeChange, Change, Kind, Look
from connector.model.directory import User, UserRef
from connector.model.secret import Held

ANOTHER_KEY: Final = "another key"
"""Under this word a plan's `about` says that the key is not that of earlier runs."""
NEW_STATE: Final = "history"
"""Under this word a plan's `about` says that the state knows no earlier run."""
ON_HOLD: Final = "on hold"
"""Under this word a plan's `about` says that an apply of its job would be refused."""
NOTICED: Final = "noticed"
"""Under this word a report's `about` has cautions that came up while the directory was read or written."""


class Near(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A user (by name) that almost matches: the `value` of its `attribute`, and `how` that differs from the wanted."""

    user: str
    attribute: str
    value: str
    how: str


class Problem(Struct, frozen=True):
    """One line for the reviewer: what could not be done, for whom, and why. It never changes the exit code.

    `near`: of an unmatched agent, some users that almost match. `outside`: users that exist, by name, and that base or
    filter leaves out. Both are hints, and in no digest.
    """

    kind: str
    why: str
    agent: AgentRef | None = None
    users: tuple[str, ...] = ()
    rule: int | None = None
    attribute: str | None = None
    record: int | None = None
    near: tuple[Near, ...] = ()
    outside: tuple[str, ...] = ()


class Refusal(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a plan may not be applied: the limit, how many it allows, and how many are planned."""

    limit: str
    allowed: Annotated[int, Meta(ge=0)]
    planned: Annotated[int, Meta(ge=0)]
    why: str


class Summary(Struct, frozen=True):
    """Counts. agents = matched + unmatched + ambiguous + contested + unassigned + invalid.

    `unchanged`: matched users that already say what their agents say; matched users that differ and are not changed are
    held back, each with a problem or a caution. `update`, `clear`, `secret` count users; one may be in several.
    """

    agents: int = 0
    matched: int = 0
    unmatched: int = 0
    ambiguous: int = 0
    contested: int = 0
    unassigned: int = 0
    invalid: int = 0
    stale: int = 0
    unchanged: int = 0
    update: int = 0
    clear: int = 0
    secret: int = 0


class Drawn(Struct, frozen=True):
    """An earlier plan, as far as a later one is compared with it; without `plan` there was none.

    `changes`: ids of users and digests. `problems`: what each is about and what it says, both as digests.
    """

    plan: str = ""
    created: str = ""
    changes: Sequence[tuple[str, str]] = ()
    problems: Sequence[tuple[str, str]] = ()


class Since(Struct, frozen=True, forbid_unknown_fields=True):
    """What is new in a plan since an earlier one.

    `new` and `changed`: ids of users. Problems are numbered from 0, as the plan has them. `gone`, `same`: how many.
    """

    plan: str
    created: str
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: int
    same: int
    new_problems: tuple[int, ...]
    changed_problems: tuple[int, ...]
    gone_problems: int
    same_problems: int


class Plan(Struct, frozen=True):
    """What would be done, whole, as a value.

    `about` says what it was made from: the source, the directory, the mapping. `digest` covers everything but `id`,
    `created` (RFC 3339, UTC) and `about`, in which one server of several may be named. `kinds` of its changes, which
    they partition, and users that are `worth_a_look`, are made of the changes (`reconcile/overview`).
    `people`: by a user's name in the plan, the name of the person, as far as it was read. `since`: what is new in it.
    """

    id: str
    digest: str
    job: str
    created: str
    summary: Summary
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cautions: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = ()
    kinds: tuple[Kind, ...] = ()
    worth_a_look: tuple[Look, ...] = ()
    people: Mapping[str, str] = {}
    since: Since | None = None


class Result(StrEnum):
    """What became of a change."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"
    SKIPPED = "skipped"


class Difference(Struct, frozen=True):
    """How one attribute is not as a change expects: `wanted` by that change, held `now`, and wanted now (`then`).

    `wanted` None: the change left it alone. `now` None: it is not known. `then` None: the same, or nothing.
    `reviewed`: somebody has seen the change.
    """

    name: str
    wanted: AttributeChange | None
    now: tuple[Held, ...] | None = None
    then: AttributeChange | None = None
    reviewed: bool = False


class Outcome(Struct, frozen=True, gc=False):
    """What became of one user's change; `why` for all but *written*.

    `shown`: the user as the directory showed it in its answer to the write, where it did; for reading back alone.
    `unknown`: of one that *failed*, that it may have been written all the same; the next run finds out. `may_stand`: so
    does it where the server has answered, and some of the values may be there; that is no reason to stop. `lost`: of
    one that *failed*, the attributes that the server took and does not show as written; the others are as written.
    `aside`: of one that was *skipped*, that it was left out on purpose. `unnoted`: of one that was *written*, that the
    journal does not know, so that the next run settles it. `differs`: of a *conflict*, how. It has values, so only
    reports have it: logs, audit and journal do not.
    """

    user: UserRef
    result: Result
    why: str = ""
    shown: User | None = None
    unknown: bool = False
    may_stand: bool = False
    lost: tuple[str, ...] = ()
    aside: bool = False
    unnoted: bool = False
    differs: tuple[Difference, ...] = ()

    @property
    def open(self) -> bool:
        """Whether only reading tells what is there now."""
        return self.unknown or self.may_stand

    @property
    def touched(self) -> bool:
        """Whether something was written, or may have been."""
        return self.result is Result.WRITTEN or self.open or bool(self.lost)


class Noted(Struct, frozen=True, gc=False):
    """An outcome as the journal of a run has it: when it was noted, and who wrote, where that is known (JSON).

    `number`: of the outcomes of its run; 0 where nobody keeps an account of them.
    """

    run: str
    change: Change
    outcome: Outcome
    number: int = 0
    time: str = ""
    directory: str = ""
    who: str | None = None


class Owned(Struct, frozen=True, array_like=True, gc=False):
    """What a job wrote last to one attribute of one user.

    `values`: a digest of each value (`equality.digest`); of a secret its `fingerprint` stands for it. `times` in a row
    the run `run` and those before it wrote the same. `restored`: an undo put back what was nobody's. `pattern`: which
    values of the attribute were the job's (`owns`).
    """

    run: str
    values: tuple[str, ...] = ()
    fingerprint: str | None = None
    times: int = 1
    restored: bool = False
    pattern: str | None = None


class Others(Struct, frozen=True):
    """What another `job` wrote last to one user. `claims`: its last complete apply claimed the user.

    `attributes`: by name which of its values are that job's (`owns` of its mapping); None: all.
    """

    job: str
    user: UserRef
    attributes: Mapping[str, str | None]
    claims: bool = True


Past = tuple[str, str, AttributeChange]
"""A run, the server that it wrote to, and what it set out to change of one attribute of a user."""


class Unsettled(Struct, frozen=True):
    """A write of a `run` of which nobody knows whether `server`, for which it was meant, carried it out."""

    run: str
    server: str
    user: UserRef
    attributes: tuple[str, ...]


class Refused(Struct, frozen=True):
    """What the directory did not let a job write to one user: which attributes, in how many `runs` running, and why.

    `turn`: the greater, the later it was tried last.
    """

    attributes: frozenset[str]
    runs: int
    turn: int
    why: str = ""


class LastGood(Struct, frozen=True):
    """How many agents the last good apply read, how many of them had a user, and how many an account."""

    agents: int
    matched: int
    assigned: int

    @classmethod
    def of(cls, summary: Summary) -> LastGood:
        return cls(summary.agents, summary.matched, summary.agents - summary.unassigned)

    def expected(self, now: LastGood) -> int:
        """How many should have a user by now: as many as before, but for agents with an account that are gone.

        A seat without an account never had a user. One that lost its account is not gone.
        """
        return self.matched - max(0, min(self.agents - now.agents, self.assigned - now.assigned))


class Moment(Struct, frozen=True):
    """A time (UTC), as the clock had it.

    `boot`: the boot of the machine in which it was read, empty where nothing tells; `up`: seconds since then, which
    nobody can set. `sure` False: the clock had jumped just before.
    """

    time: datetime
    boot: str = ""
    up: int = 0
    sure: bool = True


class Memory(Protocol):
    """What earlier runs left behind about one directory, as far as making a plan needs it."""

    def confirmed(self, users: Collection[str]) -> Mapping[str, Mapping[str, Owned]]:
        """By user id what this job is known to have written last to these users."""

    def agents(self, users: Collection[str]) -> Mapping[str, AgentRef]:
        """By user id the agent for whom this job wrote these users last, where it is known."""

    def past(self, users: Collection[str]) -> Mapping[str, Sequence[Past]]:
        """By user id what runs of any job set out to change there."""

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        """The fingerprint of the secret that was last written there, if any."""

    def owned(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        """Every user that holds something this job wrote last, by attribute; also what it has put back (`restored`).

        What it may have written, for the outcome is not known, counts as written.
        """

    def unshown(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        """By user id the attributes whose last write by this job the directory took, and did not show.

        With the values of that write; none, where they are secrets, or were not there any more.
        """

    def unsettled(self) -> Iterator[Unsettled]:
        """Writes of this job of which nobody knows whether they happened, and that no later one has overtaken."""

    def late(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        """What any job wrote last, or may have written, at servers that this one may not have heard of yet."""

    def others(self) -> Iterator[Others]:
        """Every user that holds something another job of this state wrote last."""

    def rewritten(self) -> Mapping[tuple[str, str], Owned]:
        """What this job wrote there more than once running, by user id and attribute."""

    def stale(self) -> Mapping[str, tuple[timedelta, int]]:
        """Users that nobody claimed in the last apply, by id: for how long by then, and in how many runs."""

    def lapsed(self) -> frozenset[str]:
        """Users of this job, by id, that the last apply found nowhere, and said so."""

    def looked(self) -> Moment | None:
        """When an apply last looked for who is stale."""

    def refused(self) -> Mapping[str, Refused]:
        """By user id, what earlier runs of this job were refused."""

    def excluded(self) -> Mapping[str, frozenset[str]]:
        """By entry of the exclude list, the ids of the users that it has named."""

    def last_good(self) -> LastGood | None:
        """What the last good apply of this job found; None: there was none."""

    def new(self) -> bool:
        """Whether earlier applies of this job to this directory would be known, and none is."""

    def blank(self) -> bool:
        """Whether it would be known what was written to this directory, and nothing is, but for some agents alone."""
