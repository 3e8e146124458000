"""What a directory is, what its users hold, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from connector.model.secret import Held

ID = "@id"
NAME = "@name"
"""Pseudo-attributes that a key may name, next to the directory's own: the user's stable id,
and its name."""

OBJECT_CLASS = "objectClass"
"""The attribute of LDAP's in which an entry names its classes."""

UNIDENTIFIED = "@unidentified "
"""Before the name of a user that does not show its id to this account: what it has in the
place of one."""

Key = tuple[str, str]
"""(attribute, value) that a user is looked up by."""
Unit = Literal["characters", "octets", "utf-16"]
"""What a directory counts the length of text in."""


class UserRef(Struct, frozen=True, order=True, gc=False, forbid_unknown_fields=True):
    """A user by `id` (entryUUID, objectGUID, nsUniqueId, SCIM id) and `name` (DN, userName)."""

    id: str
    name: str

    @property
    def identified(self) -> bool:
        """Whether the directory shows the user's id."""
        return not self.id.startswith(UNIDENTIFIED)


class User(Struct, frozen=True, gc=False):
    """An entry or resource of the directory.

    `values` holds what the directory returned of the attributes that were asked for, under the names they were asked
    by; an attribute without a value is not in it. `disabled`: it is below the base, and the
    filter leaves it out since it is disabled. `inactive`: its account is disabled, as far
    as it shows that, whatever the filter.
    """

    id: str
    name: str
    values: Mapping[str, tuple[Held, ...]]
    disabled: bool = False
    inactive: bool = False

    @property
    def ref(self) -> UserRef:
        return UserRef(self.id, self.name)


class Syntax(StrEnum):
    """What a value of an attribute may look like (RFC 4517 §3.3); `planning/compare/conversion.py` knows how.

    `ENCODED`: certificates and their like, which no text is; `OTHER`: one that this program does not know.
    """

    TEXT = "text"
    IA5 = "ia5"
    PRINTABLE = "printable"
    NUMERIC = "numeric"
    TELEPHONE = "telephone"
    INTEGER = "integer"
    DECIMAL = "decimal number"
    BOOLEAN = "boolean"
    TIME = "time"
    FULL_TIME = "time to the second, in UTC"
    UTC_TIME = "time with two digits of the year"
    DATE_TIME = "date and time such as 2026-01-31T12:00:00Z"
    DN = "dn"
    OCTETS = "octets"
    COUNTRY = "country"
    BITS = "bits"
    OID = "oid"
    DEFINED = "oid of the schema"
    UUID = "uuid"
    FACSIMILE = "facsimile"
    TELEX = "telex"
    POSTAL = "postal address"
    DELIVERY = "delivery method"
    NAME_AND_UID = "dn and bits"
    NETGROUP = "netgroup triple"
    BOOT = "boot parameter"
    ENCODED = "encoded"
    OTHER = "unknown syntax"


class Equality(StrEnum):
    """How two values of an attribute are compared (RFC 4517 §4.2); `model/equality.py` knows how.

    CASE_ALONE, DECIMAL and DATE_TIME are SCIM's (RFC 7643 §2.3.1, §2.3.3, §2.3.5); by the
    first, every character counts but for its case.
    """

    CASE_IGNORE = "caseIgnore"
    CASE_EXACT = "caseExact"
    CASE_ALONE = "caseInsensitive"
    NUMERIC = "numericString"
    TELEPHONE = "telephoneNumber"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIME = "generalizedTime"
    DATE_TIME = "dateTime"
    DN = "distinguishedName"
    UUID = "uuid"
    OCTETS = "octetString"


class AttributeInfo(Struct, frozen=True):
    """What the directory says of one attribute.

    `readable` True: an attribute that is not returned is absent; None: it may as well be hidden from us.
    `min_length`, `max_length` count in `unit`s (octets for octet strings); `least` and `most` bound a number.
    `classes`: the object classes that allow it, lower case, empty where the directory has no such notion. `aliases`:
    every name and number of the attribute, lower case. `comparable`: it has an equality
    rule, so that one of its values can be taken out. `obsolete`: it takes no new values.
    `operational`: no object class has to allow it. `unique`: the directory itself sees to
    it that no two of all users hold one value. `constructed`: worked out as it is read, so
    that no look-up finds it. `named_rule`: its equality rule is named and known; else
    `equality` is but likely.
    """

    name: str
    syntax: Syntax = Syntax.TEXT
    equality: Equality = Equality.CASE_IGNORE
    single: bool = True
    min_length: int = 0
    max_length: int | None = None
    unit: Unit = "characters"
    least: int | None = None
    most: int | None = None
    writable: bool = True
    readable: bool | None = True
    known: bool = True
    comparable: bool = True
    obsolete: bool = False
    operational: bool = False
    unique: bool = False
    constructed: bool = False
    classes: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    named_rule: bool = True

    @property
    def exact(self) -> bool:
        """Whether values that the directory calls the same are the same in every character."""
        return self.named_rule and self.equality in (
            Equality.OCTETS,
            Equality.CASE_EXACT,
        )

    @property
    def octets(self) -> bool:
        """Whether values are octets rather than text."""
        return self.syntax in (Syntax.OCTETS, Syntax.ENCODED)

    def is_(self, other: AttributeInfo) -> bool:
        """Whether the two are one attribute under two names; with other options they are two (RFC 4512 §2.5)."""
        (mine, _, my_options), (theirs, _, their_options) = (
            self.name.lower().partition(";"),
            other.name.lower().partition(";"),
        )
        return my_options == their_options and (mine == theirs or mine in other.aliases)


