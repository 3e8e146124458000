"""How LDAP servers differ, as values: told by the root DSE, once, and then never asked about again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common import ldap_filters as filters
from connector.directories.common.ldap_filters import DisabledMark, Equal, Filter, Or
from connector.directories.ldap.requests import (
    ASSERTION,
    EFFECTIVE_RIGHTS,
    PAGED,
    POST_READ,
)
from connector.directories.ldap.responses import (
    CONSTRAINT_VIOLATION,
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


# ---------------------------------------------------------------- access rules


class AccessRight(Enum):
    """What is to be done with attributes, as OpenLDAP, 389-DS and Windows write it down.

    `BLIND`: written and compared, and never read, as secrets are.
    """

    READ = ("read", "read, search, compare", "RP")
    WRITE = ("write", "write", "WP")
    BLIND = ("=wc", "write, compare", "WP")


class Grant(Struct, frozen=True):
    """A right that an account needs."""

    account: str
    """Its bind DN."""
    base: str
    """Of users below this entry."""
    names: Sequence[str]
    """Attributes."""
    right: AccessRight
    alone: bool = False
    """Of that one entry, and not of users below."""


class RuleLanguage(Struct, frozen=True):
    """A kind of server's access rules."""

    write_rule: Callable[[Grant], str]
    said: str
    """What stands before a rule in a sentence that asks for it."""


def write_openldap_rule(grant: Grant) -> str:
    """An access rule (slapd.access(5)). The first that says something of an attribute decides, unless it breaks."""
    names = [*grant.names]
    if grant.right is AccessRight.READ:
        names.insert(0, "entry")  # nothing is found without a right to the entry
    style = "base" if grant.alone else "subtree"
    what = f'to dn.{style}="{grant.base}" attrs={",".join(names)}'
    level, _, _ = grant.right.value
    return f'{what} by dn.exact="{grant.account}" {level} by * break'


def write_389ds_rule(grant: Grant) -> str:
    """An access control instruction of 389-DS, kept in the base; it speaks of that entry and all below it."""
    target = " || ".join(grant.names) or "*"
    _, level, _ = grant.right.value
    allow = f'allow ({level}) userdn="ldap:///{grant.account}";'
    return f'(targetattr="{target}")(version 3.0; acl "cec-connector"; {allow})'


def write_windows_commands(grant: Grant) -> str:
    """Commands of Windows (dsacls): read property or write property, for users below the base."""
    if not grant.names:
        return f'dsacls "{grant.base}" /I:T /G "{grant.account}:GR"'
    _, _, letters = grant.right.value
    whom, kind = ("", "") if grant.alone else ("/I:S ", ";user")
    return " & ".join(
        f'dsacls "{grant.base}" {whom}/G "{grant.account}:{letters};{name}{kind}"'
        for name in grant.names
    )


OPENLDAP_RULES = RuleLanguage(write_openldap_rule, "In olcAccess, first: ")
DS389_RULES = RuleLanguage(write_389ds_rule, "At {base}, add aci: ")
WINDOWS_COMMANDS = RuleLanguage(write_windows_commands, "Run: ")

Wanted = tuple[Sequence[str], AccessRight]
"""Attributes, and what is to be done with them."""


class RightsAdvice(Struct, frozen=True):
    """What an account is told to be given."""

    language: RuleLanguage | None = None
    """How the server writes it down; None where that is not known."""
    account: str = ""
    """Its bind DN, or empty where the bind has none."""
    bases: Sequence[str] = ("",)
    """The entries below which users are."""

    def write_rules(
        self, wanted: Sequence[Wanted], top: str = ""
    ) -> Iterator[tuple[str, str]]:
        """Rules for these attributes below each base, each behind its base; nothing where they cannot be written.

        `top`: an entry above, of which the first two of the last attributes are to be read.
        """
        # no rule quotes a quotation mark
        is_quotable = '"' not in "".join([self.account, *self.bases, top])
        if self.language is None or not self.account or not is_quotable:
            return
        grants = [
            Grant(self.account, base, names, right)
            for base in self.bases
            for names, right in wanted
        ]
        if top and top not in self.bases:
            names = wanted[-1][0][:2]
            grants.append(Grant(self.account, top, names, AccessRight.READ, alone=True))
        for grant in grants:
            yield grant.base, self.language.write_rule(grant)

    def advise_grant(
        self,
        what: str,
        names: Sequence[str],
        right: AccessRight,
        secrets: Sequence[str] = (),
    ) -> str:
        """A sentence on `what` is to be granted, and the rules for these attributes; of `secrets`, blindly."""
        who = self.account or "the job's account"
        sentences = [f"Grant {who} the right to {what}"]
        blind = [name for name in names if name in secrets]
        plain = [name for name in names if name not in secrets]
        wanted = [(plain, right)] if plain or not blind else []
        if blind:
            wanted.append((blind, AccessRight.BLIND))
        for base, rule in self.write_rules(wanted):
            said = self.language.said if self.language else ""
            sentences.append(said.format(base=base) + rule)
        return ". ".join(sentences)


