"""The shape of a plan: kinds of changes, counts by attribute, agents and users, problems."""

from __future__ import annotations

from collections.abc import Iterator

from connector.model import Change, ChangeKind, Plan
from connector.reports import wording as say
from connector.reports.html.parts import (
    PageMarker,
    escape_text,
    escape_value,
    render_table,
)
from connector.reports.html.rows import find_common_sides, render_attributes
from connector.reports.sections import list_problems


def kinds_section(plan: Plan, marker: PageMarker) -> Iterator[str]:
    """Each kind with its count, its sentence, what is the same for all of it, examples, and a link to its rows."""
    if not plan.notes.kinds:
        return
    yield f"<section>\n<h2>Kinds of changes ({len(plan.notes.kinds):,})</h2>\n"
    for number, kind in enumerate(plan.notes.kinds, 1):
        yield from _kind_block(number, kind, marker)
    yield "</section>\n"


def _kind_block(number: int, kind: ChangeKind, marker: PageMarker) -> Iterator[str]:
    yield f'<div class="kind" id="k{number}">\n'
    yield f"<h3>{number}. {escape_text(kind.form.capitalize())}: {kind.users:,}</h3>\n"
    yield f"<p>{escape_text(kind.sentence)}</p>\n"
    alike = find_common_sides(kind)
    yield (
        f"<p>The same for all of them: {render_attributes(alike)}</p>\n"
        if alike
        else ""
    )
    shown = "Examples" if kind.users > len(kind.examples) else "Users"
    yield f"<p>{shown}: {', '.join(map(marker.mark_user, kind.examples))}</p>\n"
    yield f'<p class="screen"><a href="#r{number}">Show {say.count_noun(kind.users, "user")} of kind {number}</a></p>\n'
    yield "</div>\n"


def counts_sections(plan: Plan) -> Iterator[str]:
    """How many users each attribute changes for, by what happens to its values; then agents and users."""
    if plan.changes:
        yield '<section class="numbers">\n<h2>Counts by attribute</h2>\n'
        rows = (
            [escape_value(name), *(f"{count:,}" for count in found)]
            for name, found in by_attribute(plan.changes)
        )
        yield from render_table(("Attribute", "Set", "Replaced", "Emptied"), rows)
        yield "</section>\n"
    for title, names in (
        ("Agents", ("agents", *say.AGENT_COUNTS)),
        ("Users", say.USER_COUNTS),
    ):
        yield f'<section>\n<h2>{title}</h2>\n<ul class="cards">\n'
        for name in names:
            number = getattr(plan.summary, name)
            kind = "" if number else ' class="zero"'
            yield f"<li{kind}><b>{number:,}</b> <span>{name}</span> <small>{say.COUNTS[name]}</small></li>\n"
        yield "</ul>\n</section>\n"


def by_attribute(changes: tuple[Change, ...]) -> list[tuple[str, list[int]]]:
    """Of each attribute for how many users values come and none goes; come and go; go and none comes."""
    found: dict[str, list[int]] = {}
    for each in (each for change in changes for each in change.attributes):
        sides = say.find_sides(each)
        gone = not sides.new or sides.new == [say.HIDDEN_CLEARED]
        found.setdefault(each.name, [0, 0, 0])[
            2 if gone else 1 if sides.old else 0
        ] += 1
    return sorted(found.items())


def problems_section(plan: Plan, marker: PageMarker) -> Iterator[str]:
    """Problems by kind, each explained."""
    if not plan.problems:
        return
    yield f'<section id="problems">\n<h2>Problems ({len(plan.problems):,})</h2>\n'
    for number, found in enumerate(list_problems(plan, marker)):
        yield f'<div class="group">\n<h3>{found.title}</h3>\n'
        yield f'<p class="lead">{escape_text(found.lead)}</p>\n'
        yield from render_table(found.columns, found.rows, f' data-problem="{number}"')
        yield "</div>\n"
    yield "</section>\n"
