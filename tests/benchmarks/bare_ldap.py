"""The requests of an apply, made beforehand, from a client that reads an answer's kind and result, and no more.

    bare_ldap.py replay REQUESTS.json    {"host", "port", "stages": [[file, how many may be in flight], …]}
    bare_ldap.py started REQUESTS.json   the same, by a Python that first loads what `apply` loads

A file holds messages of LDAP, one after the other; the next stage begins when the one before is wholly answered, as
nothing is written before everybody is read. What this takes, no client that does the same work can do without. Says on
standard output how many requests were answered with success, of how many.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

_SEARCH_ENTRY, _SEARCH_REFERENCE = 0x64, 0x73
_SUCCESS = b"\x0a\x01\x00"


def _contents(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the contents of the element at this place begin and end; None while that is not to be seen."""
    if len(data) < at + 6:
        return None if len(data) < at + 2 or data[at + 1] & 0x80 else (at + 2, at + 2 + data[at + 1])
    first = data[at + 1]
    if first < 0x80:
        return at + 2, at + 2 + first
    begin = at + 2 + (first & 0x7F)
    return begin, begin + int.from_bytes(data[at + 2 : begin])


def _messages(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Where each whole message begins, where its contents do, and where it ends."""
    at = 0
    while (found := _contents(data, at)) and found[1] <= len(data):
        yield at, *found
        at = found[1]


def _answers(connection: socket.socket) -> Iterator[list[bool]]:
    """Of the answers that come together, all that are the last of their request: whether they say success."""
    rest = b""
    while piece := connection.recv(1 << 20):
        data, end, last = rest + piece, 0, []
        for _, begin, stop in _messages(data):
            end, operation = stop, begin + 2 + data[begin + 1]
            if data[operation] not in (_SEARCH_ENTRY, _SEARCH_REFERENCE):
                last.append(_SUCCESS in data[operation : operation + 8])
        rest = data[end:]
        yield last


def replay(told: dict[str, Any]) -> None:
    """Send stage after stage, with no more requests in flight than a stage allows."""
    good = count = 0
    with socket.create_connection((told["host"], told["port"])) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = _answers(connection)
        for file, window in told["stages"]:
            octets = Path(file).read_bytes()
            waiting = [octets[start:end] for start, _, end in _messages(octets)]
            count += len(waiting)
            sent = done = 0
            while done < len(waiting):
                connection.sendall(b"".join(waiting[sent : done + window]))
                sent = min(len(waiting), done + window)
                last = next(answers)
                done += len(last)
                good += sum(last)
    print(good, count)


def started(told: dict[str, Any]) -> None:
    """Whatever takes longer than this is for reading agents, comparing, a journal, reading back, and telling of it."""
    for module in ("cli.main", "cli.apply", "sources.file", "directories.ldap.adapter", "state.sqlite"):
        import_module(f"connector.{module}")
    replay(told)


if __name__ == "__main__":
    {"replay": replay, "started": started}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_bytes()))
