"""Whether a job may be planned and its plan be applied.

Its name may be another job's, it may be on hold, its plan may be spent, or people may have to
approve the plan. A plan of a fleet's job waits in the state until they have.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.composition import read_approvers
from connector.apply.context import ApplyContext, PlanContext, RunContext
from connector.apply.job_state import open_named_state, require_shared
from connector.errors import (
    OnHoldError,
    OtherJobError,
    RefusedError,
    UnapprovedError,
    UsageError,
)
from connector.model import APPROVED, ON_HOLD, Approval, JobIdentity, Plan, Refusal
from connector.model.digests import digest_of_plan
from connector.model.dn import is_below, split_rdns
from connector.model.limits import APPROVAL, CLEAR_USERS
from connector.planning.kinds import list_effects
from connector.runtime import clock
from connector.settings import job as jobs
from connector.state.store import State

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers


# ---------------------------------------------------------------- the job


def identify_job(context: RunContext) -> JobIdentity:
    """What the job of this context is now; the directory is asked what it is."""
    description = context.reader.describe()
    return JobIdentity(
        context.place.tenant,
        description.identity,
        description.scope.bases,
        os.path.realpath(context.place.file),
    )


def find_differences(
    before: JobIdentity,
    now: JobIdentity,
) -> list[str]:
    """What makes these two jobs of one name two jobs. A base that is added, or widened, makes none."""
    found = []
    tenant = _normalize_address(before.tenant)
    if tenant not in ("", _normalize_address(now.tenant)):
        found.append("another tenant")
    if before.directory not in ("", now.directory):
        found.append("another directory")
    elif before.bases is not None:
        bases = [split_rdns(base) for base in now.bases or ("",)]
        # the root, where the users are everywhere
        if not all(is_below(base, *bases) for base in before.bases or ("",)):
            found.append("another base")
    return found


def _normalize_address(tenant: str) -> str:
    """A tenant as it is compared: of a URL neither the case of the host nor the default port counts (RFC 3986 §6.2)."""
    parts = urlsplit(tenant)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    if default is None:
        return tenant
    return f"{parts.scheme}://{parts.hostname}:{parts.port or default}"


def describe_job(job: JobIdentity) -> str:
    """A job in words, for the one who has to tell it from another."""
    below = f" below {'; '.join(job.bases)}" if job.bases else ""
    file = job.file or "a file that is not known"
    tenant = job.tenant or "a tenant that is not known"
    directory = job.directory or "not known"
    return f"{file}: agents of {tenant}; directory {directory}{below}"


def require_same_job(context: RunContext) -> None:
    """Raises OtherJobError where the state knows the job's name with another tenant or directory."""
    before, now = context.state.read_identity(context.job), identify_job(context)
    other = find_differences(before, now) if before else []
    if before is None or not other:
        return
    users = context.state.count_users(context.job)
    lines = (
        f"the state knows a job {context.job!r} with {' and '.join(other)}",
        f"applied before: {describe_job(before)}",
        f"this file now:  {describe_job(now)}",
        f"users who would lose values that the job wrote, unless an agent here claims them: {users:,}",
    )
    file = earlier = context.place.file
    if Path(before.file).stem == context.job and Path(before.file).is_file():
        earlier = before.file
    fault = OtherJobError("\n".join(lines), where=file)
    fault.add_note(shlex.join(["cec-connector", "state", "rename", earlier, "NEW"]))
    fault.add_note(shlex.join(["cec-connector", "state", "move", file]))
    raise fault


def require_no_hold(
    state: State,
    job: str,
) -> None:
    """Raises OnHoldError for a job on hold."""
    held = state.read_hold(job)
    if held is not None:
        since, why = held
        raise OnHoldError(f"this job is on hold since {since}: {why}", where=job)


def tell_hold(context: PlanContext) -> Iterator[tuple[str, str]]:
    """That an apply would be refused, for whoever reads a plan."""
    held = context.state.read_hold(context.job)
    if held:
        release = shlex.join(["cec-connector", "release", context.place.file])
        yield (
            ON_HOLD,
            f"since {held[0]}: {held[1]}; applies are refused. To allow them, run: {release}",
        )


