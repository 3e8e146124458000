"""A short run that fails where the program has become slower. `make bench-check`, and a part of `.ci/run`.

A figure is a ratio of processor times: the program's in units of `ldapsearch`, or of a start in those of an empty
Python, each by the least of its runs. Other work on the machine adds much to a wall time, and little to these. What
only waits is not noticed.
"""

from __future__ import annotations

import compileall
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import writing
from tests.benchmarks.jobs import READY_ATTRIBUTES, Workplace, script, wanted
from tests.benchmarks.measure import Contest, Entrant
from tests.benchmarks.people import count_values, spread, uid, write_users
from tests.benchmarks.reading import Field
from tests.benchmarks.servers import Server

USERS, FEW, CHANGES, ROUNDS = 10_000, 100, 5_000, 3
UNIT = "ldapsearch"
"""Everybody read by OpenLDAP's own tool. `ldapsearch -f` and `ldapmodify` mostly wait; their processor time varies."""
EMPTY = "empty Python"
"""The unit of what is mostly a start: that takes page faults, which cost some machines ten times what they cost others,
and `ldapsearch` has few."""
TIMES = 5
"""So often the reader reads everybody, or looks everybody up, in one process: its start takes longer than once."""
MARGIN = 2.0
"""What is allowed, in units of what is recorded. Under a load of ten on two processors ratios nearly doubled once."""
ATTEMPTS = 3
"""So often all is measured where something seems slower: each command counts by the least of all its runs."""
PROGRAM = Path(__file__).parents[2] / "connector"


@dataclass(frozen=True)
class Work:
    """A command whose processor time, without that of its start, is compared with that of a unit."""

    name: str
    command: str
    recorded: float
    """The ratio on Python 3.13, a typical one of several runs. Record it anew where it has become smaller."""
    start: str = ""
    """The command that does no more than start; nothing is taken off without."""
    times: int = 1
    unit: str = UNIT

    def ratio(self, spent: Mapping[str, float]) -> float:
        """By the seconds that each command took."""
        return (spent[self.command] - spent.get(self.start, 0.0)) / self.times / spent[self.unit]

    def verdict(self, spent: Mapping[str, float]) -> str:
        """What to say where it takes more than is allowed; else nothing."""
        ratio, most = self.ratio(spent), self.recorded * MARGIN
        if ratio <= most:
            return ""
        return (
            f"Slower: {self.name} takes {ratio:.2f} times the processor time of {self.unit}. That is "
            f"{ratio / self.recorded:.1f} times the recorded ratio ({self.recorded:.2f}); {MARGIN} times is allowed. "
            "To find the cause, run `make bench-check` on the commits before. If the cause is worth it, record the "
            "new ratio in tests/benchmarks/check.py and give the reason in the commit."
        )


WORKS = (
    Work("read", "our reader", 2.0, "our start", TIMES),
    Work("find", "our look-ups", 2.5, "our start", TIMES),
    Work("plan of few", "plan of few", 36.0, unit=EMPTY),
    Work("plan in sync", "plan", 4.0, "plan of few"),
    Work("apply", "apply", 36.0, "plan of few"),
)


def reading(folder: Path, rounds: int = ROUNDS, times: int = TIMES) -> dict[str, float]:
    """The least seconds of processor of each command that reads."""
    folder.mkdir(exist_ok=True)
    ldif = folder / "users.ldif"
    write_users(ldif, USERS)
    keys = folder / "keys"
    keys.write_text("".join(f"{uid(number)}\n" for number in spread(USERS, USERS)))
    with Server.loaded(folder / "slapd", ldif) as server:
        field = Field(folder, server, USERS, rounds)
        few = Workplace(folder / "few", server, field.agents("few", FEW))
        whole = Workplace(folder / "plan", server, field.agents("all", USERS))
        held = count_values(range(1, USERS + 1), READY_ATTRIBUTES)

        def ours(action: str, name: str, times: int, **more: object) -> Entrant:
            told = wanted(server, READY_ATTRIBUTES, times=times, **more)
            return script("our_ldap.py", action, told, (times * USERS, times * held), name=name)

        entrants = [
            *[field.ldapsearch(*READY_ATTRIBUTES)] * 3,  # so short that one run says little
            *[Entrant(EMPTY, [sys.executable, "-I", "-c", "pass"])] * 3,
            ours("scan", "our start", 0),
            ours("scan", "our reader", times),
            ours("find", "our look-ups", times, keys=keys),
            few.plan("plan of few", agents=FEW, matched=FEW, unchanged=FEW, update=0),
            whole.plan("plan", agents=USERS, matched=USERS, unchanged=USERS, update=0),
        ]
        return _least(field.contest(entrants))


def applying(folder: Path) -> dict[str, float]:
    """The same of the command that writes."""
    with writing.loaded(folder, USERS, CHANGES, durable=False) as (server, agents):
        field = Field(folder, server, USERS, ROUNDS)
        changes = writing.Changes(field, agents, CHANGES)
        return _least(field.contest([changes.apply()]))


def _least(contest: Contest) -> dict[str, float]:
    return {name: min(sample.cpu for sample in samples) for name, samples in contest.samples.items()}


def table(spent: Mapping[str, float]) -> Iterator[str]:
    """A line for each of the works."""
    yield f"{'work':<14}{'ratio':>6}{'recorded':>10}{'allowed':>9}   seconds of processor"
    for work in WORKS:
        ratio, allowed = work.ratio(spent), work.recorded * MARGIN
        seconds = ", ".join(f"{name} {spent[name]:.3f}" for name in (work.command, work.start, work.unit) if name)
        yield f"{work.name:<14}{ratio:>6.2f}{work.recorded:>10.2f}{allowed:>9.2f}   {seconds}"


def main() -> None:
    """Exit with 1 where one of the works takes more than is allowed."""
    compileall.compile_dir(PROGRAM, quiet=1)
    spent: dict[str, float] = {}
    slower: list[str] = []
    for _ in range(ATTEMPTS):
        for measured in (reading, applying):
            with tempfile.TemporaryDirectory(prefix="cec-connector-bench-") as folder:
                new = measured(Path(folder))
            spent |= {name: min(seconds, spent.get(name, seconds)) for name, seconds in new.items()}
        print("\n".join(table(spent)))
        slower = [verdict for work in WORKS if (verdict := work.verdict(spent))]
        if not slower:
            return
    sys.exit("\n".join(slower))


if __name__ == "__main__":
    main()
