"""How LDAP servers differ, as values: told by the root DSE, once, and then never asked about again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common import disabled
from connector.directories.common.disabled import Mark
from connector.directories.common.ldap_filters import Equal, Filter, Or
from connector.directories.ldap import results, rights
from connector.directories.ldap.requests import (
    ASSERTION,
    EFFECTIVE_RIGHTS,
    PAGED,
    POST_READ,
)
from connector.directories.ldap.responses import Response
from connector.errors import MalformedError
from connector.model import Equality, UserRef
from connector.reconcile.equality import key

Root = Mapping[str, list[str]]
"""A root DSE (RFC 4512 §5.1): its attributes, by their names in lower case."""
_IDS: Final = ("nsUniqueId", "ibm-entryUuid", "orclguid", "GUID")
"""What servers without entryUUID name their ids."""
_OPENLDAP: Final = "openldaprootdse"
_DS389: Final = "389 project"
# LDAP_CAP_ACTIVE_DIRECTORY_OID, [MS-ADTS] 3.1.1.3.4.3
_ACTIVE_DIRECTORY: Final = "1.2.840.113556.1.4.800"


class Identity(Struct, frozen=True):
    """The attribute that holds an entry's id, which never changes in its life.

    `show` turns its value into text, and raises MalformedError for what is none; `wire` turns such a text back, and is
    None for a text that cannot be anybody's id.
    """

    attribute: str
    show: Callable[[bytes], str]
    wire: Callable[[str], bytes | None]


class Dialect(Struct, frozen=True):
    """What one kind of server does its own way.

    `assertions`, `post_read`, `pages`, `effective_rights`: whether this one knows RFC 4528, RFC 4527, RFC 2696, and the
    control by which 389-DS tells an account its rights. `estimates`: whether it is asked
    how many entries a search has. OpenLDAP does not tell, and with glued databases it dies
    when the page of one entry is given up (measured, 2.6).
    `sticky`: after a paged search the next one on the same connection may come without a part of its entries: where
    databases are glued, and a page ended with the last entry of one, or nobody read on
    (measured on OpenLDAP 2.6).
    `occupied`: whether an answer is the one
    to adding a second value to a single-valued attribute, which is how "there is no value
    yet" fails where there are no assertions.
    `lengths`: the length beside a syntax is the most that a value may have; elsewhere it is a least that servers must
    take (RFC 4512 §4.1.2), and these do take more. `microsoft`: its schema is a tree of
    entries, domains refer to partitions without users, a hidden value compares as an absent
    one, and a Global Catalog may answer in its place.
    `classes_first`: object classes have to be there before the attributes that need them, in a modification of their
    own.
    `views`: an entry may show others as if they were below it (389-DS, nsView).
    `lax`: what kind an object class is, and what is obsolete, means nothing to it (measured).
    `by_syntax`: whether values of an attribute without an equality rule are compared by their syntax, so that a single
    one can be searched for, and deleted. `prepares`: whether text is prepared before it is
    compared (RFC 4518 §2); where it is not, a letter in its composed and in its decomposed
    form is two.
    `mark`: the attribute that has another value after every change of an entry, and can be asserted.
    `disabled`: how it marks disabled users.
    `advice`: what to do about its limits, by the result code that tells of one.
    `language`: how it writes rights down.
    `terms` equality terms go into one search, and `batches` such searches are in flight.
    """

    kind: str
    identity: Identity
    occupied: Callable[[Response], bool]
    disabled: Mark
    assertions: bool = False
    post_read: bool = False
    pages: bool = False
    estimates: bool = False
    sticky: bool = False
    effective_rights: bool = False
    lengths: bool = False
    lax: bool = False
    microsoft: bool = False
    classes_first: bool = False
    views: bool = False
    by_syntax: bool = False
    prepares: bool = True
    mark: str | None = None
    advice: Mapping[int, str] = results.NO_ADVICE
    language: rights.Language | None = None
    terms: int = 64
    batches: int = 4

    @property
    def by_guid(self) -> bool:
        """Whether a user's id may stand for the name of its entry."""
        return self.microsoft and self.identity is OBJECT_GUID

    def address(self, user: UserRef) -> str:
        """What stands in a request for the name of a user's entry: its id, where the server takes that.

        A name may be another entry's by the time the request arrives ([MS-ADTS]
        3.1.1.3.1.2.4; measured on Samba 4.22).
        """
        return (
            f"<GUID={user.id}>"
            if self.by_guid and self.identity.wire(user.id)
            else user.name
        )

    def is_user(self, id_: str) -> Filter:
        """Whether an entry is this user; no entry is one whose id is none."""
        wired = self.identity.wire(id_)
        return Or(()) if wired is None else Equal(self.identity.attribute, wired)


def identity_text(value: bytes, encoding: str = "ascii") -> str:
    """An id that is text. Raises MalformedError where it is none."""
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        raise MalformedError("an entry's id is no text") from None


def _octets(text: str) -> bytes | None:
    return text.encode() if text.isascii() else None


def _guid(value: bytes) -> str:
    """Sixteen octets, the first three fields little-endian ([MS-DTYP] 2.3.4.2), as every tool of Windows shows them."""
    if len(value) != 16:
        raise MalformedError(f"an objectGUID of {len(value)} octets")
    return str(UUID(bytes_le=value))


def _guid_octets(text: str) -> bytes | None:
    try:
        return UUID(text).bytes_le
    except ValueError:
        return None


