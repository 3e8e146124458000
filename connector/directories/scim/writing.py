"""Changes as requests: read, compare, write, read again; many users at once, one change a user at a time.

Where the server heeds versions (RFC 7644 §3.14), what was compared and what is written to
are one and the same state. Then what was read for the plan needs no second reading, and
what the answer to the write shows is believed. Where it does not, somebody else may write
in between, and the user is read again, whatever the server said: one answers yes and drops
the change, one writes it under another name, one wipes what stands beside it (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Final

from msgspec.structs import replace

from connector.directories.common.entries import ConflictError, ForbiddenError
from connector.directories.scim import edits as editing, filters
from connector.directories.scim.answers import (
    GONE,
    good,
    id_of,
    lacking,
    resource,
    said,
    version_of,
)
from connector.directories.scim.dialect import Dialect
from connector.directories.scim.edits import Edit
from connector.directories.scim.effects import Effects, Notes, effects, same
from connector.directories.scim.paths import Path, Resource
from connector.directories.scim.protocol import BUSY, Answer, LostAnswerError
from connector.directories.scim.reading import Resources
from connector.directories.scim.sending import Wire, Writing
from connector.directories.scim.view import USER_NAME, Attributes, name_of
from connector.errors import (
    DeniedError,
    IncompleteRead,
    NoTokenError,
    ProxyRefusedError,
    TruncatedError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Change, Outcome, Result
from connector.runtime.stopping import Settling

RACES: Final = 5
"""So often a change is tried again because somebody wrote to the user meanwhile."""
LOST: Final = "written, but other values are gone, by the server or another program at that moment"
STALE: Final = (
    "the server refuses its own version (412): its reads lag, or its versions do not work. If this holds for all "
    'users, name a `dialect` file with {"versions": false}'
)
_NOBODY_ANSWERS: Final = (
    UnreachableError, UntrustedError, ProxyRefusedError, DeniedError, NoTokenError, TruncatedError,
)  # fmt: skip


class Writer:
    """Writes changes to the resources at one endpoint.

    `settle_time`: seconds that reading may lag behind. `disabled`: also those planned for who is not active. `notes`:
    what changed beside the writes.
    """

    def __init__(
        self,
        resources: Resources,
        attributes: Attributes,
        dialect: Dialect,
        *,
        settle_time: float,
        disabled: bool = False,
    ) -> None:
        self._resources = resources
        self._attributes = attributes
        self._whole = dialect.writes == "put"
        self._wire = Wire(resources, dialect)
        self.notes = Notes()
        self._settle_time = settle_time
        self._disabled = disabled

    def _user_of(self, change: Change) -> tuple[Resource, Answer] | None:
        """The user of a change, where it is still within the filter, or still disabled, as it was planned."""
        found = self._resources.get(
            change.user.id, disabled=self._disabled and change.disabled
        )
        return (
            found
            if found and self._resources.disables(found[0]) is change.disabled
            else None
        )

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """An outcome for each; a user that comes again waits until all before it are done."""
        rest = iter(changes)
        waiting: list[Change] = []
        while True:
            due, waiting = chain(waiting, rest), []
            yield from self._resources.transport.each(
                self._outcome, _different(due, waiting)
            )
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
            return Outcome(
                change.user,
                Result.FAILED,
                f"not sent: the user could not be read ({fault})",
            )

    def _written(self, change: Change) -> Outcome:
        """Read, compare and write, until nobody comes in between."""
        attempts = 1
        refused, demanded = "", False
        recalled = self._recalled(change)
        for _ in range(RACES):
            before, version = recalled[:2] if recalled else self._before(change)
            if version and version == refused:
                before, version = self._later(change, refused, attempts)
            if attempts > 1 and self._stands(
                before, change
            ):  # it was our own write that came in between
                return Outcome(
                    change.user, Result.WRITTEN, shown=self._attributes.user(before)
                )
            some = (
                recalled[2]
                if recalled
                else editing.edits(before, change, self._attributes)
            )
            listed, recalled = recalled is not None, None
            if not some:
                return Outcome(
                    change.user, Result.UNCHANGED, "the user already has all values"
                )
            answer = self._wire.write(
                Writing(
                    change.user.id,
                    before,
                    some,
                    version,
                    partial(self._still, change, before, some),
                )
            )
            if good(answer):
                return self._confirmed(change, before, some, answer, listed=listed)
            if not self._once_more(answer, version, demanded=demanded):
                return self._refused(change, before, some, answer)
            attempts, refused, demanded = (
                answer.attempts,
                version,
                answer.status == HTTPStatus.PRECONDITION_REQUIRED,
            )
        return Outcome(
            change.user,
            Result.CONFLICT,
            f"another program wrote to the user {RACES} times meanwhile",
        )

    def _once_more(self, answer: Answer, version: str, *, demanded: bool) -> bool:
        """Whether to read and write again: somebody came in between, or the server demands a version now."""
        if answer.status == HTTPStatus.PRECONDITION_REQUIRED:
            # each write names one from now on (RFC 6585 §3)
            self._wire.takes_versions = True
            return not version and not demanded
        return answer.status in {HTTPStatus.PRECONDITION_FAILED, *BUSY}

    def _recalled(self, change: Change) -> tuple[Resource, str, list[Edit]] | None:
        """The user as it was read for the plan, its version, and the edits, where that is as good as reading it now.

        It never is where users are replaced whole: what a list leaves out of a user would be gone.
        """
        seen = self._resources.seen
        if (
            seen is None
            or self._whole
            or change.disabled
            or not self._wire.heeds_versions
        ):
            return None
        before = seen.take(change.user.id)
        version = version_of(before) if before else ""
        if before is None or not version:
            return None
        try:
            some = editing.edits(before, change, self._attributes)
        except (ConflictError, ForbiddenError):
            return None
        return (before, version, some) if some else None

    def _before(self, change: Change) -> tuple[Resource, str]:
        """The user as it is now, and its version where the server heeds it. Raises ConflictError."""
        found = self._user_of(change)
        if found is None:
            raise ConflictError("the user is gone, or outside the filter")
        now, answer = found
        if not self._wire.takes_versions:
            return now, ""
        stated = version_of(now)
        version = answer.headers.get("etag", stated)
        seen = self._resources.seen
        listed = seen.take(change.user.id) if seen else None
        if version != stated or (
            listed and version_of(listed) == version and self._effects(listed, now)
        ):
            # what lists say of versions or of users is of no use
            self._resources.seen = None
        return now, version

    def _later(
        self, change: Change, refused: str, attempts: int
    ) -> tuple[Resource, str]:
        """The user once reading shows another version than the one that was refused: whoever reads may lag.

        Raises ConflictError where it never does, and LostAnswerError where an earlier
        attempt may have been carried out. To write without a version then could take away
        what somebody else has just written.
        """
        for _ in Settling(self._settle_time).looks():
            before, version = self._before(change)
            if version != refused:
                return before, version
        if attempts > 1:
            raise LostAnswerError(STALE)
        raise ConflictError(STALE)

    def _still(self, change: Change, before: Resource, some: list[Edit]) -> bool:
        """Whether a write that had to wait would be the same if it were made now; a PUT says the whole user."""
        try:
            now = self._before(change)[0]
            if self._whole and self._effects(before, now):
                return False
            return editing.edits(now, change, self._attributes) == some
        except (ConflictError, ForbiddenError, IncompleteRead):
            return False

    def _confirmed(
        self,
        change: Change,
        before: Resource,
        some: list[Edit],
        answer: Answer,
        *,
        listed: bool,
    ) -> Outcome:
        """What a yes has come to. Whether the values are there is for the reader of `shown` to see.

        What the answer shows is believed of a server that heeds versions, where nothing
        else has changed; all others are read again. `listed`: `before` was seen in a list,
        which may leave out what is shown of one user alone.
        """
        answered = now = self._shown(change, answer)
        if now is None or self.notes.news(found := self._effects(before, now, some)):
            now = self._now(change)
            if (
                now is None
            ):  # it will be read back, and then it is said why it cannot be
                return Outcome(change.user, Result.WRITTEN)
            found = self._effects(before, now, some)
        if listed and self.notes.news(found):
            self._resources.seen = None
            like = self._listed(change.user.id, now)
            found = self._effects(before, like, some) if like else found
        if found.lost:
            why = f"{LOST}: {', '.join(found.lost)}"
            return Outcome(change.user, Result.FAILED, why, may_stand=True)
        shown, own = self._attributes.user(now), now is answered
        return Outcome(
            change.user, Result.WRITTEN, self.notes.of(found), shown=shown, answered=own
        )

    def _effects(
        self, before: Resource, after: Resource, some: Iterable[Edit] = ()
    ) -> Effects:
        return effects(before, after, some, self._attributes)

    def _now(self, change: Change) -> Resource | None:
        try:
            found = self._user_of(change)
        except IncompleteRead:
            return None
        return found[0] if found else None

    def _listed(self, id_: str, now: Resource) -> Resource | None:
        by_name = filters.equal(USER_NAME, name_of(now))
        try:
            found = self._resources.matching(by_name, lambda each: id_of(each) == id_)
        except IncompleteRead:
            return None
        return found[0] if found else None

    def _shown(self, change: Change, answer: Answer) -> Resource | None:
        """The user as the answer to a write shows it, if that is to be believed."""
        if not self._wire.heeds_versions or not answer.content:
            return None
        try:
            found = resource(answer)
        except IncompleteRead:
            return None
        return (
            found
            if id_of(found) == change.user.id and self._resources.exists(found)
            else None
        )

    def _refused(
        self, change: Change, before: Resource, some: list[Edit], answer: Answer
    ) -> Outcome:
        """What a no has come to: some servers do the operations before the one that they refuse (measured)."""
        if answer.status in GONE:
            return Outcome(change.user, Result.CONFLICT, "the user is gone")
        names = ", ".join(
            dict.fromkeys(str(replace(edit.path, schema="")) for edit in some)
        )
        method = "PUT" if self._whole else "PATCH"
        why = f"refused: {said(answer)}" + lacking(
            answer, f"write {names} ({method} /Users/{{id}})"
        )
        if answer.status == HTTPStatus.PRECONDITION_REQUIRED:
            why += "; it demands a version (If-Match), and shows none that it takes"
        broken = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if len(some) == 1 and not broken:
            return Outcome(change.user, Result.FAILED, why)
        try:
            found = self._user_of(change)
        except IncompleteRead as fault:
            why += f"; perhaps written in part ({fault})"
            return Outcome(change.user, Result.FAILED, why, unknown=True)
        now = found[0] if found else {}
        if broken and found and self._stands(now, change):
            return Outcome(
                change.user, Result.WRITTEN, shown=self._attributes.user(now)
            )
        done = self._differing(some, before, now)
        left = (
            done if broken or not found else self._given_back(change, before, now, done)
        )
        if left:
            why += f", but {', '.join(edit.path.whole for edit in left)} changed"
        elif done:
            why += "; its partial change was undone"
        return Outcome(change.user, Result.FAILED, why, may_stand=bool(left))

    def _given_back(
        self, change: Change, before: Resource, now: Resource, done: list[Edit]
    ) -> list[Edit]:
        """Take back what a server did of a change before it refused the rest; what is still not as it was.

        What is neither as it was nor as it was to become is somebody else's doing, and stays.
        """
        whole = editing.edited(before, done)
        ours = [edit for edit in done if self._same(edit.path, now, whole)]
        if not ours:
            return done
        with suppress(ConflictError, IncompleteRead):
            now, version = self._before(change)
            back = editing.back(ours, before)
            self._wire.write(Writing(change.user.id, now, back, version, lambda: False))
            now, _ = self._before(change)
        return self._differing(done, before, now)

    def _differing(
        self, some: Iterable[Edit], before: Resource, now: Resource
    ) -> list[Edit]:
        return [edit for edit in some if not self._same(edit.path, now, before)]

    def _same(self, path: Path, one: Resource, other: Resource) -> bool:
        return same(path, path.held(one), path.held(other), self._attributes)

    def _found_out(self, change: Change, lost: LostAnswerError) -> Outcome:
        """What became of a write whose answer was lost; that it is not there does not mean that it will not be."""
        now = self._now(change)
        if now is not None and self._stands(now, change):
            return Outcome(
                change.user, Result.WRITTEN, shown=self._attributes.user(now)
            )
        why = f"no answer: it may have been written ({lost})"
        return Outcome(change.user, Result.FAILED, why, unknown=True)

    def _stands(self, now: Resource, change: Change) -> bool:
        """Whether the user shows all that the change sets, as far as it would be shown."""
        seen = tuple(
            replace(each, old=each.new) for each in change.attributes if each.seen
        )
        try:
            return bool(seen) and not editing.edits(
                now, replace(change, attributes=seen), self._attributes
            )
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
