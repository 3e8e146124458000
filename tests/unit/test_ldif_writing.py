"""An LDIF file is rewritten whole or not at all, and all that is not changed stays as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from connector.directories.ldif.file_replacement import ChangedError, FileReplacement
from connector.errors import ConnectorError, FileError
from connector.model import AttributeChange, Change, Result, Secret, UserRef
from connector.reports.ldif import encode_line
from tests.support.ldif_samples import ANNA, directory, number, results

FILE = b"""# the example company
version: 1

dn: uid=before,dc=example
uid: before

# Anna
dn: uid=anna,
 dc=example
uid: anna
# her number
EMPLOYEENUMBER:: MQ=
 =
jpegPhoto:: AAEC
Description: one
description:: dHdv
description: thr
 ee
# the end

# between

dn: uid=after,dc=example
uid: after"""


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_all_other_lines_are_as_they_were(tmp_path: Path, eol: bytes) -> None:
    path = tmp_path / "people.ldif"
    path.write_bytes(FILE.replace(b"\n", eol))
    attributes = (
        AttributeChange("employeeNumber", ("1",), ("2",)),
        AttributeChange("description", ("two", "three"), ("t\u00fc",), pattern="t*"),
        AttributeChange("userPassword", (), (Secret(b"pw"),), secret=True, pattern="*"),
        AttributeChange("objectClass", (), ("cecAgent",)),
    )
    assert results(directory(path).write([Change(ANNA, None, 1, attributes)])) == [Result.WRITTEN]
    expected = (
        FILE.replace(b"EMPLOYEENUMBER:: MQ=\n =\n", b"EMPLOYEENUMBER: 2\n")
        .replace(
            b"description:: dHdv\ndescription: thr\n ee\n",
            b"description:: dMO8\nuserPassword: pw\nobjectClass: cecAgent\n",
        )
        .replace(b"\n", eol)
    )
    assert path.read_bytes() == expected


@pytest.mark.parametrize(
    "before",
    [
        b"dn: uid=anna,dc=example",
        b"dn: uid=anna,dc=example\nuid: anna",
        b"version: 1\ndn: uid=anna,dc=example",
    ],
)
def test_a_line_added_behind_an_unfinished_last_line_stands_on_its_own(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "people.ldif"
    path.write_bytes(before)
    everyone = directory(path, where="(&)")
    assert results(everyone.write([number("1")])) == [Result.WRITTEN]
    assert path.read_bytes() == before + b"\nemployeeNumber: 1\n"


NAMES = st.sampled_from(["description", "Description", "employeeNumber", "cn", "jpegPhoto", "cn;lang-de", "x-other"])
ENTRY = st.lists(st.tuples(NAMES, st.binary(max_size=90)), max_size=8)


@given(entry=ENTRY, neighbour=ENTRY, new=st.binary(min_size=1, max_size=90), eol=st.sampled_from(["\n", "\r\n"]))
def test_any_entry_keeps_all_but_what_is_changed(
    tmp_path_factory: pytest.TempPathFactory,
    entry: list[tuple[str, bytes]],
    neighbour: list[tuple[str, bytes]],
    new: bytes,
    eol: str,
) -> None:
    path = tmp_path_factory.mktemp("any") / "people.ldif"
    others = [encode_line(name, value) for name, value in neighbour]
    lines = [encode_line(name, value) for name, value in entry if name != "employeeNumber"]
    ours = [encode_line("userPassword", b"old 1"), encode_line("userPassword", b"old 2")]
    text = ["dn: uid=bert,dc=example\n", *others, "\n", "dn: uid=anna,dc=example\n", *ours, *lines, "\n"]
    path.write_bytes("".join(text).replace("\n", eol).encode())
    old = (Secret(b"old 2"), Secret(b"old 1"))
    change = AttributeChange("userPassword", old, (Secret(new),), secret=True, pattern="*")
    assert results(directory(path, where="(&)").write([Change(ANNA, None, 1, (change,))])) == [Result.WRITTEN]
    text[text.index("dn: uid=anna,dc=example\n") + 1 :] = [encode_line("userPassword", new), *lines, "\n"]
    assert path.read_bytes() == "".join(text).replace("\n", eol).encode()


DNS = st.lists(
    st.tuples(st.sampled_from(["uid", "CN", "ou"]), st.text(min_size=1, max_size=12)), min_size=1, max_size=3
)


@given(parts=DNS, value=st.binary(min_size=1, max_size=60))
def test_any_name_and_any_octets_are_read_found_and_written(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, str]], value: bytes
) -> None:
    escaped = ["".join(f"\\{octet:02x}" for octet in text.encode("utf-8", "replace")) for _, text in parts]
    dn = ",".join(f"{kind}={text}" for (kind, _), text in zip(parts, escaped, strict=True))
    path = tmp_path_factory.mktemp("any") / "people.ldif"
    path.write_text(encode_line("dn", dn) + encode_line("userPassword", value))
    reader = directory(path, where="(userPassword=*)")
    (user,) = reader.scan()
    (held,) = user.values["userPassword"]
    assert user.name == dn
    assert held == Secret(value)
    assert [found.id for found in reader.find([("@name", dn)])] == [user.id]
    assert [found.id for found in reader.find([("@id", user.id)])] == [user.id]
    assert results(reader.write([number("7", user=user.ref)])) == [Result.WRITTEN]
    (now,) = reader.read([user.ref])
    assert now.values == {**user.values, "employeeNumber": ("7",)}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may become larger than that: the nearest thing to a full disk that needs no disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "people.ldif"
    path.write_text("".join(f"dn: uid=u{n},dc=example\nuid: u{n}\n\n" for n in range(3000)))
    return path


def user(n: int) -> UserRef:
    return UserRef(f"uid=u{n},dc=example", f"uid=u{n},dc=example")


@pytest.fixture
def others_folder() -> Iterator[Path]:
    """A folder that every account may enter, and a file in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "people.ldif"
        path.write_text("dn: uid=u1,dc=example\nuid: u1\n")
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account, as root alone can")
@pytest.mark.parametrize(("mode", "folder_mode"), [(0o644, 0o777), (0o666, 0o755)])
def test_a_file_that_cannot_be_rewritten_is_refused_before_anybody_is_tried(
    others_folder: Path, mode: int, folder_mode: int
) -> None:
    path = others_folder / "people.ldif"
    path.chmod(mode)
    others_folder.chmod(folder_mode)
    os.seteuid(65534)
    try:
        with pytest.raises(FileError, match=r"cannot be rewritten: Permission denied\. Check the rights on the file"):
            directory(path).describe()
    finally:
        os.seteuid(0)
    assert list(others_folder.iterdir()) == [path]
    assert directory(path).describe().kind == "LDIF file"


