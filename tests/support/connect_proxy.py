"""A proxy that connects its clients with any server (CONNECT, RFC 9110 §9.3.6), in clear or over TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress

from tests.support.listening import Listening
from tests.support.serving import PATIENCE


class ConnectProxy(Listening):
    """A context manager. `heads`: what clients said before they were connected. `refuses`: the status of its answer."""

    def __init__(self, context: ssl.SSLContext | None = None, refuses: int = 0) -> None:
        super().__init__()
        self.heads: list[str] = []
        self._context, self._refuses = context, refuses
        self.url = f"{'https' if context else 'http'}://{self.address}"

    def attend(self, client: socket.socket) -> None:
        with suppress(OSError), client:  # a client that does not trust this proxy hangs up
            secured = self._context.wrap_socket(client, server_side=True) if self._context else client
            with secured:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += secured.recv(1)
                self.heads.append(head.decode())
                if self._refuses:
                    secured.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self._refuses)
                    return
                host, _, port = head.split()[1].decode().rpartition(":")
                with socket.create_connection((host, int(port)), PATIENCE) as server:
                    secured.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                    _pass_on(secured, server)


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    """Each way until one side ends. A thread for a way; TLS may be read in one and written in another."""

    def back() -> None:
        with suppress(OSError):
            while octets := server.recv(65536):
                client.sendall(octets)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=back)
    thread.start()
    with suppress(OSError):
        while octets := client.recv(65536):
            server.sendall(octets)
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)
