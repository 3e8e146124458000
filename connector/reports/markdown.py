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

from connector.model import AttributeChange, Outcome, Plan
from connector.reports import sections, wording as say
from connector.reports.visible import make_visible

# words that no Markdown reader makes anything of; `1.` begins a list, and GitHub makes a
# link of `GH-1`
_PLAIN: Final = re.compile(r"\(?[^\W\d_]+(?:['-][^\W\d_]+)*[),.;:?]{0,2}|\d+[,;:?]?")


class MarkdownMarker:
    """Values and users as code spans."""

    between = " "

    def __init__(self, plan: Plan) -> None:
        self._people = plan.notes.people

    def mark_prose(self, said: str) -> str:
        return escape_prose(said)

    def mark_value(self, shown: str) -> str:
        return code_span(shown)

    def mark_user(self, name: str) -> str:
        person = self._people.get(name)
        if person is None or person == name:
            return code_span(name)
        return f"{code_span(name)} ({escape_prose(person)})"

    def mark_news(self, mark: str) -> str:
        return f" **{mark}**" if mark else ""


def render(
    plan: Plan, outcomes: Sequence[Outcome] | None = None, *, command: str = ""
) -> Iterator[str]:
    """Line by line; every table is whole, so that it can be cut where a ticket is too short for it.

    `command`: what `--accept` is appended to.
    """
    marker = MarkdownMarker(plan)
    yield from _report_head(plan, outcomes)
    for section in sections.list_refusals(plan, marker):
        yield from _render_section(
            section, "" if outcomes is None else ", then accepted"
        )
        if outcomes is None:
            accept = code_span(say.accept_command(plan, command))
            yield f"Blocked. {say.accept_sentence(plan, command)} {accept}\n\n"
    for caution in plan.cautions:
        yield f"> {escape_prose(caution)}\n\n"
    yield from _summary_table(plan)
    yield from _kinds_table(plan, marker)
    for section in sections.list_worth_a_look(plan, marker):
        yield from _render_section(section)
    yield from _changes_table(plan, outcomes, marker)
    strays = say.find_strays(plan, outcomes)
    for section in sections.list_outcomes("Not in this plan", strays, marker):
        yield from _render_section(section)
    for section in sections.list_problems(plan, marker):
        yield from _render_section(section, before="Problems: ")


def _report_head(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    yield f"# CEC to directory: {say.report_title(plan, outcomes)}\n\n"
    yield f"Job {code_span(plan.job)}, plan {code_span(plan.id)}, created {code_span(plan.created)}.\n"
    yield f"Digest {code_span(plan.digest)}.\n\n"
    for place, what in plan.about:
        yield f"- {place}: {code_span(what)}\n"
    if plan.about:
        yield "\n"
    yield f"**{say.write_headline(plan, outcomes)}**\n\n"
    if plan.notes.since is not None:
        yield f"{escape_prose(say.describe_since(plan))}\n\n"


def _render_section(
    section: sections.Section, after: str = "", before: str = ""
) -> Iterator[str]:
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
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    stripped = text[0] == text[-1] == " " and not text.isspace()
    space = " " if stripped or "`" in (text[0], text[-1]) else ""
    return f"{fence}{space}{text}{space}{fence}"


def escape_prose(text: str) -> str:
    """A sentence in which every word that is not plain is a code span; neighbours share one."""
    words = make_visible(text).split(" ")
    parts = []
    for plain, group in groupby(
        words, key=lambda word: not word or bool(_PLAIN.fullmatch(word))
    ):
        run = " ".join(group)
        tail = run[-1] if not plain and run[-1] in ",;:" else ""
        parts.append(run if plain else code_span(run.removesuffix(tail)) + tail)
    return " ".join(parts)


def _render_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"
    yield "\n"


def _summary_table(plan: Plan) -> Iterator[str]:
    names = ("agents", *say.AGENT_COUNTS, *say.USER_COUNTS)
    yield from _render_table(
        ("Count", "", "Meaning"),
        ([name, str(getattr(plan.summary, name)), say.COUNTS[name]] for name in names),
    )


def _kinds_table(plan: Plan, marker: MarkdownMarker) -> Iterator[str]:
    kinds = plan.notes.kinds
    if not kinds:
        return
    yield f"## Kinds of changes ({len(kinds)})\n\n"
    rows = (
        [
            str(kind.users),
            escape_prose(kind.form),
            escape_prose(kind.sentence),
            " ".join(map(marker.mark_user, kind.examples)),
        ]
        for kind in kinds
    )
    yield from _render_table(("Users", "Kind", "What", "Examples"), rows)


def _changes_table(
    plan: Plan, outcomes: Sequence[Outcome] | None, marker: MarkdownMarker
) -> Iterator[str]:
    if not plan.changes:
        return
    yield f"## Changes ({len(plan.changes)})\n\n"
    columns = ["User", "Agent", "Rule", "Attribute", "Old", "New"]
    yield from _render_table(
        columns if outcomes is None else [*columns, "Outcome"],
        _change_rows(plan, outcomes, marker),
    )


def _change_rows(
    plan: Plan, outcomes: Sequence[Outcome] | None, marker: MarkdownMarker
) -> Iterator[list[str]]:
    marks, results = say.NewsMarks(plan), say.by_user(outcomes)
    for change in plan.changes:
        head = [
            marker.mark_user(change.user.name)
            + marker.mark_news(marks.mark_change(change)),
            escape_prose(say.name_agent(change.agent)),
            say.name_rule(change.rule),
        ]
        tail = (
            []
            if outcomes is None
            else [escape_prose(say.outcome_text(results.get(change.user.id)))]
        )
        for each in change.attributes:
            yield [*head, code_span(each.name), *_side_cells(each), *tail]


def _side_cells(each: AttributeChange) -> tuple[str, str]:
    change = say.find_sides(each)
    old, new = (" ".join(map(code_span, values)) for values in (change.old, change.new))
    none = "" if change.kept else say.NONE
    return old or ("" if each.secret else none), new or none
