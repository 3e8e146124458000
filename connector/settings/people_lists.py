"""Reads the two lists that people keep in CSV (RFC 4180): pins, and agents and users that are left alone.

A header row names the columns, in any order. Every fault of a file is reported at once,
with its line.
"""

from __future__ import annotations

import csv
import io
import re
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
        if not row["user"]:
            faults.append(Fault(line, 0, "user is empty"))
        agent = {column: row.get(column) for column in AGENT_COLUMNS}
        if all(value is None for value in agent.values()):
            faults.append(Fault(line, 0, "names no agent"))
        for column, value in agent.items():
            first = first_lines.setdefault((column, value), line) if value else line
            if first != line:
                what = f"{column} {value} is pinned already, on line {first}"
                faults.append(Fault(line, 0, what))
        pins.append(AgentPin(agent["accountCode"], agent["workNo"], row["user"], line))
    if faults:
        raise join_faults(path, faults)
    return tuple(pins)


def load_exclude_list(path: Path) -> ExcludeList:
    """Load who is left alone.

    Rows have any of `accountCode`, `workNo` and `user` (id or name), each at least one.

    Raises FileError: a column, a cell or a quotation mark is wrong.
    """
    faults: list[Fault] = []
    lines: dict[str | int, int] = {}
    listed: dict[str, set[Any]] = {column: set() for column in COLUMNS}
    for line, row in _read_rows(path, faults):
        if all(value is None for value in row.values()):
            faults.append(Fault(line, 0, "names nobody"))
        for column, value in row.items():
            if value:
                listed[column].add(value)
                lines.setdefault(value, line)
    if faults:
        raise join_faults(path, faults)
    accounts, work_nos, users = map(frozenset, listed.values())
    return ExcludeList(accounts, work_nos, users, lines)


def _read_rows(
    path: Path, faults: list[Fault], *, of_pins: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows with as many cells as the header, and the line that each begins on."""
    text = io.StringIO(read_text(path, MAX_BYTES), newline="")
    reader = csv.reader(text, strict=True)
    header: list[str] = []
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) and not header:
                header = cells
                faults += [
                    Fault(line, 0, what)
                    for what in _check_header(header, of_pins=of_pins)
                ]
                if faults:
                    return
            elif len(cells) == len(header) and any(cells):
                values = [cell or None for cell in cells]
                yield (
                    line,
                    _parse_row(dict(zip(header, values, strict=True)), line, faults),
                )
            elif any(cells):
                what = f"has {len(cells)} cells, the header has {len(header)}"
                if len(cells) > len(header):
                    what += "; put a cell with a comma, such as a DN, in double quotes"
                faults.append(Fault(line, 0, what))
            line = reader.line_num + 1
    except csv.Error:
        faults.append(Fault(line, 0, "is not CSV: check its quotation marks"))
        return
    if not header:
        columns = ", ".join(COLUMNS)
        what = f"the file is empty; its first row names the columns: {columns}"
        faults.append(Fault(1, 0, what))


def _check_header(header: list[str], *, of_pins: bool) -> Iterator[str]:
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        yield "separate columns by commas"
        return
    for name in header:
        if name not in COLUMNS:
            yield f"no column is called {name[:40]!r}; use {', '.join(COLUMNS)}"
    for name in sorted({name for name in header if header.count(name) > 1}):
        yield f"the column {name[:40]!r} occurs twice. Remove one"
    if of_pins and "user" not in header:
        yield "the column user is missing"
    if of_pins and not set(header) & set(AGENT_COLUMNS):
        yield f"a column that names the agent is missing: {' or '.join(AGENT_COLUMNS)}"


def _parse_row(row: dict[str, Any], line: int, faults: list[Fault]) -> dict[str, Any]:
    """Make a number of the workNo: 0, with a fault, where it is none."""
    text = row.get("workNo")
    if text is not None:
        is_number = re.fullmatch(r"[0-9]{1,18}", text)
        row["workNo"] = int(text) if is_number else 0
        if not row["workNo"]:
            what = f"{text[:40]!r} is no workNo: a whole number from 1"
            faults.append(Fault(line, 0, what))
    return row
