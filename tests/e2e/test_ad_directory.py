"""Active Directory as a directory, against Samba's domain controller: binding, describing, reading whole."""

from __future__ import annotations

import base64
import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from connector.directories.ldap import ber, requests
from connector.directories.ldap.adapter import LdapDirectory
from connector.directories.ldap.ber import Frame
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldap.responses import DONE, REFERENCE
from connector.errors import ConnectorError, DeniedError, FileError, RefusedBindError, TruncatedError
from connector.model import ID, Equality, Secret, Syntax, User, View
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.ad_limits import Limits
from tests.support.ldap_proxy import LdapProxy, octets_of
from tests.support.samba import (
    PEOPLE,
    SUFFIX,
    SYNC,
    SYNC_DN,
    SYNC_NT,
    SYNC_PASSWORD,
    Samba,
    person,
)

pytestmark = pytest.mark.samba

PASSWORD = Secret(SYNC_PASSWORD)
ENABLED = (
    "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))"
    "(sAMAccountName={prefix}*))"
)
VIEW = View(("sAMAccountName", "ipPhone", "otherIpPhone", "description"))


def settings(server: Samba, **other: Any) -> Settings:
    """The service account over TLS; `other` in its place."""
    said: dict[str, Any] = {
        "type": "ldap",
        "urls": [server.ldaps_url],
        "bind_dn": SYNC,
        "password": SecretRef(env="LDAP_PASSWORD"),
        "ca_file": server.ca,
        "base": PEOPLE,
        "filter": "(objectClass=user)",
        "timeout": 20,
    }
    return Settings.model_validate({**said, **other})


def accounts(users: Iterator[User]) -> list[str]:
    return sorted(str(user.values["sAMAccountName"][0]) for user in users)


def fails(job: Settings, password: Secret = PASSWORD) -> ConnectorError:
    reader = LdapReader(job, password, VIEW)
    with pytest.raises(ConnectorError) as caught:
        reader.describe()
    reader.close()
    assert str(password.reveal()) not in repr(caught.value) + str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def people(domain: Samba) -> Samba:
    """Three users of which one is disabled, and a group, which no filter here lets through."""
    domain.add(
        "\n".join([
            person("dir.anna", "userAccountControl: 544", "ipPhone: 7001", "otherIpPhone: a", "otherIpPhone: b"),
            person("dir.bert", "userAccountControl: 544"),
            person("dir.carl", "userAccountControl: 546"),
        ])
    )  # fmt: skip
    return domain


# ---------------------------------------------------------------- connecting


@pytest.mark.parametrize("name", [SYNC, SYNC_NT, SYNC_DN])
@pytest.mark.parametrize("start_tls", [False, True])
def test_it_binds_by_upn_by_domain_name_and_by_dn(people: Samba, name: str, start_tls: bool) -> None:
    plain = {"urls": [people.url], "start_tls": True} if start_tls else {}
    reader = LdapReader(settings(people, bind_dn=name, **plain), PASSWORD, VIEW)
    assert accounts(reader.find([("sAMAccountName", "dir.anna")])) == ["dir.anna"]
    reader.close()


def test_a_bind_in_clear_is_refused_with_the_way_out(people: Samba) -> None:
    fault = fails(settings(people, urls=[people.url], allow_plaintext=True))
    assert type(fault) is DeniedError
    assert "strongerAuthRequired (8)" in fault.what
    assert "ldaps://" in fault.what


def test_a_wrong_password_is_called_one(people: Samba) -> None:
    fault = fails(settings(people), Secret("wrong-canary"))
    assert type(fault) is RefusedBindError
    assert "invalidCredentials (49)" in fault.what
    assert "data 52e" in fault.what
    assert "wrong name or password" in fault.what


@pytest.mark.parametrize(
    ("attribute", "value", "data", "advice"),
    [
        ("userAccountControl", "514", "533", "disabled"),
        ("accountExpires", "116444736000000001", "701", "the account has expired"),
        ("pwdLastSet", "0", "773", "must be changed"),
    ],
)
def test_an_account_that_may_not_log_on_is_told_why(
    people: Samba, attribute: str, value: str, data: str, advice: str
) -> None:
    name = f"out{data}"
    people.tool("user", "create", name, SYNC_PASSWORD, "--userou=OU=services")
    people.modify(
        f"dn: CN={name},OU=services,{SUFFIX}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
    )
    fault = fails(settings(people, bind_dn=f"{name}@example.test"))
    assert type(fault) is RefusedBindError
    assert f"data {data}" in fault.what
    assert advice in fault.what


