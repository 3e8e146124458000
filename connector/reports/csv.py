"""The report for a spreadsheet (RFC 4180, UTF-8): a row for every changed attribute, problem, refusal and caution.

So has every kind of changes, and every user that is worth a look.

No cell becomes a formula: one that a spreadsheet could take for one is led by an
apostrophe, which Excel, LibreOffice and Google Sheets take as "this is text" (OWASP, "CSV
Injection"). Several values of one attribute are joined by ` | `.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from typing import Final

from connector.model import (
    AgentRef,
    Change,
    Plan,
    Problem,
    UserRef,
)
from connector.model.plan import group_problems
from connector.reports.sections import NewsMarks
from connector.reports.visible import make_visible
from connector.reports.wording import (
    Lines,
    Outcomes,
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


def render(plan: Plan, outcomes: Outcomes = None) -> Lines:
    """Row by row, each with its CRLF; refusals first."""
    writer = csv.writer(_LineWriter(), lineterminator="\r\n")
    yield writer.writerow(COLUMNS)
    people = plan.notes.people
    for row in _list_rows(plan, outcomes):
        names = row.get("user", "").split(_BESIDE)
        row["person"] = _BESIDE.join(people[name] for name in names if name in people)
        yield writer.writerow([disarm_cell(row.get(column, "")) for column in COLUMNS])


def disarm_cell(text: str) -> str:
    """The text as a cell that no spreadsheet evaluates, without control characters.

    Full-width signs count too: a spreadsheet set to an East Asian language takes them for
    the plain ones. So does a sign behind spaces or quotation marks, which some importers
    strip.
    """
    text = make_visible(text)
    start = unicodedata.normalize("NFKC", text.lstrip(_SKIPPED)[:1])
    is_formula = start[:1] in {"=", "+", "-", "@", "\N{MINUS SIGN}"}
    return f"'{text}" if is_formula else text


def _list_rows(plan: Plan, outcomes: Outcomes) -> Iterator[Row]:
    yield from _list_notes(plan)
    marks, results = NewsMarks(plan), by_user(outcomes)
    for change in plan.changes:
        outcome = results.pop(change.user.id, None)
        since = marks.mark_change(change)
        yield from _change_rows(change, outcome_text(outcome), since)
    for outcome in results.values():
        cells = _user_cells(outcome.user)
        yield {"kind": "outcome", **cells, "outcome": outcome_text(outcome)}
    for name, problems in group_problems(plan.problems).items():
        for problem in problems:
            since = marks.mark_problem(problem)
            yield {
                "kind": f"problem: {name}",
                **_problem_cells(problem),
                "since": since,
            }


def _list_notes(plan: Plan) -> Iterator[Row]:
    """What stands above the changes: refusals, cautions, what is new, kinds, users that are worth a look."""
    notes = plan.notes
    for refusal in plan.refusals:
        yield {"kind": f"refused: {refusal.limit}", "why": refusal.why}
    for caution in plan.cautions:
        yield {"kind": "note", "why": caution}
    if notes.lost:
        yield {
            "kind": "lost",
            "users": str(notes.lost),
            "why": count_losses(notes.lost),
        }
    if notes.since:
        yield {"kind": "since", "why": describe_since(notes.since)}
    for kind in notes.kinds:
        yield {
            "kind": f"kind: {kind.form}",
            "users": str(kind.users),
            "why": kind.sentence,
            "rule": _show_rule(kind.rule),
            "user": _BESIDE.join(kind.examples),
            "attribute": _BESIDE.join(kind.attributes),
        }
    for look in notes.worth_a_look:
        yield {"kind": "worth a look", **_user_cells(look.user), "why": look.why}


def _change_rows(change: Change, outcome: str, since: str) -> Iterator[Row]:
    for each in change.attributes:
        values = find_sides(each)
        yield {
            "kind": "change",
            **_user_cells(change.user),
            **_agent_cells(change.agent),
            "rule": _show_rule(change.rule),
            "attribute": each.name,
            "old": _BESIDE.join(values.old),
            "new": _BESIDE.join(values.new),
            "outcome": outcome,
            "form": each.form or "",
            "since": since,
        }


def _user_cells(user: UserRef) -> Row:
    return {"user": user.name, "id": user.id}


def _agent_cells(agent: AgentRef | None) -> Row:
    if agent is None:
        return {}
    seat = "" if agent.work_no is None else str(agent.work_no)
    return {"agent_account_code": agent.account_code or "", "agent_work_no": seat}


def _show_rule(rule: int | None) -> str:
    if rule is None:
        return ""
    return str(rule or "pin")


def _problem_cells(problem: Problem) -> Row:
    record = "" if problem.record is None else f"record {problem.record}: "
    near = [f"{near.user} ({describe_near(near)})" for near in problem.near]
    return {
        **_agent_cells(problem.agent),
        "rule": _show_rule(problem.rule),
        "user": _BESIDE.join(problem.users),
        "attribute": problem.attribute or "",
        "why": record + problem.why,
        "near": _BESIDE.join(near),
    }
