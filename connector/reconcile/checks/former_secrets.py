"""Attributes that a job wrote as secrets and a mapping no longer calls one: a plan would show their old values."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from connector.errors import FileError
from connector.model import OBJECT_CLASS, Change, Memory
from connector.reconcile.mapping import Mapping
from connector.reconcile.stale.stale_users import Unclaimed


def of_stale(users: Iterable[Unclaimed], mapping: Mapping) -> None:
    """Hold the mapping to what this job wrote to stale users. Raises FileError."""
    _refuse({name.lower() for each in users for name, last in each.owned.items() if last.fingerprint}, mapping)


def of_changes(changes: Iterable[Change], mapping: Mapping, memory: Memory) -> None:
    """Hold it to what any job wrote, where a change has old values in clear. Raises FileError."""
    shown = {
        (change.user.id, each.name.lower())
        for change in changes
        for each in change.attributes
        if each.old and not each.secret and each.name != OBJECT_CLASS
    }
    if shown:
        _refuse({name for _, name in shown.intersection(memory.secrets({id_ for id_, _ in shown}))}, mapping)


def _refuse(names: Collection[str], mapping: Mapping) -> None:
    for rule in mapping.attributes:
        if not rule.secret and rule.name.lower() in names:
            where = f"{mapping.where}:{rule.line}" if rule.line else mapping.where
            why = f"{rule.name} of some users is a secret that a job wrote. Add `secret: true` to it"
            raise FileError(why, where=where)
