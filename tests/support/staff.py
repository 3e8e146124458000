"""People of any kind of directory who come and go, behind the program's back: for the laws of several writers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from connector.directories.port import Directory
from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.transport import HttpTransport
from connector.model import Secret, View
from connector.settings.scim import ScimDirectory as Settings
from tests.support.directory_fixtures import DirectoryFixture, LdapFixture
from tests.support.grounds import ROOM, SEAT, ground_of, path_held, put_path
from tests.support.scim_servers import CORE, ScimServer

FILTER = "(&(objectClass=inetOrgPerson)(!(pager=off)))"
KINDS = ("rename", "swap", "move", "disable", "delete", "replace", "put")


class Person(NamedTuple):
    """`within`: in the base. `held`: by the directory's name of an attribute what it holds."""

    name: str
    account: str
    within: bool
    disabled: bool
    held: Mapping[str, frozenset[str]]


class Staff(Protocol):
    """People by their ids. `names`: the directory's names of the attributes. `account`: what agents are matched by.

    All that is done here is done as by another program, and before a write begins. `docs/laws.md` lists the changes
    that a write may miss after that ("The moment before a write").
    """

    names: Mapping[str, str]
    account: str

    def open(self, view: View, *, past: bool = False) -> Directory:
        """The program's own view of them, perhaps past base and filter."""

    def everybody(self) -> dict[str, Person]:
        """All that there are."""

    def come(self, name: str, account: str) -> None:
        """Somebody new comes, under a free name."""

    def rename(self, id_: str, name: str) -> None:
        """Give a user a free name."""

    def move(self, id_: str) -> None:
        """Out of the base, or back, if the name is free there."""

    def disable(self, id_: str) -> None:
        """Switch a user off, or on again."""

    def delete(self, id_: str) -> None:
        """Take a user away."""

    def put(self, id_: str, attribute: str, values: Sequence[str]) -> None:
        """Set an attribute, by the directory's name."""

    def close(self) -> None:
        """Let go of connections."""


def swap(staff: Staff, one: str, other: str) -> None:
    """Both names change hands, by way of a third."""
    everybody = staff.everybody()
    if one != other and everybody[one].within == everybody[other].within:
        staff.rename(one, "between")
        staff.rename(other, everybody[one].name)
        staff.rename(one, everybody[other].name)


def moved(dn: str, one: str, other: str) -> str:
    """The same name below the other of two bases."""
    return f"{dn.partition(',')[0]},{other if _below(dn, one) else one}"


def _below(dn: str, base: str) -> bool:
    return dn.lower().endswith(f",{base.lower()}")


