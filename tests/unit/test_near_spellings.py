"""Other spellings of a value: which are tried, how each is said to differ, and in which order."""

from __future__ import annotations

import pytest

from connector.reconcile.matching.variants import LONGEST, spellings


def near(value: str, *domains: str) -> dict[str, str]:
    """Each other spelling, with how it was first said to differ."""
    found: dict[str, str] = {}
    for how, other in spellings(value, domains):
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
        ("annn", "ann", "a cut end"),
        ("ann", "annn", "one edit"),
        ("cerna", "cernak", "a cut end"),
        ("cernak", "cerna", "a cut end"),
        ("kovalevska", "kovale", "a cut end"),
        ("konstantinopol", "konstant", "a cut end"),
        ("akonstantinopol7", "akonstan", "a cut end"),
        ("anna.konstantinopolskaya", "anna.konstantinopols", "a cut end"),
        ("anna.maria.konstantinopolskaya-berg", "anna.maria.konstanti", "a cut end"),
        ("hal1n", "halin", "a letter for a digit"),
        ("hal1n", "halln", "a letter for a digit"),
        ("halln", "hal1n", "a letter for a digit"),
        ("HALIN", "HAL1N", "a letter for a digit"),
        ("b0b0", "bobo", "a letter for a digit"),
        ("b0b0", "bob0", "a letter for a digit"),
        ("smith5", "smiths", "a letter for a digit"),
        ("100l", "1001", "a letter for a digit"),
        ("anne", "anen", "one edit"),
        ("ann", "abn", "one edit"),
        ("ann", "bnn", "one edit"),
        ("ann", "bann", "one edit"),
        ("ann", "annz", "a cut end"),
        ("ANN", "ANNZ", "a cut end"),
        ("ANN", "ABN", "one edit"),
        ("1001", "1009", "one edit"),
        ("1001", "10019", "a cut end"),
        ("a.bell", "a-bell", "one edit"),
        ("a_bell", "a bell", "one edit"),
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
        ("ann", "1nn"),
        ("ann", "Bnn"),
        ("ann", "ann1"),
        ("1001", "100a"),
        ("a.bell", "axbell"),
        ("a.bell", "a9bell"),
        ("ab", "ac"),
        ("ab", "a"),
        ("a" * (LONGEST + 1), "a" * LONGEST),
        ("kovalevska", "koval"),
        ("cernak", "cer"),
        ("alexandra.smith", "alexandr"),
        ("akonstantinopolsk", "akonstan"),
        ("anna.konstantinopol", "anna.kon"),
        ("konstant", "konstantinopol"),
        ("cerna", "cernakk"),
        ("1001", "l001"),
        ("42", "000000042"),
        ("ann", "enn ann"),
    ],
)
def test_these_are_not(value: str, other: str) -> None:
    """Another kind of character, of too short a value everything, and of too long a one nothing is near."""
    assert other not in near(value)
    assert value not in {text for how, text in spellings(value, ()) if not how}


@pytest.mark.parametrize("length", [3, LONGEST])
def test_a_value_of_this_length_is_edited(length: int) -> None:
    assert near("a" * length)["b" + "a" * (length - 1)] == "one edit"


def test_a_domain_is_taken_away_or_changed_for_one_that_others_have_alone_or_with_something_else() -> None:
    found = near("Ann@old.example", "new.example", "OLD.example")
    assert found["Ann@new.example"] == found["Ann"] == "domain"
    assert found["ann@new.example"] == found["ann"] == "case and domain"
    assert found["ann@old.example"] == "case"
    assert found["Anne@old.example"] == "a cut end"
    assert found["Ane@old.example"] == "one edit"
    assert not any(other.endswith("@OLD.example") for other in found)
    assert not any(other.startswith("Anne@new") for other in found)
    assert near("ann", "new.example")["ann@new.example"] == "domain"


def test_the_likeliest_come_first_and_edits_last() -> None:
    kinds = [how for how, _ in spellings("sann1@old.example", ["new.example"])]
    order = ["domain", "case", "leading zeros", "a letter for a digit", "a cut end", "one edit"]
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
    assert set(kinds[kinds.index("one edit") :]) == {"one edit", "spaces", "a cut end", "a letter for a digit"}


def test_only_the_first_words_and_numbers_are_changed_one_by_one() -> None:
    found = near("aa bb cc dd 1 2 3")
    assert found["aa bb Cc dd 1 2 3"] == "case"
    assert "aa bb cc Dd 1 2 3" not in found
    assert found["aa bb cc dd 1 02 3"] == "leading zeros"
    assert found.get("aa bb cc dd 1 2 003") is None


def test_of_many_agents_each_is_tried_for_what_is_likeliest() -> None:
    """With 200 unmatched agents and two rules there are 25 spellings for each rule, with 100 agents 50."""
    for value, other, most in (
        ("hal1n", "halin", 25), ("cernakova", "cernak", 25), ("smithh", "smith", 25), ("cerna", "cernak", 50),
    ):  # fmt: skip
        tried = list(dict.fromkeys(text for _, text in spellings(value, ()) if text.lower() == text != value))
        assert other in tried[:most], value
