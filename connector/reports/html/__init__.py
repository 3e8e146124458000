"""The report as one self-contained page, for reading on a screen and for signing on paper.

Everything is escaped. A Content-Security-Policy (W3C CSP3) allows the page its own style
sheets and its one script, each by its hash, and nothing else. So even markup that slipped
through could not run or call out, and no browser fetches anything. Without the script the
page has everything but search, filters and sorting.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

from connector.model import Outcome, Plan
from connector.reports.html.assets import SCRIPT, STYLE, page_foot_style
from connector.reports.html.parts import (
    PageMarker,
    escape_prose,
    escape_text,
    escape_value,
    render_section,
    render_table,
)
from connector.reports.html.rows import (
    NOT_WRITTEN,
    ChangeRows,
    find_common_sides,
    group_changes,
    rank_result,
    render_attributes,
)
from connector.reports.sections import (
    list_outcomes,
    list_problems,
    list_refusals,
    list_worth_a_look,
)
from connector.reports.wording import (
    AGENT_COUNTS,
    COUNTS,
    HIDDEN_CLEARED,
    USER_COUNTS,
    Lines,
    Outcomes,
    accept_advice,
    count_noun,
    describe_since,
    find_sides,
    find_strays,
    report_title,
    write_headline,
)

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<style>{foot}</style>
</head>
<body>
"""
_POLICY: Final = (
    "default-src 'none'; style-src {style} {foot}; script-src {script}; "
    "base-uri 'none'; form-action 'none'"
)
_DIGEST: Final = (
    '<code id="digest">{digest}</code> '
    '<button type="button" id="copy" hidden>Copy digest</button> '
    '<output id="copied"></output>'
)
_SIGNATURES: Final = """<section class="paper sign">
<h2>Signatures</h2>
<table>
<thead><tr><th scope="col">Name</th><th scope="col">Date</th><th scope="col">Signature</th></tr></thead>
<tbody>
<tr><td></td><td></td><td></td></tr>
<tr><td></td><td></td><td></td></tr>
</tbody>
</table>
</section>
"""
"""On paper alone: who has read it."""