class HouseStaff:
    """Entries in memory, in a file or on an LDAP server, in one of two units below a directory fixture."""

    account = "uid"

    def __init__(self, fixture: DirectoryFixture) -> None:
        names = ground_of(fixture).names
        self.names: Mapping[str, str] = {name: names[name] for name in (SEAT, ROOM)}
        self._fixture = fixture
        self._base, self._elsewhere = (f"ou={name},{fixture.base}" for name in ("inside", "elsewhere"))
        if isinstance(fixture, LdapFixture):
            for dn in (self._base, self._elsewhere):
                fixture.put(dn, {"objectClass": ["organizationalUnit"], "ou": [dn[3:].partition(",")[0]]})

    def open(self, view: View, *, past: bool = False) -> Directory:
        return self._fixture.open(
            view, base=self._fixture.base if past else self._base, where="(uid=*)" if past else FILTER
        )

    def _entries(self) -> Iterator[tuple[str, str, Mapping[str, tuple[bytes, ...]]]]:
        """Ids, DNs and values."""
        for dn, values in self._fixture.entries("(uid=*)").items():
            if "uid" in values:
                yield _id(values), dn, values

    def everybody(self) -> dict[str, Person]:
        return {
            id_: Person(
                dn.partition(",")[0][3:], values["uid"][0].decode(), _below(dn, self._base), "pager" in values,
                {name: frozenset(one.decode() for one in values.get(name.lower(), ())) for name in self.names.values()},
            )
            for id_, dn, values in self._entries()
        }  # fmt: skip

    def _dn(self, id_: str) -> str:
        (found,) = [dn for each, dn, _ in self._entries() if each == id_]
        return found

    def come(self, name: str, account: str) -> None:
        values = {"objectClass": ["inetOrgPerson"], "cn": [name], "sn": [account], "uid": [account]}
        self._fixture.put(f"cn={name},{self._base}", values)

    def rename(self, id_: str, name: str) -> None:
        dn = self._dn(id_)
        self._fixture.rename(dn, f"cn={name},{dn.partition(',')[2]}")

    def move(self, id_: str) -> None:
        dn = self._dn(id_)
        there = moved(dn, self._base, self._elsewhere)
        if all(each.lower() != there.lower() for _, each, _ in self._entries()):
            self._fixture.rename(dn, there)

    def disable(self, id_: str) -> None:
        self._fixture.replace(self._dn(id_), "pager", [] if self.everybody()[id_].disabled else ["off"])

    def delete(self, id_: str) -> None:
        self._fixture.delete(self._dn(id_))

    def put(self, id_: str, attribute: str, values: Sequence[str]) -> None:
        self._fixture.replace(self._dn(id_), attribute, values)

    def close(self) -> None:
        """The fixture closes what it has opened."""


def _id(values: Mapping[str, tuple[bytes, ...]]) -> str:
    if "objectguid" in values:
        return str(uuid.UUID(bytes_le=values["objectguid"][0]))
    return values.get("nsuniqueid", values.get("entryuuid", ()))[0].decode()


class ScimStaff:
    """Users of a SCIM server; who is no employee is out of the filter, as is who is not active."""

    account = "externalId"

    def __init__(self, server: ScimServer) -> None:
        names = ground_of(server).names
        self.names: Mapping[str, str] = {name: names[name] for name in (SEAT, ROOM)}
        self._server = server
        self._opened: list[HttpTransport] = []

    def open(self, view: View, *, past: bool = False) -> Directory:
        given: dict[str, Any] = {
            "type": "scim",
            "url": self._server.url,
            "token": {"env": "T"},
            "allow_plaintext": True,
        }
        if not past:
            given["filter"] = 'userType eq "Employee" and active eq true'
        job = Settings.model_validate(given)
        self._opened.append(HttpTransport(job, Secret(self._server.token)))
        return ScimDirectory(job, self._opened[-1], view)

    def close(self) -> None:
        """Let go of connections."""
        for transport in self._opened:
            transport.close()

    def everybody(self) -> dict[str, Person]:
        return {
            user["id"]: Person(
                user["userName"], user["externalId"], user["userType"] == "Employee", not user["active"],
                {path: path_held(user, path) for path in self.names.values()},
            )
            for user in self._server.all()
        }  # fmt: skip

    def come(self, name: str, account: str) -> None:
        user = {"schemas": [CORE], "userName": name, "externalId": account, "active": True, "userType": "Employee"}
        self._server.put([user])

    def _set(self, id_: str, path: str, value: object) -> None:
        self._server.patch(id_, {"op": "replace", "path": path, "value": value})

    def rename(self, id_: str, name: str) -> None:
        self._set(id_, "userName", name)

    def move(self, id_: str) -> None:
        self._set(id_, "userType", "Guest" if self.everybody()[id_].within else "Employee")

    def disable(self, id_: str) -> None:
        self._set(id_, "active", self.everybody()[id_].disabled)

    def delete(self, id_: str) -> None:
        self._server.delete(id_)

    def put(self, id_: str, attribute: str, values: Sequence[str]) -> None:
        put_path(self._server, id_, attribute, values)


def staff_of(served: DirectoryFixture | ScimServer) -> Staff:
    """The people of a directory, who are yet to come."""
    return ScimStaff(served) if isinstance(served, ScimServer) else HouseStaff(served)
