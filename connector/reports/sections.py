"""Sections that Markdown and the page share: their titles, columns and rows, in one place.

A format hands over its `Marker`, which makes its own markup of sentences, values and users.
The table of changes is not among them: `markdown.py` and `html/rows.py` each lay it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from connector.model import Outcome, Plan, Problem
from connector.model.plan import explain_kind, group_alike, group_problems
from connector.planning.kinds import NAMED, find_concerned
from connector.reports import wording as say


class Marker(Protocol):
    """How a format marks up what stands in a cell."""

    between: str
    """What stands between two users in one cell."""

    def mark_prose(self, said: str) -> str:
        """A sentence."""

    def mark_value(self, shown: str) -> str:
        """A value, as it is."""

    def mark_user(self, name: str) -> str:
        """A user by name, with the name of the person where it was read."""

    def mark_news(self, mark: str) -> str:
        """That something is `new` or `changed` since an earlier plan, or nothing."""


class Section(Struct, frozen=True):
    """A title, and a table below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    lead: str = ""
    """A sentence between the two."""


_OUTCOMES: Final = ("User", "Outcome")


def list_refusals(plan: Plan, marker: Marker) -> Iterator[Section]:
    """Why the plan may not be applied, and whom each reason is about."""
    if plan.refusals:
        rows = [
            [
                marker.mark_value(refusal.limit),
                say.count_refusal(refusal),
                marker.mark_prose(refusal.why),
                _name_first(find_concerned(plan, refusal), marker),
            ]
            for refusal in plan.refusals
        ]
        yield Section("Refused", ("Limit", "Users", "Reason", "Affected users"), rows)


def _name_first(names: Sequence[str], marker: Marker) -> str:
    said = list(map(marker.mark_user, names[:NAMED]))
    if len(names) > NAMED:
        said.append(f"… and {len(names) - NAMED:,} more")
    return marker.between.join(said)


def list_worth_a_look(plan: Plan, marker: Marker) -> Iterator[Section]:
    """Users that are worth a look, and why."""
    looks = plan.notes.worth_a_look
    if looks:
        rows = [
            [marker.mark_user(look.user.name), marker.mark_prose(look.why)]
            for look in looks
        ]
        yield Section(f"Worth a look ({len(looks):,})", ("User", "Why"), rows)


def list_outcomes(
    title: str, outcomes: Sequence[Outcome], marker: Marker
) -> Iterator[Section]:
    """What became of some users, if there are any."""
    if outcomes:
        rows = [
            [
                marker.mark_user(outcome.user.name),
                marker.mark_prose(say.outcome_text(outcome)),
            ]
            for outcome in outcomes
        ]
        yield Section(f"{title} ({len(outcomes):,})", _OUTCOMES, rows)


def list_problems(plan: Plan, marker: Marker) -> Iterator[Section]:
    """Problems by kind, each kind explained. Those that are alike are one row."""
    marks = say.NewsMarks(plan)
    for kind, problems in group_problems(plan.problems).items():
        rows = [
            _problem_row(alike, marker, marks.mark_problem(alike[0]))
            for alike in group_alike(problems, marks.mark_problem)
        ]
        yield Section(
            f"{marker.mark_prose(kind)} ({len(problems):,})",
            ("About", "Users", "Why"),
            rows,
            explain_kind(kind),
        )


def _problem_row(alike: Sequence[Problem], marker: Marker, news: str) -> list[str]:
    first = alike[0]
    if len(alike) == 1:
        named = list(map(marker.mark_user, first.users))
    else:
        named = [_name_with_agent(problem, marker) for problem in alike]
    why = [marker.mark_prose(first.why)]
    why += [
        f"almost: {marker.mark_user(near.user)} ({marker.mark_value(say.describe_near(near))})"
        for near in first.near
    ]
    about = marker.mark_prose(say.name_subjects(alike)) + marker.mark_news(news)
    return [about, marker.between.join(named), marker.between.join(why)]


def _name_with_agent(problem: Problem, marker: Marker) -> str:
    """The users of one of several problems, with its agent, which stands nowhere else."""
    said = list(map(marker.mark_user, problem.users))
    if problem.agent is not None:
        said.append(marker.mark_prose(say.name_agent(problem.agent)))
    return " ← ".join(said)
