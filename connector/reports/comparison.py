"""Two plans compared, for a reader: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from connector.model import AttributeChange, Change, Plan, Problem
from connector.model.digests import UNKEYED, is_secret, secret_fingerprint
from connector.planning.review import ComparedLists, PlanComparison
from connector.reports import text
from connector.reports.document import as_json, list_member
from connector.reports.document_shape import ChangeShape, ProblemShape
from connector.reports.sections import problem_row
from connector.reports.text import TextMarker, cut_text
from connector.reports.wording import (
    Lines,
    count_news,
    count_refusal,
    give_reason,
    show_sides,
)

SCHEMA: Final = "cec-connector/diff/1"
_NOTHING: Final = "no change"
T = TypeVar("T")


def render_text(old: Plan, new: Plan, found: PlanComparison) -> Lines:
    """Line by line; of each list at most `text.MOST`."""
    yield from text.finish_lines(_head_lines(old, new, found))
    before, after = TextMarker(old.notes.people), TextMarker(new.notes.people)
    changes, problems = found.changes, found.problems
    yield from _list_section("New changes", changes.new, _describe_change, after)
    yield from _list_section("Gone changes", changes.gone, _describe_change, before)
    yield from _list_section("Changed changes", changes.changed, _changed_change, after)
    yield from _list_section("New problems", problems.new, _describe_problem, after)
    yield from _list_section("Gone problems", problems.gone, _describe_problem, before)
    yield from _list_section(
        "Changed problems", problems.changed, _changed_problem, after
    )


def _head_lines(old: Plan, new: Plan, found: PlanComparison) -> Lines:
    if old.job != new.job:
        yield "Note: these plans are of different jobs."
    for name, plan in (("old", old), ("new", new)):
        yield f"{name}  {plan.job}, plan {plan.id}, created {plan.created}"
        yield f"     {plan.digest}"
        for refusal in plan.refusals:
            count = count_refusal(refusal)
            yield f"     refused: {refusal.limit}  {count}".rstrip()
    yield ""
    yield f"Changes: {_count_items(found.changes)}."
    yield f"Problems: {_count_items(found.problems)}."


def _count_items(found: ComparedLists[Any]) -> str:
    new, gone, changed = map(len, (found.new, found.gone, found.changed))
    return count_news(new, gone, changed, found.same)


def _list_section(
    title: str,
    items: Sequence[T],
    describe: Callable[[T, TextMarker], Lines],
    marker: TextMarker,
) -> Lines:
    if not items:
        return
    yield f"\n{title} ({len(items):,})\n"
    for item in items[: text.MOST]:
        yield from text.finish_lines(describe(item, marker))
    yield from text.finish_lines(text.list_more(len(items) - text.MOST, "--json"))


def _describe_change(change: Change, marker: TextMarker) -> Lines:
    yield text.change_title(change, marker)
    for each in change.attributes:
        yield f"    {each.name}: {cut_text(_describe_sides(each))}"


def _changed_change(pair: tuple[Change, Change], marker: TextMarker) -> Lines:
    """Only what is not the same: `mail: was a → b, now a → c`."""
    old, new = pair
    yield f"~ {marker.mark_user(new.user.name)}"
    before, after = _describe_parts(old), _describe_parts(new)
    for name in before | after:
        was, now = before.get(name, _NOTHING), after.get(name, _NOTHING)
        if was != now:
            yield f"    {name}: was {cut_text(was)}, now {cut_text(now)}"


def _describe_parts(change: Change) -> dict[str, str]:
    parts = {"name": change.user.name, "agent": give_reason(change)}
    return parts | {each.name: _describe_sides(each) for each in change.attributes}


def _describe_sides(each: AttributeChange) -> str:
    """`old → new`; of a secret its fingerprint."""
    said = show_sides(each)
    fingerprint = secret_fingerprint(each) if is_secret(each) else ""
    if fingerprint in ("", UNKEYED):
        return said
    return f"{said}, fingerprint {fingerprint}"


def _describe_problem(problem: Problem, marker: TextMarker) -> Lines:
    row = problem_row([problem], marker)
    return text.describe_problem(row, problem.kind)


def _changed_problem(pair: tuple[Problem, Problem], marker: TextMarker) -> Lines:
    old, new = pair
    yield from _describe_problem(new, marker)
    if old.why != new.why:
        yield f"      was: {cut_text(old.why)}"
    for name in old.users:
        if name not in new.users:
            yield f"      before also: {marker.mark_user(name)}"


def render_document(old: Plan, new: Plan, found: PlanComparison) -> Lines:
    """The same as JSON, whole: changes and problems as the plan document has them, one a line."""
    yield f'{{"schema": {as_json(SCHEMA)}'
    for name, plan in (("old", old), ("new", new)):
        said = {
            "id": plan.id,
            "digest": plan.digest,
            "job": plan.job,
            "created": plan.created,
            "refusals": plan.refusals,
        }
        yield f',\n "{name}": {as_json(said)}'
    yield from _list_compared("changes", found.changes, ChangeShape.of)
    yield from _list_compared("problems", found.problems, ProblemShape.of)
    yield "}\n"


def _list_compared(
    name: str, found: ComparedLists[Any], as_object: Callable[[Any], Any]
) -> Lines:
    yield f',\n "{name}": {{"same": {found.same}'
    yield from list_member("new", map(as_object, found.new), "  ")
    yield from list_member("gone", map(as_object, found.gone), "  ")
    changed = (
        {"old": as_object(was), "new": as_object(now)} for was, now in found.changed
    )
    yield from list_member("changed", changed, "  ")
    yield "}"
