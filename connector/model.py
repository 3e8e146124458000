"""The words of this program as values: every one frozen, none that knows a file, a clock or a network.

`Secret` is the only way a password travels. Everything else may be shown to anybody who may see the directory.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NoReturn, Protocol

from msgspec import Struct

Value = str | bytes
"""A value of a directory attribute: `str`, or `bytes` where the syntax is an octet string."""


class Secret:
    """A value that no repr, str, format, pickle, JSON, traceback or debugger view shows; `reveal()` alone does."""

    __slots__ = ("__value",)

    def __init__(self, value: Value) -> None:
        self.__value = value

    def reveal(self) -> Value:
        """The value itself. Call it only where it goes onto the wire, into the directory, or into a digest."""
        return self.__value

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __dir__(self) -> list[str]:
        return ["reveal"]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = _octets(self.__value), _octets(other.reveal())
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash would put a secret into sets, dicts and their views

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled or copied")


def _octets(value: Value) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


Held = Value | Secret
"""A value as a directory hands it out: attributes that the mapping marks `secret` arrive wrapped."""


# ---------------------------------------------------------------- the source


class Agent(Struct, frozen=True, gc=False):
    """A record of the source. `account_code` None: a seat that no account is tied to (*unassigned*)."""

    work_no: int
    account_code: str | None = None
    sip_account: str | None = None
    sip_pwd: Secret | None = None


class Invalid(Struct, frozen=True):
    """A record that cannot be read: its place in the answer (from 1), what of it could be read, and why not."""

    record: int
    why: str
    work_no: int | None = None
    account_code: str | None = None


class Tenant(Struct, frozen=True):
    """Everything that the source knows, read whole. `notes`: faults of the tenant's own fields, one line each."""

    agents: list[Agent]
    invalid: list[Invalid] = []
    sip_service_ip: str | None = None
    sip_service_port: str | None = None
    notes: list[str] = []

    @property
    def size(self) -> int:
        """How many records the source gave, readable or not."""
        return len(self.agents) + len(self.invalid)


# ---------------------------------------------------------------- the directory

ID = "@id"
NAME = "@name"
"""Pseudo-attributes that a key may name, next to the directory's own: the user's stable id, and its name."""

Key = tuple[str, str]
"""(attribute, value) that a user is looked up by."""


class UserRef(Struct, frozen=True, order=True):
    """A user by `id` (entryUUID, objectGUID, nsUniqueId, SCIM id) and `name` (DN, userName)."""

    id: str
    name: str


class User(Struct, frozen=True):
    """An entry or resource of the directory.

    `values` holds what the directory returned of the attributes that were asked for, under the names they were asked
    by; an attribute without a value is not in it.
    """

    id: str
    name: str
    values: Mapping[str, tuple[Held, ...]]

    @property
    def ref(self) -> UserRef:
        """The user without its values."""
        return UserRef(self.id, self.name)


class Syntax(StrEnum):
    """What a value of an attribute may look like (RFC 4517 §3.3, as far as it matters here)."""

    TEXT = "text"
    IA5 = "ia5"
    PRINTABLE = "printable"
    NUMERIC = "numeric"
    TELEPHONE = "telephone"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "time"
    DN = "dn"
    OCTETS = "octets"


class Equality(StrEnum):
    """How two values of an attribute are compared (RFC 4517 §4.2); `reconcile/equality.py` knows how."""

    CASE_IGNORE = "caseIgnore"
    CASE_EXACT = "caseExact"
    NUMERIC = "numericString"
    TELEPHONE = "telephoneNumber"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "generalizedTime"
    DN = "distinguishedName"
    UUID = "uuid"
    OCTETS = "octetString"


class AttributeInfo(Struct, frozen=True):
    """What the directory says of one attribute.

    `readable` True: an attribute that is not returned is absent; None: it may as well be hidden from us.
    `max_length` counts characters (octets for octet strings). `classes`: the object classes that allow it, lower case,
    empty where the directory has no such notion. `aliases`: every name and number of the attribute, lower case.
    """

    name: str
    syntax: Syntax = Syntax.TEXT
    equality: Equality = Equality.CASE_IGNORE
    single: bool = True
    max_length: int | None = None
    writable: bool = True
    readable: bool | None = True
    known: bool = True
    classes: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()

    def is_(self, other: AttributeInfo) -> bool:
        """Whether the two are one attribute under two names; with other options they are two (RFC 4512 §2.5)."""
        (mine, _, my_options), (theirs, _, their_options) = (
            self.name.lower().partition(";"),
            other.name.lower().partition(";"),
        )
        return my_options == their_options and (mine == theirs or mine in other.aliases)


