"""A few users in any kind of directory, for the laws of several writers: altered and seen behind the program's back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from connector.directories.port import Directory
from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.transport import HttpTransport
from connector.model import Secret, View
from connector.settings.scim import ScimDirectory as Settings
from tests.support.directory_fixtures import PERSON, DirectoryFixture, DomainFixture
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.scim_servers import CORE, ENTERPRISE, ScimServer
from tests.support.worlds import BASE, FILTER

Held = dict[str, frozenset[str]]
"""By attribute its values, as text."""
SEAT, ROOM, TITLE = "employeeNumber", "roomNumber", "title"
"""What the attributes are called here; `names` has what a directory calls them. The first holds one value."""


class Ground(Protocol):
    """Users `u0`, `u1`, … `names`: the directory's names of the attributes. `account`: the one that holds `u0`."""

    names: Mapping[str, str]
    account: str
    users: dict[str, int]
    """By id the number of a user."""

    def begin(self, count: int) -> None:
        """So many users, who hold nothing yet."""

    def open(self, view: View) -> Directory:
        """The program's own view of them."""

    def name(self, user: int) -> str:
        """What the program calls a user."""

    def held(self, user: int) -> Held:
        """What a user holds of the attributes, by the directory's names."""

    def put(self, user: int, attribute: str, values: Sequence[str]) -> None:
        """Somebody else sets an attribute, or takes it away."""

    def close(self) -> None:
        """Let go of connections."""


class MemoryGround:
    """Entries of a store."""

    names: Mapping[str, str] = {name: name for name in (SEAT, ROOM, TITLE)}
    account = "uid"

    def __init__(self) -> None:
        self.store = MemoryStore({})
        self.users: dict[str, int] = {}

    def begin(self, count: int) -> None:
        self.store.entries.clear()
        self.users = {f"id-{n}": n for n in range(count)}
        for n in range(count):
            self.store.put(f"id-{n}", self.name(n), {**PERSON, "uid": [f"u{n}"], "cn": [f"U {n}"]})

    def open(self, view: View) -> Directory:
        return MemoryDirectory(self.store, view, base=BASE, filter=FILTER)

    def name(self, user: int) -> str:
        return f"uid=u{user},{BASE}"

    def held(self, user: int) -> Held:
        values = self.store.snapshot()[f"id-{user}"][1]
        return {name: frozenset(map(str, values.get(name, ()))) for name in self.names.values()}

    def put(self, user: int, attribute: str, values: Sequence[str]) -> None:
        """Somebody else writes: the server spells their values as it spells those of the program."""
        if attribute.lower() in self.store.respells:
            values = [value if value.startswith("~") else f"~{value}" for value in values]
        name, held = self.store.snapshot()[f"id-{user}"]
        self.store.put(f"id-{user}", name, {**held, self.names[attribute]: values})

    def close(self) -> None:
        """There are no connections."""


class HouseGround:
    """Entries of a directory fixture. `classes`: of all users but the first."""

    def __init__(self, fixture: DirectoryFixture, names: Mapping[str, str], classes: Sequence[str] = ()) -> None:
        domain = isinstance(fixture, DomainFixture)
        self.names = names
        self._classes = classes
        self.account = "cn" if domain else "uid"
        self.users: dict[str, int] = {}
        self._fixture = fixture

    def begin(self, count: int) -> None:
        if not self.users:
            for n in range(count):
                account = {"uid": [f"u{n}"]} if self.account == "uid" else {}
                classes = [*PERSON["objectClass"], *(self._classes if n else ())]
                self._fixture.put(self.name(n), {**PERSON, **account, "cn": [f"u{n}"], "objectClass": classes})
            ids = {user.name: user.id for user in self.open(View((self.account,))).scan()}
            self.users = {ids[self.name(n)]: n for n in range(count)}
        for n in range(count):
            for attribute in self.names:
                self.put(n, attribute, [])

    def open(self, view: View) -> Directory:
        return self._fixture.open(view)

    def name(self, user: int) -> str:
        return f"{self._fixture.naming}=u{user},{self._fixture.base}"

    def held(self, user: int) -> Held:
        stored = self._fixture.stored(self.name(user))
        return {
            name: frozenset(value.decode() for value in stored.get(name.lower(), ())) for name in self.names.values()
        }

    def put(self, user: int, attribute: str, values: Sequence[str]) -> None:
        self._fixture.replace(self.name(user), self.names[attribute], values)

    def close(self) -> None:
        """The fixture closes what it has opened."""


