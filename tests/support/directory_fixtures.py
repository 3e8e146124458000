"""Where the contract's users live: one way to fill, alter and look into every kind of directory, behind its back."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from connector.directories.ldap.adapter import LdapDirectory
from connector.directories.ldif.adapter import LdifDirectory
from connector.directories.port import Directory
from connector.model import Change, Equality, Secret, View
from connector.planning.order import split_classes
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as LdapSettings, LdifDirectory as LdifSettings
from tests.support.memory import MemoryDirectory, MemoryStore

if TYPE_CHECKING:
    from tests.support.ldap_server import LdapServer

Values = Mapping[str, Sequence[str | bytes]]
PEOPLE = "(objectClass=inetOrgPerson)"
PERSON: Values = {"objectClass": ["inetOrgPerson"], "cn": ["Example Person"], "sn": ["Person"]}


class DirectoryFixture(Protocol):
    """One directory. Names of entries are DNs; values go in and come out as they are stored.

    `naming`: the attribute in its users' names, and `longest_name` how long that may be; `identity`: the attribute
    that is their id. `shows_writes`: an outcome shows what was written. `rules`: attributes that this kind of directory
    compares by another rule than the standards'.
    """

    base: str
    naming: str
    longest_name: int
    identity: str
    shows_writes: bool
    rules: Mapping[str, Equality]

    def open(self, view: View, *, base: str | None = None, where: str = PEOPLE) -> Directory:
        """The program's own view of it."""

    def put(self, dn: str, values: Values) -> None:
        """Add an entry."""

    def replace(self, dn: str, attribute: str, values: Sequence[str | bytes]) -> None:
        """Set one attribute, or take it away."""

    def delete(self, dn: str) -> None:
        """Take an entry away."""

    def rename(self, dn: str, new: str) -> None:
        """Give an entry another DN, which is free."""

    def stored(self, dn: str) -> dict[str, tuple[bytes, ...]]:
        """Everything that an entry holds, operational attributes excepted, by lower-case name."""

    def entries(self, where: str) -> dict[str, dict[str, tuple[bytes, ...]]]:
        """By DN what all that the filter shows hold, their ids too; all that there are, where there is no filter."""


def parts(directory: Directory, change: Change) -> Sequence[Change]:
    """The change as this directory has to be written."""
    return split_classes(change) if directory.describe().writing.classes_first else [change]


def octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def record(dn: str, values: Values) -> str:
    """An LDIF record, everything in Base64: hostile values need no thought."""
    lines = [f"dn:: {base64.b64encode(dn.encode()).decode()}"]
    lines += [f"{name}:: {base64.b64encode(octets(one)).decode()}" for name, some in values.items() for one in some]
    return "\n".join(lines) + "\n"


def records(ldif: bytes) -> dict[str, dict[str, tuple[bytes, ...]]]:
    """LDIF as DN → lower-case attribute → values; written apart from the program's own reader, to check it."""
    found: dict[str, dict[str, tuple[bytes, ...]]] = {}
    for block in ldif.replace(b"\r\n", b"\n").replace(b"\n ", b"").split(b"\n\n"):
        entry: dict[str, tuple[bytes, ...]] = {}
        for line in block.split(b"\n"):
            if not line or line.startswith((b"#", b"version:")):
                continue
            name, _, rest = line.partition(b":")
            value = base64.b64decode(rest[1:]) if rest.startswith(b":") else rest.lstrip(b" ")
            entry[name.decode().lower()] = (*entry.get(name.decode().lower(), ()), value)
        if entry:
            found[entry.pop("dn")[0].decode()] = entry
    return found


class Standard:
    """What a directory is like by the standards."""

    naming = "uid"
    longest_name = 1000
    identity = "entryUUID"
    shows_writes = False
    rules: Mapping[str, Equality] = {}


class MemoryFixture(Standard):
    """Entries of a store, under ids of their own."""

    base = "ou=people,dc=example,dc=org"

    def __init__(self) -> None:
        self.store = MemoryStore({})
        self._numbers = count()

    def open(self, view: View, *, base: str | None = None, where: str = PEOPLE) -> Directory:
        return MemoryDirectory(self.store, view, base=self.base if base is None else base, filter=where)

    def _id(self, dn: str) -> str:
        return next(entry.id for entry in self.store.entries.values() if entry.name == dn)

    def put(self, dn: str, values: Values) -> None:
        id_ = str(uuid.UUID(int=next(self._numbers)))
        self.store.put(id_, dn, {**values, "entryUUID": [id_]})

    def replace(self, dn: str, attribute: str, values: Sequence[str | bytes]) -> None:
        id_ = self._id(dn)
        entry: dict[str, Sequence[str | bytes]] = dict(self.store.entries[id_].values)
        self.store.put(id_, dn, {**entry, attribute.lower(): values})

    def delete(self, dn: str) -> None:
        self.store.remove(self._id(dn))

    def rename(self, dn: str, new: str) -> None:
        id_ = self._id(dn)
        self.store.put(id_, new, self.store.entries[id_].values)

    def stored(self, dn: str) -> dict[str, tuple[bytes, ...]]:
        values = self.store.entries[self._id(dn)].values
        return {name: tuple(some) for name, some in values.items() if name != "entryuuid"}

    def entries(self, where: str) -> dict[str, dict[str, tuple[bytes, ...]]]:
        found = self.store.entries.values()
        return {each.name: {name: tuple(some) for name, some in each.values.items()} for each in found}


