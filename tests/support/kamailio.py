"""A real SIP registrar, Kamailio, on loopback, and softphones for it: sipsak, and one that rings.

Kamailio runs the configuration of `deploy/kamailio` as it is; only the directory's address, the registrar's account and
the port are the test's. It reads the directory over TLS.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.support.ldap_server import LdapServer

DEPLOYED = Path(__file__).parents[2] / "deploy" / "kamailio"
HOST = "127.0.0.1"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_MODULES = Path("/usr/lib")


def missing() -> list[str]:
    """What the tests call and is not here."""
    lacking = [name for name in ("kamailio", "sipsak") if shutil.which(name, path=_PATH) is None]
    return lacking or [] if any(_MODULES.glob("**/kamailio/modules/h350.so")) else [*lacking, "Kamailio's module h350"]


class Registrar:
    """One that runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def log(self) -> str:
        """What Kamailio has said so far."""
        return (self.folder / "log").read_text()


@contextmanager
def registrar(folder: Path, server: LdapServer, account: str, password: str, base: str) -> Iterator[Registrar]:
    """A registrar that reads this server by this account; at the end none of its processes is left."""
    folder.mkdir()
    settings = (DEPLOYED / "ldap.cfg").read_text()
    for shipped, here in (
        ("ldaps://ldap.example.org", f"ldaps://{server.host}:{server.tls_port}"),
        ("cn=sip-registrar,ou=services,dc=example,dc=org", account),
        ("change-me", password),
    ):
        assert settings.count(f'"{shipped}"') == 1
        settings = settings.replace(f'"{shipped}"', f'"{here}"')
    (folder / "ldap.cfg").write_text(settings)
    process, port = _started(folder, server.ca, base)
    try:
        yield Registrar(folder, port)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        left = _group_lives(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        assert not left, "Kamailio left a process behind"


def _started(folder: Path, authority: Path, base: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start it; where somebody else has taken the port between its choice and its use, on another."""
    for _ in range(5):
        port = _free_udp_port()
        command = [
            shutil.which("kamailio", path=_PATH) or "kamailio", "-DD", "-E", "-m", "16", "-M", "4",
            "-Y", str(folder), "-w", str(folder), "-f", str(DEPLOYED / "kamailio.cfg"), "-l", f"udp:{HOST}:{port}",
            "-A", f'LDAP_CFG="{folder / "ldap.cfg"}"', "-A", f'BASE="{base}"',
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "LDAPTLS_CACERT": str(authority)},
            )  # fmt: skip
        if _answers(process, port):
            return process, port
        process.kill()
        process.wait(20)
    raise RuntimeError((folder / "log").read_text())


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if sipsak("-s", f"sip:{HOST}:{port}", "-D", "1").returncode == 0:
            return True
        time.sleep(0.02)  # it has no other sign of being ready than that it answers
    return False


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def sipsak(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Send a request; 0 where it was accepted."""
    return subprocess.run(
        ["sipsak", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        check=False, timeout=60,
    )  # fmt: skip


class Phone:
    """A softphone of a few lines (RFC 3261 over UDP, digest of RFC 2617): it registers, calls, and rings."""

    def __init__(self, registrar: Registrar, number: str, password: str) -> None:
        self._number, self._password = number, password
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(20)
        self._socket.bind((HOST, 0))
        self._socket.connect((HOST, registrar.port))
        self._here = "{}:{}".format(*self._socket.getsockname())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def register(self) -> int:
        """The status of the registrar's final answer."""
        return self._ask("REGISTER", f"sip:{HOST}", self._number)

    def call(self, number: str) -> int:
        """The status of the final answer to an INVITE."""
        return self._ask("INVITE", f"sip:{number}@{HOST}", number)

    def ring(self) -> str:
        """Wait for a call, say that we are busy, and tell who calls."""
        lines = self._socket.recv(65535).decode().split("\r\n")
        assert lines[0].startswith("INVITE "), lines
        kept = [
            line for line in lines if line.startswith(("Via:", "From:", "To:", "Call-ID:", "CSeq:", "Record-Route:"))
        ]
        self._socket.send("\r\n".join(["SIP/2.0 486 Busy Here", *kept, "Content-Length: 0", "", ""]).encode())
        return next(line for line in lines if line.startswith("From:"))

    def _ask(self, method: str, uri: str, to: str) -> int:
        call, authorization = secrets.token_hex(8), ""
        for turn in (1, 2):
            head = [
                f"Via: SIP/2.0/UDP {self._here};branch=z9hG4bK{secrets.token_hex(8)};rport",
                "Max-Forwards: 70", f"From: <sip:{self._number}@{HOST}>;tag={call}", f"Call-ID: {call}",
                f"Contact: <sip:{self._number}@{self._here}>", "Content-Length: 0",
            ]  # fmt: skip
            self._send(
                [f"{method} {uri} SIP/2.0", *head, f"To: <sip:{to}@{HOST}>", f"CSeq: {turn} {method}", authorization]
            )
            status, reply = self._final()
            if method == "INVITE":
                answered = next(line for line in reply.split("\r\n") if line.startswith("To:"))
                self._send([f"ACK {uri} SIP/2.0", *head, answered, f"CSeq: {turn} ACK"])
            challenge = re.search(
                r'^(WWW|Proxy)-Authenticate: Digest realm="(.*?)", nonce="(.*?)", qop="auth"', reply, re.MULTILINE
            )
            if challenge is None:
                break
            kind, realm, nonce = challenge.groups()
            name = "Authorization" if kind == "WWW" else "Proxy-Authorization"
            authorization = f"{name}: Digest {self._digest(method, uri, realm, nonce)}"
        return status

    def _send(self, lines: list[str]) -> None:
        self._socket.send("\r\n".join([*filter(None, lines), "", ""]).encode())

    def _final(self) -> tuple[int, str]:
        while True:
            reply = self._socket.recv(65535).decode()
            status = int(reply.split(" ", 2)[1])
            if status >= 200:
                return status, reply

    def _digest(self, method: str, uri: str, realm: str, nonce: str) -> str:
        ours = secrets.token_hex(8)
        secret, asked = _md5(f"{self._number}:{realm}:{self._password}"), _md5(f"{method}:{uri}")
        response = _md5(f"{secret}:{nonce}:00000001:{ours}:auth:{asked}")
        return (
            f'username="{self._number}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm=MD5, qop=auth, '
            f'nc=00000001, cnonce="{ours}", response="{response}"'
        )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
