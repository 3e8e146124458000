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

from connector.state.audit_lines import ChainHead, ChainPlace, digest_line

_DIGEST_OCTETS: Final = 32
_FINDINGS_AT_MOST: Final = 1000
_ADDED: Final = "Either somebody added records"
_BEGIN: Final = b'{"time":"'
"""What each record begins with."""


class AuditFinding(Struct):
    """What is wrong."""

    job: str | None
    """Whose chain; None: it may be any job's."""
    where: str
    """`file:line`; empty: the whole chain."""
    why: str


class AuditChain(Struct):
    """A job's chain so far."""

    job: str
    begun: int = 0
    """The number of its first record; 0: there is none yet."""
    last: int = 0
    """The number of its last record."""
    first: int = 0
    """The number of the first record in `digests`."""
    digests: bytearray = field(default_factory=bytearray)
    """Of the records since the last gap, one after the other: a million take 32 MB."""
    since: str = ""
    """Where its first record is."""
    until: str = ""
    """Where its last record is."""
    start: str = ""
    """The time of its first record."""
    runs: set[str] = field(default_factory=set)
    """Those that it has a record of."""
    earlier_count: int = 0
    """Records of an earlier version, which have no place in a chain, before its first one."""
    earlier_digest: str = ""
    """Digest of the last one of these, which the first record of the chain may have."""

    def find_digest(self, number: int) -> str | None:
        """`sha256:` and the digest of a record; None: it is not known."""
        start = (number - self.first) * _DIGEST_OCTETS
        found = self.digests[start : start + _DIGEST_OCTETS] if start >= 0 else b""
        return f"sha256:{found.hex()}" if found else None

    def is_followed_by(self, place: ChainPlace) -> bool:
        """Whether the record before this place is known, and the place has its digest."""
        before = self.find_digest(place.number - 1)
        is_first = place.number == 1
        return place.prev == before and (is_first or before is not None)

    def add_line(self, line: _Line) -> None:
        record = line.record
        number = record.number
        if not self.last:  # also where it begins anew
            self.begun, self.since = number, line.where
            self.start = self.start or record.time
        if number != self.last + 1 or not self.digests:
            self.first = number
            self.digests.clear()
        self.last, self.until = number, line.where
        self.digests += bytes.fromhex(line.digest.removeprefix("sha256:"))
        self.runs.add(record.run)

    def forget_records(self, first: int) -> None:
        """Forget those from this number on."""
        kept = max(0, first - self.first)
        del self.digests[kept * _DIGEST_OCTETS :]
        self.last = first - 1


class HalfLine(Struct, frozen=True):
    """A line that is no record: half of one, or somebody's."""

    where: str
    octets: bytes
    """Without newline, and without zeros at the end, as a power cut may leave them."""
    is_open: bool
    """Its file ends with it, within the line."""


class KeptAudit(Struct, frozen=True):
    """What the state of a job knows of its audit."""

    job: str
    head: ChainHead
    """The last line, before the files were read."""
    latest: ChainHead
    """The last line, after that: a run may have added some meanwhile."""
    runs: Mapping[str, tuple[str, int]]
    """By id, those that wrote: when each began, and how many users it wrote to."""

    @property
    def digest(self) -> str:
        """Of the last line before the files were read, as the next one has it."""
        return f"sha256:{self.head.digest}"


class _Record(ChainPlace, frozen=True):
    """What a record says of its place and its run."""

    time: str = ""
    run: str = ""


class _Line(Struct, frozen=True):
    """A record that has its place in a chain."""

    where: str
    record: _Record
    digest: str
    """As the next record has it."""


