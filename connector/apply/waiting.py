"""The plan of a fleet's job that waits for people: which it is, and whether they have approved it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from connector.apply.approval import Signed, approved, octets_to_hold, unapproved
from connector.apply.composition import approvers_of
from connector.apply.job_state import state_of
from connector.apply.permission import not_on_hold
from connector.errors import FileError, UsageError
from connector.model import Plan
from connector.settings import job as jobs
from connector.state.documents import Document
from connector.state.store import Store

if TYPE_CHECKING:
    from connector.approval.approvers import Approvers


class Waiting(Struct, frozen=True):
    """A plan that waits in the state. `octets`: its document, as `plan --save` writes it, which people sign.

    `refused`: limits refuse it, unless somebody accepts that. `needed`: so many people have to sign it; 0: nobody.
    """

    id: str
    digest: str
    created: str
    octets: bytes
    refused: bool
    needed: int


class _Found(Struct, frozen=True):
    """A plan that waits, and what is asked about it."""

    state: Store
    approvers: Approvers | None
    document: Document
    plan: Plan


def require_shared(job: jobs.LoadedJob) -> None:
    """Raises FileError for a job whose state is a file, which only one machine has."""
    if job.state_path is not None:
        why = "a fleet needs a state that all its workers share. Set `state: postgresql://…`"
        raise FileError(why, where=job.where("state"))


def waiting(path: Path) -> Waiting | None:
    """The plan of the job in `path` that waits; None: there is none. Raises FileError, StateError."""
    with _found(path) as found:
        if found is None:
            return None
        document, plan = found.document, found.plan
        signed = found.approvers is not None and unapproved(
            found, plan, document.directory
        )
        needed = found.approvers.needed if found.approvers is not None and signed else 0
        return Waiting(
            plan.id,
            plan.digest,
            plan.created,
            document.octets,
            bool(plan.refusals),
            needed,
        )


def check_approval(
    path: Path, digest: str, signatures: Sequence[tuple[str, bytes]]
) -> None:
    """See that the plan that waits has this digest, and that these signatures, if it needs some, are good for it.

    Raises UsageError where another plan waits or none, UnapprovedError, RefusedError,
    FileError, StateError.
    """
    with _found(path) as found:
        if found is None:
            raise UsageError("no plan of this job waits for approval", where=str(path))
        document, plan = found.document, found.plan
        if plan.digest != digest:
            raise UsageError(
                f"another plan of this job waits: {plan.digest}. Review that one",
                where=digest,
            )
        not_on_hold(found.state, plan.job)
        signed = Signed(document.octets, signatures)
        found.state.permit(
            plan, plan.job, document.directory, octets=octets_to_hold(found, signed)
        )
        approved(found, plan, signed, None, document.directory)


def withdraw(job: jobs.LoadedJob, plan: str) -> None:
    """Let no apply take this plan of the job, which somebody has rejected. Raises StateError."""
    with closing(state_of(job)) as state:
        state.documents.withdraw(job.name, plan)


@contextmanager
def _found(path: Path) -> Iterator[_Found | None]:
    job = jobs.load(path)
    require_shared(job)
    with closing(state_of(job)) as state:
        document = state.documents.waiting(job.name)
        if document is None:
            yield None
        else:
            yield _Found(
                state, approvers_of(job), document, state.documents.read(document)
            )
