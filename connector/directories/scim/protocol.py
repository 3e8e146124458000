"""The seam between SCIM and HTTP: what is asked of a server, what comes back, and what that says.

`transport.py` implements it; everything above speaks of resources and knows no HTTP client, no
token and no clock. Bodies may hold secrets, also where a server promises not to return them: no
repr, log or error here or above shows one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, Self, TypeVar

import msgspec
from msgspec import Struct, field

from connector.directories.common.server_text import LEFT_OUT, READ, select_shown_words
from connector.directories.scim.paths import (
    Json,
    Resource,
    find_member,
    read_id,
    to_text,
)
from connector.directories.scim.schemas import ASSUMED_DOCUMENT
from connector.errors import (
    NOT_JSON,
    DeniedError,
    IncompleteRead,
    MalformedError,
    TruncatedError,
)
from connector.model.nesting import too_deep
from connector.net.http import HttpAnswer
from connector.net.quoting import looks_like, name_status

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Params = tuple[tuple[str, str], ...]
Item = TypeVar("Item")
Result = TypeVar("Result")

MEDIA_TYPE: Final = "application/scim+json"
"""Of what is sent and of what is accepted (RFC 7644 §3.1)."""
PLAIN_JSON: Final = "application/json"
"""Accepted as well."""
BUSY: Final = (429, 503)
"""Asked again while there is patience."""
GONE: Final = (404, 410)
READING: Final = "read users (GET /Users, GET /Users/{id})"
"""The right that reading takes."""


class Request(Struct, frozen=True):
    """One request below the directory's base address."""

    method: Method
    path: str
    """Begins with a slash; percent-encoded already."""
    params: Params = ()
    """Not percent-encoded."""
    body: Any = None
    """What msgspec can encode; None for none."""
    headers: Mapping[str, str] = {}
    """Those of SCIM alone, such as If-Match; what proves who asks is the transport's."""
    repeatable: bool = False
    """Sent twice, it does no more than once, even though another may have written in between."""

    @classmethod
    def get(cls, path: str, params: Params = ()) -> Self:
        """A request that reads."""
        return cls("GET", path, params, repeatable=True)

    def __repr__(self) -> str:
        return f"<{self.method} {self.path}>"


class Answer(HttpAnswer, frozen=True):
    """An answer of any status but those that `Transport.send` makes an error of.

    Its body may be JSON, HTML or nothing; `where` is without the query.
    """

    sent: Any = None
    """The body of the request, which a server may repeat in its answer."""
    proofs: tuple[str, ...] = ()
    """What proved who asks, which a server may repeat as well."""

    @property
    def is_success(self) -> bool:
        """Whether it is a yes (RFC 9110 §15.3)."""
        return 200 <= self.status < 300


class LostAnswerError(IncompleteRead):
    """A request was sent and its answer did not come, or not whole: it may have been carried out.

    Raised only for requests that are not `repeatable`.
    """


class ImpatientError(TruncatedError):
    """The pauses of a run are used up: nothing that is asked from now on may be answered."""


class Transport(Protocol):
    """Requests to one server, from several threads at once."""

    def send(self, request: Request) -> Answer:
        """The answer, after as much patience as the job allows. Called by several threads at once.

        Tried again, with what Retry-After says or a growing random pause: connections that fail
        before the request was sent, always; 429, 503, 502, 504, time-outs and connections that are
        cut only where the request is `repeatable`; 500 twice, where it is. Where it is not, 429 and
        503 are the answer, after the pause: whoever asks looks again first. 401 is met with one new
        token, where tokens can be renewed. All pauses of a run together are bounded.

        An answer: every status that is left after that, 2xx, 4xx and 5xx. An error, one of the
        kinds of IncompleteRead; the request was certainly not carried out, unless it is
        LostAnswerError:
          - UnreachableError: no connection; no answer to a repeatable request. The server has
            gone: nothing is tried again after that.
          - UntrustedError: TLS could not establish whom we talk to.
          - ProxyRefusedError: a proxy refuses us, is none, or is not trusted; nothing was sent to
            the server.
          - DeniedError: 401, also with a new token; or the token endpoint refuses us.
          - NoTokenError, a MalformedError: no token in the token endpoint's answer.
          - MalformedError: 3xx (which is never followed); a body that is garbled on its way.
          - ImpatientError, a TruncatedError: 429 or 503 until the patience had an end, after which
            every request that would need some fails at once.
          - TruncatedError: a body that is longer than the job allows, or does not end in time.
          - LostAnswerError: in place of UnreachableError, MalformedError (but for 3xx) and
            TruncatedError, where a request that is not repeatable was sent, and its answer could
            not be read whole, or was one of a gateway in the server's place: 502, 504, or 503 to
            the end.
        """

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """What `work` makes of each item, as it is done; as many at once as the job allows.

        `work` runs in threads of the transport and calls `send`. Items are drawn in the caller's
        thread, each only when there is a thread free for it. An exception of `work` or of `items`,
        or an iterator that is closed early: no more items are drawn, those under way are waited
        for, and then the first exception is raised.
        """

    def close(self) -> None:
        """Let go of connections and threads. Never raises."""


