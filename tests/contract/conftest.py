"""The houses that every test of the contract is run in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from houses import House, LdapHouse, LdifHouse, MemoryHouse

if TYPE_CHECKING:
    from slapd import Slapd

_numbers = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One slapd for all tests of the contract; each has an organizational unit of its own in it."""
    sys.path.append(str(Path(__file__).parents[1] / "e2e"))
    from slapd import Slapd  # noqa: PLC0415  # only where there is a slapd

    with Slapd.start(tmp_path_factory.mktemp("slapd")) as started:
        yield started


@pytest.fixture(params=["memory", "ldif", pytest.param("ldap", marks=pytest.mark.slapd)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "memory":
        yield MemoryHouse()
    elif request.param == "ldif":
        yield LdifHouse(tmp_path / "people.ldif")
    else:
        house = LdapHouse(request.getfixturevalue("server"), next(_numbers))
        yield house
        house.close()
