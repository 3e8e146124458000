"""The key of a state in a file: made once, by whoever comes first, and read by everybody who comes after."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from connector.errors import FileError, StateError
from connector.state.sqlite import locate_key, read_or_make_key


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def put(state: Path, text: str, mode: int = 0o600) -> Path:
    path = state.with_name("state.db.key")
    path.write_text(text)
    path.chmod(mode)
    return path


def key(state: Path) -> str:
    made = read_or_make_key(state, needed=True)
    revealed = made and made.reveal()
    assert isinstance(revealed, bytes)
    return revealed.decode()


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("left", [None, "", "\n", 99 * " "])
def test_the_key_that_is_made_is_the_one_that_is_read_from_then_on(state: Path, left: str | None) -> None:
    if left is not None:
        put(state, left)
    made = key(state)
    assert re.fullmatch("[0-9a-f]{64}", made), "as long as what it is measured by"
    assert locate_key(state).read_text().rstrip(" ") == f"{made}\n"
    assert locate_key(state).stat().st_mode & 0o777 == 0o600
    assert [key(state), key(state)] == [made, made]


def test_every_state_has_a_key_of_its_own_by_whichever_link_it_is_named(state: Path) -> None:
    link = state.with_name("link.db")
    link.symlink_to(state)
    assert key(link) == key(state) != key(state.with_name("other.db"))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_that_is_there_is_read_as_somebody_wrote_it_and_stays(state: Path, mode: int) -> None:
    path = put(state, "  a key of somebody's\n", mode)
    assert key(state) == "a key of somebody's"
    assert path.read_text() == "  a key of somebody's\n"


# ---------------------------------------------------------------- what is refused


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_text("a key")
    path.with_name("elsewhere").chmod(0o600)
    path.symlink_to("elsewhere")


def a_socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as end:
        end.bind(str(path))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [a_link, a_socket, Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(state: Path, make: Callable[[Path], None]) -> None:
    make(locate_key(state))
    with pytest.raises(FileError, match="no regular file"):
        read_or_make_key(state, needed=False)


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640])
def test_a_file_that_others_may_do_anything_with_is_refused(state: Path, mode: int) -> None:
    path = put(state, "a key", mode)
    with pytest.raises(FileError, match="chmod 600") as caught:
        read_or_make_key(state, needed=False)
    assert caught.value.where == str(path)


# ---------------------------------------------------------------- what cannot be made


def test_without_a_folder_to_make_it_in_it_is_an_error_where_it_is_needed(state: Path) -> None:
    lost = state / "gone" / "state.db"
    assert read_or_make_key(lost, needed=False) is None
    with pytest.raises(StateError, match="cannot be made"):
        read_or_make_key(lost, needed=True)
    state.write_text("a file, and no folder")
    with pytest.raises(StateError, match="cannot be read"):
        read_or_make_key(state / "state.db", needed=False)


@pytest.mark.parametrize("fails", ["pwrite", "fsync"])
def test_a_part_of_a_key_is_none(state: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """A disk that is full half way, or breaks: what stands there then must be the key of nobody."""
    pwrite = os.pwrite

    def fail(handle: int, *rest: object) -> None:
        pwrite(handle, b"half", 0)
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, fails, fail)
        assert read_or_make_key(state, needed=False) is None
        with pytest.raises(StateError, match="cannot be made"):
            read_or_make_key(state, needed=True)
    assert locate_key(state).read_bytes() == b""
    assert len(key(state)) == 64


# ---------------------------------------------------------------- several at once


@pytest.mark.timeout(20)
def test_whoever_reads_hinders_no_other_reader(state: Path) -> None:
    with put(state, "a key").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert key(state) == "a key"


_MAKING = """
import sys
from pathlib import Path
from connector.state.sqlite import read_or_make_key
print("ready", flush=True)
sys.stdin.readline()
print(read_or_make_key(Path(sys.argv[1]), needed=True).reveal().decode(), flush=True)
"""


@contextmanager
def making(state: Path, processes: int) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes that are about to ask for the key of this state."""
    command = [sys.executable, "-c", _MAKING, str(state)]
    made = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    try:
        assert [process.stdout and process.stdout.readline() for process in made] == ["ready\n"] * processes
        yield made
    finally:
        for process in made:
            process.kill()
            process.wait()


def test_processes_that_make_the_key_at_once_end_with_one(tmp_path: Path) -> None:
    with making(tmp_path / "state.db", 4) as processes:
        keys = {process.communicate("go\n", timeout=60)[0].strip() for process in processes}
    assert keys == {(tmp_path / "state.db.key").read_text().strip()}


@pytest.mark.parametrize("lock", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_whoever_comes_while_another_makes_the_key_or_looks_whether_there_is_one_waits_for_it(
    tmp_path: Path, lock: int
) -> None:
    path = tmp_path / "state.db.key"
    with making(tmp_path / "state.db", 1) as (process,), path.open("w") as mine:
        path.chmod(0o600)
        fcntl.flock(mine, lock)
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not re.search(rf"-> FLOCK .*\b{process.pid}\b", Path("/proc/locks").read_text()):
            assert process.poll() is None, "it has not waited"
            assert time.monotonic() < deadline
        mine.write("a key that was made meanwhile\n")
        mine.flush()
        fcntl.flock(mine, fcntl.LOCK_UN)
        assert process.communicate(timeout=60)[0].strip() == "a key that was made meanwhile"
