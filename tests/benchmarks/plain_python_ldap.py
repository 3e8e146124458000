"""The same work with python-ldap, a binding of OpenLDAP's own C library, as its users write it.

plain_python_ldap.py scan | find | write    with what each needs as JSON behind it
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# by name, since the project does without it: where it is not installed, this script is left out
ldap: Any = import_module("ldap")
controls: Any = import_module("ldap.controls")


def _connection(wanted: dict[str, Any]) -> Any:
    connection = ldap.initialize(wanted["directory"]["urls"][0])
    connection.simple_bind_s(wanted["directory"]["bind_dn"], os.environ["LDAP_PASSWORD"])
    return connection


def scan(wanted: dict[str, Any]) -> None:
    """Read all users."""
    connection = _connection(wanted)
    directory = wanted["directory"]
    attributes = [*wanted["attributes"], "entryUUID"]
    page = controls.SimplePagedResultsControl(True, size=1000, cookie=b"")
    entries = values = 0
    while True:
        number = connection.search_ext(
            directory["base"], ldap.SCOPE_SUBTREE, directory["filter"], attributes, serverctrls=[page]
        )
        _, found, _, answered = connection.result3(number)
        for _, held in found:
            entries += 1
            values += sum(map(len, held.values()))
        page.cookie = answered[0].cookie
        if not page.cookie:
            break
    print(entries, values)


def find(wanted: dict[str, Any]) -> None:
    """One search a key."""
    connection = _connection(wanted)
    directory = wanted["directory"]
    entries = values = 0
    for key in Path(wanted["keys"]).read_text().splitlines():
        filter_ = f"(&{directory['filter']}(uid={key}))"
        for _, held in connection.search_s(
            directory["base"], ldap.SCOPE_SUBTREE, filter_, [*wanted["attributes"], "entryUUID"]
        ):
            entries += 1
            values += sum(map(len, held.values()))
    print(entries, values)


def write(wanted: dict[str, Any]) -> None:
    """One modify an entry."""
    connection = _connection(wanted)
    changes = json.loads(Path(wanted["plan"]).read_bytes())["changes"]
    for change in changes:
        edits = [
            (edit, each["name"], [value.encode() for value in each[side]])
            for each in change["attributes"]
            for edit, side in ((ldap.MOD_DELETE, "old"), (ldap.MOD_ADD, "new"))
            if each[side]
        ]
        connection.modify_s(change["user"]["name"], edits)
    print(len(changes), len(changes))


{"scan": scan, "find": find, "write": write}[sys.argv[1]](json.loads(sys.argv[2]))
