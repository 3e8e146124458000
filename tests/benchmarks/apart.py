"""What is measured without a server: parsing a tenant, and a plan against an LDIF file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figures import MB, Figure, Target
from tests.benchmarks.jobs import HERE, script
from tests.benchmarks.measure import Contest, Entrant
from tests.benchmarks.people import spread, write_agents, write_users
from tests.support.jobs import job_file, ldif_directory


def _nothing() -> float:
    return 0.0


def parse(folder: Path, count: int, rounds: int) -> Iterator[Figure]:
    """A tenant parsed, validated and held, against `json.loads`."""
    agents = folder / "agents.json"
    write_agents(agents, range(1, count + 1))
    entrants = [
        Entrant("json.loads", [sys.executable, HERE / "references.py", "json", agents]),
        script("our_source.py", "parse", json.dumps({"agents": str(agents)}), (count, 0), name="our source"),
    ]
    contest = Contest(entrants, rounds, folder, _nothing)
    target = Target(1.0, 500 * MB) if count == 1_000_000 else None
    yield Figure.of(contest, f"parse {count:,} agents", 0, ("our source", "json.loads"), target)


def ldif(folder: Path, users: int, rounds: int) -> Iterator[Figure]:
    """A plan of half as many agents as there are users in an LDIF file, against a pass over its lines."""
    agents, directory, report = folder / "agents.json", folder / "users.ldif", folder / "report.json"
    count = users // 2
    write_agents(agents, spread(count, users))
    write_users(directory, users, tree=False)
    job = folder / "job.yaml"
    job.write_text(job_file(ldif_directory("users.ldif", base=None), mapping="ldif"))

    def planned(out: Path) -> None:
        said = json.loads(report.read_bytes())["summary"]
        if (said["matched"], said["unchanged"]) != (count, count):
            raise RuntimeError(f"the plan says {said}")

    program: list[str | Path] = [sys.executable, "-m", "connector", "plan", job, "--report", report]
    entrants = [
        Entrant("a pass over the lines", [sys.executable, HERE / "references.py", "ldif", directory]),
        Entrant("wc -l", ["wc", "-l", directory]),
        Entrant("plan", program, check=planned),
    ]
    contest = Contest(entrants, rounds, folder, _nothing)
    yield Figure.of(contest, f"plan of {count:,}, LDIF", users, ("plan", "a pass over the lines"))
    yield Figure.of(contest, f"plan of {count:,}, LDIF", users, ("plan", "wc -l"))
