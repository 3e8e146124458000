"""The chain of an audit: any single edit, deletion, swap or insertion is found, but for a cut end without the state."""

from __future__ import annotations

import errno
import fcntl
import json
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings, strategies as st

from connector.observers import audit_file
from connector.observers.audit import AuditObserver
from connector.observers.audit_check import AuditCheck, AuditFinding
from connector.observers.audit_file import AuditFile
from connector.runtime.clock import format_now
from connector.settings.operations import Audit
from connector.state.audit_lines import ChainHead
from connector.state.store import State, open_state
from tests.support.audit_lines import PlainAuditor, chain_faults
from tests.support.examples import examples
from tests.support.logs import logged

JOB = "hr"
texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=5)
law = settings(max_examples=examples(60))
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # `fsync` takes no time there


@contextmanager
def session(state: State, path: Path, job: str = JOB) -> Iterator[AuditObserver]:
    """One run's audit in a file."""
    broken: list[str] = []
    made = AuditObserver(Audit(file=path), job=job, run="", bound=None, stop=broken.append, code=lambda _: 0)
    made.open_directory("", lambda *_: "", state.audit)
    try:
        yield made
    finally:
        made.close()
    if broken:
        raise OSError(broken[0])


def tell(state: State, path: Path, said: Sequence[str], job: str = JOB) -> None:
    """A session with these records."""
    with session(state, path, job) as audit:
        for each in said:
            audit.note_release(each, [])


def die(state: State, path: Path, said: Sequence[str], octets: int) -> None:
    """A session that dies when the file has so many octets of its records."""
    state.audit.begin_session(JOB, PlainAuditor())
    for each in said:
        state.audit.add_record({"time": format_now(), "event": "release", "job": JOB, "why": each})
    lines = "".join(f"{line.text}\n" for some in state.audit.read_lines(JOB) for line in some)
    with path.open("a") as file:
        file.write(lines[:octets])


@contextmanager
def audit(data: st.DataObject) -> Iterator[tuple[list[bytes], ChainHead, int]]:
    """The lines of an audit of several sessions, some of which died; the state's head; how many are older than it."""
    with (
        tempfile.TemporaryDirectory(prefix="cec-connector-chain-", dir=MEMORY) as folder,
        closing(open_state(None)) as state,
    ):
        path = Path(folder, "audit.jsonl")
        old = data.draw(st.integers(0, 2))
        path.write_bytes(b'{"event":"end","job":"hr"}\n' * old)
        lines = list[bytes]()
        for number in range(data.draw(st.integers(1, 4))):
            if number and data.draw(st.booleans()):  # it is rotated, in good order
                lines += path.read_bytes().splitlines(keepends=True)
                path.unlink()
            tell(state, path, data.draw(texts))
            if data.draw(st.booleans()):  # the next one dies
                die(state, path, data.draw(texts), data.draw(st.integers(0, 400)))
                tell(state, path, data.draw(texts))
        lines += path.read_bytes().splitlines(keepends=True)
        yield lines, state.audit.read_head(JOB), old


def found(lines: Sequence[bytes], head: ChainHead | None = None) -> list[AuditFinding]:
    return chain_faults(b"".join(lines), job=JOB, head=head)


@law
@given(st.data())
def test_what_was_told_is_whole_whatever_was_killed_or_rotated(data: st.DataObject) -> None:
    with audit(data) as (lines, head, _):
        assert not found(lines)
        assert not found(lines, head)


def is_record(line: bytes) -> bool:
    return line.endswith(b"}\n")


@law
@given(st.data())
def test_an_edit_of_any_octet_is_found(data: st.DataObject) -> None:
    """But for one in half a line, which may become another half, and says nothing."""
    with audit(data) as (lines, head, old):
        place = data.draw(st.sampled_from([n for n in range(old, len(lines)) if is_record(lines[n])]))
        line = lines[place]
        at = data.draw(st.integers(0, len(line) - 1))
        new = data.draw(st.integers(0, 255).filter(lambda octet: octet != line[at]))
        octets = b"".join([*lines[:place], line[:at], bytes([new]), line[at + 1 :], *lines[place + 1 :]])
        edited = BytesIO(octets).readlines()
        assert found(edited, head)
        assert place == len(lines) - 1 or found(edited)


