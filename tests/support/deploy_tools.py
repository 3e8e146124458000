"""The tools that these tests call: those of `.venv-deploy`, and the container engine of `scripts/engine`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
TOOLS = PROJECT / ".venv-deploy" / "bin"
ENGINE = PROJECT / "scripts" / "engine"


def call(*command: str | Path, code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """The output of a command, which has to end with this code."""
    ran = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == code, f"{command} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


def engine(*arguments: str | Path, code: int = 0) -> str:
    """The same of Docker, or of what stands in for it."""
    return call(ENGINE, *arguments, code=code)
