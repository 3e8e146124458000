"""Attributes that a job wrote as secrets and a mapping no longer calls one: a plan would show their old values."""

from __future__ import annotations

from collections.abc import Iterable

from connector.errors import FileError
from connector.model import OBJECT_CLASS, AttributeChange, Change, Memory
from connector.reconcile.diff.patterns import apart
from connector.reconcile.mapping import Mapping


def refuse(changes: Iterable[Change], mapping: Mapping, memory: Memory) -> None:
    """Raises FileError where a change has an old value in clear that a job wrote as a secret."""
    shown = {change.user.id: change for change in changes if any(map(_shows, change.attributes))}
    written = memory.secrets(shown.keys()) if shown else ()
    names = {name for id_, name, pattern in written if _is_among(name, pattern, shown[id_])}
    for rule in mapping.attributes if names else ():
        if rule.name.lower() in names:
            where = f"{mapping.where}:{rule.line}" if rule.line else mapping.where
            why = f"{rule.name} of some users is a secret that a job wrote. Add `secret: true` to it"
            raise FileError(why, where=where)


def _shows(each: AttributeChange) -> bool:
    return bool(each.old) and not each.secret and each.name != OBJECT_CLASS


def _is_among(name: str, pattern: str | None, change: Change) -> bool:
    """Whether values of this attribute and pattern (`owns`) may be among those that a change shows."""
    return any(
        each.name.lower() == name and _shows(each) and not apart(each.pattern, pattern) for each in change.attributes
    )
