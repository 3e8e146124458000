"""Keeps what a settings file came to, so that the next run needs neither YAML nor validation: half of a small plan.

An entry holds for one text at one path, read by one version of this program and of its libraries. One that was changed
since is none. It is as trusted as the files of the
state: only a folder and a file are taken that this account owns, and that nobody else may write. A job with
`approvers` is never kept. Without such a folder every file is read anew.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import DecodeError, Struct, json

from connector import __version__
from connector.reconcile.diff.templates import Template
from connector.regex import regex
from connector.settings.document import Document
from connector.settings.textfile import Looks, is_given, looks, read_text

T = TypeVar("T", bound=Struct)
MOST: Final = 1000
"""Entries that are kept; more than that, and the oldest go."""
_PROGRAM: Final = Path(__file__).parents[1]
_PARTS: Final = ("model", "reconcile", "reconcile/checks", "reconcile/diff", "reconcile/matching", "settings")
"""What entries are made by and of."""
_SEAL: Final = 32
_LIBRARIES: Final = ("msgspec-", "pydantic-", "pydantic_core-", "ruamel.yaml-", "ruamel_yaml-")
"""How the folders are named that say their versions (Binary distribution format: `.dist-info`)."""
_NEVER: Final = regex(r"approvers|\\[xuU\r\n]")
"""Also where YAML writes a letter by its number, or a word on two lines (YAML 1.2.2 §5.7)."""
_ENTRY: Final = regex(r"[0-9a-f]{40}\.(json|[0-9]+)")


class Entry(Struct, frozen=True):
    """What a text came to, and the files that had to be there for it. Its file begins with the `seal` of the rest."""

    looks: Looks
    value: Any


def load(path: Path, kind: type[T], shaped: Callable[[Document], T]) -> T:
    """What a file comes to by `shaped`, of which it is the kind. Raises FileError, as that does."""
    text = read_text(path)
    entry = None if is_given() or _NEVER.search(text) else _place(path, kind)
    if entry is None:
        return shaped(_parsed(text, path))
    key = key_of(text, path)
    found = _found(entry, key)
    if isinstance(found, kind):
        return found
    with looks() as looked:
        made = shaped(_parsed(text, path))
    with suppress(OSError, UnkeptError, UnicodeEncodeError):
        held = json.encode(Entry(looked, packed(made)))
        _keep(entry, seal(key, held) + held)
    return made


def _parsed(text: str, path: Path) -> Document:
    from connector.settings.yamlfile import parse  # noqa: PLC0415  # ruamel.yaml is a tenth of a start

    return parse(text, path)


def folder() -> Path | None:
    """Where entries are: by systemd (systemd.exec(5)), by the XDG Base Directory Specification, or nowhere."""
    if systemd := os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]:
        return Path(systemd)
    for named in (os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", "") + "/.cache"):
        if named.startswith("/") and named != "/.cache":
            return Path(named, "cec-connector")
    return None


def _place(path: Path, kind: type[Struct]) -> Path | None:
    home = folder()
    return home and home / f"{sha256(os.fsencode(f'{kind.__name__} {path.absolute()}')).hexdigest()[:40]}.json"


def key_of(text: str, path: Path) -> str:
    """What an entry is good for: the text, how its file was named, the program (sizes and times), and its libraries."""
    said = [__version__, sys.version, str(path), str(path.absolute()), text]
    for part in _PARTS:
        with os.scandir(_PROGRAM / part) as files:
            said += sorted(
                f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files if file.is_file()
            )
    found = set[str]()  # a folder may be there under several names
    for part in sys.path:
        with suppress(OSError):
            found.update(each.name for each in os.scandir(part or ".") if each.name.startswith(_LIBRARIES))
    said += sorted(found)
    return sha256("\0".join(said).encode(errors="surrogatepass")).hexdigest()


def seal(key: str, held: bytes) -> bytes:
    """The digest of an entry, and of what it is good for."""
    return sha256(key.encode() + held).digest()


def _found(entry: Path, key: str) -> object:
    try:
        with open(entry, "rb", opener=lambda name, usual: os.open(name, usual | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            if not (_is_ours(entry.parent.stat()) and _is_ours(os.fstat(file.fileno()))):
                return None
            octets = file.read()
        held = octets[_SEAL:]
        if octets[:_SEAL] != seal(key, held):
            return None
        found = json.decode(held, type=Entry)
        return unpacked(found.value) if found.looks.hold() else None
    except (OSError, DecodeError, ImportError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return None  # there is none, or another program wrote it


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keep(entry: Path, octets: bytes) -> None:
    for each in (entry.parent.parent, entry.parent):  # no more than these: a HOME that is not there is not made
        each.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(entry.parent.stat()):
        return
    new = entry.with_suffix(f".{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
    new.replace(entry)
    entries = [each for each in entry.parent.iterdir() if _ENTRY.fullmatch(each.name)]
    kept_ones = sorted(entries, key=lambda each: each.stat().st_mtime)
    for old in kept_ones[:-MOST]:
        old.unlink(missing_ok=True)


class UnkeptError(TypeError):
    """A value that is not kept."""


def packed(value: object) -> Any:
    """Plain data that JSON can hold, and that `unpacked` makes the value of. Raises UnkeptError."""
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1 << 53):
        return value
    if isinstance(value, Path):
        return ["path", str(value)]
    if isinstance(value, Template):
        return ["template", value.text]
    if isinstance(value, dict):
        return ["dict", *([packed(key), packed(each)] for key, each in value.items())]
    if isinstance(value, list | tuple):
        return ["list" if isinstance(value, list) else "tuple", *map(packed, value)]
    kind = type(value)
    if isinstance(value, Struct) and kind.__module__.startswith("connector."):
        return [f"{kind.__module__}:{kind.__qualname__}", *_members(value)]
    raise UnkeptError(kind.__name__)


def _members(value: Struct) -> Iterator[Any]:
    return (packed(getattr(value, name)) for name in value.__struct_fields__)


def unpacked(said: Any) -> Any:
    """The value again. Raises errors of many kinds for what `packed` has not made."""
    if not isinstance(said, list):
        return said
    kind, *inner = said
    if kind == "path":
        return Path(*inner)
    if kind == "template":
        return Template.parse(*inner)
    if kind == "dict":
        return {unpacked(key): unpacked(each) for key, each in inner}
    made = [unpacked(each) for each in inner]
    if kind in ("list", "tuple"):
        return made if kind == "list" else tuple(made)
    module, _, name = kind.partition(":")
    if not module.startswith("connector."):
        raise UnkeptError(kind)
    struct = getattr(import_module(module), name)
    if not issubclass(struct, Struct):
        raise UnkeptError(kind)
    return struct(**dict(zip(struct.__struct_fields__, made, strict=True)))
