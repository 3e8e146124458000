"""Requests to a SCIM server over HTTP(S), each on a connection of its own, tried again as far as that is safe."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from queue import SimpleQueue
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from connector.directories.scim.credentials import credentials
from connector.directories.scim.pacing import Patience
from connector.directories.scim.protocol import (
    BUSY,
    MEDIA_TYPE,
    PLAIN_JSON,
    Answer,
    ImpatientError,
    Item,
    LostAnswerError,
    Request,
    Result,
)
from connector.errors import (
    DeniedError,
    IncompleteRead,
    MalformedError,
    RefusedBindError,
    TruncatedError,
    UnreachableError,
)
from connector.model import Secret, text_of
from connector.net import http, tls
from connector.net.quoting import phrase
from connector.net.retry import retry_after, seconds_to_wait
from connector.runtime.log import log
from connector.settings.scim import ScimDirectory

TRIES: Final = 5
"""How often a request is sent at most where there is no answer, or one of a gateway in the
server's place."""
GATEWAY: Final = (502, 504)
"""Answers in the server's place, which may have done what was asked."""
TOKEN_OCTETS: Final = 1 << 16


class HttpTransport:
    """The transport of `protocol.py`: one server, and as many requests at once as the job allows.

    Each thread has a connection of its own, which was measured to be the fastest. `clock`
    and `sleep` are as those of
    `Patience`.
    """

    def __init__(
        self,
        settings: ScimDirectory,
        secret: Secret | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`secret`: what `settings.secret` names. Raises FileError for certificates or a token that are of no use."""
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._tls = tls.context(settings.ca_file, settings.cert_file, settings.key_file)
        self._credentials = credentials(settings, secret, clock)
        self._proof = text_of(secret) if secret else ""
        self._patience = Patience(
            rate=settings.rate, budget=settings.budget, clock=clock, sleep=sleep
        )
        self._heard = False
        self._idle: deque[http.Channel] = deque()
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="scim")

    def send(self, request: Request) -> Answer:
        sending = _Sending.of(request, self._base)
        authorization = self._credentials.value(self._ask_for_a_token)
        answer, attempts = self._patiently(sending.by(authorization))
        if answer.status == 401 and (
            other := self._credentials.renewed(self._ask_for_a_token, authorization)
        ):
            log.warning("access token refused, trying a new one")
            answer, more = self._patiently(sending.by(other))
            attempts, authorization = attempts + more, other
        if answer.status == 401:
            kind = RefusedBindError if self._settings.basic else DeniedError
            what = f"{request.method} was answered with {phrase(401)}: the credentials are wrong or have expired"
            raise kind(what, where=sending.where)
        if 300 <= answer.status < 400:  # RFC 9110 §15.4
            target = http.host_of_redirect(answer)
            away = (
                f"redirected to {target}, not followed. Set `url` to the final address"
            )
            why = (
                away
                if target
                else "no answer to this request. Check the proxies and caches before the server"
            )
            raise MalformedError(f"{phrase(answer.status)}: {why}", where=sending.where)
        proofs = (authorization.partition(" ")[2], self._proof)
        return Answer(
            answer.status,
            dict(answer.headers),
            answer.body,
            sending.where,
            attempts,
            request.body,
            proofs,
        )

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        done: SimpleQueue[Future[Result]] = SimpleQueue()
        busy = 0
        source = iter(items)
        try:
            while True:
                for item in islice(source, self._settings.concurrency - busy):
                    self._pool.submit(work, item).add_done_callback(done.put)
                    busy += 1
                if not busy:
                    return
                future = done.get()
                busy -= 1
                yield future.result()
        except BaseException as reason:
            if not isinstance(reason, Exception | GeneratorExit):
                self._patience.end("interrupted")
            raise
        finally:
            while busy:
                done.get()
                busy -= 1

    def close(self) -> None:
        self._patience.end("closed")
        self._pool.shutdown()
        while self._idle:
            self._idle.pop().close()

    def _ask_for_a_token(
        self, where: str, headers: Mapping[str, str], form: bytes
    ) -> http.Answer:
        return self._patiently(
            _Sending(
                "POST", where, where, headers, form, repeatable=True, bound=TOKEN_OCTETS
            )
        )[0]

    def _patiently(self, sending: _Sending) -> tuple[http.Answer, int]:
        """The answer that is left after some patience, and how often it was asked for. Raises IncompleteRead."""
        doubt = False
        for attempt in count(1):
            if not self._patience.turn():
                raise _lost(
                    doubt,
                    ImpatientError(
                        f"not sent: {self._patience.why}", where=sending.where
                    ),
                )
            outcome = self._attempt(sending)
            doubt = doubt or _may_be_done(outcome, sending)
            if not _passing(outcome, attempt, sending.repeatable):
                break
            if not self._pause(outcome, attempt):
                if isinstance(outcome, http.Answer) and outcome.status in BUSY:
                    outcome = self._impatient(outcome)
                break
            if (
                isinstance(outcome, http.Answer)
                and sending.still is not None
                and not sending.still()
            ):
                break
        if isinstance(outcome, http.Answer):
            if outcome.status in GATEWAY and not sending.repeatable:
                raise LostAnswerError(
                    f"sent, but: {phrase(outcome.status)}", where=sending.where
                )
            return outcome, attempt
        if (
            isinstance(outcome, UnreachableError) and attempt == TRIES
        ):  # it has gone, and no other serves this run
            self._patience.end("the server is gone")
        raise _lost(doubt, outcome)

    def _attempt(self, sending: _Sending) -> http.Answer | IncompleteRead:
        try:  # on a connection that nobody else uses meanwhile
            channel = self._idle.pop()
        except IndexError:
            channel = http.Channel(
                self._tls,
                {"Accept": f"{MEDIA_TYPE}, {PLAIN_JSON}"},
                http.Limits(
                    self._settings.timeout, self._settings.max_bytes, "directory"
                ),
                keeps_connections=True,
            )
        try:
            answer = channel.exchange(
                sending.method,
                sending.url,
                sending.headers,
                content=sending.content,
                bound=sending.bound,
            )
        except UnreachableError as fault:
            return fault if self._heard else self._unheard(fault)
        except IncompleteRead as fault:
            return fault
        finally:
            self._idle.append(channel)
        self._heard = True
        return replace(answer, where=sending.where)

    def _unheard(self, fault: UnreachableError) -> UnreachableError:
        """Many servers that want a certificate cut the connection without a word (TLS 1.3: after the handshake)."""
        if (
            not fault.sent
            or self._settings.cert_file is not None
            or urlsplit(self._base).scheme != "https"
        ):
            return fault
        what = f"{fault.what}. If the server requires a client certificate, set directory.cert_file"
        return UnreachableError(what, where=fault.where, sent=fault.sent)

    def _pause(self, outcome: http.Answer | IncompleteRead, attempt: int) -> bool:
        """Wait before the next attempt; False where there is no patience left."""
        headers = outcome.headers if isinstance(outcome, http.Answer) else {}
        # none at all is no answer to how long, and would never use the patience up
        asked = retry_after(headers)
        wait = asked or seconds_to_wait(attempt)
        reason = (
            f"status {outcome.status}"
            if isinstance(outcome, http.Answer)
            else str(outcome)
        )
        log.warning(
            "request to be repeated",
            attempt=attempt,
            reason=reason,
            wait=round(wait, 3),
        )
        return self._patience.pause(wait, everybody=bool(asked))

    def _impatient(self, answer: http.Answer) -> ImpatientError:
        asked = retry_after(answer.headers)
        after = f", to be asked again after {asked:.0f} s" if asked else ""
        slower = (
            "; lower directory.rate to keep within the server's limit"
            if answer.status == 429
            else ""
        )
        return ImpatientError(
            f"{phrase(answer.status)}{after}: {self._patience.why}{slower}",
            where=answer.where,
        )


class _Sending(Struct, frozen=True):
    """A request as it goes onto the wire. `where`: the address without its query, for messages."""

    method: str
    url: str
    where: str
    headers: Mapping[str, str]
    content: bytes = b""
    repeatable: bool = False
    still: Callable[[], bool] | None = None
    bound: int | None = None

    @classmethod
    def of(cls, request: Request, base: str) -> _Sending:
        where = base + request.path
        query = urlencode(request.params, quote_via=quote)
        headers = dict(request.headers)
        content = b""
        if request.body is not None:
            headers.setdefault("Content-Type", MEDIA_TYPE)
            content = msgspec.json.encode(request.body)
        url = f"{where}?{query}" if query else where
        return cls(
            request.method,
            url,
            where,
            headers,
            content,
            request.repeatable,
            request.still,
        )

    def by(self, authorization: str) -> _Sending:
        return (
            replace(self, headers={**self.headers, "Authorization": authorization})
            if authorization
            else self
        )


def _passing(
    outcome: http.Answer | IncompleteRead, attempt: int, repeatable: bool
) -> bool:
    """Whether to ask again, as `Transport.send` says."""
    if isinstance(outcome, UnreachableError):
        return (repeatable or not outcome.sent) and attempt < TRIES
    if isinstance(outcome, IncompleteRead):
        return False
    if outcome.status in BUSY:
        return True
    return repeatable and (
        (outcome.status in GATEWAY and attempt < TRIES)
        or (outcome.status == 500 and attempt < 2)
    )


def _may_be_done(outcome: http.Answer | IncompleteRead, sending: _Sending) -> bool:
    """Whether an attempt without a proper answer may have been carried out, and that matters."""
    if sending.repeatable:
        return False
    if isinstance(outcome, http.Answer):
        # proxies say so too when the server behind them has gone in the middle of
        # it
        return outcome.status == 503
    return isinstance(outcome, MalformedError | TruncatedError) or getattr(
        outcome, "sent", False
    )


def _lost(lost: bool, fault: IncompleteRead) -> IncompleteRead:
    return (
        LostAnswerError(f"sent, but: {fault.what}", where=fault.where)
        if lost
        else fault
    )
