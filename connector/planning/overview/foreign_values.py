"""Values in use by others: which of them a plan takes away, by attribute."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set as AbstractSet

from msgspec import Struct

from connector.model import Change, Form, Plan
from connector.planning.brief import Brief, Slot
from connector.planning.overview.forms import OtherValues, formed


class ForeignValues(Struct, frozen=True):
    """How many users lose a value that this job did not write."""

    users: Mapping[str, int]
    """By attribute, in the order of the mapping."""
    matched: int
    """How many users were looked at: those that an agent matches."""

    def tell(self, name: str) -> str:
        """How many users hold another value of this attribute."""
        count = self.users[name]
        return f"{count:,} of {self.matched:,} matched users {'holds' if count == 1 else 'hold'} another value"


def find_foreign_values(
    plan: Plan, brief: Brief, differing_secrets: Collection[Slot]
) -> ForeignValues:
    """Count the matched users whose values a plan replaces or empties although this job did not write them.

    Nobody sees whose a hidden secret is. It is somebody else's if a comparison found
    another value, or if the user holds somebody else's number or address.
    `differing_secrets`: users and attributes that the directory compared, and that do not
    hold the secret.
    """
    matching = [change for change in plan.changes if change.agent is not None]
    losing = {
        name: set(users)
        for name, users in formed(matching, brief, OtherValues()).losing.items()
    }
    known = brief.memory.confirmed([change.user.id for change in matching])
    for change in matching:
        id_ = change.user.id
        for each in change.attributes:
            is_hidden = each.secret and each.sets and not each.seen and not each.absent
            if not is_hidden or each.name in known.get(id_, {}):
                continue
            if (id_, each.name) in differing_secrets or _holds_foreign_identity(
                change, each.name, losing, brief
            ):
                losing.setdefault(each.name, set()).add(id_)
    counted = {
        rule.name: len(losing[rule.name])
        for rule in brief.mapping.attributes
        if rule.name in losing
    }
    return ForeignValues(counted, plan.summary.matched)


def _holds_foreign_identity(
    change: Change, secret: str, losing: Mapping[str, AbstractSet[str]], brief: Brief
) -> bool:
    """Whether an attribute of the secret's group has values of somebody else, replaced or beside the new ones."""
    group = next((names for names in brief.mapping.groups if secret in names), ())
    others = [each for each in change.attributes if each.name in group]
    return any(
        each.form is Form.BESIDE or change.user.id in losing.get(each.name, ())
        for each in others
    )
