"""Two plans compared, for a reader: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from connector.model import AttributeChange, Change, Plan, Problem
from connector.model.digests import (
    UNKEYED,
    is_secret,
    secret_fingerprint,
)
from connector.planning.comparison import ComparedLists, PlanComparison
from connector.reports import text, wording as say
from connector.reports.document import as_json, list_member
from connector.reports.document_shape import (
    ChangeShape,
    ProblemShape,
)
from connector.reports.visible import make_visible

SCHEMA: Final = "cec-connector/diff/1"
_NOTHING: Final = "no change"


def render_text(old: Plan, new: Plan, found: PlanComparison) -> Iterator[str]:
    """Line by line; of each list at most `text.MOST`."""
    if old.job != new.job:
        yield "Note: these plans are of different jobs.\n"
    for name, plan in (("old", old), ("new", new)):
        yield f"{name}  {make_visible(plan.job)}, plan {make_visible(plan.id)}, created {make_visible(plan.created)}\n"
        yield f"     {make_visible(plan.digest)}\n"
        for refusal in plan.refusals:
            yield (
                f"     refused: {make_visible(refusal.limit)}  {say.count_refusal(refusal)}".rstrip()
                + "\n"
            )
    yield f"\nChanges: {_count_items(found.changes)}.\nProblems: {_count_items(found.problems)}.\n"
    for title, changes, people in (
        ("New", found.changes.new, new),
        ("Gone", found.changes.gone, old),
    ):
        yield from _list_section(
            f"{title} changes",
            changes,
            lambda change, plan=people: _describe_change(plan, change),
        )
    yield from _list_section(
        "Changed changes",
        found.changes.changed,
        lambda pair: _describe_changed(new, *pair),
    )
    for title, problems, plan in (
        ("New", found.problems.new, new),
        ("Gone", found.problems.gone, old),
    ):
        yield from _list_section(
            f"{title} problems",
            problems,
            lambda problem, plan=plan: _describe_problem(plan, problem),
        )
    yield from _list_section(
        "Changed problems",
        found.problems.changed,
        lambda pair: _changed_problem(new, *pair),
    )


def render_document(old: Plan, new: Plan, found: PlanComparison) -> Iterator[str]:
    """The same as JSON, whole: changes and problems as the plan document has them, one a line."""
    yield f'{{"schema": {as_json(SCHEMA)}'
    for name, plan in (("old", old), ("new", new)):
        said = {
            "id": plan.id, "digest": plan.digest, "job": plan.job, "created": plan.created,
            "refusals": plan.refusals,
        }  # fmt: skip
        yield f',\n "{name}": {as_json(said)}'
    yield from _list_compared("changes", found.changes, ChangeShape.of)
    yield from _list_compared("problems", found.problems, ProblemShape.of)
    yield "}\n"


def _count_items(found: ComparedLists[Any]) -> str:
    return say.count_news(
        len(found.new), len(found.gone), len(found.changed), found.same
    )


def _list_compared(
    name: str, found: ComparedLists[Any], as_object: Any
) -> Iterator[str]:
    yield f',\n "{name}": {{"same": {found.same}'
    changed = (
        {"old": as_object(was), "new": as_object(now)} for was, now in found.changed
    )
    for what, objects in (
        ("new", map(as_object, found.new)),
        ("gone", map(as_object, found.gone)),
        ("changed", changed),
    ):
        yield from list_member(what, objects, "  ")
    yield "}"


def _list_section(title: str, items: Sequence[Any], lines: Any) -> Iterator[str]:
    if not items:
        return
    yield f"\n{title} ({len(items):,})\n"
    for item in items[: text.MOST]:
        yield from lines(item)
    if len(items) > text.MOST:
        yield f"  … and {len(items) - text.MOST:,} more: use --json for all\n"


def _describe_change(plan: Plan, change: Change) -> Iterator[str]:
    yield f"~ {say.name_user(plan.notes.people, change.user.name)}  ← {say.give_reason(change)}\n"
    for each in change.attributes:
        yield f"    {make_visible(each.name)}: {_cut_text(_describe_sides(each))}\n"


def _describe_changed(plan: Plan, old: Change, new: Change) -> Iterator[str]:
    """Only what is not the same: `mail: was a → b, now a → c`."""
    yield f"~ {say.name_user(plan.notes.people, new.user.name)}\n"
    sides = [
        ("name", make_visible(old.user.name), make_visible(new.user.name)),
        ("agent", say.give_reason(old), say.give_reason(new)),
    ]
    before, after = (
        {each.name: _describe_sides(each) for each in change.attributes}
        for change in (old, new)
    )
    sides += [
        (make_visible(name), before.get(name, _NOTHING), after.get(name, _NOTHING))
        for name in dict.fromkeys(before | after)
    ]
    for name, was, now in sides:
        if was != now:
            yield f"    {name}: was {_cut_text(was)}, now {_cut_text(now)}\n"


def _describe_sides(each: AttributeChange) -> str:
    """`old → new`; of a secret its fingerprint."""
    said = text.show_sides(say.find_sides(each))
    print_ = secret_fingerprint(each) if is_secret(each) else ""
    return (
        f"{said}, fingerprint {make_visible(print_)}"
        if print_ not in ("", UNKEYED)
        else said
    )


def _describe_problem(plan: Plan, problem: Problem) -> Iterator[str]:
    first, *others = text.problem_lines(problem, plan.notes.people)
    yield first.replace("  - ", f"  - {make_visible(problem.kind)}: ", 1)
    yield from others


def _changed_problem(plan: Plan, old: Problem, new: Problem) -> Iterator[str]:
    yield from _describe_problem(plan, new)
    if old.why != new.why:
        yield f"      was: {_cut_text(make_visible(old.why))}\n"
    gone = [name for name in old.users if name not in new.users]
    yield from (
        f"      before also: {say.name_user(plan.notes.people, name)}\n"
        for name in gone
    )


def _cut_text(said: str) -> str:
    return (
        said
        if len(said) <= text.LONGEST
        else f"{said[: text.LONGEST]}… ({len(said):,} characters)"
    )
