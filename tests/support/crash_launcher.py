"""Starts the program over and over, from one process that has imported it already, and kills it where it is told to.

A run is a process of its own, forked off, that runs the whole command line; so starting it costs milliseconds. It dies
by SIGKILL: by its own hand right before or after a step of the journal, or of the wire while the journal is open; or by
its parent's at any instant. The disk of the audit is slow, and takes a line in two halves; a run dies around these too.
Nothing of this is in the program: the steps are wrapped here, in the child.

Requests and answers are lines of JSON on standard input and output.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from connector.cli.main import main as command_line
from connector.directories.ldap import inspection
from connector.directories.ldap.session import OctetStream
from connector.net.http import HttpAnswer, HttpChannel
from connector.observers.audit_file import AuditFile
from connector.state.postgresql import PostgreSQL
from connector.state.sqlite import Sqlite
from tests.support.warm import load

load()
inspection.BATCH = 8  # so that a world of a dozen users is noted in pieces, as a large one is
KINDS = ("journal", "wire", "audit", "answer")
_COUNTS = struct.Struct("=QQQQ")
_WRITTEN = b"\x67\x07\x0a\x01\x00"
"""How a ModifyResponse begins that says success, and no more (RFC 4511 §4.6, §4.1.9)."""

SLOW = 0.003
"""Seconds that the disk of the audit takes for a write."""


class Fate:
    """Counts moments of each kind, in memory that outlives the process, which ends at one of them."""

    def __init__(self, memory: mmap.mmap, kind: str | None, number: int, begun: int) -> None:
        self._memory, self._kind, self._number, self._begun = memory, kind, number, begun
        self._lock = threading.Lock()

    def reach(self, kind: str) -> None:
        """One more moment of this kind; wire's count once the journal's do."""
        with self._lock:  # requests to a SCIM server are made by several threads
            self._reach(kind)

    def _reach(self, kind: str) -> None:
        counts = dict(zip(KINDS, _COUNTS.unpack_from(self._memory), strict=True))
        if kind == "journal" and not counts[kind]:
            os.write(self._begun, b".")
        elif not counts["journal"]:
            return
        counts[kind] += 1
        _COUNTS.pack_into(self._memory, 0, *counts.values())
        if (kind, counts[kind]) == (self._kind, self._number):
            os.kill(os.getpid(), signal.SIGKILL)


def wrap(fate: Fate) -> None:
    """A moment before each transaction, one before its commit and one after; one around whatever is sent or comes."""
    exchange = HttpChannel.exchange_once

    def mortal(writing: Callable[[Any], AbstractContextManager[Any]]) -> Callable[[Any], AbstractContextManager[Any]]:
        @contextmanager
        def mortal_writing(self: object) -> Iterator[Any]:
            fate.reach("journal")
            with writing(self) as transaction:
                yield transaction
                fate.reach("journal")
            fate.reach("journal")

        return mortal_writing

    def mortal_exchange(self: HttpChannel, *request: Any, **more: Any) -> HttpAnswer:
        fate.reach("wire")
        answer = exchange(self, *request, **more)
        fate.reach("wire")
        return answer

    add = AuditFile.append_octets

    def slow(self: AuditFile, octets: bytes) -> None:
        half = len(octets) * 2 // 3
        fate.reach("audit")
        add(self, octets[:half])
        fate.reach("audit")
        time.sleep(SLOW)
        add(self, octets[half:])
        fate.reach("audit")

    AuditFile.append_octets = slow  # type: ignore[method-assign]  # in the process that dies
    databases: tuple[Any, ...] = (Sqlite, PostgreSQL)
    for database in databases:
        database.writing = mortal(database.writing)
    HttpChannel.exchange_once = mortal_exchange  # type: ignore[method-assign]  # in the process that dies


def wrap_streams(fate: Fate) -> None:
    """What an LDAP server is sent, each time something was queued for it, and what comes from it.

    Of what comes, `answer` counts only that in which a write is said to be done: so many octets of others come before,
    in as many pieces as the machine likes.
    """
    queue, close, flush, receive = (
        OctetStream.queue_octets,
        OctetStream.close,
        OctetStream.flush_queue,
        OctetStream.receive_octets,
    )
    waiting: set[OctetStream] = set()

    def mortal_queue(self: OctetStream, data: bytes) -> None:
        queue(self, data)
        waiting.add(self)

    def mortal_close(self: OctetStream, farewell: bytes = b"") -> None:
        if farewell:
            waiting.add(self)
        close(self, farewell)

    def mortal_flush(self: OctetStream) -> None:
        if self not in waiting:
            flush(self)
            return
        waiting.remove(self)
        fate.reach("wire")
        flush(self)
        fate.reach("wire")

    def mortal_receive(self: OctetStream) -> bytes:
        octets = receive(self)
        fate.reach("wire")
        if _WRITTEN in octets:
            fate.reach("answer")
        return octets

    OctetStream.queue_octets = mortal_queue  # type: ignore[method-assign]  # in the process that dies
    OctetStream.close = mortal_close  # type: ignore[method-assign]  # in the process that dies
    OctetStream.flush_queue = mortal_flush  # type: ignore[method-assign]  # in the process that dies
    OctetStream.receive_octets = mortal_receive  # type: ignore[method-assign]  # in the process that dies


def child(request: dict[str, Any], fate: Fate) -> None:
    """The program, as `python -m connector` would run it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.chdir(request["folder"])
    os.environ.update(request["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["cec-connector", *request["arguments"]]
    wrap(fate)
    wrap_streams(fate)
    command_line()


def run(request: dict[str, Any]) -> dict[str, Any] | None:
    """Start, kill if asked to, and tell; None in the child, once it has come to its end."""
    kind, at = request["kill"] or (None, 0)
    memory = mmap.mmap(-1, _COUNTS.size)
    begun, begin = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(begun)
        try:
            child(request, Fate(memory, kind, int(at), begin))
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        return None
    os.close(begin)
    with open(begun, "rb", buffering=0) as pipe:  # noqa: PTH123  # a descriptor, no path
        if kind != "any":
            pipe.read(1)  # its first step of the journal, or its end
        writing = time.monotonic()
        if kind in {"writing", "any"} and signal.sigtimedwait({signal.SIGCHLD}, at) is None:
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    ended = time.monotonic()
    signal.sigtimedwait({signal.SIGCHLD}, 0)  # the one that came meanwhile, if it did
    return {
        "code": os.waitstatus_to_exitcode(status),
        "moments": dict(zip(KINDS, _COUNTS.unpack_from(memory), strict=True)),
        "seconds": {"any": ended - started, "writing": ended - writing},
    }


def main() -> None:
    """Serve requests until there are no more."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        answer = run(json.loads(line))
        if answer is None:
            return
        print(json.dumps(answer), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    main()
