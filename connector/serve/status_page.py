"""The page at `/`: how each job stands, for somebody on call. Pure: names of jobs, times, counts and digests.

It has no script and no form. Its Content-Security-Policy (W3C CSP3), a header, allows its one
style sheet by its hash and nothing else. Whoever asks for it need not be known, so it names
nobody and has no value.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from connector.observers.run_summary import RunSummary
from connector.reports.html.assets import STYLE
from connector.reports.html.parts import escape_text
from connector.reports.wording import (
    AGENT_COUNTS,
    USER_COUNTS,
    count_noun,
    sum_up_refusal,
)

_OWN_STYLE: Final = (
    STYLE
    + """
.jobs { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
.jobs section { padding: .2rem 1rem 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .4rem; }
.jobs h2 { margin-top: .6rem; overflow-wrap: anywhere; }
.jobs dd { overflow-wrap: anywhere; }
.jobs dt { flex-basis: 8rem; }
"""
)
_HASH: Final = base64.b64encode(hashlib.sha256(_OWN_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""
_HEAD: Final = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cec-connector: status</title>
<style>{_OWN_STYLE}</style>
</head>
<body>
<header>
<h1>cec-connector: status</h1>
"""


class JobPanel(Struct, frozen=True):
    """How a job stands, in texts that name nobody."""

    job: str
    verdict: str
    is_bad: bool = False
    """Whether somebody has to look at it."""
    facts: Mapping[str, str] = {}
    """What is known of it, by name; what is empty is not shown."""
    reports_url: str | None = None
    """Address of the folder with its reports; None: there is none."""


def render_status(jobs: Sequence[JobPanel], notes: Iterable[str], now: datetime) -> str:
    """The page. `notes`: what is wrong with the whole process or fleet."""
    return "".join(_render_parts(jobs, notes, now))


def _render_parts(
    jobs: Sequence[JobPanel], notes: Iterable[str], now: datetime
) -> Iterator[str]:
    bad = sum(each.is_bad for each in jobs)
    yield _HEAD
    if bad:
        said = f"{bad:,} of {count_noun(len(jobs), 'job')} must be looked at"
        yield f'<p class="headline bad">{said}</p>\n'
    else:
        said = f"{count_noun(len(jobs), 'job')}, none must be looked at"
        yield f'<p class="headline">{said}</p>\n'
    yield f"<p>As of {describe_time(now)}</p>\n</header>\n<main>\n"
    for note in notes:
        yield f'<p class="note bad">{escape_text(note)}</p>\n'
    yield '<div class="jobs">\n'
    for each in jobs:
        yield from _render_job(each)
    yield "</div>\n</main>\n</body>\n</html>\n"


def _render_job(status: JobPanel) -> Iterator[str]:
    kind = ' class="bad"' if status.is_bad else ""
    yield f"<section>\n<h2>{escape_text(status.job)}</h2>\n"
    yield f"<p{kind}>{escape_text(status.verdict)}</p>\n<dl>"
    for name, fact in status.facts.items():
        if fact:
            yield f"<div><dt>{name}</dt><dd>{escape_text(fact)}</dd></div>"
    yield "</dl>\n"
    if status.reports_url:
        yield f'<p><a href="{escape_text(status.reports_url)}">Reports</a></p>\n'
    yield "</section>\n"


# ---------------------------------------------------------------- facts


def describe_time(moment: datetime | float | None) -> str:
    """A time in the zone of this machine, which is named; a number is seconds since 1970. Empty for none."""
    if not moment:
        return ""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment).astimezone()
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def describe_counts(outcomes: Mapping[str, int], changes: int) -> str:
    """`10 of 12 users written (2 conflict)`; without an outcome `12 users to change`, or `no changes`."""
    if not outcomes:
        return f"{count_noun(changes, 'user')} to change" if changes else "no changes"
    written = outcomes.get("written", 0)
    others = [
        f"{count:,} {name}"
        for name, count in sorted(outcomes.items())
        if count and name != "written"
    ]
    said = f"{written:,} of {count_noun(sum(outcomes.values()), 'user')} written"
    return f"{said} ({', '.join(others)})" if others else said


def describe_seconds(seconds: float) -> str:
    """`3 s`; less than one is one."""
    return f"{max(round(seconds), 1):,} s"


def list_run_facts(summary: RunSummary) -> dict[str, str]:
    """When the last run was, how it ended, and its counts."""
    plan = summary.plan
    began, took = describe_time(summary.started), describe_seconds(summary.seconds)
    facts = {
        "Last run": f"{began}, {summary.ending} (exit code {summary.exit_code}) in {took}",
        "Reason": summary.cause,
        "Refused": ", ".join(map(sum_up_refusal, plan.refusals)),
        "Run": summary.run,
    }
    if plan.digest:
        facts["Written"] = describe_counts(summary.outcomes, plan.changes)
        if plan.refusals and not summary.outcomes:
            facts["Written"] = "nothing"
        facts["Agents"] = _list_counts(plan.counts, AGENT_COUNTS)
        facts["Users"] = _list_counts(plan.counts, USER_COUNTS)
        facts["Problems"] = _list_counts(plan.problems, plan.problems)
    return facts


def _list_counts(counts: Mapping[str, int], names: Iterable[str]) -> str:
    known = [f"{counts[name]:,} {name}" for name in names if counts.get(name)]
    return ", ".join(known)
