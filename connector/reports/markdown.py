"""The report for a ticket or a merge request, in GitHub-flavoured Markdown (GFM 0.29).

Data is never markup. A value, a name or any word of more than plain letters is a code span:
in one there is no HTML, no link, no emphasis, and neither GitHub nor GitLab looks in it for
`@somebody`, `#1` or an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from connector.model import AttributeChange, Plan
from connector.reports.sections import (
    Marker,
    NewsMarks,
    Section,
    list_kinds,
    list_outcomes,
    list_problems,
    list_refusals,
    list_worth_a_look,
)
from connector.reports.visible import make_visible
from connector.reports.wording import (
    COUNTS,
    NONE,
    Lines,
    Outcomes,
    advise_next,
    by_user,
    describe_since,
    find_person,
    find_sides,
    find_strays,
    list_warnings,
    name_agent,
    name_rule,
    outcome_text,
    report_title,
    write_verdict,
)

# words that no Markdown reader makes anything of; `1.` begins a list, and GitHub makes a
# link of `GH-1`
_PLAIN: Final = re.compile(r"\(?[^\W\d_]+(?:['-][^\W\d_]+)*[),.;:?]{0,2}|\d+[,;:?]?|")


class MarkdownMarker(Marker):
    """Values and users as code spans."""

    news = "{said} **{mark}**"

    def mark_prose(self, said: str) -> str:
        return escape_prose(said)

    def mark_value(self, shown: str) -> str:
        return code_span(shown)

    def mark_user(self, name: str) -> str:
        person = find_person(self.people, name)
        said = code_span(name)
        return f"{said} ({escape_prose(person)})" if person else said


def render(plan: Plan, outcomes: Outcomes = None, *, command: str | None = "") -> Lines:
    """Line by line; every table is whole, so that it can be cut where a ticket is too short for it.

    `command`: what applies the plan. None: nothing does.
    """
    marker = MarkdownMarker(plan.notes.people)
    yield from _report_head(plan, outcomes)
    refused = list_refusals(plan, marker)
    is_open = outcomes is None
    yield from _render_section(refused, after="" if is_open else ", then accepted")
    if plan.refusals and is_open:
        ways = "" if command is None else " To apply it anyway, see Next."
        yield f"Blocked.{ways}\n\n"
    for caution in plan.cautions:
        yield f"> {escape_prose(caution)}\n\n"
    yield from _summary_table(plan)
    strays = find_strays(plan, outcomes)
    for section in (
        list_kinds(plan, marker),
        list_worth_a_look(plan, marker),
        _list_changes(plan, outcomes, marker),
        list_outcomes("Not in this plan", strays, marker),
    ):
        yield from _render_section(section)
    for section in list_problems(plan, marker):
        yield from _render_section(section, before="Problems: ")
    if is_open and command is not None:
        yield from _next_section(plan, command)


def _next_section(plan: Plan, command: str) -> Lines:
    """The commands that sign and apply the plan."""
    sentence, commands = advise_next(plan, command)
    yield f"## Next\n\n{escape_prose(sentence)}\n\n"
    for each in commands:
        yield f"{code_span(each)}\n\n"


def _report_head(plan: Plan, outcomes: Outcomes) -> Lines:
    yield f"# CEC to directory: {report_title(plan, outcomes)}\n\n"
    yield f"Job {code_span(plan.job)}, plan {code_span(plan.id)}, created {code_span(plan.created)}.\n"
    yield f"Digest {code_span(plan.digest)}.\n\n"
    for place, what in plan.about:
        yield f"- {place}: {code_span(what)}\n"
    if plan.about:
        yield "\n"
    yield f"**{make_visible(write_verdict(plan, outcomes))}**\n\n"
    for warning in list_warnings(plan, outcomes):
        yield f"> {escape_prose(warning)}\n\n"
    if plan.notes.since:
        yield f"{escape_prose(describe_since(plan.notes.since))}\n\n"


def _render_section(section: Section, before: str = "", after: str = "") -> Lines:
    if not section.rows:
        return
    yield f"## {before}{section.title}{after}\n\n"
    if section.lead:
        yield f"{section.lead}\n\n"
    yield from _render_table(section.columns, section.rows)


def code_span(text: str) -> str:
    """The text as a code span that also stands in a table cell: its fence is longer than any row of backticks in it.

    A bar is escaped, as GFM's tables ask even in code; after a backslash that would be read
    in two ways, so there it is named instead.
    """
    text = make_visible(text)
    if not text:
        return ""
    text = text.replace("\\|", "\\<U+007C>").replace("|", "\\|")
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    is_stripped = text[0] == text[-1] == " " and not text.isspace()
    space = " " if is_stripped or "`" in (text[0], text[-1]) else ""
    return f"{fence}{space}{text}{space}{fence}"


def escape_prose(text: str) -> str:
    """A sentence in which every word that is not plain is a code span; neighbours share one."""
    parts = []
    words = make_visible(text).split(" ")
    for is_plain, group in groupby(words, lambda word: bool(_PLAIN.fullmatch(word))):
        run = " ".join(group)
        if is_plain:
            parts.append(run)
            continue
        tail = run[-1] if run[-1] in ",;:" else ""
        parts.append(code_span(run.removesuffix(tail)) + tail)
    return " ".join(parts)


def _render_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    yield f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"
    yield "\n"


def _summary_table(plan: Plan) -> Lines:
    counts = plan.summary.counts
    rows = (
        [name, str(counts[name]), meaning]
        for name, meaning in COUNTS.items()
        if name in counts
    )
    yield from _render_table(("Count", "", "Meaning"), rows)


def _list_changes(plan: Plan, outcomes: Outcomes, marker: Marker) -> Section:
    columns = ["User", "Agent", "Rule", "Attribute", "Old", "New"]
    if outcomes is not None:
        columns.append("Outcome")
    rows = _change_rows(plan, outcomes, marker) if plan.changes else ()
    return Section(f"Changes ({len(plan.changes):,})", columns, rows)


def _change_rows(
    plan: Plan, outcomes: Outcomes, marker: Marker
) -> Iterator[Sequence[str]]:
    marks, results = NewsMarks(plan), by_user(outcomes)
    for change in plan.changes:
        user = marker.mark_user(change.user.name)
        head = [
            marker.add_news(user, marks.mark_change(change)),
            marker.mark_prose(name_agent(change.agent)),
            name_rule(change.rule),
        ]
        outcome = outcome_text(results.get(change.user.id))
        tail = [] if outcomes is None else [marker.mark_prose(outcome)]
        for each in change.attributes:
            yield [*head, *_attribute_cells(each), *tail]


def _attribute_cells(each: AttributeChange) -> Sequence[str]:
    sides = find_sides(each)
    old, new = (" ".join(map(code_span, side)) for side in (sides.old, sides.new))
    none = "" if sides.kept or each.secret else NONE
    return code_span(each.name), old or none, new or none
