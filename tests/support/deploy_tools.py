"""The tools that these tests call: those of `.venv-deploy`, and the container engine of `scripts/engine`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
TOOLS = PROJECT / ".venv-deploy" / "bin"
ENGINE = PROJECT / "scripts" / "engine"
IMAGE = "cec-connector"
NO_SHELL = [f"--volume=/dev/null:/usr/bin/{shell}:ro" for shell in ("bash", "dash")]
HARDENED = [
    "--network=host", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp", *NO_SHELL,
]  # fmt: skip
NOBODY = 10001


def call(*command: str | Path, code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """The output of a command, which has to end with this code."""
    ran = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == code, f"{command} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


def engine(*arguments: str | Path, code: int = 0) -> str:
    """The same of Docker, or of what stands in for it."""
    return call(ENGINE, *arguments, code=code)


def template_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The template of the one pod that there is."""
    specs = [document.get("spec", {}) for document in found]
    (template,) = [
        inner["template"] for spec in specs if "template" in (inner := spec.get("jobTemplate", {}).get("spec", spec))
    ]
    made: dict[str, Any] = template
    return made


def pod_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod that is made from that template."""
    spec: dict[str, Any] = template_of(found)["spec"]
    return spec


def documents(path: Path) -> list[dict[str, Any]]:
    """What a file of YAML holds, one after the other."""
    return list(YAML(typ="safe").load_all(path))
