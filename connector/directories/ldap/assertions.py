"""What is known of a user at its write: by an assertion (RFC 4528) that is believed, else by looking just before.

A proxy may pass the control on as it came. Behind OpenLDAP's overlay rwm a mapped attribute
has no value for it: then `(a=1)` never holds, and `(!(a=*))` always does (measured, 2.6).
Another server may list the control and pass it over. So each attribute is tried once, on a
user who shows a value of it, by two searches that write nothing (§3). The one whose
assertion is true has to succeed, and the one whose assertion is false has to end in
assertionFailed.

Until an attribute is proven, users are read just before it is written. It stays asserted:
that can only do good. Without the control every user is read before. With it, so is whoever
changes an attribute whose values cannot be compared, for it has no equality rule: the mark
of the entry's last change is then asserted in their place.

An assertion also fails where the user still is what the plan saw: the mark moves with edits
that are no concern of the plan's, and "no value" counts values of subtypes
(`employeeNumber;lang-de`) and is never true where we may not search by the attribute. So
after a failure the user is looked at once more, and asked about what it does not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.entries import stored_octets
from connector.directories.common.ldap_filters import Equal, Filter, Not, Present
from connector.directories.ldap.modifying import FILTER, ChangeModifier, select_judged
from connector.directories.ldap.requests import assertion_control, search_entry
from connector.directories.ldap.responses import ASSERTION_FAILED, SUCCESS
from connector.directories.ldap.wire import Wire
from connector.model import (
    ID,
    AttributeChange,
    Change,
    Holds,
    Question,
    User,
    UserRef,
)

ReadUsers = Callable[[Iterable[UserRef]], Iterator[User]]
"""Users as they are now, with the marks of their entries."""

_TRIES = 3
"""So often an attribute is tried whose value no user shows, or that somebody changes meanwhile."""
_SAID = {ID: "the user's id", FILTER: "the job's filter"}
_CAUTION = (
    "the server's assertion control (RFC 4528) does not work for {names}. Users are read again just before they are "
    "written. "
)
_IN_VAIN = "Another program's change in between may go unnoticed. In `urls`, name the server itself, not a proxy"


class UserSight(Struct, frozen=True, gc=False):
    """What a look at a user has found."""

    why: str | None = None
    """Why the user is not to be written, if so."""
    mark: Filter | None = None
    """That the mark is still this one; None: there is none."""
    absent: frozenset[str] = frozenset()
    """Attributes that have no value, though that cannot be asserted."""


UNSEEN = UserSight()
UNLIKE = UserSight("the entry is no longer as planned")


class UserLooker:
    """Knows which assertions of a server are believed, and looks at users where they do not say enough.

    `proven` and `refuted` are attributes; `ID` and `FILTER` stand for the user's identity and
    the filter of the job.
    """

    def __init__(
        self,
        wire: Wire,
        modifier: ChangeModifier,
        read: ReadUsers,
        holds: Callable[[Iterable[Question]], Iterator[Holds]],
    ) -> None:
        """`holds` answers as `Reader.holds` does."""
        self._wire = wire
        self._modifier = modifier
        self._read = read
        self._holds = holds
        self._mark = modifier.dialect.writes.mark
        self._holders: dict[str, UserRef] = {}
        """By attribute, a user that holds a value of it since a write of this run."""
        self._tried: Counter[str] = Counter()
        self.proven: set[str] = set()
        self.refuted: set[str] = set()

    # ------------------------------------------------------------ which assertions are believed

    @property
    def reads_most(self) -> bool:
        """Whether most users have to be looked at before their write."""
        asserts = self._modifier.dialect.controls.assertions
        return not asserts or not self.proven or bool(self.refuted)

    def covers_change(self, change: Change) -> bool:
        """Whether all is proven that an assertion for this change says."""
        return self.proven.issuperset(self._modifier.list_asserted(change.attributes))

    def note_written(self, change: Change) -> None:
        """Take in that a change was written: its users hold values now, where nobody did before."""
        if not self.covers_change(change):
            for each in change.attributes:
                if each.new:
                    self._holders[each.name] = change.user

    def prove_for(self, changes: Iterable[Change]) -> None:
        """Try what these changes assert and nothing is known of. Raises one of the kinds of IncompleteRead."""
        holders: dict[str, UserRef] = {}
        for change in changes:
            if not self.covers_change(change):
                holders = dict(self._find_holders(change)) | holders
        now = self._read_users(holders.values())
        for name, holder in holders.items():
            self._tried[name] += 1
            if holder.id in now:
                self._try_assertion(name, now[holder.id])

    def _find_holders(self, change: Change) -> Iterator[tuple[str, UserRef]]:
        """What a change asserts, as far as nothing is known of it, each with a user that it can be tried on."""
        held = {ID, FILTER, self._mark}
        held.update(each.name for each in change.attributes if each.old)
        names = [*self._modifier.list_asserted(change.attributes), self._mark]
        for name in names:
            if name is None or name in self.proven or name in self.refuted:
                continue
            holder = change.user if name in held else self._holders.get(name)
            if holder is not None and self._tried[name] < _TRIES:
                yield name, holder

    def _read_users(self, refs: Iterable[UserRef]) -> dict[str, User]:
        wanted = dict.fromkeys(refs)
        found = self._read(wanted) if wanted else ()
        return {user.id: user for user in found}

    def _try_assertion(self, name: str, user: User) -> None:
        entry = search_entry(self._modifier.dialect.address_of(user.ref))
        codes = [
            self._wire.result_code(entry, assertion_control(test))
            for test in self._make_tests(name, user)
        ]
        if codes == [SUCCESS, ASSERTION_FAILED]:
            self.proven.add(name)
            return
        shown = user.values.get(name)
        # what nobody may see, may be what nobody may search by
        if name in (ID, FILTER) or shown:
            again = self._read_users([user.ref]).get(user.id)
            if again is not None and again.values.get(name) == shown:
                self.refuted.add(name)

    def _make_tests(self, name: str, user: User) -> tuple[Filter, Filter]:
        """An assertion that is true of the user, and one that is false; neither says a secret."""
        if name == ID:
            true = self._modifier.dialect.user_filter(user.id)
            return true, Not(true)
        if name == FILTER:
            return self._modifier.writable_users, Not(self._modifier.writable_users)
        held = Present(name)
        if self._modifier.info(name).comparable:
            for value in user.values.get(name, ()):
                if isinstance(value, str | bytes):
                    return Equal(name, stored_octets(value)), Not(held)
        return held, Not(held)

    def list_cautions(self) -> Iterator[str]:
        if self.refuted:
            names = sorted(_SAID.get(name, name) for name in self.refuted)
            checked = _IN_VAIN
            if self._mark in self.proven:
                checked = f"The entry's mark {self._mark} is checked instead"
            yield _CAUTION.format(names=", ".join(names)) + checked

    # ------------------------------------------------------------ looking at users

    def look_before(self, changes: Sequence[Change]) -> dict[str, UserSight]:
        """The users, by id, that have to be looked at before their write. Raises one of the kinds of IncompleteRead."""
        if self._modifier.dialect.controls.assertions:
            self.prove_for(changes)
            changes = [change for change in changes if self._relies_on_marks(change)]
        return self._look_at(changes)[1]

    def may_still_hold(self, change: Change) -> bool:
        """Whether the user may be what the plan saw although the assertion of this change failed."""
        return self._relies_on_marks(change) or bool(_first_values(change))

    def look_again(self, changes: Sequence[Change]) -> dict[str, UserSight]:
        """The users, by id, whose assertion failed. Raises one of the kinds of IncompleteRead."""
        now, sights = self._look_at(changes)
        asked = []
        for change in changes:
            user, sight = change.user, sights[change.user.id]
            if sight.why is not None:
                continue
            first = _first_values(change)
            absent = frozenset(each.name for each in first)
            sights[user.id] = replace(sight, absent=absent)
            # of an attribute that shows others' values it is seen that none of ours is among
            # them
            asked += [
                Question(user, each.name, each.new[0])
                for each in first
                if each.name not in now[user.id].values
            ]
        for question, answer in zip(asked, self._holds(asked), strict=True):
            if answer is not Holds.ABSENT:
                why = f"{question.attribute} may have a value that this account cannot read"
                sights[question.user.id] = UserSight(why)
        return sights

    def _relies_on_marks(self, change: Change) -> bool:
        """Whether it replaces values of which no filter says, or is known to say, that they are still there."""
        for each in change.attributes:
            is_blind = not self._modifier.info(each.name).comparable
            if is_blind and each.old and each.seen:
                return True
        return not self.covers_change(change)

    def _look_at(
        self, changes: Sequence[Change]
    ) -> tuple[dict[str, User], dict[str, UserSight]]:
        """The users of these changes as they are now, and what that means, by id."""
        now = self._read_users(change.user for change in changes)
        sights = {}
        for change in changes:
            user = now.get(change.user.id)
            why = self._modifier.explain_difference(change, user)
            mark = self._modifier.mark_of(user) if user else None
            sights[change.user.id] = UserSight(why, mark)
        return now, sights


def _first_values(change: Change) -> list[AttributeChange]:
    """The attributes of which no value is asserted to be there."""
    return [
        each for each in select_judged(change.attributes) if each.new and not each.old
    ]
