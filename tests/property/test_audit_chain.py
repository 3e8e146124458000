"""The chain of an audit: any single edit, deletion, swap or insertion is found, but for a cut end without the state."""

from __future__ import annotations

import errno
import fcntl
import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from connector.observers import sinks
from connector.observers.chain import Chained, linked
from connector.observers.chain_check import Finding
from connector.observers.sinks import File
from connector.state.telling import Link
from tests.support.audit_lines import chain_faults
from tests.support.examples import examples
from tests.support.logs import logged

JOB = "hr"
texts = st.text(st.characters(codec="utf-8"), max_size=8)
batches = st.lists(st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=3)
halves = st.sampled_from(["", "", '{"event":"wri', '{"event":"wri\n{"event":"', "\0\0"])
law = settings(max_examples=examples(60))
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # `fsync` takes no time there


def told(path: Path, link: Link, batches: Sequence[Sequence[str]]) -> Link:
    """One session: records are told batch by batch; how the state knows it in the end."""
    with closing(Chained(File(path), JOB, link)) as chain:
        for batch in batches:
            chain.ready()
            records = [({"event": "write", "job": JOB, "said": said, "attributes": []}, 5) for said in batch]
            chain.tell(linked(records, [chain]))
        chain.secure()
        return chain.safe


@contextmanager
def audit(data: st.DataObject) -> Iterator[tuple[list[bytes], Link, int]]:
    """The lines of an audit of several sessions, some of which died; the state's link; how many are older than it."""
    with tempfile.TemporaryDirectory(prefix="cec-connector-chain-", dir=MEMORY) as folder:
        path = Path(folder, "audit.jsonl")
        old = data.draw(st.integers(0, 2))
        path.write_bytes(b'{"event":"end","job":"hr"}\n' * old)
        link, lines = Link(), list[bytes]()
        for number in range(data.draw(st.integers(1, 4))):
            if number and data.draw(st.booleans()):  # it is rotated, in good order
                lines += path.read_bytes().splitlines(keepends=True)
                path.unlink()
            after = told(path, link, data.draw(batches))
            link = after
            if data.draw(st.booleans()):  # the next one dies, within a record or before the state's link
                told(path, link, data.draw(batches))
                link = Link(link.seq, link.digest, ended=False)
                with path.open("a") as file:
                    file.write(data.draw(halves))
                link = told(path, link, data.draw(batches))
        lines += path.read_bytes().splitlines(keepends=True)
        yield lines, link, old


def found(lines: Sequence[bytes], link: Link | None = None) -> list[Finding]:
    return chain_faults(b"".join(lines), job=JOB, link=link)


@law
@given(st.data())
def test_what_was_told_is_whole_whatever_was_killed_or_rotated(data: st.DataObject) -> None:
    with audit(data) as (lines, link, _):
        assert not found(lines)
        assert not found(lines, link)


@law
@given(st.data())
def test_an_edit_of_any_octet_is_found(data: st.DataObject) -> None:
    with audit(data) as (lines, link, old):
        place = data.draw(st.integers(old, len(lines) - 1))
        line = lines[place]
        at = data.draw(st.integers(0, len(line) - 1))
        new = data.draw(st.integers(0, 255).filter(lambda octet: octet != line[at]))
        octets = b"".join([*lines[:place], line[:at], bytes([new]), line[at + 1 :], *lines[place + 1 :]])
        edited = BytesIO(octets).readlines()
        assert found(edited, link)
        assert place == len(lines) - 1 or found(edited)


@law
@given(st.data())
def test_a_line_that_was_taken_away_is_found(data: st.DataObject) -> None:
    with audit(data) as (lines, link, old):
        place = data.draw(st.integers(old, len(lines) - 1))
        cut = [*lines[:place], *lines[place + 1 :]]
        assert found(cut, link)
        assert place == len(lines) - 1 or found(cut)
        place = data.draw(st.integers(old, len(lines) - 1))
        assert found(lines[:place], link), "a cut end"


@pytest.mark.slow
@law
@given(st.data())
def test_two_lines_that_changed_places_are_found(data: st.DataObject) -> None:
    with audit(data) as (lines, link, old):
        one, other = data.draw(st.tuples(*[st.integers(old, len(lines) - 1)] * 2))
        swapped = lines.copy()
        swapped[one], swapped[other] = lines[other], lines[one]
        if swapped != lines:
            assert found(swapped, link)
            assert found(swapped)


@law
@given(st.data())
def test_a_line_that_was_added_is_found(data: st.DataObject) -> None:
    """A record that is linked rightly at the very end is one more by whoever can compute a digest: see the page."""
    with audit(data) as (lines, link, old):
        record = json.loads(data.draw(st.sampled_from([*lines[:old], lines[-1]])))
        job = data.draw(st.sampled_from([JOB, "it"]))
        edited = record | {"said": "somebody else", "job": job}
        forged = [json.dumps(edited).encode(), b"", b"{", b"[]", b"{}", b'{"event":"write","job":"hr"}']
        line = data.draw(st.sampled_from([*lines[old:], *(each + b"\n" for each in forged)]))
        place = data.draw(st.integers(old + 1, len(lines)))
        added = [*lines[:place], line, *lines[place:]]
        assert found(added, link) or job != JOB, line
        assert found(added), line


# ---------------------------------------------------------------- several jobs in one file


def tell(chain: Chained, job: str) -> None:
    chain.ready()
    chain.tell(linked([({"event": "write", "job": job, "attributes": []}, 5)], [chain]))


def test_a_job_never_sees_half_of_what_another_is_writing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with closing(Chained(File(path), "it", Link())) as other:
        later = threading.Thread(target=tell, args=(other, "it"))

        class Slow(File):
            def add(self, octets: bytes) -> None:
                super().add(octets[:20])
                later.start()
                later.join(0.2)  # without a lock it is done by then
                super().add(octets[20:])

        with closing(Chained(Slow(path), JOB, Link())) as chain:
            tell(chain, JOB)
        later.join()
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["job"] for line in lines] == [JOB, "it"]
    assert not found(lines)
    assert b"halves" not in lines[1]


def test_a_file_that_stays_locked_breaks_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_PATIENCE", 0)
    path = tmp_path / "audit.jsonl"
    with closing(Chained(File(path), JOB, Link())) as chain, path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another program keeps it locked"):
            tell(chain, JOB)
        fcntl.flock(other, fcntl.LOCK_UN)
        tell(chain, JOB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was let go of


def test_a_file_system_without_locks_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, operation: int) -> None:  # as `flock`
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    path = tmp_path / "audit.jsonl"
    with logged() as logs, closing(Chained(File(path), JOB, Link())) as chain:
        tell(chain, JOB)
        tell(chain, JOB)
    assert [(each["event"], each["where"]) for each in logs] == [("audit file cannot be locked", str(path))]
    assert not found(path.read_bytes().splitlines(keepends=True))
