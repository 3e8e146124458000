"""A real PostgreSQL in a temporary folder, on loopback and a local socket: what the tests of the state talk to.

`Postgres.start()` gives a server that asks for a password over TCP and for none on its socket. The server refuses to
run as root, so that for root it runs as another user, in a folder that is that user's.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg
import trustme

from tests.support.own_process import OwnProcess
from tests.support.slapd import free_port

OWNER = "cec"
PASSWORD = "canary-of-postgres"

_CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 100
fsync = {fsync}
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
"""


def binaries() -> Path | None:
    """Where the newest server is: Debian keeps each version in a folder of its own, off the path. None: nowhere."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if found:
        return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


def missing() -> list[str]:
    """The tools of the server that are not here."""
    folder = binaries()
    return [name for name in ("postgres", "initdb") if folder is None or not (folder / name).exists()]


def as_somebody() -> dict[str, Any]:
    """For root, whom to be instead."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
    raise RuntimeError("neither postgres nor nobody is a user here, and PostgreSQL does not run as root")


class Postgres(OwnProcess):
    """One server. `stop()` ends it politely, `kill()` does not, `restart()` brings it back on the same port."""

    def __init__(self, *, fsync: bool = False) -> None:
        bin_ = binaries()
        if bin_ is None:
            raise RuntimeError("PostgreSQL is not here")
        self._bin = bin_
        self._somebody = as_somebody()
        self._fsync = fsync
        self.port = 0
        # not in pytest's folder, which is root's alone; and its path must be short, because a socket is in it
        self.folder = Path(tempfile.mkdtemp(prefix="cec-pg."))
        self.ca = self.folder / "ca.pem"
        authority = trustme.CA(organization_name="Example test authority")
        authority.cert_pem.write_to_path(self.ca)
        server = authority.issue_cert("localhost", common_name="localhost")
        server.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        server.private_key_pem.write_to_path(self.folder / "server.key")
        (self.folder / "server.key").chmod(0o600)
        if self._somebody:
            for path in (self.folder, self.folder / "server.key"):
                os.chown(path, self._somebody["user"], self._somebody["group"])

    @classmethod
    def start(cls, *, fsync: bool = False) -> Self:
        """Create an empty cluster, and start."""
        server = cls(fsync=fsync)
        try:
            server._create()
            for attempt in range(5):
                server.port = free_port()
                try:
                    server.restart()
                except RuntimeError:
                    if attempt == 4:
                        raise
                else:
                    break  # else somebody else has taken the port between its choice and its use
        except BaseException:
            server.close()
            raise
        return server

    def _create(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o644)  # within a folder that is closed to others
        # fmt: off
        command: list[str | Path] = [
            self._bin / "initdb", "--pgdata", self.folder / "data", "--username", OWNER, "--pwfile", password,
            "--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
        ]
        # fmt: on
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, check=False, **self._somebody
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def restart(self) -> None:
        """Start it on its port, and wait until it answers."""
        config = self.folder / "data" / "postgresql.conf"
        config.write_text(_CONFIG.format(port=self.port, folder=self.folder, fsync="on" if self._fsync else "off"))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data"],
                cwd=self.folder, env=self._environment(), stdout=log, stderr=log, **self._somebody,
            )  # fmt: skip
        deadline = time.monotonic() + 90
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)  # the server has no other sign of being ready than that it answers

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it, and wait for its end; its clients are told (fast shutdown)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it where it stands, as a crash would: the server's own immediate shutdown, which takes its children."""
        self._end(signal.SIGQUIT)

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
        super()._end(sign)

    def freeze(self) -> None:
        """Let it answer nothing any more: it takes connections, and no process of it goes on."""
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._tell(signal.SIGCONT)

    def _tell(self, sign: signal.Signals) -> None:
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)

    def close(self) -> None:
        """End it, and remove its folder: nothing is to be kept, so that nothing has to be written out first."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database: str) -> str:
        """A database, through the socket, where no password is asked for."""
        return f"postgresql://{OWNER}@/{database}?host={quote(str(self.folder), safe='')}&port={self.port}"

    def tcp_url(self, database: str, **parameters: str) -> str:
        """A database, over TCP, where a password is asked for; its certificate names localhost."""
        query = urlencode(parameters)
        return f"postgresql://{OWNER}@localhost:{self.port}/{database}" + (f"?{query}" if query else "")

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A connection of the test's own, in which every statement is a transaction."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def create(self, database: str, *options: str) -> str:
        """A new database, and its URL."""
        with self.connect("postgres") as db:
            db.execute(f'create database "{database}" {" ".join(options)}'.encode())
        return self.url(database)

    def run(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """A statement, and what it finds."""
        with self.connect(database) as db:
            cursor = db.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []
