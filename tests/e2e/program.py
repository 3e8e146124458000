"""The program as its users run it: a subprocess, with exit code, standard output and standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WARNINGS = ["-Werror", "-Wignore:tagMap:DeprecationWarning", "-Wignore:typeMap:DeprecationWarning"]
"""Warnings are errors, but for the two names that ldap3 2.9.1 imports and pyasn1 has renamed."""


@dataclass(frozen=True)
class Ended:
    """What a run of the program came to."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def program(*arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run `cec-connector` in a folder, with no more of this environment than it needs."""
    keep = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "LANG", "HOME"}}
    done = subprocess.run(
        [sys.executable, *WARNINGS, "-m", "connector", *map(str, arguments)],
        cwd=folder,
        env=keep | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
