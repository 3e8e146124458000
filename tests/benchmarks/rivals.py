"""The rivals: LDAP libraries for Python, each in a script as its users write it.

`make bench-rivals` gives them a Python of their own. They take part where everybody is read, looked up or written to.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.jobs import script
from tests.benchmarks.measure import Contest, Entrant

SCRIPTS = {"python-ldap": "plain_python_ldap.py", "bonsai": "plain_bonsai.py", "ldap3": "plain_ldap3.py"}
VERSIONS = """
import json, platform
from importlib.metadata import version
libraries = {name: version(name) for name in ("python-ldap", "bonsai", "ldap3")}
print(json.dumps({"Python": platform.python_version(), **libraries}))
"""


def versions(python: Path) -> dict[str, str]:
    """Their versions, and that of their Python. Raises CalledProcessError where one of them is missing."""
    said: dict[str, str] = json.loads(
        subprocess.run([python, "-c", VERSIONS], stdout=subprocess.PIPE, check=True).stdout
    )
    return said


def entrants(
    python: Path | None, action: Literal["scan", "find", "write"], told: str, expected: tuple[int, int]
) -> list[Entrant]:
    """All of them, to do the same work and to count the same; none where there is no Python for them."""
    if python is None:
        return []
    return [script(file, action, told, expected, name=name, python=python) for name, file in SCRIPTS.items()]


def figures(
    contest: Contest, work: str, users: int, tool: str, ours: Sequence[str], than_ldap3: Target | None = None
) -> Iterator[Figure]:
    """Each rival against the C tool, and what is ours against each rival."""
    for rival in SCRIPTS:
        if rival in contest.samples:
            yield Figure.of(contest, work, users, (rival, tool))
            for name in ours:
                yield Figure.of(contest, work, users, (name, rival), than_ldap3 if rival == "ldap3" else None)


def compared(figures: Sequence[Figure]) -> Iterator[str]:
    """How many times as fast, or as slow, as a rival the program is; lowest and highest."""
    for figure in figures:
        if figure.against in SCRIPTS:
            low, median, high = figure.ratio.low, figure.ratio.median, figure.ratio.high
            how = "slow"
            if median < 1:
                how, low, median, high = "fast", 1 / high, 1 / median, 1 / low
            times = f"{median:.2g} times as {how} as {figure.against} ({low:.2g} to {high:.2g})"
            yield f"{figure.work}, {figure.users:,} users: {figure.name} is {times}"
