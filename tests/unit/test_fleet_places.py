"""A step that has ended, and limits that do not answer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connector.fleet import activities
from connector.fleet.activities import Activities
from connector.fleet.limits import PlaceRequest, SharedLimits
from connector.fleet.values import StepRequest, StepResult


def test_a_step_that_has_ended_does_not_wait_long_for_limits_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a step of which it hears nothing for 30 seconds Temporal begins another attempt."""
    place = PlaceRequest("a/1", "a", "apply")

    async def accept_files(_: str) -> Any:
        return SimpleNamespace(job=None)

    async def run_with_account(*_: object) -> tuple[StepResult, None]:
        return StepResult(0), None

    limits = SimpleNamespace(begin_step=lambda _: True, end_step=lambda *_, **__: time.sleep(0.5))
    does = Activities(Path(), [], cast("SharedLimits", limits), lambda *_: None)
    monkeypatch.setattr(does, "_accept_files", accept_files)
    monkeypatch.setattr(does, "_run_with_account", run_with_account)
    monkeypatch.setattr(activities, "_place_of", lambda *_: place)
    monkeypatch.setattr(activities, "_PATIENCE", 0.05)

    async def run() -> float:
        began = time.monotonic()
        assert await does.run_step(StepRequest("a", "apply")) == StepResult(0)
        return time.monotonic() - began

    assert asyncio.run(run()) < 0.4
