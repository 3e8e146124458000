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
from typing import Final

from connector.matching.people import ExcludeList, Pin
from connector.settings.textfile import Fault, read_text, wrong

MAX_BYTES: Final = 64 << 20
AGENT_COLUMNS: Final = ("accountCode", "workNo")
COLUMNS: Final = (*AGENT_COLUMNS, "user")


def load_pins(path: Path) -> tuple[Pin, ...]:
    """Load the pins of a file.

    Its columns are `user` (id or name), and `accountCode` or `workNo`, or both. Raises
    FileError: a column, a cell or a quotation mark is wrong, or an agent is pinned twice.
    """
    faults: list[Fault] = []
    pins: list[Pin] = []
    pinned: dict[tuple[str, str | int | None], int] = {}
    for line, row in _read_rows(path, faults, needs=("user",)):
        account = row.get("accountCode") or None
        pin = Pin(account, _parse_work_no(row, line, faults), row["user"], line)
        if not pin.user:
            faults.append(Fault(line, 0, "user is empty"))
        if not account and not row.get("workNo"):
            faults.append(Fault(line, 0, "names no agent"))
        for column, value in (("accountCode", account), ("workNo", pin.work_no)):
            first = pinned.setdefault((column, value), line)
            if value is not None and first != line:
                what = f"{column} {value} is pinned already, on line {first}"
                faults.append(Fault(line, 0, what))
        pins.append(pin)
    if faults:
        raise wrong(path, faults)
    return tuple(pins)


def load_exclude_list(path: Path) -> ExcludeList:
    """Load who is left alone.

    Rows have any of `accountCode`, `workNo` and `user` (id or name), each at least one.

    Raises FileError: a column, a cell or a quotation mark is wrong.
    """
    faults: list[Fault] = []
    accounts: set[str] = set()
    work_nos: set[int] = set()
    users: set[str] = set()
    lines: dict[str | int, int] = {}
    for line, row in _read_rows(path, faults):
        if not any(row.values()):
            faults.append(Fault(line, 0, "names nobody"))
        account = row.get("accountCode")
        if account:
            accounts.add(account)
            lines.setdefault(account, line)
        user = row.get("user")
        if user:
            users.add(user)
            lines.setdefault(user, line)
        work_no = _parse_work_no(row, line, faults)
        if work_no is not None:
            work_nos.add(work_no)
            lines.setdefault(work_no, line)
    if faults:
        raise wrong(path, faults)
    return ExcludeList(
        frozenset(accounts), frozenset(work_nos), frozenset(users), lines
    )


def _read_rows(
    path: Path, faults: list[Fault], needs: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows with as many cells as the header, and the line that each begins on."""
    rows = _read_cells(path, faults)
    line, header = next(rows, (1, None))
    if header is None:
        what = (
            f"the file is empty; its first row names the columns: {', '.join(COLUMNS)}"
        )
        faults.append(Fault(line, 0, what))
        return
    header_faults = [Fault(line, 0, what) for what in _check_header(header, needs)]
    faults += header_faults
    if header_faults:
        return
    for line, cells in rows:
        if len(cells) == len(header):
            yield line, dict(zip(header, cells, strict=True))
            continue
        what = f"has {len(cells)} cells, the header has {len(header)}"
        if len(cells) > len(header):
            what += "; put a cell with a comma, such as a DN, in double quotes"
        faults.append(Fault(line, 0, what))


def _check_header(header: list[str], needs: tuple[str, ...]) -> Iterator[str]:
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        yield "separate columns by commas"
        return
    for name in header:
        if name not in COLUMNS:
            yield f"no column is called {name[:40]!r}; use {', '.join(COLUMNS)}"
    for name in sorted({name for name in header if header.count(name) > 1}):
        yield f"the column {name[:40]!r} occurs twice. Remove one"
    for name in needs:
        if name not in header:
            yield f"the column {name} is missing"
    if needs and not set(header) & set(AGENT_COLUMNS):
        yield f"a column that names the agent is missing: {' or '.join(AGENT_COLUMNS)}"


def _read_cells(path: Path, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row, trimmed, and the line that it begins on."""
    text = io.StringIO(read_text(path, MAX_BYTES), newline="")
    reader = csv.reader(text, strict=True)
    first_line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield first_line, cells
            first_line = reader.line_num + 1
    except csv.Error:
        what = "is not CSV: check its quotation marks"
        faults.append(Fault(first_line, 0, what))


def _parse_work_no(row: dict[str, str], line: int, faults: list[Fault]) -> int | None:
    text = row.get("workNo", "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        what = f"{text[:40]!r} is no workNo: a whole number from 1"
        faults.append(Fault(line, 0, what))
        return None
    return int(text)
