"""The check for steps back notices a slower program, on a real server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.check import TIMES, WORKS, reading

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slapd, pytest.mark.slow]


def test_a_reader_that_takes_three_times_as_long_is_a_step_back(tmp_path: Path) -> None:
    """It reads everybody three times as often. What is recorded is what the same machine took just before."""
    before, after = (reading(tmp_path / name, 1, times) for name, times in (("before", TIMES), ("after", 3 * TIMES)))
    read, find = (replace(work, recorded=work.ratio(before)) for work in WORKS if work.start == "our start")
    assert read.verdict(after).startswith("Slower: read takes")
    assert find.verdict(after).startswith("Slower: find takes")
