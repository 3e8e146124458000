"""The same world in an Active Directory domain: its people, its job, and its audit, which is of what it replicates.

A domain controller keeps no log of writes. But it counts, for each attribute of each entry, how often it was written
(`replPropertyMetaData`, [MS-ADTS] 3.1.1.1.9): so often it has to be in the journal.
"""

from __future__ import annotations

import struct
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from connector.model import AttributeChange
from tests.support.crash_scenarios import Stage
from tests.support.crash_world import (
    ENV,
    MAPPING,
    PEOPLE_IN_A_WORLD,
    SECRET,
    Entries,
    Launcher,
    World,
    edit_of,
    ldif,
)
from tests.support.jobs import ldap_directory
from tests.support.samba import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Samba

WITHOUT_TLS = ["ldap server require strong auth = no"]
MAPPED = ("objectClass", "employeeNumber", "cecAccountCode", "SIPIdentityUserName", "SIPIdentitySIPURI", SECRET)
_OF_ONE_ENTRY = {
    "dn", "distinguishedName", "sAMAccountName", "objectGUID", "objectSid", "whenCreated", "whenChanged", "uSNCreated",
    "uSNChanged",
}  # fmt: skip
"""What is another one in every world, whatever becomes of it."""

Writes = Counter[tuple[str, str]]
"""How often an attribute of a user, who is known by an id, was written."""


def people(name: str) -> str:
    """The people of a world, as LDIF. Some have an object class, a seat, or a URI of somebody else's already."""
    base = f"OU={name},{PEOPLE}"
    lines = {
        1: "mail: p1@example.org\n",
        2: "objectClass: cecAgent\n",
        6: "objectClass: SIPIdentity\nSIPIdentitySIPURI: h323:6@192.0.2.1\n",
        7: "employeeNumber: 1500\n",
    }
    found = [f"dn: {base}\nobjectClass: organizationalUnit\n"]
    for number in range(1, PEOPLE_IN_A_WORLD + 1):
        head = f"dn: CN=p{number},{base}\nobjectClass: inetOrgPerson\nuserAccountControl: 544\n"
        found.append(f"{head}{lines.get(number, '')}sAMAccountName: {name}-p{number}\nuid: p{number}\nsn: {number}\n")
    return "\n".join(found)


class SambaWorld(World):
    """One organizational unit. `url`: another way to the server."""

    env = ENV | {"LDAP_PASSWORD": SYNC_PASSWORD}

    def __init__(self, folder: Path, name: str, server: Samba, launcher: Launcher, url: str = "") -> None:
        directory = ldap_directory(url or server.url, bind_dn=SYNC, base=f"ou={name},{PEOPLE}")
        super().__init__(folder, name, launcher, MAPPING, directory)
        self.server = server
        server.add(people(name))
        self._before = self.counted()

    def _read(self, *attributes: str) -> Iterator[dict[str, list[bytes]]]:
        found = self.server.search("(uid=*)", *attributes, base=f"OU={self.name},{PEOPLE}")
        return ldif(found)

    def entries(self) -> Entries:
        return {
            entry["uid"][0].decode(): {key: sorted(some) for key, some in entry.items() if key not in _OF_ONE_ENTRY}
            for entry in self._read("*")
        }

    def counted(self) -> Writes:
        """How often each attribute was written, as the server counts."""
        numbers = _numbers(self.server)
        return Writes({
            (str(uuid.UUID(bytes_le=entry["objectGUID"][0])), numbers[number]): version
            for entry in self._read("objectGUID", "replPropertyMetaData")
            for number, version in _versions(entry["replPropertyMetaData"][0])
            if number in numbers
        })  # fmt: skip

    def audit(self) -> None:
        """Hold the journal to how often the server has written what."""
        server = self.counted()
        server.subtract(self._before)
        journal: defaultdict[str, Writes] = defaultdict(Writes)
        for step in self.journalled():
            became = journal["open" if step.outcome is None else step.outcome.value]
            for each in step.change.attributes:
                became[step.change.user.id, each.name] += _modifications(each)
        assert not journal["open"], f"left open: {journal['open']}\n{self.said}"
        made_up = journal["written"] - server
        assert not made_up, f"never written, or written less often: {made_up}\n{self.said}"
        # but for a secret that cannot be read: then the run has said so
        again = "written again" in self.said
        forgotten = [write for write in server - journal["written"] if not again or write[1] != SECRET]
        assert not forgotten, f"not in the journal as written: {forgotten}\n{self.said}"


def _modifications(each: AttributeChange) -> int:
    """How often a change names the attribute: what it takes out and what it adds are counted apart."""
    if not each.seen:
        return 1
    if each.secret:
        return bool(each.old) + bool(each.fingerprint)
    edit = edit_of(each)
    return bool(edit.gone) + bool(edit.come) if edit else 0


def _numbers(server: Samba) -> dict[int, str]:
    """The attributes of the mapping by the numbers that replication has for them."""
    terms = "".join(f"(lDAPDisplayName={name})" for name in MAPPED)
    found = server.search(
        f"(|{terms})", "lDAPDisplayName", "attributeID", "msDS-IntId", base=f"CN=Schema,CN=Configuration,{SUFFIX}"
    )
    return {_number(entry): entry["lDAPDisplayName"][0].decode() for entry in ldif(found)}


def _number(entry: dict[str, list[bytes]]) -> int:
    """[MS-ADTS] 3.1.1.2.3.3: of an attribute that was added, msDS-IntId; of others, the OID's prefix has a number."""
    if "msDS-IntId" in entry:
        return int(entry["msDS-IntId"][0]) & 0xFFFFFFFF
    prefix, _, last = entry["attributeID"][0].rpartition(b".")
    return {b"2.5.4": 0, b"1.2.840.113556.1.2": 2}[prefix] << 16 | int(last)


def _versions(octets: bytes) -> Iterator[tuple[int, int]]:
    """The attributes' numbers and versions; each has its time, its origin and two sequence numbers behind them."""
    _, _, number, _ = struct.unpack_from("<4I", octets)
    return (struct.unpack_from("<2I", octets, 16 + 48 * place) for place in range(number))


class SambaStage(Stage):
    """A stage in Active Directory domains; the passwords in them may be read, or are confidential."""

    @contextmanager
    def opened(self, number: int) -> Iterator[Iterator[World]]:
        folder = self._folder / str(number)  # short: there are sockets in it
        folder.mkdir(parents=True)
        opened: list[SambaWorld] = []

        def worlds(make: Callable[[str], SambaWorld]) -> Iterator[World]:
            for place in count():
                opened.append(make(f"w{place}"))
                yield opened[-1]

        with Samba.start(folder / "dc", options=WITHOUT_TLS) as server, Launcher() as launcher:
            if self._acl == "confidential":
                server.refuse_control()
            yield worlds(lambda name: SambaWorld(folder, name, server, launcher))
            for world in opened:
                world.audit()