def _second_value(answer: Response) -> bool:
    """Windows puts its own error code before its words: of all constraint violations, this one is the second value.

    Samba answers attributeOrValueExists (20), which is a conflict on every server.
    """
    return answer.code == results.CONSTRAINT_VIOLATION and answer.diagnostic.startswith(
        "00002081"
    )


ENTRY_UUID: Final = Identity("entryUUID", identity_text, _octets)  # RFC 4530
NS_UNIQUE_ID: Final = Identity("nsUniqueId", identity_text, _octets)
OBJECT_GUID: Final = Identity("objectGUID", _guid, _guid_octets)


def chosen(attribute: str, rule: Equality, *, octets: bool) -> Identity:
    """The identity that a job chooses where a server has none; octets are shown in hexadecimal.

    Text is shown as what equal values have in common, so that ids are equal as the
    attribute's `rule` says.
    """
    if attribute.lower() == OBJECT_GUID.attribute.lower():
        return OBJECT_GUID
    if octets:
        return Identity(attribute, bytes.hex, _of_hexadecimal)

    def folded(value: bytes) -> str:
        text = identity_text(value, "utf-8")
        found = key(rule, text)
        return found if isinstance(found, str) else text

    return Identity(attribute, folded, str.encode)


def _of_hexadecimal(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def unidentified(identity: Identity, types: Collection[str], *, chosen: bool) -> str:
    """Why a user may show no id, and what to do. `types`: what the schema defines, `chosen`: by the job."""
    name = identity.attribute
    if chosen:
        return (
            f"the user shows no value of {name}, the job's `directory.id`. Not written. Give it a value, or grant "
            f"the account the right to read {name}"
        )
    if name.lower() in types:
        return ""
    there = [each for each in _IDS if each.lower() in types]
    why = f"this server has no {name}, so its users have no id. Not written. Set"
    if not types:
        why = (
            f"the user shows no {name}, and the server shows no schema. Not written. Grant the account the right "
            f"to read {name}. If the server has none, set"
        )
    return (
        f"{why} `directory.id` to an attribute that never changes and is unique. The mapping must not write it. "
        f"{'This server has' if there else 'Other servers have'} {', '.join(there or _IDS)}"
    )


OPENLDAP: Final = Dialect(
    "OpenLDAP",
    ENTRY_UUID,
    lambda answer: answer.code == results.CONSTRAINT_VIOLATION,
    disabled.PASSWORD_POLICY,
    language=rights.OPENLDAP,
    sticky=True,
    mark="entryCSN",
    advice={
        3: "`limits` with time.soft and time.hard in the server's configuration lifts it for the job's account",
        4: "`limits` with size.soft, size.hard and size.prtotal in the server's configuration lifts it for the job's "
        "account",
        11: "`limits` with size.unchecked in the server's configuration lifts it for the job's account, and an "
        "equality index on what is looked for makes the search small",
    },
)
DS389: Final = Dialect(
    "389-DS",
    NS_UNIQUE_ID,
    lambda answer: answer.code == results.OBJECT_CLASS_VIOLATION,
    disabled.DS389,
    language=rights.DS389,
    lax=True,
    views=True,
    estimates=True,
    by_syntax=True,
    prepares=False,
    batches=8,  # with fewer in flight it pauses between them (measured: up to 50 ms, on a busy machine)
    advice={
        3: "nsTimeLimit of the job's account lifts it",
        4: "a page has to be smaller than it: set `page_size` below the nsSizeLimit of the job's account, or raise "
        "that",
        11: "nsLookThroughLimit of the job's account lifts it, and an equality index on what is looked for makes the "
        "search small",
    },
)
ACTIVE_DIRECTORY: Final = Dialect(
    "Active Directory", OBJECT_GUID, _second_value, disabled.ACTIVE_DIRECTORY,
    language=rights.ACTIVE_DIRECTORY, estimates=True, prepares=False, lengths=True, microsoft=True,
)  # fmt: skip
SAMBA: Final = replace(
    ACTIVE_DIRECTORY, kind="Samba Active Directory", classes_first=True
)


def of(root: Root) -> Dialect:
    """The dialect of the server with this root DSE: of its kind, with the controls that this one lists.

    A server of no kind that is known here is taken to have entryUUID, as RFC 4530 asks.
    """
    controls = root.get("supportedcontrol", ())
    return replace(
        _kind(root),
        assertions=ASSERTION in controls,
        post_read=POST_READ in controls,
        pages=PAGED in controls,
        effective_rights=EFFECTIVE_RIGHTS in controls,
    )


def _kind(root: Root) -> Dialect:
    classes = {
        name.lower()
        for name in [
            *root.get("objectclass", ()),
            *root.get("structuralobjectclass", ()),
        ]
    }
    vendor = root.get("vendorname", ())[:1]
    if _ACTIVE_DIRECTORY in root.get("supportedcapabilities", ()):
        return (
            SAMBA
            if any(name.lower().startswith("samba") for name in vendor)
            else ACTIVE_DIRECTORY
        )
    if _DS389 in map(str.lower, vendor):
        return DS389
    if _OPENLDAP in classes:
        return OPENLDAP
    product = " ".join([*vendor, *root.get("vendorversion", ())[:1]])
    return replace(
        OPENLDAP, kind=product or "LDAP server", advice=results.NO_ADVICE, language=None
    )
