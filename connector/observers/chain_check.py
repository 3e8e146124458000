"""Whether the records of audits are what was told: no edit, no gap, no other order, and with the state no cut end.

Pure: lines go in, oldest first, and findings come out. A job's chain goes on from file to
file, and under the job's new name once it was renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from connector.observers.chain_links import Place, digest_of, place_of, record_of
from connector.state.telling import Link

_DIGEST: Final = 32
_LATE: Final = b',"late":true}'
_MOST: Final = 1000
_NONE: Final[Mapping[str, tuple[str, int]]] = MappingProxyType({})
_BEGIN: Final = b'{"time":"'
"""What each record begins with."""


class Finding(Struct, frozen=True):
    """What is wrong at a place (`file:line`), or of a whole chain; `job` None: it may be any job's."""

    job: str | None
    where: str
    why: str


class Chain(Struct):
    """A job's chain so far. `digests` of its records are octets in a row, so that a million takes 32 MB.

    `begun` and `since`: the number and the line of its first record; `first`: the number of the first in `digests`.
    `before`: how many records of the job come before the chain, from the line `unlinked` on. `taken`: how many records
    were told once more, and took the place of others. `cut`: how many came without their
    values. `start`: the time of its first record; `runs`: those that it has a record of.
    """

    job: str
    begun: int = 0
    first: int = 0
    seq: int = 0
    digests: bytearray = bytearray()
    since: str = ""
    last: str = ""
    before: int = 0
    unlinked: str = ""
    taken: int = 0
    cut: int = 0
    start: str = ""
    runs: set[str] = set()

    def digest(self, seq: int) -> str | None:
        """The digest of a record, hexadecimal; None: it is not there."""
        place = (seq - self.first) * _DIGEST
        return (
            self.digests[place : place + _DIGEST].hex() or None
            if self.seq and place >= 0
            else None
        )


