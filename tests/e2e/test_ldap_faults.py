"""A connection that is cut, or a server that is killed, in an apply: the next run finds out what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from crash_world import FIRST, SECOND, Launcher, World, logs, records
from ldap_proxy import LdapProxy
from slapd import Slapd

pytestmark = pytest.mark.slapd


class Script:
    """Does something once, at the n-th modify that passes by, and counts them."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self._at, self._act = at, act
        self.passed = 0

    def pass_(self) -> None:
        self.passed += 1
        if self.passed == self._at:
            self._act()


def cut() -> None:
    raise ConnectionResetError


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server with worlds enough for all tests that do not harm it."""
    with opened(tmp_path_factory.mktemp("stage"), 40) as stage:
        yield stage


class Stage:
    """A server, worlds on it, each of which is used once, and what both applies come to where nothing happens."""

    def __init__(self, folder: Path, server: Slapd, launcher: Launcher, names: Iterator[str]) -> None:
        self._folder, self.server, self._launcher, self._names = folder, server, launcher, names
        twin = self._world(server.url, window=64)
        for document in (FIRST, SECOND):
            (twin.folder / "agents.json").write_text(document)
            assert twin.once("apply") == 0, twin.said
        self.undisturbed = twin.entries(), twin.owned()

    def _world(self, url: str, window: int) -> World:
        world = World(self._folder, next(self._names), self.server, self._launcher, url)
        job = (world.folder / "job.yaml").read_text()
        (world.folder / "job.yaml").write_text(job.replace("  base:", f"  window: {window}\n  base:"))
        return world

    @contextmanager
    def world(self, before: Script, after: Script, window: int) -> Iterator[World]:
        """A world behind a proxy, which is held to the undisturbed one and to the server's log at the end."""

        def meddle(name: str, message: bytes) -> bytes:
            before.pass_()
            return message

        with LdapProxy(self.server.port, meddle, acted=lambda name: after.pass_()) as proxy:
            world = self._world(proxy.url, window)
            yield world
        assert (world.entries(), world.owned()) == self.undisturbed, world.said
        world.audit(logs(world.server)[world.name])


@contextmanager
def opened(folder: Path, worlds: int) -> Iterator[Stage]:
    names = [f"w{number}" for number in range(worlds)]
    people = [record for name in names for record in records(name)]
    with Slapd.start(folder / "s", people, accesslog=True) as server, Launcher() as launcher:
        yield Stage(folder, server, launcher, iter(names))


NEVER = 10**9
WRITES = 9 + 15
"""What both applies write, the halves of swaps included, and some to spare."""


@pytest.mark.parametrize("at", range(1, WRITES, 4))
@pytest.mark.parametrize("window", [1, 64])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_cut_ends_the_run_in_part_and_the_next_one_goes_on(
    stage: Stage, when: str, window: int, at: int
) -> None:
    before, after = (Script(at if when == moment else NEVER, cut) for moment in ("before", "after"))
    codes = []
    with stage.world(before, after, window) as world:
        for document in (FIRST, SECOND):
            (world.folder / "agents.json").write_text(document)
            codes.append(world.once("apply"))
            if codes[-1] == 4:
                assert "it may have been written" in world.said
                codes.append(world.once("apply"))
        assert sorted(codes) == [0, 0, 4], world.said


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", [1, 6, 17])
def test_a_server_that_is_killed_ends_the_run_in_part_and_the_next_one_goes_on(
    tmp_path: Path, when: str, at: int
) -> None:
    def kill() -> None:
        own.server.kill()
        cut()

    before, after = (Script(at if when == moment else NEVER, kill) for moment in ("before", "after"))
    codes = []
    # one at a time: of more in flight, its log would lack those that it was killed between storing and logging
    with opened(tmp_path, 2) as own, own.world(before, after, window=1) as world:
        for document in (FIRST, SECOND):
            (world.folder / "agents.json").write_text(document)
            codes.append(world.once("apply"))
            if codes[-1] == 4:
                assert world.once("apply") == 1, "the server is down, and it was not said"
                assert "Nothing is planned from an incomplete read" in world.said
                own.server.restart()
                codes.append(world.once("apply"))
        assert sorted(codes) == [0, 0, 4], world.said
