"""The program as its users run it: a subprocess, with exit code, standard output and standard error."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from tests.support.warm import Warm

WARNINGS = ["-Werror", "-Wignore::DeprecationWarning:ldap3.utils.asn1"]
"""Warnings are errors, but for names that ldap3 2.9.1 imports and pyasn1 has renamed."""


@dataclass(frozen=True)
class Ended:
    """What a run of the program came to."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


LONGEST = 120.0
"""Seconds that a run may take."""
_OURS = {"PATH", "PYTHONPATH", "LANG", "HOME"}
_BY_PYTHON = ("PYTHON", "LC_", "LANG")
"""Variables that Python itself reads, once, as it starts."""
_one_at_a_time = threading.Lock()


def program(*arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run `cec-connector` in a folder, with no more of this environment than it needs.

    It is forked off a process that has it loaded already, where that makes no difference; see `warm`.
    """
    if any(name.startswith(_BY_PYTHON) for name in env or {}) or not _one_at_a_time.acquire(blocking=False):
        with started(*arguments, folder=folder, env=env) as process:
            return ended(process)
    try:
        return Ended(*_warm().run([*map(str, arguments)], folder, environment(env or {}), LONGEST))
    finally:
        _one_at_a_time.release()


@cache
def _warm() -> Warm:
    made = Warm(*WARNINGS)
    atexit.register(made.close)
    return made


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """These variables, and of the tests' own no more than the program needs."""
    keep = {name: value for name, value in os.environ.items() if name in _OURS}
    return keep | dict(env)


@contextmanager
def started(
    *arguments: str | Path,
    folder: Path,
    env: Mapping[str, str] | None = None,
    under: Sequence[str] = (),
    entry: Sequence[str | Path] = ("-m", "connector"),
) -> Iterator[subprocess.Popen[str]]:
    """The same while it runs, `under` another command; it is killed at the end if it still does."""
    with subprocess.Popen(
        [*under, sys.executable, *WARNINGS, *entry, *map(str, arguments)],
        cwd=folder,
        env=environment(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def commands(group: click.Group, *before: str) -> list[tuple[str, ...]]:
    """Every command that there is, by its words."""
    context = click.Context(group)
    found = [before]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        here = (*before, name)
        found += commands(command, *here) if isinstance(command, click.Group) else [here]
    return found


def ended(process: subprocess.Popen[str]) -> Ended:
    """What it came to, once it has ended."""
    out, err = process.communicate(timeout=LONGEST)
    return Ended(process.returncode, out, err)


def to_its_end(terminal: int) -> bytes:
    """All that comes to a terminal until nobody has it open any more; it is closed."""
    seen = []
    try:
        while octets := os.read(terminal, 65536):
            seen.append(octets)
    except OSError:
        pass  # Linux tells the end of a terminal so
    os.close(terminal)
    return b"".join(seen)
