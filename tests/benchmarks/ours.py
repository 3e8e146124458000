"""The program's own adapters and no more: the reader alone, the writer alone, the source alone.

    ours.py scan | dump | find | write | parse    with what each needs as JSON behind it

Says on standard output how much it did, so that it can be held to what the others did.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def _settings(wanted: dict[str, Any]) -> Any:
    from connector.settings.job import LdapDirectory

    return LdapDirectory.model_validate(wanted["directory"])


def _reader(wanted: dict[str, Any]) -> Any:
    import os

    from connector.directories.ldap.adapter import LdapReader
    from connector.model import Secret, View

    password = Secret(os.environ["LDAP_PASSWORD"])
    return LdapReader(_settings(wanted), password, View(tuple(wanted["attributes"])))


def _counted(users: Iterable[Any]) -> None:
    entries = values = 0
    for user in users:
        entries += 1
        values += 1  # its id
        for held in user.values.values():
            values += len(held)
    print(entries, values)


def scan(wanted: dict[str, Any]) -> None:
    """Read all users."""
    reader = _reader(wanted)
    _counted(reader.scan())
    reader.close()


def dump(wanted: dict[str, Any]) -> None:
    """All users as LDIF, to be compared with what ldapsearch prints."""
    for user in _reader(wanted).scan():
        lines = [f"dn: {user.name}", f"entryUUID: {user.id}"]
        lines += [f"{name}: {value}" for name, held in user.values.items() for value in held]
        print("\n".join(lines), end="\n\n")


def find(wanted: dict[str, Any]) -> None:
    """Look users up by the keys in a file, one a line."""
    reader = _reader(wanted)
    keys = (("uid", line) for line in Path(wanted["keys"]).read_text().splitlines())
    _counted(reader.find(keys))
    reader.close()


def write(wanted: dict[str, Any]) -> None:
    """Write the changes of a plan document, without verifying them and without a journal."""
    import os
    from collections import Counter

    from connector.directories.ldap.adapter import LdapDirectory
    from connector.model import Secret, View

    password = Secret(os.environ["LDAP_PASSWORD"])
    directory = LdapDirectory(_settings(wanted), password, View(tuple(wanted["attributes"])))
    results = Counter(outcome.result.value for outcome in directory.write(_changes(Path(wanted["plan"]))))
    directory.close()
    print(results["written"], sum(results.values()))


def _changes(path: Path) -> Iterator[Any]:
    from connector.model import AgentRef, AttributeChange, Change, UserRef

    for change in json.loads(path.read_bytes())["changes"]:
        yield Change(
            UserRef(**change["user"]),
            AgentRef(change["agent"]["workNo"], change["agent"]["accountCode"]),
            change["rule"],
            tuple(
                AttributeChange(each["name"], tuple(each["old"]), tuple(each["new"])) for each in change["attributes"]
            ),
        )


def parse(wanted: dict[str, Any]) -> None:
    """Parse and validate a tenant, and hold it."""
    from connector.sources.file import FileSource

    tenant = FileSource(Path(wanted["agents"]), 1 << 30).read()
    print(len(tenant.agents), len(tenant.invalid))


if __name__ == "__main__":
    {"scan": scan, "dump": dump, "find": find, "write": write, "parse": parse}[sys.argv[1]](json.loads(sys.argv[2]))
