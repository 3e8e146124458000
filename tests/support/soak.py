"""`make soak`: lets `serve` run while all around it goes wrong in turn, and holds it to its schedule and its memory.

The seed decides in which order things go wrong, and how far clocks jump.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.slapd import SYNC
from tests.support.soak_world import AGENTS, MAPPING, MOMENT, Taken, World

START = datetime(2027, 3, 26, 12, tzinfo=UTC)
"""Two nights before clocks go forward in Berlin."""
ALLOWED = Taken(octets=1 << 20, descriptors=8, threads=4)
"""How much more may be taken up at the end than once everything has happened before.

Whoever looks may find a run under way, with its pipes, and an answer to a question; what is lost adds up to more.
"""


class Soak:
    """One world, in which things go wrong."""

    def __init__(self, world: World, seed: str) -> None:
        self.world = world
        self._dice = random.Random(seed)
        self._secret = 0

    def round(self) -> list[Taken]:
        """Every trouble once, in some order; what is taken up after each."""
        troubles = list(self.troubles())
        self._dice.shuffle(troubles)
        taken = []
        for trouble in troubles:
            trouble()
            taken.append(self.world.taken())
        return taken

    def troubles(self) -> Sequence[Callable[[], None]]:
        """All that may happen. Each ends with a good run, and everything in step."""
        return (
            self.nothing, self.long_sleep, self.clock_set_back, self.clock_set_far_back, self.directory_away,
            self.directory_dies, self.source_away, self.bind_password_rotated, self.app_secret_rotated,
            self.faulty_files, self.new_files, self.state_locked, self.state_frozen,
        )  # fmt: skip

    def nothing(self) -> None:
        """A night like any other."""
        self.world.moved()
        self.world.night()

    def restart(self) -> None:
        """`serve` is away for some nights, which are caught up by one run."""
        world = self.world
        world.moved()
        with world.away():
            due = world.schedule.last(world.clock.now() + timedelta(days=self._dice.randint(2, 5)))
            world.clock.set(due + timedelta(hours=5))
        world.run_begins(due)
        world.run_ends("done")

    def long_sleep(self) -> None:
        """Months pass at once, up to the day before clocks are changed: one run catches up."""
        world = self.world
        world.moved()
        due = world.schedule.last(
            datetime.combine(world.schedule.change(world.clock.now() + timedelta(days=2)), datetime.min.time(), UTC)
        )
        world.jump(due + timedelta(hours=3))
        world.run_begins(due)
        world.run_ends("done")
        world.night()
        world.night()

    def clock_set_back(self) -> None:
        """By a few minutes, so that the time of a run comes again: it is not run again."""
        world = self.world
        world.night()
        before = world.clock.now()
        world.jump(before - timedelta(minutes=self._dice.randint(1, 9)))
        world.reread()  # so that it looks at the clock
        world.jump(before + MOMENT)
        world.reread()
        world.served.next("run ended", job="beat")
        world.moved()
        world.night()

    def clock_set_far_back(self) -> None:
        """By days: it was wrong before, and nights that it had seen are still to come, the very last among them."""
        world = self.world
        for days in (1, self._dice.randint(2, 4)):
            world.jump(world.clock.now() - timedelta(days=days))
            world.reread()
            world.served.next("run ended", job="beat")
            world.moved()
            world.night()

    def directory_away(self) -> None:
        """For three nights, after which the job is not ready."""
        world = self.world
        self._dice.choice((world.slapd.stop, world.slapd.kill))()
        world.moved()
        for _ in range(3):
            assert world.ready()
            world.night("failed")
        assert not world.ready()
        world.slapd.restart()
        world.night()

    def directory_dies(self) -> None:
        """In the middle of a run that writes."""
        world = self.world
        world.moved(AGENTS)
        due = world.schedule.after(world.clock.now())
        world.jump(due + MOMENT)
        world.run_begins(due)
        world.served.next("apply", job="hr")
        time.sleep(self._dice.uniform(0, 0.03))  # waits for nothing: it draws the moment of the kill
        world.slapd.kill()
        world.slapd.restart()  # before it is looked whether all is there, if that run was done already
        world.run_ends("done", "in part", "failed")
        world.night()

    def source_away(self) -> None:
        """For some nights: nothing is written, and nothing is emptied."""
        world = self.world
        world.source_goes()
        world.moved()
        for _ in range(self._dice.randint(1, 2)):
            world.night("failed")
        world.source_comes()
        world.night()

    def bind_password_rotated(self) -> None:
        """In the directory at once, in the file a night later."""
        world = self.world
        new = self._rotate("bind-password")
        world.slapd.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: userPassword\nuserPassword: {new}\n")
        world.moved()
        world.night("failed")
        world.write("bind-password", new)
        world.night()

    def app_secret_rotated(self) -> None:
        """At the source at once, in the file a night later."""
        world = self.world
        new = self._rotate("app-secret")
        world.source_goes()
        world.source_comes()
        world.moved()
        world.night("failed")
        world.write("app-secret", new)
        world.night()

    def state_locked(self) -> None:
        """For longer than a run waits for it."""
        world = self.world
        world.moved()
        with world.locked():
            world.night("failed")
        world.night()

    def state_frozen(self) -> None:
        """Of another job, whose run waits meanwhile: this one has its nights, and `serve` is well."""
        world = self.world
        with world.frozen():
            for _ in range(self._dice.randint(1, 2)):
                world.moved()
                world.night()
            assert world.served.get("/healthz") == (200, "ok\n")

    def _rotate(self, name: str) -> str:
        self._secret += 1
        self.world.secrets[name] = f"canary-{name}-{self._secret}"
        return self.world.secrets[name]

    def faulty_files(self) -> None:
        """The old ones go on."""
        world = self.world
        fault = self._dice.choice(("match: [\n", "match: []\nattributes: {userPassword: x}\n", "\0", "[]"))
        world.write("mapping.yaml", fault)
        world.reread(refused=True)
        world.moved()
        world.night()
        world.write("mapping.yaml", MAPPING % world.prefix)
        world.reread()

    def new_files(self) -> None:
        """They count once they have been read again, and not before."""
        world = self.world
        world.write("mapping.yaml", MAPPING % (world.prefix + 1))
        world.moved()
        world.night()
        world.prefix += 1
        world.reread()
        world.night()


def flat(taken: Sequence[Sequence[Taken]]) -> str:
    """What was taken up once everything had happened, and at the end. Raises AssertionError where it has grown."""
    first, last = taken[1], taken[-1]
    told = []
    for what in Taken.__struct_fields__:
        before, after = (min(getattr(each, what) for each in round_) for round_ in (first, last))
        told.append(f"{what} {before} → {after}")
        assert after - before <= getattr(ALLOWED, what), f"what it takes up has grown: {told}"
    return ", ".join(told)


def main() -> None:
    """Go on until the time is over; whatever is not as it should be ends it with an AssertionError."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    asked = parser.parse_args()
    say(f"make soak SOAK_SECONDS={asked.seconds} SOAK_SEED={asked.seed}")
    until = time.monotonic() + asked.seconds
    with tempfile.TemporaryDirectory(prefix="cec-connector-soak-") as folder, World(Path(folder), START) as world:
        soak = Soak(world, asked.seed)
        soak.nothing()
        soak.restart()
        taken = [soak.round(), soak.round()]
        while time.monotonic() < until:
            taken.append(soak.round())
            say(f"round {len(taken)}: {flat(taken)}")
        say(f"{world.check()} runs, none missed and none twice; {flat(taken)}")


def say(line: str) -> None:
    """For whoever watches, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
