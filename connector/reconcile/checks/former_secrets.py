"""Attributes that a job wrote as secrets and a mapping no longer calls one: their old values would be shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from connector.errors import FileError
from connector.model import OBJECT_CLASS, AttributeChange, Change, Memory
from connector.reconcile.diff.patterns import apart
from connector.reconcile.mapping import Mapping
from connector.reconcile.stale.stale_users import Unclaimed


def of_stale(users: Iterable[Unclaimed], mapping: Mapping) -> None:
    """Hold the mapping to what this job wrote to stale users, where they are to be cleared. Raises FileError."""
    owned = (item for each in users for item in each.owned.items())
    _refuse({(name.lower(), last.pattern) for name, last in owned if last.fingerprint and not last.restored}, mapping)


def of_changes(changes: Iterable[Change], mapping: Mapping, memory: Memory) -> None:
    """Hold it to what any job wrote, where a change has old values in clear. Raises FileError."""
    shown = {change.user.id: change for change in changes if any(map(_shows, change.attributes))}
    written = memory.secrets(shown.keys()) if shown else ()
    _refuse({(name, pattern) for id_, name, pattern in written if _is_shown(shown[id_], name)}, mapping)


def of_user(user: str, mapping: Mapping, memory: Memory) -> None:
    """Hold it to what any job wrote to a user whose values are shown. Raises FileError."""
    _refuse({(name, pattern) for _, name, pattern in memory.secrets([user])}, mapping)


def _shows(each: AttributeChange) -> bool:
    return bool(each.old) and not each.secret and each.name != OBJECT_CLASS


def _is_shown(change: Change, name: str) -> bool:
    return any(each.name.lower() == name and _shows(each) for each in change.attributes)


def _refuse(written: Collection[tuple[str, str | None]], mapping: Mapping) -> None:
    """`written`: attributes in lower case, each with the pattern of the values that the job had there as its own."""
    for rule in mapping.attributes if written else ():
        if not rule.secret and any(
            name == rule.name.lower() and not apart(rule.owns, pattern) for name, pattern in written
        ):
            where = f"{mapping.where}:{rule.line}" if rule.line else mapping.where
            why = f"{rule.name} of some users is a secret that a job wrote. Add `secret: true` to it"
            raise FileError(why, where=where)
