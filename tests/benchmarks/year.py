"""What a year of daily runs costs: the size of the state, a plan then, and pruning.

The first apply, which writes to everybody, and all that is measured are the program's own. The days between are noted
by the state itself, as an apply of 1 % of the users notes it; each user's last value is what the directory holds.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from connector.model import AttributeChange, Change, Description, Outcome, Plan, Result, Secret, Summary
from connector.model.equality import reveal_value
from connector.state.journal_rows import Sealer
from connector.state.sqlite import read_or_make_key
from connector.state.store import State, open_state
from tests.benchmarks.figures import MB, Figure, Target
from tests.benchmarks.measure import Contest, Entrant, Ratio, Sample, run
from tests.support.ldif_job import Job, agent

DAYS: Final = 365
SHARE: Final = 100
"""One of so many users changes each day."""
KEPT: Final = 90
"""Days that pruning leaves."""
LARGEST: Final = 7_000
"""Octets of state for each user, a year on: 700 MB for 100,000."""
LARGE: Final = 100_000
SAME: Final = Target(1.1)


def year(folder: Path, users: int, rounds: int) -> Iterator[Figure]:
    """The state a year on, and a plan by it, against those of the first day."""
    job = Job(folder, users=users)
    job.configure(limits={"update": "100%", "secret": "100%"})
    run(Entrant("first", _command(folder, "apply", "--yes"), keep=False), folder)
    state = folder / "state.db"
    shutil.copy(state, folder / "first.db")
    _live(state, users)
    state.rename(folder / "year.db")
    job.agents([agent(n, workNo=(5_000_000 if n % SHARE == 0 else 1_000) + n) for n in range(1, users + 1)])
    shutil.copy(folder / "year.db", folder / "pruned.db")
    _use(folder, "pruned")
    pruning = Entrant("prune", _command(folder, "state prune", "--older", f"{KEPT}d"), keep=False)
    days = ("first", "year", "pruned")
    plans = [_plan(folder, users, day) for day in days]
    yield from _sizes(folder, users, run(pruning, folder))
    contest = Contest(plans, rounds, folder, lambda: 0.0)
    for day in days[1:]:
        target = SAME if users >= LARGE else None  # a small plan is mostly its start
        yield Figure.of(contest, "plan of 1 %, LDIF", users, (f"plan, {day}", "plan, first"), target)


def _command(folder: Path, command: str, *options: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "connector", *command.split(), folder / "job.yaml", *options]


def _use(folder: Path, day: str) -> None:
    """Let the job have this state, which keeps what is written to it."""
    (folder / "state.db").unlink(missing_ok=True)
    os.link(folder / f"{day}.db", folder / "state.db")


def _plan(folder: Path, users: int, day: str) -> Entrant:
    report = folder / "report.json"

    def planned(_: Path) -> None:
        said = json.loads(report.read_bytes())["summary"]
        if (said["matched"], said["update"], said["stale"]) != (users, users // SHARE, 0):
            raise RuntimeError(f"the plan says {said}")

    command = _command(folder, "plan", "--report", report)
    return Entrant(f"plan, {day}", command, partial(_use, folder, day), planned)


def _sizes(folder: Path, users: int, pruning: Sample) -> Iterator[Figure]:
    """Sizes of files, in place of memory; of the pruned one without what is free for later runs."""
    with closing(sqlite3.connect(folder / "pruned.db")) as state:
        ((page,),), ((free,),) = (
            state.execute(f"pragma {each}").fetchall() for each in ("page_size", "freelist_count")
        )
    octets = {day: (folder / f"{day}.db").stat().st_size for day in ("first", "year", "pruned")}
    octets["pruned"] -= page * free
    unit = Sample(1.0, 0.0, 0.0, octets["first"])
    for day, target in (("year", Target(memory=users * LARGEST)), ("pruned", None)):
        size, ratio = octets[day], octets[day] / octets["first"]
        yield Figure(
            "size of the state", users, day, "first", Ratio(ratio, ratio, ratio, 1),
            Sample(1.0, 0.0, 0.0, size), unit, target,
        )  # fmt: skip
    print(f"  pruning took {pruning.wall:.1f} s, and {pruning.memory / MB:.0f} MB of memory", file=sys.stderr)


# ---------------------------------------------------------------- the days between


def _live(path: Path, users: int) -> None:
    """Note the applies of the days after the first, and when all of them were."""
    sealer = Sealer(read_or_make_key(path, needed=True))
    with closing(open_state(f"sqlite:///{path}")) as state:
        (first,) = state.history.list_runs("job")
        directory, steps = state.read_steps_of_run(first.id, "job", sealer)
        wrote = [each.change for each in steps]
        described = Description("a file", directory, {})
        times = [0] * users
        for day in range(1, DAYS):
            some = [place for place in range(users) if place % SHARE == day % SHARE]
            last = day + SHARE >= DAYS
            _note(state, described, sealer, day, [_changed(wrote[place], times[place], last=last) for place in some])
            for place in some:
                times[place] += 1
    _date(path)


def _changed(change: Change, times: int, *, last: bool) -> Change:
    """The same attributes again, from values that were there to others, the last time to what the directory holds."""

    def of(each: AttributeChange) -> AttributeChange:
        if each.secret:
            print_ = each.fingerprint if last else f"{each.fingerprint}{times + 1}"
            return replace(each, old=(Secret("before"),), new=(Secret("after"),), fingerprint=print_)
        before, after = (
            tuple(f"{reveal_value(value)!s}{number or ''}" for value in each.new) for number in (times, times + 1)
        )
        return replace(each, old=before, new=each.new if last else after)

    attributes = tuple(of(each) for each in change.attributes if each.name != "objectClass")
    return replace(change, attributes=attributes, digest=f"{change.digest}{times}")


def _note(state: State, described: Description, sealer: Sealer, day: int, changes: Sequence[Change]) -> None:
    plan = Plan(
        f"day-{day:03}", "sha256:0", "job", "", Summary(agents=len(changes), matched=len(changes)), tuple(changes)
    )
    with state.record_run(plan, described, sealer) as journal:
        noted: Callable[[], None] = journal.note_writes([], changes)
        noted()
        journal.note_writes([(change, Outcome(change.user, Result.WRITTEN)) for change in changes], [])()
        journal.result = "done"


def _date(path: Path) -> None:
    """Let the runs be of the days before today, the first a year ago."""
    with closing(sqlite3.connect(path)) as state, state:
        for place, (run_id,) in enumerate(state.execute("select id from runs order by number").fetchall()):
            then = (datetime.now(UTC) - timedelta(days=DAYS - place)).isoformat()
            state.execute("update runs set started = ?, ended = ?, agents = 0 where id = ?", (then, then, run_id))
            state.execute("update journal set noted = ? where run = ?", (then, run_id))
