"""Two plans compared: which changes and problems are new, gone, changed or the same."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct

from connector.model import Change, EarlierPlan, Plan, PlanNews, Problem
from connector.model.digests import make_readable

T = TypeVar("T")


class ComparedLists(Struct, Generic[T], frozen=True):
    """What the new list has and the old one has not, and so on; `changed`: old and new. `same`: how many."""

    new: Sequence[T]
    gone: Sequence[T]
    changed: Sequence[tuple[T, T]]
    same: int


class PlanComparison(Struct, frozen=True):
    """Changes by the id of their user, problems by whom and what they are about."""

    changes: ComparedLists[Change]
    problems: ComparedLists[Problem]


def compare_plans(old: Plan, new: Plan) -> PlanComparison:
    """What is new in a plan, and what is gone. Hints count as nothing: they are in no digest."""
    return PlanComparison(
        _compare_lists(
            old.changes,
            new.changes,
            lambda change: make_readable(change.user.id),
            lambda change: change.digest,
        ),
        _compare_lists(
            old.problems,
            new.problems,
            _subject_of,
            _content_of,
        ),
    )


def digest_plan(plan: Plan) -> EarlierPlan:
    """What is to be kept of a plan, so that later ones can be compared with it."""
    return EarlierPlan(
        plan.id, plan.created,
        [(make_readable(change.user.id), change.digest) for change in plan.changes],
        [(_digest_key(_subject_of(problem)), _digest_key(_content_of(problem))) for problem in plan.problems],
    )  # fmt: skip


def find_news(before: EarlierPlan, plan: Plan) -> PlanNews:
    """What is new in a plan since that one."""
    now = digest_plan(plan)
    first, second = itemgetter(0), itemgetter(1)
    changes = _compare_lists(
        before.changes,
        now.changes,
        first,
        second,
    )
    numbered: list[tuple[Any, ...]] = [
        (*each, number) for number, each in enumerate(now.problems)
    ]
    problems = _compare_lists(
        before.problems,
        numbered,
        first,
        second,
    )
    return PlanNews(
        before.plan, before.created,
        tuple(user for user, _ in changes.new), tuple(user for _, (user, _) in changes.changed),
        len(changes.gone), changes.same,
        tuple(each[2] for each in problems.new), tuple(each[2] for _, each in problems.changed),
        len(problems.gone), problems.same,
    )  # fmt: skip


def _digest_key(key: tuple[Any, ...]) -> str:
    """The same text for the same key, in every process."""
    spelt = repr(
        [sorted(part) if isinstance(part, frozenset) else part for part in key]
    )
    return hashlib.sha256(spelt.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _subject_of(problem: Problem) -> tuple[Any, ...]:
    """What stays as long as it is the same problem; without an agent that is its record or its users.

    Texts as a plan document has them: a plan is compared with one that was read from there.
    """
    kind, attribute = (
        make_readable(problem.kind),
        make_readable(problem.attribute or ""),
    )
    if problem.agent is not None:
        return (
            kind,
            attribute,
            problem.agent.work_no,
            make_readable(problem.agent.account_code or ""),
        )
    return kind, attribute, problem.record, frozenset(map(make_readable, problem.users))


def _content_of(problem: Problem) -> tuple[Any, ...]:
    return (
        make_readable(problem.why),
        problem.rule,
        frozenset(map(make_readable, problem.users)),
    )


def _compare_lists(
    old: Iterable[T],
    new: Iterable[T],
    about: Callable[[T], Hashable],
    content: Callable[[T], Hashable],
) -> ComparedLists[T]:
    """What is about the same thing goes together: first what is equal, then in the order of the lists."""
    left: defaultdict[Hashable, list[T]] = defaultdict(list)
    for item in old:
        left[about(item)].append(item)
    same, others = 0, []
    for item in new:
        known = left[about(item)]
        equal = next(
            (
                place
                for place, each in enumerate(known)
                if content(each) == content(item)
            ),
            None,
        )
        if equal is None:
            others.append(item)
        else:
            del known[equal]
            same += 1
    fresh: list[T] = []
    changed: list[tuple[T, T]] = []
    for item in others:
        known = left[about(item)]
        if known:
            changed.append((known.pop(0), item))
        else:
            fresh.append(item)
    return ComparedLists(
        fresh,
        [item for items in left.values() for item in items],
        changed,
        same,
    )
