"""Reads the two lists that people keep in CSV (RFC 4180): pins, and agents and users that are left alone.

A header row names the columns, in any order. Every fault of a file is reported at once,
with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from connector.matching.people import AgentPin, ExcludeList
from connector.settings.textfile import Fault, join_faults, read_text

MAX_BYTES: Final = 64 << 20
AGENT_COLUMNS: Final = ("accountCode", "workNo")
COLUMNS: Final = (*AGENT_COLUMNS, "user")


def load_pins(path: Path) -> tuple[AgentPin, ...]:
    """Load the pins of a file.

    Its columns are `user` (id or name), and `accountCode` or `workNo`, or both. Raises
    FileError: a column, a cell or a quotation mark is wrong, or an agent is pinned twice.
    """
    faults: list[Fault] = []
    pins: list[AgentPin] = []
    first_lines: dict[tuple[str, str | int], int] = {}
    for line, row in _read_rows(path, faults, of_pins=True):
        pin = AgentPin(row["accountCode"], row["workNo"], row["user"], line)
        pins.append(pin)
        if not pin.user:
            faults.append(Fault(line, 0, "user is empty"))
        if pin.account_code is None and pin.work_no is None:
            faults.append(Fault(line, 0, "names no agent"))
        for column in AGENT_COLUMNS:
            value = row[column]
            first = first_lines.setdefault((column, value), line)
            if value and first != line:
                what = f"{column} {value} is pinned already, on line {first}"
                faults.append(Fault(line, 0, what))
    return tuple(pins)


def load_exclude_list(path: Path) -> ExcludeList:
    """Load who is left alone.

    Rows have any of `accountCode`, `workNo` and `user` (id or name), each at least one.

    Raises FileError: a column, a cell or a quotation mark is wrong.
    """
    lines: dict[str | int, int] = {}
    listed = defaultdict[str, set[Any]](set)
    for line, row in _read_rows(path, []):
        for column, value in row.items():
            if value:
                listed[column].add(value)
                lines.setdefault(value, line)
    accounts, work_nos, users = (frozenset(listed[column]) for column in COLUMNS)
    return ExcludeList(accounts, work_nos, users, lines)


def _read_rows(
    path: Path, faults: list[Fault], *, of_pins: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row and the line that it begins on; a column that is missing is None.

    `faults` gets those of rows, and the caller's own. Behind the last row it raises them.
    """
    rows = _read_cells(path, faults)
    line, header = next(rows, (1, []))
    faults += [Fault(line, 0, what) for what in _check_header(header, of_pins=of_pins)]
    if faults:
        raise join_faults(path, faults)
    for line, cells in rows:
        if len(cells) == len(header):
            row: dict[str, Any] = dict.fromkeys(COLUMNS)
            for name, cell in zip(header, cells, strict=True):
                row[name] = cell or None
            if row["workNo"]:
                row["workNo"] = _parse_work_no(row["workNo"], line, faults)
            yield line, row
            continue
        what = f"has {len(cells)} cells, the header has {len(header)}"
        if len(cells) > len(header):
            what += "; put a cell with a comma, such as a DN, in double quotes"
        faults.append(Fault(line, 0, what))
    if faults:
        raise join_faults(path, faults)


def _read_cells(path: Path, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank. Raises FileError for what is no CSV."""
    text = io.StringIO(read_text(path, MAX_BYTES), newline="")
    reader = csv.reader(text, strict=True)
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error:
        what = "is not CSV: check its quotation marks"
        raise join_faults(path, [*faults, Fault(line, 0, what)]) from None


def _check_header(header: list[str], *, of_pins: bool) -> Iterator[str]:
    columns = ", ".join(COLUMNS)
    if not header:
        yield f"the file is empty; its first row names the columns: {columns}"
    elif len(header) == 1 and re.search(r"[;\t]", header[0]):
        yield "separate columns by commas"
    else:
        for name, count in Counter(header).items():
            if name not in COLUMNS:
                yield f"no column is called {name[:40]!r}; use {columns}"
            if count > 1:
                yield f"the column {name[:40]!r} occurs twice. Remove one"
        if of_pins and "user" not in header:
            yield "the column user is missing"
        if of_pins and not set(header) & set(AGENT_COLUMNS):
            names = " or ".join(AGENT_COLUMNS)
            yield f"a column that names the agent is missing: {names}"


def _parse_work_no(text: str, line: int, faults: list[Fault]) -> int:
    """Make a number of a workNo: 0, with a fault, where it is none."""
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
    if not number:
        what = f"{text[:40]!r} is no workNo: a whole number from 1"
        faults.append(Fault(line, 0, what))
    return number