class LdifFixture(Standard):
    """Records of a file."""

    base = "ou=people,dc=example,dc=org"

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("version: 1\n\n# the example company\n\n")

    def open(self, view: View, *, base: str | None = None, where: str = PEOPLE) -> Directory:
        settings = LdifSettings(type="ldif", path=self.path, base=[self.base if base is None else base], filter=where)
        return LdifDirectory(settings, view)

    def put(self, dn: str, values: Values) -> None:
        with self.path.open("a") as file:
            file.write(record(dn, {**values, "entryUUID": [str(uuid.uuid4())]}) + "\n")

    def _write(self, entries: Mapping[str, Values]) -> None:
        self.path.write_text("version: 1\n\n" + "".join(f"{record(dn, values)}\n" for dn, values in entries.items()))

    def replace(self, dn: str, attribute: str, values: Sequence[str | bytes]) -> None:
        entries: dict[str, Values] = dict(records(self.path.read_bytes()))
        entries[dn] = {**entries[dn], attribute.lower(): values}
        self._write(entries)

    def delete(self, dn: str) -> None:
        entries = records(self.path.read_bytes())
        del entries[dn]
        self._write(entries)

    def rename(self, dn: str, new: str) -> None:
        entries = records(self.path.read_bytes())
        self._write({new if name == dn else name: values for name, values in entries.items()})

    def stored(self, dn: str) -> dict[str, tuple[bytes, ...]]:
        values = records(self.path.read_bytes())[dn]
        return {name: some for name, some in values.items() if name != "entryuuid"}

    def entries(self, where: str) -> dict[str, dict[str, tuple[bytes, ...]]]:
        return records(self.path.read_bytes())


class LdapFixture(Standard):
    """Entries of a real LDAP server, below a unit of their own; the program has an ordinary account there."""

    SYNC = "uid=sync,ou=services,dc=example,dc=org"
    PASSWORD = "sync-pass"
    BASE = "ou=people,dc=example,dc=org"
    UNIT = "ou"
    shows_writes = True

    def __init__(self, server: LdapServer, number: int) -> None:
        self.server = server
        self.base = f"{self.UNIT}=fixture{number},{self.BASE}"
        self._opened: list[Directory] = []
        server.add(record(self.base, {"objectClass": ["organizationalUnit"], "ou": [f"fixture{number}"]}))

    def open(self, view: View, *, base: str | None = None, where: str = PEOPLE) -> Directory:
        settings = LdapSettings(
            type="ldap",
            urls=[self.server.ldaps_url],
            bind_dn=self.SYNC,
            password=SecretRef(env="LDAP_PASSWORD"),
            ca_file=self.server.ca,
            base=[self.base if base is None else base],
            filter=where,
        )
        self._opened.append(LdapDirectory(settings, Secret(self.PASSWORD), view))
        return self._opened[-1]

    def close(self) -> None:
        for directory in self._opened:
            directory.close()

    def put(self, dn: str, values: Values) -> None:
        self.server.add(record(dn, values))

    def _modify(self, dn: str, *lines: str) -> None:
        self.server.modify("\n".join([record(dn, {}).rstrip("\n"), *lines]) + "\n")

    def replace(self, dn: str, attribute: str, values: Sequence[str | bytes]) -> None:
        lines = [f"{attribute}:: {base64.b64encode(octets(value)).decode()}" for value in values]
        self._modify(dn, "changetype: modify", f"replace: {attribute}", *lines, "-")

    def delete(self, dn: str) -> None:
        self._modify(dn, "changetype: delete")

    def rename(self, dn: str, new: str) -> None:
        first, _, rest = new.partition(",")
        self._modify(dn, "changetype: modrdn", f"newrdn: {first}", "deleteoldrdn: 1", f"newsuperior: {rest}")

    def stored(self, dn: str) -> dict[str, tuple[bytes, ...]]:
        (entry,) = records(self.server.search("-s", "base", "(objectClass=*)", "*", base=dn)).values()
        return entry

    def entries(self, where: str) -> dict[str, dict[str, tuple[bytes, ...]]]:
        return records(self.server.search(where, "*", "entryUUID", "nsUniqueId", "objectGUID", base=self.base))


class DomainFixture(LdapFixture):
    """Users of an Active Directory domain, below a unit of their own."""

    SYNC = "sync@example.test"
    PASSWORD = "Passw0rd-Sync1"
    BASE = "OU=people,DC=example,DC=test"
    UNIT = "OU"
    naming = "CN"
    longest_name = 64
    identity = "objectGUID"
    shows_writes = False
    rules: Mapping[str, Equality] = {
        "telephoneNumber": Equality.CASE_IGNORE,
        "x121Address": Equality.CASE_EXACT,
    }

    def put(self, dn: str, values: Values) -> None:
        super().put(dn, {name: some for name, some in values.items() if name != "cn"})  # it is in the name

    def stored(self, dn: str) -> dict[str, tuple[bytes, ...]]:
        """Without what a domain controller sets by itself, also in the midst of user attributes."""
        return {name: some for name, some in super().stored(dn).items() if name not in _OF_THE_DOMAIN}


_OF_THE_DOMAIN = frozenset({"whenchanged", "usnchanged", "dscorepropagationdata"})
