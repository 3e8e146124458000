"""A user that no agent claims, and that holds something of this job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from connector.model import Held, Owned, User, UserRef

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