def test_a_full_disk_half_way_leaves_the_file_as_it_was(many: Path) -> None:
    before = many.read_bytes()
    with largest_file(len(before) // 2):
        outcomes = list(directory(many).write(number("1", user=user(n)) for n in range(100)))
    assert [outcome.result for outcome in outcomes] == [Result.FAILED] * 100
    assert "the file is unchanged" in outcomes[0].why
    assert many.read_bytes() == before
    assert list(many.parent.iterdir()) == [many]


def test_a_file_that_was_rewritten_and_may_not_last_is_told_as_such(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder does not reach the disk."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    (outcome,) = directory(many).write([number("1", user=user(1))])
    assert outcome.result is Result.FAILED
    assert outcome.why == "the file was rewritten, but a power cut may undo it: Input/output error"
    assert b"uid: u1\nemployeeNumber: 1\n" in many.read_bytes()


def test_a_file_that_is_broken_half_way_stays_as_it_was(many: Path) -> None:
    with many.open("a") as file:
        file.write("no line of LDIF\n")
    before = many.read_bytes()
    outcomes = list(directory(many).write([number("1", user=user(0))]))
    assert [outcome.result for outcome in outcomes] == [Result.FAILED]
    assert f"{many}:9001" in outcomes[0].why
    assert many.read_bytes() == before
    assert list(many.parent.iterdir()) == [many]


def test_a_file_that_another_program_has_locked_is_not_written(many: Path) -> None:
    before = many.read_bytes()
    with many.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        outcomes = list(directory(many).write([number("1", user=user(0))]))
    assert [outcome.result for outcome in outcomes] == [Result.FAILED]
    assert "locked" in outcomes[0].why
    assert many.read_bytes() == before
    assert results(directory(many).write([number("1", user=user(0))])) == [Result.WRITTEN]


def test_conflicts_alone_do_not_touch_the_file(many: Path) -> None:
    before = many.stat()
    outcomes = directory(many).write([number("2", old=("1",), user=user(5)), number("2", user=UserRef("x", "uid=x"))])
    assert results(outcomes) == [Result.CONFLICT, Result.CONFLICT]
    assert (many.stat().st_ino, many.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(many.parent.iterdir()) == [many]


def test_a_user_that_has_another_name_by_now_is_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=anna,dc=example\nuid: anna\nentryUUID: 5d1d31b4-5e0a-4e0c-9d0b-9d6f1f6d2a11\n")
    (planned,) = directory(path).scan()
    path.write_text(path.read_text().replace("dn: uid=anna", "dn: uid=anna2"))
    outcomes = list(directory(path).write([number("1", user=planned.ref)]))
    assert [outcome.result for outcome in outcomes] == [Result.CONFLICT]
    assert "the entry was renamed" in outcomes[0].why


def test_what_a_killed_run_left_behind_is_cleared_away(many: Path) -> None:
    (many.parent / f".{many.name}.new").write_text("half a file with a canary")
    assert results(directory(many).write([number("1", user=user(0))])) == [Result.WRITTEN]
    assert list(many.parent.iterdir()) == [many]
    assert b"canary" not in many.read_bytes()


def test_a_link_is_written_through_and_mode_and_owner_stay(many: Path) -> None:
    link = many.parent / "link.ldif"
    link.symlink_to(many.name)
    many.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(many, 1234, 4321)
    before = many.stat()
    assert results(directory(link).write([number("1", user=user(0))])) == [Result.WRITTEN]
    after = many.stat()
    assert link.is_symlink()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert b"employeeNumber: 1\n" in many.read_bytes()


def acl(*named: tuple[int, int]) -> bytes:
    """A POSIX ACL as the kernel keeps it (linux/posix_acl_xattr.h), of users with what each may do."""
    nobody = 0xFFFFFFFF
    users = [(2, may, user) for user, may in named]
    entries = [(1, 6, nobody), *users, (4, 4, nobody), (16, 6, nobody), (32, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_acl_and_extended_attributes_stay(many: Path) -> None:
    os.setxattr(many, "system.posix_acl_access", acl((1234, 4), (4321, 6)))
    os.setxattr(many, "user.origin", b"hr")
    before = {name: os.getxattr(many, name) for name in os.listxattr(many)}
    assert results(directory(many).write([number("1", user=user(0))])) == [Result.WRITTEN]
    assert {name: os.getxattr(many, name) for name in os.listxattr(many)} == before != {}


def test_the_default_acl_of_the_folder_lets_nobody_in(many: Path) -> None:
    many.chmod(0o640)
    os.setxattr(many.parent, "system.posix_acl_default", acl((1234, 6)))
    assert results(directory(many).write([number("1", user=user(0))])) == [Result.WRITTEN]
    assert "system.posix_acl_access" not in os.listxattr(many)
    assert stat.S_IMODE(many.stat().st_mode) == 0o640


def test_a_file_whose_attributes_cannot_be_kept_is_not_replaced(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    os.setxattr(many, "user.origin", b"hr")
    before = many.read_bytes()
    monkeypatch.setattr(os, "setxattr", refuse)
    (outcome,) = directory(many).write([number("1", user=user(0))])
    assert outcome.result is Result.FAILED
    assert "its extended attribute user.origin cannot be kept" in outcome.why
    assert many.read_bytes() == before
    assert list(many.parent.iterdir()) == [many]


def test_a_file_with_another_hard_link_is_not_replaced(many: Path) -> None:
    reader = directory(many)
    (many.parent / "other.ldif").hardlink_to(many)
    before = many.read_bytes()
    (outcome,) = reader.write([number("1", user=user(0))])
    assert (outcome.result, "hard link" in outcome.why) == (Result.FAILED, True)
    assert many.read_bytes() == before


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("dn: uid=late,dc=example\n")


def swap(path: Path) -> None:
    path.with_suffix(".other").write_text("another file")
    path.with_suffix(".other").replace(path)


@pytest.mark.parametrize("meddle", [append, swap])
def test_a_file_that_changes_while_it_is_replaced_is_not_replaced(many: Path, meddle: Callable[[Path], None]) -> None:
    with pytest.raises(ChangedError), FileReplacement(many) as files:  # noqa: PT012  # the meddling stands between
        files.new.write(b"what it was to become")
        meddle(many)
        expected = many.read_bytes()
        files.commit_file()
    assert many.read_bytes() == expected
    assert list(many.parent.iterdir()) == [many]


def test_nothing_is_left_of_a_file_that_was_not_wanted_in_the_end(many: Path) -> None:
    before = many.read_bytes()
    for meddled in (False, True):
        with FileReplacement(many) as files:
            files.new.write(b"what it was to become")
            if meddled:
                (many.parent / f".{many.name}.new").unlink()
        assert not files.done
        assert list(many.parent.iterdir()) == [many]
    assert many.read_bytes() == before


@pytest.mark.parametrize("wanted", [True, False])
def test_nothing_stays_open_of_a_file_that_was_replaced(many: Path, *, wanted: bool) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with FileReplacement(many) as files:
        files.new.write(b"dn: uid=anna,dc=example\nuid: anna\n")
        if wanted:
            files.commit_file()
        assert files.done is wanted
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_error_shows_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=anna,dc=example\nuid: anna\nuserPassword:: canary!canary\n")
    with pytest.raises(ConnectorError) as caught:
        list(directory(path).scan())
    assert "canary" not in f"{caught.value!s}{caught.value!r}{caught.value.__cause__!r}"
