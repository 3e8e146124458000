"""Two plans compared, for a reader: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from connector.model import AttributeChange, Change, Plan, Problem
from connector.model.digests import UNKEYED, is_secret, readable, secret_fingerprint
from connector.planning.comparison import Compared, Comparison
from connector.reports import text, wording as say
from connector.reports.document import as_json, listed
from connector.reports.document_shape import (
    ChangeShape,
    ProblemShape,
    readable_refusal,
)
from connector.reports.visible import visible

SCHEMA: Final = "cec-connector/diff/1"
_NOTHING: Final = "no change"


def render(old: Plan, new: Plan, found: Comparison) -> Iterator[str]:
    """Line by line; of each list at most `text.MOST`."""
    if old.job != new.job:
        yield "Note: these plans are of different jobs.\n"
    for name, plan in (("old", old), ("new", new)):
        yield f"{name}  {visible(plan.job)}, plan {visible(plan.id)}, created {visible(plan.created)}\n"
        yield f"     {visible(plan.digest)}\n"
        for refusal in plan.refusals:
            yield (
                f"     refused: {visible(refusal.limit)}  {say.figures(refusal)}".rstrip()
                + "\n"
            )
    yield f"\nChanges: {_numbers(found.changes)}.\nProblems: {_numbers(found.problems)}.\n"
    for title, changes, people in (
        ("New", found.changes.new, new),
        ("Gone", found.changes.gone, old),
    ):
        yield from _section(
            f"{title} changes",
            changes,
            lambda change, plan=people: _change(plan, change),
        )
    yield from _section(
        "Changed changes", found.changes.changed, lambda pair: _changed(new, *pair)
    )
    for title, problems, plan in (
        ("New", found.problems.new, new),
        ("Gone", found.problems.gone, old),
    ):
        yield from _section(
            f"{title} problems",
            problems,
            lambda problem, plan=plan: _problem(plan, problem),
        )
    yield from _section(
        "Changed problems",
        found.problems.changed,
        lambda pair: _changed_problem(new, *pair),
    )


def document(old: Plan, new: Plan, found: Comparison) -> Iterator[str]:
    """The same as JSON, whole: changes and problems as the plan document has them, one a line."""
    yield f'{{"schema": {as_json(SCHEMA)}'
    for name, plan in (("old", old), ("new", new)):
        said = {
            "id": plan.id, "digest": plan.digest, "job": readable(plan.job), "created": plan.created,
            "refusals": list(map(readable_refusal, plan.refusals)),
        }  # fmt: skip
        yield f',\n "{name}": {as_json(said)}'
    yield from _document("changes", found.changes, ChangeShape.of)
    yield from _document("problems", found.problems, ProblemShape.of)
    yield "}\n"


def _numbers(found: Compared[Any]) -> str:
    return say.numbers(len(found.new), len(found.gone), len(found.changed), found.same)


def _document(name: str, found: Compared[Any], as_object: Any) -> Iterator[str]:
    yield f',\n "{name}": {{"same": {found.same}'
    changed = (
        {"old": as_object(was), "new": as_object(now)} for was, now in found.changed
    )
    for what, objects in (
        ("new", map(as_object, found.new)),
        ("gone", map(as_object, found.gone)),
        ("changed", changed),
    ):
        yield from listed(what, objects, "  ")
    yield "}"


def _section(title: str, items: Sequence[Any], lines: Any) -> Iterator[str]:
    if not items:
        return
    yield f"\n{title} ({len(items):,})\n"
    for item in items[: text.MOST]:
        yield from lines(item)
    if len(items) > text.MOST:
        yield f"  … and {len(items) - text.MOST:,} more: use --json for all\n"


def _change(plan: Plan, change: Change) -> Iterator[str]:
    yield f"~ {say.person(plan.notes.people, change.user.name)}  ← {say.reason(change)}\n"
    for each in change.attributes:
        yield f"    {visible(each.name)}: {_short(_what(each))}\n"


def _changed(plan: Plan, old: Change, new: Change) -> Iterator[str]:
    """Only what is not the same: `mail: was a → b, now a → c`."""
    yield f"~ {say.person(plan.notes.people, new.user.name)}\n"
    sides = [
        ("name", visible(old.user.name), visible(new.user.name)),
        ("agent", say.reason(old), say.reason(new)),
    ]
    before, after = (
        {each.name: _what(each) for each in change.attributes} for change in (old, new)
    )
    sides += [
        (visible(name), before.get(name, _NOTHING), after.get(name, _NOTHING))
        for name in dict.fromkeys(before | after)
    ]
    for name, was, now in sides:
        if was != now:
            yield f"    {name}: was {_short(was)}, now {_short(now)}\n"


def _what(each: AttributeChange) -> str:
    """`old → new`; of a secret its fingerprint."""
    said = text.difference(say.sides(each))
    print_ = secret_fingerprint(each) if is_secret(each) else ""
    return (
        f"{said}, fingerprint {visible(print_)}"
        if print_ not in ("", UNKEYED)
        else said
    )


def _problem(plan: Plan, problem: Problem) -> Iterator[str]:
    first, *others = text.problem_lines(problem, plan.notes.people)
    yield first.replace("  - ", f"  - {visible(problem.kind)}: ", 1)
    yield from others


def _changed_problem(plan: Plan, old: Problem, new: Problem) -> Iterator[str]:
    yield from _problem(plan, new)
    if old.why != new.why:
        yield f"      was: {_short(visible(old.why))}\n"
    gone = [name for name in old.users if name not in new.users]
    yield from (
        f"      before also: {say.person(plan.notes.people, name)}\n" for name in gone
    )


def _short(said: str) -> str:
    return (
        said
        if len(said) <= text.LONGEST
        else f"{said[: text.LONGEST]}… ({len(said):,} characters)"
    )
