"""Users looked at just before their write, where no filter of an assertion can say what the plan believes of them.

Without the assertion control (RFC 4528) that is every user. With it, it is whoever changes
an attribute whose values cannot be compared, for it has no equality rule, or of which the
control is not proven (`proving.py`): the mark of the entry's last change is then asserted
in their place.

An assertion also fails where the user still is what the plan saw: the mark moves with edits
that are no concern of the plan's, and "no value" counts values of subtypes
(`employeeNumber;lang-de`) and is never true where we may not search by the attribute. So
after a failure the user is looked at once more, and asked about what it does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from connector.directories.ldap.modifying import Modifier, judged
from connector.directories.ldap.proving import Assertions
from connector.errors import IncompleteRead
from connector.model import AttributeChange, Change, Holds, Question, User, UserRef


class Sight(Struct, frozen=True, gc=False):
    """What a look has found: `why` the user is not to be written, if so; the `mark` to assert (None: there is none).

    `absent`: attributes that have no value, though that cannot be asserted.
    """

    why: str | None = None
    mark: bytes | None = None
    absent: frozenset[str] = frozenset()


UNSEEN: Final = Sight()
UNLIKE: Final = Sight("the entry is no longer as planned")


class Looker:
    """Looks at users for the changes of a modifier.

    `read`: users as they are now, with the marks of their entries. `holds`: answers as `Reader.holds` has them.
    `attributes`: all that a change may name. `assertions`: which of them are believed.
    """

    def __init__(
        self,
        modifier: Modifier,
        read: Callable[[Iterable[UserRef]], Iterator[User]],
        holds: Callable[[Iterable[Question]], Iterator[Holds]],
        attributes: Iterable[str],
        assertions: Assertions,
    ) -> None:
        self._modifier = modifier
        self._read = read
        self._holds = holds
        self.assertions = assertions
        self.reads = (
            not modifier.dialect.assertions
            or not assertions.proven
            or bool(assertions.refuted)
        )
        """Whether the users of the latest changes were looked at first; before any, whether
        they are likely to be."""
        self._blind = frozenset(
            name for name in attributes if not modifier.rules(name).equality
        )

    def before(self, changes: Sequence[Change]) -> dict[str, Sight]:
        """The users, by id, that have to be looked at before their write. Raises one of the kinds of IncompleteRead."""
        if self._modifier.dialect.assertions:
            unsure = [change for change in changes if not self.assertions.sure(change)]
            self.assertions.prove(unsure)
            changes = list(
                filter(self._relies_on_marks, changes if self._blind else unsure)
            )
            self.reads = bool(changes)
        now = self._now(changes)
        return {
            change.user.id: self._sight(change, now.get(change.user.id))
            for change in changes
        }

    def may_still_hold(self, change: Change) -> bool:
        """Whether the user may be what the plan saw although the assertion of this change failed."""
        return self._relies_on_marks(change) or bool(_firsts(change))

    def again(self, changes: Sequence[Change]) -> dict[str, Sight]:
        """The users, by id, whose assertion failed. Raises one of the kinds of IncompleteRead."""
        now = self._now(changes)
        sights = {
            change.user.id: self._sight(change, now.get(change.user.id))
            for change in changes
        }
        alike = [change for change in changes if sights[change.user.id].why is None]
        # of an attribute that shows others' values it is seen that none of ours is among them
        asked = [
            Question(change.user, each.name, next(iter(each.new)))
            for change in alike
            for each in _firsts(change)
            if each.name not in now[change.user.id].values
        ]
        told = zip(asked, self._holds(asked), strict=True)
        hidden = {
            each.user.id: each.attribute
            for each, answer in told
            if answer is not Holds.ABSENT
        }
        for change in alike:
            id_, absent = (
                change.user.id,
                frozenset(each.name for each in _firsts(change)),
            )
            why = (
                f"{hidden[id_]} may have a value that this account cannot read"
                if id_ in hidden
                else None
            )
            sights[id_] = Sight(why, sights[id_].mark, absent)
        return sights

    def hidden(self, change: Change) -> list[str]:
        """The attributes to be set of which a user shows no value, though the server says that one is there.

        None where the user is not as planned any more, or cannot be read: then somebody
        else may have written first.
        """
        with suppress(IncompleteRead):
            for now in self._now([change]).values():
                if self._modifier.differs(change, now) is None:
                    return [
                        each.name
                        for each in change.attributes
                        if each.new and each.name not in now.values
                    ]
        return []

    def _relies_on_marks(self, change: Change) -> bool:
        """Whether it replaces values of which no filter says, or is known to say, that they are still there."""
        blind = any(
            each.name in self._blind and each.old and each.seen
            for each in change.attributes
        )
        return blind or not self.assertions.sure(change)

    def _now(self, changes: Sequence[Change]) -> dict[str, User]:
        return (
            {user.id: user for user in self._read(change.user for change in changes)}
            if changes
            else {}
        )

    def _sight(self, change: Change, now: User | None) -> Sight:
        return Sight(
            self._modifier.differs(change, now),
            self._modifier.mark_of(now) if now else None,
        )


def _firsts(change: Change) -> list[AttributeChange]:
    """The attributes of which no value is asserted to be there."""
    return [each for each in judged(change.attributes) if each.new and not each.old]
