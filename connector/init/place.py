"""An attribute as a place for an agent's field, and the places of a whole schema."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

from connector.init.fields import NEEDED, Field
from connector.model import AttributeInfo
from connector.reconcile.diff.templates import Template

FEW: Final = 10
"""Where at most one in so many users holds another value, an attribute is taken for a place
all the same."""


class Place(Struct, frozen=True):
    """An attribute for a field.

    `holders`: ids of the users that were looked at and hold another value. `used`: how many hold an agent's number,
    address or seat. `owns`: as in the mapping. `stays`: these users keep their values.
    `barred`: why it cannot be mapped, although nobody would lose a value.
    """

    field: Field
    info: AttributeInfo
    rank: int
    holders: frozenset[str] = frozenset()
    used: int = 0
    owns: str | None = None
    stays: bool = False
    barred: str = ""

    @property
    def free(self) -> bool:
        return not self.barred and (self.stays or not self.holders)

    @property
    def in_use(self) -> bool:
        """Whether somebody keeps agents' values there already; a few may be there by chance."""
        return self.used > len(self.holders)

    @property
    def rule(self) -> str:
        """Its line of a mapping."""
        template = Template.parse(self.field.template)
        keys = [f'value: "{template.text}"']
        keys += [] if self.owns is None else [f"owns: {json.dumps(self.owns)}"]
        keys += ["unique: true"] if self.field.unique and self.info.comparable else []
        keys += ["secret: true"] if template.secret else []
        return f"{self.info.name}: " + (
            f'"{template.text}"' if len(keys) == 1 else f"{{{', '.join(keys)}}}"
        )


class Places(Struct, frozen=True):
    """The places by field, the best first, the auxiliary classes that users need for them, and how many were seen.

    `closed`: attributes for a field, each with how many users could not take it, and why. `unused`: for a field without
    a place, attributes of the same class that hold nothing but ours.
    """

    found: dict[str, list[Place]]
    classes: tuple[str, ...]
    users: int
    closed: dict[str, dict[str, tuple[int, str]]] = {}
    unused: dict[str, list[Place]] = {}

    @property
    def best(self) -> list[Place]:
        """Of each field the one that is mapped, or would be."""
        return [several[0] for several in self.found.values()]

    def suffice(self, *, microsoft: bool) -> bool:
        """Whether a user's softphone can be told from what is written there, or could but for a few users' values."""
        needed = self._needed(microsoft=microsoft)
        few = any(FEW * len(place.holders) <= self.users for place in needed)
        return any(place.free for place in needed) or (
            few and any(place.free for place in self.best)
        )

    def fault(self, *, microsoft: bool) -> str:
        """Why they do not; empty where the schema has no attribute for a softphone."""
        needed = self._needed(microsoft=microsoft)
        if needed:
            names = ", ".join(sorted(place.info.name for place in needed))
            return f"{self.hold(frozenset[str]().union(*(place.holders for place in needed)))} in {names}"
        closed = {
            name: why
            for text in sorted(NEEDED)
            for name, why in self.closed.get(text, {}).items()
        }
        if not closed:
            return ""
        count, why = max(closed.values())
        return f"{count:,} of {self.users:,} users cannot take {', '.join(sorted(closed))}: {why}"

    def hold(self, holders: frozenset[str]) -> str:
        verb = "holds" if len(holders) == 1 else "hold"
        return f"{len(holders):,} of {self.users:,} users {verb} another value"

    def besides(self, names: AbstractSet[str]) -> tuple[list[Place], list[Place]]:
        """Places of a phone's number and address other than these; and those of them that are in use more."""
        found = [
            place
            for text in sorted(NEEDED)
            for place in self.found.get(text, ())
            if not place.barred
        ]
        others = [place for place in found if place.info.name not in names]
        most = max(
            (place.used for place in found if place.info.name in names), default=0
        )
        return others, [place for place in others if place.in_use and place.used > most]

    def _needed(self, *, microsoft: bool) -> list[Place]:
        """H.350 in Active Directory is this project's own, and its README says how to map it."""
        found = [place for text in sorted(NEEDED) for place in self.found.get(text, ())]
        return [
            place
            for place in found
            if not (microsoft and place.info.name.startswith("SIPIdentity"))
        ]
