"""Who is within an LDAP job's base and scope: only they are read, written and cleared."""

from __future__ import annotations

from typing import Literal

import pytest

from connector.directories.ldap.searches import JobRealm
from connector.settings.ldap import LdapDirectory as Settings

BASE = "ou=people,dc=example,dc=org"


@pytest.mark.parametrize(
    ("name", "subtree", "onelevel"),
    [
        (BASE, True, False),
        ("OU=People, DC=example, DC=org", True, False),
        (f"uid=anna,{BASE}", True, True),
        ("uid=anna+cn=Anna,OU=people,dc=example,dc=org", True, True),
        (f"uid=anna,ou=left,{BASE}", True, False),
        (f"uid=anna,ou=very,ou=left,{BASE}", True, False),
        ("dc=example,dc=org", False, False),
        ("uid=anna,ou=others,dc=example,dc=org", False, False),
        ("uid=anna,ou=people,dc=example,dc=com", False, False),
        ("ou=others,dc=example,dc=org", False, False),
        ("uid=anna", False, False),
        ("", False, False),
        (f"anna,{BASE}", False, False),
    ],
)
def test_base_and_scope_cover_these_names_and_no_others(name: str, subtree: bool, onelevel: bool) -> None:
    scopes: list[tuple[Literal["subtree", "onelevel"], bool]] = [("subtree", subtree), ("onelevel", onelevel)]
    for scope, covered in scopes:
        realm = JobRealm.from_settings(
            Settings(type="ldap", urls=["ldaps://ldap.example.org"], base=[BASE], scope=scope)
        )
        assert realm.covers_name(name) is covered


@pytest.mark.parametrize("base", ["cn=x,dc=example", "cn=y,dc=example", "uid=anna,dc=example"])
def test_a_base_covers_itself_and_none_of_the_entries_beside_it(base: str) -> None:
    covers = JobRealm.from_settings(Settings(type="ldap", urls=["ldaps://ldap.example.org"], base=[base])).covers_name
    names = [base, f"cn=x,{base}", "cn=z,dc=example", "dc=example"]
    assert [covers(name) for name in names] == [True, True, False, False]
