"""The audit records of a job are one chain: each has a number, and the digest of the record before it.

Each sink has a chain of its own, for one may be told what the other has already. A record
that goes to both carries the links of both, so that a copy with a syslog receiver vouches
for the file. A digest is SHA-256 over a line as it is written, without its newline. The
state has the last record that is safe with each sink (`state/telling.py`, `Link`).

The order, under the lease of the directory and that of the job's audit:

1. the state notes that a session is under way
2. the journal commits outcomes with their numbers
3. their records are linked to the last one in the sink, and told
4. the sink makes them safe: the disk has the file (fsync), the receiver has closed the stream after our end
5. the state notes the last record that is safe, with its next transaction
6. at the end, in one transaction: the last record, and that the session has ended

So the file may be ahead of the state, and never behind it. It is believed to be only where
its records follow that one which the state knows, and where the state does not say that the
session has ended: else somebody may have added them, and the next record follows the
state's, for `audit verify` to find. A state that knows no record at all believes the file.
What the next session finds after a kill:

killed after        the file                              the next session
1, 2                ends with the state's record          goes on from there; the outcomes are told late
3, within a line    has half a line at its end            begins a new one; its first record has the digest of the half
3, 4                is ahead of the state                 goes on from the file's last record
5, 6                ends with the state's record          goes on from there

Where the file cannot be read, was rotated since, or the sink is a receiver, nobody knows
how far it is ahead. Then the first record is linked to the state's record and says `again`:
it takes the place of the records that were told after that one, which are told late. The
same holds within a session after a signal has broken off a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from connector.observers.sinks import Line, Number, Record, Sink
from connector.runtime.log import log
from connector.state.telling import Link

_LOOK: Final = 1000
"""Lines from the end: a job that shares its file with others may be far before them, and it
is only warned about."""
_FIX: Final = (
    "An older state was put back, or somebody added records, or a job of this name has another state too. Plans that "
    "were spent since are good again: delete them. Run `cec-connector audit verify --job JOB`"
)


class Chained:
    """A sink, and the end of a job's chain in it. All methods but `close` and `link` raise OSError.

    `begun`: the link that the state had when this session began.
    """

    def __init__(self, sink: Sink, job: str, begun: Link) -> None:
        self._sink = sink
        self._job = job
        self._safe = begun
        self._head = begun
        self._again = False
        self._sure = False
        self._halves: list[str] = []
        self._open = True
        self.kind, self.where = sink.kind, sink.where

    # ------------------------------------------------------------ linking

    def ready(self) -> None:
        """Find out what the next record follows."""
        if not self._sure:
            self._head, self._again = self._safe, not self._safe.ended
            # then the sink has nothing after it that is ours
            orderly = self._safe.ended and self._safe.seq > 0
            last = (
                self._sink.last(self._job, Link(), _LOOK)
                if orderly
                else self._sink.last(self._job, self._safe)
            )
            if last is not None and not orderly:
                self._head, self._again = last, False
            if last is not None and orderly and last.seq > self._safe.seq:
                log.warning(
                    "audit is ahead of the state",
                    where=self.where,
                    state=self._safe.seq,
                    audit=last.seq,
                    fix=_FIX,
                )
            self._sure = True
            self._halves = self._sink.halves()
        elif self._sink.ends_within_a_line():
            self._halves = self._sink.halves()

    def link(self, place: int, prev: str) -> dict[str, Any]:
        """What a record says of its place, so many after the last one, behind the one with the digest `prev`."""
        first = place == 1
        digest = self._head.digest if first else prev
        said: dict[str, Any] = {
            "seq": self._head.seq + place,
            "prev": f"sha256:{digest}" if digest else None,
        }
        if first and self._again:
            said["again"] = True
        if first and self._halves:
            said["halves"] = self._halves
        return said

    def tell(self, lines: Sequence[Line]) -> None:
        """Take lines that were linked. Where a signal breaks that off, nobody knows how far it came."""
        if lines:
            self._sure = False
            self._safe = Link(self._safe.seq, self._safe.digest, ended=False)
            self._sink.tell(lines)
            self._head = Link(
                self._head.seq + len(lines), lines[-1].digest, ended=False
            )
            self._again, self._halves, self._sure = False, [], True

    # ------------------------------------------------------------ safety

    def secure(self) -> None:
        """Make sure of what was told, as far as it can be."""
        if self._sink.secure() and self._sure and not self._again:
            self._safe = Link(self._head.seq, self._head.digest)

    @property
    def safe(self) -> Link:
        """The last record that is safe; `ended`: nothing was told after it."""
        return self._safe

    def taken(self) -> list[Number]:
        """The numbers of writes that have become safe since this was asked last."""
        found = list(self._sink.safe)
        self._sink.safe.clear()
        return found

    def holds(self, runs: set[str]) -> set[Number]:
        return self._sink.holds(runs)

    def close(self) -> None:
        """Let go of the sink. Never raises."""
        if self._open:
            self._open = False
            self._sink.close()


def linked(
    records: Sequence[tuple[Record, int]], chains: Sequence[Chained]
) -> list[Line]:
    """Records with their severities as lines that follow, in each of the chains, the last one there."""
    lines: list[Line] = []
    digest = ""
    for place, (record, severity) in enumerate(records, 1):
        links = {chain.kind: chain.link(place, digest) for chain in chains}
        lines.append(Line.of(record | {"chain": links}, severity))
        digest = lines[-1].digest
    return lines
