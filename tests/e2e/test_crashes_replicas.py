"""Law 5 on two OpenLDAP servers of one directory: after a kill another is asked, which has heard of some users.

Once all has arrived everywhere and each server was asked, both are as after undisturbed runs.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.crash_replicas import leave, play, replicas
from tests.support.crash_world import Kill

pytestmark = [pytest.mark.slapd, pytest.mark.slow]

WORLDS = 3
"""The first is undisturbed."""


@pytest.mark.parametrize("acl", ["seen", "compared"])
def test_killed_anywhere_it_is_made_good_at_another_server(tmp_path: Path, acl: str) -> None:
    dice = random.Random(acl)

    def kills(moments: dict[str, int]) -> list[Kill]:
        kinds = [dice.choice(("journal", "wire")) for _ in range(3)]
        return [(kind, 1 + dice.randrange(moments[kind])) for kind in kinds]

    with replicas(tmp_path / "servers", acl, WORLDS, dice) as worlds:
        undisturbed = next(worlds)
        expected = play(undisturbed, [(), ()])
        for world in worlds:
            assert play(world, [kills(moments) for moments in undisturbed.moments]) == expected, world.said
            assert world.kills >= 2


def test_whoever_left_after_a_kill_is_cleared_on_both_servers(tmp_path: Path) -> None:
    dice = random.Random("left")
    with replicas(tmp_path / "servers", "seen", 5, dice) as worlds:
        for early in (26, 45):
            leave(next(worlds), ("wire", early))
        for answer, world in enumerate(worlds, 1):
            assert leave(world, ("answer", answer)), f"each write is in the journal\n{world.said}"
