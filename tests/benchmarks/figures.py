"""Figures: a ratio of two commands in one contest, and the target that it is held to."""

from __future__ import annotations

from dataclasses import dataclass

from tests.benchmarks.measure import Contest, Ratio, Sample

MB = 1_000_000


@dataclass(frozen=True)
class Target:
    """The most that a figure may be, as a ratio and in octets of memory."""

    ratio: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Figure:
    """What one command costs in units of another that did the same work in the same rounds."""

    work: str
    users: int
    name: str
    against: str
    ratio: Ratio
    cost: Sample
    unit: Sample
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is within its target; None where it has none."""
        if self.target is None:
            return None
        fast = self.target.ratio is None or self.ratio.median <= self.target.ratio
        return fast and (self.target.memory is None or self.cost.memory <= self.target.memory)

    @classmethod
    def of(
        cls, contest: Contest, work: str, users: int, pair: tuple[str, str], target: Target | None = None,
        by: str = "wall",
    ) -> Figure:  # fmt: skip
        """The first of the pair against the second, by wall time or by processor time (`cpu`)."""
        name, against = pair
        cost, unit = contest.median(name), contest.median(against)
        return cls(work, users, name, against, contest.ratio(name, against, by), cost, unit, target)