# ---------------------------------------------------------------- describing


def test_it_describes_active_directory(domain: Samba) -> None:
    names = (
        "sAMAccountName", "ipPhone", "otherIpPhone", "description", "memberOf", "whenChanged", "canonicalName",
        "manager", "userAccountControl", "thumbnailPhoto", "cecWorkNo", "SIPIdentityPassword", "SIPIdentitySIPURI",
        "accountExpires", "msDS-cloudExtensionAttribute20", "nosuch",
    )  # fmt: skip
    reader = LdapReader(settings(domain), PASSWORD, View(names, frozenset(), ("cecAgent", "noSuchClass")))
    found = reader.describe()
    reader.close()
    assert (found.kind, found.schema.closed) == ("Samba Active Directory", True)
    assert found.schema.unknown_classes == ("noSuchClass",)
    (caution,) = found.cautions
    assert "4528" in caution
    info = found.attributes
    assert [name for name in names if not info[name].definition.known] == ["nosuch"]
    assert {name for name in names if not info[name].writable} == {"memberOf", "whenChanged", "canonicalName"}
    assert {name for name in names if not info[name].single} == {
        "otherIpPhone", "memberOf", "canonicalName", "SIPIdentityPassword", "SIPIdentitySIPURI",
    }  # fmt: skip
    assert {info[name].bounds.max_length for name in ("ipPhone", "cecWorkNo", "manager")} == {64, None}
    assert info["ipPhone"].equality is Equality.CASE_IGNORE
    assert info["SIPIdentitySIPURI"].equality is Equality.CASE_EXACT
    assert info["SIPIdentityPassword"].syntax is Syntax.OCTETS
    assert info["cecWorkNo"].syntax is info["accountExpires"].syntax is Syntax.INTEGER
    assert info["manager"].equality is Equality.DN
    assert info["whenChanged"].equality is Equality.TIME
    assert "user" in info["ipPhone"].definition.classes
    assert "user" in info["msDS-cloudExtensionAttribute20"].definition.classes, "an auxiliary class of user's allows it"
    assert {name for name in info["cecWorkNo"].definition.classes if name.isalpha()} == {"cecagent"}


def test_the_identity_is_the_guid_of_the_domain(domain: Samba) -> None:
    octets = domain.search("-s", "base", "objectGUID").split(b"objectGUID:: ")[1].split()[0]
    expected = uuid.UUID(bytes_le=base64.b64decode(octets))
    for base in (PEOPLE, SUFFIX):
        reader = LdapReader(settings(domain, base=base), PASSWORD, VIEW)
        assert reader.describe().identity == f"ldap:{expected}"
        reader.close()


@pytest.mark.parametrize("port", [3268, 3269])
def test_a_global_catalog_is_refused(domain: Samba, port: int) -> None:
    secure = {"urls": [f"ldaps://{domain.host}:{port}"]}
    plain = {"urls": [f"ldap://{domain.host}:{port}"], "start_tls": True}
    fault = fails(settings(domain, **(secure if port == 3269 else plain)))
    assert type(fault) is FileError
    assert "Global Catalog" in fault.what
    assert str(port) in fault.where
    assert "636" in fault.what


# ---------------------------------------------------------------- reading


def test_a_user_is_known_by_its_guid_as_text(people: Samba) -> None:
    reader = LdapReader(settings(people, filter=ENABLED.format(prefix="dir.")), PASSWORD, VIEW)
    (anna,) = reader.find([("sAMAccountName", "DIR.ANNA")])
    octets = people.search("(cn=dir.anna)", "objectGUID").split(b"objectGUID:: ")[1].split()[0]
    assert anna.id == str(uuid.UUID(bytes_le=base64.b64decode(octets)))
    assert anna.name == f"CN=dir.anna,{PEOPLE}"
    assert set(anna.values["otherIpPhone"]) == {"a", "b"}
    assert list(reader.find([(ID, anna.id)])) == list(reader.read([anna.ref])) == [anna]
    assert list(reader.find([(ID, "no id"), (ID, str(uuid.uuid4()))])) == []
    reader.close()


def test_the_disabled_are_left_out_by_a_bit_of_the_account_control(people: Samba) -> None:
    reader = LdapReader(settings(people, filter=ENABLED.format(prefix="dir.")), PASSWORD, VIEW)
    assert accounts(reader.scan()) == ["dir.anna", "dir.bert"]
    assert list(reader.find([("sAMAccountName", "dir.carl")])) == []
    reader.close()


