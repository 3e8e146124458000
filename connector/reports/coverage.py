"""In which jobs of a tenant each agent is found: as text, and as JSON. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from connector.model import SiblingPlan
from connector.reports.text import MOST
from connector.reports.visible import make_visible
from connector.reports.wording import Lines


class JobCoverage(Struct, frozen=True):
    """A job's part of a tenant, by its last full plan."""

    job: str
    created: str | None
    """When the plan was made, in RFC 3339; None: there is none."""
    is_old: bool
    """Whether siblings take it for too old."""
    found: int
    """Agents for which the job finds a user, or several."""
    unmatched: int
    """Agents that the job reports as unmatched."""


class Coverage(Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """In which jobs of a tenant agents are found, by their accounts."""

    schema_: Literal["cec-connector/coverage/1"] = "cec-connector/coverage/1"
    agents: int
    """Agents that a job finds or reports as unmatched."""
    found: int
    """Agents that one job finds."""
    nowhere: list[str]
    twice: dict[str, list[str]]
    """By account the jobs that find the agent, if several do."""
    jobs: list[JobCoverage]

    @property
    def unplanned(self) -> list[str]:
        """The jobs without a full plan in their state."""
        return [each.job for each in self.jobs if each.created is None]


def count_coverage(
    plans: Mapping[str, SiblingPlan | None], old: Sequence[str]
) -> Coverage:
    """Count where agents are found. `plans`: by job the last full plan; `old`: jobs whose plan is too old."""
    finders = defaultdict[str, list[str]](list)
    missing = set[str]()
    jobs = []
    for job, plan in sorted(plans.items()):
        if plan is None:
            jobs.append(JobCoverage(job, None, False, 0, 0))
            continue
        for account in plan.found:
            finders[account].append(job)
        missing |= plan.missing
        found, unmatched = len(plan.found), len(plan.missing)
        jobs.append(JobCoverage(job, plan.created, job in old, found, unmatched))
    twice = {name: finders[name] for name in sorted(finders) if len(finders[name]) > 1}
    return Coverage(
        agents=len(missing | finders.keys()),
        found=len(finders) - len(twice),
        nowhere=sorted(missing - finders.keys()),
        twice=twice,
        jobs=jobs,
    )


def render_text(coverage: Coverage, *, whole: bool) -> Lines:
    """Line by line; of each list the first ones, or the `whole`."""
    width = max(len("together"), *(len(each.job) for each in coverage.jobs))
    yield f"{'job':<{width}}{'found':>9}{'unmatched':>11}  last full plan\n"
    for each in coverage.jobs:
        when = each.created or "none"
        if each.is_old:
            when += " (too old for siblings)"
        name = make_visible(each.job)
        yield f"{name:<{width}}{each.found:>9,}{each.unmatched:>11,}  {when}\n"
    yield (
        f"\n{coverage.agents:,} agents: {coverage.found:,} found by one job, {len(coverage.nowhere):,} nowhere, "
        f"{len(coverage.twice):,} by several jobs.\n"
    )
    most = len(coverage.nowhere) + len(coverage.twice) if whole else MOST
    twice = [f"{name}: {', '.join(jobs)}" for name, jobs in coverage.twice.items()]
    yield from _list_agents("Found by several jobs", twice, most)
    yield from _list_agents("Nowhere", coverage.nowhere, most)


def _list_agents(title: str, lines: Sequence[str], most: int) -> Lines:
    if not lines:
        return
    yield f"\n{title}\n"
    for line in lines[:most]:
        yield f"  {make_visible(line)}\n"
    if len(lines) > most:
        yield f"  and {len(lines) - most:,} more; see --all or --json\n"
