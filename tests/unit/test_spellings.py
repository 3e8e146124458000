"""Other spellings of a value: what is asked for when nobody holds the value itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.reconcile.spellings import CASE, DOMAIN, EDIT, SPACES, ZEROS, spellings


def first(value: str, *domains: str) -> dict[str, str]:
    """How each other spelling differs: the likeliest way of those in which it comes."""
    found: dict[str, str] = {}
    for how, text in spellings(value, domains):
        found.setdefault(text, how)
    return found


@pytest.mark.parametrize(
    ("value", "other", "how"),
    [
        ("ann", "Ann", CASE),
        ("ann", "ANN", CASE),
        ("ann.smith", "Ann.Smith", CASE),
        ("sip:ann", "sip:Ann", CASE),
        ("ann smith", "annsmith", SPACES),
        ("annsmith", "ann smith", SPACES),
        ("7", "007", ZEROS),
        ("007", "7", ZEROS),
        ("agent7", "agent007", ZEROS),
        ("ann@one.example", "ann@two.example", DOMAIN),
        ("ann@one.example", "ann", DOMAIN),
        ("ann", "ann@two.example", DOMAIN),
        ("Ann@one.example", "ann@two.example", f"{CASE} and {DOMAIN}"),
        ("7@one.example", "007@two.example", f"{ZEROS} and {DOMAIN}"),
        ("jsmith", "jsmth", EDIT),
        ("jsmith", "jsmitth", EDIT),
        ("jsmith", "jsmyth", EDIT),
        ("jsmith", "jsimth", EDIT),
        ("jsmith", "jsmithe", EDIT),
        ("ann.smith", "ann_smith", EDIT),
        ("1001", "1002", EDIT),
        ("ann@one.example", "anne@one.example", EDIT),
    ],
)
def test_a_spelling_and_how_it_differs(value: str, other: str, how: str) -> None:
    assert first(value, "two.example", "ONE.example")[other] == how


@given(st.text("abcz", min_size=3, max_size=8))
def test_every_word_of_these_letters_that_is_one_edit_away_is_among_them(value: str) -> None:
    found = first(value)
    for place in range(len(value) + 1):
        for letter in "abcz":
            assert value[:place] + letter + value[place:] in found
            if place < len(value):
                assert value[:place] + letter + value[place + 1 :] in found | {value: ""}
                assert value[:place] + value[place + 1 :] in found


@given(st.text(max_size=80), st.lists(st.text(max_size=9), max_size=3))
def test_their_number_is_bounded_whatever_the_value(value: str, domains: list[str]) -> None:
    assert sum(1 for _ in spellings(value, domains)) <= 120 + 60 * max(3, len(value))


def test_of_a_short_value_everything_is_an_edit_away_so_it_is_not_edited() -> None:
    assert EDIT not in first("ab").values()
