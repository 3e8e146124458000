"""The houses that every test of the contract is run in."""

from __future__ import annotations

from pathlib import Path

import pytest
from houses import House, LdifHouse, MemoryHouse


@pytest.fixture(params=["memory", "ldif"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    if request.param == "memory":
        return MemoryHouse()
    return LdifHouse(tmp_path / "people.ldif")
