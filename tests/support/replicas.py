"""A directory on two servers that replicate late: each run is served by one of them, and may die there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from connector.apply.sync import FinishedRun
from connector.directories.common.entries import Entry
from connector.directories.port import Directory
from connector.model import OBJECT_CLASS, Change, Description, Held, View
from tests.support.mortal import DeathError, Mortal, MortalDirectory, Snapshot, copied
from tests.support.worlds import World

SERVERS = ("one", "two")
CLASSES = "objectclass"


class _At(MortalDirectory):
    """The server that serves now; it tells its name, and which directory it has."""

    def describe(self) -> Description:
        assert isinstance(self._mortal, Replicas)
        return replace(super().describe(), server=self._mortal.at, identity="replicas")


class Replicas(Mortal):
    """A mortal world on two servers. Of each attribute of each user the later write wins, once it has arrived.

    Of object classes each by itself, as 389-DS merges values.
    """

    def __init__(self, world: World, **options: bool) -> None:
        super().__init__(world, **options)
        self.at = SERVERS[0]
        self.stores = {SERVERS[0]: self.world.store, SERVERS[1]: copied(self.world.store)}
        self.stamps: dict[tuple[str, str, str, bytes | None], int] = {}
        self.put: set[tuple[str, str, frozenset[Held]]] = set()
        self._time = 0

    def _connect(self, view: View) -> Directory:
        return _At(self, view)

    def serve(self, server: str) -> None:
        """From now on this server is asked."""
        self.at = server
        self.world.store = self.stores[server]

    def note(self, change: Change, before: Snapshot, after: Snapshot) -> None:
        super().note(change, before, after)
        self.put |= set(puts(change))
        self._time += 1
        for each in change.attributes:
            for value in (*each.old, *each.new) if each.name == OBJECT_CLASS else (None,):
                name = self.world.store.schema.attribute_key(each.name)
                self.stamps[self.at, change.user.id, name, None if value is None else str(value).encode()] = self._time

    def arrive(self, users: Iterable[str]) -> None:
        """Whatever either server knows of these users, the other has heard of too."""
        one, two = (self.stores[server].entries for server in SERVERS)
        for id_ in users:
            for name in {*one[id_].values, *two[id_].values}:
                if name == CLASSES:
                    for value in {*one[id_].values[name], *two[id_].values[name]}:
                        self._arrive(id_, name, value)
                else:
                    self._arrive(id_, name)

    def _arrive(self, id_: str, name: str, value: bytes | None = None) -> None:
        times = [self.stamps.get((server, id_, name, value), 0) for server in SERVERS]
        if times[0] == times[1]:
            return
        late, early = SERVERS if times[0] > times[1] else reversed(SERVERS)
        held, known = (self.stores[server].entries[id_].values.get(name, []) for server in (early, late))
        if value is not None:
            known = [each for each in held if each != value] + [each for each in known if each == value]
        entry = self.stores[early].entries[id_]
        others = {each: some for each, some in entry.values.items() if each != name}
        values = others | ({name: list(known)} if known else {})
        self.stores[early].entries[id_] = Entry(entry.id, entry.name, entry.rdns, values)
        for server in SERVERS:
            self.stamps[server, id_, name, value] = max(times)

    def converge(self) -> None:
        """All has arrived."""
        self.arrive(list(self.stores[SERVERS[0]].entries))

    def until_quiet(self, run: Callable[[], FinishedRun]) -> None:
        """Both servers are asked in turn, each after all has arrived, until there is nothing more to do."""
        left, before = self.journal(None), None
        while left != before:
            before = left
            for _ in range(2):
                for server in SERVERS:
                    self.converge()
                    self.serve(server)
                    run()
            left = self.journal(None)
        self.converge()

    def perhaps(self, run: Callable[[], FinishedRun]) -> None:
        """A run that may die."""
        try:
            run()
        except DeathError:
            self.said.append("died")


def puts(change: Change) -> Iterator[tuple[str, str, frozenset[Held]]]:
    """By user and attribute what a change sets, a secret by its fingerprint."""
    for each in change.attributes:
        for value in each.new if not each.secret and each.name == OBJECT_CLASS else ():
            yield change.user.id, each.name, frozenset({value})
        if each.name != OBJECT_CLASS:
            values = {each.fingerprint} - {""} if each.secret else each.new
            yield change.user.id, each.name, frozenset(values)


def ours(mortal: Mortal) -> list[tuple[Any, ...]]:
    """What is remembered as ours: users, attributes and values. Object classes stay."""
    return sorted(
        (user, attribute, values, print_ or "")
        for user, attributes in mortal.database.rows("select user_id, attributes from ownership")
        for attribute, (_, values, print_, _, restored, *_) in json.loads(attributes).items()
        if not restored and attribute != OBJECT_CLASS
    )