def test_the_domains_own_partitions_below_its_root_are_passed_over(people: Samba) -> None:
    said = people.search("(cn=dir.anna)", "1.1")
    for partition in (b"CN=Configuration,", b"DC=DomainDnsZones,", b"DC=ForestDnsZones,"):
        assert b"/" + partition + SUFFIX.encode() in said, "the server refers to it"
    for how in ("scan", "find"):
        reader = LdapReader(settings(people, base=SUFFIX, filter=ENABLED.format(prefix="dir.")), PASSWORD, VIEW)
        found = reader.scan() if how == "scan" else reader.find([("sAMAccountName", "dir.anna")])
        assert "dir.anna" in accounts(found)
        reader.close()


class ChildDomain(LdapProxy):
    """Refers to a domain of its own, as the parent of one does, where the search ends."""

    def _heard(self, frame: Frame) -> bytes:
        if frame.tag != DONE:
            return octets_of(frame)
        uri = f"ldap://child.example.test/DC=child,{SUFFIX}".encode()
        reference = requests.encode_message(frame.id, ber.encode_sequence([ber.encode_tlv(ber.OCTETS, uri)], REFERENCE))
        return reference + octets_of(frame)


def test_a_reference_to_another_domain_is_an_incomplete_read(limited: tuple[Samba, Limits]) -> None:
    with ChildDomain(389, host=limited[0].host) as proxy:
        job = settings(limited[0], urls=[proxy.url], allow_plaintext=True, base=SUFFIX)
        for how in ("scan", "find"):
            reader = LdapReader(job, PASSWORD, VIEW)
            with pytest.raises(TruncatedError, match=r"child\.example\.test"):
                list(reader.scan() if how == "scan" else reader.find([("sAMAccountName", "lim001")]))
            reader.close()


# ---------------------------------------------------------------- the limits of the real one


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Samba, Limits]]:
    """A domain without TLS behind a proxy that enforces small limits: 20 entries an answer, 400 values an attribute."""
    entries = [person(f"lim{number:03}", "title: all") for number in range(50)]
    entries.append(person("limmany", *(f"otherIpPhone: {number}" for number in range(900))))
    weak = ["ldap server require strong auth = no"]
    folder = tmp_path_factory.mktemp("limits") / "dc"
    with Samba.start(folder, entries, options=weak) as server, Limits(server.host, page=20, values=400) as proxy:
        yield server, proxy


def directory(limited: tuple[Samba, Limits], view: View = VIEW) -> LdapDirectory:
    server, proxy = limited
    return LdapDirectory(settings(server, urls=[proxy.url], allow_plaintext=True), PASSWORD, view)


def test_pages_are_as_large_as_the_server_lets_them_be_and_nobody_is_lost(limited: tuple[Samba, Limits]) -> None:
    reader = directory(limited)
    assert accounts(reader.scan()) == [*(f"lim{number:03}" for number in range(50)), "limmany"]
    keys = [("sAMAccountName", f"lim{number:03}") for number in range(50)]
    before = limited[1].cut["searches"]
    assert set(accounts(reader.find(keys))) == {f"lim{number:03}" for number in range(50)}
    assert limited[1].cut["searches"] == before + 1, "64 terms are one search, which the limit cut short"
    reader.close()


def test_all_values_of_an_attribute_come_however_many_answers_that_takes(limited: tuple[Samba, Limits]) -> None:
    _, proxy = limited
    expected = {str(number) for number in range(900)}
    for how in ("scan", "find", "read"):
        reader = directory(limited)
        before = proxy.cut["entries"]
        (many,) = reader.find([("sAMAccountName", "limmany")])
        if how == "scan":
            (many,) = (user for user in reader.scan() if user.values["sAMAccountName"] == ("limmany",))
        elif how == "read":
            (many,) = reader.read([many.ref])
        assert len(many.values["otherIpPhone"]) == 900
        assert set(many.values["otherIpPhone"]) == expected
        assert proxy.cut["entries"] >= before + 2
        reader.close()


def test_attributes_without_an_index_are_told_by_the_schema(domain: Samba) -> None:
    with contextlib.closing(LdapReader(settings(domain), PASSWORD, VIEW)) as reader:
        (note,) = reader.index_notes(["sAMAccountName", "ipPhone"])
    assert note.startswith("no equality index for ipPhone: ")
    assert note.endswith("set bit 1 of searchFlags in its schema entry")
