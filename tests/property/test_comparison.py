"""Two plans compared: nothing is counted twice or lost, and every count of them is the same."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.model import AgentRef, AttributeChange, Change, Plan, Problem, Summary
from connector.observers.notices import make_notice
from connector.observers.run_summary import RunSummary, SummaryObserver
from connector.planning.review import ComparedLists, PlanComparison, compare_plans, digest_plan, find_news
from connector.reports import comparison, csv as spreadsheet, document, html, ldif, markdown, text
from connector.reports.document import parse_plan
from tests.support import report_samples

SIDES = ("changes", "problems")

changes = st.builds(
    Change,
    st.integers(0, 5).map(report_samples.user),
    st.none() | st.builds(AgentRef, st.integers(1, 2), st.none()),
    st.none() | st.integers(0, 2),
    st.sampled_from("ab").map(lambda value: (AttributeChange("mail", (), (value,)),)),
)
problems = st.builds(
    Problem,
    st.sampled_from(["unmatched", "ambiguous", "invalid", "stale"]),
    st.sampled_from(["one", "another", "lone \ud800"]),
    st.none() | st.builds(AgentRef, st.integers(1, 2), st.none() | st.just("a\0b")),
    st.lists(st.sampled_from(["uid=a", "uid=b", "uid=\udcff"]), max_size=2).map(tuple),
    st.none() | st.integers(0, 1),
    st.none() | st.just("mail"),
    st.none() | st.integers(0, 1),
)


def of_one_user_each(found: Iterable[Change]) -> tuple[Change, ...]:
    return tuple({change.user.id: change for change in found}.values())


plans = st.builds(
    lambda changes, problems: report_samples.drawn(
        Plan("plan-1", "", "job", "2030-01-31T12:00:00Z", Summary(), of_one_user_each(changes), tuple(problems))
    ),
    st.lists(changes, max_size=6),
    st.lists(problems, max_size=6),
)


def _counted(some: Iterable[Any]) -> Counter[str]:
    return Counter(map(repr, some))


def _sides(one: Plan, other: Plan) -> Iterable[tuple[ComparedLists[Any], Sequence[Any], Sequence[Any]]]:
    found = compare_plans(one, other)
    for side in SIDES:
        yield getattr(found, side), getattr(one, side), getattr(other, side)


@given(old=plans, new=plans)
def test_new_same_and_changed_are_the_new_plan_and_gone_same_and_changed_the_old(old: Plan, new: Plan) -> None:
    for found, before, after in _sides(old, new):
        assert len(found.new) + len(found.changed) + found.same == len(after)
        assert len(found.gone) + len(found.changed) + found.same == len(before)
        assert _counted([*found.new, *(now for _, now in found.changed)]) <= _counted(after)
        assert _counted([*found.gone, *(was for was, _ in found.changed)]) <= _counted(before)


@given(plan=plans)
def test_a_plan_and_itself_differ_in_nothing(plan: Plan) -> None:
    again = parse_plan("".join(document.render(plan)).encode())
    shuffled = replace(plan, changes=plan.changes[::-1], problems=plan.problems[::-1])
    for other in (plan, again, shuffled):
        for found, _, after in _sides(plan, other):
            assert (found.new, found.gone, found.changed, found.same) == ([], [], [], len(after))


@given(old=plans, new=plans)
def test_a_comparison_the_other_way_round_is_its_mirror(old: Plan, new: Plan) -> None:
    for (there, *_), (back, *_) in zip(_sides(old, new), _sides(new, old), strict=True):
        assert (len(there.new), len(there.gone), len(there.changed), there.same) == (
            len(back.gone), len(back.new), len(back.changed), back.same,
        )  # fmt: skip


@given(old=plans, new=plans)
def test_every_number_is_the_same_wherever_it_is_said(old: Plan, new: Plan) -> None:
    found = compare_plans(old, new)
    marked = replace(new, notes=replace(new.notes, since=find_news(digest_plan(old), new)))
    for side in SIDES:
        _in_diff(old, new, found, side)
    sides = zip(SIDES, ("", "_problems"), strict=True)
    said = {f"{name}{of}": n for side, of in sides for name, n in _numbers(getattr(found, side)).items()}
    assert marked.notes.since is not None
    assert marked.notes.since.numbers == said
    told = json.loads("".join(document.render(marked)))["since"]
    assert {name: each if isinstance(each, int) else len(each) for name, each in told.items() if name in said} == said
    sentence = f"changes {_sentence(found.changes)}; problems {_sentence(found.problems)}."
    assert f"Since the plan before: {sentence}\n" in _notice(marked, said)
    for render in (text.render, spreadsheet.render, html.render, ldif.render, markdown.render):
        assert f"Since plan {old.id} of {old.created}: {sentence}" in "".join(render(marked)).replace("`", "")
    for mark in ("new", "changed"):
        _marks(marked, mark, said[mark], said[f"{mark}_problems"])


def _numbers(found: ComparedLists[Any]) -> dict[str, int]:
    return {"new": len(found.new), "gone": len(found.gone), "changed": len(found.changed), "same": found.same}


def _sentence(found: ComparedLists[Any]) -> str:
    return ", ".join(f"{number} {'the same' if name == 'same' else name}" for name, number in _numbers(found).items())


def _in_diff(old: Plan, new: Plan, found: PlanComparison, side: str) -> None:
    numbers = _numbers(getattr(found, side))
    assert f"\n{side.capitalize()}: {_sentence(getattr(found, side))}.\n" in "".join(
        comparison.render_text(old, new, found)
    )
    told = json.loads("".join(comparison.render_document(old, new, found)))[side]
    assert {name: each if name == "same" else len(each) for name, each in told.items()} == numbers


def _notice(plan: Plan, said: dict[str, int]) -> str:
    summaries: list[RunSummary] = []
    observer = SummaryObserver("job", "run-1", "plan", summaries.append, lambda _: 1)
    observer.take_plan(plan)
    observer.end_run(None, 0)
    told = make_notice(summaries[0], ["pending"], Path("/job.yaml"), None)
    assert told.body["since"] == said
    return told.text


def _marks(plan: Plan, mark: str, changes: int, problems: int) -> None:
    rows = list(csv.DictReader(StringIO("".join(spreadsheet.render(plan)))))
    told = Counter(row["kind"].partition(":")[0] for row in rows if row["since"] == mark)
    assert (told["change"], told["problem"]) == (changes, problems)
    lines = "".join(text.render(plan, whole=True)).rpartition("\nChanges (")[2].splitlines()
    assert len([line for line in lines if line.startswith("~") and line.endswith(f"  [{mark}]")]) == changes
    assert len([line for line in lines if line.startswith(f"  - [{mark}] ")]) == problems
    assert "".join(markdown.render(plan)).count(f" **{mark}** |") == changes + problems
    assert "".join(html.render(plan)).count(f" <strong>{mark}</strong>") == changes + problems
    assert (
        "".join(ldif.render(plan)).count(f"\n# {mark} since plan {plan.notes.since and plan.notes.since.plan}\n")
        == changes
    )
