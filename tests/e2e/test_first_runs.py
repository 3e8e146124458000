"""The page of a first run, followed word by word on each server that it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from connector.demo.simulator import Simulator
from tests.support import samba
from tests.support.ds389 import Ds389
from tests.support.ldap_server import LdapServer, authority
from tests.support.pages import Page
from tests.support.recommended import access, rules_of_openldap
from tests.support.samba import Samba
from tests.support.scim_servers import CEC, EACH_KIND, Kind, ScimServer, people
from tests.support.slapd import Slapd, person, server_context
from tests.support.whole_job import agent, tenant

PAGE = "docs/first-run.md"
COUNT = 8
ACCOUNTS = [f"agent{number:03}" for number in range(1, COUNT + 1)]


class Prepared(Protocol):
    """A page with everything done that comes before `init`, and the server that it is followed on."""

    def __call__(self, folder: Path, *, stock: bool = False) -> AbstractContextManager[tuple[Page, LdapServer]]:
        """`stock`: with the rights for stock attributes alone."""


@contextmanager
def source() -> Iterator[tuple[Simulator, dict[str, str]]]:
    """A tenant, and how a page's address of it is replaced."""
    agents = tenant([agent(number) for number in range(1, COUNT + 1)])
    with Simulator(agents, ssl_context=server_context()) as cec:
        yield cec, {"--source https://cec.example.org": f"--source {cec.url} --source-ca-file cec-ca.pem"}


def secrets(folder: Path, **others: str) -> None:
    """The files that a page tells to write."""
    for name, secret in {"cec_app_key": "demo-key", "cec_app_secret": "demo-secret", **others}.items():
        path = folder / name.replace("_", "-")
        path.write_text(secret + "\n")
        path.chmod(0o600)
    for name in ("cec-ca.pem", "ldap-ca.pem", "scim-ca.pem"):
        authority()[0].cert_pem.write_to_path(folder / name)


def through(page: Page, directory: str, *, identity_stays: bool, pilot: str = "") -> None:
    """From `init` to a directory in step, with an undo of the first user on the way.

    `pilot`: a line of the first user's change, where it is not the change that the page shows.
    """
    page.follow(f"init {directory}")
    page.follow("check")
    if pilot:
        assert pilot in page.run("pilot")
    else:
        page.follow("pilot")
    page.follow("pilot-apply")
    assert ("held back with" in page.follow("undo")) is identity_stays
    for name in ("plan", "apply"):
        page.follow(name)
    for name in ("pilot.html", "plan.html", "applied.html"):
        assert (page.folder / name).stat().st_size > 100


@contextmanager
def openldap(folder: Path, *, stock: bool = False) -> Iterator[tuple[Page, LdapServer]]:
    (folder / "job").mkdir()
    with (
        Slapd.start(folder / "slapd", map(person, ACCOUNTS), acl=rules_of_openldap(stock=stock), stock=stock) as server,
        source() as (_, places),
    ):
        places |= {"ldaps://ldap.example.org": server.ldaps_url, "userPassword: {SSHA}…": "userPassword: word"}
        page = Page(PAGE, folder / "job", {}, places)
        server.add(page.block("account.ldif openldap"))
        secrets(page.folder, ldap_password="word")
        yield page, server


@contextmanager
def ds389(folder: Path, *, stock: bool = False) -> Iterator[tuple[Page, LdapServer]]:
    (folder / "job").mkdir()
    with Ds389.start(folder / "server", map(person, ACCOUNTS), rights=()) as server, source() as (_, places):
        places |= {"ldaps://ldap.example.org": server.ldaps_url, "userPassword: …": "userPassword: long-word"}
        page = Page(PAGE, folder / "job", {}, places)
        server.add(page.block("account.ldif 389ds"))
        server.modify(access("389ds", stock=stock))
        secrets(page.folder, ldap_password="long-word")
        yield page, server


ON_LDAP = (
    pytest.param("openldap", openldap, marks=pytest.mark.slapd, id="openldap"),
    pytest.param("389ds", ds389, marks=pytest.mark.ds389, id="389ds"),
)


@pytest.mark.parametrize(("directory", "prepared"), ON_LDAP)
def test_ldap(tmp_path: Path, directory: str, prepared: Prepared) -> None:
    with prepared(tmp_path) as (page, server):
        through(page, directory, identity_stays=True)
        assert b"cecWorkNo: 1008" in server.search("(uid=agent008)", "*")


@pytest.mark.parametrize(("directory", "prepared"), ON_LDAP)
def test_the_rights_for_stock_attributes_are_enough(tmp_path: Path, directory: str, prepared: Prepared) -> None:
    with prepared(tmp_path, stock=True) as (page, server):
        page.run(f"init {directory}")
        job = page.folder / "job.yaml"
        job.write_text(job.read_text().replace("mapping: mapping.yaml", "mapping: inetorgperson"))
        page.run("plan")
        page.run("apply")
        assert b"labeledURI: sip:7008@192.0.2.10 CEC softphone" in server.search("(uid=agent008)", "*")


@pytest.mark.samba
def test_active_directory(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    entries = [samba.person(name, "userAccountControl: 544") for name in ACCOUNTS]
    with Samba.start(tmp_path / "server", entries) as server, source() as (_, places):
        places |= {"ldaps://dc1.example.org": server.ldaps_url, "DC=example,DC=org": samba.SUFFIX}
        places |= {"cec-connector@example.org": f"cec-connector@{samba.REALM.lower()}"}
        page = Page(PAGE, tmp_path / "job", {}, places)
        written = re.findall(r":RPWP;([\w-]+);user", page.text)
        assert len(written) == 4
        server.tool("user", "create", "cec-connector", "Long-Word-1", "--userou=OU=services")
        server.grant("cec-connector", "LCRPLORC")
        for attribute in written:
            server.grant("cec-connector", "RPWP", attribute)
        secrets(page.folder, ldap_password="Long-Word-1")
        through(page, "active-directory", identity_stays=False, pilot="ipPhone: (none) → 7001")
        assert b"ipPhone: 7008" in server.search("(cn=agent008)", "*")


@pytest.mark.parametrize("kind", EACH_KIND)
def test_scim(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "job").mkdir()
    with ScimServer.start(tmp_path / "server", people(COUNT), kind=kind, tls=True) as server, source() as (_, places):
        places |= {"https://scim.example.org/scim/v2": server.url}
        page = Page(PAGE, tmp_path / "job", {}, places)
        secrets(page.folder, scim_token=server.token)
        through(page, "scim", identity_stays=True, pilot="User:sipPassword: (secret) set")
        assert server.stored("agent008")[CEC]["workNo"] == 1008


def test_ldif(tmp_path: Path) -> None:
    with source() as (_, places):
        page = Page(PAGE, tmp_path, {}, places)
        (tmp_path / "people.ldif").write_text("\n".join(map(person, ACCOUNTS)))
        secrets(page.folder)
        through(page, "ldif", identity_stays=False, pilot="cecAccountCode: (none) → agent001")
        assert "cecWorkNo: 1008" in (tmp_path / "people.ldif").read_text()
