"""Which assertions (RFC 4528) are believed: those that were seen to hold, and to fail, on this server in this run.

A proxy may pass the control on as it came. Behind OpenLDAP's overlay rwm a mapped attribute
has no value for it: then
`(a=1)` never holds, and `(!(a=*))` always does (measured, 2.6). Another server may list the control and pass it over.
So each attribute is tried once, on a user who shows a value of it, by two searches that
write nothing (§3). The one whose assertion is true has to succeed, and the one whose
assertion is false has to end in assertionFailed.

Until an attribute is proven, users are read just before it is written. It stays asserted:
that can only do good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from connector.directories.common.changing import octets
from connector.directories.common.ldap_filters import Equal, Filter, Not, Present
from connector.directories.ldap import requests, results
from connector.directories.ldap.modifying import FILTER, Modifier
from connector.directories.ldap.wire import Wire
from connector.model import ID, OBJECT_CLASS, Change, User, UserRef

Read = Callable[[Iterable[UserRef]], Iterator[User]]

_TRIES: Final = 3
"""So often an attribute is tried whose value no user shows, or that somebody changes meanwhile."""
_SAID: Final = {ID: "the user's id", FILTER: "the job's filter"}
_CAUTION: Final = (
    "the server's assertion control (RFC 4528) does not work for {names}. Users are read again just before they are "
    "written. "
)


class Assertions:
    """What is known of the assertions of a server: `proven` and `refuted`, by attribute.

    `ID` and `FILTER` stand for the user's identity and the filter of the job. `read`: users as they are now, with the
    marks of their entries.
    """

    def __init__(self, wire: Wire, modifier: Modifier, read: Read) -> None:
        self._wire = wire
        self._modifier = modifier
        self._read = read
        self._holders: dict[str, UserRef] = {}
        self._tried: Counter[str] = Counter()
        # names of attributes that come together, all proven
        self._known: set[tuple[str, ...]] = set()
        self.proven: set[str] = set()
        self.refuted: set[str] = set()

    def sure(self, change: Change) -> bool:
        """Whether all is proven that an assertion for this change says."""
        names = tuple([each.name for each in change.attributes])
        if names in self._known:
            return True
        if self.proven.issuperset(
            (
                ID,
                FILTER,
                *(name for name in names if name.lower() != OBJECT_CLASS.lower()),
            )
        ):
            self._known.add(names)  # whatever their values are
        return self.proven.issuperset(self._modifier.asserted(change.attributes))

    def written(self, change: Change) -> None:
        """Take in that a change was written: its users hold values now, where nobody did before."""
        if not self.sure(change):
            self._holders |= {
                each.name: change.user for each in change.attributes if each.new
            }

    def prove(self, changes: Sequence[Change]) -> None:
        """Try what these changes assert and nothing is known of. Raises one of the kinds of IncompleteRead."""
        holders: dict[str, UserRef] = {}
        for change in changes:
            if self.sure(change):
                continue
            held = {each.name for each in change.attributes if each.old}
            for name in filter(
                None,
                (
                    *self._modifier.asserted(change.attributes),
                    self._modifier.dialect.mark,
                ),
            ):
                of_the_entry = name in held or name in (
                    ID,
                    FILTER,
                    self._modifier.dialect.mark,
                )
                holder = change.user if of_the_entry else self._holders.get(name)
                known = name in self.proven or name in self.refuted
                if holder is not None and not known and self._tried[name] < _TRIES:
                    holders.setdefault(name, holder)
        if not holders:
            return
        now = self._users(holders.values())
        for name, holder in holders.items():
            self._tried[name] += 1
            user = now.get(holder.id)
            if user is not None:
                self._try(name, user)

    def _users(self, refs: Iterable[UserRef]) -> dict[str, User]:
        return {user.id: user for user in self._read(dict.fromkeys(refs))}

    def _try(self, name: str, user: User) -> None:
        entry = requests.one(self._modifier.dialect.address(user.ref))
        codes = [
            self._wire.code(entry, requests.assertion(test))
            for test in self._tests(name, user)
        ]
        if codes == [results.SUCCESS, results.ASSERTION_FAILED]:
            self.proven.add(name)
            return
        if name in (ID, FILTER) or user.values.get(
            name
        ):  # what nobody may see, may be what nobody may search by
            again = self._users([user.ref]).get(user.id)
            if again is not None and again.values.get(name) == user.values.get(name):
                self.refuted.add(name)

    def _tests(self, name: str, user: User) -> tuple[Filter, Filter]:
        """An assertion that is true of the user, and one that is false; neither says a secret."""
        if name == ID:
            true = self._modifier.dialect.is_user(user.id)
        elif name == FILTER:
            true = self._modifier.anybody
        else:
            shown = user.values.get(name, ())
            plain = [value for value in shown if isinstance(value, str | bytes)]
            equal = plain and self._modifier.rules(name).equality
            return Equal(name, octets(plain[0])) if equal else Present(name), Not(
                Present(name)
            )
        return true, Not(true)

    def cautions(self) -> Iterator[str]:
        names = sorted(_SAID.get(name, name) for name in self.refuted)
        mark = self._modifier.dialect.mark
        if names:
            yield _CAUTION.format(names=", ".join(names)) + (
                f"The entry's mark {mark} is checked instead"
                if mark in self.proven
                else "Another program's change in between may go unnoticed. In `urls`, name the server itself, not "
                "a proxy"
            )
