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
    """An entry or resource of the directory."""

    id: str
    name: str
    values: Mapping[str, tuple[Held, ...]]
    """What the directory returned of the attributes that were asked for, under the names
    they were asked by. An attribute without a value is not in it."""
    disabled: bool = False
    """It is below the base, and the filter leaves it out since it is disabled."""
    inactive: bool = False
    """Its account is disabled, as far as it shows that, whatever the filter."""

    @property
    def ref(self) -> UserRef:
        return UserRef(self.id, self.name)


class Syntax(StrEnum):
    """What a value of an attribute may look like (RFC 4517 §3.3); `planning/conversion.py` knows how.

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


class ValueBounds(Struct, frozen=True):
    """How long a text and how large a number may be; None: any."""

    min_length: int = 0
    """In `unit`s."""
    max_length: int | None = None
    """In `unit`s."""
    unit: Unit = "characters"
    """Octets for octet strings."""
    least: int | None = None
    """Of a number."""
    most: int | None = None
    """Of a number."""


class AttributeDefinition(Struct, frozen=True):
    """How the directory's schema defines an attribute."""

    known: bool = True
    """Whether it does at all."""
    obsolete: bool = False
    """It takes no new values."""
    operational: bool = False
    """No object class has to allow it."""
    constructed: bool = False
    """Its values are worked out as they are read, so that no look-up finds them."""
    classes: frozenset[str] = frozenset()
    """The object classes that allow it, lower case; empty without such a notion."""
    aliases: frozenset[str] = frozenset()
    """Every name and number of the attribute, lower case."""


class AttributeInfo(Struct, frozen=True):
    """What the directory says of one attribute."""

    name: str
    syntax: Syntax = Syntax.TEXT
    equality: Equality = Equality.CASE_IGNORE
    single: bool = True
    """Whether a user has one value at most."""
    writable: bool = True
    """Whether this account may write it, as far as the directory tells."""
    readable: bool | None = True
    """True: an attribute that is not returned is absent. None: it may as well be hidden."""
    comparable: bool = True
    """Whether it has an equality rule, so that one of its values can be taken out."""
    unique: bool = False
    """Whether the directory itself sees to it that no two users hold one value."""
    named_rule: bool = True
    """Whether its equality rule is named and known; else `equality` is but likely."""
    bounds: ValueBounds = ValueBounds()
    definition: AttributeDefinition = AttributeDefinition()

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
        return my_options == their_options and (
            mine == theirs or mine in other.definition.aliases
        )


class ContentRule(Struct, frozen=True):
    """What else holds for entries of exactly one structural class (RFC 4512 §4.1.6).

    Names are in lower case.
    """

    auxiliary: frozenset[str] | None = None
    """The auxiliary classes that such an entry may have; None: any."""
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()


class ClassInfo(Struct, frozen=True):
    """What the directory says of one object class.

    Names, numbers and attributes are in lower case.
    """

    name: str
    kind: Literal["structural", "auxiliary", "abstract"]
    above: frozenset[str]
    """Itself and all that it inherits from."""
    must: frozenset[str] = frozenset()
    """What it requires, itself or by inheritance."""
    may: frozenset[str] = frozenset()
    """What it allows, itself or by inheritance."""
    anything: bool = False
    """It allows whatever there is."""
    obsolete: bool = False
    rule: ContentRule | None = None
    spelling: str = ""
    """Its name as the schema spells it."""


class DirectorySchema(Struct, frozen=True):
    """What a directory's schema defines."""

    types: Mapping[str, AttributeInfo] = {}
    """Attributes by any name or number in lower case, read when it is asked for."""
    classes: Mapping[str, ClassInfo] = {}
    """Object classes, likewise."""
    closed: bool = False
    """An attribute that is not `known` cannot be written."""
    unknown_classes: tuple[str, ...] = ()
    """Classes of the view that the schema lacks; they cannot be written."""
    paths: tuple[str, ...] = ()
    """Of SCIM, the attributes that its schemas define."""


class Scope(Struct, frozen=True):
    """Where users are."""

    bases: tuple[str, ...] = ()
    """The DNs below which they are; none: everywhere."""
    one_level: bool = False
    """They are only just below these."""
    sees_past: bool = True
    """A look past base and filter reaches every place where a user may have gone and
    kept its id."""
    filtered: Mapping[str, bool] = {}
    """The view's attributes and classes that the job's filter looks at. True: any write of
    it may take the user out of the filter. False: only a clear can."""


class UserNaming(Struct, frozen=True):
    """How users are named."""

    names: Equality = Equality.DN
    """How names compare."""
    ids: Equality = Equality.CASE_IGNORE
    """How ids compare."""
    chosen_id: AttributeInfo | None = None
    """The attribute that the job takes for ids, where the directory has none of its own."""
    unidentified: str = ""
    """Why a user may show no id, and what to do; empty where there is nothing special."""


class WriteRules(Struct, frozen=True):
    """How changes have to be written."""

    classes_first: bool = False
    """Object classes go before what needs them, in a change of their own."""
    batch: int = 500
    """How many changes are written before what no answer shows is read back."""
    replaces: bool = False
    """A user is written whole. What it does not show is lost unless the write says it."""
    singly: bool = False
    """One request writes one attribute, so that a user's change is several writes."""
    by_value: bool = False
    """A single value that is not shown can be taken out by saying it, if it is there."""
    checked: str = ""
    """What of a change can be found out without sending it, and what cannot."""


class ReadRules(Struct, frozen=True):
    """What an answer of the directory means."""

    decides: bool = True
    """A look-up finds whoever holds the value as the directory compares, and nobody else."""
    hides: bool = False
    """What a user does not show is taken for absent, and may be hidden by an access rule."""


class Description(Struct, frozen=True):
    """What a directory is and can do."""

    kind: str
    identity: str
    """The directory itself, whatever the address it was reached by. The lease is on it."""
    attributes: Mapping[str, AttributeInfo]
    """Those of the view, by the names that it has for them."""
    server: str = ""
    """Which of several servers answers; empty where there is but one."""
    cautions: tuple[str, ...] = ()
    """Sentences for the report."""
    schema: DirectorySchema = DirectorySchema()
    scope: Scope = Scope()
    naming: UserNaming = UserNaming()
    writing: WriteRules = WriteRules()
    reading: ReadRules = ReadRules()

    def equality(self, attribute: str) -> Equality:
        """How values of an attribute compare; one that is not of the view, such as objectClass, ignoring case."""
        info = self.attributes.get(attribute)
        return info.equality if info else Equality.CASE_IGNORE


class View(Struct, frozen=True):
    """What of each user a reader has to bring. `objectClass` is brought too."""

    attributes: tuple[str, ...]
    secrets: frozenset[str] = frozenset()
    object_classes: tuple[str, ...] = ()
    """Auxiliary classes that the mapping adds. What they require is brought, as far as
    the schema knows it."""
    all_of: tuple[str, ...] = ()
    """Classes of which every attribute is brought, as far as the schema knows them. They
    are treated as secrets."""
    disabled: bool = False
    """Changes for no agent may be written to users whom the filter leaves out since they
    are disabled."""


class Objection(Struct, frozen=True):
    """What a directory, asked without writing, has against the change of one attribute."""

    user: str
    """By id."""
    attribute: str
    kind: str
    """That of the problem: `rights`, `reassigned`, `shared` or `value`."""
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
