"""Requests to a SCIM server over HTTP(S), each on a connection of its own, tried again as far as that is safe."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import count, islice
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec.structs import replace

from connector.directories.scim.credentials import make_credentials
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
from connector.net.quoting import name_status
from connector.net.retry import retry_after, seconds_to_wait
from connector.runtime.log import log
from connector.settings.scim import ScimDirectory

TRIES: Final = 5
"""How often a request is sent at most where there is no answer, or one of a gateway in the server's
place."""
GATEWAY: Final = (502, 504)
"""Answers in the server's place, which may have done what was asked."""


class HttpTransport:
    """The transport of `protocol.py`: one server, and as many requests at once as the job allows.

    Each thread has a connection of its own, which was measured to be the fastest.
    """

    def __init__(
        self,
        settings: ScimDirectory,
        secret: Secret | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`secret`: what `settings.secret` names. `clock` and `sleep` are those of `Patience`.

        Raises FileError for certificates or a token that are of no use.
        """
        self._settings = settings
        self._base = settings.url.rstrip("/")
        self._tls = tls.open_tls_context(
            settings.ca_file, settings.cert_file, settings.key_file
        )
        self._find_header = make_credentials(
            settings, secret, clock, self._send_patiently
        )
        self._proof = text_of(secret) if secret else ""
        self._patience = Patience(
            rate=settings.rate, budget=settings.budget, clock=clock, sleep=sleep
        )
        self._was_answered = False
        self._pauses = Counter[str]()
        """How often there was a pause since the last good answer, by the request's method."""
        self._idle: deque[http.HttpChannel] = deque()
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="scim")

    def send(self, request: Request) -> Answer:
        where = self._base + request.path
        asked = replace(request, path=where)
        authorization = self._find_header(None)
        answer = self._send_patiently(_add_authorization(asked, authorization))
        if answer.status == 401:
            refused = authorization
            authorization = self._find_header(refused)
            if authorization != refused:
                log.warning("access token refused, trying a new one")
                answer = self._send_patiently(_add_authorization(asked, authorization))
        self._refuse_no_answer(request.method, answer)
        return Answer(
            answer.status,
            answer.headers,
            answer.body,
            where,
            request.body,
            proofs=(authorization.partition(" ")[2], self._proof),
        )

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        pending: set[Future[Result]] = set()
        source = iter(items)
        try:
            while True:
                free = self._settings.concurrency - len(pending)
                for item in islice(source, free):
                    pending.add(self._pool.submit(work, item))
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except KeyboardInterrupt:
            self._patience.end_all("interrupted")
            raise
        finally:
            wait(pending)

    def close(self) -> None:
        self._patience.end_all("closed")
        self._pool.shutdown()
        while self._idle:
            self._idle.pop().close()

    # ------------------------------------------------------------ one request

    def _refuse_no_answer(self, method: str, answer: http.HttpAnswer) -> None:
        """Raise an error of a status that is no answer: 401, and redirects (RFC 9110 §15.4)."""
        where = answer.where
        if answer.status == 401:
            kind = RefusedBindError if self._settings.basic else DeniedError
            why = "the credentials are wrong or have expired"
            raise kind(
                f"{method} was answered with {name_status(401)}: {why}", where=where
            )
        if 300 <= answer.status < 400:
            why = "no answer to this request. Check the proxies and caches before the server"
            target = http.host_of_redirect(answer)
            if target:
                why = f"redirected to {target}, not followed. Set `url` to the final address"
            raise MalformedError(f"{name_status(answer.status)}: {why}", where=where)

    def _send_patiently(self, request: Request) -> http.HttpAnswer:
        """The answer that is left after some patience; `path` is the whole address. Raises IncompleteRead."""
        for attempt in count(1):
            if not self._patience.await_turn():
                what = f"not sent: {self._patience.why}"
                raise ImpatientError(what, where=request.path)
            outcome = self._exchange_once(request)
            if attempt >= _count_tries(request, outcome):
                break
            can_wait = self._pause_before(request.method, outcome)
            is_answer = isinstance(outcome, http.HttpAnswer)
            if not can_wait or (is_answer and not request.repeatable):
                break
        in_doubt = not request.repeatable and _may_be_done(outcome)
        if isinstance(outcome, UnreachableError) and attempt == TRIES:
            # it has gone, and no other serves this run
            self._patience.end_all("the server is gone")
        if isinstance(outcome, http.HttpAnswer):
            is_spent = outcome.status in BUSY and self._patience.why
            is_lost = outcome.status in GATEWAY and in_doubt
            if not is_spent and not is_lost:
                return outcome
            outcome = self._describe_end(outcome)
        if in_doubt:
            raise LostAnswerError(f"sent, but: {outcome.what}", where=request.path)
        raise outcome

    def _exchange_once(self, request: Request) -> http.HttpAnswer | IncompleteRead:
        """One attempt, on a connection that nobody else uses meanwhile."""
        query = urlencode(request.params, quote_via=quote)
        content = request.body
        if not isinstance(content, bytes):
            content = b"" if content is None else msgspec.json.encode(content)
        try:
            channel = self._idle.pop()
        except IndexError:
            channel = self._open_channel()
        try:
            answer = channel.exchange_once(
                request.method,
                f"{request.path}?{query}" if query else request.path,
                request.headers,
                content=content,
            )
        except UnreachableError as fault:
            return fault if self._was_answered else self._suspect_certificate(fault)
        except IncompleteRead as fault:
            return fault
        finally:
            self._idle.append(channel)
        self._was_answered = True
        if answer.status < 429:
            self._pauses[request.method] = 0
        return replace(answer, where=request.path)

    def _open_channel(self) -> http.HttpChannel:
        settings = self._settings
        limits = http.ExchangeLimits(settings.timeout, settings.max_bytes, "directory")
        headers = {"Accept": f"{MEDIA_TYPE}, {PLAIN_JSON}"}
        return http.HttpChannel(
            self._tls,
            headers,
            limits,
            keeps_connections=True,
        )

    def _suspect_certificate(self, fault: UnreachableError) -> UnreachableError:
        """Many servers that want a certificate cut the connection without a word (TLS 1.3: after the handshake)."""
        is_https = urlsplit(self._base).scheme == "https"
        if not fault.sent or self._settings.cert_file is not None or not is_https:
            return fault
        what = f"{fault.what}. If the server requires a client certificate, set directory.cert_file"
        return UnreachableError(what, where=fault.where, sent=fault.sent)

    def _pause_before(
        self, method: str, outcome: http.HttpAnswer | IncompleteRead
    ) -> bool:
        """Put the next attempt off; False where there is no patience left."""
        reason, asked = str(outcome), None
        if isinstance(outcome, http.HttpAnswer):
            reason = f"status {outcome.status}"
            asked = retry_after(outcome.headers)
        # none at all is no answer to how long, and would never use the patience up
        self._pauses[method] += 1
        wait = asked or seconds_to_wait(self._pauses[method])
        log.warning(
            "request to be repeated",
            attempt=self._pauses[method],
            reason=reason,
            wait=round(wait, 3),
        )
        return self._patience.pause_for(wait)

    def _describe_end(self, answer: http.HttpAnswer) -> IncompleteRead:
        """The error that an answer is of which no more can be made."""
        what = name_status(answer.status)
        if answer.status in GATEWAY:
            return IncompleteRead(what, where=answer.where)
        asked = retry_after(answer.headers)
        if asked:
            what += f", to be asked again after {asked:.0f} s"
        what += f": {self._patience.why}"
        if answer.status == 429:
            what += "; lower directory.rate to keep within the server's limit"
        return ImpatientError(what, where=answer.where)


