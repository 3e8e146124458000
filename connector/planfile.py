"""The plan document on disk: saved, read back strictly, and every report written whole or not at all."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeVar
from uuid import uuid4

from connector.errors import FileError, OutputError, RefusedError
from connector.model import Outcome, Plan
from connector.reports import document
from connector.reports.document_shape import DocumentError
from connector.settings.textfile import read_octets

T = TypeVar("T")
_BUFFER: Final = 1 << 18  # a report of ten thousand changes has 8 MB
_OWN_STREAM: Final = re.compile(
    r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)"
)


def load_plan(path: Path) -> Plan:
    """The plan of a document.

    A secret comes back without values: its `fingerprint` says that it is set, and what it
    is. Raises FileError where the file cannot be read or is no plan document, RefusedError
    where it was edited after it was written.
    """
    return load_octets(path)[0]


def load_octets(path: Path) -> tuple[Plan, bytes]:
    """The same with the octets of the document, which people may have signed."""
    octets = octets_of(path)
    return _parse_file(path, octets, document.parse_plan), octets


def load_report(path: Path) -> tuple[Plan, tuple[Outcome, ...] | None]:
    """The same with the outcomes; None: it was not applied. Such a plan is to be shown, not to be applied."""
    return _parse_file(path, octets_of(path), document.parse_report)


def octets_of(path: Path) -> bytes:
    """The octets of a file. Raises FileError."""
    try:
        return read_octets(path)
    except OSError as fault:
        raise FileError(
            f"the plan cannot be read: {fault.strerror}", where=str(path)
        ) from fault


def _parse_file(path: Path, octets: bytes, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(octets)
    except DocumentError as fault:
        where = str(path) if fault.line is None else f"{path}:{fault.line}"
        kind = (
            ""
            if path.suffix.lower() == ".json"
            else ". It is written by --save, or by --report FILE.json"
        )
        raise FileError(f"not a plan document: {fault}{kind}", where=where) from None
    except document.TamperedError as fault:
        raise RefusedError(
            f"the plan was changed after it was saved: {fault}", where=str(path)
        ) from None


def save_plan(
    path: Path, plan: Plan, outcomes: Sequence[Outcome] | None = None
) -> None:
    """Write the plan document. Raises OutputError."""
    write_out(path, document.render(plan, outcomes))


def document_of(plan: Plan, outcomes: Sequence[Outcome] | None = None) -> bytes:
    """The octets of the file that `save_plan` writes."""
    return b"".join(_encode_chunks(document.render(plan, outcomes)))


def write_out(path: Path, chunks: Iterable[str], mode: int = 0o600) -> None:
    """Write a text, in UTF-8, as a file that appears whole or not at all, and that by default only its owner reads.

    A file that is there is replaced; of a symbolic link, what it points to. A pipe, a
    device, `/dev/stdout` and the like are written into as they are, for there is nothing to
    replace. Raises OutputError.
    """
    try:
        own = _OWN_STREAM.fullmatch(os.path.normpath(path))
        if own:
            sys.stdout.flush()
            sys.stderr.flush()
            number = 1 if own[1] else 2 if own[2] else int(own[3] or own[4])
            with os.fdopen(os.dup(number), "wb") as stream:
                _write_chunks(chunks, stream)
        elif path.exists() and not path.is_file():
            with path.open("wb") as stream:
                _write_chunks(chunks, stream)
        else:
            _replace_file(Path(os.path.realpath(path)), chunks, mode)
    except OSError as fault:
        raise OutputError(
            f"it cannot be written: {fault.strerror or fault}", where=str(path)
        ) from fault


def _write_chunks(chunks: Iterable[str], stream: BinaryIO) -> None:
    stream.writelines(_encode_chunks(chunks))
    stream.flush()


def _encode_chunks(chunks: Iterable[str]) -> Iterator[bytes]:
    # a stray half of a surrogate pair, which UTF-8 cannot carry, must not be what a
    # finished run ends with
    return (chunk.encode("utf-8", "backslashreplace") for chunk in chunks)


def _replace_file(target: Path, chunks: Iterable[str], mode: int) -> None:
    """Write beside the target, then take its place; whatever happens before that, nothing is left behind."""
    beside = target.with_name(f".{target.name[:40]}.{uuid4()}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb", _BUFFER) as stream:
            _write_chunks(chunks, stream)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut. Some network file systems cannot; the file is whole there all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
