"""What the work comes to at its least in Python, where there is no C tool for it.

references.py json FILE    json.loads of a tenant, held
references.py ldif FILE    every line of an LDIF file, split at its colon
"""

from __future__ import annotations

import json
import sys


def held(path: str) -> None:
    """Parse a tenant, and hold it."""
    with open(path, "rb") as file:  # noqa: PTH123  # pathlib would be a part of what is measured
        answer = json.loads(file.read())
    print(len(answer["agents"]), 0)


def passed(path: str) -> None:
    """Read an LDIF file, line by line."""
    entries = lines = 0
    with open(path, "rb") as file:  # noqa: PTH123  # as above
        for line in file:
            name, _, value = line.partition(b": ")
            lines += bool(value)
            entries += name == b"dn"
    print(entries, lines)


{"json": held, "ldif": passed}[sys.argv[1]](sys.argv[2])
