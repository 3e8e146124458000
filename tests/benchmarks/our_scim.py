"""The program's own SCIM adapter and no more: it reads the users as a plan does, and writes the changes of one.

    our_scim.py write TOLD.json    {"directory", "attributes", "plan"}

Says on standard output how many were written, of how many, and the seconds of wall and processor of the writing alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.transport import HttpTransport
from connector.model import AgentRef, AttributeChange, Change, Secret, UserRef, View
from connector.settings.scim import ScimDirectory as Settings


def write(told: dict[str, Any]) -> None:
    """Write the changes of a plan document, without a journal."""
    settings = Settings.model_validate(told["directory"])
    transport = HttpTransport(settings, Secret(told["token"]))
    changes = list(_changes(Path(told["plan"])))
    with closing(ScimDirectory(settings, transport, View(tuple(told["attributes"])))) as directory:
        directory.describe()
        read = sum(1 for _ in directory.find(("userName", change.user.name) for change in changes))
        if read != len(changes):
            raise RuntimeError(f"{read} of {len(changes)} users were found")
        begun, used = time.perf_counter(), time.process_time()
        results = Counter(outcome.result.value for outcome in directory.write(changes))
        wall, cpu = time.perf_counter() - begun, time.process_time() - used
        print(results["written"], sum(results.values()), wall, cpu)


def _changes(path: Path) -> Iterator[Change]:
    for change in json.loads(path.read_bytes())["changes"]:
        attributes = (
            AttributeChange(each["name"], tuple(each["old"]), tuple(each["new"])) for each in change["attributes"]
        )
        agent = AgentRef(change["agent"]["workNo"], change["agent"]["accountCode"])
        yield Change(UserRef(**change["user"]), agent, change["rule"], tuple(attributes))


if __name__ == "__main__":
    {"write": write}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_bytes()))
