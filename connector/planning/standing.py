"""What a user shows now, and what earlier runs wrote there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Description,
    Equality,
    Fingerprint,
    Held,
    Memory,
    Owned,
    Secret,
    User,
    UserRef,
    equality,
    patterns,
)
from connector.model.digests import UNKEYED


def change_stands(
    each: AttributeChange,
    held: tuple[Held, ...],
    description: Description,
) -> bool:
    """Whether the values that the change sets are there, and those that it takes away are gone."""
    if not each.old and (held == each.new or all(value in held for value in each.new)):
        return True  # as nearly always: nothing has to be compared
    rule = equality.choose_rule(description.equality(each.name), secret=each.secret)
    gone = equality.subtract_equal(
        rule,
        each.old,
        each.new,
    )
    return (
        not equality.subtract_equal(
            rule,
            each.new,
            held,
        )
        and equality.subtract_equal(
            rule,
            gone,
            held,
        )
        == gone
    )


class ShownUser(Struct, frozen=True):
    """A user as a server shows it now, to be compared with what a change leaves behind."""

    user: User
    description: Description
    fingerprint: Fingerprint

    def held_values(self, name: str) -> tuple[Held, ...]:
        return self.user.values.get(name, ())

    def shows_whole(self, name: str) -> bool:
        """Whether all that an attribute holds is shown, if only that it is empty."""
        info = self.description.attributes.get(name)
        return bool(self.held_values(name)) or (
            info is not None and info.readable is True
        )

    def secret_stands(self, each: AttributeChange) -> bool:
        """Whether a secret that is shown is as its change leaves it, by its fingerprint; without one it was cleared."""
        held, user = self.held_values(each.name), self.user.ref
        if not each.fingerprint:
            return not held
        return any(
            self.fingerprint(
                user,
                each.name,
                value,
            )
            == each.fingerprint
            for value in held
        )

    def judge_changes(self, changes: Iterable[AttributeChange]) -> list[bool]:
        """Of each attribute that can be judged, whether it is as its change leaves it."""
        return [answer for answer in map(self.stands, changes) if answer is not None]

    def stands(self, each: AttributeChange) -> bool | None:
        """Whether an attribute is as its change leaves it; None: the user does not tell."""
        held = self.held_values(each.name)
        if each.name == OBJECT_CLASS:
            return (
                change_stands(
                    each,
                    held,
                    self.description,
                )
                if held
                else None
            )
        if each.name not in self.description.attributes:
            return None  # the mapping no longer names it, so that it was not asked for
        shows = self.shows_whole(each.name)
        if each.secret:
            return (
                self.secret_stands(each)
                if shows and each.fingerprint != UNKEYED
                else None
            )
        if each.new or shows or (each.seen and each.old):
            return change_stands(
                each,
                held,
                self.description,
            )
        return None

    def as_before(self, each: AttributeChange) -> bool:
        """Whether an attribute does not stand, and shows what was there before."""
        if each.secret or not each.seen or self.stands(each) is not False:
            return False
        return equality.same_set(
            self.description.equality(each.name),
            each.old,
            self.held_values(each.name),
        )


# ---------------------------------------------------------------- other spellings


class KnownSpellings:
    """What a state knows of the spelling of values, by user and attribute."""

    def __init__(self, memory: Memory, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._known: defaultdict[tuple[str, str], list[Owned]] = defaultdict(list)
        for user, attributes in memory.read_respelt():
            for name, each in attributes.items():
                self._known[user.id, name.lower()].append(each)

    def is_in_step(
        self,
        user: UserRef,
        name: str,
        rule: Equality,
        wanted: Iterable[Held],
        held: Iterable[Held],
    ) -> bool:
        """Whether an attribute holds exactly what the directory made of the wanted values when they were written."""
        known = self._known.get((user.id, name.lower()))
        if not known:
            return False
        sent, stored = (
            {
                self._fingerprint(
                    user,
                    name,
                    one,
                )
                if isinstance(one, Secret)
                else equality.digest_value(rule, one)
                for one in values
            }
            for values in (wanted, held)
        )
        return any(
            (sent, stored) == (set(each.sent), set(each.stored)) for each in known
        )


# ---------------------------------------------------------------- who wrote last


class LastWriters:
    """Who wrote last to some users. `open_users`: of whom it was not known whether a run wrote to them."""

    def __init__(
        self,
        memory: Memory,
        description: Description,
        users: Collection[str],
        open_users: Collection[str],
    ) -> None:
        self._description = description
        self._open_users = open_users
        self.users = 0
        """To how many users, of all, this job wrote."""
        self._mine: dict[tuple[str, str], Owned] = {}
        for ref, owned in memory.read_owned():
            self.users += 1
            for name, each in owned.items() if ref.id in users else ():
                self._mine[ref.id, name.lower()] = each
        self._theirs = defaultdict[tuple[str, str], list[tuple[str, str | None]]](list)
        for other in memory.read_other_jobs():
            if other.user.id not in users:
                continue
            for name, pattern in other.attributes.items():
                self._theirs[other.user.id, name.lower()].append((other.job, pattern))

    def tell_later_writer(
        self, user: str, each: AttributeChange, back: AttributeChange
    ) -> str | None:
        """Who has written since the run what `back` takes away, as far as the state knows; None: nobody."""
        slot = user, each.name.lower()
        for job, pattern in self._theirs.get(slot, ()):
            if not patterns.are_apart(pattern, each.pattern):
                return f"another job ({job}) wrote it since; kept"
        if user in self._open_users:
            return None  # what was written there is not noted yet
        last = self._mine.get(slot, Owned(""))
        if each.secret:
            is_ours = not back.old or last.fingerprint == each.fingerprint
        else:
            rule = self._description.equality(each.name)
            taken = equality.subtract_equal(
                rule,
                back.old,
                back.new,
            )
            is_ours = equality.digest_values(rule, taken) <= set(last.values)
        return None if is_ours else "this job did not write the current value; kept"


# ---------------------------------------------------------------- users that no agent claims

UNSHOWN_LEAVER: Final = (
    "a value of this job that this account cannot read; not cleared. "
    "Grant the right to read it, or clear it by hand"
)
CHANGED: Final = "changed by somebody since this job wrote it; kept"


class LeaverPlace(Enum):
    """Where a user that nobody claims is, with what its line says of that."""

    WITHIN = ""
    DISABLED = ". The user is disabled, so the filter leaves it out"
    FILTERED = ". The filter leaves the user out, so nothing is written there. Clear it by hand, or widen the filter"
    MOVED = ". The user was moved out of the base, so nothing is written there. Clear it by hand, or widen the base"
    DELETED = ". The user was deleted, or is hidden from the job's account. This note is given once"
    UNKNOWN = (
        ". The user is outside base and filter: disabled, moved or deleted. To tell which, grant the job's "
        "account the right to read the whole tree, or check by hand"
    )
    """Base and filter leave it out, and a look past them does not tell."""


class Leaver(Struct, frozen=True):
    """A user that nobody claims, and what this job wrote last there."""

    user: UserRef
    owned: Mapping[str, Owned] = {}
    adopted: frozenset[str] = frozenset()
    """Attributes marked `adopt` that hold a value, whoever wrote it."""
    place: LeaverPlace = LeaverPlace.WITHIN
    now: User | None = None
    """As it is shown now, wherever it is."""
    unshown: Mapping[str, tuple[Held, ...]] = {}
    """As of `Memory.read_unshown`."""
    theirs: frozenset[str] = frozenset()
    """Attributes, in small letters, that hold somebody else's values in the place of ours, and nothing of ours."""

    def find_last(self, name: str) -> Owned | None:
        """What this job wrote last to an attribute, however its name was spelt then; None: nothing."""
        for spelt, each in self.owned.items():
            if spelt.lower() == name.lower():
                return each
        return None

    @property
    def is_renamed(self) -> bool:
        """Whether the user is there under another name."""
        return self.now is not None and self.now.name != self.user.name

    @property
    def held_names(self) -> frozenset[str]:
        """The attributes that hold something of ours, as far as is known."""
        names = self.adopted | self.owned.keys() | self.unshown.keys()
        return frozenset(each for each in names if each.lower() not in self.theirs)

    def list_credentials(self, secret: Collection[str]) -> frozenset[str]:
        """The attributes, in small letters, that hold a secret of ours. `secret`: those that are secret now."""
        names = {name.lower() for name in self.held_names}
        written = {
            name.lower() for name, each in self.owned.items() if each.fingerprint
        }
        return frozenset(names & {*secret, *written})
