"""What `serve` has logged, held to what was due: no run was missed, and none was made twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from tests.support.serving import Event

BELIEVED = timedelta(minutes=10)
"""A clock that is set back further than that begins a time of its own, in which the same nights come again."""


class Beats:
    """A job that runs at every so many seconds: each run begins as soon as it may.

    What was jumped over, because the clock was set or nothing ran, did not pass. `every` is also how long a machine
    that has other things to do may take to begin a run; one that is left out takes longer than that.
    """

    def __init__(self, job: str, every: timedelta) -> None:
        self._job, self._every = job, every
        self._jumps: list[list[tuple[datetime, datetime]]] = [[]]

    def jumped(self, before: datetime, after: datetime) -> None:
        """The clock went from one time to the other at once."""
        if after < before - BELIEVED:
            self._jumps.append([])
        self._jumps[-1].append((before, after))

    def check(self, events: Iterable[Event]) -> int:
        """Hold all that was logged to this; how many runs there were."""
        runs, jumps = 0, iter(self._jumps)
        jumped = next(jumps)
        last = may = None
        stopping = False
        for event in events:
            stopping = (stopping or event["event"] == "stopping") and event["event"] != "serving"
            if event.get("job") != self._job or event["event"] not in {"run started", "run ended"}:
                continue
            at = datetime.fromisoformat(event["timestamp"])
            if may is not None and at < may - BELIEVED:
                jumped, last, may = next(jumps), None, None
            if event["event"] == "run ended":
                assert stopping or event["ending"] == "done", event
                may = at if last is None else max(at, last + self._every)
                continue
            tick = datetime.fromisoformat(event["tick"])
            early = at < tick
            assert not early or self._set_back(tick, at, jumped), f"too early: {event}"
            assert early or _passed(tick, at, jumped) < self._every, f"a later tick has passed: {event}"
            if last is not None and may is not None:
                assert tick > last, f"twice: {event}"
                assert not (tick - last) % self._every, f"no tick: {event}"
                assert early or _passed(may, at, jumped) < self._every, f"one before it was missed: {event}"
            last, runs = (None if tick - at > BELIEVED else tick), runs + 1
        return runs

    def _set_back(self, tick: datetime, at: datetime, jumped: Sequence[tuple[datetime, datetime]]) -> bool:
        """Whether the clock was set back while a run of this tick was about to begin."""
        back = ((before, after) for before, after in jumped if after < before)
        return any(tick < before + self._every and after <= at < after + self._every for before, after in back)


def _passed(since: datetime, until: datetime, jumped: Sequence[tuple[datetime, datetime]]) -> timedelta:
    """The time that really passed from one moment to another."""
    marks = sorted({since, until, *(mark for jump in jumped for mark in jump if since < mark < until)})
    return sum(
        (
            end - begin
            for begin, end in pairwise(marks)
            if not any(before <= begin and end <= after for before, after in jumped)
        ),
        timedelta(0),
    )


class Nights:
    """A job of which it is known beforehand which runs it has, and what each writes."""

    def __init__(self, job: str) -> None:
        self._job = job
        self.due: list[datetime] = []
        self.written: list[tuple[str, str]] = []
        """By user, each seat that was given out."""

    def check(self, events: Sequence[Event], audit: str, runs: Sequence[str]) -> None:
        """Hold the log, the audit stream, and the runs that the state knows of to this."""
        mine = [event for event in events if event.get("job") == self._job]
        assert _ticks(mine) == self.due, f"{_ticks(mine)}\n{self.due}"
        ended = [event for event in mine if event["event"] == "run ended"]
        started = [event for event in mine if event["event"] == "run started"]
        assert len({event["run"] for event in ended}) == len(ended) == len(started)

        records = [json.loads(line) for line in audit.splitlines()]
        begun = [record["run"] for record in records if record["event"] == "begin"]
        assert sorted(begun) == sorted(runs), "the state knows of other runs than the audit"
        over = [record["run"] for record in records if record["event"] == "end" and record.get("code") == 0]
        assert over == [event["run"] for event in ended if event["ending"] == "done"]
        assert set(begun) <= {event["run"] for event in ended}
        written = [
            (record["user"]["name"].partition(",")[0], new)
            for record in records
            if record["event"] == "write" and record["result"] == "written"
            for each in record["attributes"]
            if each["name"] == "employeeNumber"
            for new in each["new"]
        ]
        assert sorted(written) == sorted(self.written), f"{written}\n{self.written}"


def _ticks(events: Iterable[Event]) -> list[datetime]:
    """The ticks that had runs, each once; a tick has another run only after one that failed."""
    ticks: list[datetime] = []
    failed = False
    for event in events:
        if event["event"] == "run ended":
            failed = event["ending"] in ("failed", "busy")
        elif event["event"] == "run started":
            tick = datetime.fromisoformat(event["tick"])
            if not (failed and ticks and tick == ticks[-1]):
                ticks.append(tick)
    return ticks
