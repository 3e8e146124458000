"""The report for a spreadsheet (RFC 4180, UTF-8): a row for every changed attribute, problem, refusal and caution.

So has every kind of changes, and every user that is worth a look.

No cell becomes a formula: one that a spreadsheet could take for one is led by an
apostrophe, which Excel, LibreOffice and Google Sheets take as "this is text" (OWASP, "CSV
Injection"). Several values of one attribute are joined by ` | `.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

from connector.model import AgentRef, Change, Outcome, Plan, Problem
from connector.model.plan import group_problems
from connector.reports.visible import make_visible
from connector.reports.wording import (
    NewsMarks,
    by_user,
    count_losses,
    describe_near,
    describe_since,
    find_sides,
    outcome_text,
)

COLUMNS: Final = (
    "kind",
    "user",
    "id",
    "agent_account_code",
    "agent_work_no",
    "rule",
    "attribute",
    "old",
    "new",
    "why",
    "outcome",
    "near",
    "form",
    "users",
    "person",
    "since",
)
_SKIPPED: Final = (
    " \"'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\uff02\uff07"
)
"""Spaces and quotation marks, plain, typographic and full-width."""
_BESIDE: Final = " | "
Row = dict[str, str]


class _LineWriter:
    """A file of which each write is handed back, so that rows come out one at a time."""

    def write(self, line: str) -> str:
        return line


def render(plan: Plan, outcomes: Sequence[Outcome] | None = None) -> Iterator[str]:
    """Row by row, each with its CRLF; refusals first."""
    writer = csv.writer(_LineWriter(), lineterminator="\r\n")
    yield writer.writerow(COLUMNS)
    for row in _list_rows(plan, outcomes):
        row["person"] = _BESIDE.join(
            plan.notes.people[name]
            for name in row.get("user", "").split(_BESIDE)
            if name in plan.notes.people
        )
        yield writer.writerow([disarm_cell(row.get(column, "")) for column in COLUMNS])


def disarm_cell(text: str) -> str:
    """The text as a cell that no spreadsheet evaluates, without control characters.

    Full-width signs count too: a spreadsheet set to an East Asian language takes them for
    the plain ones. So does a sign behind spaces or quotation marks, which some importers
    strip.
    """
    text = make_visible(text)
    start = unicodedata.normalize("NFKC", text.lstrip(_SKIPPED)[:1])
    return "'" + text if start[:1] in {"=", "+", "-", "@", "\N{MINUS SIGN}"} else text


def _list_rows(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[Row]:
    yield from (
        {"kind": f"refused: {refusal.limit}", "why": refusal.why}
        for refusal in plan.refusals
    )
    yield from ({"kind": "note", "why": caution} for caution in plan.cautions)
    if plan.notes.lost:
        yield {"kind": "lost", "users": str(plan.notes.lost), "why": count_losses(plan)}
    if plan.notes.since is not None:
        yield {"kind": "since", "why": describe_since(plan)}
    for kind in plan.notes.kinds:
        row = {
            "kind": f"kind: {kind.form}",
            "users": str(kind.users),
            "why": kind.sentence,
        }
        yield (
            row
            | _rule_cells(kind.rule)
            | {
                "user": _BESIDE.join(kind.examples),
                "attribute": " | ".join(kind.attributes),
            }
        )
    for look in plan.notes.worth_a_look:
        yield {
            "kind": "worth a look",
            "user": look.user.name,
            "id": look.user.id,
            "why": look.why,
        }
    marks, results = NewsMarks(plan), by_user(outcomes)
    for change in plan.changes:
        for row in _change_rows(change, results.pop(change.user.id, None)):
            yield row | {"since": marks.mark_change(change)}
    for outcome in results.values():
        about = {"user": outcome.user.name, "id": outcome.user.id}
        yield {"kind": "outcome"} | about | {"outcome": outcome_text(outcome)}
    for name, problems in group_problems(plan.problems).items():
        for problem in problems:
            yield (
                {"kind": f"problem: {name}"}
                | _problem_cells(problem)
                | {"since": marks.mark_problem(problem)}
            )


def _change_rows(change: Change, outcome: Outcome | None) -> Iterator[Row]:
    about = {
        "kind": "change",
        "user": change.user.name,
        "id": change.user.id,
    } | _agent_cells(change.agent, change.rule)
    for each in change.attributes:
        values = find_sides(each)
        yield about | {
            "attribute": each.name,
            "old": " | ".join(values.old),
            "new": " | ".join(values.new),
            "outcome": outcome_text(outcome),
            "form": each.form or "",
        }


def _agent_cells(agent: AgentRef | None, rule: int | None) -> Row:
    said = _rule_cells(rule)
    if agent is not None:
        said["agent_account_code"] = agent.account_code or ""
        said["agent_work_no"] = "" if agent.work_no is None else str(agent.work_no)
    return said


def _rule_cells(rule: int | None) -> Row:
    return {} if rule is None else {"rule": str(rule) if rule else "pin"}


def _problem_cells(problem: Problem) -> Row:
    record = "" if problem.record is None else f"record {problem.record}: "
    return _agent_cells(problem.agent, problem.rule) | {
        "user": _BESIDE.join(problem.users),
        "attribute": problem.attribute or "",
        "why": record + problem.why,
        "near": " | ".join(
            f"{near.user} ({describe_near(near)})" for near in problem.near
        ),
    }
