"""A server on a free port of loopback, with a thread for each client."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self

from tests.support.serving import PATIENCE


class Listening(ABC):
    """A context manager; `address` is host and port."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve)]
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):  # the end of listening
            while True:
                client, _ = self._listening.accept()
                client.settimeout(PATIENCE)
                self._threads.append(threading.Thread(target=self.attend, args=(client,)))
                self._threads[-1].start()

    @abstractmethod
    def attend(self, client: socket.socket) -> None:
        """Serve this client to its end."""
