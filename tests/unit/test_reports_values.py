"""What every report has in common: no hostile character, no secret, no format that breaks on what it does not know."""

from __future__ import annotations

import unicodedata
from itertools import islice

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.errors import UsageError
from connector.model import AgentRef, AttributeChange, Change, Outcome, Plan, Problem, Result, Secret
from connector.model.digests import digest_of_change, digest_of_plan
from connector.model.plan import group_problems
from connector.reports import SUFFIXES, Renderer, find_renderer, text
from connector.reports.visible import make_visible
from connector.reports.wording import show_value
from tests.support.report_samples import CANARY, hostile, outcome_lists, outcomes, plans, sample, user

RENDERERS: dict[str, Renderer] = {suffix: find_renderer(suffix) for suffix in SUFFIXES} | {"text": text.render}
every_format = pytest.mark.parametrize("suffix", RENDERERS)


@given(st.text(max_size=40))
def test_nothing_visible_is_a_control_or_an_override_or_a_blank(value: str) -> None:
    seen = make_visible(value)
    assert all(unicodedata.category(letter)[0] not in "CZ" or letter == " " for letter in seen)
    assert make_visible(seen) == seen
    seen.encode()


@pytest.mark.parametrize("point", [*range(0x20), *range(0x7F, 0xA1), *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
def test_each_control_and_each_bidirectional_override_is_named(point: int) -> None:
    assert make_visible(f"a{chr(point)}b") == f"a<U+{point:04X}>b"


def test_names_in_any_script_stay_as_they_are() -> None:
    assert make_visible("Ωmega-例-עברית-é") == "Ωmega-例-עברית-é"


def test_a_value_whose_borders_cannot_be_seen_is_quoted() -> None:
    assert [show_value(value) for value in ("", " a", "a ", "(none)", "a b", b"a")] == [
        '""', '" a"', '"a "', '"(none)"', "a b", "a",
    ]  # fmt: skip
    assert "Base64: //4=" in show_value(b"\xff\xfe")


@every_format
def test_no_report_holds_a_secret(suffix: str) -> None:
    for plan in (sample(), hostile()):
        for results in (None, outcomes()):
            assert CANARY not in "".join(RENDERERS[suffix](plan, results))


@every_format
def test_a_secret_in_an_attribute_that_is_not_marked_secret_is_not_shown_either(suffix: str) -> None:
    change = Change(user(1), None, None, (AttributeChange("mail", (Secret(CANARY),), (Secret(CANARY + "2"),)),))
    plan = replace(sample(), changes=(change,))
    assert CANARY not in "".join(RENDERERS[suffix](plan, None))


@every_format
def test_no_report_holds_a_hostile_character(suffix: str) -> None:
    result = "".join(RENDERERS[suffix](hostile(), [Outcome(user(1, "\x1b[2J"), Result.FAILED, "\x1b]0;x\x07\u202e")]))
    for letter in set(result) - {"\n", "\r"}:
        assert make_visible(letter) == letter, f"U+{ord(letter):04X}"
    assert "\r" not in result.replace("\r\n", "") or suffix != ".csv"


@every_format
@given(plan=plans, results=outcome_lists)
def test_every_report_can_be_made_of_any_plan(suffix: str, plan: Plan, results: list[Outcome] | None) -> None:
    result = "".join(RENDERERS[suffix](plan, results))
    assert result.endswith("\n")
    result.encode()
    assert CANARY not in result


@every_format
def test_a_report_is_made_piece_by_piece(suffix: str) -> None:
    change = sample().changes[0]
    many = replace(sample(), changes=tuple(replace(change, user=user(number)) for number in range(2000)))
    pieces = RENDERERS[suffix](many, None)
    assert len(list(islice(pieces, 5))) == 5
    assert max(map(len, pieces)) < 10_000


@pytest.mark.parametrize("suffix", [suffix for suffix in RENDERERS if suffix != ".ldif"])
def test_a_kind_of_problem_that_is_not_known_is_shown_with_its_reason(suffix: str) -> None:
    result = "".join(RENDERERS[suffix](replace(sample(), problems=(Problem("unheard-of", "because"),)), None))
    assert "unheard-of" in result
    assert "because" in result


def test_kinds_come_in_the_order_of_the_table_and_the_unknown_last() -> None:
    problems = [Problem(kind, "") for kind in ("zzz", "unmatched", "invalid", "contested", "invalid")]
    groups = group_problems(problems)
    assert list(groups) == ["invalid", "contested", "unmatched", "zzz"]
    assert len(groups["invalid"]) == 2


def test_a_suffix_is_known_in_either_case_and_another_one_is_a_usage_error() -> None:
    assert find_renderer(".CSV") is find_renderer(".csv")
    with pytest.raises(UsageError, match=r"'\.txt'.*\.json, \.csv, \.md, \.html, \.ldif"):
        find_renderer(".txt")


# ---------------------------------------------------------------- digests


def test_a_digest_does_not_depend_on_the_order_in_which_a_directory_answers() -> None:
    plan = sample()
    turned = tuple(
        replace(
            change,
            attributes=tuple(replace(a, old=a.old[::-1], new=a.new[::-1]) for a in reversed(change.attributes)),
        )
        for change in reversed(plan.changes)
    )
    assert {digest_of_change(change) for change in turned} == {change.digest for change in plan.changes}
    other = replace(plan, id="other", created="later", digest="", changes=turned, problems=plan.problems[::-1])
    assert digest_of_plan(other) == plan.digest


@pytest.mark.parametrize(
    "attribute",
    [
        AttributeChange("a", ("1",), ("3",)),
        AttributeChange("a", ("2",), ("2",)),
        AttributeChange("b", ("1",), ("2",)),
        AttributeChange("a", ("1",), (b"2",)),
        AttributeChange("a", (), ("1", "2")),
        AttributeChange("a", ("1", "2"), ()),
        AttributeChange("a", ("12",), ()),
        AttributeChange("a", (), (), secret=True, fingerprint="1"),
        AttributeChange("a", (), (), secret=True, fingerprint="2"),
        AttributeChange("a", (), (Secret("x"),), secret=True),
        AttributeChange("a", (), (), secret=True),
    ],
)
def test_a_digest_tells_apart_what_would_be_written(attribute: AttributeChange) -> None:
    one = Change(user(1), AgentRef(1, "a"), 1, (AttributeChange("a", ("1",), ("2",)),))
    assert digest_of_change(replace(one, attributes=(attribute,))) != digest_of_change(one)


def test_a_digest_tells_apart_whom_and_why() -> None:
    one = Change(user(1), AgentRef(1, "a"), 1, (AttributeChange("a", ("1",), ("2",)),))
    others = [
        replace(one, user=user(2)),
        replace(one, user=user(1, "uid=other")),
        replace(one, agent=AgentRef(2, "a")),
        replace(one, agent=AgentRef(1, None)),
        replace(one, agent=None),
        replace(one, rule=None),
        replace(one, rule=0),
    ]
    assert len({digest_of_change(change) for change in [one, *others]}) == len(others) + 1


def test_a_plan_s_digest_tells_apart_everything_a_reviewer_sees() -> None:
    plan = sample()
    others = [
        replace(plan, job="other.yaml"),
        replace(plan, summary=replace(plan.summary, matched=3)),
        replace(plan, changes=plan.changes[1:]),
        replace(plan, problems=plan.problems[1:]),
        replace(plan, refusals=()),
        replace(plan, cautions=()),
    ]
    assert len({digest_of_plan(each) for each in [plan, *others]}) == len(others) + 1


def test_a_password_leaves_no_trace_in_a_digest() -> None:
    def digest(password: str) -> str:
        secret = AttributeChange("a", (Secret(password),), (Secret(password),), secret=True, fingerprint="f")
        return digest_of_change(Change(user(1), None, None, (secret,)))

    assert digest("one") == digest("two")
