"""A page that trickles in: the reader sleeps, as long as the page cannot be whole yet."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import closing

import pytest

from connector.directories.ldap import responses
from connector.directories.ldap.wire import Wire
from tests.support.ldap_answers import SEARCH, entry, page_end

ENTRY = entry(1)
LONG = entry(1, "cn=long", b"x" * 40_000)
END = page_end(1, b"")


@pytest.mark.parametrize(
    ("size", "pieces", "slept"),
    [
        (1000, [ENTRY, 99 * ENTRY, 400 * ENTRY, 200 * ENTRY + END], [5e-4, 5e-4, 5e-4]),
        (1000, [ENTRY, 699 * ENTRY, 200 * ENTRY, END], [5e-4, 3e-4, 1e-4]),
        (1000, [ENTRY, 700 * ENTRY + LONG, END], [5e-4]),
        (1000, [900 * ENTRY, 70 * ENTRY, END], [1e-4]),
        (20, [ENTRY, ENTRY, END], []),
        (1000, [END], []),
    ],
)
def test_it_sleeps_for_entries_that_are_missing_but_not_for_the_last_few_nor_where_much_has_come(
    size: int, pieces: Iterable[bytes], slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    coming, told = iter(pieces), list[float]()
    with theirs, closing(Wire(ours, "ldap://server.example.org", 10)) as wire:
        pump = wire.pump_messages

        def next_piece() -> None:
            theirs.sendall(next(coming))
            pump()

        monkeypatch.setattr(wire, "pump_messages", next_piece)
        monkeypatch.setattr(time, "sleep", told.append)
        found = list(wire.search_paged(SEARCH, size, responses.decode_entry))
    assert len(found) == sum(piece.count(b"cn=") for piece in pieces)
    assert told == pytest.approx(slept)