def tell_undone(
    state: State,
    job: str,
) -> Iterator[str]:
    """That a run was taken back: a note of the next plans, so that no digest that was read before is theirs."""
    number = state.history.find_undo_to_heed(job)
    if number is not None:
        yield f"an undo, run number {number} of the state, took back a run. This plan may write the same again"


# ---------------------------------------------------------------- who approves


class SignedFile(Struct, frozen=True):
    """What people have signed."""

    octets: bytes
    """Those of the plan's file."""
    signatures: Sequence[tuple[str, bytes]] = ()
    """Each by the name of its own file."""


class Review(Struct, frozen=True):
    """What people have seen before an apply or undo."""

    plan: Plan | None = None
    """The plan of which no more is written; None: the one that is made then."""
    signed: SignedFile | None = None
    was_just_shown: bool = False
    """Whether somebody was asked about it just now, so that it is not saved."""

    @property
    def is_saved(self) -> bool:
        return self.plan is not None and not self.was_just_shown


def judge_approvals(
    approvers: Approvers | None,
    signed: SignedFile | None,
    accept: str | None = None,
) -> tuple[Approval, ...]:
    """Who has signed, where enough people have, and each signature is good. Without signatures: nobody.

    Raises UnapprovedError, with what is wrong with each signature; UsageError where nobody
    has to sign.
    """
    if signed is None or not signed.signatures:
        return ()
    if approvers is None:
        why = "this job has no `approvers`, so that nobody can approve. Add them"
        raise UsageError(why, where="--approval")
    if accept is not None:
        why = "signatures accept the refusals that the plan lists. Leave it out"
        raise UnapprovedError(why, where="--accept")
    found, faults = approvers.judge_signatures(
        signed.octets, signed.signatures, clock.read_clock()
    )
    if len(found) < approvers.needed:
        faults.append(f"{len(found)} of {approvers.needed} people have approved")
    if faults:
        raise UnapprovedError("; ".join(faults), where="--approval")
    return found


class ApprovalRules(Struct, frozen=True):
    """Who has to approve what is written, and what tells how much would be written."""

    approvers: Approvers | None
    """None: nobody has to."""
    state: State
    job: str
    directory: str
    """Its identity."""

    def permit_saved(
        self,
        review: Review,
        undoes: str | None = None,
    ) -> None:
        """Raises RefusedError for a saved plan that is spent, or not as it was saved, or of something else.

        `undoes`: the run that it has to take back.
        """
        plan, octets = review.plan, None
        if plan is None or not review.is_saved:
            return
        if self.approvers is not None:  # they sign the octets of the file
            octets = review.signed.octets if review.signed else b""
        self.state.permit_plan(
            plan, self.job, self.directory, undoes=undoes, octets=octets
        )

    def approve_plan(
        self,
        review: Review,
        accept: str | None = None,
    ) -> Review:
        """The review, its plan with who has approved it. Raises UnapprovedError, UsageError."""
        if review.plan is None:
            return review
        plan, found = (
            review.plan,
            judge_approvals(self.approvers, review.signed, accept),
        )
        if found:
            who = (APPROVED, "; ".join(map(str, found)))
            plan = replace(plan, about=(*plan.about, who))
        plan = replace(plan, approvals=found)
        if why := self.explain_missing(plan):
            raise UnapprovedError(why, where=plan.id)
        return replace(review, plan=plan)

    def refuse_unapproved(self, plan: Plan) -> Plan:
        """A plan that was just drawn; one that has to be approved is refused, also by its digest."""
        why = self.explain_missing(plan)
        if not why:
            return plan
        refusal = Refusal(APPROVAL, 0, len(plan.changes), why)
        plan = replace(plan, refusals=(*plan.refusals, refusal))
        return replace(plan, digest=digest_of_plan(plan))

    def explain_missing(self, plan: Plan) -> str:
        """Why this plan cannot be written without approval; empty where it can."""
        if self.approvers is None or plan.approvals:
            return ""
        free, kinds = self.approvers.free, Counter[str]()
        for change in plan.changes:
            kinds.update(
                list_effects(change) & {"update", "clear", "secret"} or {"update"}
            )
        limits = {
            "update": free.update,
            "clear": free.clear or CLEAR_USERS,
            "secret": free.secret or free.update,
        }
        beyond = []
        for name, limit in limits.items():
            whole = plan.summary.matched
            if name == "clear" and limit.percent:
                memory = self.state.memory(self.directory, self.job)
                whole = len(
                    {ref.id for ref, _ in memory.read_owned()} - memory.read_lapsed()
                )
            if kinds[name] > limit.of(whole):
                beyond.append(f"{name} {kinds[name]}, free {limit.of(whole)}")
        if not beyond:
            return ""
        needed = self.approvers.needed
        signatures = "signature" if needed == 1 else "signatures"
        return f"needs {needed} {signatures}: {'; '.join(beyond)}"


