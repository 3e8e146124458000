"""Users of any kind of directory who hold odd spellings, each by its number, for the law that find is scan."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final, Protocol

from connector.directories.port import Directory
from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.transport import HttpTransport
from connector.model import Secret, View
from connector.settings.scim import ScimDirectory as Settings
from tests.support.directory_fixtures import PERSON, DirectoryFixture, DomainFixture
from tests.support.scim_servers import CEC, CORE, ENTERPRISE, ScimServer

TEXTS: Final = (
    "bob", "ann", "ANN", " ann ", "a nn", "A  nn", "a\u00a0nn", "a\tnn", "a\u2003nn", "an\u00adn", "ann\u200b",
    "\ufeffann", "\uff41nn", "\u00e9ve", "\u00c9VE", "e\u0301ve", "\u0218tef", "\u0219tef", "S\u0326tef", "\u015etef",
    "\u021aom", "\u021bom", "\u13a0", "\uab70", "\u10d0", "\u1c90", "\u03bf\u03c2", "\u03bf\u03c3", "\u039f\u03a3",
    "stra\u00dfe", "strasse", "\u0130d", "id", "7", "007", "+7",
)  # fmt: skip
"""Letters with a case of their own, composed and decomposed, invisible ones and spaces, and numbers."""
PHONES: Final = ("55 x5", "55X5", "55-x5", "5 5x5", "55", "055")
SEATS: Final = (7, 10, 70)


class Spelt(Protocol):
    """Users who hold a text, a telephone number and a number, under these names, and nothing in `written`."""

    text: str
    phone: str
    seat: str
    written: str

    def opening(self, view: View, users: Collection[int]) -> Directory:
        """The program's own view of these users, by number."""

    def close(self) -> None:
        """Let go of connections."""


def held(number: int) -> tuple[str, str, int]:
    """What a user holds: a text, a telephone number, and a number."""
    return TEXTS[number], PHONES[number % len(PHONES)], SEATS[number % len(SEATS)]


class SpeltHouse:
    """Entries of a directory fixture."""

    text, phone, seat, written = "description", "telephoneNumber", "cecWorkNo", "employeeNumber"

    def __init__(self, fixture: DirectoryFixture) -> None:
        self._fixture = fixture
        self._account = "cn" if isinstance(fixture, DomainFixture) else "uid"
        for n in range(len(TEXTS)):
            self._put(n, *held(n))

    def _put(self, number: int, text: str, phone: str, seat: int) -> None:
        """A user that holds these values, or as many of them as the directory takes."""
        person = {**PERSON, "objectClass": [*PERSON["objectClass"], "cecAgent"], "cn": [f"u{number}"]}
        values = {**person, "uid": [f"u{number}"], self.text: [text], self.phone: [phone], self.seat: [str(seat)]}
        name = f"{self._fixture.naming}=u{number},{self._fixture.base}"
        with suppress(RuntimeError):
            self._fixture.put(name, values)
            return
        self._fixture.put(name, {key: some for key, some in values.items() if key != self.text})

    def opening(self, view: View, users: Collection[int]) -> Directory:
        terms = "".join(f"({self._account}=u{n})" for n in sorted(users))
        return self._fixture.open(view, where=f"(&(objectClass=inetOrgPerson)(|{terms}))")

    def close(self) -> None:
        """The fixture closes what it has opened."""


class SpeltScim:
    """Users of a SCIM server."""

    text, phone = "title", 'phoneNumbers[type eq "work"].value'
    seat, written = f"{CEC}:workNo", f"{ENTERPRISE}:employeeNumber"

    def __init__(self, server: ScimServer) -> None:
        self._server = server
        self._opened: list[HttpTransport] = []
        server.put(self._user(n, *held(n)) for n in range(len(TEXTS)))

    def _user(self, number: int, text: str, phone: str, seat: int) -> dict[str, Any]:
        return {
            "schemas": [CORE, CEC], "userName": f"u{number}", "title": text, "active": True,
            "phoneNumbers": [{"type": "work", "value": phone}], CEC: {"workNo": seat},
        }  # fmt: skip

    def opening(self, view: View, users: Collection[int]) -> Directory:
        given = {
            "type": "scim", "url": self._server.url, "token": {"env": "T"}, "allow_plaintext": True,
            "filter": " or ".join(f'userName eq "u{n}"' for n in sorted(users)),
        }  # fmt: skip
        job = Settings.model_validate(given)
        self._opened.append(HttpTransport(job, Secret(self._server.token)))
        return ScimDirectory(job, self._opened[-1], view)

    def close(self) -> None:
        """Let go of connections."""
        for transport in self._opened:
            transport.close()


def spelt_in(served: DirectoryFixture | ScimServer) -> Spelt:
    """The users, put into a directory that has none of them."""
    return SpeltScim(served) if isinstance(served, ScimServer) else SpeltHouse(served)