@law
@given(st.data())
def test_a_record_that_was_taken_away_is_found(data: st.DataObject) -> None:
    with audit(data) as (lines, head, old):
        place = data.draw(st.sampled_from([n for n in range(old, len(lines)) if is_record(lines[n])]))
        cut = [*lines[:place], *lines[place + 1 :]]
        assert found(cut, head)
        assert place == len(lines) - 1 or found(cut)
        assert found(lines[:place], head), "a cut end"


@pytest.mark.slow
@law
@given(st.data())
def test_two_records_that_changed_places_are_found(data: st.DataObject) -> None:
    with audit(data) as (lines, head, old):
        places = st.sampled_from([n for n in range(old, len(lines)) if is_record(lines[n])])
        one, other = data.draw(st.tuples(places, places))
        swapped = lines.copy()
        swapped[one], swapped[other] = lines[other], lines[one]
        if swapped != lines:
            assert found(swapped, head)
            assert found(swapped)


@law
@given(st.data())
def test_a_line_that_was_added_is_found(data: st.DataObject) -> None:
    """A record that is linked rightly at the very end is one more by whoever can compute a digest: see the page.

    The first record of another job is linked to nothing.
    """
    with audit(data) as (lines, head, old):
        record = json.loads(data.draw(st.sampled_from([*lines[:old], lines[-1]])))
        job = data.draw(st.sampled_from([JOB, "it"]))
        edited = record | {"said": "somebody else", "job": job}
        forged = [json.dumps(edited).encode(), b"note: approved", b"[]", b"{}", b'{"event":"write","job":"hr"}']
        whole = [line for line in lines[old:] if is_record(line)]
        line = data.draw(st.sampled_from([*whole, *(each + b"\n" for each in forged)]))
        place = data.draw(st.integers(old + 1, len(lines)))
        added = [*lines[:place], line, *lines[place:]]
        assert found(added, head) or job != JOB, line
        begins_another = line == forged[0] + b"\n" and job != JOB and record.get("number") == 1
        assert found(added) or begins_another, line


# ---------------------------------------------------------------- several jobs in one file


def test_a_long_audit_takes_little_memory() -> None:
    check, prev = AuditCheck(), "null"
    tracemalloc.start()
    try:
        for number in range(1, 5001):
            line = f'{{"event":"end","job":"hr","number":{number},"prev":{prev}}}'.encode()
            check.check_line("", line + b"\n")
            prev = f'"sha256:{sha256(line).hexdigest()}"'
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert check.list_findings() == []
    assert held < 5000 * 60


def test_a_job_never_sees_half_of_what_another_is_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    later: list[threading.Thread] = []
    append = AuditFile.append_octets

    def other() -> None:
        with closing(open_state(None)) as state:
            tell(state, path, ["other"], "it")

    def slow(self: AuditFile, octets: bytes) -> None:
        if later:
            append(self, octets)
            return
        append(self, octets[:20])
        later.append(threading.Thread(target=other))
        later[0].start()
        later[0].join(0.2)  # without a lock it is done by then
        append(self, octets[20:])

    monkeypatch.setattr(AuditFile, "append_octets", slow)
    with closing(open_state(None)) as state:
        tell(state, path, ["one"])
    later[0].join()
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["job"] for line in lines] == [JOB, "it"]
    assert not found(lines)


def tell_locked(state: State, path: Path, other: IO[str]) -> None:
    with session(state, path) as made:
        fcntl.flock(other, fcntl.LOCK_EX)
        made.note_release("one", [])


def test_a_file_that_stays_locked_breaks_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "_PATIENCE", 0)
    path = tmp_path / "audit.jsonl"
    with closing(open_state(None)) as state, path.open("w") as other:
        with pytest.raises(OSError, match="another program keeps it locked"):
            tell_locked(state, path, other)
        fcntl.flock(other, fcntl.LOCK_UN)
        tell(state, path, ["two"])
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was let go of
    assert [json.loads(line)["why"] for line in path.read_text().splitlines()] == ["one", "two"]


def test_a_file_system_without_locks_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, operation: int) -> None:  # as `flock`
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    path = tmp_path / "audit.jsonl"
    with logged() as logs, closing(open_state(None)) as state:
        tell(state, path, ["one", "two"])
    assert [(each["event"], each["where"]) for each in logs] == [("audit file cannot be locked", str(path))]
    assert not found(path.read_bytes().splitlines(keepends=True))
