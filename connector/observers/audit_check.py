"""Whether the lines of audits are as they were made: no edit, no gap, no other order, and with the state no cut end.

Pure: lines go in, oldest first, and findings come out. A job's chain goes on from file to
file, and under the job's new name once it was renamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, ValidationError, field

from connector.state.audit_lines import Head, Place, digest_line

_DIGEST_OCTETS: Final = 32
_FINDINGS_AT_MOST: Final = 1000
_BEGIN: Final = b'{"time":"'
"""What each record begins with."""


class Finding(Struct, frozen=True):
    """What is wrong."""

    job: str | None
    """Whose chain; None: it may be any job's."""
    where: str
    """`file:line`; empty: the whole chain."""
    why: str


class Chain(Struct):
    """A job's chain so far."""

    job: str
    begun: int = 0
    """The number of its first record; 0: there is none yet."""
    first: int = 0
    """The number of the first record in `digests`."""
    last: int = 0
    """The number of its last record."""
    digests: bytearray = field(default_factory=bytearray)
    """Of its records, one after the other: a million take 32 MB."""
    since: str = ""
    """Where its first record is."""
    until: str = ""
    """Where its last record is."""
    earlier: list[str] = field(default_factory=list)
    """Where the first record of an earlier version is, before the chain; and the digest of the last one."""
    earlier_count: int = 0
    cut: int = 0
    """Records that came without their values."""
    start: str = ""
    """The time of its first record."""
    runs: set[str] = field(default_factory=set)
    """Those that it has a record of."""

    def digest(self, number: int) -> str | None:
        """`sha256:` and the digest of a record; None: it is not there."""
        place = (number - self.first) * _DIGEST_OCTETS
        if not self.last or place < 0:
            return None
        found = self.digests[place : place + _DIGEST_OCTETS]
        return f"sha256:{found.hex()}" if found else None

    def ends_earlier(self, head: Head) -> bool:
        """Whether this is its last record, and all are of an earlier version."""
        return not self.last and self.earlier[1:] == [f"sha256:{head.digest}"]


class Half(Struct, frozen=True):
    """A line that is no record: half of one, or somebody's."""

    where: str
    octets: bytes
    """Without newline, and without zeros at the end, as a power cut may leave them."""
    is_open: bool
    """Its file ends with it, within the line."""


class KeptAudit(Struct, frozen=True):
    """What the state of a job knows of its audit."""

    job: str
    head: Head
    """The last line, before the files were read."""
    latest: Head
    """The last line, after that: a run may have added some meanwhile."""
    runs: Mapping[str, tuple[str, int]]
    """By id, those that wrote: when each began, and how many users it wrote to."""