class AuditCheck:
    """The chains of these lines. `first`: the number that chains begin with, where it is not 1."""

    def __init__(self, first: int = 1, *, syslog: bool = False) -> None:
        self._first = first
        self._syslog = syslog
        self._halves: list[HalfLine] = []
        self._going_on: set[str] = set()
        """Jobs of which the present file has a record that is no repeat."""
        self.chains: dict[str, AuditChain] = {}
        self.findings: list[AuditFinding] = []
        self.found = 0
        """How many findings there are, also beyond those that are listed."""

    def begin_file(self) -> None:
        """Another file begins: after a rotation it may repeat what the disk had of the one before."""
        self._going_on.clear()

    def check_line(self, where: str, octets: bytes) -> None:
        """The next line, with its newline, if it has one."""
        line = octets.removesuffix(b"\n")
        is_open = line == octets
        if self._syslog:  # what comes before the record is the receiver's
            begin = max(0, line.find(b"{"))
            line = line[begin:]
        values = _read_object(line)
        if values is None:
            half = HalfLine(
                where,
                line.rstrip(b"\0"),
                is_open,
            )
            self._halves.append(half)
            return
        self._halves = [
            half for half in self._halves if not line.startswith(half.octets)
        ]
        digest = f"sha256:{digest_line(line)}"
        try:
            record = msgspec.convert(values, _Record)
        except ValidationError:
            job = values.get("job")
            if not isinstance(job, str):
                job = None
            if job is not None and self._count_earlier(job, values, digest):
                return
            what = "was changed or added, or is of an earlier version"
            why = f"the record {what}: its place in the chain cannot be read"
            self._add_finding(
                job,
                where,
                why,
            )
            return
        self._add_line(
            _Line(
                where,
                record,
                digest,
            )
        )

    def list_findings(self, kept: KeptAudit | None = None) -> list[AuditFinding]:
        """What was found, of every job, or of the one that this state knows."""
        open_half = self.open_half
        if kept is not None and len(self.chains) == 1:
            open_half = None  # the state has the whole line, of this job
        for half in self._halves:
            if half is not open_half:
                why = "this line is no record, and no half of a later one"
                self._add_finding(
                    None,
                    half.where,
                    why,
                )
        known = kept.digest if kept else ""
        for job, chain in self.chains.items():
            is_begun = chain.last or chain.earlier_digest == known
            if chain.earlier_count and not is_begun:
                why = "no record has a number: nothing can be verified"
                self._add_finding(job, "", why)
        if kept is None:
            return self.findings
        chain = self._find_kept_chain(kept)
        self._compare_end(chain, kept)
        self._find_runs_without_record(chain, kept)
        return [each for each in self.findings if each.job in (None, kept.job)]

    @property
    def open_half(self) -> HalfLine | None:
        """Half a record at the end of the last file, of a run that is under way or was interrupted."""
        for half in self._halves[-1:]:
            begin = half.octets[: len(_BEGIN)]
            if half.is_open and _BEGIN.startswith(begin):
                return half
        return None

    # ------------------------------------------------------------ one line

    def _count_earlier(self, job: str, values: dict[str, Any], digest: str) -> bool:
        """Whether this is a record of an earlier version, before the chain of its job."""
        if "event" not in values or "prev" in values or self._first > 1:
            return False
        chain = self.chains.setdefault(job, AuditChain(job))
        if chain.last:
            return False
        self._halves.clear()  # nobody can tell whose they are
        chain.earlier_count += 1
        chain.earlier_digest = digest
        return True

    def _add_line(self, line: _Line) -> None:
        record = line.record
        number = record.number
        chain = self._find_chain(record)
        last = f"the one before has number {chain.last}"
        why = ""
        takes_place = False
        if number > chain.last:
            takes_place = True
            why = self._judge_link(chain, record)
        elif chain.find_digest(number) == line.digest:
            if chain.job in self._going_on and not self._syslog:
                why = f"record {number} is here once more: {last}"
        elif not chain.is_followed_by(record):
            why = f"record {number} is out of order, or was added: {last}"
        else:
            takes_place = True
            earlier = name_records(max(number, chain.begun), chain.last)
            why = (
                f"{earlier} ({chain.until}) came before, "
                f"and the chain begins anew with record {number} here. "
                f"{_ADDED}, or the state was lost or replaced by an older one"
            )
            chain.forget_records(number)
        if why:
            self._add_finding(
                chain.job,
                line.where,
                why,
            )
        if takes_place:
            chain.add_line(line)
            self._going_on.add(chain.job)

    def _judge_link(self, chain: AuditChain, place: ChainPlace) -> str:
        """What is wrong with a record after the last one; empty: nothing."""
        number = place.number
        if not chain.last and place.prev and place.prev == chain.earlier_digest:
            return ""  # it goes on from a record of an earlier version
        expected = chain.last + 1 if chain.last else self._first
        if number > expected:
            why = f"missing before this one: {name_records(expected, number - 1)}"
            if not chain.last:
                why += ". Give older files first; "
                why += f"if they were deleted, add `--from {number}`"
            return why
        is_known = chain.last or number == 1
        if is_known and not chain.is_followed_by(place):
            return "this record or the one before it was changed: the digests differ"
        return ""

    def _find_chain(self, place: ChainPlace) -> AuditChain:
        """The job's chain; that of a job which was renamed goes on under its new name."""
        if place.job in self.chains:
            return self.chains[place.job]
        for other in self.chains.values():
            if place.prev and other.is_followed_by(place):
                return self._rename_chain(other, place.job)
        return self.chains.setdefault(place.job, AuditChain(place.job))

    def _rename_chain(self, chain: AuditChain, job: str) -> AuditChain:
        for finding in self.findings:
            if finding.job == chain.job:
                finding.job = job
        self.chains[job] = self.chains.pop(chain.job)
        chain.job = job
        return chain

    # ------------------------------------------------------------ what the state knows

    def _find_kept_chain(self, kept: KeptAudit) -> AuditChain:
        """The chain of the job; it may have been renamed, and have no record under its new name."""
        if kept.job in self.chains:
            return self.chains[kept.job]
        for chain in self.chains.values():
            if chain.find_digest(kept.head.number) == kept.digest:
                return self._rename_chain(chain, kept.job)
        return AuditChain(kept.job)

    def _compare_end(self, chain: AuditChain, kept: KeptAudit) -> None:
        """Whether the chain ends where the state says."""
        number, latest = kept.head.number, kept.latest.number
        if not chain.last and chain.earlier_digest == kept.digest:
            return  # no run has added to it since an earlier version did
        digest, where = chain.find_digest(number), chain.until
        why = ""
        if chain.last < number:
            known = f"the state knows records up to {number}"
            why = f"the end is cut: {known}. Give the newest file too"
        elif digest and digest != kept.digest:
            why = f"record {number} was changed: the state knows another digest"
            if chain.last != number:
                where = ""
        elif chain.last > latest:
            added = name_records(latest + 1, chain.last)
            why = (
                f"{added} came after the last one that the state knows. "
                f"{_ADDED}, or the state is an older one, a new one or another one"
            )
        if why:
            self._add_finding(kept.job, where, why)

    def _find_runs_without_record(self, chain: AuditChain, kept: KeptAudit) -> None:
        """Runs since the chain began that it has nothing of: they had no audit, or another one."""
        for run, (began, users) in kept.runs.items():
            is_of_chain = chain.last and began > chain.start
            if is_of_chain and run not in chain.runs:
                why = (
                    f"run {run} of {began} wrote {users} users, and has no record. "
                    "The job had no `audit` then, or another one"
                )
                self._add_finding(
                    kept.job,
                    "",
                    why,
                )

    def _add_finding(
        self,
        job: str | None,
        where: str,
        why: str,
    ) -> None:
        self.found += 1
        if len(self.findings) < _FINDINGS_AT_MOST:
            self.findings.append(
                AuditFinding(
                    job,
                    where,
                    why,
                )
            )


def name_records(first: int, last: int) -> str:
    """These records, by their numbers."""
    return f"record {last}" if first == last else f"records {first} to {last}"


def _read_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None: it is none, as half a line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
