"""An attribute as a place for an agent's field, the places of a whole schema, and their text in a mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set as AbstractSet
from typing import Final

from msgspec import Struct

from connector.init.fields import FIELDS, NEEDED, AgentField
from connector.model import AttributeInfo, patterns
from connector.model.mapping import MatchRule
from connector.model.templates import Template

FEW: Final = 10
"""Where at most one in so many users holds another value, an attribute is taken for a place
all the same."""
_MOST: Final = 8
"""So many unused attributes are shown for a field."""
_DECIDE: Final = (
    "# Some lines are left out, each for the reason above it. To have those values replaced, take the # off:",
    "# `plan` then names each user that loses one.",
)


class FieldPlace(Struct, frozen=True):
    """An attribute for a field."""

    field: AgentField
    info: AttributeInfo
    rank: int
    holders: frozenset[str] = frozenset()
    """Ids of the users that were looked at and hold another value."""
    used: int = 0
    """How many users hold an agent's number, address or seat."""
    owns: str | None = None
    """As in the mapping."""
    stays: bool = False
    """Whether the holders keep their values."""
    barred: str = ""
    """Why it cannot be mapped, although nobody would lose a value; empty where it can."""

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def is_free(self) -> bool:
        """Whether it can be mapped."""
        return not self.barred and (self.stays or not self.holders)

    @property
    def is_unused(self) -> bool:
        """Whether nobody holds anything there but what is made for all agents."""
        return not self.holders and not self.used

    @property
    def in_use(self) -> bool:
        """Whether somebody keeps agents' values there already; a few may be there by chance."""
        return self.used > len(self.holders)

    @property
    def mapping_line(self) -> str:
        """Its line of a mapping."""
        template = Template.parse(self.field.template)
        keys = {
            "value": template.text,
            "owns": self.owns,
            "unique": self.field.unique and self.info.comparable,
            "secret": template.secret,
        }
        said = [f"{key}: {json.dumps(value)}" for key, value in keys.items() if value]
        if len(said) == 1:
            return f'{self.name}: "{template.text}"'
        return f"{self.name}: {{{', '.join(said)}}}"


ClosedAttributes = dict[str, tuple[int, str]]
"""Attributes, each with how many users could not take it, and why."""


class FieldPlaces(Struct, frozen=True):
    """The places of a schema."""

    found: dict[str, list[FieldPlace]]
    """By field, the best first."""
    classes: tuple[str, ...]
    """The auxiliary classes that users need for them."""
    users: int
    """How many users were looked at."""
    closed: dict[str, ClosedAttributes] = {}
    """By field, attributes each with how many users could not take it, and why."""
    unused: dict[str, list[FieldPlace]] = {}
    """By field without a place, attributes of the same class that hold nothing but ours."""

    microsoft: bool = False
    """It is Active Directory: H.350 there is this project's own, whose README says how to map it."""

    @property
    def best_places(self) -> list[FieldPlace]:
        """Of each field the one that is mapped, or would be."""
        return [several[0] for several in self.found.values()]

    @property
    def needed_places(self) -> list[FieldPlace]:
        """Those of a phone's number and address."""
        needed: list[FieldPlace] = []
        for template in sorted(NEEDED):
            needed += self.found.get(template, [])
        if not self.microsoft:
            return needed
        return [each for each in needed if not each.name.startswith("SIPIdentity")]

    def are_enough(self) -> bool:
        """Tell whether a user's softphone can be told from them, or could but for a few users."""
        needed = self.needed_places
        if any(place.is_free for place in needed):
            return True
        is_few = any(FEW * len(place.holders) <= self.users for place in needed)
        return is_few and any(place.is_free for place in self.best_places)

    def describe_fault(self) -> str:
        """Tell why they do not; empty where the schema has no attribute for a softphone."""
        needed = self.needed_places
        if needed:
            holders = frozenset[str]().union(*(place.holders for place in needed))
            names = ", ".join(sorted(place.name for place in needed))
            return f"{self.describe_holders(holders)} in {names}"
        closed: ClosedAttributes = {}
        for template in sorted(NEEDED):
            closed |= self.closed.get(template, {})
        if not closed:
            return ""
        count, why = max(closed.values())
        names = ", ".join(sorted(closed))
        return f"{self.tell_share(count)} cannot take {names}: {why}"

    def describe_holders(self, holders: AbstractSet[str]) -> str:
        """Tell how many users hold another value."""
        verb = "holds" if len(holders) == 1 else "hold"
        return f"{self.tell_share(len(holders))} {verb} another value"

    def tell_share(self, count: int) -> str:
        """Tell how many of the users that were looked at this is."""
        return f"{count:,} of {self.users:,} users"

    def list_others(
        self, names: AbstractSet[str]
    ) -> tuple[list[FieldPlace], list[FieldPlace]]:
        """List places of a phone's number and address other than these.

        The second list: those of them that are in use more.
        """
        needed = [place for place in self.needed_places if not place.barred]
        others = [place for place in needed if place.name not in names]
        most = max((place.used for place in needed if place.name in names), default=0)
        in_use = [place for place in others if place.in_use and place.used > most]
        return others, in_use


