"""How LDAP servers differ, as values: told by the root DSE, once, and then never asked about again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common import ldap_filters as filters
from connector.directories.common.ldap_filters import DisabledMark, Equal, Filter, Or
from connector.directories.ldap.access_rules import (
    DS389_RULES,
    OPENLDAP_RULES,
    WINDOWS_COMMANDS,
    RuleLanguage,
)
from connector.directories.ldap.requests import (
    ASSERTION,
    EFFECTIVE_RIGHTS,
    PAGED,
    POST_READ,
)
from connector.directories.ldap.responses import (
    CONSTRAINT_VIOLATION,
    NO_ADVICE,
    OBJECT_CLASS_VIOLATION,
    Response,
)
from connector.errors import MalformedError
from connector.model import Equality, UserRef
from connector.model.equality import equality_key

Root = Mapping[str, list[str]]
"""A root DSE (RFC 4512 §5.1): its attributes, by their names in lower case."""
_OPENLDAP = "openldaprootdse"
_DS389 = "389 project"
# LDAP_CAP_ACTIVE_DIRECTORY_OID, [MS-ADTS] 3.1.1.3.4.3
_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"


class IdAttribute(Struct, frozen=True):
    """The attribute that holds an entry's id, which never changes in its life."""

    attribute: str
    show: Callable[[bytes], str]
    """Its value as text. Raises MalformedError for what is no id."""
    wire: Callable[[str], bytes | None]
    """Such a text as a value; None for a text that cannot be anybody's id."""


class ListedControls(Struct, frozen=True):
    """The controls that one server lists in its root DSE."""

    assertions: bool = False
    """RFC 4528."""
    post_read: bool = False
    """RFC 4527."""
    pages: bool = False
    """RFC 2696."""
    effective_rights: bool = False
    """The control by which 389-DS tells an account its rights."""


class SchemaTraits(Struct, frozen=True):
    """What a kind of server makes of its schema."""

    enforces_lengths: bool = False
    """Whether the length beside a syntax is the most that a value may have. Elsewhere it is a least that servers
    must take (RFC 4512 §4.1.2), and these do take more."""
    is_lax: bool = False
    """Whether the kind of an object class, and what is obsolete, means nothing to it (measured)."""
    compares_by_syntax: bool = False
    """Whether values of an attribute without an equality rule are compared by their syntax, so that a single one
    can be searched for, and deleted."""


class SearchTraits(Struct, frozen=True):
    """How a kind of server is searched."""

    batches: int = 4
    """Searches for many users that are in flight at once."""
    spoils_next_page: bool = False
    """Whether after a paged search the next one on the same connection may come without a part of its entries:
    where databases are glued, and a page ended with the last entry of one, or nobody read on (OpenLDAP 2.6)."""
    prepares_text: bool = True
    """Whether text is prepared before it is compared (RFC 4518 §2). Where it is not, a letter in its composed and
    in its decomposed form is two."""
    limit_advice: Mapping[int, str] = NO_ADVICE
    """What to do about its limits, by the result code that tells of one."""


class WriteTraits(Struct, frozen=True):
    """How a kind of server is written to."""

    is_second_value: Callable[[Response], bool]
    """Whether an answer is the one to adding a second value to a single-valued attribute. So fails "there is no
    value yet" where there are no assertions."""
    classes_first: bool = False
    """Whether object classes have to be there before the attributes that need them, by a modification of their
    own."""
    mark: str | None = None
    """The attribute that has another value after every change of an entry, and can be asserted."""
    rules: RuleLanguage | None = None
    """How access rules are written down."""


class Dialect(Struct, frozen=True):
    """What one server does its own way."""

    kind: str
    identity: IdAttribute
    disabled: DisabledMark
    """How it marks disabled users."""
    writes: WriteTraits
    searches: SearchTraits = SearchTraits()
    schema: SchemaTraits = SchemaTraits()
    controls: ListedControls = ListedControls()
    microsoft: bool = False
    """Whether its schema is a tree of entries, domains refer to partitions without users, a hidden value compares
    as an absent one, and a Global Catalog may answer in its place."""

    @property
    def takes_guid_names(self) -> bool:
        """Whether a user's id may stand for the name of its entry."""
        return self.microsoft and self.identity is OBJECT_GUID

    def address_of(self, user: UserRef) -> str:
        """What stands in a request for the name of a user's entry: its id, where the server takes that.

        A name may be another entry's by the time the request arrives ([MS-ADTS]
        3.1.1.3.1.2.4; measured on Samba 4.22).
        """
        return (
            f"<GUID={user.id}>"
            if self.takes_guid_names and self.identity.wire(user.id)
            else user.name
        )

    def user_filter(self, id_: str) -> Filter:
        """Whether an entry is this user; no entry is one whose id is none."""
        wired = self.identity.wire(id_)
        if wired is None:
            return Or(())
        return Equal(self.identity.attribute, wired)


def read_id_text(value: bytes, encoding: str = "ascii") -> str:
    """An id that is text. Raises MalformedError where it is none."""
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        raise MalformedError("an entry's id is no text") from None


def _encode_ascii(text: str) -> bytes | None:
    if not text.isascii():
        return None
    return text.encode()


