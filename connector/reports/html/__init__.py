"""The report as one self-contained page, for reading on a screen and for signing on paper.

Everything is escaped. A Content-Security-Policy (W3C CSP3) allows the page its own style
sheets and its one script, each by its hash, and nothing else. So even markup that slipped
through could not run or call out, and no browser fetches anything. Without the script the
page has everything but search, filters and sorting.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from connector.model import Outcome, Plan
from connector.reports import wording as say
from connector.reports.html import overview
from connector.reports.html.parts import (
    PageMarker,
    escape_prose,
    escape_text,
    escape_value,
    render_section,
    render_table,
)
from connector.reports.html.rows import NOT_WRITTEN, ChangeRows, group_changes
from connector.reports.html.script import SCRIPT
from connector.reports.html.style import STYLE, page_foot_style
from connector.reports.sections import list_outcomes, list_refusals, list_worth_a_look


def render(
    plan: Plan, outcomes: Sequence[Outcome] | None = None, *, command: str = ""
) -> Iterator[str]:
    """The page, piece by piece. `command`: what `--accept` is appended to."""
    grouped = group_changes(plan)
    marker = PageMarker(
        plan.notes.people,
        (change.user.name for _, changes in grouped for change in changes),
    )
    rows = ChangeRows(plan, outcomes, marker, grouped)
    not_written = [
        each
        for result in NOT_WRITTEN
        for each in outcomes or ()
        if each.result is result
    ]
    strays = say.find_strays(plan, outcomes)
    yield from _page_head(plan, outcomes)
    yield "<main>\n"
    for found in list_outcomes("Conflicts and failures", not_written, marker):
        yield from render_section(found)
    yield from _refusals_section(plan, outcomes, command, marker)
    yield from (
        f'<p class="note">{escape_prose(caution)}</p>\n' for caution in plan.cautions
    )
    for found in list_worth_a_look(plan, marker):
        yield from render_section(found)
    yield from overview.kinds_section(plan, marker)
    yield from overview.counts_sections(plan)
    if plan.changes:
        yield from rows.render_tools()
    yield from overview.problems_section(plan, marker)
    if plan.changes:
        yield from rows.render_rows()
    for found in list_outcomes("Not in this plan", strays, marker):
        yield from render_section(found)
    yield from _signatures_section()
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _page_head(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    what = say.report_title(plan, outcomes).capitalize()
    at_foot = page_foot_style(plan.digest)
    policy = (
        f"default-src 'none'; style-src {_hash_source(STYLE)} {_hash_source(at_foot)}; "
        f"script-src {_hash_source(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{what}: {escape_text(plan.job)}</title>\n"
        f"<style>{STYLE}</style>\n<style>{at_foot}</style>\n</head>\n<body>\n"
    )
    bad = (
        bool(plan.refusals)
        if outcomes is None
        else any(each.result in NOT_WRITTEN for each in outcomes)
    )
    yield f"<header>\n<h1>{what}</h1>\n"
    yield f'<p class="headline{" bad" if bad else ""}">{escape_text(say.write_headline(plan, outcomes))}</p>\n'
    if plan.notes.since is not None:
        yield f"<p>{escape_text(say.describe_since(plan))}</p>\n"
    facts = {
        "Job": escape_value(plan.job),
        "Plan": escape_value(plan.id),
        "Created": escape_value(plan.created),
        "Digest": _digest_with_button(plan),
    }
    facts |= {
        escape_text(place.capitalize()): escape_value(what)
        for place, what in plan.about
    }
    yield (
        "<dl>"
        + "".join(
            f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts.items()
        )
        + "</dl>\n"
    )
    yield "</header>\n"


def _hash_source(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _digest_with_button(plan: Plan) -> str:
    return (
        f'<code id="digest">{escape_text(plan.digest)}</code> '
        '<button type="button" id="copy" hidden>Copy digest</button> '
        '<output id="copied"></output>'
    )


def _refusals_section(
    plan: Plan,
    outcomes: Sequence[Outcome] | None,
    command: str,
    marker: PageMarker,
) -> Iterator[str]:
    for found in list_refusals(plan, marker):
        then = "" if outcomes is None else ", then accepted"
        yield f'<section class="refused">\n<h2>{found.title}{then}</h2>\n'
        yield from render_table(found.columns, found.rows)
        if outcomes is None:
            accept = escape_value(say.accept_command(plan, command))
            yield f"<p>Blocked. {say.accept_sentence(plan, command)} {accept}</p>\n"
        yield "</section>\n"


def _signatures_section() -> Iterator[str]:
    """On paper alone: who has read it."""
    yield '<section class="paper sign">\n<h2>Signatures</h2>\n'
    yield '<table>\n<thead><tr><th scope="col">Name</th><th scope="col">Date</th><th scope="col">Signature</th></tr>'
    yield (
        "</thead>\n<tbody>\n"
        + "<tr><td></td><td></td><td></td></tr>\n" * 2
        + "</tbody>\n</table>\n</section>\n"
    )
