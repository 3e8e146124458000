"""The list of nightly tests names tests that are there, and of each kind of them another one runs always."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_line_of_the_list_is_a_test() -> None:
    lines = (TESTS / "nightly.txt").read_text("utf-8").splitlines()
    assert len(lines) > 20
    for line in lines:
        path, _, name = line.partition("::")
        assert f"def {name.partition('[')[0]}(" in (TESTS.parent / path).read_text("utf-8"), line
