"""A real PgBouncer in front of a PostgreSQL of the tests: on loopback, on a free port, in any of its modes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from tests.support.postgres import OWNER, Postgres, as_somebody
from tests.support.slapd import free_port

Mode = Literal["session", "transaction", "statement"]
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

_CONFIG = """
[databases]
* = host={server} port={server_port} user={owner}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
query_wait_timeout = 30
server_idle_timeout = 1
"""


def missing() -> list[str]:
    """The tools that are not here."""
    return [] if shutil.which("pgbouncer", path=_PATH) else ["pgbouncer"]


class Pooler:
    """One that runs; `url` is that of a database by way of it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str) -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{database}"


@contextmanager
def pooling(server: Postgres, mode: Mode, size: int = 10) -> Iterator[Pooler]:
    """A pooler that keeps so many sessions of the server for each database."""
    folder = Path(tempfile.mkdtemp(prefix="cec-pooler."))
    somebody = as_somebody()
    try:
        for attempt in range(5):
            port = free_port()
            config = folder / "pgbouncer.ini"
            said = {"server": server.folder, "server_port": server.port, "owner": OWNER}
            config.write_text(_CONFIG.format(port=port, mode=mode, size=size, **said))
            folder.chmod(0o755)
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [shutil.which("pgbouncer", path=_PATH) or "pgbouncer", config], stdout=log, stderr=log, **somebody
                )
            try:
                if _listens(process, port):
                    yield Pooler(port)
                    return
                if attempt == 4:  # else somebody else has taken the port between its choice and its use
                    raise RuntimeError((folder / "log").read_text())
            finally:
                process.kill()
                process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return True
        time.sleep(0.02)  # it has no other sign of being ready than that it answers
    return False
