"""The names of people beside the DNs of a plan: read once it is drawn, for the users that a report names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.model import EXAMPLES, ID, LISTED, NAME, Held, Plan, Problem, Secret, UserRef
from connector.reconcile.folding import text_of
from connector.reconcile.questions import Brief, Find, Planning, ask


def with_people(plan: Plan, brief: Brief) -> Planning[Plan]:
    """The plan with the first value that each user shows of `brief.show`, by the user's name in the plan.

    Where they cannot be read, the plan says so and stays as it is.
    """
    if not brief.show:
        return plan
    changed = {user.id: user.name for user in _changed(plan, everybody=brief.everybody)}
    written = frozenset(changed.values())
    others = [name for name in dict.fromkeys(_named(plan.problems)) if name not in written]
    keys = [(ID, id_) for id_ in changed] + [(NAME, name) for name in others]
    people: dict[str, str] = {}
    try:
        for user in (yield from ask(Find(keys, outside=True))) if keys else ():
            said = _said(user.values, brief.show)
            if said is not None:
                people[changed.get(user.id, user.name)] = said
    except IncompleteRead as fault:
        return replace(plan, about=(*plan.about, ("names", f"not shown: {fault}")))
    return replace(plan, people={name: people[name] for name in (*changed.values(), *others) if name in people})


def _changed(plan: Plan, *, everybody: bool) -> Iterator[UserRef]:
    """Users of changes: all, or those that a terminal names where there are many."""
    if everybody or len(plan.changes) <= LISTED:
        yield from (change.user for change in plan.changes)
    else:
        yield from (change.user for kind in plan.kinds for change in kind.changes[:EXAMPLES])
        yield from (look.user for look in plan.worth_a_look)


def _named(problems: Iterable[Problem]) -> Iterator[str]:
    for problem in problems:
        yield from problem.users
        yield from (near.user for near in problem.near)
        yield from problem.outside


def _said(values: Mapping[str, Sequence[Held]], show: Iterable[str]) -> str | None:
    """The first value of the first of these attributes that has one."""
    shown = (value for name in show for value in values.get(name, ()) if not isinstance(value, Secret))
    return next((text_of(value) for value in shown if value), None)
