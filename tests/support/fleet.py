"""A folder of job files for a fleet, with what the files name; and the program on it."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from tests.support.jobs import file, file_source, job_file, ldif_directory
from tests.support.program import LONGEST, Ended, program
from tests.support.temporal import Temporal

STATE = "postgresql://cec@db.example.org/cec"


class Fleet:
    """A folder with `fleet.yaml`, for a namespace of its own in a Temporal."""

    def __init__(self, folder: Path, server: Temporal, **more: Any) -> None:
        self.folder, self.server, self.namespace = folder, server, server.namespace()
        for name in ("agents.json", "people.ldif", "key"):
            (folder / name).touch()
        self.configure(**more)

    def configure(self, **more: Any) -> None:
        """Write the fleet file."""
        said = {"address": self.server.address, "namespace": self.namespace} | more
        (self.folder / "fleet.yaml").write_text(json.dumps(said))

    def job(self, name: str, **more: Any) -> Path:
        """Write a job file; `serve` is its schedule."""
        said = {"mapping": "ldif", "state": STATE, "key": file("key")} | more
        path = self.folder / f"{name}.yaml"
        path.write_text(job_file(ldif_directory(), source=file_source(), **said))
        return path

    def schedule(self, *options: str) -> Ended:
        """`fleet schedule` of the folder."""
        return program("fleet", "schedule", ".", *options, folder=self.folder)

    def temporal(self, *words: str) -> Any:
        """What Temporal's own command says of a schedule in the namespace."""
        return self.server.json(*words, "--namespace", self.namespace)

    def described(self, job: str) -> Any:
        """The schedule of a job as the server has it."""
        return self.temporal("schedule", "describe", "--schedule-id", f"cec-connector/{job}")

    def lists(self, ids: set[str]) -> None:
        """Hold the server's list of schedules in the namespace to these ids. It lags behind what was made."""
        end = time.monotonic() + LONGEST
        while (found := self._listed()) != ids and time.monotonic() < end:
            time.sleep(0.1)
        assert found == ids

    def _listed(self) -> set[str]:
        return {each["scheduleId"] for each in self.temporal("schedule", "list") or []}


def told(payload: dict[str, Any]) -> Any:
    """What a payload of Temporal's JSON says."""
    return json.loads(base64.b64decode(payload["data"]))