# ---------------------------------------------------------------- what an answer holds


class UserList(Struct, frozen=True):
    """A page of resources (RFC 7644 §3.4.2)."""

    standard: list[Resource] | None = field(default=None, name="Resources")
    entra: list[Resource] | None = field(default=None, name="resources")
    """As Microsoft Entra spells it."""
    total: int | None = field(default=None, name="totalResults")
    """How many there are on all pages; None where the server does not say."""
    cursor: str | None = field(default=None, name="nextCursor")
    """Of the next page (RFC 9865 §2.1); empty or None on the last one."""

    @property
    def users(self) -> list[Resource]:
        """The resources, whichever way they are spelt."""
        return (self.entra if self.standard is None else self.standard) or []


_LIST_DECODER: Final = msgspec.json.Decoder(UserList, strict=False)


def read_list(answer: Answer) -> UserList:
    """The page in the answer. Raises the kinds of IncompleteRead."""
    what = "a list of users"
    if not answer.is_success:
        raise refusal_error(answer, what)
    try:
        found = _LIST_DECODER.decode(answer.body)
    except NOT_JSON:
        raise _odd_content(answer, what) from None
    if found.standard is None and found.entra is None and found.total is None:
        what += " was answered with neither users nor their number"
        raise MalformedError(what, where=answer.where)
    for user in found.users:
        _require_id(user, answer)
    return found


def read_user(answer: Answer) -> Resource:
    """The user in the answer; it has an id. Raises MalformedError."""
    found = read_document(answer)
    if not isinstance(found, dict):
        raise _odd_content(answer, "a user")
    _require_id(found, answer)
    return found


def _require_id(user: Resource, answer: Answer) -> None:
    if not read_id(user):
        raise MalformedError("a user was answered that has no id", where=answer.where)


def read_document(answer: Answer) -> Json:
    """Whatever JSON the answer is; None where it is none, or nested too deeply to be walked."""
    try:
        is_deep = too_deep(answer.body)
        return None if is_deep else msgspec.json.decode(answer.body)
    except NOT_JSON:
        return None


def _odd_content(answer: Answer, what: str) -> MalformedError:
    hint = looks_like(answer.body) or "a body that is not SCIM (RFC 7644 §3.4)"
    if too_deep(answer.body):
        hint = "JSON that is nested too deeply"
    return MalformedError(
        f"{what} was answered with {name_status(answer.status)} and {hint}",
        where=answer.where,
    )


# ---------------------------------------------------------------- what a refusal says

_SCIM_TYPES: Final = frozenset({
    "invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue",
    "invalidVers", "sensitive",  # RFC 7644 §3.12
    "invalidCursor", "expiredCursor", "invalidCount",  # RFC 9865 §2.3
})  # fmt: skip
_WORD_KEYS: Final = (
    "detail", "message", "error_description", "title", "description", "error", "errors",
)  # fmt: skip
"""Where words are: RFC 7644 §3.12, RFC 6749 §5.2, RFC 9457 §3, and what others use."""
_SCOPE: Final = re.compile(
    r"""\bscope=(?:"([^"]{1,200})"|([^\s",]{1,200}))""", re.IGNORECASE
)
_NAMING_MEMBERS: Final = frozenset({"schemas", "op", "path"})
"""Members of a request whose values are names, and no values of a user."""
_PROTOCOL_NAMES: Final = (
    "scimtype patchop resourcetype serviceproviderconfig listresponse startindex itemsperpage "
    "totalresults etag oauth invalidfilter toomany invalidsyntax invalidpath notarget invalidvalue "
    "invalidvers caseexact value values type primary display ref"
)


