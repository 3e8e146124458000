"""The program's own LDAP adapter and no more: the reader alone, the writer alone.

    our_ldap.py scan | dump | find | write    with what each needs as JSON behind it

Says on standard output how much it did, so that it can be held to what the others did.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from connector.directories.ldap.adapter import LdapDirectory
from connector.directories.ldap.reader import LdapReader
from connector.model import AgentRef, AttributeChange, Change, Secret, User, UserRef, View
from connector.settings.ldap import LdapDirectory as Settings


def _parts(wanted: dict[str, Any]) -> tuple[Settings, Secret, View]:
    password = Secret(os.environ["LDAP_PASSWORD"])
    return Settings.model_validate(wanted["directory"]), password, View(tuple(wanted["attributes"]))


def _times(wanted: dict[str, Any]) -> range:
    return range(int(wanted.get("times", 1)))


def _counted(users: Iterable[User]) -> None:
    entries = values = 0
    for user in users:
        entries += 1
        values += 1  # its id
        for held in user.values.values():
            values += len(held)
    print(entries, values)


def scan(wanted: dict[str, Any]) -> None:
    """Read all users, as often as is wanted."""
    reader = LdapReader(*_parts(wanted))
    _counted(chain.from_iterable(reader.scan() for _ in _times(wanted)))
    reader.close()


def dump(wanted: dict[str, Any]) -> None:
    """All users as LDIF, to be compared with what ldapsearch prints."""
    for user in LdapReader(*_parts(wanted)).scan():
        lines = [f"dn: {user.name}", f"entryUUID: {user.id}"]
        lines += [f"{name}: {value!s}" for name, held in user.values.items() for value in held]
        print("\n".join(lines), end="\n\n")


def find(wanted: dict[str, Any]) -> None:
    """Look users up by the keys in a file, one a line, as often as is wanted."""
    reader = LdapReader(*_parts(wanted))
    keys = [("uid", line) for line in Path(wanted["keys"]).read_text().splitlines()]
    _counted(chain.from_iterable(reader.find(iter(keys)) for _ in _times(wanted)))
    reader.close()


def write(wanted: dict[str, Any]) -> None:
    """Write the changes of a plan document, without verifying them and without a journal."""
    directory = LdapDirectory(*_parts(wanted))
    results = Counter(outcome.result.value for outcome in directory.write(_changes(Path(wanted["plan"]))))
    directory.close()
    print(results["written"], sum(results.values()))


def _changes(path: Path) -> Iterator[Change]:
    for change in json.loads(path.read_bytes())["changes"]:
        attributes = (
            AttributeChange(each["name"], tuple(each["old"]), tuple(each["new"])) for each in change["attributes"]
        )
        agent = AgentRef(change["agent"]["workNo"], change["agent"]["accountCode"])
        yield Change(UserRef(**change["user"]), agent, change["rule"], tuple(attributes))


if __name__ == "__main__":
    {"scan": scan, "dump": dump, "find": find, "write": write}[sys.argv[1]](json.loads(sys.argv[2]))
