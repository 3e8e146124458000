"""What the program does with a dozen recorded worlds is what it did when they were recorded: see recorded.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recorded import WORLDS, tell


@pytest.mark.parametrize("source", [pytest.param(path, id=path.stem) for path in sorted(WORLDS.glob("*.world"))])
def test_a_world_goes_as_it_went_when_it_was_recorded(source: Path) -> None:
    recorded = source.with_suffix(".recorded").read_text(encoding="utf-8")
    assert tell(source).splitlines() == recorded.splitlines()
