"""The report as one self-contained page, for reading on a screen and for signing on paper.

Everything is escaped. A Content-Security-Policy (W3C CSP3) allows the page its own style
sheets and its one script, each by its hash, and nothing else. So even markup that slipped
through could not run or call out, and no browser fetches anything. Without the script the
page has everything but search, filters and sorting.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
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
    Group,
    group_changes,
    rank_result,
    render_attributes,
)
from connector.reports.sections import (
    list_outcomes,
    list_problems,
    list_refusals,
)
from connector.reports.verdict import count_shares, describe_effects
from connector.reports.wording import (
    AGENT_COUNTS,
    COUNTS,
    USER_COUNTS,
    Lines,
    Outcomes,
    advise_next,
    count_noun,
    describe_since,
    find_strays,
    list_warnings,
    report_title,
    write_verdict,
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


_WAYS: Final = ' To apply it anyway, see <a href="#next">Next</a>.'


def render(plan: Plan, outcomes: Outcomes = None, *, command: str | None = "") -> Lines:
    """The page, piece by piece. `command`: what applies the plan. None: nothing does."""
    groups = group_changes(plan, outcomes)
    in_rows = (change.user.name for group in groups for change in group.changes)
    marker = PageMarker(plan.notes.people, in_rows)
    rows = ChangeRows(plan, outcomes, marker, groups)
    not_written = _find_not_written(outcomes or ())
    strays = find_strays(plan, outcomes)
    yield from _page_head(plan, outcomes)
    yield "<main>\n"
    yield from render_section(
        list_outcomes("Conflicts and failures", not_written, marker)
    )
    ways = "" if command is None else _WAYS
    yield from _refusals_section(plan, outcomes, ways, marker)
    yield from rows.render_looks(plan.notes.worth_a_look)
    for caution in plan.cautions:
        yield f'<p class="note">{escape_prose(caution)}</p>\n'
    yield from _kinds_section(groups, marker)
    agents = {"agents": COUNTS["agents"]} | AGENT_COUNTS
    yield from _counts_section(plan, "Agents", agents)
    yield from _counts_section(plan, "Users", USER_COUNTS)
    if plan.changes:
        yield from rows.render_tools()
    yield from _problems_section(plan, marker)
    if plan.changes:
        yield from rows.render_rows()
    yield from render_section(list_outcomes("Not in this plan", strays, marker))
    yield from _facts_section(plan)
    if outcomes is None and command is not None:
        yield from _next_section(plan, command)
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
    headline = escape_text(write_verdict(plan, outcomes))
    yield f"<header>\n<h1>{what}</h1>\n"
    yield f'<p class="headline{" bad" if is_bad else ""}">{headline}</p>\n'
    if plan.notes.since:
        yield f"<p>{escape_text(describe_since(plan.notes.since))}</p>\n"
    yield from _render_effects(plan, outcomes)
    for warning in list_warnings(plan, outcomes):
        yield f'<p class="note">{escape_prose(warning)}</p>\n'
    yield "</header>\n"


def _render_effects(plan: Plan, outcomes: Outcomes) -> Lines:
    """What becomes of how many people: in words, and as a bar with its numbers below it."""
    effects = describe_effects(plan, outcomes)
    if effects:
        items = "".join(f"<li>{escape_text(said)}</li>" for said in effects)
        yield f'<ul class="effects">{items}</ul>\n'
    shares = count_shares(plan, outcomes)
    total = sum(shares.values())
    said = ", ".join(f"{count:,} {name}" for name, count in shares.items())
    label = f"Of {count_noun(total, 'person', 'people')}: {said}"
    start, bars, legend = 0.0, "", ""
    for name, count in shares.items():
        # what is rare can still be seen
        width = max(count / total, 0.01)
        kind = name.split()[0]
        bars += f'<rect class="{kind}" x="{start:.4f}" width="{width:.4f}" height="1"/>'
        legend += f'<li class="{kind}"><b>{count:,}</b> {name}</li>'
        start += width
    if shares:
        yield f'<svg class="bar" role="img" aria-label="{label}" '
        yield f'viewBox="0 0 {start:.4f} 1" preserveAspectRatio="none">{bars}</svg>\n'
        yield f'<ul class="legend">{legend}</ul>\n'


def _facts_section(plan: Plan) -> Lines:
    """What the plan was made from: in one line that unfolds, and on paper unfolded."""
    facts = {"job": plan.job, "plan": plan.id, "created": plan.created}
    facts |= {"digest": plan.digest} | dict(plan.about)
    shown = {name: escape_value(fact) for name, fact in facts.items()}
    paper = "".join(map(_describe_fact, shown, shown.values()))
    shown["digest"] = _DIGEST.format(digest=escape_text(plan.digest))
    screen = "".join(map(_describe_fact, shown, shown.values()))
    said = f"Job {plan.job}, plan {plan.id}, {plan.digest[:15]}…"
    yield f"<details><summary>{escape_prose(said)}</summary><dl>{screen}</dl></details>\n"
    yield f'<dl class="paper">{paper}</dl>\n'


def _describe_fact(name: str, fact: str) -> str:
    return f"<div><dt>{escape_text(name.capitalize())}</dt><dd>{fact}</dd></div>"


def _hash_source(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _next_section(plan: Plan, command: str) -> Lines:
    """The commands that sign and apply the plan."""
    sentence, commands = advise_next(plan, command)
    yield f'<section id="next">\n<h2>Next</h2>\n<p>{escape_prose(sentence)}</p>\n'
    for each in commands:
        yield f"<p>{escape_value(each)}</p>\n"
    yield "</section>\n"


def _refusals_section(
    plan: Plan, outcomes: Outcomes, ways: str, marker: PageMarker
) -> Lines:
    if plan.refusals:
        found = list_refusals(plan, marker)
        then = "" if outcomes is None else ", then accepted"
        yield f'<section class="refused">\n<h2>{found.title}{then}</h2>\n'
        yield from render_table(found.columns, found.rows)
        if outcomes is None:
            yield f"<p>Blocked.{ways}</p>\n"
        yield "</section>\n"


def _kinds_section(groups: Sequence[Group], marker: PageMarker) -> Lines:
    """Each kind with its title, its count, what is the same for all of it, examples, and a link to its rows."""
    kinds = [(group.kind, group.common) for group in groups if group.kind]
    if kinds:
        yield f"<section>\n<h2>Kinds of changes ({len(kinds):,})</h2>\n"
    for number, (kind, sides) in enumerate(kinds, 1):
        said = f"{kind.title[0].upper()}{kind.title[1:]}"
        title = f"{number}. {escape_text(said)} ({count_noun(kind.users, 'user')})"
        yield f'<div class="kind" id="k{number}">\n<h3>{title}</h3>\n'
        if kind.disabled:
            yield f"<p>Disabled accounts among them: {kind.disabled:,}.</p>\n"
        common = render_attributes(sides)
        if common:
            yield f"<p>The same for all of them: {common}</p>\n"
        shown = "Examples" if kind.users > len(kind.examples) else "Users"
        yield f"<p>{shown}: {', '.join(map(marker.mark_user, kind.examples))}</p>\n"
        link = f"Show {count_noun(kind.users, 'user')} of kind {number}"
        yield f'<p class="screen"><a href="#r{number}">{link}</a></p>\n</div>\n'
    if kinds:
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
