"""Files that people write: as text, and as YAML with the line of every key and item.

All that is wrong in one file becomes one error.

Only what a settings file needs of YAML 1.2.2 (https://yaml.org/spec/1.2.2/) is read: mappings,
sequences and scalars of the core schema (§10.3), so `no` and `on` are text and `010` is ten.
Tags, anchors and aliases, further documents and YAML 1.1 are refused; size and depth are bounded.
The file is read from ruamel.yaml's events rather than through its loader, because events carry
the place of everything and are never expanded.

No value is ever repeated in a message: it may be a secret that somebody wrote in clear.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

from connector.errors import FileError
from connector.model.templates import suggest_name
from connector.settings.yaml_faults import find_mistake

MAX_BYTES: Final = 1 << 20
MAX_FAULTS: Final = 50
NOT_REGULAR: Final = "is a device, a socket or a pipe: name a regular file"
MAX_DEPTH: Final = 32
MAX_KEY: Final = 500
_NOT_SUPPORTED: Final = (
    "are not supported; write the value out, or put the text in quotes"
)

_UNWELCOME: Final = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
"""Control characters but for tab and line breaks, and surrogates."""
_FLOAT: Final = (
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
}
_texts: ContextVar[dict[Path, str] | None] = ContextVar("texts", default=None)


class Fault(Struct, frozen=True, order=True):
    """One thing that is wrong in a file. Lines and columns count from 1; 0 is unknown."""

    line: int
    column: int
    what: str


def join_faults(path: Path, faults: list[Fault]) -> FileError:
    """Make one error of all faults of a file: `where` is the place of the first one.

    Each further fault has a line with its own place, like a compiler's output, so that editors
    and terminals can jump to each.
    """
    told = sorted(set(faults))
    errors = []
    for fault in told[:MAX_FAULTS]:
        place = filter(None, (path, fault.line, fault.column))
        errors.append(FileError(fault.what, where=":".join(map(str, place))))
    if len(told) > MAX_FAULTS:
        untold = f"and {len(told) - MAX_FAULTS} more"
        errors.append(FileError(untold, where=str(path)))
    return _join_errors(errors)


def raise_together(faults: Sequence[FileError]) -> None:
    """Raise the faults of several files, if any, as one error, each with its own place."""
    if faults:
        raise _join_errors(faults)


def _join_errors(errors: Sequence[FileError]) -> FileError:
    first, *rest = errors
    return FileError("\n".join([first.what, *map(str, rest)]), where=first.where)


@contextmanager
def shared_texts(texts: dict[Path, str]) -> Iterator[dict[Path, str]]:
    """Let these texts stand for their files meanwhile, and add to them what else is read."""
    token = _texts.set(texts)
    try:
        yield texts
    finally:
        _texts.reset(token)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file that people name for reading; every such file is opened here.

    Raises OSError; FileError for a pipe, also one of the shell (`<(…)`), a socket and a
    device: a pipe could be waited for without end, and the first wait is that for its
    writer, in `open`.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileError(NOT_REGULAR, where=str(path))
        yield file


def _open_without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK)


def read_octets(path: Path, limit: int = -1) -> bytes:
    """Read such a file: at most `limit` octets if that is not negative.

    Raises OSError and FileError.
    """
    with open_regular(path) as file:
        return file.read(limit)


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """Read the text of a file that people write: UTF-8, at most `limit` bytes.

    A byte order mark is allowed. Raises FileError.
    """
    texts = _texts.get()
    if texts is None:
        return read_disk_text(path, limit)
    if path not in texts:
        texts[path] = read_disk_text(path, limit)
    return texts[path]


def read_disk_text(path: Path, limit: int) -> str:
    """Read such a text from the disk, whatever `shared_texts` says, and leave it there alone."""
    where = str(path)
    try:
        octets = read_octets(path, limit + 1)
        if len(octets) <= limit:
            return octets.decode("utf-8-sig")
        what = f"is larger than {limit:,} bytes"
    except FileNotFoundError:
        what = "there is no such file"
    except OSError as fault:
        what = f"cannot be read: {fault.strerror}"
    except UnicodeDecodeError as fault:
        line = octets.count(b"\n", 0, fault.start) + 1
        what = "is not UTF-8 text"
        where = f"{path}:{line}"
    except ValueError:
        what = "cannot be read: this is no file name"
    raise FileError(what, where=where)


def why_no_file(path: Path) -> str | None:
    """Say why there is no regular file at that path; None where there is one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            return f"{path} is a link to a file that is not there"
        neighbours = []
        if path.parent.is_dir():
            neighbours = [each.name for each in path.parent.iterdir()]
        return f"there is no file {path}{suggest_name(path.name, neighbours)}"
    except OSError as fault:
        return f"{path}: {fault.strerror}"
    if stat.S_ISREG(mode):
        return None
    return f"{path} {'is a folder' if stat.S_ISDIR(mode) else NOT_REGULAR}"


Loc = tuple[str | int, ...]
"""The way to a key or an item: keys and indices from the root."""


class Document(Struct, frozen=True):
    """A file as plain data: dicts with `str` keys, lists, and str, int, float, bool or None."""

    path: Path
    data: dict[str, Any]
    lines: dict[Loc, int]
    faults: tuple[Fault, ...] = ()

    def __repr__(self) -> str:
        # the data may hold a secret that somebody wrote in clear
        return f"Document({str(self.path)!r})"

    def find_line(self, *loc: str | int) -> int:
        """Find the line of a key or item, or of the nearest one above it that the file has."""
        while loc not in self.lines:
            loc = loc[:-1]
        return self.lines[loc]

    def tell_place(self, *loc: str | int) -> str:
        """Tell the place of a key or item as `path:line`."""
        return f"{self.path}:{self.find_line(*loc)}"


