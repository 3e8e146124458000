"""The lines of an audit file, which may have halves of lines among them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

from connector.model import Change, Outcome
from connector.observers.audit_check import AuditCheck, AuditFinding, KeptAudit
from connector.runtime.clock import format_now
from connector.state.audit_lines import ChainHead, Record


def records(octets: bytes) -> Iterator[dict[str, Any]]:
    """The lines that are whole; half a line has one for itself, and is none."""
    for line in octets.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            assert line.count(b'"time"') <= 1, "something was added to half a line"


def chain_faults(*files: bytes, job: str, head: ChainHead | None = None, syslog: bool = False) -> list[AuditFinding]:
    """What is wrong with a job's chain in an audit, the oldest file first; `head`: the last one, by the state."""
    check = AuditCheck(syslog=syslog)
    for octets in files:
        check.begin_file()
        for number, line in enumerate(BytesIO(octets), 1):
            check.check_line(str(number), line)
    return check.list_findings(KeptAudit(job, head, head, {}) if head else None)


def keep_again(state: Path, texts: Sequence[str]) -> None:
    """Leave these lines in the state, as a run does that is killed before the disk has them."""
    with closing(sqlite3.connect(state)) as opened, opened:
        for text in texts:
            record = json.loads(text)
            row = (record["job"], record["number"], record["time"], record.get("user", {}).get("id", ""), text.strip())
            opened.execute("insert into audit_lines values (?, ?, ?, ?, ?)", row)


class PlainAuditor:
    """Makes short records, and delivers nothing but what it is told to do then."""

    def __init__(self, secure: Callable[[], None] = lambda: None) -> None:
        self._secure = secure

    def make_write_record(self, run: str, change: Change, outcome: Outcome) -> Record:
        return {"time": format_now(), "job": "hr", "run": run, "user": {"id": change.user.id}, "result": outcome.result}

    def deliver_lines(self) -> None:
        """Nothing is delivered."""

    def secure_lines(self) -> None:
        self._secure()
