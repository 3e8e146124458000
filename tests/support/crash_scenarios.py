"""What is killed: an apply, an apply of changes (perhaps of a reviewed plan), and an undo of all that these did."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.support.crash_world import FIRST, SECOND, Kill, Launcher, LdapWorld, World, logs, records
from tests.support.slapd import ACL, SYNC, Slapd

_USERS = f'by dn.exact="{SYNC}" write by users read by anonymous auth'
ACLS = {
    "seen": ACL,
    "compared": f'\naccess to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * none\naccess to * {_USERS}\n',
    "unseen": f'\naccess to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =w by * none\naccess to * {_USERS}\n',
}
PHASES = ("first", "second", "undo")
KINDS = ("journal", "audit", "wire", "wire", "writing", "writing", "writing", "any")
MOMENTS = 3
"""Of each transaction, as `crash_launcher` wraps it."""
WORLDS = 60
"""So many worlds are on one server."""


class Scenario(Struct, frozen=True):
    """Whether the second apply is of a reviewed plan, and the kills of each phase."""

    reviewed: bool
    kills: tuple[tuple[Kill, ...], ...] = ((), (), ())


class Ended(Struct):
    """What a scenario came to: the entries and what is ours after each phase, and, undisturbed, how long each took.

    `hits`: how many kills have hit in each phase. `undone`: how many runs were undone, each by itself.
    """

    entries: list[Any]
    owned: list[Any]
    took: list[dict[str, Any]]
    hits: list[int]
    undone: int = 1


def play(world: World, scenario: Scenario) -> Ended:
    """Play a scenario to its end."""
    ended = Ended([], [], [], [])

    def note() -> None:
        ended.entries.append(world.entries())
        ended.owned.append(world.owned())
        ended.took.append(world.last)
        ended.hits.append(world.kills - sum(ended.hits))

    (world.folder / "agents.json").write_text(FIRST)
    world.until_done("apply", kills=scenario.kills[0])
    note()
    before = set(world.runs())
    (world.folder / "agents.json").write_text(SECOND)
    if scenario.reviewed:
        assert world.once("plan", "--save", "plan.json") == 0, world.said
        # killed after its end was noted, it is spent
        world.until_done("apply", "--plan", "plan.json", kills=scenario.kills[1], done=(0, 3))
        (run,) = set(world.runs()) - before
        assert world.result(run) == "done", world.said
    else:
        world.until_done("apply", kills=scenario.kills[1])
    note()
    runs = [run for run in world.runs() if run not in before]
    ended.undone = len(runs)
    for run in runs:
        world.until_done("undo", run, "--apply", kills=scenario.kills[2])
    note()
    world.told_once()
    return ended


class Stage:
    """One server after the other, each with so many worlds, and what undisturbed scenarios come to on them.

    `state` makes the address of a new state; without it each world has a file.
    """

    def __init__(self, folder: Path, acl: str, state: Callable[[], str] = str) -> None:
        self._folder, self._acl, self._state = folder, acl, state
        self.reference: dict[bool, Ended] = {}
        self.played: list[tuple[Scenario, Ended]] = []
        self.kills = 0

    @contextmanager
    def opened(self, number: int) -> Iterator[Iterator[World]]:
        """Worlds on a new server; at the end each of them is audited."""
        names = [f"w{place}" for place in range(WORLDS + 2)]
        people = [record for name in names for record in records(name)]
        folder = self._folder / f"{self._acl}-{number}"
        folder.mkdir(parents=True)
        options = {"acl": ACLS[self._acl], "accesslog": True}
        opened: list[LdapWorld] = []

        def worlds() -> Iterator[World]:
            for name in names:
                opened.append(LdapWorld(folder, name, server, launcher, state=self._state()))
                yield opened[-1]

        with Slapd.start(folder / "slapd", people, **options) as server, Launcher() as launcher:
            yield worlds()
            written = logs(server)
            for world in opened:
                world.audit(written[world.name])

    def play(self, drawn: Callable[[Mapping[bool, Ended]], Iterable[Scenario]]) -> None:
        """Play the scenarios that are made from the undisturbed ones, and hold each to its own."""
        scenarios: Iterator[Scenario] = iter(())
        for number in count():
            with self.opened(number) as worlds:
                if number == 0:
                    self.reference = {reviewed: play(next(worlds), Scenario(reviewed)) for reviewed in (False, True)}
                    scenarios = iter(drawn(self.reference))
                played = 0
                for scenario in islice(scenarios, WORLDS):
                    self._hold(next(worlds), scenario)
                    played += 1
            if played < WORLDS:
                return

    def play_until(self, kills: int, seed: str) -> None:
        """Play scenarios at random until so many kills have hit."""
        dice = random.Random(seed)
        self.play(lambda reference: takewhile(lambda _: self.kills < kills, at_random(reference, dice)))

    def play_each_step(self, *, reviewed: bool, part: int = 0, parts: int = 1) -> None:
        """Kill at each step of the journal, or at those of a part, in every phase."""
        self.play(lambda reference: at_each_step(reference, reviewed=reviewed, part=part, parts=parts))
        for scenario, ended in self.played:
            ((_, number),), *_ = scenario.kills
            due = [number <= took["moments"]["journal"] for took in self.reference[scenario.reviewed].took]
            # where a killed apply and the one after it are undone each by itself, they share the steps of one undo
            phases = len(PHASES) if ended.undone == 1 else PHASES.index("undo")
            assert ended.hits[:phases] == due[:phases], f"{scenario}: kills that have hit, by phase"
        assert self.kills >= 100 // parts

    def _hold(self, world: World, scenario: Scenario) -> None:
        ended, reference = play(world, scenario), self.reference[scenario.reviewed]
        self.played.append((scenario, ended))
        self.kills += world.kills
        for phase, mine, theirs in zip(PHASES, ended.entries, reference.entries, strict=True):
            assert mine == theirs, f"{scenario}: after {phase}\n{world.said}"
        for phase, ours, theirs in zip(PHASES, ended.owned, reference.owned, strict=True):
            assert ours == theirs, f"{scenario}: what is remembered as ours after {phase}\n{world.said}"


def at_each_step(reference: Mapping[bool, Ended], *, reviewed: bool, part: int, parts: int) -> Iterator[Scenario]:
    """A kill at each step of the journal that is of this part, in all phases; every other one is of a reviewed plan.

    A step is a transaction and a moment of it: before it, before its commit, after it. Each part has all three.
    """
    most = max(took["moments"]["journal"] for ended in reference.values() for took in ended.took)
    mine = [number for number in range(1, most + 1) if sum(divmod(number - 1, MOMENTS)) % parts == part]
    for place, number in enumerate(mine):
        kills: tuple[Kill, ...] = (("journal", number),)
        yield Scenario(reviewed == bool(place % 2), (kills, kills, kills))


def at_random(reference: Mapping[bool, Ended], dice: random.Random) -> Iterator[Scenario]:
    """One to three kills in each phase, of any kind, anywhere. The dice fall alike however fast a machine is."""

    def kill(took: dict[str, Any]) -> Kill:
        kind, where = dice.choice(KINDS), dice.random()
        if kind in took["moments"]:
            return kind, 1 + int(where * took["moments"][kind])
        return kind, where * took["seconds"][kind]

    while True:
        reviewed = dice.choice((False, True))
        numbers = [dice.randint(1, 3) for _ in PHASES]
        phases = zip(numbers, reference[reviewed].took, strict=True)
        yield Scenario(reviewed, tuple(tuple(kill(took) for _ in range(number)) for number, took in phases))
