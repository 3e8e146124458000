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

from connector.reconcile.matching.people import ExcludeList, Pin
from connector.settings.textfile import Fault, read_text, wrong

MAX_BYTES: Final = 64 << 20
AGENT_COLUMNS: Final = ("accountCode", "workNo")
COLUMNS: Final = (*AGENT_COLUMNS, "user")


def load_pins(path: Path) -> tuple[Pin, ...]:
    """The pins of a file with the columns `user` (id or name) and `accountCode` or `workNo`, or both.

    Raises FileError: a column, a cell or a quotation mark is wrong, or an agent is pinned twice.
    """
    faults: list[Fault] = []
    pins: list[Pin] = []
    pinned: dict[tuple[str, str | int | None], int] = {}
    for line, row in _rows(path, faults, needs=("user",)):
        pin = Pin(
            row.get("accountCode") or None,
            _work_no(row, line, faults),
            row["user"],
            line,
        )
        if not pin.user:
            faults.append(Fault(line, 0, "user is empty"))
        if not row.get("accountCode") and not row.get("workNo"):
            faults.append(Fault(line, 0, "names no agent"))
        faults += _again(pin, pinned)
        pins.append(pin)
    if faults:
        raise wrong(path, faults)
    return tuple(pins)


def _again(
    pin: Pin, pinned: dict[tuple[str, str | int | None], int]
) -> Iterator[Fault]:
    for column, value in (("accountCode", pin.account_code), ("workNo", pin.work_no)):
        before = pinned.setdefault((column, value), pin.line)
        if value is not None and before != pin.line:
            yield Fault(
                pin.line, 0, f"{column} {value} is pinned already, on line {before}"
            )


def load_exclude_list(path: Path) -> ExcludeList:
    """Who is left alone: rows with any of `accountCode`, `workNo` and `user` (id or name), each naming at least one.

    Raises FileError: a column, a cell or a quotation mark is wrong.
    """
    faults: list[Fault] = []
    accounts: set[str] = set()
    work_nos: set[int] = set()
    users: set[str] = set()
    lines: dict[str | int, int] = {}
    for line, row in _rows(path, faults):
        if not any(row.values()):
            faults.append(Fault(line, 0, "names nobody"))
        accounts.add(row.get("accountCode", ""))
        users.add(row.get("user", ""))
        if (work_no := _work_no(row, line, faults)) is not None:
            work_nos.add(work_no)
            lines.setdefault(work_no, line)
        for name in ("accountCode", "user"):
            lines.setdefault(row.get(name, ""), line)
    if faults:
        raise wrong(path, faults)
    lines.pop("", None)
    return ExcludeList(
        frozenset(accounts - {""}), frozenset(work_nos), frozenset(users - {""}), lines
    )


def _rows(
    path: Path, faults: list[Fault], needs: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that have as many cells as the header, with the line that each begins on; cells are trimmed."""
    header: list[str] | None = None
    for line, cells in _cells(path, faults):
        if header is None:
            header = cells
            if unfit := list(_unfit(header, needs)):
                faults.extend(Fault(line, 0, what) for what in unfit)
                return
        elif len(cells) != len(header):
            hint = "; put a cell with a comma, such as a DN, in double quotes"
            what = f"has {len(cells)} cells, the header has {len(header)}{hint if len(cells) > len(header) else ''}"
            faults.append(Fault(line, 0, what))
        else:
            yield line, dict(zip(header, cells, strict=True))
    if header is None:
        faults.append(
            Fault(
                1,
                0,
                f"the file is empty; its first row names the columns: {', '.join(COLUMNS)}",
            )
        )


def _unfit(header: list[str], needs: tuple[str, ...]) -> Iterator[str]:
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


def _cells(path: Path, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        io.StringIO(read_text(path, MAX_BYTES), newline=""), strict=True
    )
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error:
        faults.append(Fault(begins, 0, "is not CSV: check its quotation marks"))


def _work_no(row: dict[str, str], line: int, faults: list[Fault]) -> int | None:
    text = row.get("workNo", "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        faults.append(
            Fault(line, 0, f"{text[:40]!r} is no workNo: a whole number from 1")
        )
        return None
    return int(text)
