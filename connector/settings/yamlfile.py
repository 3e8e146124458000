"""Reads a YAML file that somebody wrote, and remembers the line of every key and item.

Only what a settings file needs of YAML 1.2.2 (https://yaml.org/spec/1.2.2/): mappings,
sequences and scalars of the core schema (§10.3), so `no` and `on` are text and `010` is
ten. Tags, anchors and aliases, further documents and YAML
1.1 are refused; size and depth are bounded. The file is read from ruamel.yaml's events rather than through its loader,
because events carry the place of everything and are never expanded.

No value is ever repeated in a message: it may be a secret that somebody wrote in clear.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from connector.settings.document import Document, Loc
from connector.settings.textfile import Fault, read_text, wrong

MAX_DEPTH: Final = 32
MAX_KEY: Final = 500

_WORDS: Final[dict[str, bool | None]] = (
    dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | dict.fromkeys(("", "~", "null", "Null", "NULL"))
)


def read(path: Path) -> Document:
    """Read one YAML document whose root is a mapping.

    Faults that leave the rest readable (a repeated key, an anchor, a tag) are kept in
    `faults`, to be reported with those of the shape; `check` in settings/validation.py
    does. Raises FileError for all others.
    """
    return parse(read_text(path), path)


def parse(text: str, path: Path) -> Document:
    """The same of a text that is to become that file."""
    builder = _Builder(path, text)
    root = builder.document()
    if not isinstance(root, dict):
        line = 1 if root is None else builder.lines[()]
        what = (
            "the file is empty"
            if root is None
            else "must be keys and values, such as `key: value`"
        )
        raise wrong(path, [*builder.faults, Fault(line, 0, what)])
    return Document(path, root, builder.lines, tuple(builder.faults))


class _Builder:
    """Plain data from the events of one file."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.lines: dict[Loc, int] = {}
        self.faults: list[Fault] = []
        self.found = False
        self._last = 1
        self._events = self._translated()

    def _translated(self) -> Iterator[Any]:
        """The parser's events; what it raises becomes a FileError, here and nowhere else."""
        try:
            for event in YAML(typ="safe", pure=True).parse(self.text):
                self._last = event.start_mark.line + 1
                yield event
        except MarkedYAMLError as fault:
            mark = fault.problem_mark or fault.context_mark
            self._stop(
                _syntax(fault.problem or "", self._text_of(mark.line)),
                mark.line + 1,
                mark.column + 1,
            )
        except ReaderError as fault:
            line = self.text.count("\n", 0, fault.position) + 1
            self._stop("a character that YAML does not allow", line)
        except (YAMLError, ArithmeticError, AssertionError, LookupError, ValueError):
            # ruamel.yaml leaves by these for a version it does not know or an escape beyond Unicode
            self._stop("this is not YAML 1.2", self._last)

    def _text_of(self, line: int) -> str:
        return self.text.split("\n")[line] if line <= self.text.count("\n") else ""

    def _stop(self, what: str, line: int, column: int = 0) -> NoReturn:
        raise wrong(self.path, [*self.faults, Fault(line, column, what)]) from None

    def _fault(self, event: Any, what: str) -> None:
        self.faults.append(
            Fault(event.start_mark.line + 1, event.start_mark.column + 1, what)
        )

    def document(self) -> Any:
        root: Any = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if self.found:
                    self._stop(
                        "a second document begins here; use one file for each",
                        event.start_mark.line + 1,
                    )
                if event.version not in (None, (1, 2)):
                    self._stop(
                        "this file is read as YAML 1.2; remove the %YAML line", 1
                    )
            elif not isinstance(
                event, StreamStartEvent | StreamEndEvent | DocumentEndEvent
            ):
                self.found = True
                self.lines[()] = event.start_mark.line + 1
                root = self._node(event, ())
        return root

    def _node(self, event: Any, loc: Loc) -> Any:
        if isinstance(event, AliasEvent):
            self._fault(
                event,
                "aliases are not supported; write the value out, or put the text in quotes",
            )
            return None
        if isinstance(event, NodeEvent) and event.anchor is not None:
            self._fault(
                event,
                "anchors are not supported; write the value out, or put the text in quotes",
            )
        if getattr(event, "ctag", None) is not None:
            self._fault(
                event, "tags are not supported; put a text that begins with ! in quotes"
            )
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if isinstance(event, CollectionStartEvent) and len(loc) >= MAX_DEPTH:
            self._stop(
                f"nested more than {MAX_DEPTH} levels deep", event.start_mark.line + 1
            )
        return (
            self._mapping(loc)
            if isinstance(event, MappingStartEvent)
            else self._sequence(loc)
        )

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        """Keys are taken as text, whatever they look like; of a repeated one the first stays."""
        mapping: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event)
            fresh = key not in mapping
            if fresh:
                self.lines[*loc, key] = event.start_mark.line + 1
            else:
                self._fault(
                    event,
                    f"the key {key!r} is there twice, first on line {self.lines[*loc, key]}",
                )
            value = self._node(next(self._events), (*loc, key))
            if fresh:
                mapping[key] = value
        return mapping

    def _key(self, event: Any) -> str:
        if (
            not isinstance(event, ScalarEvent)
            or not event.value.isprintable()
            or not 0 < len(event.value) <= MAX_KEY
        ):
            self._stop(
                "a key must be a word or a quoted text",
                event.start_mark.line + 1,
                event.start_mark.column + 1,
            )
        self._node(event, ())
        return str(event.value)

    def _sequence(self, loc: Loc) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            self.lines[*loc, len(items)] = event.start_mark.line + 1
            items.append(self._node(event, (*loc, len(items))))
        return items

    def _scalar(self, event: ScalarEvent) -> Any:
        text: str = event.value
        if any(
            unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\n\r"
            for letter in text
        ):
            self._fault(
                event, "a control character, or half of a surrogate pair, in a text"
            )
            return ""
        return text if event.style else _core(text)


def _core(text: str) -> Any:
    """A plain scalar by the core schema (YAML 1.2.2 §10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"[-+]?[0-9]{1,400}", text):
        return int(text)
    if re.fullmatch(r"0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}", text):
        return int(text, 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return float(text)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return text


def _syntax(problem: str, line: str) -> str:
    """The parser's words without anything it quotes from the file, and what usually is behind them."""
    if "'\\t'" in problem:
        return "a tab is used for indentation; use spaces"
    words = re.sub(r"""(['"])(?!<).{2,}\1""", "a word", problem)
    hint = (
        "; put a text with braces in quotes" if re.search(r"[:,\[-]\s*\{", line) else ""
    )
    return f"not YAML: {words}{hint}"
