"""A job that was moved or changed: the state follows it, once somebody has looked at what that means."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct, json

from connector.apply.context import PlanContext
from connector.apply.permission import differences, identity_of
from connector.apply.planning import make_plan
from connector.errors import UsageError
from connector.model import JobIdentity


class Move(Struct, frozen=True):
    """What a job was before, what it is now, and whom that concerns."""

    before: JobIdentity
    now: JobIdentity
    losing: Sequence[tuple[str, str]]
    """Names and ids of users with values of this job whom none of its agents claims now."""

    @property
    def digest(self) -> str:
        """What somebody accepts who has looked at this."""
        return f"sha256:{sha256(json.encode(self)).hexdigest()}"


def find_move(context: PlanContext) -> Move:
    """Read tenant and directory, and find out who would lose values. Raises UsageError for a job that is the same."""
    now = identity_of(context)
    before = context.state.identity(context.job)
    if before is None or not differences(before, now):
        raise UsageError(
            "the state knows no other tenant or directory of this job: nothing to accept",
            where=now.file,
        )
    claimed = frozenset(make_plan(context).matched())
    memory = context.state.memory(now.directory, context.job)
    if memory.new():  # else that is what goes on, and nothing is taken along
        memory = context.state.memory(before.directory, context.job)
    ours = (
        ref
        for ref, owned in memory.owned()
        if not all(each.restored for each in owned.values())
    )
    return Move(
        before, now, sorted((ref.name, ref.id) for ref in ours if ref.id not in claimed)
    )
