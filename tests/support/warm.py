"""A process that has the program loaded already, and forks off a process of its own for each run of it.

To start Python and to import the program takes ten times as long as most runs of the tests (measured: 0.18 seconds of
processor instead of 0.02). What is forked off has its own folder, environment, arguments and streams, runs the whole
command line, and ends with its exit code; it is not taken down in order.

`Warm` is asked in the tests' process; this module is what it starts. What is asked, and answered, is JSON on a socket;
the files for standard output and standard error come along (unix(7), SCM_RIGHTS).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


class Warm:
    """Such a process, once it is asked to run something. Not for several threads at a time."""

    def __init__(self, *flags: str) -> None:
        """`flags`: what Python is started with."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, *flags, "-m", "tests.support.warm", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, cwd=PROJECT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip

    def run(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], seconds: float
    ) -> tuple[int, str, str]:
        """Its exit code, standard output and standard error. Raises TimeoutError after so many seconds."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            asked = json.dumps({"arguments": arguments, "folder": str(folder), "env": dict(env)}).encode()
            socket.send_fds(self._socket, [len(asked).to_bytes(4)], [out.fileno(), err.fileno()])
            self._socket.sendall(asked)
            self._socket.settimeout(seconds)
            pid = self._number()
            try:
                code = self._number()
            except TimeoutError:
                os.kill(pid, 9)
                raise
            return code, _text(out), _text(err)

    def _number(self) -> int:
        octets = self._socket.recv(4, socket.MSG_WAITALL)
        if not octets:
            raise RuntimeError(self._process.communicate()[1].decode())
        return int.from_bytes(octets, signed=True)

    def close(self) -> None:
        """Let it end."""
        self._socket.close()
        self._process.communicate(timeout=60)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode()).replace("\r\n", "\n")


def load() -> None:
    """Import all of the program but for the fleet's engine. First what asks whether it is at a terminal."""
    names = [module.name for module in pkgutil.walk_packages([str(PROJECT / "connector")], "connector.")]
    for name in ("connector.cli.observers", *names):
        if not name.endswith("__main__") and not name.startswith("connector.fleet."):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that what is forked off shares the memory


def become(folder: str, env: Mapping[str, str], arguments: Sequence[str], out: int, err: int) -> None:
    """Be the program from now on, as `python -m connector` would be."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    for number, stream in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, err)):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv = ["", *arguments]
    try:
        runpy.run_module("connector", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.main_thread():
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
        # to take everything down in order would copy all the memory that is shared, which takes as long as the run
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _serve(asking: socket.socket) -> dict[str, Any] | None:
    """Fork off what is asked for, until nobody asks any more; in the process that was forked off, what it is to be."""
    while True:
        octets, streams, _, _ = socket.recv_fds(asking, 4, 2)
        if not octets:
            return None
        request: dict[str, Any] = json.loads(asking.recv(int.from_bytes(octets), socket.MSG_WAITALL))
        pid = os.fork()
        if pid == 0:
            return request | {"out": streams[0], "err": streams[1]}
        for stream in streams:
            os.close(stream)
        asking.sendall(pid.to_bytes(4))
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            asking.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))


def main() -> None:
    """`python -m tests.support.warm DESCRIPTOR`."""
    load()
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        request = _serve(asking)
    if request is not None:
        become(**request)


if __name__ == "__main__":
    main()