def find_approval_rules(context: RunContext) -> ApprovalRules:
    """The rules of this context's job; the directory is asked what it is."""
    identity = context.reader.describe().identity
    return ApprovalRules(context.rules.approvers, context.state, context.job, identity)


def tell_free(context: RunContext, plan: Plan) -> Plan:
    """The plan; its `about` says so where an apply of it needs no signature."""
    rules = find_approval_rules(context)
    if rules.approvers is None or rules.explain_missing(plan):
        return plan
    about = dict(plan.about) | {APPROVAL: "0 signatures: within what is free"}
    return replace(plan, about=tuple(about.items()))


def require_permission(
    context: ApplyContext,
    rules: ApprovalRules,
    review: Review,
) -> None:
    """Raises OnHoldError for a job on hold, and RefusedError for a plan that is not to be applied."""
    plan, undone = review.plan, tell_undone(context.state, context.job)
    require_no_hold(context.state, context.job)
    rules.permit_saved(review)
    if review.was_just_shown and plan and not set(undone).issubset(plan.cautions):
        why = "a run of this job was taken back after this plan was shown"
        raise RefusedError(why, where=plan.id)


def choose_accepted(
    plan: Plan,
    accept: str | None,
) -> str | None:
    """The digest whose refusals are lifted. Signatures lift those of their plan; for want of them nothing does."""
    if plan.approvals:
        return plan.digest
    return None if any(each.limit == APPROVAL for each in plan.refusals) else accept


# ---------------------------------------------------------------- a fleet's plan waits


class WaitingPlan(Struct, frozen=True):
    """A plan that waits in the state."""

    plan: Plan
    octets: bytes
    """Its document, as `plan --save` writes it, which people sign."""
    needed: int
    """So many people have to sign it; 0: nobody."""


def find_waiting(path: Path) -> WaitingPlan | None:
    """The plan of the job in `path` that waits; None: there is none. Raises FileError, StateError."""
    with _open_waiting(path) as (_, waiting):
        return waiting


def check_approval(
    path: Path,
    digest: str,
    signatures: Sequence[tuple[str, bytes]],
) -> None:
    """See that the plan that waits has this digest, and that these signatures, if it needs some, are good for it.

    Raises UsageError where another plan waits or none, UnapprovedError, RefusedError,
    FileError, StateError.
    """
    with _open_waiting(path) as (rules, waiting):
        if waiting is None:
            raise UsageError("no plan of this job waits for approval", where=str(path))
        plan = waiting.plan
        if plan.digest != digest:
            why = f"another plan of this job waits: {plan.digest}. Review that one"
            raise UsageError(why, where=digest)
        require_no_hold(rules.state, plan.job)
        review = Review(plan, SignedFile(waiting.octets, signatures))
        rules.permit_saved(review)
        rules.approve_plan(review)


def withdraw_plan(
    job: jobs.LoadedJob,
    plan: str,
) -> None:
    """Let no apply take this plan of the job, which somebody has rejected. Raises StateError."""
    with closing(open_named_state(job)) as state:
        state.documents.withdraw_plan(job.name, plan)


@contextmanager
def _open_waiting(path: Path) -> Iterator[tuple[ApprovalRules, WaitingPlan | None]]:
    job = jobs.load_job(path)
    require_shared(job)
    with closing(open_named_state(job)) as state:
        document, waiting = state.documents.find_waiting(job.name), None
        directory = document.directory if document else ""
        rules = ApprovalRules(read_approvers(job), state, job.name, directory)
        if document is not None:
            plan, needed = state.documents.read_plan(document), 0
            if rules.approvers and rules.explain_missing(plan):
                needed = rules.approvers.needed
            waiting = WaitingPlan(plan, document.octets, needed)
        yield rules, waiting
