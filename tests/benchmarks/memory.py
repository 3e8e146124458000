"""What is measured of memory: a first plan that changes everybody, and the apply of it, on an LDIF file.

No server takes a part of the machine's memory, and nothing is in step, so that the plan is as large as it can be.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from connector.reports import SUFFIXES
from tests.benchmarks.figures import MB, Figure, Target
from tests.benchmarks.measure import Contest, Entrant, run
from tests.support.ldif_job import Job

PLAN, APPLY = Target(memory=400 * MB), Target(memory=600 * MB)
"""With 100,000 users. The limits in deploy/ leave half as much again to whatever else a job has."""


def memory(folder: Path, users: int) -> Iterator[Figure]:
    """The largest resident size of plans and applies, with each kind of report."""
    Job(folder, users=users)
    shutil.copy(folder / "people.ldif", folder / "before.ldif")
    entrants = list(_entrants(folder))
    contest = Contest(entrants, 1, folder, lambda: 0.0)
    for entrant in entrants:
        target = PLAN if entrant.name.startswith("plan") else APPLY
        yield Figure.of(contest, "memory", users, (entrant.name, "plan"), target)


def _entrants(folder: Path) -> Iterator[Entrant]:
    def command(name: str, *options: str) -> list[str | Path]:
        return [sys.executable, "-m", "connector", name, folder / "job.yaml", *options]

    def first() -> None:
        """Put the job back to before its first run."""
        for path in folder.glob("state.db*"):
            path.unlink()
        shutil.copy(folder / "before.ldif", folder / "people.ldif")

    def reviewed() -> None:
        """The same, and save a plan."""
        first()
        run(Entrant("saved", command("plan", "--save", "plan.json"), keep=False), folder)

    def entrant(prepare: Callable[[], None], name: str, *options: str) -> Entrant:
        return Entrant(" ".join((name, *options)), command(name, *options), prepare, keep=False)

    plan, apply = partial(entrant, first, "plan"), partial(entrant, first, "apply")
    yield plan()
    for suffix in SUFFIXES:
        yield plan("--report", f"report{suffix}")
    yield plan("--save", "plan.json")
    yield apply()
    yield apply("--report", "report.html")
    yield entrant(reviewed, "apply", "--plan", "plan.json", "--report", "report.html")
