"""The table of an agent's fields: the attribute of each, what users hold there, and why it is written or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from connector.init.drafts import ChosenMapping
from connector.model.templates import AGENT_FIELDS, TENANT_FIELDS

_HEADER: Final = ("field", "attribute", "users", "in the mapping")
_KEPT: Final = "no, a comment: they keep theirs"


class FieldRow(Struct, frozen=True):
    """A field in one attribute."""

    attribute: str
    use: str
    """What users hold there, or how many get a value."""
    verdict: str
    """Whether it is written, and why not."""


def list_fields(chosen: ChosenMapping, columns: int | None) -> Iterator[str]:
    """Yield the lines of the table. Every field has one. `columns`: how wide it may be; None: as it is."""
    cells = [_HEADER]
    for field in (*AGENT_FIELDS, *TENANT_FIELDS):
        shown = field
        for row in _find_rows(field, chosen):
            cells.append((shown, row.attribute, row.use, row.verdict))
            shown = ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if columns and sum(widths) + 2 * len(widths) - 2 > columns:
        yield from _list_narrow(cells)
        return
    for each in cells:
        line = ""
        for cell, width in zip(each, widths, strict=True):
            line += f"{cell:<{width}}  "
        yield line.rstrip()


def _list_narrow(cells: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    """Yield the rows, each with its last cells below its first ones."""
    for field, attribute, use, verdict in cells:
        yield f"{field:<14}  {attribute}"
        if use != "-":
            yield f"  {use}"
        yield f"  {verdict}"


def _find_rows(field: str, chosen: ChosenMapping) -> Iterator[FieldRow]:
    is_placed = False
    for rule in chosen.ready.attributes:
        if field in rule.fields:
            is_placed = True
            use = chosen.use.get(rule.name, "nobody is matched")
            yield FieldRow(rule.name, use, _judge_attribute(rule.name, use, chosen))
    for place in chosen.barred:
        if field in place.fields:
            is_placed = True
            verdict = _KEPT if place.holders else f"no: {place.why}"
            yield FieldRow(place.name, place.use, verdict)
    if not is_placed:
        default = f"{chosen.name} has no attribute for it"
        why = chosen.unplaced.get(field, default)
        yield FieldRow("-", "-", f"no: {why}")


def _judge_attribute(name: str, use: str, chosen: ChosenMapping) -> str:
    why = chosen.taken.get(name)
    if why == use:
        return _KEPT
    if why:
        return f"no: {why}"
    return "yes; they keep theirs" if name in chosen.stays else "yes"
