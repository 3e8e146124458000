"""What every test may need: a real slapd where there is one, and the program itself as a subprocess."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import browser, ds389, kamailio, monitoring, pgbouncer, postgres, samba, ssh_keys, temporal
from tests.support.directory_fixtures import DirectoryFixture, DomainFixture, LdapFixture, LdifFixture, MemoryFixture
from tests.support.ds389 import Ds389
from tests.support.pgbouncer import Pooler, pooling
from tests.support.postgres import Postgres
from tests.support.samba import Samba
from tests.support.scim_servers import ScimServer
from tests.support.slapd import Slapd
from tests.support.temporal import Temporal
from tests.support.wild import servers as wild
from tests.support.worlds import close_states

# how long an example takes is the machine's business
settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
# what a property finds hardly ever depends on the Python: on each but the first a fifth of the examples will do
settings.register_profile("few", settings.get_profile("unhurried"), max_examples=20)
settings.load_profile("unhurried")

SBIN = "/usr/sbin"
_numbers = count()


NIGHTLY = frozenset((Path(__file__).parent / "nightly.txt").read_text("utf-8").splitlines())
"""Tests that take longest, each beside one like it that every run has: `make nightly`."""


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the nightly tests. Properties take longest: they begin first, so that at the end nobody waits for one."""
    for item in items:
        if item.nodeid in NIGHTLY:
            item.add_marker(pytest.mark.nightly)
    items.sort(key=lambda item: "property" not in item.path.parts)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A server that cannot be had is a named skip for a newcomer and an error in CI."""
    gc.unfreeze()  # else Python 3.14 finds no holder of what was made after the program froze, and Hypothesis warns
    for marker, missing, packages in (
        ("slapd", _without_slapd, "slapd ldap-utils"),
        ("ds389", ds389.missing, "389-ds-base ldap-utils"),
        ("postgresql", postgres.missing, "postgresql"),
        ("pgbouncer", pgbouncer.missing, "pgbouncer"),
        ("temporal", temporal.missing, "or scripts/setup dev"),
        ("monitoring", monitoring.missing, "or scripts/ensure-servers monitoring"),
        ("browser", browser.missing, "or scripts/ensure-servers chromium"),
        ("openssh", ssh_keys.missing, "openssh-client"),
        ("kamailio", kamailio.missing, "kamailio kamailio-ldap-modules sipsak"),
        ("kerberos", _without_kerberos, "libkrb5-dev, and scripts/ensure-kerberos"),
        ("wild", wild.missing, "ldap-utils, and scripts/ensure-servers wild"),
        ("samba", samba.missing, "samba-ad-dc samba-ad-provision ldap-utils, as root"),
    ):
        lacking = missing() if item.get_closest_marker(marker) else []
        if lacking:
            why = f"needs {', '.join(lacking)}: apt-get install {packages}"
            if os.environ.get("CI") == "true":
                pytest.fail(why, pytrace=False)
            pytest.skip(why)


def _without_slapd() -> list[str]:
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    return [name for name in ("slapd", "slapadd", "ldapsearch", "ldapmodify") if shutil.which(name, path=path) is None]


def _without_kerberos() -> list[str]:
    return [] if find_spec("gssapi") else ["the extra gssapi"]


@pytest.fixture(autouse=True)
def _states() -> Iterator[None]:
    """States in memory are closed at the end of the test."""
    yield
    close_states()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    """One PostgreSQL for all tests that do not harm it; each has a database of its own in it."""
    with Postgres.start() as started:
        yield started


@pytest.fixture(scope="session")
def pooler(postgresql: Postgres) -> Iterator[Pooler]:
    """A PgBouncer before it that pools transactions."""
    with pooling(postgresql, "transaction") as started:
        yield started


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Temporal]:
    """One Temporal server for all tests that do not harm it; each has a namespace of its own in it."""
    with Temporal.start(tmp_path_factory.mktemp("temporal")) as started:
        yield started


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One slapd for all tests of the contract; each has an organizational unit of its own in it."""
    with Slapd.start(tmp_path_factory.mktemp("slapd")) as started:
        yield started


@pytest.fixture(scope="session")
def ds389_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ds389]:
    """One 389-DS for all tests of the contract; each has an organizational unit of its own in it."""
    with Ds389.start(tmp_path_factory.mktemp("ds389") / "server") as started:
        yield started


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    """One Active Directory domain for all tests that do not harm it."""
    with Samba.start(tmp_path_factory.mktemp("domain") / "dc") as started:
        yield started


_SERVERS = {"ldap": "server", "ds389": "ds389_server", "domain": "domain"}
_ON_SERVERS = (
    pytest.param("ldap", marks=pytest.mark.slapd),
    pytest.param("ds389", marks=pytest.mark.ds389),
    pytest.param("domain", marks=pytest.mark.samba),
)


def _ldap_fixture(request: pytest.FixtureRequest) -> LdapFixture:
    kind = DomainFixture if request.param == "domain" else LdapFixture
    return kind(request.getfixturevalue(_SERVERS[request.param]), next(_numbers))


@pytest.fixture(params=["memory", "ldif", *_ON_SERVERS])
def fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DirectoryFixture]:
    """The directories that every test of the contract is run on."""
    if request.param == "memory":
        yield MemoryFixture()
    elif request.param == "ldif":
        yield LdifFixture(tmp_path / "people.ldif")
    else:
        with closing(_ldap_fixture(request)) as ldap:
            yield ldap


@pytest.fixture(params=["ldif", *_ON_SERVERS, pytest.param("scim", marks=pytest.mark.slow)])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DirectoryFixture | ScimServer]:
    """The directories outside of memory that laws are tried on: a file and real servers."""
    if request.param == "scim":
        with ScimServer.start(tmp_path) as scim:
            yield scim
    elif request.param == "ldif":
        yield LdifFixture(tmp_path / "people.ldif")
    else:
        with closing(_ldap_fixture(request)) as ldap:
            yield ldap