def render(plan: Plan, outcomes: Outcomes = None, *, command: str = "") -> Lines:
    """The page, piece by piece. `command`: what `--accept` is appended to."""
    groups = group_changes(plan, outcomes)
    in_rows = (change.user.name for _, changes in groups for change in changes)
    marker = PageMarker(plan.notes.people, in_rows)
    rows = ChangeRows(plan, outcomes, marker, groups)
    not_written = _find_not_written(outcomes or ())
    strays = find_strays(plan, outcomes)
    yield from _page_head(plan, outcomes)
    yield "<main>\n"
    yield from render_section(
        list_outcomes("Conflicts and failures", not_written, marker)
    )
    yield from _refusals_section(plan, outcomes, command, marker)
    for caution in plan.cautions:
        yield f'<p class="note">{escape_prose(caution)}</p>\n'
    yield from render_section(list_worth_a_look(plan, marker))
    yield from _kinds_section(plan, marker)
    yield from _attributes_section(plan)
    agents = {"agents": COUNTS["agents"]} | AGENT_COUNTS
    yield from _counts_section(plan, "Agents", agents)
    yield from _counts_section(plan, "Users", USER_COUNTS)
    if plan.changes:
        yield from rows.render_tools()
    yield from _problems_section(plan, marker)
    if plan.changes:
        yield from rows.render_rows()
    yield from render_section(list_outcomes("Not in this plan", strays, marker))
    yield _SIGNATURES
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _find_not_written(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Conflicts, then failures."""
    found = [each for each in outcomes if each.result in NOT_WRITTEN]
    return sorted(found, key=rank_result)


def _page_head(plan: Plan, outcomes: Outcomes) -> Lines:
    what = report_title(plan, outcomes).capitalize()
    foot = page_foot_style(plan.digest)
    policy = _POLICY.format(
        style=_hash_source(STYLE), foot=_hash_source(foot), script=_hash_source(SCRIPT)
    )
    title = f"{what}: {escape_text(plan.job)}"
    yield _HEAD.format(policy=policy, title=title, style=STYLE, foot=foot)
    is_bad = _find_not_written(outcomes) if outcomes is not None else plan.refusals
    headline = escape_text(write_headline(plan, outcomes))
    yield f"<header>\n<h1>{what}</h1>\n"
    yield f'<p class="headline{" bad" if is_bad else ""}">{headline}</p>\n'
    if plan.notes.since:
        yield f"<p>{escape_text(describe_since(plan.notes.since))}</p>\n"
    yield "<dl>"
    yield _describe_fact("Job", escape_value(plan.job))
    yield _describe_fact("Plan", escape_value(plan.id))
    yield _describe_fact("Created", escape_value(plan.created))
    yield _describe_fact("Digest", _DIGEST.format(digest=escape_text(plan.digest)))
    for place, what in plan.about:
        yield _describe_fact(place.capitalize(), escape_value(what))
    yield "</dl>\n</header>\n"


def _describe_fact(name: str, fact: str) -> str:
    return f"<div><dt>{escape_text(name)}</dt><dd>{fact}</dd></div>"


def _hash_source(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _refusals_section(
    plan: Plan, outcomes: Outcomes, command: str, marker: PageMarker
) -> Lines:
    if plan.refusals:
        found = list_refusals(plan, marker)
        then = "" if outcomes is None else ", then accepted"
        yield f'<section class="refused">\n<h2>{found.title}{then}</h2>\n'
        yield from render_table(found.columns, found.rows)
        if outcomes is None:
            sentence, accept = accept_advice(plan, command)
            yield f"<p>Blocked. {sentence} {escape_value(accept)}</p>\n"
        yield "</section>\n"


def _kinds_section(plan: Plan, marker: PageMarker) -> Lines:
    """Each kind with its count, its sentence, what is the same for all of it, examples, and a link to its rows."""
    kinds = plan.notes.kinds
    if kinds:
        yield f"<section>\n<h2>Kinds of changes ({len(kinds):,})</h2>\n"
    for number, kind in enumerate(kinds, 1):
        title = f"{number}. {escape_text(kind.form.capitalize())}: {kind.users:,}"
        yield f'<div class="kind" id="k{number}">\n<h3>{title}</h3>\n'
        yield f"<p>{escape_text(kind.sentence)}</p>\n"
        common = render_attributes(find_common_sides(kind))
        if common:
            yield f"<p>The same for all of them: {common}</p>\n"
        shown = "Examples" if kind.users > len(kind.examples) else "Users"
        yield f"<p>{shown}: {', '.join(map(marker.mark_user, kind.examples))}</p>\n"
        link = f"Show {count_noun(kind.users, 'user')} of kind {number}"
        yield f'<p class="screen"><a href="#r{number}">{link}</a></p>\n</div>\n'
    if kinds:
        yield "</section>\n"


def _attributes_section(plan: Plan) -> Lines:
    """How many users each attribute changes for, by what happens to its values."""
    if not plan.changes:
        return
    counts = Counter[tuple[str, str]]()
    for change in plan.changes:
        for each in change.attributes:
            sides = find_sides(each)
            what = "Replaced" if sides.old else "Set"
            if sides.new in ([], [HIDDEN_CLEARED]):
                what = "Emptied"
            counts[each.name, what] += 1
    columns = ("Set", "Replaced", "Emptied")
    rows = [
        [escape_value(name), *(f"{counts[name, what]:,}" for what in columns)]
        for name in sorted({name for name, _ in counts})
    ]
    yield '<section class="numbers">\n<h2>Counts by attribute</h2>\n'
    yield from render_table(("Attribute", *columns), rows)
    yield "</section>\n"


def _counts_section(plan: Plan, title: str, counts: dict[str, str]) -> Lines:
    yield f'<section>\n<h2>{title}</h2>\n<ul class="cards">\n'
    for name, meaning in counts.items():
        number = plan.summary.counts.get(name)
        if number is None:
            continue
        kind = "" if number else ' class="zero"'
        yield f"<li{kind}><b>{number:,}</b> <span>{name}</span> <small>{meaning}</small></li>\n"
    yield "</ul>\n</section>\n"


def _problems_section(plan: Plan, marker: PageMarker) -> Lines:
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
