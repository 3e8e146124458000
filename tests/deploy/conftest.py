"""What tests of the image share: the image itself, built once."""

from __future__ import annotations

import subprocess

import pytest

from connector import __version__
from tests.support.deploy_tools import DEPLOY, IMAGE, PROJECT, engine


@pytest.fixture(scope="session")
def image() -> None:
    """Built as docs/container.md says it."""
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    arguments = ["--build-arg", f"VERSION={__version__}", "--build-arg", f"REVISION={revision.stdout.strip()}"]
    engine("build", *arguments, "-f", DEPLOY / "Dockerfile", "-t", IMAGE, PROJECT)
