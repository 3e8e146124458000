"""What is to be done, and what a reviewer is told of it, problems by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from connector.model.change import AgentRef, Change, ChangeKind, Look

ANOTHER_KEY: Final = "another key"
"""Under this word a plan's `about` says that the key is not that of earlier runs."""
NEW_STATE: Final = "history"
"""Under this word a plan's `about` says that the state knows no earlier run."""
ON_HOLD: Final = "on hold"
"""Under this word a plan's `about` says that an apply of its job would be refused."""
APPROVED: Final = "approved by"
"""Under these words a plan's `about` says who has approved it, while it is applied."""
APPROVAL_NAMESPACE: Final = "cec-connector/plan"
"""What `ssh-keygen -Y sign -n` is given. It keeps signatures of commits and mails from
being approvals."""
NOBODY: Final = "nobody matches"
KEPT_CREDENTIALS: Final = "leavers"
"""Under this word a plan's `about` says how many stale users keep credentials of the job;
the number comes first."""
NOT_MAPPED: Final = "not mapped"
NOT_OURS: Final = "not ours"
NOTICED: Final = "noticed"
"""Under this word a report's `about` has cautions that came up while the directory was read
or written."""
Count = Annotated[int, Meta(ge=0)]
"""How many; never below 0."""


class NearMiss(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A user that almost matches."""

    user: str
    """By name."""
    attribute: str
    value: str
    """The value that it holds."""
    how: str
    """In what that differs from the wanted one."""


class Problem(Struct, frozen=True):
    """One line for the reviewer: what could not be done, for whom, and why.

    It never changes the exit code.
    """

    kind: str
    why: str
    agent: AgentRef | None = None
    users: tuple[str, ...] = ()
    rule: int | None = None
    attribute: str | None = None
    record: int | None = None
    near: tuple[NearMiss, ...] = ()
    """Of an unmatched agent, some users that almost match: a hint, and in no digest."""


class Refusal(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a plan may not be applied."""

    limit: str
    allowed: Count
    """Users that the limit allows."""
    planned: Count
    """Users that are planned."""
    why: str


class AgentCounts(Struct, frozen=True, forbid_unknown_fields=True):
    """Agents by what became of them: `agents` is the sum of all others."""

    agents: Count = 0
    matched: Count = 0
    unmatched: Count = 0
    elsewhere: Count | UnsetType = UNSET
    """Agents without a user here that a sibling finds or reports. Left out where the job has no siblings."""
    ambiguous: Count = 0
    contested: Count = 0
    unassigned: Count = 0
    invalid: Count = 0


class Summary(AgentCounts, frozen=True, forbid_unknown_fields=True):
    """The counts of a plan: of agents, and of users."""

    stale: Count = 0
    unchanged: Count = 0
    """Matched users that already say what their agents say. Those that differ and are
    not changed are held back, each with a problem or a caution."""
    update: Count = 0
    """Users with an attribute to set. One user may count in `update`, `clear` and
    `secret`."""
    clear: Count = 0
    secret: Count = 0

    @property
    def counts(self) -> dict[str, int]:
        """Each count by its name."""
        return {
            name: number for name, number in asdict(self).items() if number is not UNSET
        }


class EarlierPlan(Struct, frozen=True):
    """An earlier plan, as far as a later one is compared with it."""

    plan: str = ""
    """Its id; empty: there was none."""
    created: str = ""
    changes: Sequence[tuple[str, str]] = ()
    """Ids of users and digests."""
    problems: Sequence[tuple[str, str]] = ()
    """What each is about and what it says, both as digests."""


class PlanNews(Struct, frozen=True, forbid_unknown_fields=True):
    """What is new in a plan since an earlier one."""

    plan: str
    created: str
    new: tuple[str, ...]
    """Ids of users."""
    changed: tuple[str, ...]
    """Ids of users."""
    gone: int
    """How many."""
    same: int
    """How many."""
    new_problems: tuple[Count, ...]
    """Their numbers in the plan, from 0."""
    changed_problems: tuple[Count, ...]
    """Their numbers in the plan, from 0."""
    gone_problems: int
    same_problems: int

    @property
    def numbers(self) -> dict[str, int]:
        """How many there are of each, by its name here."""
        return {
            name: each if isinstance(each, int) else len(each)
            for name, each in asdict(self).items()
            if name not in ("plan", "created")
        }


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody's signature that was found good."""

    who: str
    key: str
    """Its fingerprint."""
    time: str
    """When it was judged. A signature itself says no time."""

    def __str__(self) -> str:
        return f"{self.who} ({self.key}, judged {self.time})"


class PlanNotes(Struct, frozen=True):
    """What a reader is told of a plan beside what it does. In no digest."""

    kinds: tuple[ChangeKind, ...] = ()
    """Kinds of its changes, which they partition (`planning/kinds.py`)."""
    worth_a_look: tuple[Look, ...] = ()
    people: Mapping[str, str] = {}
    """The names of people by the users' names in the plan, as far as they were read."""
    since: PlanNews | None = None
    """What is new since an earlier plan."""
    lost: int = 0
    """How many users lose a value that this job did not write, as far as is remembered."""
    only: tuple[str, ...] = ()
    """Whom it was limited to; empty: everybody."""


class Plan(Struct, frozen=True):
    """What would be done, whole, as a value."""

    id: str
    digest: str
    """Of everything but `id`, `created`, `about`, `approvals` and `notes`."""
    job: str
    created: str
    """RFC 3339, UTC."""
    summary: Summary
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cautions: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = ()
    """What it was made from: source, directory, mapping. One server of several may be
    named in it."""
    approvals: tuple[Approval, ...] = ()
    """Of people whose signatures were found good, never what a saved plan says of them."""
    notes: PlanNotes = PlanNotes()

    @property
    def keeping_credentials(self) -> int:
        """How many stale users keep credentials of the job."""
        number = dict(self.about).get(KEPT_CREDENTIALS, "0").partition(" ")[0]
        return int(number) if number.isdecimal() else 0

    def is_permitted(self, accept: str | None) -> bool:
        """Whether it may be written. `accept`: the digest of the one plan that somebody accepts; None: of none."""
        return not self.refusals if accept is None else accept == self.digest


KINDS: Final[dict[str, str]] = {
    "invalid": (
        "A record of the source is invalid. It matches no user, and nothing stale is cleared. Correct it in the tenant."
    ),
    "contested": (
        "Several agents claim the same user, or share an account or a seat, or the account list doubts an agent, or a "
        "sibling finds the agent too. None is written. Correct the tenant. Of agents that claim the same user you can "
        "pin all but one to their own users."
    ),
    "ambiguous": "A match rule finds several users for one agent. None is written. Pin the agent.",
    "pin": "A line of the pins file cannot be followed. Correct it.",
    "shared": "Several users are to get one unique value. None gets it. Correct the tenant.",
    "reassigned": (
        "Another user still holds this unique value. It is not written. If an agent of that user has it too, correct "
        "the tenant. Else clear it there first."
    ),
    "another job": "Another job wrote the attribute last. It is not written, unless the mapping sets take_over.",
    "flapping": "Somebody changes a value back after each apply. Find the other writer.",
    "refused": "The directory refused earlier writes to the user. Each run retries a few such users, last.",
    "value": "The attribute cannot hold the value. It is not written.",
    "schema": "The directory's schema forbids the change of this entry. It is not written.",
    "rights": "The job's account may not write the attribute there. Grant it the right.",
    "together": "These attributes are written together or not at all. One is held back, so all are.",
    "exclude": "The agent or user is on the exclude list. It is not written.",
    "tenant": "A field of the tenant itself is missing or invalid. Values made of it are kept.",
    "unreadable": "This account cannot read the attribute; skipped. Grant it the right to read.",
    "stale": (
        "The user holds values that this job wrote or adopts, and no agent claims it. They are cleared only where the "
        "mapping sets `stale: clear`."
    ),
    "unsettled": "A server gave no answer to a write. The values count as this job's until a read settles it.",
    "undo": "A value of that run cannot be restored. It is kept.",
    "unmatched": (
        "No match rule or pin finds a user for the agent. Create the user, correct a spelling, or pin the agent."
    ),
}
MANY: Final = 4
"""So many problems that say the same of an attribute are one line, with the users that it
holds for."""
_PLACES: Final = {kind: number for number, kind in enumerate(KINDS)}


def explain_kind(kind: str) -> str:
    """What the kind means; a kind that is not in the table speaks through the reasons of its lines alone."""
    return KINDS.get(kind, "Each line gives the reason.")


def group_problems(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """Problems by kind: first the kinds of the table, in its order, then all others."""
    groups: dict[str, list[Problem]] = {kind: [] for kind in KINDS}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem)
    return {kind: group for kind, group in groups.items() if group}


def group_alike(
    problems: Iterable[Problem], mark: Callable[[Problem], str]
) -> list[list[Problem]]:
    """Problems of one kind in their order; those that differ only in agent and user are together where the first is.

    `mark`: what is said of a problem beside it, in which they do not differ either.
    """
    groups: dict[object, list[Problem]] = {}
    for number, each in enumerate(problems):
        own = each.near or each.record is not None or not (each.users or each.agent)
        said = number if own else (each.why, each.attribute, each.rule, mark(each))
        groups.setdefault(said, []).append(each)
    return [
        part
        for group in groups.values()
        for part in ([group] if len(group) >= MANY else [[each] for each in group])
    ]


def kind_rank(kind: str) -> int:
    """Where a kind comes in that order; one that is not in the table comes last."""
    return _PLACES.get(kind, len(_PLACES))
