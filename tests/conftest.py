"""What every test may need: a real slapd where there is one, and the program itself as a subprocess."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from houses import House, LdapHouse, LdifHouse, MemoryHouse
from slapd import Slapd

SBIN = "/usr/sbin"
_numbers = count()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A server that cannot be had is a named skip for a newcomer and an error in CI."""
    if item.get_closest_marker("slapd") is None:
        return
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    missing = [
        name for name in ("slapd", "slapadd", "ldapsearch", "ldapmodify") if shutil.which(name, path=path) is None
    ]
    if not missing:
        return
    why = f"needs {', '.join(missing)}: apt-get install slapd ldap-utils"
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One slapd for all tests of the contract; each has an organizational unit of its own in it."""
    with Slapd.start(tmp_path_factory.mktemp("slapd")) as started:
        yield started


@pytest.fixture(params=["memory", "ldif", pytest.param("ldap", marks=pytest.mark.slapd)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """The directories that every test of the contract is run on."""
    if request.param == "memory":
        yield MemoryHouse()
    elif request.param == "ldif":
        yield LdifHouse(tmp_path / "people.ldif")
    else:
        ldap = LdapHouse(request.getfixturevalue("server"), next(_numbers))
        yield ldap
        ldap.close()
