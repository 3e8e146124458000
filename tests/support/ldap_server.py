"""What every LDAP server of the tests has in common: a process of its own, and an administrator with Debian's tools."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

import trustme

from tests.support.own_process import OwnProcess

SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
ADMIN_PASSWORD = "admin-pass"
SYNC = f"uid=sync,ou=services,{SUFFIX}"
SYNC_PASSWORD = "sync-pass"


@cache
def authority() -> tuple[trustme.CA, trustme.LeafCert, trustme.LeafCert]:
    """One authority a test run, a server certificate for loopback's names, and a client's."""
    trusted = trustme.CA(organization_name="Example test authority")
    server = trusted.issue_cert("localhost", "127.0.0.1", common_name="localhost")
    return trusted, server, trusted.issue_cert("sync.example.org", common_name="sync")


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LdapServer(OwnProcess, ABC):
    """One server. `stop()` ends it politely, `kill()` does not, `restart()` brings it back on the same ports."""

    folder: Path
    port: int
    tls_port: int
    url: str
    ldaps_url: str
    ca: Path
    host = "127.0.0.1"
    admin, admin_password, suffix = ADMIN, ADMIN_PASSWORD, SUFFIX

    @abstractmethod
    def _addresses(self) -> None:
        """Choose free ports."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it in the foreground."""

    def begin(self) -> Self:
        """Start it; where somebody else has taken a port between its choice and its use, on others."""
        for _ in range(5):
            with suppress(RuntimeError):
                self.restart()
                return self
            self._addresses()
        self.restart()
        return self

    def restart(self) -> None:
        """Start it on its ports, and wait until it answers."""
        output = self.folder / "server.log"
        with output.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 90
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(output.read_text())
            time.sleep(0.01)  # no server has another sign of being ready than that it answers

    def _answers(self) -> bool:
        """Whether it lets its administrator in.

        An open port says less: a server may open its others later, or end itself after the first one. And who answers
        there may be a server of another test process; it has another authority.
        """
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                pass
            self._tool(["ldapsearch", "-b", "", "-s", "base", "1.1"], "", patience=30)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, ldif: str) -> None:
        """Add entries as the administrator."""
        self._tool(["ldapadd"], ldif)

    def modify(self, ldif: str) -> None:
        """Change entries as the administrator."""
        self._tool(["ldapmodify"], ldif)

    def search(self, *arguments: str, base: str | None = None) -> bytes:
        """What the administrator sees, as LDIF without line folding."""
        return self._tool(
            ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", self.suffix if base is None else base, *arguments], ""
        )

    @property
    def admin_url(self) -> str:
        """Where the administrator's tools talk to it."""
        return f"ldaps://{self.host}:{self.tls_port}"

    def _tool(self, command: list[str], text: str, patience: float | None = None) -> bytes:
        login = ["-x", "-H", self.admin_url, "-D", self.admin, "-w", self.admin_password]
        environment = {**os.environ, "LDAPTLS_CACERT": str(self.ca)}
        full = [command[0], *login, *command[1:]]
        done = subprocess.run(
            full, input=text.encode(), env=environment, capture_output=True, check=False, timeout=patience
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return done.stdout
