"""What every test may need: a real slapd where there is one, and the program itself as a subprocess."""

from __future__ import annotations

import os
import shutil

import pytest

SBIN = "/usr/sbin"


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
