"""What a fleet costs: jobs a minute with some workers, against a plain loop over the same jobs.

    python -m tests.benchmarks.fleet --jobs 60 --workers 1,2,4

Each job has four agents and writes to one of four directories; all are planned and applied. The loop is one `apply`
after the other. Processor time is that of all processes of a way: runs, workers and the engine, not of the directories
and the database.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.fleet_world import ENV, FleetWorld
from tests.support.postgres import Postgres
from tests.support.program import LONGEST, WARNINGS, environment
from tests.support.slapd import Slapd
from tests.support.temporal import Temporal

AGENTS = 4
SERVERS = 4


def spent() -> float:
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def world(folder: Path, jobs: int, temporal: Temporal, postgres: Postgres, stack: ExitStack) -> FleetWorld:
    servers = [stack.enter_context(Slapd.start(folder / f"slapd{number}")) for number in range(SERVERS)]
    made = FleetWorld(folder / "jobs", temporal, postgres, applies=16, source_rate=10_000)
    stack.callback(made.close)
    for number in range(jobs):
        made.add(f"job{number:04}", servers[number % SERVERS], AGENTS)
    return made


def loop(made: FleetWorld, jobs: int) -> float:
    import subprocess  # noqa: PLC0415  # beside nothing else here

    began = time.monotonic()
    for number in range(jobs):
        subprocess.run(
            [sys.executable, *WARNINGS, "-m", "connector", "--log-level=error", "apply", f"job{number:04}.yaml"],
            cwd=made.folder, env=environment(ENV), check=True, capture_output=True, timeout=LONGEST,
        )  # fmt: skip
    return time.monotonic() - began


def fleet(made: FleetWorld, jobs: int, workers: int) -> float:
    for _ in range(workers):
        made.work("--at-once=4")
    made.until(lambda: made.ask("status", ".").code == 0)
    began = time.monotonic()
    for number in range(jobs):
        made.tick(f"job{number:04}")
    made.until(lambda: sum(each["state"] == "in step" for each in made.status().values()) == jobs, 1800)
    return time.monotonic() - began


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--workers", default="1,2,4")
    told = parser.parse_args(arguments)
    figures = {}
    for workers in (0, *map(int, told.workers.split(","))):
        with tempfile.TemporaryDirectory(prefix="cec-bench.") as name:
            before = spent()
            with ExitStack() as servers:
                postgres = servers.enter_context(Postgres.start())
                with Temporal.start(Path(name) / "temporal") as temporal, ExitStack() as stack:
                    made = world(Path(name), told.jobs, temporal, postgres, servers)
                    stack.callback(made.close)
                    seconds = fleet(made, told.jobs, workers) if workers else loop(made, told.jobs)
                used = spent() - before  # the directories and the database have not ended yet
        way = f"{workers} workers" if workers else "a plain loop"
        figures[way] = {
            "jobs a minute": round(60 * told.jobs / seconds, 1),
            "processor s a job": round(used / told.jobs, 2),
        }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
