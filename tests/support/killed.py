"""Runs that are killed at a modify which a proxy before the server has seen."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

from tests.support.program import ended, started
from tests.support.states import database

Instant = tuple[str, int]
"""`before` the n-th modify reaches the server, or `after` the server has answered so many."""


class Killer:
    """Kills the process at the instant, and cuts its connection: a proxy's `meddle` and `acted`."""

    def __init__(self, instant: Instant) -> None:
        self._kind, self._number = instant
        self._seen = {"before": 0, "after": 0}
        self._process: subprocess.Popen[str] | None = None

    def meddle(self, name: str, message: bytes) -> bytes:
        self._reach("before")
        return message

    def acted(self, name: str) -> None:
        self._reach("after")

    def _reach(self, kind: str) -> None:
        self._seen[kind] += 1
        if (kind, self._seen[kind]) == (self._kind, self._number):
            assert self._process is not None
            self._process.kill()
            self._process.wait()
            raise ConnectionResetError

    def apply(self, folder: Path, password: str) -> None:
        """Run an apply of the folder's job, which dies."""
        with started("apply", "job.yaml", folder=folder, env={"LDAP_PASSWORD": password}) as self._process:
            done = ended(self._process)
        assert done.code == -9, done.said


def left_open(folder: Path) -> int:
    """How many steps of the state in this folder have no outcome."""
    with closing(database(f"sqlite:///{folder / 'state.db'}")) as opened:
        ((count,),) = opened.rows("select count(*) from journal where outcome is null")
    assert isinstance(count, int)
    return count
