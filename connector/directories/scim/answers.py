"""What a server's answers say: resources, lists of them, and refusals."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field

from connector.directories.scim.paths import Resource, inner, member, text_of
from connector.directories.scim.protocol import Answer
from connector.directories.scim.refusals import detail, scope
from connector.errors import NOT_JSON, DeniedError, IncompleteRead, MalformedError
from connector.model.nesting import too_deep
from connector.net.quoting import looks_like, phrase

GONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_SAID: Final = frozenset({
    "invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue",
    "invalidVers", "sensitive",  # RFC 7644 §3.12
    "invalidCursor", "expiredCursor", "invalidCount",  # RFC 9865 §2.3
})  # fmt: skip
_RESOURCE: Final = msgspec.json.Decoder(dict[str, Any])
_ANYTHING: Final = msgspec.json.Decoder(Any)
_NOT_FOUND: Final = (
    "; not found. Check `url`: the base address, such as https://host/scim/v2"
)
READING: Final = "read users (GET /Users, GET /Users/{id})"


class Listing(Struct, frozen=True):
    """A page of resources (RFC 7644 §3.4.2), each still to be decoded, so that only one is held at a time.

    `total`: how many there are on all pages, as the server says; None where it does not say. `cursor`: of the next
    page (RFC 9865 §2.1); empty or None on the last one.
    """

    standard: list[Raw] | None = field(default=None, name="Resources")
    # as Microsoft Entra spells it
    entra: list[Raw] | None = field(default=None, name="resources")
    total: int | None = field(default=None, name="totalResults")
    cursor: str | None = field(default=None, name="nextCursor")

    @property
    def resources(self) -> list[Raw]:
        return (self.entra if self.standard is None else self.standard) or []


_LISTING: Final = msgspec.json.Decoder(Listing, strict=False)


def good(answer: Answer) -> bool:
    """Whether it was a yes."""
    return 200 <= answer.status < 300  # RFC 9110 §15.3


def listing(answer: Answer) -> Listing:
    """The page in the answer. Raises the kinds of IncompleteRead."""
    if not good(answer):
        raise failure(answer, "a list of users")
    try:
        found = _LISTING.decode(answer.content)
    except NOT_JSON:
        raise MalformedError(
            f"a list of users was answered with {_seen(answer)}", where=answer.where
        ) from None
    if found.standard is None and found.entra is None and found.total is None:
        raise MalformedError(
            "a list of users was answered with neither users nor their number",
            where=answer.where,
        )
    return found


def resource(answer: Answer, raw: Raw | bytes | None = None) -> Resource:
    """One resource, of the answer or of the list in it; it has an id. Raises MalformedError."""
    try:
        found: Resource = _decoded(
            _RESOURCE, answer.content if raw is None else bytes(raw)
        )
    except NOT_JSON:
        raise MalformedError(
            f"a user was answered with {_seen(answer)}", where=answer.where
        ) from None
    if not id_of(found):
        raise MalformedError("a user was answered that has no id", where=answer.where)
    return found


def id_of(found: Resource) -> str:
    """The resource's id (RFC 7643 §3.1); some servers make it a number."""
    return text_of(found.get("id") or member(found, "id"))


def version_of(found: Resource) -> str:
    """The version that a resource says it is (RFC 7643 §3.1)."""
    return text_of(inner(found, "meta", "version"))


def document(answer: Answer) -> Any:
    """Whatever JSON the answer is; None where it is none."""
    try:
        return _decoded(_ANYTHING, answer.content)
    except NOT_JSON:
        return None


def _decoded(decoder: msgspec.json.Decoder[Any], octets: bytes) -> Any:
    """What JSON says. Raises one of NOT_JSON, also where it is nested so deeply that no function here could walk it."""
    if too_deep(octets):
        raise msgspec.DecodeError
    return decoder.decode(octets)


def said(answer: Answer) -> str:
    """A refusal (RFC 7644 §3.12): status, kind, and the server's own words as far as they can be shown."""
    words = detail(answer)
    return f"{kind(answer)}: {words}" if words else kind(answer)


def kind(answer: Answer) -> str:
    """Status and kind of a refusal: the same each time, and nobody's words."""
    known = _type(answer)
    return f"{phrase(answer.status)}, {known}" if known else phrase(answer.status)


def _type(answer: Answer) -> str:
    """The kind of error that a refusal names, where it is one of the RFC's; else an empty text."""
    found = inner(document(answer), "scimType")
    return found if isinstance(found, str) and found in _SAID else ""


def failure(answer: Answer, what: str, right: str = READING) -> IncompleteRead:
    """The error that an answer is which is no yes; `what` was asked for, and `right` is what that takes."""
    error = DeniedError if answer.status in _REFUSED else IncompleteRead
    advice = (
        _NOT_FOUND if answer.status == HTTPStatus.NOT_FOUND else lacking(answer, right)
    )
    return error(f"{what} was answered with {said(answer)}{advice}", where=answer.where)


def lacking(answer: Answer, right: str) -> str:
    """What to grant where an answer says that a right is missing (403), such as `read users (GET /Users)`.

    Some servers answer 403 to a value that they do not want, and name that kind of error.
    """
    if answer.status != HTTPStatus.FORBIDDEN or _type(answer):
        return ""
    wanted = scope(answer)
    asks = f". The server asks for the scope {wanted}" if wanted else ""
    return f"; grant the job's account, and the scope of its token, the right to {right}{asks}"


def _seen(answer: Answer) -> str:
    hint = (
        "JSON that is nested too deeply"
        if too_deep(answer.content)
        else looks_like(answer.content)
    )
    return f"{phrase(answer.status)} and {hint or 'a body that is not SCIM (RFC 7644 §3.4)'}"
