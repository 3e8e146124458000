"""`cec-connector serve` as a subprocess: its events as they come, its answers over HTTP, and its end."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.program import WARNINGS, environment

Event = dict[str, Any]
PATIENCE = 120
"""Seconds after which what a test waits for does not come any more, however slow the machine."""


def until(true: Callable[[], object]) -> None:
    """Wait until this is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"it did not come true within {PATIENCE} seconds"
        time.sleep(0.02)  # between two looks; how often it is looked decides nothing


def asked(url: str) -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, fault.read().decode()


class Served:
    """A `serve` that runs. `events` are all that it and its runs have logged so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[Event] = []
        self.text = ""
        self._coming: queue.Queue[Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.url = "http://" + self.next("serving")["address"]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.text += line
            if line.startswith("{"):
                self._coming.put(json.loads(line))
        self._coming.put(None)

    def next(self, *names: str, **facts: object) -> Event:
        """The next event of one of these names with these facts, of those that were not asked for yet."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(queue.Empty):
            while (event := self._coming.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
                self.events.append(event)
                if event["event"] in names and all(event.get(key) == value for key, value in facts.items()):
                    return event
        raise AssertionError(f"there was no {names} {facts}:\n{self.text}")

    def ever(self, name: str, **facts: object) -> Event:
        """An event of this name with these facts, also if it has come before others that were asked for."""
        for event in self.events:
            if event["event"] == name and all(event.get(key) == value for key, value in facts.items()):
                return event
        return self.next(name, **facts)

    def fresh(self) -> Event:
        """The end of a run that has begun after this moment; for one job alone."""
        now = datetime.now(UTC)
        while datetime.fromisoformat(self.next("run started")["timestamp"]) < now:
            pass
        return self.next("run ended")

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer."""
        return asked(self.url + path)

    def metric(self, name: str, **labels: str) -> float | None:
        """A sample's value."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"cec_connector_{name}{{") and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                return float(line.rpartition(" ")[2])
        return None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and wait for its end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        while not self._coming.empty():
            event = self._coming.get()
            if event is not None:
                self.events.append(event)
        assert "canary" not in self.text
        assert "Traceback" not in self.text, self.text
        return code

    def names(self, *wanted: str) -> list[str]:
        """The events of these names, in their order."""
        return [event["event"] for event in self.events if event["event"] in wanted]


@contextlib.contextmanager
def serving(
    folder: Path,
    *jobs: str,
    env: Mapping[str, str] | None = None,
    level: str = "info",
    entry: Sequence[str | Path] = ("-m", "connector"),
) -> Iterator[Served]:
    """`serve` these jobs on a free port; it is killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, *WARNINGS, *entry, "--log-level", level, "serve", *jobs, "--listen", "127.0.0.1:0"],
        cwd=folder,
        env=environment(env or {}),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()
