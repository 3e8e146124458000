"""Sections that several formats share: their titles, columns and rows, in one place.

A format hands over its `Marker`, which makes its own markup of sentences, values and users.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from connector.model import Change, Outcome, Plan, Problem, Refusal
from connector.model.plan import explain_kind, group_alike, group_problems
from connector.planning.kinds import NAMED, find_concerned
from connector.reports.visible import make_visible
from connector.reports.wording import (
    People,
    count_refusal,
    describe_near,
    name_agent,
    name_key,
    name_refusal,
    name_subjects,
    name_user,
    outcome_text,
)


class Marker:
    """How a format marks up what stands in a cell."""

    between = " "
    """What stands between two users in one cell."""
    news = "{said} {mark}"
    """What is said already, and that it is `new` or `changed` since an earlier plan."""
    most = sys.maxsize
    """So many problems that are alike are named one by one."""

    def __init__(self, people: People) -> None:
        self.people = people

    def mark_prose(self, said: str) -> str:
        """A sentence."""
        return make_visible(said)

    def mark_value(self, shown: str) -> str:
        """A value, as it is."""
        return make_visible(shown)

    def mark_user(self, name: str) -> str:
        """A user by name, with the name of the person, where it was read and is another one."""
        return self.mark_value(name_user(self.people, name))

    def add_news(self, said: str, mark: str) -> str:
        return self.news.format(said=said, mark=mark) if mark else said


class NewsMarks:
    """What is `new` or `changed` in a plan since an earlier one, by user and by problem."""

    def __init__(self, plan: Plan) -> None:
        self._users: dict[str, str] = {}
        self._problems: dict[int, str] = {}
        """By identity: two of them may be equal."""
        since = plan.notes.since
        if since:
            for mark, users, numbers in (
                ("new", since.new, since.new_problems),
                ("changed", since.changed, since.changed_problems),
            ):
                self._users |= dict.fromkeys(users, mark)
                self._problems |= {id(plan.problems[each]): mark for each in numbers}

    def mark_change(self, change: Change) -> str:
        return self._users.get(change.user.id, "")

    def mark_problem(self, problem: Problem) -> str:
        return self._problems.get(id(problem), "")


class Section(Struct, frozen=True):
    """A title, and a table below it; neither where there are no rows."""

    title: str
    columns: Sequence[str]
    rows: Iterable[Sequence[str]]
    lead: str = ""
    """A sentence between the two."""
    count: int = 0
    """Problems of the kind."""
    left: int = 0
    """Problems that are not in the table."""


def list_refusals(plan: Plan, marker: Marker) -> Section:
    """Why the plan may not be applied, and whom each reason is about."""
    rows = []
    for refusal in plan.refusals:
        name = name_refusal(refusal)
        row = [
            marker.mark_prose(name[0].upper() + name[1:]),
            count_refusal(refusal),
            marker.mark_prose(f"{refusal.why}{name_key(refusal)}"),
            _name_concerned(plan, refusal, marker),
        ]
        rows.append(row)
    return Section("Refused", ("What", "Users", "Reason", "Affected users"), rows)


def _name_concerned(plan: Plan, refusal: Refusal, marker: Marker) -> str:
    names = find_concerned(plan, refusal)
    return _join_first(map(marker.mark_user, names[:NAMED]), len(names), marker)


def _join_first(named: Iterable[str], count: int, marker: Marker) -> str:
    """Some users, and how many more there are of `count` in all."""
    said = list(named)
    if count > len(said):
        said.append(f"… and {count - len(said):,} more")
    return marker.between.join(said)


def list_kinds(plan: Plan, marker: Marker) -> Section:
    """Kinds of changes, the riskiest first, each with some of its users."""
    rows = [
        [
            f"{kind.users:,}",
            marker.mark_prose(kind.form),
            marker.mark_prose(kind.sentence),
            _join_first(map(marker.mark_user, kind.examples), kind.users, marker),
        ]
        for kind in plan.notes.kinds
    ]
    title = f"Kinds of changes ({len(rows):,})"
    return Section(title, ("Users", "Kind", "What", "Examples"), rows)


def list_worth_a_look(plan: Plan, marker: Marker) -> Section:
    """Users that are worth a look, and why."""
    rows = [
        [marker.mark_user(look.user.name), marker.mark_prose(look.why)]
        for look in plan.notes.worth_a_look
    ]
    return Section(f"Worth a look ({len(rows):,})", ("User", "Why"), rows)


def list_outcomes(title: str, outcomes: Iterable[Outcome], marker: Marker) -> Section:
    """What became of some users."""
    rows = [
        [marker.mark_user(each.user.name), marker.mark_prose(outcome_text(each))]
        for each in outcomes
    ]
    return Section(f"{title} ({len(rows):,})", ("User", "Outcome"), rows)


def list_problems(
    plan: Plan, marker: Marker, most: int = sys.maxsize
) -> Iterator[Section]:
    """Problems by kind, each kind explained. Those that are alike are one row.

    `most`: rows of one kind. Where there are more, those that are new come first.
    """
    marks = NewsMarks(plan)
    for kind, problems in group_problems(plan.problems).items():
        groups = group_alike(problems, marks.mark_problem)
        if len(groups) > most:
            groups.sort(key=lambda alike: not marks.mark_problem(alike[0]))
        rows = [
            problem_row(alike, marker, marks.mark_problem(alike[0]))
            for alike in groups[:most]
        ]
        yield Section(
            f"{marker.mark_prose(kind)} ({len(problems):,})",
            ("About", "Users", "Why"),
            rows,
            explain_kind(kind),
            len(problems),
            sum(map(len, groups[most:])),
        )


def problem_row(alike: Sequence[Problem], marker: Marker, news: str = "") -> list[str]:
    """What problems that are alike are about, their users, and the reason with users that almost match."""
    first = alike[0]
    users = list(map(marker.mark_user, first.users))
    left = 0
    if len(alike) > 1:
        users = [_name_with_agent(each, marker) for each in alike[: marker.most]]
        left = len(alike) - len(users)
    why = [marker.mark_prose(first.why)]
    for near in first.near:
        how = marker.mark_value(describe_near(near))
        why.append(f"almost: {marker.mark_user(near.user)} ({how})")
    return [
        marker.add_news(marker.mark_prose(name_subjects(alike)), news),
        _join_first(users, len(users) + left, marker),
        marker.between.join(why),
    ]


def _name_with_agent(problem: Problem, marker: Marker) -> str:
    """The users of one of several problems, with its agent, which stands nowhere else."""
    said = list(map(marker.mark_user, problem.users))
    if problem.agent is not None:
        said.append(marker.mark_prose(name_agent(problem.agent)))
    return " ← ".join(said)
