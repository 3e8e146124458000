"""Which users a refusal is about."""

from __future__ import annotations

from typing import Final

from connector.model import Change, Plan, Refusal
from connector.model.digests import is_secret, secret_fingerprint
from connector.model.limits import APPROVAL, OF_THE_SOURCE

NAMED: Final = 10
"""How many of them are named under it."""


def effects(change: Change) -> frozenset[str]:
    """Under which limits a change counts: `clear`, `update`, `secret`, and `attributes.` with each of its names."""
    kinds = {f"attributes.{each.name}" for each in change.attributes}
    for each in change.attributes:
        secret = is_secret(each)
        put = (
            each.new
            if change.agent is not None
            else [value for value in each.new if value not in each.old]
        )
        if secret_fingerprint(each) if secret else put:
            kinds.update({"update", "secret"} if secret else {"update"})
        elif each.old or secret:
            kinds.add("clear")
    return frozenset(kinds)


def concerned(plan: Plan, refusal: Refusal) -> list[str]:
    """The users that count under a limit, by name; under one of the source's, those whose agents have gone."""
    if refusal.limit in OF_THE_SOURCE:
        return list(
            dict.fromkeys(
                name
                for each in plan.problems
                if each.kind == "stale"
                for name in each.users
            )
        )
    return [
        change.user.name
        for change in plan.changes
        if refusal.limit in {APPROVAL, *effects(change)}
    ]
