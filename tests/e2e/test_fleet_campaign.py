"""A short form of the fleet's campaign (`make fleet-campaign`): workers, the engine and the database die under way."""

from __future__ import annotations

import pytest

from tests.support.fleet_campaign import main

pytestmark = [pytest.mark.temporal, pytest.mark.postgresql, pytest.mark.slow]


def test_every_job_ends_in_step_and_nothing_is_written_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--jobs", "10", "--kills", "6", "--away", "5", "--patience", "420"]) == 0, capsys.readouterr().out
