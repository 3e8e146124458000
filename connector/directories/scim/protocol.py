"""The seam between SCIM and HTTP: what is asked of a server, and what comes back.

`transport.py` implements it; everything above speaks of resources and knows no HTTP client, no token and no clock.
Bodies may hold secrets, also where a server promises not to return them: no repr, log or
error here or above shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, TypeVar

from msgspec import Struct

from connector.errors import IncompleteRead, TruncatedError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Item = TypeVar("Item")
Result = TypeVar("Result")

# RFC 7644 §3.1, of what is sent and of what is accepted
MEDIA_TYPE: Final = "application/scim+json"
PLAIN_JSON: Final = "application/json"  # accepted as well
BUSY: Final = (429, 503)
"""Too Many Requests (RFC 6585 §4), Service Unavailable (RFC 9110 §15.6.4): asked again
while there is patience."""


class Request(Struct, frozen=True):
    """One request below the directory's base address.

    `path` begins with a slash and is percent-encoded already; `params` are not. `body` is what msgspec can encode, or
    None for none. `headers` are those of SCIM alone, such as If-Match, and a content type
    that is not MEDIA_TYPE; what proves who we are is the transport's. `repeatable`: sent
    twice, it does no more than once, even though another may have written in between.
    `still` is called before a request is sent again that the server was too busy for (429,
    503): whether it still should be, after what may have been a long pause. It may send requests itself. If not, that
    answer is the answer.
    """

    method: Method
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = False
    still: Callable[[], bool] | None = None

    def __repr__(self) -> str:
        return f"<{self.method} {self.path}>"


class Answer(Struct, frozen=True):
    """An answer, read to its end, of any status but those that `Transport.send` makes an error of.

    `content` is the body's octets, decompressed and bounded, whatever the content type says: it may be JSON, HTML or
    nothing. `headers` are by lower-case name. `where` is the address that was asked,
    without its query. `attempts`: how often the request was sent; where it is more than
    one, an earlier one may have been carried out. `sent`: the body of the request, and
    `proofs`: what proved who asks: a server may repeat both in its answer.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    where: str
    attempts: int = 1
    sent: Any = None
    proofs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<answer {self.status} of {self.where}>"


class LostAnswerError(IncompleteRead):
    """A request was sent and its answer did not come, or not whole: it may have been carried out.

    Raised only for requests that are not `repeatable`.
    """


class ImpatientError(TruncatedError):
    """The pauses of a run are used up, so that nothing that is asked for from now on may be answered."""


class Transport(Protocol):
    """Requests to one server, from several threads at once."""

    def send(self, request: Request) -> Answer:
        """The answer, after as much patience as the job allows. May be called by several threads at once.

        Tried again, with what Retry-After says or a growing random pause: 429 and 503
        always; connections that fail before the request was sent always; 502, 504,
        time-outs and connections that are cut only where the request is
        `repeatable`; 500 twice, where it is. 401 is met with one new token, where tokens can be renewed. All pauses of
        a run together are bounded.

        An answer: every status that is left after that, 2xx, 4xx and 5xx. An error, one of
        the kinds of IncompleteRead; the request was certainly not carried out, unless it is
        LostAnswerError:
          - UnreachableError: no connection; no answer to a repeatable request. The server has gone: nothing is tried
            again after that.
          - UntrustedError: TLS could not establish whom we talk to.
          - ProxyRefusedError: a proxy refuses us, is none, or is not trusted; nothing was sent to the server.
          - DeniedError: 401, also with a new token; or the token endpoint refuses us.
          - NoTokenError, a MalformedError: there is no token in what the token endpoint answered.
          - MalformedError: 3xx (which is never followed); a body that is garbled on its way.
          - ImpatientError, a TruncatedError: 429 or 503 until the patience had an end, after which every request that
            would need some fails at once.
          - TruncatedError: a body that is longer than the job allows, or that does not come to an end in time.
          - LostAnswerError: in place of UnreachableError, MalformedError (but for 3xx) and TruncatedError, where a
            request that is not repeatable was sent, and its answer could not be read whole, or was one of a gateway in
            the server's place: 502, 504, or 503 to the end.
        """

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """What `work` makes of each item, in the order in which it is done; as many at once as the job allows.

        `work` runs in threads of the transport and calls `send`. Items are drawn in the caller's thread, each only when
        there is a thread free for it. An exception of `work` or of `items`, or an iterator
        that is closed early: no more items are drawn, those under way are waited for, and
        then it is raised (the first one).
        """

    def close(self) -> None:
        """Let go of connections and threads. Never raises."""
