"""`serve` while all around it goes wrong in turn; `make soak` goes on for as long as one likes, and looks at memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.soak import START, Soak, flat
from tests.support.soak_world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slapd,
    pytest.mark.monitoring,
    pytest.mark.postgresql,
    pytest.mark.timeout(900),
]


def test_whatever_goes_wrong_no_run_is_missed_and_none_is_made_twice(tmp_path: Path) -> None:
    with World(tmp_path, START) as world:
        soak = Soak(world, "a few")
        soak.nothing()
        soak.restart()
        taken = soak.round()
        flat([taken[:4], taken[4:8], taken[8:]])
        assert world.check() > 40
