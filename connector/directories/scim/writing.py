"""Changes as requests: read, compare, write, read again; many users at once, one change a user at a time.

Where the server heeds versions (RFC 7644 §3.14), the write names the one that was read and compared.
Where it does not, somebody else may write in between. The user is read again, whatever the server
said: one answers yes and drops the change, one writes it under another name, one wipes what stands
beside it (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

from msgspec.structs import replace

from connector.directories.common.entries import ConflictError, ForbiddenError
from connector.directories.scim.discovery import Dialect
from connector.directories.scim.edits import (
    AttributeEdit,
    UserWrite,
    WriteSender,
    build_put,
    plan_edits,
)
from connector.directories.scim.effects import SideEffectNotes, find_effects, is_same
from connector.directories.scim.paths import Resource, find_member, to_text
from connector.directories.scim.protocol import (
    BUSY,
    GONE,
    Answer,
    LostAnswerError,
    describe_refusal,
    read_user,
)
from connector.directories.scim.reading import UserResources
from connector.directories.scim.schemas import ViewAttributes
from connector.errors import (
    DeniedError,
    IncompleteRead,
    NoTokenError,
    ProxyRefusedError,
    TruncatedError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Change, Outcome, Result, User
from connector.runtime.stopping import SettleTime

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


class ChangeWriter:
    """Writes changes to the resources at one endpoint."""

    def __init__(
        self,
        resources: UserResources,
        attributes: ViewAttributes,
        dialect: Dialect,
        *,
        settle_time: float,
        disabled: bool = False,
    ) -> None:
        """`settle_time`: seconds that reading may lag behind. `disabled`: also users who are not active."""
        self._resources = resources
        self._attributes = attributes
        self._method = "PUT" if dialect.writes == "put" else "PATCH"
        self._wire = WriteSender(resources, dialect)
        self._settle_time = settle_time
        self._writes_disabled = disabled
        self.notes = SideEffectNotes()
        """What changed beside the writes."""

    def write_changes(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """An outcome for each; a user that comes again waits until all before it are done."""
        rest = iter(changes)
        waiting: list[Change] = []
        while True:
            due = chain(waiting, rest)
            waiting = []
            users = _take_different(due, waiting)
            yield from self._resources.transport.each(self._settle_change, users)
            if not waiting:
                return

    def _settle_change(self, change: Change) -> Outcome:
        try:
            return self._write_user(change)
        except ConflictError as fault:
            return Outcome(change.user, Result.CONFLICT, str(fault))
        except ForbiddenError as fault:
            return Outcome(change.user, Result.FAILED, str(fault))
        except LostAnswerError as fault:
            return self._find_out(change, fault)
        except _NOBODY_ANSWERS as fault:
            return Outcome(change.user, Result.SKIPPED, f"not sent ({fault})")
        except IncompleteRead as fault:
            why = f"not sent: the user could not be read ({fault})"
            return Outcome(change.user, Result.FAILED, why)

    def _write_user(self, change: Change) -> Outcome:
        """Read, compare, write and read again, until nobody comes in between.

        A server that was too busy (503) may have done it: that is also what proxies say when the
        server behind them has gone in the middle of it.
        """
        races, refused = 0, ""
        was_busy = in_doubt = False
        while races < RACES:
            try:
                before, version = self._read_user(change)
                if version and version == refused:
                    before, version = self._await_version(
                        change, refused, in_doubt=in_doubt
                    )
                if was_busy and self._has_values(before, change):
                    # it was our own write that came in between
                    return self._show_written(change, before)
                edits = plan_edits(before, change, self._attributes)
                if not edits:
                    why = "the user already has all values"
                    return Outcome(change.user, Result.UNCHANGED, why)
                writing = UserWrite(before, version, edits)
                answer = self._wire.send_write(writing)
            except IncompleteRead as fault:
                if in_doubt:
                    raise LostAnswerError(fault.what, where=fault.where) from None
                raise
            outcome = self._judge_answer(change, writing, answer)
            if outcome is not None:
                return outcome
            if answer.status in BUSY:
                was_busy, in_doubt = True, in_doubt or answer.status == 503
            else:
                races, refused = races + 1, version or ""
        why = f"another program wrote to the user {RACES} times meanwhile"
        return Outcome(change.user, Result.CONFLICT, why)

    def _judge_answer(
        self, change: Change, writing: UserWrite, answer: Answer
    ) -> Outcome | None:
        """What becomes of a write by its answer. None: read, compare and write again.

        ==================  ==================================================================
        yes (2xx)           written, or failed if values of others are gone: reading tells
        404, 410            a conflict: the user is gone
        412                 again: somebody came in between
        429, 503            again: the server was too busy, and the user may be another one by now
        428                 again with a version (RFC 6585 §3); failed if there is none to name
        500 and more        written if reading shows it; else failed, and left as it is
        any other           failed; what was done in part is taken back
        ==================  ==================================================================
        """
        status = answer.status
        if answer.is_success:
            return self._confirm_write(change, writing, answer)
        if status in GONE:
            return Outcome(change.user, Result.CONFLICT, "the user is gone")
        if status in (412, *BUSY):
            return None
        if status == 428:
            self._wire.names_versions = True  # for each write from now on
            if writing.version is None:
                return None
        return self._settle_refusal(change, writing, answer)

    # ------------------------------------------------------------ reading around a write

    def _read_user(self, change: Change) -> tuple[Resource, str | None]:
        """The user as it is now, and its version where the server heeds it.

        It is still within the filter, or still disabled, as planned. Raises ConflictError.
        """
        names_versions = self._wire.names_versions
        also_disabled = self._writes_disabled and change.disabled
        found = self._resources.read_one(change.user.id, disabled=also_disabled)
        if (
            found is None
            or self._resources.is_disabled(found[0]) is not change.disabled
        ):
            raise ConflictError("the user is gone, or outside the filter")
        now, answer = found
        if not names_versions:
            return now, None
        stated = to_text(find_member(now, "meta", "version"))
        return now, answer.headers.get("etag", stated)

    def _try_to_read(self, change: Change) -> Resource | None:
        try:
            return self._read_user(change)[0]
        except (ConflictError, IncompleteRead):
            return None

    def _await_version(
        self, change: Change, refused: str, *, in_doubt: bool
    ) -> tuple[Resource, str | None]:
        """The user once reading shows another version than the one that was refused: reading may lag.

        Raises ConflictError where it never does, and LostAnswerError where an earlier attempt may
        have been carried out. To write without a version then could take away what somebody else
        has just written.
        """
        for _ in SettleTime(self._settle_time).wait_for_looks():
            found = self._read_user(change)
            if found[1] != refused:
                return found
        raise LostAnswerError(STALE) if in_doubt else ConflictError(STALE)

    def _has_values(self, now: Resource, change: Change) -> bool:
        """Whether the user shows all that the change sets, as far as it would be shown."""
        seen = tuple(
            replace(each, old=each.new) for each in change.attributes if each.seen
        )
        try:
            wanted = replace(change, attributes=seen)
            return bool(seen) and not plan_edits(now, wanted, self._attributes)
        except (ConflictError, ForbiddenError):
            return False

    def _show_written(self, change: Change, now: Resource) -> Outcome:
        shown = self._attributes.to_user(now)
        return Outcome(change.user, Result.WRITTEN, shown=shown)

    # ------------------------------------------------------------ what a write came to

    def _confirm_write(
        self, change: Change, writing: UserWrite, answer: Answer
    ) -> Outcome:
        """What a yes has come to. Whether the values are there is for the reader of `shown` to see."""
        now = self._try_to_read(change)
        if now is None:
            # it will be read back, and then it is said why it cannot be
            return Outcome(change.user, Result.WRITTEN)
        effects = find_effects(writing.before, now, writing.edits, self._attributes)
        if effects.lost:
            why = f"{LOST}: {', '.join(effects.lost)}"
            return Outcome(
                change.user,
                Result.FAILED,
                why,
                may_stand=True,
            )
        written = self._show_written(change, now)
        return replace(
            written,
            why=self.notes.add_user(effects.changed),
            answered=bool(writing.version) and self._shows_user(answer, written.shown),
        )

    def _shows_user(self, answer: Answer, user: User | None) -> bool:
        """Whether the answer to a write showed the user as it was read after it: then that is our doing."""
        try:
            return self._attributes.to_user(read_user(answer)) == user
        except IncompleteRead:
            return False

    def _settle_refusal(
        self, change: Change, writing: UserWrite, answer: Answer
    ) -> Outcome:
        """What a no has come to: some servers do the operations before the one that they refuse (measured)."""
        edits = writing.edits
        why = self._describe_refusal(edits, answer)
        is_broken = answer.status >= 500
        if len(edits) == 1 and not is_broken:
            return Outcome(change.user, Result.FAILED, why)
        try:
            now, _ = self._read_user(change)
        except (ConflictError, IncompleteRead) as fault:
            why += f"; perhaps written in part ({fault})"
            return Outcome(
                change.user,
                Result.FAILED,
                why,
                unknown=isinstance(fault, IncompleteRead),
                may_stand=isinstance(fault, ConflictError),  # no reason to stop
            )
        if is_broken and self._has_values(now, change):
            return self._show_written(change, now)
        left = done = self._list_done(edits, writing.before, now)
        if not is_broken:
            left = self._take_back(change, writing.before, now, done)
        if left:
            names = ", ".join(str(edit.path.whole_attribute) for edit in left)
            why += f", but {names} changed"
        elif done:
            why += "; its partial change was undone"
        return Outcome(
            change.user,
            Result.FAILED,
            why,
            may_stand=bool(left),
        )

    def _describe_refusal(self, edits: list[AttributeEdit], answer: Answer) -> str:
        names = dict.fromkeys(str(replace(edit.path, schema="")) for edit in edits)
        right = f"write {', '.join(names)} ({self._method} /Users/{{id}})"
        why = f"refused: {describe_refusal(answer, right)}"
        if answer.status == 428:
            why += "; it demands a version (If-Match), and shows none that it takes"
        return why

    def _take_back(
        self,
        change: Change,
        before: Resource,
        now: Resource,
        done: list[AttributeEdit],
    ) -> list[AttributeEdit]:
        """Take back what a server did before it refused the rest; what is still not as it was.

        What is neither as it was nor as it was to become is somebody else's doing, and stays.
        """
        others = self._list_done(done, build_put(before, done), now)
        targets = [edit.path.whole_attribute for edit in done if edit not in others]
        if not targets:
            return done
        back = [
            AttributeEdit(target, target.read_attribute(before)) for target in targets
        ]
        with suppress(ConflictError, IncompleteRead):
            self._wire.send_write(UserWrite(*self._read_user(change), back))
            now, _ = self._read_user(change)
        return self._list_done(done, before, now)

    def _list_done(
        self,
        edits: Iterable[AttributeEdit],
        before: Resource,
        now: Resource,
    ) -> list[AttributeEdit]:
        """The edits whose attribute is not as it was before."""
        return [
            edit
            for edit in edits
            if not is_same(
                edit.path,
                now,
                before,
                self._attributes,
            )
        ]

    def _find_out(self, change: Change, lost: LostAnswerError) -> Outcome:
        """What became of a write whose answer was lost; if it is not there, it may still come."""
        now = self._try_to_read(change)
        if now is not None and self._has_values(now, change):
            return self._show_written(change, now)
        why = f"no answer: it may have been written ({lost})"
        return Outcome(
            change.user,
            Result.FAILED,
            why,
            unknown=True,
        )


def _take_different(
    changes: Iterator[Change], waiting: list[Change]
) -> Iterator[Change]:
    """Changes up to the first whose user has had one; that one has to wait."""
    users: set[str] = set()
    for change in changes:
        if change.user.id in users:
            waiting.append(change)
            return
        users.add(change.user.id)
        yield change
