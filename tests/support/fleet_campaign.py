"""Hundreds of jobs in a fleet whose machines die: in the end every job is in step, and nothing was written twice.

    python -m tests.support.fleet_campaign --jobs 200 --workers 2 --kills 20

Workers are killed at random moments, alone or with all of their runs; the engine is killed and brought back; the
database is away for a while; one worker's clock is days ahead. What came of it is read from the directories' own logs
of writes (slapo-accesslog), from the state, and from the engine's histories.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from tests.support.crash_world import logs
from tests.support.fleet_world import FleetWorld, base
from tests.support.postgres import Postgres
from tests.support.slapd import Slapd
from tests.support.soak_clock import Clock
from tests.support.temporal import Temporal

AGENTS = 4
JOBS_A_SERVER = 50


class Campaign:
    """One campaign; `faults` are what does not hold."""

    def __init__(self, folder: Path, jobs: int, workers: int, seed: int, stack: ExitStack) -> None:
        self.random = random.Random(seed)
        self.postgres = stack.enter_context(Postgres.start(fsync=True))
        self.temporal = stack.enter_context(Temporal.start(folder / "temporal"))
        self.world = FleetWorld(folder / "jobs", self.temporal, self.postgres, applies=16, source_rate=10_000)
        stack.callback(self.world.close)
        self.servers = [
            stack.enter_context(Slapd.start(folder / f"slapd{number}", accesslog=True))
            for number in range(-(-jobs // JOBS_A_SERVER))
        ]
        self.names = [f"job{number:04}" for number in range(jobs)]
        for number, name in enumerate(self.names):
            self.world.add(name, self._server(number), AGENTS)
        self._clock = Clock(folder / "clock", datetime.now(UTC) + timedelta(days=3)).env
        for number in range(workers):
            self.work(skewed=number == 0)

    def _server(self, number: int) -> Slapd:
        return self.servers[number % len(self.servers)]

    def work(self, *, skewed: bool = False) -> None:
        self.world.work("--at-once=4", env=self._clock if skewed else None)

    def begin(self) -> None:
        for name in self.names:
            self.world.tick(name)

    def disturb(self, kills: int, away: float) -> None:
        """Kill workers, the engine and the database; that is `away` for so many seconds."""
        for number in range(kills):
            time.sleep(self.random.uniform(1, 4))  # a moment that nobody chose is what is wanted here
            if not self.left():
                return
            if number == kills // 3:
                self.temporal.kill()
                time.sleep(2)
                self.temporal.restart()
            elif number == kills // 2:
                self.postgres.kill()
                time.sleep(away)
                self.postgres.restart()
            else:
                alive = [each for each in self.world.workers if each.alive]
                worker = self.random.choice(alive)
                worker.kill() if self.random.random() < 0.5 else worker.kill_all()
                self.work(skewed=self.random.random() < 0.3)

    def left(self) -> list[str]:
        """Jobs that are not in step yet, and those under way; those whose state nobody tells are not in step."""
        told = self.world.ask("status", ".", "--json")
        if not told.out.startswith("{"):
            return self.names
        found = json.loads(told.out)
        good = {each["job"] for each in found["jobs"] if each["state"] == "in step"} - set(found["under_way"])
        return [name for name in self.names if name not in good]

    def wait(self, seconds: float) -> bool:
        """Wait until all jobs are in step; whether they are."""
        end = time.monotonic() + seconds
        while left := self.left():
            if time.monotonic() > end:
                sys.stdout.write(f"{len(left)} jobs are not in step: {left}\n{self.world.ask('status', '.').said}")
                sys.stdout.writelines(f"{each.log.name}\n{each.log.read_text()[-2000:]}" for each in self.world.workers)
                return False
            time.sleep(1)  # the engine tells nobody
        return True

    def faults(self) -> Iterator[str]:
        """What does not hold of what there is now."""
        for number, name in enumerate(self.names):
            yield from self._written(self._server(number), name)
        for server in self.servers:
            yield from _overlapping(server)
        runs = self.postgres.run(self.world.database, "select job, result, count(*) from runs group by job, result")
        done = Counter({str(job): int(count) for job, result, count in runs if result == "done"})
        yield from (f"{name}: {done[name]} runs were done, for one tick" for name in self.names if done[name] != 1)
        if "canary" in self.world.histories():
            yield "a secret is in a history"
        for worker in self.world.workers:
            if "canary" in worker.log.read_text():
                yield f"a secret is in the log {worker.log.name}"

    def _written(self, server: Slapd, name: str) -> Iterator[str]:
        found = server.search(
            "-LLL", "(uid=*)", "uid", "employeeNumber", "SIPIdentityPassword", base=base(name)
        ).decode()
        wanted = {f"{name}-u{number}": str(1000 + number) for number in range(AGENTS)}
        entries = [
            dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line) for entry in found.split("\n\n")
        ]
        held = {entry["uid"]: entry.get("employeeNumber") for entry in entries if "uid" in entry}
        if held != wanted:
            yield f"{name}: {held}"


def _overlapping(server: Slapd) -> Iterator[str]:
    """Values that were written twice, and jobs whose writes overlap those of another process."""
    spans: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, records in logs(server).items():
        times = Counter(
            (record["reqDN"][0], modification)
            for record in records
            if record["reqResult"] == [b"0"]
            for modification in record["reqMod"]
            if modification.startswith((b"employeeNumber:+", b"SIPIdentityPassword:", b"objectClass:+"))
        )
        yield from (f"{name}: written {count} times: {what[0]!r}" for what, count in times.items() if count > 1)
        for record in records:
            spans[name, record["reqSession"][0].decode()] += [
                record["reqStart"][0].decode(),
                record["reqEnd"][0].decode(),
            ]
    ordered = sorted((min(times), max(times), *who) for who, times in spans.items())
    for (_, end, *before), (start, _, *after) in pairwise(ordered):
        if start < end and before != after:
            yield f"{before} and {after} wrote at once"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--away", type=float, default=60, help="Seconds that the database is away.")
    parser.add_argument("--patience", type=float, default=1800, help="Seconds after which the campaign has failed.")
    parser.add_argument("--seed", type=int, default=None)
    told = parser.parse_args(arguments)
    seed = told.seed if told.seed is not None else random.SystemRandom().randrange(10_000)
    sys.stdout.write(f"seed {seed}\n")
    with tempfile.TemporaryDirectory(prefix="cec-fleet.") as folder, ExitStack() as stack:
        campaign = Campaign(Path(folder), told.jobs, told.workers, seed, stack)
        began = time.monotonic()
        campaign.begin()
        campaign.disturb(told.kills, told.away)
        ended = campaign.wait(told.patience)
        seconds = time.monotonic() - began
        found = list(campaign.faults())
        workers = len(campaign.world.workers)
        sys.stdout.write(f"{told.jobs} jobs, {workers - told.workers} kills, {seconds:.0f} seconds\n")
        sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 0 if ended and not found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
