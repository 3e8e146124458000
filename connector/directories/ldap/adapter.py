"""LDAP servers as directories that are written: changes as modifications in flight, an outcome for each.

    take changes → look at users of whom no assertion says enough → send modifications
    → wait for answers → outcomes, with the user as the answer shows it (RFC 4527)

A window of modifications is in flight at once, and never two of one entry. Measured: of two
modifications of one entry in flight, the later was applied first in one case of ninety.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from itertools import chain, islice

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.entries import ForbiddenError
from connector.directories.common.filter_matching import Matcher, make_matcher
from connector.directories.common.ldap_filters import Filter, attributes_of
from connector.directories.ldap import requests, responses
from connector.directories.ldap.assertions import (
    UNLIKE,
    UNSEEN,
    UserLooker,
    UserSight,
)
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.modifying import ChangeModifier
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldap.responses import Response
from connector.directories.ldap.session import Operation, OperationGroup
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.errors import IncompleteRead, MalformedError
from connector.model import OBJECT_CLASS, Change, Outcome, Result, User, UserRef

_SOME = 16
"""So many changes are sent at once: one call is less than many, and the server need not
wait for a whole window."""

_READ_BEFORE = 64
"""So many changes are under way at most where their users are read first, which should not
be long before the write."""

_TWICE = "another program changed the entry twice, each time just before the write"


class LdapDirectory(LdapReader):
    """An LDAP server, for reading and writing."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """Modifications, as many in flight as the job's window, and never two of one entry."""
        queue = ChangeQueue(changes)
        is_bound = self._settings.bind_dn or self._settings.sasl
        try:
            writer = ChangeWriter(
                self._wire,
                self._modifier,
                self._post_read,
                window=self._settings.window if is_bound else self._question_window,
                covers=self._realm.covers_name,
                looker=self._looker,
            )
        except IncompleteRead as fault:
            yield from _skip_changes(queue, fault)
            return
        yield from writer.write_queue(queue)

    @cached_property
    def _modifier(self) -> ChangeModifier:
        inspection = self._inspection
        disabled = self._disabled_realm if self._view.disabled else None
        return ChangeModifier(
            inspection.dialect,
            self._realm.filter,
            inspection.info,
            inspection.has_substrings,
            disabled.filter if disabled else None,
            self._wire.rights,
        )

    def _note_limits(self) -> Iterator[str]:
        yield from super()._note_limits()
        yield from self._looker.list_cautions()
        yield from self._post_read.list_cautions()

    @cached_property
    def _looker(self) -> UserLooker:
        mark, view = self._inspection.dialect.writes.mark, self._whole_view
        marks = (mark,) if mark else ()
        marked = replace(view, attributes=(*view.attributes, *marks))
        decoder = UserDecoder(marked, self._inspection)

        def read_marked(users: Iterable[UserRef]) -> Iterator[User]:
            return self._read_users(users, decoder, disabled=view.disabled)

        return UserLooker(self._wire, self._modifier, read_marked, self.holds)

    @cached_property
    def _post_read(self) -> PostRead:
        return PostRead(self._inspection, self._users, self._realm.filter)


