"""Which kind of server a root DSE is of, and what an id looks like there."""

from __future__ import annotations

from typing import cast

import pytest

from connector.directories.common.ldap_filters import And, Equal, Or
from connector.directories.ldap import dialect
from connector.directories.ldap.dialect import ACTIVE_DIRECTORY, DS389, OPENLDAP, SAMBA, Dialect, Root
from connector.directories.ldap.requests import ASSERTION, POST_READ
from connector.directories.ldap.searches import JobRealm, plan_lookups
from connector.errors import MalformedError
from connector.model import ID
from connector.settings.ldap import LdapDirectory as Settings

GUID = "0f3c7c5e-1122-4233-8344-556677889900"
ON_THE_WIRE = bytes.fromhex("5e7c3c0f221133428344556677889900")

ROOTS: list[tuple[Root, Dialect]] = [
    ({"objectclass": ["top", "OpenLDAProotDSE"], "structuralobjectclass": ["OpenLDAProotDSE"]}, OPENLDAP),
    ({"vendorname": ["389 Project"], "vendorversion": ["389-Directory/3.1.2 B2025.000.0000"]}, DS389),
    ({"supportedcapabilities": ["1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670"]}, ACTIVE_DIRECTORY),
    (
        {"vendorname": ["Samba Team (https://samba.org)"], "supportedcapabilities": ["1.2.840.113556.1.4.800"]},
        SAMBA,
    ),
]


@pytest.mark.parametrize(("root", "expected"), ROOTS)
def test_a_server_is_known_by_its_root_dse(root: Root, expected: Dialect) -> None:
    assert dialect.recognise_server(root) == expected


def test_a_server_of_an_unknown_kind_goes_by_its_own_name_and_has_entry_uuids() -> None:
    found = dialect.recognise_server({"vendorname": ["Example"], "vendorversion": ["7"]})
    assert (found.kind, found.identity) == ("Example 7", OPENLDAP.identity)
    assert dialect.recognise_server({}).kind == "LDAP server"


def test_only_controls_that_the_server_lists_are_used() -> None:
    found = [dialect.recognise_server({"supportedcontrol": listed}) for listed in ([], [ASSERTION], [POST_READ])]
    assert [(each.controls.assertions, each.controls.post_read) for each in found] == [
        (False, False),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("server", "shown", "octets"),
    [
        (OPENLDAP, GUID, GUID.encode()),
        (DS389, "0f3c7c5e-11224233-83445566-77889900", b"0f3c7c5e-11224233-83445566-77889900"),
        (ACTIVE_DIRECTORY, GUID, ON_THE_WIRE),
    ],
)
def test_an_id_is_shown_as_text_and_sent_as_the_server_has_it(server: Dialect, shown: str, octets: bytes) -> None:
    assert server.identity.show(octets) == shown
    assert server.identity.wire(shown) == octets


@pytest.mark.parametrize(("server", "octets"), [(OPENLDAP, b"\xff"), (DS389, b"\xff"), (ACTIVE_DIRECTORY, b"short")])
def test_an_id_that_is_none_is_an_error(server: Dialect, octets: bytes) -> None:
    with pytest.raises(MalformedError):
        server.identity.show(octets)


@pytest.mark.parametrize(("server", "text"), [(OPENLDAP, "\u017d"), (ACTIVE_DIRECTORY, "anna"), (DS389, "\udc80")])
def test_nobody_is_looked_for_by_what_is_no_id(server: Dialect, text: str) -> None:
    realm = JobRealm.from_settings(Settings(type="ldap", urls=["ldaps://ldap.example.org"], base=["dc=example,dc=org"]))
    assert list(plan_lookups([(ID, text)], realm, server, ("1.1",))) == []
    assert server.user_filter(text) == Or(())


def test_a_guid_is_compared_as_the_octets_it_is() -> None:
    assert ACTIVE_DIRECTORY.user_filter(GUID) == Equal("objectGUID", ON_THE_WIRE)


def test_a_server_that_compares_text_as_it_comes_is_asked_for_both_forms_of_a_letter() -> None:
    realm = JobRealm.from_settings(Settings(type="ldap", urls=["ldaps://ldap.example.org"], base=["dc=example,dc=org"]))

    def asked(server: Dialect, value: str) -> list[str]:
        (search,) = plan_lookups([("cn", value)], realm, server, ("1.1",))
        (_, wanted) = cast("And", search.filter).parts
        terms = cast("tuple[Equal, ...]", wanted.parts if isinstance(wanted, Or) else (wanted,))
        return [term.value.decode() for term in terms]

    assert asked(DS389, "Zofie") == ["Zofie"]
    assert asked(DS389, "\u017dofie") == ["\u017dofie", "Z\u030cofie"]
    assert asked(DS389, "Z\u030cofie") == ["Z\u030cofie", "\u017dofie"]
    assert asked(OPENLDAP, "\u017dofie") == ["\u017dofie"]
