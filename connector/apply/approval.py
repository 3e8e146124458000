"""Whether people have approved what is about to be written, where a job says that they have to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import UnapprovedError, UsageError
from connector.model import APPROVED, Approval, Plan, Refusal
from connector.model.digests import digest_of_plan
from connector.model.limits import APPROVAL, CLEAR_USERS
from connector.planning.overview.affected import effects
from connector.runtime import clock
from connector.state.store import Store

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers


class Approving(Protocol):
    """What is asked whether a plan needs approval: a run's context, or as much of one."""

    @property
    def approvers(self) -> Approvers | None: ...
    @property
    def state(self) -> Store: ...


class Signed(Struct, frozen=True):
    """What people have signed: the octets of a file, and their signatures, each by the name of its own."""

    octets: bytes
    signatures: Sequence[tuple[str, bytes]] = ()


def approvals(
    approvers: Approvers | None, signed: Signed | None, accept: str | None = None
) -> tuple[Approval, ...]:
    """Who has signed, where enough people have, and each signature is good. Without signatures: nobody.

    Raises UnapprovedError, with what is wrong with each signature; UsageError where nobody
    has to sign.
    """
    if signed is None or not signed.signatures:
        return ()
    if approvers is None:
        raise UsageError(
            "this job has no `approvers`, so that nobody can approve. Add them",
            where="--approval",
        )
    if accept is not None:
        raise UnapprovedError(
            "signatures accept the refusals that the plan lists. Leave it out",
            where="--accept",
        )
    found, faults = approvers.judge_signatures(
        signed.octets, signed.signatures, clock.now().time
    )
    if len(found) < approvers.needed:
        faults.append(f"{len(found)} of {approvers.needed} people have approved")
    if faults:
        raise UnapprovedError("; ".join(faults), where="--approval")
    return found


def unapproved(context: Approving, plan: Plan, directory: str) -> str:
    """Why this plan cannot be written without approval; empty where it can."""
    if context.approvers is None or plan.approvals:
        return ""
    free, kinds = context.approvers.free, Counter[str]()
    for change in plan.changes:
        kinds.update(effects(change) & {"update", "clear", "secret"} or {"update"})
    beyond, clear = [], free.clear or CLEAR_USERS
    for name, limit in (
        ("update", free.update),
        ("clear", clear),
        ("secret", free.secret or free.update),
    ):
        whole = (
            _owned(context.state, plan.job, directory)
            if name == "clear" and limit.percent
            else plan.summary.matched
        )
        if kinds[name] > limit.of(whole):
            beyond.append(f"{name} {kinds[name]}, free {limit.of(whole)}")
    return (
        f"{context.approvers.needed} people have to sign this plan: {'; '.join(beyond)}"
        if beyond
        else ""
    )


def _owned(state: Store, job: str, directory: str) -> int:
    memory = state.memory(directory, job)
    return len({ref.id for ref, _ in memory.owned()} - memory.lapsed())


def approved(
    context: Approving,
    plan: Plan,
    signed: Signed | None,
    accept: str | None,
    directory: str,
) -> Plan:
    """A plan that was reviewed, with who has approved it. Raises UnapprovedError, UsageError."""
    found = approvals(context.approvers, signed, accept)
    if found or plan.approvals:
        who = [(APPROVED, "; ".join(map(str, found)))] if found else []
        plan = replace(plan, approvals=found, about=(*plan.about, *who))
    if why := unapproved(context, plan, directory):
        raise UnapprovedError(why, where=plan.id)
    return plan


def octets_to_hold(context: Approving, signed: Signed | None) -> bytes | None:
    """The octets that have to be those of the saved file, since people have to sign them; None: nobody has to."""
    if context.approvers is None:
        return None
    return signed.octets if signed else b""


def refused_unapproved(context: Approving, plan: Plan, directory: str) -> Plan:
    """A plan that was just drawn; one that has to be approved is refused, also by its digest."""
    why = unapproved(context, plan, directory)
    if not why:
        return plan
    plan = replace(
        plan, refusals=(*plan.refusals, Refusal(APPROVAL, 0, len(plan.changes), why))
    )
    return replace(plan, digest=digest_of_plan(plan))


def lifted(plan: Plan, accept: str | None) -> str | None:
    """The digest whose refusals are lifted. Signatures lift those of their plan; for want of them nothing does."""
    if plan.approvals:
        return plan.digest
    return None if any(each.limit == APPROVAL for each in plan.refusals) else accept