class ContentRule(Struct, frozen=True):
    """What else holds for entries of exactly one structural class (RFC 4512 §4.1.6); names in lower case.

    `auxiliary`: the auxiliary classes that such an entry may have; None: any.
    """

    auxiliary: frozenset[str] | None = None
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()


class ClassInfo(Struct, frozen=True):
    """What the directory says of one object class; names, numbers and attributes in lower case, but for `spelling`.

    `above`: itself and all that it inherits from. `must`, `may`: what it requires and allows, itself or by inheritance;
    `anything`: it allows whatever there is.
    """

    name: str
    kind: Literal["structural", "auxiliary", "abstract"]
    above: frozenset[str]
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    anything: bool = False
    obsolete: bool = False
    rule: ContentRule | None = None
    spelling: str = ""


class Description(Struct, frozen=True):
    """What a directory is and can do.

    `identity` names the directory itself, whatever the address it was reached by; the lease is taken on it.
    `classes_first`: object classes that a user gets are written before what needs them, in a change of their own.
    `closed`: an attribute that is not `known` cannot be written; nor can `unknown_classes`, those of the view's that
    its schema lacks. `batch`: how many changes are written before what no answer shows is
    read back.
    `names`, `ids`: how names and ids of users compare. `types`, `classes`: everything that its schema defines, by any
    name or number in lower case, read when it is asked for. `checked`: what of a change can
    be found out without sending it, and what cannot, in a few words.
    `replaces`: a user is written whole, so that what it does not show is lost unless the write says it.
    `singly`: one request writes one attribute, so that a user's change is several writes.
    `decides`: a look-up is answered with whoever holds the value as the directory compares, and nobody else.
    `by_value`: a single value that is not shown can be taken out by saying it, if it is there.
    `hides`: what a user does not show is taken for absent, and may be hidden by an access rule all the same.
    `server`: which of several servers of the directory answers; empty where there is but one.
    `bases`: the DNs below which users are, `one_level` only just below; none: everywhere.
    `sees_past`: a look past base and filter reaches every place where a user may have gone and kept its id.
    `chosen_id`: the attribute that the job takes for users' ids, where the directory has none of its own.
    `unidentified`: why a user may show no id, and what to do; empty where there is no more to say than of any.
    `cautions`: sentences for the report. `paths`: of SCIM, the attributes that its schemas define.
    `filtered`: the view's attributes and classes that the job's filter looks at; True where any write of it may take
    the user out of the filter, False where only a clear can.
    """

    kind: str
    identity: str
    attributes: Mapping[str, AttributeInfo]
    names: Equality = Equality.DN
    ids: Equality = Equality.CASE_IGNORE
    classes_first: bool = False
    closed: bool = False
    unknown_classes: tuple[str, ...] = ()
    batch: int = 500
    types: Mapping[str, AttributeInfo] = {}
    classes: Mapping[str, ClassInfo] = {}
    checked: str = ""
    replaces: bool = False
    singly: bool = False
    decides: bool = True
    by_value: bool = False
    hides: bool = False
    server: str = ""
    bases: tuple[str, ...] = ()
    sees_past: bool = True
    one_level: bool = False
    chosen_id: AttributeInfo | None = None
    unidentified: str = ""
    cautions: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    filtered: Mapping[str, bool] = {}

    def equality(self, attribute: str) -> Equality:
        """How values of an attribute compare; one that is not of the view, such as objectClass, ignoring case."""
        info = self.attributes.get(attribute)
        return info.equality if info else Equality.CASE_IGNORE


class View(Struct, frozen=True):
    """What of each user a reader has to bring: attributes by name, those whose values are secrets, and classes.

    `objectClass` is brought too. `object_classes`: auxiliary classes that the mapping adds; what they require is
    brought, as far as the schema knows it.
    `all_of`: classes of which every attribute is brought, as far as the schema knows them; they are treated as secrets.
    `disabled`: changes for no agent may be written to users whom the filter leaves out since they are disabled.
    """

    attributes: tuple[str, ...]
    secrets: frozenset[str] = frozenset()
    object_classes: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    disabled: bool = False


class Objection(Struct, frozen=True):
    """What a directory, asked without writing, has against the change of one attribute of one user (by id).

    `kind` is that of the problem: `rights`, `reassigned`, `shared` or `value`.
    """

    user: str
    attribute: str
    kind: str
    why: str


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
