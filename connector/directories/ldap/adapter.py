"""LDAP servers as directories: the port's questions as searches and compares, its changes as modifications."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain

from connector.directories.changing import octets
from connector.directories.ldap import requests, results
from connector.directories.ldap.connection import connect
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.modifying import ForbiddenError, Modifier
from connector.directories.ldap.searches import Realm, lookups
from connector.directories.ldap.session import Flight, Operation
from connector.directories.ldap.users import Users
from connector.directories.ldap.wire import Wire
from connector.errors import IncompleteRead
from connector.model import ID, Change, Description, Holds, Key, Outcome, Question, Result, Secret, User, UserRef, View
from connector.settings.job import LdapDirectory as Settings

_HOLDS = {
    results.COMPARE_TRUE: Holds.SAME,
    results.COMPARE_FALSE: Holds.OTHER,
    results.NO_SUCH_ATTRIBUTE: Holds.ABSENT,
}
_EARLY = 8
"""So many changes are sent off while the next are still made into requests: the server need not wait for a window."""


class LdapReader:
    """An LDAP server, for reading. It is connected to at first use, and the reader stays with that one server.

    Every method raises one of the kinds of IncompleteRead, or FileError where the certificates that the job names are
    of no use; the constructor raises FileError for a base or a filter that is none.
    """

    def __init__(self, settings: Settings, password: Secret | None, view: View) -> None:
        self._settings = settings
        self._password = password
        self._view = view
        self._realm = Realm.of(settings)
        self._connected: Wire | None = None

    @property
    def _wire(self) -> Wire:
        if self._connected is None:
            self._connected = connect(self._settings, self._password)
        return self._connected

    @cached_property
    def _inspection(self) -> Inspection:
        return Inspection(self._wire, self._settings.base)

    @cached_property
    def _users(self) -> Users:
        return Users(self._whole_view, self._inspection, self._wire.where)

    @cached_property
    def _whole_view(self) -> View:
        return self._inspection.schema.widened(self._view)

    @cached_property
    def _modifier(self) -> Modifier:
        inspection = self._inspection
        return Modifier(inspection.dialect, self._realm.filter, inspection.info, inspection.rules)

    def describe(self) -> Description:
        """What the root DSE and the schema say. No attribute is known to be readable: a hidden one looks absent."""
        return self._description

    @cached_property
    def _description(self) -> Description:
        return self._inspection.describe(self._whole_view.attributes, self._view.object_classes)

    def size(self) -> int | None:
        """The server's own estimate beside a page of one entry (RFC 2696 §3); OpenLDAP gives none."""
        return self._wire.estimate(self._realm.all(("1.1",)))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """Equality terms, many to a search, and a few searches in flight."""
        dialect = self._inspection.dialect
        searches = lookups(keys, self._realm, dialect, self._users.attributes)
        return self._wire.searches(searches, dialect.batches, self._users.user, or_gone=True)

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        """One search, in pages of the job's size."""
        attributes = self._users.attributes
        whole = self._realm.showing(holding, attributes) if holding else self._realm.all(attributes)
        return self._wire.paged(whole, self._settings.page_size, self._users.user)

    def read(self, users: Iterable[UserRef]) -> Iterator[User]:
        """By name, many in flight; whoever is not found by name, having been renamed perhaps, by id."""
        wanted = list(users)
        names = dict.fromkeys(ref.name for ref in wanted if self._realm.covers(ref.name))
        searches = (self._realm.named(name, self._users.attributes) for name in names)
        missing = dict.fromkeys(ref.id for ref in wanted)
        for user in self._wire.searches(searches, self._settings.window, self._users.user, or_gone=True):
            if user.id in missing:
                del missing[user.id]
                yield user
        yield from (user for user in self.find((ID, id_) for id_ in missing) if user.id in missing)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """Compare requests (RFC 4511 §4.10), many in flight.

        Measured on OpenLDAP 2.6: with the right to compare, an attribute without a value answers noSuchAttribute (16).
        Without it the answer is insufficientAccessRights (50), whether there is a value or not; so 16 is never a
        hidden value. With assertions the entry has to be that user still, not just one of that name.
        """
        asserted = self._inspection.dialect.assertions
        operations = (
            Operation(
                place,
                requests.compare(asked.user.name, asked.attribute, octets(asked.value)),
                (requests.assertion(self._modifier.is_user(asked.user.id)),) if asserted else (),
            )
            for place, asked in enumerate(questions)
        )
        early: dict[int, Holds] = {}
        due = 0
        for place, response in self._wire.answers(operations, self._settings.window):
            early[place] = _HOLDS.get(response.code, Holds.UNKNOWN)
            while due in early:
                yield early.pop(due)
                due += 1

    def close(self) -> None:
        """End the session. Never raises."""
        if self._connected is not None:
            self._connected.close()