class ScimGround:
    """Users of a SCIM server."""

    account = "userName"

    def __init__(self, server: ScimServer, names: Mapping[str, str]) -> None:
        self.names = names
        self.users: dict[str, int] = {}
        self._server = server
        self._opened: list[HttpTransport] = []

    def begin(self, count: int) -> None:
        self.users = {f"{n + 1:032x}": n for n in range(count)}
        self._server.restore(
            [{"schemas": [CORE], "id": id_, "userName": f"u{n}", "active": True} for id_, n in self.users.items()]
        )

    def open(self, view: View) -> Directory:
        given = {"type": "scim", "url": self._server.url, "token": {"env": "T"}, "allow_plaintext": True}
        job = Settings.model_validate(given)
        self._opened.append(HttpTransport(job, Secret(self._server.token)))
        return ScimDirectory(job, self._opened[-1], view)

    def close(self) -> None:
        """Let go of connections."""
        for transport in self._opened:
            transport.close()

    def name(self, user: int) -> str:
        return f"u{user}"

    def held(self, user: int) -> Held:
        stored = self._server.stored(f"u{user}")
        return {path: path_held(stored, path) for path in self.names.values()}

    def put(self, user: int, attribute: str, values: Sequence[str]) -> None:
        id_ = next(id_ for id_, n in self.users.items() if n == user)
        put_path(self._server, id_, self.names[attribute], values)


def put_path(server: ScimServer, id_: str, name: str, values: Sequence[str]) -> None:
    """Set what a user holds there, or take it away."""
    path, type_ = _typed(name)
    value: Any = [{"type": type_, "value": each} for each in values] if type_ else values[0] if values else None
    operation = {"op": "replace", "path": path, "value": value} if values else {"op": "remove", "path": path}
    server.patch(id_, operation)


def _typed(path: str) -> tuple[str, str]:
    """The attribute of a path, and the type of its elements where it names one."""
    name, _, type_ = path.partition("[type eq ")
    return name, type_.split('"')[1] if type_ else ""


def path_held(stored: Mapping[str, Any], path: str) -> frozenset[str]:
    """What a user, as it is stored, holds there."""
    name, type_ = _typed(path)
    if type_:
        return frozenset(str(each["value"]) for each in stored.get(name) or () if each.get("type") == type_)
    schema, _, attribute = name.rpartition(":")
    value = stored.get(schema, {}).get(attribute)
    return frozenset() if value is None else frozenset([str(value)])


def few(served: DirectoryFixture | ScimServer, examples: int) -> int:
    """So many examples of a law that is tried on a file and on servers; fewer where a connection takes long."""
    return examples // 2 if isinstance(served, DomainFixture) else examples


def ground_of(served: DirectoryFixture | ScimServer) -> Ground:
    """The users of a directory that has none yet."""
    if isinstance(served, ScimServer):
        paths = f"{ENTERPRISE}:employeeNumber", 'phoneNumbers[type eq "work"].value', 'ims[type eq "sip"].value'
        return ScimGround(served, dict(zip((SEAT, ROOM, TITLE), paths, strict=True)))
    names = {SEAT: SEAT, ROOM: ROOM, TITLE: TITLE}
    if isinstance(served, DomainFixture):  # where a room and a title are one value
        names |= {ROOM: "otherIpPhone", TITLE: "otherMobile"}
    return HouseGround(served, names)
