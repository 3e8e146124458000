"""The same work with bonsai, a binding of OpenLDAP's own C library, as its users write it.

plain_bonsai.py scan | find | write    with what each needs as JSON behind it
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

bonsai: Any = import_module("bonsai")  # by name, since only the rivals' own Python has it


def _connection(wanted: dict[str, Any]) -> Any:
    directory = wanted["directory"]
    client = bonsai.LDAPClient(directory["urls"][0])
    client.set_credentials("SIMPLE", user=directory["bind_dn"], password=os.environ["LDAP_PASSWORD"])
    return client.connect()


def _values(entry: Any) -> int:
    return sum(len(held) for _, held in entry.items(exclude_dn=True))


def scan(wanted: dict[str, Any]) -> None:
    """Read all users."""
    directory = wanted["directory"]
    entries = values = 0
    with _connection(wanted) as connection:
        for entry in connection.paged_search(
            directory["base"],
            bonsai.LDAPSearchScope.SUBTREE,
            directory["filter"],
            [*wanted["attributes"], "entryUUID"],
            page_size=1000,
        ):
            entries += 1
            values += _values(entry)
    print(entries, values)


def find(wanted: dict[str, Any]) -> None:
    """One search a key."""
    directory = wanted["directory"]
    attributes = [*wanted["attributes"], "entryUUID"]
    entries = values = 0
    with _connection(wanted) as connection:
        for key in Path(wanted["keys"]).read_text().splitlines():
            filter_ = f"(&{directory['filter']}(uid={key}))"
            for entry in connection.search(directory["base"], bonsai.LDAPSearchScope.SUBTREE, filter_, attributes):
                entries += 1
                values += _values(entry)
    print(entries, values)


def write(wanted: dict[str, Any]) -> None:
    """One modify an entry."""
    changes = json.loads(Path(wanted["plan"]).read_bytes())["changes"]
    written = 0
    with _connection(wanted) as connection:
        for change in changes:
            entry = bonsai.LDAPEntry(change["user"]["name"], connection)
            for each in change["attributes"]:
                for edit, side in ((bonsai.LDAPModOp.DELETE, "old"), (bonsai.LDAPModOp.ADD, "new")):
                    if each[side]:
                        entry.change_attribute(each["name"], edit, *each[side])
            written += entry.modify()
    print(written, len(changes))


{"scan": scan, "find": find, "write": write}[sys.argv[1]](json.loads(sys.argv[2]))
