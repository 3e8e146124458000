"""Users looked at just before their write, where no filter of an assertion can say what the plan believes of them.

Without the assertion control (RFC 4528) that is every user. With it, it is whoever changes an attribute whose values
cannot be compared, for it has no equality rule: the mark of the entry's last change is then asserted in their place.
A mark also moves with edits that are no concern of the plan's, so that a user is looked at once more after it failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from connector.directories.ldap.modifying import Modifier
from connector.model import Change, User, UserRef


class Sight(Struct, frozen=True, gc=False):
    """What a look has found: `why` the user is not to be written, or the `mark` to assert (None: there is none)."""

    why: str | None = None
    mark: bytes | None = None


UNSEEN = Sight()


class Looker:
    """Looks at users for the changes of a modifier.

    `read`: users as they are now, with the marks of their entries. `attributes`: all that a change may name.
    """

    def __init__(
        self, modifier: Modifier, read: Callable[[Iterable[UserRef]], Iterator[User]], attributes: Iterable[str]
    ) -> None:
        self._modifier = modifier
        self._read = read
        self._blind = frozenset(name for name in attributes if not modifier.rules(name).equality)

    def before(self, changes: Sequence[Change]) -> dict[str, Sight]:
        """The users, by id, that have to be looked at before their write."""
        if not self._modifier.dialect.assertions:
            return self.again(changes)
        return self.again(list(filter(self.relies_on_marks, changes))) if self._blind else {}

    def relies_on_marks(self, change: Change) -> bool:
        """Whether it replaces values of which no filter says that they are still there."""
        return any(each.name in self._blind and each.old and each.seen for each in change.attributes)

    def again(self, changes: Sequence[Change]) -> dict[str, Sight]:
        """All of these users, by id. Raises one of the kinds of IncompleteRead."""
        now = {user.id: user for user in self._read(change.user for change in changes)} if changes else {}
        return {change.user.id: self._sight(change, now.get(change.user.id)) for change in changes}

    def _sight(self, change: Change, now: User | None) -> Sight:
        why = self._modifier.differs(change, now)
        return Sight(why) if why or now is None else Sight(mark=self._modifier.mark_of(now))