def refusal_error(
    answer: Answer,
    what: str,
    right: str = READING,
) -> IncompleteRead:
    """The error that a refusal is; `what` was asked for, and `right` is what that takes."""
    unauthorized = answer.status in (401, 403)
    error = DeniedError if unauthorized else IncompleteRead
    why = f"{what} was answered with {describe_refusal(answer, right)}"
    if answer.status == 404:
        why += (
            "; not found. Check `url`: the base address, such as https://host/scim/v2"
        )
    return error(why, where=answer.where)


def describe_refusal(answer: Answer, right: str = "") -> str:
    """Status, kind, and the server's own words as far as they can be shown (RFC 7644 §3.12).

    `right`: what to grant where one is missing.
    """
    known = (*_KNOWN_NAMES, *_list_sent_names(answer))
    words = select_shown_words(_find_words(answer), _list_secrets(answer), known)
    kind = describe_kind(answer)
    described = f"{kind}: {words}" if words else kind
    return described + advise_right(answer, right) if right else described


def describe_kind(answer: Answer) -> str:
    """Status and kind of a refusal: the same each time, and nobody's words."""
    scim_type = _find_scim_type(answer)
    text = name_status(answer.status)
    return f"{text}, {scim_type}" if scim_type else text


def advise_right(answer: Answer, right: str) -> str:
    """What to grant where an answer says that a right is missing (403), such as `read users`.

    Some servers answer 403 to a value that they do not want, and name that kind of error.
    """
    if answer.status != 403 or _find_scim_type(answer):
        return ""
    scope = _find_scope(answer)
    asks = f". The server asks for the scope {scope}" if scope else ""
    return (
        "; grant the job's account, and the scope of its token, "
        f"the right to {right}{asks}"
    )


def _find_scim_type(answer: Answer) -> str:
    """The kind of error that a refusal names, where it is one of the RFC's; else empty."""
    found = to_text(find_member(read_document(answer), "scimType"))
    return found if found in _SCIM_TYPES else ""


def _find_scope(answer: Answer) -> str:
    """The scope that the server asks for (RFC 6750 §3.1); empty where none can be shown."""
    found = _SCOPE.search(answer.headers.get("www-authenticate", ""))
    named = (found[1] or found[2]) if found else ""
    shown = select_shown_words(named, _list_secrets(answer), named.split())
    return shown if LEFT_OUT not in shown else ""


def _find_words(answer: Answer) -> str:
    """The server's words: of its JSON, or its text where it is neither JSON nor a page."""
    found = read_document(answer)
    if found is None:
        text = answer.body[: 4 * READ].decode("utf-8", "replace")
        is_markup = text.lstrip()[:1] in ("<", "{", "[")
        return "" if is_markup or "\0" in text else text
    words = {
        name.lower(): held
        for name, held in _walk_members(found)
        if isinstance(held, str) and held
    }
    return next((words[key] for key in ("", *_WORD_KEYS) if key in words), "")


def _list_secrets(answer: Answer) -> list[str]:
    """What an answer must not repeat: every value of the request, and what proved who asks."""
    found = list(answer.proofs)
    for name, value in _walk_members(answer.sent):
        if name not in _NAMING_MEMBERS and not isinstance(value, bool):
            found.append(to_text(value))
    return found


def _list_sent_names(answer: Answer) -> Iterator[str]:
    """Members of what was sent, and paths of its operations: names, and never values."""
    for name, value in _walk_members(answer.sent):
        yield name
        if name == "path":
            yield to_text(value).partition("[")[0]


def _walk_members(found: Json, name: str = "") -> Iterator[tuple[str, Json]]:
    """Every member of JSON by its name; those in lists by the list's name."""
    yield name, found
    if isinstance(found, dict):
        for key, held in found.items():
            yield from _walk_members(held, key)
    elif isinstance(found, list | tuple):
        for held in found:
            yield from _walk_members(held, name)


_KNOWN_NAMES: Final = frozenset(
    [
        *_PROTOCOL_NAMES.split(),
        *(
            value
            for name, value in _walk_members(ASSUMED_DOCUMENT)
            if name in ("name", "id")
        ),
    ]
)
"""Names that a message may speak of beside those that the request itself named."""