def read_yaml(path: Path) -> Document:
    """Read one YAML document whose root is a mapping.

    Faults that leave the rest readable (a repeated key, an anchor, a tag) are kept in `faults`;
    `check_document` in settings/shape.py reports them with those of the shape. Raises FileError
    for all others.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: Path) -> Document:
    """Parse a text that stands in that file, or is to be written there, as `read_yaml` does."""
    builder = _DocumentBuilder(path, text)
    root = builder.build_document()
    if isinstance(root, dict):
        return Document(path, root, builder.lines, tuple(builder.faults))
    if root is None:
        fault = Fault(1, 0, "the file is empty")
    else:
        what = "must be keys and values, such as `key: value`"
        fault = Fault(builder.lines[()], 0, what)
    raise join_faults(path, [*builder.faults, fault])


class _DocumentBuilder:
    """Builds plain data from the events of one file."""

    def __init__(self, path: Path, text: str) -> None:
        self.lines: dict[Loc, int] = {}
        self.faults: list[Fault] = []
        self._path = path
        self._text = text
        self._last_line = 1
        self._events = self._parse_events()

    def build_document(self) -> Any:
        """Return the root of the file; None where the file is empty."""
        root: Any = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if () in self.lines:
                    what = "a second document begins here; use one file for each"
                    self.stop_reading(Fault(self._last_line, 0, what))
                if event.version not in (None, (1, 2)):
                    what = "this file is read as YAML 1.2; remove the %YAML line"
                    self.stop_reading(Fault(1, 0, what))
            elif isinstance(event, NodeEvent):
                root = self._build_node(event, ())
        return root

    def _parse_events(self) -> Iterator[Any]:
        """Yield the parser's events; what it raises becomes a FileError, here and nowhere else."""
        try:
            for event in YAML(typ="safe", pure=True).parse(self._text):
                self._last_line = event.start_mark.line + 1
                yield event
        except MarkedYAMLError as error:
            fault = Fault(*find_mistake(error, self._text))
        except ReaderError as error:
            line_number = self._text.count("\n", 0, error.position) + 1
            fault = Fault(line_number, 0, "a character that YAML does not allow")
        except (YAMLError, ArithmeticError, AssertionError, LookupError, ValueError):
            # ruamel.yaml leaves by these for a version it does not know or an escape beyond Unicode
            fault = Fault(self._last_line, 0, "this is not YAML 1.2")
        else:
            return
        self.stop_reading(fault)

    def stop_reading(self, fault: Fault) -> NoReturn:
        raise join_faults(self._path, [*self.faults, fault])

    def _add_fault(self, event: Any, what: str) -> None:
        mark = event.start_mark
        self.faults.append(Fault(mark.line + 1, mark.column + 1, what))

    def _build_node(self, event: Any, loc: Loc) -> Any:
        """Build what stands at this place. Its line is kept, but for a repeated key's."""
        self.lines.setdefault(loc, event.start_mark.line + 1)
        if isinstance(event, AliasEvent):
            self._add_fault(event, f"aliases {_NOT_SUPPORTED}")
            return None
        if event.anchor is not None:
            self._add_fault(event, f"anchors {_NOT_SUPPORTED}")
        if event.ctag is not None:
            what = "tags are not supported; put a text that begins with ! in quotes"
            self._add_fault(event, what)
        if isinstance(event, ScalarEvent):
            return self._build_scalar(event)
        if len(loc) >= MAX_DEPTH:
            what = f"nested more than {MAX_DEPTH} levels deep"
            self.stop_reading(Fault(event.start_mark.line + 1, 0, what))
        if isinstance(event, MappingStartEvent):
            return self._build_mapping(loc)
        return self._build_sequence(loc)

    def _build_mapping(self, loc: Loc) -> dict[str, Any]:
        """Take keys as text, whatever they look like; of a repeated one the first stays."""
        mapping: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._read_key(event)
            key_loc = (*loc, key)
            if key in mapping:
                first = self.lines[key_loc]
                what = f"the key {key!r} is there twice, first on line {first}"
                self._add_fault(event, what)
            self.lines.setdefault(key_loc, event.start_mark.line + 1)
            value = self._build_node(next(self._events), key_loc)
            mapping.setdefault(key, value)
        return mapping

    def _read_key(self, event: Any) -> str:
        is_word = isinstance(event, ScalarEvent) and event.value.isprintable()
        if not is_word or not 0 < len(event.value) <= MAX_KEY:
            self._add_fault(event, "a key must be a word or a quoted text")
            raise join_faults(self._path, self.faults)
        self._build_node(event, ())
        return str(event.value)

    def _build_sequence(self, loc: Loc) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            items.append(self._build_node(event, (*loc, len(items))))
        return items

    def _build_scalar(self, event: ScalarEvent) -> Any:
        if re.search(_UNWELCOME, event.value):
            what = "a control character, or half of a surrogate pair, in a text"
            self._add_fault(event, what)
            return ""
        return event.value if event.style else _parse_scalar(event.value)


def _parse_scalar(text: str) -> Any:
    """Read a plain scalar by the core schema (YAML 1.2.2 §10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"[-+]?[0-9]{1,400}", text):
        return int(text)
    if re.fullmatch(r"0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}", text):
        return int(text, 0)
    if re.fullmatch(_FLOAT, text):
        return float(re.sub(r"\.(?=[inIN])", "", text))
    return text
