"""What a plan is like as a whole: the form of each change, kinds of changes, and users that are worth a look."""

from msgspec.structs import replace

from connector.model import Plan
from connector.planning.overview.change_kinds import kinds_of
from connector.planning.overview.outliers import worth_a_look


def overviewed(plan: Plan) -> Plan:
    """The plan with the kinds of its changes, and the users that are worth a look."""
    kinds = tuple(kinds_of(plan.changes))
    return replace(
        plan,
        notes=replace(plan.notes, kinds=kinds, worth_a_look=tuple(worth_a_look(kinds))),
    )
