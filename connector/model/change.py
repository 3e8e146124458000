"""One user's change, what it does to each attribute, and kinds of changes that are alike."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from connector.model.directory import UserRef
from connector.model.secret import Held


class Form(StrEnum):
    """The form of an attribute's change, the riskiest first.

    `TAKEN_OVER`: another user still holds the value, and this plan frees it. `OTHER_AGENT`: this job wrote the user for
    another agent last. `FOREIGN`: it replaces a value that this job did not write.
    `EMPTIED`: values go, and none comes. `BESIDE`: it joins values that are not this job's.
    `SECRET`: it sets a secret; nobody sees the old one.
    `OURS`: it replaces what this job wrote. `FIRST`: there was no value.
    """

    TAKEN_OVER = "taken over from another user"
    OTHER_AGENT = "other agent than last time"
    FOREIGN = "replaces a value we did not write"
    EMPTIED = "emptied"
    BESIDE = "adds to others' values"
    SECRET = "secret set"  # noqa: S105  # a word of the report, not a password
    OURS = "replaces ours"
    FIRST = "first value"


EXAMPLES: Final = 3
"""Users that a report names of a kind of changes."""
LISTED: Final = 20
"""Up to so many changes are listed one by one on a terminal."""
Fingerprint = Callable[[UserRef, str, Held], str]
"""A keyed digest of one secret of one user: equal for equal secrets, and useless without
the key."""


class AttributeChange(Struct, frozen=True, gc=False):
    """One attribute of one user: the values of ours believed to be there, and those to be there.

    Values outside `owns` appear in neither and are not touched. A plan that was read from a
    file has no secrets: of a secret it knows the `fingerprint`.
    """

    name: str
    old: tuple[Held, ...]
    new: tuple[Held, ...]
    secret: bool = False
    """Whether the values are `Secret`s."""
    seen: bool = True
    """False: the old value could not be read. Then `old` says nothing, or of one that is
    no secret, what was written last."""
    pattern: str | None = None
    """The attribute's `owns`, where it has one."""
    fingerprint: str = ""
    """Of a secret; empty for one that clears."""
    unique: bool = False
    absent: bool = False
    """A comparison found that there was none."""
    form: Form | None = None
    """For the reader of a plan; in no digest."""
    sent: tuple[Held, ...] = ()
    """Where the directory stores another spelling than it was sent: the values that were
    sent, of a secret its fingerprint. `new` is then what is stored."""
    replaced: tuple[Held, ...] | None = None
    """What was there before an earlier run wrote these very values, which the directory
    took and did not show. None: no run is known to have done so. In no digest."""

    @property
    def sets(self) -> bool:
        """Whether there is to be a value; otherwise the attribute is cleared."""
        return bool(self.new or self.fingerprint)


class AgentRef(
    Struct,
    frozen=True,
    order=True,
    gc=False,
    rename="camel",
    forbid_unknown_fields=True,
):
    """An agent by the two numbers it is known by; either may be missing from a record that cannot be read."""

    work_no: int | None = None
    account_code: str | None = None

    def __str__(self) -> str:
        return f"{self.account_code or '(no account)'} (workNo {'?' if self.work_no is None else self.work_no})"


class WritePart(StrEnum):
    """The part of a user's change that is one write. What goes first is confirmed before the rest.

    `REST`: the change itself, or what is left of it. `RELEASE`: it lets go of single-holder values that others wait
    for, while it waits for theirs. `CLASSES`: object classes, where a server wants them
    before what needs them. `STEP`: one attribute of several, where a server takes one
    operation a request.
    """

    REST = ""
    RELEASE = "release"
    CLASSES = "classes"
    STEP = "step"


class Change(Struct, frozen=True, gc=False):
    """What is to become of one user.

    A change of a plan is whole; an apply may write it in parts.
    """

    user: UserRef
    agent: AgentRef | None
    """None: no agent claims the user."""
    rule: int | None
    """The rule that found the user, from 1; 0 is a pin; None: stale."""
    attributes: tuple[AttributeChange, ...]
    digest: str = ""
    after: frozenset[str] = frozenset()
    """Ids of users whose change frees a single-holder value that this one sets. It waits
    for theirs."""
    part: WritePart = WritePart.REST
    disabled: bool = False
    """The user was read as disabled (`User.disabled`), and the change is for no other
    one. Each run that writes makes it anew, so neither plan document nor journal has
    it."""
    inactive: bool = False
    """The account is disabled (`User.inactive`); for the reader of a plan, and in no
    digest."""

    @property
    def targets_disabled_account(self) -> bool:
        """Whether an agent's values are written to an account that is disabled; leavers' accounts should be."""
        return self.inactive and self.agent is not None


class ChangeKind(Struct, frozen=True):
    """Changes that are alike. The riskiest form among its attributes names it."""

    form: Form
    rule: int | None
    """From 1; 0 is a pin. None: the users have no agent, or several rules were merged."""
    forms: tuple[tuple[Form, tuple[str, ...]], ...]
    """Its attributes by form, the riskiest first."""
    changes: tuple[Change, ...]
    merged: int = 1
    """How many kinds it was made of."""

    @property
    def users(self) -> int:
        return len(self.changes)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names, in the order of their forms, each once."""
        return tuple(dict.fromkeys(name for _, names in self.forms for name in names))

    @property
    def disabled(self) -> int:
        """How many of its users have an agent, and a disabled account."""
        return sum(change.targets_disabled_account for change in self.changes)

    @property
    def examples(self) -> list[str]:
        """Names of its first users."""
        return [change.user.name for change in self.changes[:EXAMPLES]]

    @property
    def title(self) -> str:
        """What tells it from the other kinds: `emptied: mail; replaces ours: sn; by rule 1`."""
        forms = [f"{form}: {', '.join(names)}" for form, names in self.forms]
        said = {form: ", ".join(names) for form, names in self.forms}
        if said.keys() == {Form.FIRST, Form.SECRET}:
            # what tells it from kinds that change a secret alone comes first
            secret = f"with a secret: {said[Form.SECRET]}"
            forms = [f"first values: {said[Form.FIRST]}, {secret}"]
        return "; ".join([*(forms or [self.form]), self._found_by])

    @property
    def sentence(self) -> str:
        """What these changes do: `196 users by rule 1. First value: mail. Secret set: SIPIdentityPassword.`."""
        users = f"{self.users:,} {'user' if self.users == 1 else 'users'}"
        said = [f"{users} {self._found_by}"]
        said += [
            f"{form.capitalize()}: {', '.join(names)}" for form, names in self.forms
        ]
        if self.disabled:
            said.append(f"Disabled accounts among them: {self.disabled:,}")
        return ". ".join(said) + "."

    @property
    def _found_by(self) -> str:
        """By which rules its users were found."""
        rules = sorted(
            {-1 if change.rule is None else change.rule for change in self.changes}
        )
        by = " and ".join(
            "no agent" if rule < 0 else f"rule {rule}" if rule else "pin"
            for rule in rules
        )
        some = ", each with some of these" if self.merged > 1 else ""
        return f"{'without an agent' if by == 'no agent' else f'by {by}'}{some}"


class Look(Struct, frozen=True, omit_defaults=True):
    """A user that is worth a look, and why."""

    user: UserRef
    why: str
    others: tuple[UserRef, ...] = ()
    """Users that the reason names: whose values it takes over."""
