"""A bare load generator: requests that were made beforehand, from threads that read no more of an answer than its end.

    bare_scim.py write REQUESTS.json    {"host", "port", "headers", "threads", "requests": [[method, path, body], …]}

Says on standard output how many writes were answered with a yes, of how many, and the seconds of wall and processor.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any


def _request(told: dict[str, Any], method: str, path: str, body: str) -> bytes:
    octets = body.encode()
    headers = {"Host": f"{told['host']}:{told['port']}", **told["headers"], "Content-Length": str(len(octets))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + octets


def _answered(connection: socket.socket) -> bool:
    """Read one answer, which has a length or is chunked or is 204; whether it is a yes."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(1 << 16)
    elif (at := lowered.find(b"content-length:")) >= 0:
        length = int(lowered[at + 15 :].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(1 << 16)
    return head.split(b" ")[1].startswith(b"2")


def write(told: dict[str, Any]) -> None:
    """Send all requests, a share of them from each thread."""
    requests = [(each[0] != "GET", _request(told, *each)) for each in told["requests"]]
    good: list[int] = []

    def work(mine: list[tuple[bool, bytes]]) -> None:
        with socket.create_connection((told["host"], told["port"])) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for is_write, request in mine:
                connection.sendall(request)
                is_good = _answered(connection)
                if is_write:
                    good.append(is_good)

    size = told["threads"]
    threads = [threading.Thread(target=work, args=(requests[start::size],)) for start in range(size)]
    begun, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(good), len(good), time.perf_counter() - begun, time.process_time() - used)


if __name__ == "__main__":
    {"write": write}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_bytes()))