def _count_tries(request: Request, outcome: http.HttpAnswer | IncompleteRead) -> float:
    """How often a request is sent at most that came to this, as `Transport.send` says."""
    if isinstance(outcome, UnreachableError):
        return TRIES if request.repeatable or not outcome.sent else 1
    if isinstance(outcome, IncompleteRead):
        return 1
    if outcome.status in BUSY:
        return math.inf
    tries = {500: 2}.get(outcome.status, TRIES)
    return tries if request.repeatable and outcome.status in (500, *GATEWAY) else 1


def _may_be_done(outcome: http.HttpAnswer | IncompleteRead) -> bool:
    """Whether what was asked may have been carried out, though there is no proper answer."""
    if isinstance(outcome, http.HttpAnswer):
        # proxies say 503 too when the server behind them has gone in the middle of it
        return outcome.status in (503, *GATEWAY)
    if isinstance(outcome, UnreachableError):
        return outcome.sent
    return isinstance(outcome, MalformedError | TruncatedError)


def _add_authorization(request: Request, authorization: str) -> Request:
    if not authorization:
        return request
    headers = {**request.headers, "Authorization": authorization}
    return replace(request, headers=headers)


class Patience:
    """Turns to send, and pauses before something is sent again, which hold for all threads of a run together.

    When the budget of pauses is used up there are no more pauses; when all has been ended, those
    under way are over, and turns are not waited for either.
    """

    def __init__(
        self,
        *,
        rate: float | None,
        budget: float,
        clock: Callable[[], float],
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`rate`: turns a second, at most; None: no limit. `budget`: seconds that pauses may take together.

        Pauses of several threads at one time count once. `clock` (seconds, monotonic) and `sleep`
        are there to try waits without waiting.
        """
        self._interval = 1 / rate if rate else 0.0
        self._budget = self._left = budget
        self._clock = clock
        self._ended = threading.Event()
        self._sleep = sleep or self._ended.wait
        self._lock = threading.Lock()
        self._next_turn = self._opens = -math.inf
        self.why = ""
        """Why there are no more pauses; empty as long as there are."""

    def await_turn(self) -> bool:
        """Wait until it is this thread's turn, and the server wants to be asked; False if there is no more."""
        while (wait := self._seconds_to_turn()) > 0 and not self._ended.is_set():
            self._sleep(wait)
        return self._clock() >= self._opens

    def _seconds_to_turn(self) -> float:
        with self._lock:
            now = self._clock()
            turn = self._next_turn
            if not self.why:
                turn = max(turn, self._opens)
            if turn <= now:
                self._next_turn = now + self._interval
            return turn - now

    def pause_for(self, seconds: float) -> bool:
        """Let everybody's next turn wait so long; False where the patience does not reach."""
        with self._lock:
            now = self._clock()
            until = now + seconds
            more = max(0.0, until - max(now, self._opens))
            if more > self._left and not self.why:
                longest = f"{self._budget:g} s in all (directory.budget)"
                self.why = f"the server asked for longer pauses than {longest}"
            if self.why:
                return False
            self._left -= more
            self._opens = max(self._opens, until)
            return True

    def end_all(self, why: str) -> None:
        """No more pauses, and no more waiting for turns."""
        self.why = self.why or why
        self._ended.set()
