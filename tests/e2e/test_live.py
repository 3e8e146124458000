"""In short what `make live` does for ten minutes: changes at random moments, an outage, and a watch that misses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.live import live

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("slapd", marks=pytest.mark.slapd),
        pytest.param("ds389", marks=pytest.mark.ds389),
        pytest.param("samba", marks=[pytest.mark.samba, pytest.mark.nightly]),
        pytest.param("scim", marks=pytest.mark.nightly),
    ],
)
def test_each_change_is_written_soon_and_nothing_else_is(kind: str, tmp_path: Path) -> None:
    campaign = live(kind, tmp_path, seconds=15, changes=6, outages=1, seed=1)
    assert campaign.faults == []
