"""Other spellings of a value: which are tried, how each is said to differ, and in which order."""

from __future__ import annotations

import pytest

from connector.matching.near_misses import LONGEST, list_spellings


def near(value: str, *domains: str) -> dict[str, str]:
    """Each other spelling, with how it was first said to differ."""
    found: dict[str, str] = {}
    for how, other in list_spellings(value, domains):
        found.setdefault(other, how)
    return found


@pytest.mark.parametrize(
    ("value", "other", "how"),
    [
        ("ann", "ANN", "case"),
        ("ANN", "ann", "case"),
        ("ann bell", "Ann Bell", "case"),
        ("ann-marie bell", "ann-Marie bell", "case"),
        ("ann-marie bell", "ann-marie Bell", "case"),
        ("jo mcBain", "jo Mcbain", "case"),
        ("ann bell", "annbell", "spaces"),
        (" ann ", "ann", "spaces"),
        ("0042", "42", "leading zeros"),
        ("42", "042", "leading zeros"),
        ("42", "00000042", "leading zeros"),
        ("agent7", "agent007", "leading zeros"),
        ("0", "000", "leading zeros"),
        ("a7-08", "a7-8", "leading zeros"),
        ("annbell", "ann bell", "spaces"),
        ("ann", "a nn", "spaces"),
        ("ann", "an n", "spaces"),
    ],
)
def test_these_are_tried(value: str, other: str, how: str) -> None:
    assert near(value).get(other) == how


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("ann", "anne"),
        ("ann", "abn"),
        ("hal1n", "halin"),
        ("kovalevska", "kovale"),
        ("42", "000000042"),
        ("a" * (LONGEST + 1), "a " + "a" * LONGEST),
    ],
)
def test_these_are_not(value: str, other: str) -> None:
    """Another letter may be another person."""
    assert other not in near(value)
    assert value not in {text for how, text in list_spellings(value, ()) if not how}


def test_a_domain_is_taken_away_or_changed_for_one_that_others_have_alone_or_with_something_else() -> None:
    found = near("Ann@old.example", "new.example", "OLD.example")
    assert found["Ann@new.example"] == found["Ann"] == "domain"
    assert found["ann@new.example"] == found["ann"] == "case and domain"
    assert found["ann@old.example"] == "case"
    assert found["A nn@old.example"] == "spaces"
    assert not any(other.endswith("@OLD.example") for other in found)
    assert near("ann", "new.example")["ann@new.example"] == "domain"


def test_the_likeliest_come_first_and_spaces_put_in_last() -> None:
    found = list(near("sann1@old.example", "new.example").items())
    kinds = [how for _, how in found]
    order = ["domain", "case", "leading zeros", "spaces"]
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
    assert {how for text, how in found if " " in text} == {"spaces"}


def test_only_the_first_words_and_numbers_are_changed_one_by_one() -> None:
    found = near("aa bb cc dd 1 2 3")
    assert found["aa bb Cc dd 1 2 3"] == "case"
    assert "aa bb cc Dd 1 2 3" not in found
    assert found["aa bb cc dd 1 02 3"] == "leading zeros"
    assert found.get("aa bb cc dd 1 2 003") is None
