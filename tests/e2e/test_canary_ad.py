"""Law 6 in Active Directory: neither the program nor a domain controller's own words make a secret public."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.canary_fixture import (
    APP_KEY,
    APP_SECRET,
    BIND,
    NEW,
    OLD,
    PEOPLE_OF,
    REPORTS,
    Fixture,
    every_command,
    tenant,
)
from tests.support.crash_samba import WITHOUT_TLS
from tests.support.jobs import configure
from tests.support.ldap_proxy import LdapProxy
from tests.support.samba import EXTENDED, PEOPLE, SYNC, SYNC_DN, Samba, person
from tests.support.slapd import server_context

pytestmark = pytest.mark.samba


class Domain(Fixture):
    """The same fixture in a domain whose schema has places for passwords."""

    sync, people, filter, mapping = SYNC, PEOPLE, "(objectClass=user)", "extended.yaml"

    def map(self, text: str) -> None:
        (self.folder / self.mapping).write_text(text)

    def behind(self, proxy: LdapProxy) -> None:
        configure(self.folder / "job.yaml", directory={"urls": [proxy.url], "allow_plaintext": True})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    """Its account's password is a canary. For the proxies it is spoken to in clear."""
    people = [person(f"user{number}", "userAccountControl: 544") for number in range(PEOPLE_OF)]
    with Samba.start(tmp_path_factory.mktemp("canary") / "dc", people, options=WITHOUT_TLS) as started:
        password = b64encode(f'"{BIND}"'.encode("utf-16-le")).decode()
        started.modify(f"dn: {SYNC_DN}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {password}\n")
        yield started


@pytest.fixture
def fixture(tmp_path: Path, server: Samba) -> Iterator[Domain]:
    with Simulator(tenant(OLD), APP_KEY, APP_SECRET, ssl_context=server_context()) as cec:
        fixture = Domain(tmp_path, server, cec)
        fixture.map(EXTENDED)
        yield fixture


@pytest.mark.slow
def test_no_command_shows_or_leaves_a_secret(fixture: Domain) -> None:
    every_command(fixture)


def test_a_bind_that_fails_shows_no_password(fixture: Domain) -> None:
    assert "data 52e" in fixture.run("plan", "job.yaml", code=1, password=NEW[0])


def test_passwords_that_no_schema_would_take_are_not_shown(fixture: Domain) -> None:
    names = ("testText", "testPrintable", "testDigits", "testInteger", "testBoolean", "testTime", "testName", "testOid")
    lines = [f'  {name}: {{value: "{{sipPwd}}", secret: true}}\n' for name in names]
    fixture.map('match: [{agent: "{accountCode}", directory: sAMAccountName}]\nattributes:\n' + "".join(lines))
    assert "testInteger" in fixture.run("plan", "job.yaml", *REPORTS)
    fixture.run("apply", "job.yaml", *REPORTS, code=None)


def test_a_password_that_somebody_else_has_set_first_is_not_shown(fixture: Domain, server: Samba) -> None:
    """The domain controller has something to say about the value that is there already."""
    fixture.run("apply", "job.yaml", code=None)
    assert fixture.stored("user0", OLD[0])
    fixture.cec.document = tenant(NEW)
    coded = b64encode(NEW[0].encode()).decode()

    def second(name: str, message: bytes) -> bytes:
        if NEW[0].encode() in message:
            server.modify(f"dn: {name}\nchangetype: modify\nadd: SIPIdentityPassword\nSIPIdentityPassword:: {coded}\n")
        return message

    with LdapProxy(389, second, host=server.host) as proxy:
        fixture.behind(proxy)
        assert "conflict: 1" in fixture.run("apply", "job.yaml", *REPORTS, code=4)


def test_a_connection_that_is_cut_at_a_password_shows_none(fixture: Domain, server: Samba) -> None:
    held = server.search("(SIPIdentityPassword=*)", "1.1", base=PEOPLE).decode()
    for line in held.splitlines():
        if line.startswith("dn: "):
            server.modify(f"{line}\nchangetype: modify\ndelete: SIPIdentityPassword\n")

    def cut(name: str, message: bytes) -> bytes:
        if OLD[0].encode() in message:
            raise ConnectionResetError
        return message

    with LdapProxy(389, cut, host=server.host) as proxy:
        fixture.behind(proxy)
        assert "it may have been written" in fixture.run("apply", "job.yaml", *REPORTS, code=4)
