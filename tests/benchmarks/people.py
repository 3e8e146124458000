"""The users and the agents of a benchmark, as varied as people are, and the same in every run.

Names, logins and numbers have all lengths, and a few are not ASCII. Some users have two mail addresses, or none.
Object classes and attributes stand in any order. User number 7 is agent number 7.
"""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.support.slapd import PEOPLE, TREE

IP, PORT = "192.0.2.10", 5060

FIRST = ("Li", "Bo", "Ann", "Zoë", "Omar", "Søren", "Jürgen", "Ólafur", "Katharina", "Maximiliane", "Anne-Sophie")
LAST = ("Ng", "Wu", "Groß", "Okafor", "Müller", "García", "Ångström", "O'Brien", "Papadopoulos", "Schmidt-Rottluff")
PLAIN = str.maketrans({"ë": "e", "ø": "o", "ü": "u", "Ó": "O", "ß": "ss", "í": "i", "Å": "A", "ö": "o", "'": None})
MORE_CLASSES = ("top", "person", "organizationalPerson")
AGENT_CLASSES = ("cecAgent", "SIPIdentity")


class Person(NamedTuple):
    """Who is both a user and an agent."""

    cn: str
    sn: str
    login: str
    mails: tuple[str, ...]
    classes: tuple[str, ...]
    """Without those that only agents have."""
    work_no: int
    sip: str


@lru_cache(1)
def person(number: int) -> Person:
    """The person of this number, always the same; logins, seats and SIP accounts are those of one person."""
    chance = Random(number)
    first, last = chance.choice(FIRST), chance.choice(LAST)
    plain = f"{first[: chance.choice((1, 20))]}.{last}{number}".lower()
    login = plain if chance.random() < 0.05 else plain.translate(PLAIN).encode("ascii", "ignore").decode()
    mail = login.encode("ascii", "ignore").decode()
    mails = (f"{mail}@example.org", f"{mail}@mail.example.com")[: chance.choices((0, 1, 2), (5, 80, 15))[0]]
    classes = ("inetOrgPerson", *chance.sample(MORE_CLASSES, chance.randint(0, len(MORE_CLASSES))))
    work_no = number + chance.choice((0, 4_000_000, 100_000_000))
    return Person(f"{first} {last}", last, login, mails, classes, work_no, f"{chance.choice('278')}{number:04}")


def uid(number: int) -> str:
    """The account of an agent and the login of its user."""
    return person(number).login


def spread(count: int, users: int) -> range:
    """So many of the users, evenly spread among them."""
    step = max(1, users // count)
    return range(1, users + 1, step)[:count]


def count_values(numbers: Collection[int], attributes: Collection[str]) -> int:
    """How many values these users show of attributes that are an agent's, and of their ids."""
    total = 0
    for number in numbers:
        found = person(number)
        total += 1 + len(attributes)
        if "mail" in attributes:
            total += len(found.mails) - 1
        if "objectClass" in attributes:
            total += len(found.classes) + len(AGENT_CLASSES) - 1
    return total


def write_users(path: Path, users: int, bare: Collection[int] = (), *, tree: bool = True) -> None:
    """An LDIF file of all users as agents' fields are in sync with them, but for the bare ones, which have none."""
    with path.open("w") as file:
        if tree:
            file.write(TREE)
        file.writelines(_user(number, bare=number in bare) for number in range(1, users + 1))


def _user(number: int, *, bare: bool) -> str:
    found = person(number)
    identity = uuid.UUID(int=(0x5EED << 112) | (4 << 76) | (8 << 60) | number)
    classes = [*found.classes]
    values: dict[str, Sequence[str]] = {
        "uid": [found.login],
        "cn": [found.cn],
        "sn": [found.sn],
        "employeeNumber": [str(500_000 + number)],
        "entryUUID": [str(identity)],
        "mail": found.mails,
        "objectClass": classes,
    }
    if not bare:
        classes += AGENT_CLASSES
        values |= {
            "cecAccountCode": [found.login],
            "cecWorkNo": [str(found.work_no)],
            "SIPIdentityUserName": [found.sip],
            "SIPIdentityRegistrarAddress": [IP],
            "SIPIdentitySIPURI": [f"sip:{found.sip}@{IP}"],
            "cecSipServicePort": [str(PORT)],
        }
    chance = Random(number)
    chance.shuffle(classes)
    names = chance.sample(sorted(values), len(values))
    lines = [_line(name, value) for name in names for value in values[name]]
    return "\n" + _line("dn", f"uid={found.login},{PEOPLE}") + "".join(lines)


def _line(name: str, value: str) -> str:
    if value.isascii():
        return f"{name}: {value}\n"
    return f"{name}:: {b64encode(value.encode()).decode()}\n"


def write_agents(path: Path, numbers: Collection[int], moved: int = 0) -> None:
    """A file of the agent query's own shape. Every `moved`-th agent has another SIP account than its user."""
    with path.open("w") as file:
        file.write(f'{{"resultCode": "0", "sipServiceIp": "{IP}", "sipServicePort": {PORT}, "agents": [\n')
        file.write(",\n".join(_agents(numbers, moved)))
        file.write("\n]}\n")


def _agents(numbers: Collection[int], moved: int) -> Iterator[str]:
    for place, number in enumerate(numbers):
        found = person(number)
        sip = f"9{found.sip[1:]}" if moved and place % moved == 0 else found.sip
        record = {"workNo": found.work_no, "accountCode": found.login, "sipAccount": sip}
        yield json.dumps(record | {"sipPwd": f"made-up-{number}"})
