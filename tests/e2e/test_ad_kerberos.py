"""Binding to Active Directory by a Kerberos ticket: Samba's own KDC, and a key table as a scheduled job has one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.samba import PEOPLE, REALM, Samba, person

pytestmark = [pytest.mark.samba, pytest.mark.kerberos]

READ = """\
import sys
from pathlib import Path
from connector.directories.ldap.reader import LdapReader
from connector.errors import ConnectorError
from connector.model import View
from connector.settings.ldap import LdapDirectory

url, ca, start_tls = sys.argv[1:]
job = LdapDirectory(
    type="ldap", urls=[url], start_tls=bool(start_tls), ca_file=Path(ca), sasl="gssapi", base=["{people}"],
    filter="(objectClass=user)",
)
reader = LdapReader(job, None, View(("cn",)))
try:
    print([user.values["cn"] for user in reader.scan()])
except ConnectorError as fault:
    print(type(fault).__name__, fault)
reader.close()
""".replace("{people}", PEOPLE)


class Realm:
    """The domain, and what Kerberos has to know of it; its environment is that of a process of its own."""

    def __init__(self, server: Samba) -> None:
        self.server = server
        self._config = server.folder / "krb5.conf"
        self._config.write_text(
            f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\nrdns = false\n"
            f"dns_canonicalize_hostname = false\n[realms]\n{REALM} = {{\nkdc = {server.host}\n}}\n"
        )

    def keys(self, account: str) -> Path:
        """A key table of the account, as an administrator exports it."""
        found = self.server.folder / f"{account}.keytab"
        self.server.export_keys(account, found)
        return found

    def read(self, keys: Path | None, *, start_tls: bool = False) -> str:
        environment = {**os.environ, "KRB5_CONFIG": str(self._config), "KRB5CCNAME": "MEMORY:"}
        if keys is not None:
            environment["KRB5_CLIENT_KTNAME"] = str(keys)
        url = self.server.url if start_tls else self.server.ldaps_url
        arguments = [url, str(self.server.ca), "yes" if start_tls else ""]
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", READ, *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    folder = tmp_path_factory.mktemp("kerberos") / "dc"
    with Samba.start(folder, [person("anna")], services="ldap, kdc") as server:
        server.tool("spn", "add", f"ldap/{server.host}", "DC1$")
        yield Realm(server)


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_key_table_is_enough_to_read_over_tls(realm: Realm, start_tls: bool) -> None:
    assert realm.read(realm.keys("sync"), start_tls=start_tls) == "[('anna',)]\n"


def test_without_a_ticket_it_is_said_that_there_is_none(realm: Realm) -> None:
    said = realm.read(None)
    assert said.startswith("DeniedError")
    assert f"for the service ldap@{realm.server.host}" in said
    assert "No Kerberos credentials available" in said


def test_an_account_that_was_disabled_gets_no_ticket_and_hears_why(realm: Realm) -> None:
    realm.server.tool("user", "create", "gone", "Passw0rd-Gone1", "--userou=OU=services")
    keys = realm.keys("gone")
    realm.server.tool("user", "disable", "gone")
    said = realm.read(keys)
    assert said.startswith("RefusedBindError")
    assert "revoked" in said
