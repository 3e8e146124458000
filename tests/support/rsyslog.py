"""A real rsyslog on loopback, over TCP or TLS, that keeps the messages of what it is sent, a line each."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.support.monitoring import RSYSLOGD, TOOLS
from tests.support.slapd import authority, free_port

_TLS = """\
global(DefaultNetstreamDriverCAFile="{folder}/ca.pem" DefaultNetstreamDriverCertFile="{folder}/cert.pem"
       DefaultNetstreamDriverKeyFile="{folder}/key.pem")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
"""
_CONFIGURATION = """\
global(workDirectory="{folder}" maxMessageSize="64k")
{listener}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="audit")
template(name="message" type="string" string="%msg%\\n")
ruleset(name="audit" queue.type="Direct") {{ action(type="omfile" file="{folder}/kept" template="message") }}
"""


class Rsyslog:
    """Listens as a context manager. `scheme`: tcp or tls. It can be killed, and begun again on the same port."""

    def __init__(self, scheme: str, folder: Path) -> None:
        self._folder = folder / "rsyslog"
        self._folder.mkdir()
        self._port = free_port()
        self.ca = self._folder / "ca.pem"
        self.url = f"{scheme}://localhost:{self._port}"
        listener = _TLS.format(folder=self._folder) if scheme == "tls" else 'module(load="imtcp")'
        text = _CONFIGURATION.format(folder=self._folder, listener=listener, port=self._port)
        (self._folder / "rsyslog.conf").write_text(text)
        ca, certificate, *_ = authority()
        ca.cert_pem.write_to_path(self.ca)
        certificate.private_key_pem.write_to_path(self._folder / "key.pem")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(self._folder / "cert.pem", append=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def begin(self) -> None:
        """Start it, and wait until it listens."""
        libraries = next(TOOLS.glob("lib/*/rsyslog"))
        configuration, pid = self._folder / "rsyslog.conf", self._folder / "pid"
        command = [str(each) for each in (RSYSLOGD, "-n", "-M", libraries, "-f", configuration, "-i", pid)]
        env = os.environ | {"LD_LIBRARY_PATH": str(libraries.parent)}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)  # it has no other sign of being ready
            else:
                return

    def freeze(self) -> None:
        """Let its system take what it is sent, and itself read nothing."""
        self._send(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            self._process.wait(60)
            self._process = None

    def _send(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def kept(self) -> Iterator[dict[str, Any]]:
        """What it has kept."""
        path = self._folder / "kept"
        for line in path.read_text().splitlines() if path.exists() else ():
            yield json.loads(line)
