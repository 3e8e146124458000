"""A module of the tests as a process of its own, which works until it is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.warm import PROJECT


@contextmanager
def working(module: str, *arguments: str) -> Iterator[None]:
    """Such a process, from the project's folder."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=PROJECT, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.kill()