class ChangeQueue:
    """Changes still to be sent, taken from their iterable no sooner than there is room for them."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = iter(changes)
        self._held: list[Change] = []
        """The first, where it has to wait."""
        self._busy: set[str] = set()

    def take_next(self, room: int) -> list[Change]:
        """The next ones, up to the first whose entry has a change that is not `done`; that one waits, with the rest."""
        taken: list[Change] = []
        for change in islice(self, room):
            entry = _name_entry(change)
            if not self._busy.isdisjoint(entry):
                self._held.append(change)
                break
            self._busy |= entry
            taken.append(change)
        return taken

    def mark_done(self, change: Change) -> None:
        self._busy -= _name_entry(change)

    def __iter__(self) -> Iterator[Change]:
        return self

    def __next__(self) -> Change:
        return self._held.pop() if self._held else next(self._changes)


def _name_entry(change: Change) -> set[str]:
    """What an entry is known by: whoever shares its id or its name may be the same one."""
    return {f"id {change.user.id}", f"name {change.user.name.casefold()}"}


class ChangeWriter(Struct, dict=True):
    """Writes the changes of a queue over one connection."""

    wire: Wire
    modifier: ChangeModifier
    post_read: PostRead
    window: int
    """Changes that are in flight at most."""
    covers: Callable[[str], bool]
    """Whether a name is in base and scope."""
    looker: UserLooker
    """Looks at users of whom no assertion says enough."""

    @cached_property
    def _flight(self) -> OperationGroup[Change]:
        return OperationGroup(self.wire)

    @cached_property
    def _sent_again(self) -> set[str]:
        """Users, by id, whose change is sent for the second time."""
        return set()

    def write_queue(self, queue: ChangeQueue) -> Iterator[Outcome]:
        """An outcome for every change, handed on when the window is full again, so that the server is never idle."""
        flight = self._flight
        unsent: list[Change] = []
        settled: list[Outcome] = []
        try:
            while True:
                # some by some: what comes next may have to be noted first, and the server
                # need not wait for that
                window, batch = self.window, _SOME
                if self.looker.reads_most:
                    window, batch = min(window, _READ_BEFORE), _READ_BEFORE
                room = window - len(flight)
                if room < window // 4:
                    room = 0
                while unsent := queue.take_next(min(room, batch)):
                    room -= len(unsent)
                    sights = self.looker.look_before(unsent)
                    settled += self._send_changes(unsent, sights, UNSEEN, queue)
                    self.wire.flush_requests()
                if not (flight or settled):
                    return
                due, settled = settled, []
                yield from due
                settled = self._receive_answers(queue) if flight else []
        except IncompleteRead as fault:
            yield from settled
            why = f"no answer: it may have been written ({fault})"
            for change in flight.list_unanswered:
                yield Outcome(change.user, Result.FAILED, why, unknown=True)
            yield from _skip_changes(chain(unsent, queue), fault)
        finally:
            flight.close()

    def _send_changes(
        self,
        changes: Iterable[Change],
        sights: Mapping[str, UserSight],
        otherwise: UserSight,
        queue: ChangeQueue,
    ) -> list[Outcome]:
        """Send these changes; the outcomes of those that need not, or must not, be sent."""
        settled = []
        for change in changes:
            sight = sights.get(change.user.id, otherwise)
            outcome = self._send_change(change, sight)
            if outcome is not None:
                self._mark_done(change, queue)
                settled.append(outcome)
        return settled

    def _mark_done(self, change: Change, queue: ChangeQueue) -> None:
        queue.mark_done(change)
        self._sent_again.discard(change.user.id)

    def _send_change(self, change: Change, sight: UserSight) -> Outcome | None:
        """Send a change, unless the entry is known to differ, or there is no need or no right to; then its outcome."""
        if not self.covers(change.user.name):
            why = "the entry is not below the base"
            return Outcome(change.user, Result.CONFLICT, why)
        if sight.why is not None:
            return Outcome(change.user, Result.CONFLICT, sight.why)
        try:
            request = self.modifier.make_request(change)
        except ForbiddenError as fault:
            return Outcome(change.user, Result.FAILED, str(fault))
        if request is None:
            return Outcome(change.user, Result.UNCHANGED, "there is nothing to change")
        refuted = self.looker.refuted
        assertion = self.modifier.make_controls(
            change, sight.mark, sight.absent, refuted
        )
        controls = (*assertion, *self.post_read.request_controls(change))
        self._flight.send_operation(Operation(change, request, controls))
        return None

    def _receive_answers(self, queue: ChangeQueue) -> list[Outcome]:
        """Wait, and say what the answers that come mean."""
        settled = []
        doubtful = []
        for change, answer in self._flight.receive_results():
            outcome = self.modifier.judge_answer(change, answer, self.looker.refuted)
            has_failed = answer.code == responses.ASSERTION_FAILED
            if has_failed and self.looker.may_still_hold(change):
                if change.user.id not in self._sent_again:
                    doubtful.append(change)
                    continue
                outcome = Outcome(change.user, Result.CONFLICT, _TWICE)
            elif outcome.result is Result.WRITTEN:
                self.looker.note_written(change)
                shown = self.post_read.read_user(change, answer)
                outcome = replace(outcome, shown=shown, answered=True)
            self._mark_done(change, queue)
            settled.append(outcome)
        if doubtful:
            settled += self._send_again(doubtful, queue)
        return settled

    def _send_again(
        self, changes: Sequence[Change], queue: ChangeQueue
    ) -> list[Outcome]:
        """Look at users whose assertion failed; send what they still are as planned for, say why of the others."""
        try:
            sights = self.looker.look_again(changes)
        except IncompleteRead:
            sights = {}
        self._sent_again.update(change.user.id for change in changes)
        return self._send_changes(changes, sights, UNLIKE, queue)


def _skip_changes(
    changes: Iterable[Change], fault: IncompleteRead
) -> Iterator[Outcome]:
    """The outcomes of changes that will not be sent any more."""
    for change in changes:
        yield Outcome(change.user, Result.SKIPPED, f"not sent ({fault})")


class PostRead:
    """Asks for what was written, where the server knows the control, and takes it out of the answers.

    An answer shows a user only where nothing is left to be asked: it is this user by its
    id, and plainly in the job's filter, whose attributes are asked for too since a change
    may take its user out of it. (Out of the base it cannot: a modify renames nobody.) In
    all other cases (an entry that we may not read, a filter that cannot be judged here, a
    server that knows the control by name only) a search has to show the user.

    Behind OpenLDAP's overlay rwm an answer lacks all mapped attributes (measured, 2.6). So
    none is taken for cleared before some answer of this run has shown a value of it.
    """

    def __init__(
        self,
        inspection: Inspection,
        users: UserDecoder,
        filter_: Filter,
    ) -> None:
        self._users = users
        self._matches: Matcher | None = None
        with suppress(ValueError):  # a rule that only the server can evaluate
            self._matches = make_matcher(filter_, inspection.schema)
        self._judged_by = (
            *sorted(attributes_of(filter_)),
            inspection.dialect.identity.attribute,
        )
        self._is_known = inspection.dialect.controls.post_read
        self._key = lru_cache(maxsize=1024)(inspection.schema.attribute_key)
        self._shown: set[str] = {OBJECT_CLASS}
        self._lacked: set[str] = set()

    def request_controls(self, change: Change) -> tuple[bytes, ...]:
        """The control that asks for the attributes of a change, and for what is needed to judge the answer."""
        if not self._is_known or self._matches is None:
            return ()
        names = [each.name for each in change.attributes]
        return (requests.post_read_control((*names, *self._judged_by)),)

    def read_user(self, change: Change, response: Response) -> User | None:
        """The user of a change as an answer shows it; None where the answer does not, or not plainly."""
        value = response.controls.get(requests.POST_READ)
        if value is None or self._matches is None:
            return None
        try:
            message = responses.decode_post_read(value)
            user = self._users.decode_user(message)
            values = {}
            for name, held in responses.decode_entry(message).attributes:
                values[self._key(name.decode("utf-8", "replace"))] = held
        except MalformedError:
            return None
        is_this_user = user.id == change.user.id and self._matches(values) is True
        return user if is_this_user and self._shows_all(change, user) else None

    def _shows_all(self, change: Change, user: User) -> bool:
        """Whether an answer shows all attributes of a change that it ever would."""
        self._shown.update(user.values)
        silent = [each for each in change.attributes if each.name not in user.values]
        if not silent:
            return True
        self._lacked |= {each.name for each in silent if each.new and not each.secret}
        return all(each.new or each.name in self._shown for each in silent)

    def list_cautions(self) -> Iterator[str]:
        """Which attributes answers did not show, for the report."""
        if self._lacked:
            names = ", ".join(sorted(self._lacked))
            yield (
                f"the server's answers to writes (RFC 4527) did not show {names} as written. Those users were "
                "read again by search"
            )
