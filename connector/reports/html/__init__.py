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
from connector.reports.html.parts import PageMarker, prose, section, table, text, value
from connector.reports.html.rows import NOT_WRITTEN, Rows, groups
from connector.reports.html.script import SCRIPT
from connector.reports.html.style import STYLE, foot
from connector.reports.sections import list_outcomes, list_refusals, list_worth_a_look


def render(
    plan: Plan, outcomes: Sequence[Outcome] | None = None, *, command: str = ""
) -> Iterator[str]:
    """The page, piece by piece. `command`: what `--accept` is appended to."""
    grouped = groups(plan)
    marker = PageMarker(
        plan.notes.people,
        (change.user.name for _, changes in grouped for change in changes),
    )
    rows = Rows(plan, outcomes, marker, grouped)
    not_written = [
        each
        for result in NOT_WRITTEN
        for each in outcomes or ()
        if each.result is result
    ]
    strays = say.strays(plan, outcomes)
    yield from _head(plan, outcomes)
    yield "<main>\n"
    for found in list_outcomes("Conflicts and failures", not_written, marker):
        yield from section(found)
    yield from _refusals(plan, outcomes, command, marker)
    yield from (f'<p class="note">{prose(caution)}</p>\n' for caution in plan.cautions)
    for found in list_worth_a_look(plan, marker):
        yield from section(found)
    yield from overview.kinds(plan, marker)
    yield from overview.counts(plan)
    if plan.changes:
        yield from rows.tools()
    yield from overview.problems(plan, marker)
    if plan.changes:
        yield from rows.render()
    for found in list_outcomes("Not in this plan", strays, marker):
        yield from section(found)
    yield from _signatures()
    yield f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"


def _head(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    what = say.title(plan, outcomes).capitalize()
    at_foot = foot(plan.digest)
    policy = (
        f"default-src 'none'; style-src {_hash(STYLE)} {_hash(at_foot)}; script-src {_hash(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{what}: {text(plan.job)}</title>\n<style>{STYLE}</style>\n<style>{at_foot}</style>\n</head>\n<body>\n"
    )
    bad = (
        bool(plan.refusals)
        if outcomes is None
        else any(each.result in NOT_WRITTEN for each in outcomes)
    )
    yield f"<header>\n<h1>{what}</h1>\n"
    yield f'<p class="headline{" bad" if bad else ""}">{text(say.headline(plan, outcomes))}</p>\n'
    if plan.notes.since is not None:
        yield f"<p>{text(say.since(plan))}</p>\n"
    facts = {
        "Job": value(plan.job),
        "Plan": value(plan.id),
        "Created": value(plan.created),
        "Digest": _digest(plan),
    }
    facts |= {text(place.capitalize()): value(what) for place, what in plan.about}
    yield (
        "<dl>"
        + "".join(
            f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in facts.items()
        )
        + "</dl>\n"
    )
    yield "</header>\n"


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _digest(plan: Plan) -> str:
    return (
        f'<code id="digest">{text(plan.digest)}</code> <button type="button" id="copy" hidden>Copy digest</button> '
        '<output id="copied"></output>'
    )


def _refusals(
    plan: Plan,
    outcomes: Sequence[Outcome] | None,
    command: str,
    marker: PageMarker,
) -> Iterator[str]:
    for found in list_refusals(plan, marker):
        then = "" if outcomes is None else ", then accepted"
        yield f'<section class="refused">\n<h2>{found.title}{then}</h2>\n'
        yield from table(found.columns, found.rows)
        if outcomes is None:
            accept = value(say.accepting(plan, command))
            yield f"<p>Blocked. {say.lifting(plan, command)} {accept}</p>\n"
        yield "</section>\n"


def _signatures() -> Iterator[str]:
    """On paper alone: who has read it."""
    yield '<section class="paper sign">\n<h2>Signatures</h2>\n'
    yield '<table>\n<thead><tr><th scope="col">Name</th><th scope="col">Date</th><th scope="col">Signature</th></tr>'
    yield (
        "</thead>\n<tbody>\n"
        + "<tr><td></td><td></td><td></td></tr>\n" * 2
        + "</tbody>\n</table>\n</section>\n"
    )
