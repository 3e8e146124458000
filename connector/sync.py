"""The story. Everything that this program does to a directory is on this page, in this order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from msgspec import Struct

from connector.apply import apply
from connector.errors import UsageError
from connector.lookup import Lookup
from connector.model import Outcome, Plan, Result, Tenant
from connector.reconcile.claims import Claims
from connector.reconcile.differences import Differ
from connector.reconcile.drawing import Draft
from connector.reconcile.people import strangers
from connector.reconcile.roster import Roster
from connector.wiring import Dry, Wet

Show = Callable[[Plan, Sequence[Outcome] | None], None]


class Run(Struct, frozen=True):
    """What a run came to: its plan; the outcomes where it was applied; whether it was refused."""

    plan: Plan
    refused: bool
    outcomes: Sequence[Outcome] | None = None

    @property
    def in_part(self) -> bool:
        """Whether something that was to be written was not."""
        return any(outcome.result not in (Result.WRITTEN, Result.UNCHANGED) for outcome in self.outcomes or ())


def dry_run(parts: Dry, show: Show, only: Collection[str] = ()) -> Run:
    """Plan and show; `parts` has nothing that could write to the directory."""
    plan = draw(parts, only)
    parts.watch.stage("show", changes=len(plan.changes), problems=len(plan.problems), refusals=len(plan.refusals))
    show(plan, None)
    return Run(plan, refused=bool(plan.refusals))


def wet_run(parts: Wet, show: Show, only: Collection[str] = (), accept: str | None = None) -> Run:
    """Plan, show, permit or refuse, apply, show what became of it; `accept` is the digest of a plan acknowledged."""
    with parts.state.lease(parts.directory.describe().identity):
        plan = draw(parts, only)
        parts.watch.stage("show", changes=len(plan.changes), problems=len(plan.problems), refusals=len(plan.refusals))
        show(plan, None)
        if plan.refusals and accept != plan.digest:
            return Run(plan, refused=True)
        parts.watch.stage("apply", changes=len(plan.changes))
        with parts.state.run(plan, parts.directory.describe().identity) as journal:
            outcomes = apply(plan.changes, parts.directory, parts.directory.describe(), journal, parts.watch)
        parts.watch.stage("show", outcomes=len(outcomes))
        show(plan, outcomes)
        return Run(plan, refused=False, outcomes=outcomes)


def draw(parts: Dry, only: Collection[str] = ()) -> Plan:
    """Read the tenant whole, look its agents up, let them claim, ask what is still open, and draw the plan."""
    parts.watch.stage("read source")
    tenant = parts.source.read()
    _known(only, tenant)
    parts.watch.stage("describe directory", agents=tenant.size)
    description = parts.reader.describe()
    memory = parts.state.memory(description.identity, parts.job)
    differ = Differ(tenant, parts.mapping, description)
    roster = Roster(tenant, parts.mapping, parts.pins, description)
    claims = Claims(roster, differ)
    directory = Lookup(parts.reader, parts.read, parts.watch)
    for user in directory.users(roster.keys(), len(roster)):
        claims.add(user)
    verdicts = claims.settle(tenant)

    draft = Draft(tenant, parts.mapping, description, differ)
    draft.claims(verdicts, parts.never, only)
    draft.problems += strangers(parts.pins, parts.never, tenant, list(parts.reader.find(parts.never.keys())))
    draft.clear(parts.reader.read(draft.forgotten(memory, verdicts.claimed, parts.never, only)))
    draft.answers(directory.answers(draft.questions(claims.shown)), memory, parts.fingerprint)
    moves = draft.moves()
    settled = moves.settle(directory.users(moves.keys(), len(moves)))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return draft.plan(
        settled,
        memory,
        parts.limits,
        job=parts.job,
        plan_id=str(uuid4()),
        created=created,
        about=parts.about(description),
    )


def _known(only: Collection[str], tenant: Tenant) -> None:
    known = {name for agent in tenant.agents for name in (agent.account_code, str(agent.work_no))} if only else set()
    for name in only:
        if name not in known:
            raise UsageError(f"the source has no agent with accountCode or workNo {name!r}", where="--only")
