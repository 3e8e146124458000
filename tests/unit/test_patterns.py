"""Which values are ours: patterns in which `*` alone is special."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from connector.model.patterns import are_apart, describe_pattern, is_owned, join_patterns


def test_owns_is_a_glob_in_which_only_the_star_is_special() -> None:
    assert is_owned("sip:*")("SIP:1@x")
    assert not is_owned("sip:*")("tel:1")
    assert is_owned("*")(b"\xff")
    assert not is_owned("a.c*")("abc")
    assert is_owned("*@example.org")("a\nb@example.org")


def test_several_patterns_are_one_text_whatever_their_order_and_a_value_fits_any() -> None:
    both = join_patterns(["tel:*", "sip:*", "tel:*"])
    assert both == join_patterns(["sip:*", "tel:*"])
    assert [is_owned(both)(value) for value in ("SIP:1", b"tel:1", "mailto:x", "x sip:1")] == [True, True, False, False]
    assert (join_patterns(["sip:*", "*"]), join_patterns(["sip:*"])) == ("*", "sip:*")
    assert describe_pattern(both) == "sip:* or tel:*"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sip:*", "tel:*", True),
        ("sip:*", "SIP:1*", False),
        ("sip:*", "*@example.org", False),
        ("*@a.example", "*@b.example", True),
        ("sip:*@a", "sip:*@b", True),
        ("sip:*", "sip:1", False),
        ("sip:*", "tel:1", True),
        ("a", "A", False),
        ("a", "b", True),
        ("*", "sip:*", False),
        (None, "sip:*", False),
        (None, None, False),
        ("sip:*\ntel:*", "mailto:*", True),
        ("sip:*\ntel:*", "mailto:*\ntel:1", False),
    ],
)
def test_patterns_are_apart_where_no_value_fits_both(one: str | None, other: str | None, expected: bool) -> None:
    assert are_apart(one, other) is are_apart(other, one) is expected


words = st.text("ab*", max_size=4)


@given(words, words, st.text("ab", max_size=6))
def test_a_value_that_fits_both_patterns_is_found_by_none_that_are_apart(one: str, other: str, value: str) -> None:
    if is_owned(one)(value) and is_owned(other)(value):
        assert not are_apart(one, other)


@given(words, words)
def test_patterns_that_are_not_apart_have_a_value_in_common(one: str, other: str) -> None:
    if not are_apart(one, other):
        assert any(is_owned(one)(each) and is_owned(other)(each) for each in _common(one, other)), (one, other)


def _common(one: str, other: str) -> list[str]:
    """Values that may fit both: what is literal in them, ends outside."""
    heads = [max(pattern.partition("*")[0] for pattern in (one, other))]
    tails = [each.rpartition("*")[2] for each in (one, other) if "*" in each]
    middle = "".join(re.sub(r"\*", "", each) for each in (one, other))
    return [one, other, *(f"{head}{middle}{tail}" for head in heads for tail in tails)]