class Description(Struct, frozen=True):
    """What a directory is and can do.

    `identity` names the directory itself, whatever the address it was reached by; the lease is taken on it.
    `atomic`: compare-and-set is one operation of the server's. `compares`: a secret can be compared unseen
    (RFC 4511 §4.10). `closed`: an attribute that is not `known` cannot be written; nor can
    `unknown_classes`, those of the view's that its schema lacks. `batch`: how many changes are written before they are
    read back and journalled. `names`: how user names compare.
    `cautions`: sentences for the report.
    """

    kind: str
    identity: str
    attributes: Mapping[str, AttributeInfo]
    names: Equality = Equality.DN
    atomic: bool = False
    compares: bool = False
    closed: bool = False
    unknown_classes: tuple[str, ...] = ()
    batch: int = 500
    cautions: tuple[str, ...] = ()

    def equality(self, attribute: str) -> Equality:
        """How values of an attribute compare; one that is not of the view, such as objectClass, ignoring case."""
        info = self.attributes.get(attribute)
        return info.equality if info else Equality.CASE_IGNORE


class View(Struct, frozen=True):
    """What of each user a reader has to bring: attributes by name, those whose values are secrets, and classes.

    `object_classes`: auxiliary classes that the mapping adds; where there are any, `objectClass` is brought too.
    """

    attributes: tuple[str, ...]
    secrets: frozenset[str] = frozenset()
    object_classes: tuple[str, ...] = ()


class Question(Struct, frozen=True):
    """Does this user hold this value of an attribute that we may not be able to read?"""

    user: UserRef
    attribute: str
    value: Held


class Holds(StrEnum):
    """The answer to a question."""

    SAME = "same"
    OTHER = "other"
    ABSENT = "absent"
    UNKNOWN = "unknown"


# ---------------------------------------------------------------- the plan


class AttributeChange(Struct, frozen=True):
    """One attribute of one user: of the values that are ours, those believed to be there and those to be there.

    Values outside `owns` appear in neither and are not touched. A `secret` one holds `Secret`s; `seen` False: the old
    value could not be read, so `old` says nothing. `pattern` is the attribute's `owns`, where it has one. A plan read
    from a file has no secrets: of a secret change it knows the `fingerprint`, which is empty for one that clears.
    """

    name: str
    old: tuple[Held, ...]
    new: tuple[Held, ...]
    secret: bool = False
    seen: bool = True
    pattern: str | None = None
    fingerprint: str = ""
    unique: bool = False


class AgentRef(Struct, frozen=True, order=True):
    """An agent by the two numbers it is known by; either may be missing from a record that cannot be read."""

    work_no: int | None = None
    account_code: str | None = None

    def __str__(self) -> str:
        return f"{self.account_code or '(no account)'} (workNo {'?' if self.work_no is None else self.work_no})"


class Change(Struct, frozen=True):
    """What is to become of one user, for one agent, and by which rule (from 1; 0 is a pin; None: stale).

    `after`: ids of users whose change frees a single-holder value that this one sets; it waits for theirs.
    """

    user: UserRef
    agent: AgentRef | None
    rule: int | None
    attributes: tuple[AttributeChange, ...]
    digest: str = ""
    after: frozenset[str] = frozenset()


class Problem(Struct, frozen=True):
    """One line for the reviewer: what could not be done, for whom, and why. It never changes the exit code."""

    kind: str
    why: str
    agent: AgentRef | None = None
    users: tuple[str, ...] = ()
    rule: int | None = None
    attribute: str | None = None
    record: int | None = None


class Refusal(Struct, frozen=True):
    """Why a plan may not be applied: the limit, how many it allows, and how many are planned."""

    limit: str
    allowed: int
    planned: int
    why: str


class Summary(Struct, frozen=True):
    """Counts. agents = matched + unmatched + ambiguous + contested + unassigned + invalid.

    `unchanged`: matched users that already say what their agents say; matched users that differ and are not changed are
    held back, each with a problem or a caution. `update`, `clear`, `secret` count users; one may be in several.
    """

    agents: int = 0
    matched: int = 0
    unmatched: int = 0
    ambiguous: int = 0
    contested: int = 0
    unassigned: int = 0
    invalid: int = 0
    stale: int = 0
    unchanged: int = 0
    update: int = 0
    clear: int = 0
    secret: int = 0


class Plan(Struct, frozen=True):
    """What would be done, whole, as a value.

    `about` says between what it was drawn: the source, the directory, the mapping. `digest` covers everything but `id`,
    `created` (RFC 3339, UTC) and `about`, in which one server of several may be named.
    """

    id: str
    digest: str
    job: str
    created: str
    summary: Summary
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cautions: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = ()


class Result(StrEnum):
    """What became of a change."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"
    SKIPPED = "skipped"


class Outcome(Struct, frozen=True):
    """What became of one user's change; `why` for all but *written*."""

    user: UserRef
    result: Result
    why: str = ""


Fingerprint = Callable[[UserRef, str, Held], str]
"""A keyed digest of one secret of one user: equal for equal secrets, and useless without the key."""


class Memory(Protocol):
    """What earlier runs left behind about one directory, as far as drawing a plan needs it."""

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        """The fingerprint of the secret that we last wrote there, if any."""

    def owned(self) -> Iterator[tuple[UserRef, frozenset[str]]]:
        """Every user that holds something we wrote, with the attributes."""

    def last_agents(self) -> int | None:
        """How many agents the last good apply of this job read."""
