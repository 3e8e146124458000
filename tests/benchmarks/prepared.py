"""The requests that any client has to make for a plan's changes, as octets in files: see `bare_ldap.py`.

That is to bind, to look every agent's user up by one rule, to look for holders of every unique value, and to write. The
searches ask for as many keys at once as the program's do, and for the attributes that the mapping names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from connector.directories.common.ldap_filters import Equal, Or
from connector.directories.ldap import ber, requests
from connector.directories.ldap.requests import EditKind, Search, SearchScope, encode_modification
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD

NUMBER = "SIPIdentityUserName"
KEYS, SEARCHES, WRITES = 64, 4, 256
"""Keys of one search, and how many searches and how many writes are in flight."""


def prepare_requests(folder: Path, plan: Path, port: int, attributes: tuple[str, ...]) -> Path:
    """Write them, and what the replay is told of them."""
    changes = json.loads(plan.read_bytes())["changes"]
    accounts = [change["agent"]["accountCode"] for change in changes]
    seats = [str(change["agent"]["workNo"]) for change in changes]
    numbers = [each["new"][0] for change in changes for each in change["attributes"] if each["name"] == NUMBER]
    stages = {
        "bind": (1, [_bind()]),
        "find": (SEARCHES, _searches("uid", accounts, attributes)),
        "hold-seats": (SEARCHES, _searches("cecWorkNo", seats, attributes)),
        "hold-numbers": (SEARCHES, _searches(NUMBER, numbers, attributes)),
        "write": (WRITES, map(_modify, changes)),
    }
    listed = []
    for name, (window, operations) in stages.items():
        file = folder / f"requests-{name}"
        file.write_bytes(b"".join(requests.encode_message(number, each) for number, each in enumerate(operations, 1)))
        listed.append([str(file), window])
    told = folder / "requests.json"
    told.write_text(json.dumps({"host": "127.0.0.1", "port": port, "stages": listed}))
    return told


def _bind() -> bytes:
    """RFC 4511 §4.2, with a password."""
    name, password = ber.encode_tlv(ber.OCTETS, SYNC.encode()), ber.encode_tlv(0x80, SYNC_PASSWORD.encode())
    return ber.encode_sequence((ber.encode_integer(3), name, password), 0x60)


def _searches(attribute: str, values: Iterable[str], attributes: tuple[str, ...]) -> Iterator[bytes]:
    rest = iter(values)
    while some := tuple(Equal(attribute, value.encode()) for value in islice(rest, KEYS)):
        yield requests.encode_search(Search(PEOPLE, SearchScope.SUBTREE, Or(some), (*attributes, "entryUUID")))


def _modify(change: dict[str, Any]) -> bytes:
    edits = [
        encode_modification(EditKind.ADD, each["name"], tuple(value.encode() for value in each["new"]))
        for each in change["attributes"]
    ]
    return requests.encode_modify(change["user"]["name"], edits)