class AuditCheck:
    """The chains of these lines. `first`: the number that chains begin with, where it is not 1."""

    def __init__(self, first: int = 1, *, syslog: bool = False) -> None:
        self._first = first
        self._syslog = syslog
        self._halves: list[Half] = []
        self._going_on: set[str] = set()
        """Jobs of which the present file has a record that is no repeat."""
        self.chains: dict[str, Chain] = {}
        self.findings: list[Finding] = []
        self.found = 0
        """How many findings there are, also beyond those that are listed."""

    def begin_file(self) -> None:
        """Another file begins: after a rotation it may repeat what the disk had of the one before."""
        self._going_on.clear()

    def check_line(self, where: str, octets: bytes) -> None:
        """The next line, with its newline, if it has one."""
        line = octets.removesuffix(b"\n")
        if self._syslog:  # what comes before the record is the receiver's
            line = line[max(0, line.find(b"{")) :]
        record = _read_record(line)
        if record is None:
            is_open = not octets.endswith(b"\n")
            self._halves.append(Half(where, line.rstrip(b"\0"), is_open))
        elif "prev" not in record:
            self._add_earlier(record, where, line)
        else:
            self._add_record(record, where, line)

    def finish(self, kept: KeptAudit | None = None) -> list[Finding]:
        """What was found, of every job, or of the one that this state knows."""
        for half in self._halves:
            if half is not self.open_half or (kept and len(self.chains) == 1):
                why = "this line is no record, and no half of a later one"
                self._add_finding(None, half.where, why)
        for chain in self.chains.values():
            is_earlier = bool(chain.earlier) and not chain.last
            if is_earlier and not (kept and chain.ends_earlier(kept.head)):
                why = "no record from here on has a number: nothing can be verified"
                self._add_finding(chain.job, chain.earlier[0], why)
        if kept is None:
            return self.findings
        chain = self._find_chain(kept)
        self._compare_end(chain, kept)
        self._find_runs_without_record(chain, kept)
        return [each for each in self.findings if each.job in (None, kept.job)]

    @property
    def open_half(self) -> Half | None:
        """Half a record at the end of the last file, of a run that is under way or was interrupted."""
        last = self._halves[-1] if self._halves else None
        could_be_one = last is not None and (
            _BEGIN.startswith(last.octets) or last.octets.startswith(_BEGIN)
        )
        return last if last is not None and last.is_open and could_be_one else None

    # ------------------------------------------------------------ one line

    def _add_earlier(self, record: dict[str, Any], where: str, line: bytes) -> None:
        """A record of an earlier version, of a job whose chain has not begun; else somebody's."""
        job = record.get("job")
        if not isinstance(job, str) or "event" not in record:
            self._add_finding(None, where, "this is no record of an audit")
            return
        chain = self.chains.setdefault(job, Chain(job))
        if chain.last or self._first > 1:
            number = chain.last or self._first
            side = "after" if chain.last else "before"
            why = f"this record has no number. It was changed, or added {side} record {number}"
            self._add_finding(job, where, why)
            return
        self._halves.clear()  # nobody can tell whose they are
        first = chain.earlier[0] if chain.earlier else where
        chain.earlier = [first, f"sha256:{digest_line(line)}"]
        chain.earlier_count += 1

    def _add_record(self, record: dict[str, Any], where: str, line: bytes) -> None:
        job, whole = record.get("job"), record.get("whole")
        try:
            place = msgspec.convert(record, Place)
            digest = bytes.fromhex(_digest_of(line, whole if self._syslog else None))
        except (ValidationError, ValueError):
            why = "the record was changed: its place in the chain cannot be read"
            self._add_finding(job if isinstance(job, str) else None, where, why)
            return
        self._halves = [
            half for half in self._halves if not line.startswith(half.octets)
        ]
        chain = self._chain_of(place)
        if place.number <= chain.last and not self._takes_place(
            chain, place, where, digest
        ):
            return
        self._judge_link(chain, place, where)
        if not chain.last:  # also where it begins anew
            chain.begun, chain.since = place.number, where
        if not chain.last or place.number != chain.last + 1:
            chain.first = place.number
            chain.digests.clear()
        chain.last, chain.until = place.number, where
        chain.digests += digest
        chain.cut += whole is not None
        chain.start = chain.start or str(record.get("time", ""))
        chain.runs.add(str(record.get("run", "")))
        self._going_on.add(chain.job)

    def _judge_link(self, chain: Chain, place: Place, where: str) -> None:
        """Whether it follows the record before it."""
        if not chain.last and chain.earlier and place.prev == chain.earlier[1]:
            return  # the chain goes on from a record of an earlier version
        expected = chain.last + 1 if chain.last else self._first
        if place.number > expected:
            missing = (
                f"record {expected} is"
                if place.number == expected + 1
                else f"records {expected} to {place.number - 1} are"
            )
            advice = f". Give older files first; if they were deleted, add `--from {place.number}`"
            why = f"{missing} missing before this one{'' if chain.last else advice}"
            self._add_finding(place.job, where, why)
            return
        is_known = chain.last or place.number == 1
        if is_known and place.prev != chain.digest(place.number - 1):
            pair = (
                f"record {place.number - 1} ({chain.until}) or this one"
                if chain.until
                else "the first record"
            )
            why = f"{pair} was changed: the digests differ"
            self._add_finding(place.job, where, why)

    def _takes_place(
        self, chain: Chain, place: Place, where: str, digest: bytes
    ) -> bool:
        """Whether the chain goes on with this record, though it had one of this number; else it is judged here."""
        number = place.number
        if chain.digest(number) == f"sha256:{digest.hex()}":
            if not self._syslog and chain.job in self._going_on:
                why = f"record {number} is here once more: the one before has number {chain.last}"
                self._add_finding(place.job, where, why)
            return False
        before = chain.digest(number - 1)
        if place.prev != before or (before is None and number > 1):
            why = f"record {number} is out of order, or was added: the one before has number {chain.last}"
            self._add_finding(place.job, where, why)
            return False
        first = max(number, chain.begun)
        which = f"record {first}"
        if chain.last > first:
            which = f"records {first} to {chain.last}"
        both = "the chain begins anew here"
        if number > 1:
            both = f"this one follows record {number - 1} as well"
        why = f"{which} ({chain.until}) came before, and {both}. "
        why += "Either somebody added records, or the state was lost or replaced by an older one"
        self._add_finding(place.job, where, why)
        del chain.digests[max(0, number - chain.first) * _DIGEST_OCTETS :]
        chain.last = number - 1
        return True

    def _chain_of(self, place: Place) -> Chain:
        """The job's chain; that of a job which was renamed goes on under its new name."""
        chain = self.chains.get(place.job)
        if chain is not None and chain.last:
            return chain
        for other in self.chains.values():
            if place.prev is not None and other.digest(place.number - 1) == place.prev:
                return self._rename(other, place.job)
        return self.chains.setdefault(place.job, Chain(place.job))

    def _rename(self, chain: Chain, job: str) -> Chain:
        old = chain.job
        del self.chains[old]
        self.chains[job], chain.job = chain, job
        self.findings = [
            Finding(job if each.job == old else each.job, each.where, each.why)
            for each in self.findings
        ]
        return chain

    # ------------------------------------------------------------ what the state knows

    def _find_chain(self, kept: KeptAudit) -> Chain:
        """The chain of the job; it may have been renamed, and have no record under its new name."""
        if kept.job not in self.chains and kept.head.number:
            for chain in self.chains.values():
                if chain.digest(kept.head.number) == f"sha256:{kept.head.digest}":
                    return self._rename(chain, kept.job)
        return self.chains.get(kept.job) or Chain(kept.job)

    def _compare_end(self, chain: Chain, kept: KeptAudit) -> None:
        """Whether the chain ends where the state says."""
        number = kept.head.number
        if not number and not kept.latest.number:
            if chain.last:
                why = (
                    "the state knows no record of this chain: it is new, or another one"
                )
                self._add_finding(kept.job, chain.until, why)
            return
        if chain.ends_earlier(kept.head):
            return
        if chain.last < number:
            why = f"the end is cut: the state knows records up to {number}. Give the newest file too"
            self._add_finding(kept.job, chain.until, why)
        elif chain.digest(number) not in (f"sha256:{kept.head.digest}", None):
            where = chain.until if chain.last == number else ""
            why = f"record {number} was changed: the state knows another digest"
            self._add_finding(kept.job, where, why)
        elif chain.last > kept.latest.number:
            first = kept.latest.number + 1
            which = f"record {first}"
            if chain.last > first:
                which = f"records {first} to {chain.last}"
            why = f"{which} came after the last one that the state knows. "
            why += "Either somebody added records, or the state is an older one"
            self._add_finding(kept.job, chain.until, why)

    def _find_runs_without_record(self, chain: Chain, kept: KeptAudit) -> None:
        """Runs since the chain began that it has nothing of: they had no audit, or another one."""
        for run, (began, users) in kept.runs.items() if chain.last else ():
            if began > chain.start and run not in chain.runs:
                why = f"run {run} of {began} wrote {users} users, and has no record. "
                why += "The job had no `audit` then, or another one"
                self._add_finding(kept.job, "", why)

    def _add_finding(self, job: str | None, where: str, why: str) -> None:
        self.found += 1
        if len(self.findings) < _FINDINGS_AT_MOST:
            self.findings.append(Finding(job, where, why))


def _read_record(line: bytes) -> dict[str, Any] | None:
    """The record in a line; None: it is none, as half a line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _digest_of(line: bytes, whole: object) -> str:
    """The digest of a record; of one that was cut to fit a datagram, that of the whole. Raises ValueError."""
    if whole is None:
        return digest_line(line)
    digest = str(whole).removeprefix("sha256:")
    if len(digest) != 2 * _DIGEST_OCTETS:
        raise ValueError
    return digest