def _show_guid(value: bytes) -> str:
    """Sixteen octets, the first three fields little-endian ([MS-DTYP] 2.3.4.2), as every tool of Windows shows them."""
    if len(value) != 16:
        raise MalformedError(f"an objectGUID of {len(value)} octets")
    return str(UUID(bytes_le=value))


def _guid_octets(text: str) -> bytes | None:
    try:
        return UUID(text).bytes_le
    except ValueError:
        return None


def _is_second_value(answer: Response) -> bool:
    """Windows puts its own error code before its words: of all constraint violations, this one is the second value.

    Samba answers attributeOrValueExists (20), which is a conflict on every server.
    """
    return answer.code == CONSTRAINT_VIOLATION and answer.diagnostic.startswith(
        "00002081"
    )


ENTRY_UUID = IdAttribute("entryUUID", read_id_text, _encode_ascii)  # RFC 4530
NS_UNIQUE_ID = IdAttribute("nsUniqueId", read_id_text, _encode_ascii)
OBJECT_GUID = IdAttribute("objectGUID", _show_guid, _guid_octets)


def choose_identity(attribute: str, rule: Equality, *, octets: bool) -> IdAttribute:
    """The identity that a job chooses where a server has none; octets are shown in hexadecimal.

    Text is shown as what equal values have in common, so that ids are equal as the
    attribute's `rule` says.
    """
    if attribute.lower() == OBJECT_GUID.attribute.lower():
        return OBJECT_GUID
    if octets:
        return IdAttribute(attribute, bytes.hex, _of_hexadecimal)

    def folded(value: bytes) -> str:
        text = read_id_text(value, "utf-8")
        found = equality_key(rule, text)
        if isinstance(found, str):
            return found
        return text

    return IdAttribute(attribute, folded, str.encode)


def _of_hexadecimal(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


OPENLDAP = Dialect(
    "OpenLDAP",
    ENTRY_UUID,
    filters.PASSWORD_POLICY,
    WriteTraits(
        lambda answer: answer.code == CONSTRAINT_VIOLATION,
        mark="entryCSN",
        rules=OPENLDAP_RULES,
    ),
    SearchTraits(
        spoils_next_page=True,
        limit_advice={
            3: "`limits` with time.soft and time.hard in the server's configuration lifts it for the job's account",
            4: "`limits` with size.soft, size.hard and size.prtotal in the server's configuration lifts it for the "
            "job's account",
            11: "`limits` with size.unchecked in the server's configuration lifts it for the job's account, and an "
            "equality index on what is looked for makes the search small",
        },
    ),
)
DS389 = Dialect(
    "389-DS",
    NS_UNIQUE_ID,
    filters.NS_ACCOUNT_LOCK,
    WriteTraits(
        lambda answer: answer.code == OBJECT_CLASS_VIOLATION,
        rules=DS389_RULES,
    ),
    SearchTraits(
        batches=8,  # with fewer in flight it pauses between them (measured: up to 50 ms, on a busy machine)
        prepares_text=False,
        limit_advice={
            3: "nsTimeLimit of the job's account lifts it",
            4: "a page has to be smaller than it: set `page_size` below the nsSizeLimit of the job's account, or "
            "raise that",
            11: "nsLookThroughLimit of the job's account lifts it, and an equality index on what is looked for makes "
            "the search small",
        },
    ),
    SchemaTraits(is_lax=True, compares_by_syntax=True),
)
ACTIVE_DIRECTORY = Dialect(
    "Active Directory",
    OBJECT_GUID,
    filters.USER_ACCOUNT_CONTROL,
    WriteTraits(_is_second_value, rules=WINDOWS_COMMANDS),
    SearchTraits(prepares_text=False),
    SchemaTraits(enforces_lengths=True),
    microsoft=True,
)
SAMBA = replace(
    ACTIVE_DIRECTORY,
    kind="Samba Active Directory",
    writes=replace(ACTIVE_DIRECTORY.writes, classes_first=True),
)


def recognise_server(root: Root) -> Dialect:
    """The dialect of the server with this root DSE: of its kind, with the controls that this one lists.

    A server of no kind that is known here is taken to have entryUUID, as RFC 4530 asks.
    """
    listed = root.get("supportedcontrol", ())
    controls = ListedControls(
        assertions=ASSERTION in listed,
        post_read=POST_READ in listed,
        pages=PAGED in listed,
        effective_rights=EFFECTIVE_RIGHTS in listed,
    )
    return replace(_recognise_kind(root), controls=controls)


def _recognise_kind(root: Root) -> Dialect:
    product = [*root.get("vendorname", ())[:1], *root.get("vendorversion", ())[:1]]
    vendor = "".join(root.get("vendorname", ())[:1]).lower()
    if _ACTIVE_DIRECTORY in root.get("supportedcapabilities", ()):
        if vendor.startswith("samba"):
            return SAMBA
        return ACTIVE_DIRECTORY
    if vendor == _DS389:
        return DS389
    classes = (*root.get("objectclass", ()), *root.get("structuralobjectclass", ()))
    if _OPENLDAP in map(str.lower, classes):
        return OPENLDAP
    return replace(
        OPENLDAP,
        kind=" ".join(product) or "LDAP server",
        searches=replace(OPENLDAP.searches, limit_advice=NO_ADVICE),
        writes=replace(OPENLDAP.writes, rules=None),
    )
