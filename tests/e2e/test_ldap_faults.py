"""A connection that is cut, or a server that is killed, in an apply: the next run finds out what was written."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.directories.ldap import ber, requests
from tests.support.crash_world import FIRST, SECOND, Launcher, LdapWorld, logs, records
from tests.support.held_file import entry, held, set_gate
from tests.support.jobs import configure
from tests.support.ldap_proxy import LdapProxy
from tests.support.program import ended, program, started
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd

pytestmark = [pytest.mark.slapd, pytest.mark.slow]


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

    def hold(self, world: LdapWorld) -> None:
        """Hold a world to the undisturbed one, and its journal to the server's log."""
        assert (world.entries(), world.owned()) == self.undisturbed, world.said
        world.audit(logs(world.server)[world.name])

    def _world(self, url: str, window: int) -> LdapWorld:
        world = LdapWorld(self._folder, next(self._names), self.server, self._launcher, url)
        configure(world.folder / "job.yaml", directory={"window": window})
        return world

    def world_apart(self) -> LdapWorld:
        """A world without a proxy."""
        return self._world(self.server.url, window=64)

    @contextmanager
    def world(self, before: Script, after: Script, window: int) -> Iterator[LdapWorld]:
        """A world behind a proxy, which is held to the undisturbed one and to the server's log at the end."""

        def meddle(name: str, message: bytes) -> bytes:
            before.pass_()
            return message

        with LdapProxy(self.server.port, meddle, acted=lambda name: after.pass_()) as proxy:
            world = self._world(proxy.url, window)
            yield world
        self.hold(world)


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
                assert "The read is incomplete, so nothing is planned" in world.said
                own.server.restart()
                codes.append(world.once("apply"))
        assert sorted(codes) == [0, 0, 4], world.said


# ---------------------------------------------------------------- writes that arrive after their sender's death

PASSWORD = {"LDAP_PASSWORD": SYNC_PASSWORD}
BIND = 0x60
"""The tag of a bind request (RFC 4511 §4.2)."""


def deliver(server: Slapd, message: bytes) -> None:
    """Let a modify reach the server that was under way when its sender died."""
    name, password = ber.encode_tlv(ber.OCTETS, SYNC.encode()), ber.encode_tlv(0x80, SYNC_PASSWORD.encode())
    bind = ber.encode_sequence((ber.encode_integer(3), name, password), BIND)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        for each in (requests.encode_message(1, bind), message):
            wire.sendall(each)
            assert wire.recv(1 << 16)


def killed_at_the_first_modify(stage: Stage, world: LdapWorld, before: Callable[[], None] = lambda: None) -> bytes:
    """Kill an apply when it has sent its first modify, which the server has not got yet; that modify.

    `before`: what else is done before it is killed.
    """
    sent: list[bytes] = []
    running: list[int] = []

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(message)
        before()
        os.kill(running[0], signal.SIGKILL)
        raise ConnectionResetError

    with LdapProxy(stage.server.port, meddle) as proxy:
        configure(world.folder / "job.yaml", directory={"urls": [proxy.url]})
        with started("apply", "job.yaml", folder=world.folder, env=PASSWORD) as process:
            running.append(process.pid)
            assert ended(process).code == -signal.SIGKILL
        configure(world.folder / "job.yaml", directory={"urls": [stage.server.url]})
    return sent[0]


def test_the_newest_run_may_be_under_way_and_an_older_one_was_interrupted(stage: Stage) -> None:
    world = stage.world_apart()
    (world.folder / "agents.json").write_text(FIRST)
    said: list[str] = []

    def listed() -> None:
        said.append(program("runs", "job.yaml", folder=world.folder).out)

    killed_at_the_first_modify(stage, world, before=listed)
    assert world.once("apply") == 0, world.said
    listed()
    newest, older = said
    assert newest.splitlines()[0].endswith("  under way")
    assert older.splitlines()[-1].endswith("  interrupted")


@pytest.mark.parametrize("tenant", ["the same", "another"])
def test_a_write_that_arrives_while_the_next_run_reads_is_known_to_be_ours(stage: Stage, tenant: str) -> None:
    world = stage.world_apart()
    (world.folder / "agents.json").write_text(FIRST)
    late = killed_at_the_first_modify(stage, world)
    (world.folder / "agents.json").write_text(FIRST if tenant == "the same" else SECOND)
    set_gate(world.folder / "agents.json")
    run = started("apply", "job.yaml", folder=world.folder, env=PASSWORD, entry=entry("agents.json"))
    with run as process:
        with held(world.folder / "agents.json"):  # the run has settled what was open, and reads on
            deliver(stage.server, late)
        assert ended(process).code == 0
    (world.folder / "agents.json").write_text(SECOND)
    assert world.once("apply") == 0, world.said
    world.audit(logs(stage.server)[world.name])
    if tenant == "the same":  # with another, the first apply was never finished
        stage.hold(world)


def test_a_write_that_arrives_before_the_next_runs_own_is_a_conflict_and_known_to_be_ours(stage: Stage) -> None:
    world = stage.world_apart()
    (world.folder / "agents.json").write_text(FIRST)
    late = killed_at_the_first_modify(stage, world)
    sent: list[str] = []

    def meddle(name: str, message: bytes) -> bytes:
        if not sent:
            deliver(stage.server, late)
        sent.append(name)
        return message

    with LdapProxy(stage.server.port, meddle) as proxy:
        configure(world.folder / "job.yaml", directory={"urls": [proxy.url]})
        assert world.once("apply") == 4, world.said
        assert "conflict: 1" in world.said
    configure(world.folder / "job.yaml", directory={"urls": [stage.server.url]})
    for document in (FIRST, SECOND):
        (world.folder / "agents.json").write_text(document)
        assert world.once("apply") == 0, world.said
    stage.hold(world)
