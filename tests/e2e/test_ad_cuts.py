"""Law 3 in Active Directory: a read that is cut off, in whatever answer, is never a plan, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.directories.ldap import ber
from connector.directories.ldap.ber import Frame
from connector.directories.ldap.responses import DONE, ENTRY, REFERENCE
from tests.support.crash_samba import WITHOUT_TLS, SambaWorld
from tests.support.crash_world import FIRST, SECOND, Launcher
from tests.support.jobs import configure
from tests.support.ldap_proxy import SEARCH, LdapProxy, Line, octets_of, result
from tests.support.samba import PEOPLE, Samba

pytestmark = [pytest.mark.samba, pytest.mark.slow]

CUT = 0
RESULTS = {"scan": (51, 52), "find": (3, 11, 51, 52)}
"""timeLimitExceeded, adminLimitExceeded, busy, unavailable. Where a limit cuts a scan short, agents are looked up."""


class Cutting(LdapProxy):
    """Of the answers to searches for people, counted from 1, the `last` does not come through.

    The connection is `CUT` in the midst of it; or the search ends there with a result, and the connection goes on. What
    is asked about one entry that is known, such as the rights to write it, counts for the first alone.
    """

    def __init__(self, host: str) -> None:
        self.last = self.end = self.answers = 0
        self._asked: set[tuple[Line, int]] = set()
        self._ended: set[tuple[Line, int]] = set()
        super().__init__(389, host=host)

    @contextmanager
    def ending(self, last: int, end: int) -> Iterator[None]:
        """Whoever connects now."""
        self.last, self.end, self.answers = last, end, 0
        self._asked.clear()
        self._ended.clear()
        yield
        assert self.answers >= last, "it was not reached"

    def _request(self, frame: Frame) -> bytes:
        if frame.tag == SEARCH:
            start, stop = ber.find_element(frame.data, frame.start, frame.stop, ber.OCTETS)
            scope, _ = ber.find_element(frame.data, stop, frame.stop, ber.ENUMERATED)
            if frame.data[start:stop].decode().lower().endswith(PEOPLE.lower()) and (
                frame.data[scope] or self.end == CUT
            ):
                self._asked.add((self._line, frame.id))
        return super()._request(frame)

    def _heard(self, frame: Frame) -> bytes:
        octets = octets_of(frame)
        if (self._line, frame.id) in self._ended or self._line.over:
            return b""
        if (self._line, frame.id) not in self._asked or frame.tag not in {ENTRY, REFERENCE, DONE}:
            return octets
        self.answers += 1
        if self.answers != self.last:
            return octets
        self._ended.add((self._line, frame.id))
        self._line.over = self.end == CUT
        return octets[: len(octets) // 2] if self._line.over else result(frame.id, DONE, self.end)


@pytest.mark.parametrize("read", ["scan", "find"])
def test_a_read_that_is_cut_off_is_never_a_plan(tmp_path: Path, read: str) -> None:
    with Samba.start(tmp_path / "dc", options=WITHOUT_TLS) as server, Launcher() as launcher:
        world = SambaWorld(tmp_path, "w", server, launcher)
        (world.folder / "agents.json").write_text(FIRST)
        assert world.once("apply") == 0, world.said
        before = world.entries(), world.owned(), world.runs(), world.counted()
        with Cutting(server.host) as proxy:
            directory = {"urls": [proxy.url], "read": read, "page_size": 5}
            configure(world.folder / "job.yaml", directory=directory)
            for document, code in ((FIRST, 0), (SECOND, 2)):
                (world.folder / "agents.json").write_text(document)
                for ends in ((CUT,), RESULTS[read]):
                    with proxy.ending(0, ends[0]):
                        assert world.once("plan", "--fail-on-changes") == code, world.said
                    answers = proxy.answers
                    assert answers >= 10
                    for last in {*range(1, answers, answers // 5), answers}:
                        world.said = ""
                        with proxy.ending(last, ends[last % len(ends)]):
                            assert world.once("apply") == 1, world.said
                        assert "Changes" not in world.said
                        assert "Nothing to do" not in world.said
        assert (world.entries(), world.owned(), world.runs(), world.counted()) == before