class LdapDirectory(LdapReader):
    """An LDAP server, for reading and writing."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """Modifications, as many in flight as the job's window, and never two of one entry.

        Measured: of two modifications of one entry in flight, the later was applied first in one case of ninety.
        """
        queue = _Queue(changes)
        try:
            flight: Flight[Change] = Flight(self._wire)
            modifier = self._modifier
        except IncompleteRead as fault:
            yield from _skipped(queue, fault)
            return
        try:
            while True:
                unsent = queue.take(self._settings.window - len(flight), flight.flying)
                if not unsent and not flight:
                    return
                settled: list[Outcome] = []
                try:
                    settled += self._send(unsent, flight)
                    unsent = []
                    if flight:
                        settled += [modifier.outcome(change, answer) for change, answer in flight.responses()]
                except IncompleteRead as fault:
                    yield from (*settled, *_unanswered(flight.flying, fault))
                    yield from _skipped(chain(unsent, queue), fault)
                    return
                yield from settled
        finally:
            flight.close()

    def _send(self, batch: Sequence[Change], flight: Flight[Change]) -> list[Outcome]:
        """Send these changes; the outcomes of those that need not, or must not, be sent."""
        modifier = self._modifier
        settled = []
        differences = {} if modifier.dialect.assertions else self._differences(batch)
        for change in batch:
            try:
                request = modifier.request(change)
            except ForbiddenError as fault:
                settled.append(Outcome(change.user, Result.FAILED, str(fault)))
                continue
            why = differences.get(change.user.id)
            if not self._realm.covers(change.user.name):
                why = "the entry is not below the base"
            if why is not None:
                settled.append(Outcome(change.user, Result.CONFLICT, why))
            elif request is None:
                settled.append(Outcome(change.user, Result.UNCHANGED, "there is nothing to change"))
            else:
                flight.send(Operation(change, request, modifier.controls(change)))
                if len(flight) % _EARLY == 0:
                    self._wire.flush()
        return settled

    def _differences(self, batch: Sequence[Change]) -> dict[str, str]:
        """Where there are no assertions: what is different, by user, in entries read again just before the write."""
        now = {user.id: user for user in self.read(change.user for change in batch)}
        found = ((change.user.id, self._modifier.differs(change, now.get(change.user.id))) for change in batch)
        return {id_: why for id_, why in found if why is not None}


class _Queue:
    """Changes still to be sent, taken from their iterable no sooner than there is room for them."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = iter(changes)
        self._held: Change | None = None

    def take(self, room: int, flying: Iterable[Change]) -> list[Change]:
        """The next ones, up to the first whose entry has a change in flight already; that one waits, with the rest."""
        busy = {key for change in flying for key in _entry(change)}
        taken: list[Change] = []
        while len(taken) < room and (change := next(self, None)) is not None:
            if busy.intersection(_entry(change)):
                self._held = change
                break
            busy.update(_entry(change))
            taken.append(change)
        return taken

    def __iter__(self) -> Iterator[Change]:
        return self

    def __next__(self) -> Change:
        held, self._held = self._held, None
        return next(self._changes) if held is None else held


def _entry(change: Change) -> tuple[str, str]:
    return change.user.id, change.user.name.casefold()


def _unanswered(changes: Iterable[Change], fault: IncompleteRead) -> list[Outcome]:
    why = f"no answer: it may have been written ({fault})"
    return [Outcome(change.user, Result.FAILED, why) for change in changes]


def _skipped(changes: Iterable[Change], fault: IncompleteRead) -> Iterator[Outcome]:
    return (Outcome(change.user, Result.SKIPPED, f"not sent ({fault})") for change in changes)
