"""Contests: commands that do the same work, run in turn, round after round, each as a whole process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Sample:
    """What one run cost: seconds of wall, of its processor and of the server's, and the most octets of memory."""

    wall: float
    cpu: float
    server: float
    memory: int


@dataclass(frozen=True)
class Entrant:
    """A command of a contest.

    `prepare` runs before it and `check` after it, both outside of what is measured; `check` raises where the work was
    not done.
    """

    name: str
    command: Sequence[str | Path]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[Path], None] = lambda out: None
    env: Mapping[str, str] = field(default_factory=dict)
    keep: bool = True
    """Whether its standard output is kept for `check`, in a file; else it goes to the null device."""


@dataclass(frozen=True)
class Ratio:
    """One entrant's cost against another's: the median of the rounds' ratios, and the least and greatest of them."""

    median: float
    low: float
    high: float
    rounds: int


class Contest:
    """The samples of every entrant, by round."""

    def __init__(self, entrants: Sequence[Entrant], rounds: int, folder: Path, spent: Callable[[], float]) -> None:
        self.samples: dict[str, list[Sample]] = {entrant.name: [] for entrant in entrants}
        for number in range(rounds):
            for entrant in entrants:
                print(f"    round {number + 1} of {rounds}: {entrant.name:<40}", end="\r", file=sys.stderr)
                self.samples[entrant.name].append(run(entrant, folder, spent))
        print(" " * 70, end="\r", file=sys.stderr)

    def add(self, name: str, walls: Sequence[float]) -> None:
        """A part of an entrant's runs, of which no more than the wall is known."""
        self.samples[name] = [Sample(wall, 0.0, 0.0, 0) for wall in walls]

    def ratio(self, one: str, other: str, of: str = "wall") -> Ratio:
        """Of walls, or of processor times (`cpu`), round by round."""
        pairs = zip(self.samples[one], self.samples[other], strict=True)
        ratios = [getattr(a, of) / getattr(b, of) for a, b in pairs]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios))

    def median(self, name: str) -> Sample:
        """The medians of what it cost; of its memory the most."""
        samples = self.samples[name]
        return Sample(
            statistics.median(sample.wall for sample in samples),
            statistics.median(sample.cpu for sample in samples),
            statistics.median(sample.server for sample in samples),
            max(sample.memory for sample in samples),
        )


def run(entrant: Entrant, folder: Path, spent: Callable[[], float] = lambda: 0.0) -> Sample:
    """Run it once. Raises RuntimeError where it fails, or where its check does."""
    entrant.prepare()
    out, err = folder / "out", folder / "err"
    command = [sys.executable, "-I", "-S", LAUNCH, out if entrant.keep else os.devnull, err, *entrant.command]
    before = spent()
    done = subprocess.run(command, cwd=folder, env={**os.environ, **entrant.env}, capture_output=True, check=True)
    server = spent() - before
    cost = json.loads(done.stdout)
    if cost["code"] != 0:
        raise RuntimeError(f"{entrant.name} ended with {cost['code']}:\n{err.read_text()[-2000:]}")
    entrant.check(out)
    return Sample(cost["wall"], cost["cpu"], server, cost["memory"])
