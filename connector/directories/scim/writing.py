"""Changes as requests: read, compare, write, read again; many users at once, one change a user at a time.

Where the server heeds versions (RFC 7644 §3.14), what was compared and what is written to are one and the same state.
Where it does not, somebody else may write in between. Either way the user is read again, whatever the server said:
one answers yes and drops the change, one writes it under another name, one wipes what stands beside it (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from msgspec.structs import replace

from connector.directories.changing import ConflictError, ForbiddenError
from connector.directories.scim import edits as editing
from connector.directories.scim.answers import GONE, NOT_FOUND, PRECONDITION_FAILED, good, said
from connector.directories.scim.attributes import Attributes, Users
from connector.directories.scim.dialect import Dialect
from connector.directories.scim.edits import Clearing, Edit
from connector.directories.scim.paths import Resource, member, text_of
from connector.directories.scim.port import Answer, LostAnswerError, Request
from connector.directories.scim.reading import Resources
from connector.errors import DeniedError, IncompleteRead, TruncatedError, UnreachableError, UntrustedError
from connector.model import Change, Outcome, Result

RACES: Final = 5
"""So often a change is tried again because somebody wrote to the user meanwhile."""
_NO_SUCH_OPERATION: Final = (400, 405, 501)
_NOBODY_ANSWERS: Final = (UnreachableError, UntrustedError, DeniedError, TruncatedError)


class Writer:
    """Writes changes to the resources at one endpoint."""

    def __init__(self, resources: Resources, attributes: Attributes, users: Users, dialect: Dialect) -> None:
        self._resources = resources
        self._attributes = attributes
        self._users = users
        self._dialect = dialect
        self._clearing: Clearing | None = dialect.clearing  # learnt from the first that is refused

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """An outcome for each; a user that comes again waits until all before it are done."""
        rest = iter(changes)
        waiting: list[Change] = []
        while True:
            due, waiting = chain(waiting, rest), []
            yield from self._resources.transport.each(self._outcome, _different(due, waiting))
            if not waiting:
                return

    def _outcome(self, change: Change) -> Outcome:
        try:
            return self._written(change)
        except ConflictError as fault:
            return Outcome(change.user, Result.CONFLICT, str(fault))
        except ForbiddenError as fault:
            return Outcome(change.user, Result.FAILED, str(fault))
        except LostAnswerError as fault:
            return self._found_out(change, fault)
        except _NOBODY_ANSWERS as fault:
            return Outcome(change.user, Result.SKIPPED, f"not sent ({fault})")
        except IncompleteRead as fault:
            return Outcome(change.user, Result.FAILED, f"not sent: the user could not be read ({fault})")

    def _written(self, change: Change) -> Outcome:
        """Read, compare and write, until nobody comes in between."""
        attempts = 1
        for _ in range(RACES):
            before, version = self._before(change)
            if attempts > 1 and self._stands(before, change):  # it was our own write that came in between
                return Outcome(change.user, Result.WRITTEN, shown=self._users.user(change.user.id, before))
            some = editing.edits(before, change, self._attributes)
            if not some:
                return Outcome(change.user, Result.UNCHANGED, "the user says all of it already")
            answer = self._send(change, before, some, version)
            if good(answer):
                return self._confirmed(change, before, some)
            if answer.status != PRECONDITION_FAILED:
                return self._refused(change, before, some, answer)
            attempts = answer.attempts
        return Outcome(change.user, Result.CONFLICT, f"somebody else wrote to the user {RACES} times meanwhile")

    def _before(self, change: Change) -> tuple[Resource, str]:
        """The user as it is now, and its version where the server heeds it. Raises ConflictError."""
        found = self._resources.get(change.user.id)
        if found is None:
            raise ConflictError("the user is gone, or is no longer within the filter")
        resource, answer = found
        if not self._dialect.versions:
            return resource, ""
        meta = member(resource, "meta")
        stated = member(meta, "version") if isinstance(meta, dict) else None
        return resource, answer.headers.get("etag") or text_of(stated)

    def _send(self, change: Change, before: Resource, some: list[Edit], version: str) -> Answer:
        """One request; a second one where the server does not know the first one's way of emptying an attribute."""
        address = self._resources.address(change.user.id)
        headers = (("If-Match", version),) if version else ()
        if self._dialect.writes == "put":
            body = editing.edited(before, some)
            return self._resources.transport.send(Request("PUT", address, body=body, headers=headers))
        clearing = self._clearing or "remove"
        request = Request("PATCH", address, body=editing.operations(some, clearing), headers=headers)
        answer = self._resources.transport.send(request)
        if self._clearing is None and any(edit.value is None for edit in some):
            if answer.status in _NO_SUCH_OPERATION:
                clearing = "null"
                request = replace(request, body=editing.operations(some, clearing))
                answer = self._resources.transport.send(request)
            if good(answer):
                self._clearing = clearing
        return answer

    def _confirmed(self, change: Change, before: Resource, some: list[Edit]) -> Outcome:
        """What a yes has come to. Whether the values are there is for the reader of `shown` to see."""
        try:
            found = self._resources.get(change.user.id)
        except IncompleteRead:
            return Outcome(change.user, Result.WRITTEN)  # it will be read back, and then it is said why it cannot be
        if found is None:
            return Outcome(change.user, Result.WRITTEN)
        now, _ = found
        strayed = editing.strayed(editing.edited(before, some), now, some)
        if strayed:
            why = "written, but the server changed more than it was told, or somebody else did just then"
            return Outcome(change.user, Result.FAILED, f"{why}: {', '.join(strayed)}")
        return Outcome(change.user, Result.WRITTEN, shown=self._users.user(change.user.id, now))

    def _refused(self, change: Change, before: Resource, some: list[Edit], answer: Answer) -> Outcome:
        """What a no has come to: some servers do the operations before the one that they refuse (measured)."""
        if answer.status in {NOT_FOUND, GONE}:
            return Outcome(change.user, Result.CONFLICT, "the user is gone")
        why = f"refused: {said(answer)}"
        if len(some) == 1:
            return Outcome(change.user, Result.FAILED, why)
        try:
            found = self._resources.get(change.user.id)
        except IncompleteRead as fault:
            why += f"; whether a part of it was done is not known ({fault})"
            return Outcome(change.user, Result.FAILED, why, unknown=True)
        now = found[0] if found else {}
        done = [edit.path.whole for edit in some if edit.path.held(now) != edit.path.held(before)]
        return Outcome(
            change.user, Result.FAILED, f"{why}, but {', '.join(done)} is no longer as it was" if done else why
        )

    def _found_out(self, change: Change, lost: LostAnswerError) -> Outcome:
        """What became of a write whose answer was lost; that it is not there does not mean that it will not be."""
        why = f"no answer: it may have been written ({lost})"
        unknown = Outcome(change.user, Result.FAILED, why, unknown=True)
        try:
            found = self._resources.get(change.user.id)
        except IncompleteRead:
            return unknown
        if found is None or not self._stands(found[0], change):
            return unknown
        return Outcome(change.user, Result.WRITTEN, shown=self._users.user(change.user.id, found[0]))

    def _stands(self, now: Resource, change: Change) -> bool:
        """Whether the user shows all that the change sets, as far as it would be shown."""
        seen = tuple(replace(each, old=each.new) for each in change.attributes if each.seen)
        try:
            return bool(seen) and not editing.edits(now, replace(change, attributes=seen), self._attributes)
        except (ConflictError, ForbiddenError):
            return False


def _different(changes: Iterator[Change], waiting: list[Change]) -> Iterator[Change]:
    """Changes up to the first whose user has had one; that one has to wait."""
    users: set[str] = set()
    for change in changes:
        if change.user.id in users:
            waiting.append(change)
            return
        users.add(change.user.id)
        yield change
