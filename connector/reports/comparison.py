"""Two plans compared, for a reader: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from connector.model import AttributeChange, Change, Plan, Problem
from connector.model.digests import UNKEYED, is_secret, secret_fingerprint
from connector.planning.comparison import ComparedLists, PlanComparison
from connector.reports import text
from connector.reports.document import as_json, list_member
from connector.reports.document_shape import ChangeShape, ProblemShape
from connector.reports.sections import problem_row
from connector.reports.text import TextMarker, cut_text
from connector.reports.wording import (
    Lines,
    count_news,
    count_refusal,
    find_sides,
    give_reason,
)

SCHEMA: Final = "cec-connector/diff/1"
_NOTHING: Final = "no change"


def render_text(old: Plan, new: Plan, found: PlanComparison) -> Lines:
    """Line by line; of each list at most `text.MOST`."""
    yield from text.finish_lines(_head_lines(old, new, found))
    before, after = TextMarker(old.notes.people), TextMarker(new.notes.people)
    changes, problems = found.changes, found.problems
    sections: dict[str, Sequence[Iterable[str]]] = {
        "New changes": [_describe_change(each, after) for each in changes.new],
        "Gone changes": [_describe_change(each, before) for each in changes.gone],
        "Changed changes": [_describe_changed(*each, after) for each in changes.changed],
        "New problems": [_describe_problem(each, after) for each in problems.new],
        "Gone problems": [_describe_problem(each, before) for each in problems.gone],
        "Changed problems": [_changed_problem(*each, after) for each in problems.changed],
    }  # fmt: skip
    for title, items in sections.items():
        yield from text.finish_lines(_section_lines(title, items))


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


def _section_lines(title: str, items: Sequence[Iterable[str]]) -> Lines:
    if not items:
        return
    yield ""
    yield f"{title} ({len(items):,})"
    for lines in items[: text.MOST]:
        yield from lines
    yield from text.list_more(len(items) - text.MOST, "--json")


def _describe_change(change: Change, marker: TextMarker) -> Lines:
    yield text.change_title(change, marker)
    for each in change.attributes:
        yield f"    {each.name}: {cut_text(_describe_sides(each))}"


def _describe_changed(old: Change, new: Change, marker: TextMarker) -> Lines:
    """Only what is not the same: `mail: was a → b, now a → c`."""
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
    said = text.show_sides(find_sides(each))
    fingerprint = secret_fingerprint(each) if is_secret(each) else ""
    if fingerprint in ("", UNKEYED):
        return said
    return f"{said}, fingerprint {fingerprint}"


def _describe_problem(problem: Problem, marker: TextMarker) -> Lines:
    row = problem_row([problem], marker)
    return text.describe_problem(row, problem.kind)


def _changed_problem(old: Problem, new: Problem, marker: TextMarker) -> Lines:
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