# ---------------------------------------------------------------- dialects


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
    limit_advice: Mapping[int, str] = {}
    """What to do about its limits, by the result code that tells of one."""


class WriteTraits(Struct, frozen=True):
    """How a kind of server is written to."""

    second_value: tuple[int, str]
    """The result code of adding a second value to a single-valued attribute, and how its words begin. So fails
    "there is no value yet" where there are no assertions."""
    classes_first: bool = False
    """Whether object classes have to be there before the attributes that need them, by a modification of their
    own."""
    mark: str | None = None
    """The attribute that has another value after every change of an entry, and can be asserted."""
    rules: RuleLanguage | None = None
    """How access rules are written down."""

    def is_second_value(self, answer: Response) -> bool:
        """Whether an answer is the one to adding a second value to a single-valued attribute."""
        code, words = self.second_value
        return answer.code == code and answer.diagnostic.startswith(words)


class ServerClock(Struct, frozen=True):
    """Where a kind of server shows its own time."""

    entry: str
    attribute: str
    """Holds a GeneralizedTime (RFC 4517 §3.3.13)."""


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
    clock: ServerClock | None = None
    """None: it shows none."""
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
        if self.takes_guid_names and self.identity.wire(user.id):
            return f"<GUID={user.id}>"
        return user.name

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


ENTRY_UUID = IdAttribute("entryUUID", read_id_text, _encode_ascii)  # RFC 4530
NS_UNIQUE_ID = IdAttribute("nsUniqueId", read_id_text, _encode_ascii)
OBJECT_GUID = IdAttribute("objectGUID", _show_guid, _guid_octets)


def choose_identity(
    attribute: str,
    rule: Equality,
    *,
    octets: bool,
) -> IdAttribute:
    """The identity that a job chooses where a server has none; octets are shown in hexadecimal.

    Text is shown as what equal values have in common, so that ids are equal as the
    attribute's `rule` says.
    """
    if attribute.lower() == OBJECT_GUID.attribute.lower():
        return OBJECT_GUID
    if octets:
        return IdAttribute(attribute, bytes.hex, _of_hexadecimal)

    def show_folded(value: bytes) -> str:
        text = read_id_text(value, "utf-8")
        found = equality_key(rule, text)
        return found if isinstance(found, str) else text

    return IdAttribute(attribute, show_folded, str.encode)


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
        (CONSTRAINT_VIOLATION, ""),
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
    clock=ServerClock(
        "cn=Current,cn=Time,cn=Monitor", "monitorTimestamp"
    ),  # slapd-monitor(5)
)
DS389 = Dialect(
    "389-DS",
    NS_UNIQUE_ID,
    filters.NS_ACCOUNT_LOCK,
    WriteTraits(
        (OBJECT_CLASS_VIOLATION, ""),
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
    clock=ServerClock("cn=monitor", "currentTime"),
)
ACTIVE_DIRECTORY = Dialect(
    "Active Directory",
    OBJECT_GUID,
    filters.USER_ACCOUNT_CONTROL,
    # Windows puts its own error code before its words; Samba answers
    # attributeOrValueExists (20), which is a conflict on every server
    WriteTraits((CONSTRAINT_VIOLATION, "00002081"), rules=WINDOWS_COMMANDS),
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
    names, versions = (root.get(key, [])[:1] for key in ("vendorname", "vendorversion"))
    vendor = "".join(names).lower()
    if _ACTIVE_DIRECTORY in root.get("supportedcapabilities", ()):
        return SAMBA if vendor.startswith("samba") else ACTIVE_DIRECTORY
    if vendor == _DS389:
        return DS389
    classes = [*root.get("objectclass", ()), *root.get("structuralobjectclass", ())]
    if _OPENLDAP in map(str.lower, classes):
        return OPENLDAP
    return replace(
        OPENLDAP,
        kind=" ".join(names + versions) or "LDAP server",
        searches=replace(OPENLDAP.searches, limit_advice={}),
        writes=replace(OPENLDAP.writes, rules=None),
    )
