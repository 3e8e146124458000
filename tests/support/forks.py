"""Runs the program many times from one process that has imported it already: a run costs milliseconds to start.

Every run is a process of its own, forked off, that runs the whole command line. Requests and answers are lines of JSON
on standard input and output: `{"folder": …, "arguments": […]}`, and `{"code": …}`. What a run prints is left in its
folder, in the files `stdout` and `stderr`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.program import WARNINGS, Ended


class Forks:
    """The program, by way of a process that waits for requests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Forks]:
        command = [sys.executable, *WARNINGS, "-m", "tests.support.forks"]
        keep = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "LANG", "HOME"}}
        with subprocess.Popen(command, env=keep, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield cls(process)
            assert process.stdin
            process.stdin.close()  # the end of requests

    def program(self, *arguments: str, folder: Path) -> Ended:
        """Run `cec-connector` in a folder."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"folder": str(folder), "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())["code"]
        return Ended(code, *((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")))


def _run(folder: str, arguments: list[str]) -> None:
    """The program, as `python -m connector` would run it."""
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["cec-connector", *arguments]
    importlib.import_module("connector.cli.main").main()


def _serve() -> None:
    """Answer requests until there are no more."""
    for name in ("apply", "explain", "main", "plan", "release", "runs", "undo"):
        importlib.import_module(f"connector.cli.{name}")
    for name in ("connector.directories.ldif", "connector.sources.file", "connector.state.sqlite", "connector.sync"):
        importlib.import_module(name)
    importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _run(**json.loads(line))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    _serve()
