"""How LDAP servers differ, as values: told by the root DSE, once, and then never asked about again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from connector.directories.ldap.requests import ASSERTION, POST_READ
from connector.errors import MalformedError


class Dialect(Struct, frozen=True):
    """What one kind of server does its own way.

    `id_attribute`: the attribute whose value never changes in an entry's life; `show_id` and `wire_id` turn that value
    into text and back. `assertions`, `post_read`: whether it knows RFC 4528, and RFC 4527. `occupied`: the result of
    adding a second value to a single-valued attribute, which is how "there is no value yet" fails where there are no
    assertions. `terms` equality terms go into one search, and `batches` such searches are in flight.
    """

    kind: str
    id_attribute: str
    show_id: Callable[[bytes], str]
    wire_id: Callable[[str], bytes]
    assertions: bool
    post_read: bool
    occupied: frozenset[int]
    terms: int = 64
    batches: int = 4


def _text_id(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedError("an entry's id is no text") from None


CONSTRAINT_VIOLATION: Final = 19
_OPENLDAP: Final = "openldaprootdse"


def of(root: dict[str, list[str]]) -> Dialect:
    """The dialect of the server with this root DSE (its attributes, by their names in lower case).

    Every server that has entryUUID (RFC 4530) is spoken to in the same way; Active Directory (objectGUID) and 389-DS
    (nsUniqueId) are values still to be written, when there is a server to test them against.
    """
    classes = {name.lower() for name in [*root.get("objectclass", ()), *root.get("structuralobjectclass", ())]}
    product = " ".join([*root.get("vendorname", ())[:1], *root.get("vendorversion", ())[:1]])
    return Dialect(
        kind="OpenLDAP" if _OPENLDAP in classes else product or "LDAP server",
        id_attribute="entryUUID",
        show_id=_text_id,
        wire_id=str.encode,
        assertions=ASSERTION in root.get("supportedcontrol", ()),
        post_read=POST_READ in root.get("supportedcontrol", ()),
        occupied=frozenset({CONSTRAINT_VIOLATION}),
    )