class Check:
    """The chains of lines of one kind of sink. `first`: the number that chains begin with, where it is not 1."""

    def __init__(self, sink: str = "file", first: int = 1) -> None:
        self._sink = sink
        self._first = first
        self._halves: list[tuple[str, str, bool]] = []
        self._torn = False
        self._claimed: tuple[str | None, tuple[str, ...]] = (None, ())
        self.chains: dict[str, Chain] = {}
        self.findings: list[Finding] = []
        self.found = 0
        self.half = ""
        """Where a file ends within a record, the last such place."""

    def line(self, where: str, octets: bytes) -> None:
        """The next line, with its newline, if it has one."""
        ended, octets = octets.endswith(b"\n"), octets.removesuffix(b"\n")
        if self._sink == "syslog":
            octets = _message(octets)
        record = record_of(octets)
        self._torn = (
            record is None
            and not ended
            and (_can_be_half(octets) or self._sink == "syslog")
        )
        if self._torn:
            self.half = where
            return
        if record is None:
            self._halves.append(
                (where, f"sha256:{digest_of(octets)}", _can_be_half(octets))
            )
            return
        try:
            place = place_of(record, self._sink)
        except ValueError as fault:
            self._find(_job(record), where, f"the record was changed: {fault}")
            return
        if place is None:
            self._unlinked(record, where)
        else:
            self._judge_halves(place.halves, where, place.job)
            self._follow(place, where, digest_of(octets), octets)
            if (chain := self.chains.get(place.job)) is not None:
                chain.start = chain.start or str(record.get("time", ""))
                chain.runs.add(str(record.get("run", "")))

    def end(
        self,
        job: str | None = None,
        link: Link | None = None,
        runs: Mapping[str, tuple[str, int]] = _NONE,
    ) -> list[Finding]:
        """What was found, of every job or of one. `link`: the last record of that one's that the state knows.

        `runs`: those of its runs that wrote, by id, with when each began and how many users it wrote to.
        """
        if self._torn:  # what comes before may be of the same interruption
            self._halves = [
                each for each in self._halves if not each[2] and self._sink == "file"
            ]
        self._judge_halves((), "", None)
        for chain in self.chains.values():
            if chain.before and not chain.seq:
                self._find(
                    chain.job,
                    chain.unlinked,
                    "no record from here on has a chain: nothing can be verified",
                )
        if job is not None and link is not None:
            self._hold_to(job, link)
            if (
                self._torn and link.seq and link.ended and len(self.chains) == 1
            ):  # else it may be another job's
                self._find(
                    job,
                    self.half,
                    "half a record came after the last run had ended. Somebody added it",
                )
            self._lacking(job, runs)
        return [
            each for each in self.findings if job is None or each.job in (None, job)
        ]

    # ------------------------------------------------------------ one line

    def _unlinked(self, record: dict[str, object], where: str) -> None:
        """A record of an earlier version, of a job whose chain has not begun; else somebody's."""
        job = _job(record)
        if job is None:
            self._find(None, where, "this is no record of an audit")
            return
        chain = self.chains.setdefault(job, Chain(job, digests=bytearray(), runs=set()))
        if chain.seq:
            self._find(
                job,
                where,
                f"this record has no chain. It was changed, or added after record {chain.seq}",
            )
            return
        self._halves.clear()  # nobody accounted for them then
        if self._first > 1:
            self._find(
                job,
                where,
                f"this record has no chain, before record {self._first}. It was changed, or added",
            )
            return
        chain.unlinked = chain.unlinked or where
        chain.before += 1

    def _judge_halves(self, known: tuple[str, ...], by: str, job: str | None) -> None:
        """Whether the lines before a record that are none are those that it accounts for."""
        there = tuple(digest for _, digest, _ in self._halves)
        for where, digest, _ in self._halves:
            if digest not in known:
                self._find(
                    None,
                    where,
                    "this line is no record, and no later record accounts for it",
                )
        self._halves.clear()
        if known == there:
            if known:
                self._claimed = (job, known)
            return
        whose, claimed = self._claimed  # of two jobs in one file, both account for it
        if known and (there or whose == job or known != claimed):
            self._find(None, by, "half a record is missing before this one")

    def _follow(self, place: Place, where: str, digest: str, octets: bytes) -> None:
        chain = self._chain_of(place)
        if self._sink == "syslog":
            if octets.endswith(_LATE):  # told once more, with a mark at its end
                digest = digest_of(octets.removesuffix(_LATE) + b"}")
            digest = (
                (place.whole or "").removeprefix("sha256:") if place.whole else digest
            )
            if (
                chain.digest(place.seq) == digest
                and b'"late":true' in octets
                and not place.again
            ):
                return
        if len(digest) != 2 * _DIGEST or set(digest) - set("0123456789abcdef"):
            self._find(
                place.job,
                where,
                f"record {place.seq} was changed: its digest cannot be read",
            )
            return
        if (
            chain.seq
            and place.seq <= chain.seq
            and not self._takes_place(chain, place, where, digest)
        ):
            what = (
                "is here once more"
                if chain.digest(place.seq) == digest
                else "is out of order, or was added"
            )
            self._find(
                place.job,
                where,
                f"record {place.seq} {what}: the one before has number {chain.seq}",
            )
            return
        self._judge(chain, place, where)
        if (
            not chain.seq
        ):  # also where it begins anew, after records with higher numbers
            chain.begun, chain.since = place.seq, where
        if not chain.seq or place.seq > chain.seq + 1:
            chain.first = place.seq
            chain.digests.clear()
        chain.seq, chain.last = place.seq, where
        chain.cut += place.whole is not None
        chain.digests += bytes.fromhex(digest)

    def _judge(self, chain: Chain, place: Place, where: str) -> None:
        """Whether it follows the record before it."""
        expected = chain.seq + 1 if chain.seq else self._first
        if place.seq > expected:
            one = place.seq == expected + 1
            missing = (
                f"record {expected} is"
                if one
                else f"records {expected} to {place.seq - 1} are"
            )
            advice = (
                ""
                if chain.seq
                else f". Give older files first; if they were deleted, add `--from {place.seq}`"
            )
            self._find(place.job, where, f"{missing} missing before this one{advice}")
            return
        before = chain.digest(place.seq - 1)
        if (chain.seq or place.seq == 1) and place.prev != (
            f"sha256:{before}" if before else None
        ):
            pair = (
                f"record {place.seq - 1} ({chain.last}) or this one"
                if chain.last
                else "the first record"
            )
            self._find(place.job, where, f"{pair} was changed: the digests differ")

    def _takes_place(self, chain: Chain, place: Place, where: str, digest: str) -> bool:
        """Whether it follows an earlier record, as after a kill; those that came after that one are let go."""
        before = chain.digest(place.seq - 1)
        known = before is not None or place.seq == 1
        if not known or place.prev != (f"sha256:{before}" if before else None):
            return False
        if place.again:
            chain.taken += chain.seq - place.seq + 1
        elif chain.digest(place.seq) == digest:
            return False
        else:
            self._twice(chain, place, where)
        del chain.digests[max(0, place.seq - chain.first) * _DIGEST :]
        chain.seq = place.seq - 1
        return True

    def _twice(self, chain: Chain, place: Place, where: str) -> None:
        """The chain goes on from an earlier record, and no run says so: nobody can tell which of the two is genuine."""
        first = max(place.seq, chain.begun)
        which = (
            f"records {first} to {chain.seq}"
            if chain.seq > first
            else f"record {first}"
        )
        both = (
            f"this one follows record {place.seq - 1} as well"
            if place.seq > 1
            else "the chain begins anew here"
        )
        why = "Either somebody added records, or the state was lost or replaced by an older one"
        self._find(
            place.job, where, f"{which} ({chain.last}) came before, and {both}. {why}"
        )

    def _chain_of(self, place: Place) -> Chain:
        """The job's chain; that of a job which was renamed goes on under its new name."""
        chain = self.chains.get(place.job)
        if chain is not None and chain.seq:
            return chain
        for old, other in list(self.chains.items()):
            if (
                other.seq
                and place.prev is not None
                and place.prev == f"sha256:{other.digest(place.seq - 1)}"
            ):
                return self._renamed(old, place.job)
        return self.chains.setdefault(
            place.job, Chain(place.job, digests=bytearray(), runs=set())
        )

    def _renamed(self, old: str, job: str) -> Chain:
        chain = self.chains[job] = self.chains.pop(old)
        chain.job = job
        self.findings = [
            Finding(job if each.job == old else each.job, each.where, each.why)
            for each in self.findings
        ]
        return chain

    # ------------------------------------------------------------ what the state knows

    def _hold_to(self, job: str, link: Link) -> None:
        if job not in self.chains:
            old = next(
                (
                    each
                    for each, chain in self.chains.items()
                    if chain.digest(link.seq) == link.digest
                ),
                None,
            )
            if old is not None:  # it was renamed, and has told nothing since
                self._renamed(old, job)
        chain = self.chains.get(job) or Chain(job)
        if not link.seq and not chain.seq:
            return
        if not link.seq:
            self._find(
                job,
                chain.last,
                "the state knows no record of this chain: it is new, or another one",
            )
        elif chain.seq < link.seq:
            why = f"the end is cut: the state knows records up to {link.seq}. Give the newest file too"
            self._find(job, chain.last, why)
        elif chain.digest(link.seq) not in (link.digest, None):
            why = f"record {link.seq} was changed: the state knows another digest"
            self._find(job, chain.last if chain.seq == link.seq else "", why)
        elif chain.seq > link.seq and link.ended:
            which = (
                f"records {link.seq + 1} to" if chain.seq > link.seq + 1 else "record"
            )
            why = f"{which} {chain.seq} came after the last run had ended"
            self._find(
                job,
                chain.last,
                f"{why}. Either somebody added records, or the state is an older one",
            )

    def _lacking(self, job: str, runs: Mapping[str, tuple[str, int]]) -> None:
        """Runs since the chain began that it has nothing of: they had no audit, or another one."""
        chain = self.chains.get(job)
        for run, (began, users) in runs.items() if chain and chain.seq else ():
            if chain and began > chain.start and run not in chain.runs:
                why = f"run {run} of {began} wrote {users} users, and has no record. The job had no `audit` then"
                self._find(job, "", f"{why}, or another one")

    def _find(self, job: str | None, where: str, why: str) -> None:
        self.found += 1
        if len(self.findings) < _MOST:
            self.findings.append(Finding(job, where, why))


def _job(record: dict[str, object]) -> str | None:
    job = record.get("job")
    return job if isinstance(job, str) and "event" in record else None


def _can_be_half(octets: bytes) -> bool:
    """Whether a full disk, a kill or a power cut can have left this of a record."""
    return octets.startswith(_BEGIN[: len(octets)]) or not octets.strip(b"\0")


def _message(octets: bytes) -> bytes:
    """The record in a line that a syslog receiver has kept: whatever comes before it is the receiver's."""
    start = octets.find(b"{")
    return octets[start:] if start >= 0 else octets
