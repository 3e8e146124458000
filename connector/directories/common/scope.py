"""Entries, and which of them are users: below the job's base, and in its filter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.disabled import MARKS, left_out
from connector.directories.common.filter_matching import Matcher, matcher
from connector.directories.common.ldap_filters import (
    Equal,
    Filter,
    Present,
    attributes_of,
    items,
    parse,
)
from connector.directories.common.schema import Schema
from connector.errors import FileError
from connector.model import OBJECT_CLASS, UserRef, View
from connector.reconcile.dn import Rdn, rdns


class Entry(Struct, frozen=True):
    """An entry: its id and DN, the DN's RDNs, and its values by `Schema.key`. `disabled`: as of a user."""

    id: str
    name: str
    rdns: tuple[Rdn, ...]
    values: dict[str, list[bytes]]
    disabled: bool = False

    @property
    def ref(self) -> UserRef:
        return UserRef(self.id, self.name)


def normalised(name: tuple[Rdn, ...]) -> str:
    """A DN as text that is equal for equal DNs."""
    return ",".join(
        "+".join(sorted(f"{kind}={_escaped(str(value))}" for kind, value in rdn))
        for rdn in name
    )


def _escaped(value: str) -> str:
    """Octets that are no UTF-8 become hexadecimal digits (RFC 4514 §2.4): a text with them in it cannot be encoded."""
    special = re.sub(r'([\\,+"=;<>#])', r"\\\1", value)
    return re.sub(
        r"[\udc80-\udcff]", lambda octet: f"\\{ord(octet[0]) - 0xDC00:02x}", special
    )


class Scope:
    """Base and filter of a job: who is a user here. Raises FileError where one of them is wrong."""

    def __init__(self, bases: Iterable[str], filter_text: str, schema: Schema) -> None:
        self._schema = schema
        self._recognised: Collection[str] = ()
        try:
            self.bases = [rdns(base) for base in bases]
        except ValueError as fault:
            raise FileError(
                f"not a distinguished name: {fault}", where="directory.base"
            ) from None
        try:
            self.filter: Filter = parse(filter_text)
            self._matches: Matcher = matcher(self.filter, schema)
        except ValueError as fault:
            raise FileError(str(fault), where="directory.filter") from None

    @cached_property
    def unknown(self) -> frozenset[str]:
        """The attributes that the filter names and the schema does not know."""
        return frozenset(
            name
            for name in attributes_of(self.filter)
            if not self._schema.info(name).known
        )

    def recognise(self, attributes: Collection[str]) -> None:
        """Take these attributes, by their `Schema.key`, for known, since entries hold them."""
        self._recognised = attributes
        self._matches = matcher(self.filter, self._schema, attributes)

    def needs(self, name: str) -> bool:
        return any(
            self._schema.falls_under(name, wanted)
            for wanted in attributes_of(self.filter)
        )

    def shown(self, entry: Entry, *, disabled: bool) -> Entry | None:
        """The entry where it is a user: below the base, and in the filter; None where it is not.

        `disabled`: also one below the base that the filter leaves out since it is disabled, and which says so.
        """
        for base in self.bases:
            if not base or entry.rdns[-len(base) :] == base:
                break
        else:
            return None
        if self._matches(entry.values) is True:
            return entry
        left = disabled and any(
            matches(entry.values) is True for matches in self._disabled
        )
        return replace(entry, disabled=True) if left else None

    @cached_property
    def _disabled(self) -> list[Matcher]:
        """By each mark of disabled users that the filter looks at."""
        filters = [left_out(self.filter, mark) for mark in MARKS]
        return [
            matcher(each, self._schema, self._recognised)
            for each in filters
            if each is not None
        ]


def filtered(filter_: Filter, schema: Schema, view: View) -> dict[str, bool]:
    """As of `Description.filtered`. Object classes are only added, so that a filter which asks for one stays true.

    An item that asks for a value is left out: whether a write makes it false is seen when
    its user is written.
    """
    found: dict[str, bool] = {}
    for item, negated in items(filter_):
        wanted = item.attribute or ""
        if schema.falls_under(wanted, OBJECT_CLASS):
            low = (
                item.value.decode(errors="replace").lower()
                if isinstance(item, Equal)
                else None
            )
            lost = (
                name
                for name in view.object_classes
                if negated and low in {None, *schema.superclasses(name)}
            )
            found |= dict.fromkeys(lost, True)
            continue
        for name in view.attributes if isinstance(item, Present) else ():
            if schema.falls_under(name, wanted):
                found[name] = found.get(name, False) or negated
    return found


def nobody_within(counted: str, where: str, filter_: str | None, check: str) -> str:
    """That the job's filter leaves everybody out. `counted`: of how many; `check`: what to look at beside it."""
    return f"0 of {counted} in {where} match `filter` {filter_}. Check the filter, and {check}"
