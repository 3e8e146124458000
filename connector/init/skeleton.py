"""The text of a mapping from a directory's own schema, in the form of the ready ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set as AbstractSet
from typing import Final

from connector.init.fields import FIELDS
from connector.init.place import Place, Places

_MOST: Final = 8
"""So many unused attributes are shown for a field."""
_DECIDE: Final = (
    "# Some lines are left out, each for the reason above it. To have those values replaced, take the # off:",
    "# `plan` then names each user that loses one.",
)


def skeleton(places: Places, misfits: Sequence[str], attribute: str) -> str:
    """A mapping onto the best place of each field; `attribute`: where accounts are, until something better is known."""
    return "\n".join(
        [
            "# The attributes are those of this directory's schema, not of a ready mapping:",
            *(f"#   {misfit}" for misfit in misfits),
            "# They were chosen by name and syntax, and because no user that was looked at would lose another value.",
            "# Read each line before you apply.",
            *(_DECIDE if any(not place.free for place in places.best) else ()),
            "",
            "match:",
            f'  - {{agent: "{{accountCode}}", directory: {attribute}}}',
            "",
            "attributes:",
            *_attributes(places),
            "",
            "when_absent: keep  # a field that the agent lacks leaves the value; clear: empties it",
            *(
                [f"object_classes: [{', '.join(places.classes)}]"]
                if places.classes
                else []
            ),
            "stale: report  # see docs/mapping-file.md, `stale`",
        ]
    )


def _attributes(places: Places) -> Iterator[str]:
    for field in reversed(FIELDS):
        found = places.found.get(field.template, [])
        if not found:
            unused = places.unused.get(field.template, [])
            why = (
                "; unused in the same class:"
                if unused
                else _closed(places, field.template)
            )
            yield f"  # no place was found for {field.template}{why}"
            yield from (f"  # {place.rule}" for place in unused[:_MOST])
        for number, place in enumerate(found):
            if number == 0 and place.free:
                if place.holders:
                    yield f"  # {stays(place, places)}:"
                yield f"  {place.rule}"
            else:
                yield from _comment(place, places)


def unplaced(places: Places) -> dict[str, str]:
    """Each field without a place that can be mapped, and why."""
    reasons = {}
    for template in (field.template for field in FIELDS):
        best = next(iter(places.found.get(template, [])), None)
        if best is None:
            why = f"no attribute of this directory's schema was found for it{_closed(places, template)}"
            reasons[template.strip("{}")] = why
        elif not best.free:
            reasons[template.strip("{}")] = f"{best.info.name}: {why_not(best, places)}"
    return reasons


def _closed(places: Places, template: str) -> str:
    """The attributes that would be places if users could take them."""
    closed = places.closed.get(template, {})
    said = (
        f"{count:,} of {places.users:,} users cannot take {name}"
        for name, (count, _) in sorted(closed.items())
    )
    return "".join(f"; {each}" for each in said)


def unused(places: Places, mapped: AbstractSet[str]) -> Iterator[str]:
    """All of them as comments, for a mapping onto other attributes, which are `mapped`."""
    for field in reversed(FIELDS):
        for place in places.found.get(field.template, []):
            if place.info.name not in mapped:
                yield from _comment(place, places)


def _comment(place: Place, places: Places) -> Iterator[str]:
    yield f"  # {why_not(place, places) or 'another place'}:"
    yield f"  # {place.rule}"


def why_not(place: Place, places: Places) -> str:
    """Why it is not mapped; empty where another place is likelier."""
    if place.holders and not place.stays:
        return f"{places.hold(place.holders)} here" + (
            ", which nobody compared" if place.field.secret else ""
        )
    return place.barred


def stays(place: Place, places: Places) -> str:
    """What becomes of values that are not ours."""
    return f"{places.hold(place.holders)} here, which stays"
