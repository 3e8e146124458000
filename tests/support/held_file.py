"""The program on a disk that hangs: whoever opens a file of one name waits while there is a gate beside it.

    python -P tests/support/held_file.py NAME ARGUMENTS...

A gate is a pipe, NAME.gate. To open it for writing waits until the program has come to the file; to close it lets the
program go on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from connector.cli.main import main as program

_open = os.open


def gate_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.gate")


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Begin when the program has come to this file, and keep it there as long as this lasts."""
    gate = gate_of(file)
    with gate.open("w"):
        gate.unlink()
        yield


def set_gate(file: Path) -> None:
    """From now on whoever opens this file waits."""
    os.mkfifo(gate_of(file))


def entry(file: str) -> tuple[str, ...]:
    """How Python is told to run the program so."""
    return ("-P", __file__, file)


def main(name: str) -> None:
    def waiting(path: Any, *args: Any, **more: Any) -> int:
        gate = gate_of(Path(os.fsdecode(path))) if isinstance(path, str | bytes | Path) else None
        if gate is not None and gate.name == f"{name}.gate" and gate.exists():
            reader = _open(gate, os.O_RDONLY)
            os.read(reader, 1)  # until the gate is closed
            os.close(reader)
        return _open(path, *args, **more)

    with patch("os.open", waiting):
        program()


if __name__ == "__main__":
    held_name = sys.argv.pop(1)
    main(held_name)
