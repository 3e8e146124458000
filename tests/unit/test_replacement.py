"""Replacing a file: what is on the disk by when, who may read the new one, and whose files are left alone."""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import nullcontext
from pathlib import Path

import pytest

from connector.directories.ldif.file_replacement import FileReplacement

ACL = "system.posix_acl_access"
"""As the kernel keeps it (linux/posix_acl_xattr.h)."""


def made(folder: Path, mode: int = 0o640) -> Path:
    path = folder / "people.ldif"
    path.write_text("old")
    path.chmod(mode)
    return path


def replace(path: Path, text: bytes = b"new") -> None:
    with FileReplacement(path) as replacement:
        replacement.new.write(text)
        replacement.commit_file()


def test_the_new_file_is_on_the_disk_before_it_takes_the_old_one_s_place_and_the_folder_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = made(tmp_path), list[str]()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        what = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"file of {os.fstat(descriptor).st_size}"
        synced.append(f"{what} while {path.read_text()}")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    replace(path)
    assert synced == ["file of 3 while old", "folder while new"]


def test_what_another_program_begins_right_after_stays(tmp_path: Path) -> None:
    path = made(tmp_path)
    theirs = path.with_name(f".{path.name}.new")
    with FileReplacement(path) as replacement:
        replacement.commit_file()
        theirs.write_text("theirs")
    assert theirs.read_text() == "theirs"


def test_what_was_not_committed_leaves_nothing(tmp_path: Path) -> None:
    path = made(tmp_path)
    with FileReplacement(path) as replacement:
        replacement.new.write(b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_somebody_puts_where_the_new_file_is_to_be_is_never_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, victim = made(tmp_path), tmp_path / "victim"
    victim.write_text("precious")

    def unlink(self: Path, *, missing_ok: bool = False) -> None:
        if not self.is_symlink():
            self.symlink_to(victim)  # quicker than we are

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(FileExistsError):
        replace(path)
    assert victim.read_text() == "precious"
    assert path.read_text() == "old"


def not_ours_to_give(monkeypatch: pytest.MonkeyPatch, path: Path, *, foreign: bool) -> None:
    """Nobody but root gives files away. `foreign`: a new file has another group than this one."""
    real, owners = os.fstat, path.stat()

    def fstat(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        if foreign and found.st_ino != owners.st_ino:
            return os.stat_result((*found[:5], found.st_gid + 1, *found[6:]))
        return found

    def fchown(descriptor: int, uid: int, gid: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fstat", fstat)
    monkeypatch.setattr(os, "fchown", fchown)


@pytest.mark.parametrize(("foreign", "expected"), [(True, 0o604), (False, 0o664)])
def test_a_group_that_cannot_be_kept_gives_no_other_group_its_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: bool, expected: int
) -> None:
    """A member of the file's group makes it one of that group anyhow."""
    path = made(tmp_path, 0o664)
    not_ours_to_give(monkeypatch, path, foreign=foreign)
    replace(path)
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == expected


@pytest.mark.parametrize("foreign", [True, False])
def test_an_acl_that_would_speak_of_another_group_is_not_given_to_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: bool
) -> None:
    path = made(tmp_path)
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, 4, 1234), (4, 4, nobody), (16, 6, nobody), (32, 0, nobody)]
    os.setxattr(path, ACL, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
    before = os.getxattr(path, ACL)
    not_ours_to_give(monkeypatch, path, foreign=foreign)
    with pytest.raises(OSError, match="its group cannot be kept") if foreign else nullcontext():
        replace(path)
    monkeypatch.undo()
    assert (path.read_text(), os.getxattr(path, ACL)) == ("old" if foreign else "new", before)


@pytest.mark.parametrize(("code", "replaced"), [(errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_without_extended_attributes_has_none_to_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, replaced: bool
) -> None:
    path = made(tmp_path)

    def listxattr(file: int) -> list[str]:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "listxattr", listxattr)
    with nullcontext() if replaced else pytest.raises(OSError, match=os.strerror(code)):
        replace(path)
    assert path.read_text() == ("new" if replaced else "old")
    assert list(tmp_path.iterdir()) == [path]
