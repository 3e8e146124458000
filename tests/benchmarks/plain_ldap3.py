"""The same work with ldap3, as its users write it: paged search, one search a key, one modify an entry.

plain_ldap3.py scan | find | write    with what each needs as JSON behind it
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore", DeprecationWarning)  # ldap3 2.9.1 imports names that pyasn1 has renamed

from ldap3 import MODIFY_ADD, MODIFY_DELETE, Connection, Server  # noqa: E402  # after the filter, for its imports


def _connection(wanted: dict[str, Any]) -> Any:
    directory = wanted["directory"]
    return Connection(Server(directory["urls"][0]), directory["bind_dn"], os.environ["LDAP_PASSWORD"], auto_bind=True)


def _values(attributes: Any) -> int:
    return sum(len(value) if isinstance(value, list) else 1 for value in attributes.values())


def scan(wanted: dict[str, Any]) -> None:
    """Read all users."""
    connection = _connection(wanted)
    entries = values = 0
    for entry in connection.extend.standard.paged_search(
        wanted["directory"]["base"],
        wanted["directory"]["filter"],
        attributes=[*wanted["attributes"], "entryUUID"],
        paged_size=1000,
        generator=True,
    ):
        entries += 1
        values += _values(entry["attributes"])
    print(entries, values)


def find(wanted: dict[str, Any]) -> None:
    """One search a key."""
    connection = _connection(wanted)
    directory = wanted["directory"]
    entries = values = 0
    for key in Path(wanted["keys"]).read_text().splitlines():
        connection.search(
            directory["base"],
            f"(&{directory['filter']}(uid={key}))",
            attributes=[*wanted["attributes"], "entryUUID"],
        )
        for entry in connection.response:
            entries += 1
            values += _values(entry["attributes"])
    print(entries, values)


def write(wanted: dict[str, Any]) -> None:
    """One modify an entry."""
    connection = _connection(wanted)
    changes = json.loads(Path(wanted["plan"]).read_bytes())["changes"]
    written = 0
    for change in changes:
        edits: dict[str, list[Any]] = {each["name"]: [] for each in change["attributes"]}
        for each in change["attributes"]:
            for edit, side in ((MODIFY_DELETE, "old"), (MODIFY_ADD, "new")):
                if each[side]:
                    edits[each["name"]].append((edit, each[side]))
        written += connection.modify(change["user"]["name"], edits)
    print(written, len(changes))


{"scan": scan, "find": find, "write": write}[sys.argv[1]](json.loads(sys.argv[2]))