# ---------------------------------------------------------------- the text


def write_skeleton(places: FieldPlaces, misfits: Sequence[str], attribute: str) -> str:
    """Write a mapping onto the best place of each field, in the form of the ready ones.

    `attribute`: where accounts are, until something better is known.
    """
    lines = [
        "# The attributes are those of this directory's schema, not of a ready mapping:",
        *(f"#   {misfit}" for misfit in misfits),
        "# They were chosen by name and syntax, so that no user that was looked at loses another value.",
        "# Read each line before you apply.",
    ]
    if any(not place.is_free for place in places.best_places):
        lines += _DECIDE
    lines += [
        "",
        "match:",
        f'  - {{agent: "{{accountCode}}", directory: {attribute}}}',
        "",
        "attributes:",
        *_write_attributes(places),
        "",
        "when_absent: keep  # a field that the agent lacks leaves the value; clear: empties it",
    ]
    if places.classes:
        lines.append(f"object_classes: [{', '.join(places.classes)}]")
    lines.append("stale: report  # see docs/mapping-file.md, `stale`")
    return "\n".join(lines)


def _write_attributes(places: FieldPlaces) -> Iterator[str]:
    for field in reversed(FIELDS):
        found = places.found.get(field.template, [])
        if not found:
            yield from _write_unplaced(places, field.template)
            continue
        best, *others = found
        if best.is_free:
            if best.holders:
                yield f"  # {describe_stay(best, places)}:"
            yield f"  {best.mapping_line}"
        else:
            others = found
        for place in others:
            yield from _write_comment(place, places)


def _write_unplaced(places: FieldPlaces, template: str) -> Iterator[str]:
    if template.strip("{}") in _list_covered(places):
        return
    unused_places = places.unused.get(template, [])
    why = _tell_closed(places, template)
    if unused_places:
        why = "; unused in the same class:"
    yield f"  # no place was found for {template}{why}"
    for place in unused_places[:_MOST]:
        yield f"  # {place.mapping_line}"


def _list_covered(places: FieldPlaces) -> set[str]:
    """List the agent's fields that a mapped attribute is made of."""
    fields: set[str] = set()
    for place in places.best_places:
        if place.is_free:
            fields |= set(Template.parse(place.field.template).fields)
    return fields


def list_unplaced(places: FieldPlaces, rules: Sequence[MatchRule]) -> dict[str, str]:
    """Tell of each field without a place why it has none. `rules`: how users are matched."""
    reasons = {}
    matching = {name: rule for rule in rules for name in rule.agent.fields}
    for field in FIELDS:
        if field.template not in places.found:
            closed = _tell_closed(places, field.template)
            name = field.template.strip("{}")
            why = f"no attribute of this schema was found for it{closed}"
            if name in matching:
                why = f"users are matched by it, in {matching[name].directory}"
            reasons[name] = why
    return reasons


def _tell_closed(places: FieldPlaces, template: str) -> str:
    """Tell the attributes that would be places if users could take them."""
    closed = places.closed.get(template, {})
    text = ""
    for name, (count, _) in sorted(closed.items()):
        text += f"; {places.tell_share(count)} cannot take {name}"
    return text


def write_unused(places: FieldPlaces, mapped: AbstractSet[str]) -> Iterator[str]:
    """Write all of them as comments, for a mapping onto other attributes, which are `mapped`."""
    for field in reversed(FIELDS):
        for place in places.found.get(field.template, []):
            if place.name not in mapped:
                yield from _write_comment(place, places)


def _write_comment(place: FieldPlace, places: FieldPlaces) -> Iterator[str]:
    yield f"  # {why_not(place, places) or 'another place'}:"
    yield f"  # {place.mapping_line}"


def why_not(place: FieldPlace, places: FieldPlaces) -> str:
    """Tell why it is not mapped; empty where another place is likelier."""
    if not place.holders or place.stays:
        return place.barred
    uncompared = ", which nobody compared" if place.field.is_secret else ""
    return f"{places.describe_holders(place.holders)} here{uncompared}"


def describe_use(place: FieldPlace, places: FieldPlaces) -> str:
    """Tell what users hold there."""
    if not place.used and not place.holders:
        is_shown = place.info.readable is not False
        return "no user holds a value" if is_shown else "not shown to this account"
    said = []
    if place.used:
        said.append(f"{places.tell_share(place.used)} hold their agent's value")
    if place.holders:
        said.append(places.describe_holders(place.holders))
    return ", ".join(said)


def describe_stay(place: FieldPlace, places: FieldPlaces) -> str:
    """Tell what becomes of values that are not ours."""
    said = f"{places.describe_holders(place.holders)} here, which stays"
    if place.owns not in (None, patterns.ALL):
        said += ". Widen `owns` before this tenant's numbers or address change"
    return said
