"""Requests to a SCIM server over HTTP(S), each on a connection of its own, tried again as far as that is safe."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from itertools import count, islice
from queue import SimpleQueue
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct
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
from connector.net.quoting import phrase
from connector.net.retry import retry_after, seconds_to_wait
from connector.runtime.log import log
from connector.settings.scim import ScimDirectory

TRIES: Final = 5
"""How often a request is sent at most where there is no answer, or one of a gateway in the server's
place."""
GATEWAY: Final = (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""Answers in the server's place, which may have done what was asked."""
TOKEN_OCTETS: Final = 1 << 16
"""So long an answer of the token endpoint may be."""


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
        self._tls = tls.context(settings.ca_file, settings.cert_file, settings.key_file)
        self._credentials = make_credentials(
            settings, secret, clock, self._ask_for_token
        )
        self._proof = text_of(secret) if secret else ""
        self._patience = Patience(
            rate=settings.rate, budget=settings.budget, clock=clock, sleep=sleep
        )
        self._was_answered = False
        self._idle: deque[http.Channel] = deque()
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="scim")

    def send(self, request: Request) -> Answer:
        message = self._build_message(request)
        authorization = self._credentials.read_header()
        answer = self._send_patiently(_authorize(message, authorization))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            refused = authorization
            authorization = self._credentials.renew_header(refused)
            if authorization != refused:
                log.warning("access token refused, trying a new one")
                answer = self._send_patiently(_authorize(message, authorization))
        self._refuse_no_answer(request.method, answer, message.where)
        return Answer(
            answer.status,
            dict(answer.headers),
            answer.body,
            message.where,
            request.body,
            proofs=(authorization.partition(" ")[2], self._proof),
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
                self._patience.end_all("interrupted")
            raise
        finally:
            while busy:
                done.get()
                busy -= 1

    def close(self) -> None:
        self._patience.end_all("closed")
        self._pool.shutdown()
        while self._idle:
            self._idle.pop().close()

    # ------------------------------------------------------------ one request

    def _build_message(self, request: Request) -> _Message:
        where = self._base + request.path
        headers = dict(request.headers)
        content = b""
        if request.body is not None:
            headers.setdefault("Content-Type", MEDIA_TYPE)
            content = msgspec.json.encode(request.body)
        query = urlencode(request.params, quote_via=quote)
        return _Message(
            request.method,
            f"{where}?{query}" if query else where,
            where,
            headers,
            content,
            request.repeatable,
            request.busy_before,
        )

    def _ask_for_token(
        self, where: str, headers: Mapping[str, str], form: bytes
    ) -> http.Answer:
        message = _Message(
            "POST", where, where, headers, form, repeatable=True, bound=TOKEN_OCTETS
        )
        return self._send_patiently(message)

    def _refuse_no_answer(self, method: str, answer: http.Answer, where: str) -> None:
        """Raise an error of a status that is no answer: 401, and redirects (RFC 9110 §15.4)."""
        if answer.status == HTTPStatus.UNAUTHORIZED:
            kind = RefusedBindError if self._settings.basic else DeniedError
            why = "the credentials are wrong or have expired"
            raise kind(f"{method} was answered with {phrase(401)}: {why}", where=where)
        if 300 <= answer.status < 400:
            why = "no answer to this request. Check the proxies and caches before the server"
            target = http.host_of_redirect(answer)
            if target:
                why = f"redirected to {target}, not followed. Set `url` to the final address"
            raise MalformedError(f"{phrase(answer.status)}: {why}", where=where)

    def _send_patiently(self, message: _Message) -> http.Answer:
        """The answer that is left after some patience. Raises IncompleteRead."""
        outcome, attempt = self._ask_patiently(message)
        in_doubt = message.may_be_done(outcome)
        if isinstance(outcome, UnreachableError) and attempt == TRIES:
            # it has gone, and no other serves this run
            self._patience.end_all("the server is gone")
        if isinstance(outcome, http.Answer):
            is_patient = outcome.status not in BUSY or not self._patience.is_spent
            is_lost = outcome.status in GATEWAY and in_doubt
            if is_patient and not is_lost:
                return outcome
            outcome = self._describe_end(outcome)
        if in_doubt:
            raise LostAnswerError(f"sent, but: {outcome.what}", where=message.where)
        raise outcome

    def _ask_patiently(
        self, message: _Message
    ) -> tuple[http.Answer | IncompleteRead, int]:
        """What came of the last attempt, and its number."""
        for attempt in count(1):
            if not self._patience.await_turn():
                what = f"not sent: {self._patience.why}"
                raise ImpatientError(what, where=message.where)
            outcome = self._exchange_once(message)
            if not message.may_go_again(outcome, attempt):
                break
            can_wait = self._pause_before(outcome, message.busy_before + attempt)
            is_answer = isinstance(outcome, http.Answer)
            if not can_wait or (is_answer and not message.repeatable):
                break
        return outcome, attempt

    def _exchange_once(self, message: _Message) -> http.Answer | IncompleteRead:
        """One attempt, on a connection that nobody else uses meanwhile."""
        try:
            channel = self._idle.pop()
        except IndexError:
            channel = self._open_channel()
        try:
            answer = channel.exchange(
                message.method,
                message.url,
                message.headers,
                content=message.content,
                bound=message.bound,
            )
        except UnreachableError as fault:
            return fault if self._was_answered else self._suspect_certificate(fault)
        except IncompleteRead as fault:
            return fault
        finally:
            self._idle.append(channel)
        self._was_answered = True
        return replace(answer, where=message.where)

    def _open_channel(self) -> http.Channel:
        settings = self._settings
        limits = http.Limits(settings.timeout, settings.max_bytes, "directory")
        headers = {"Accept": f"{MEDIA_TYPE}, {PLAIN_JSON}"}
        return http.Channel(self._tls, headers, limits, keeps_connections=True)

    def _suspect_certificate(self, fault: UnreachableError) -> UnreachableError:
        """Many servers that want a certificate cut the connection without a word (TLS 1.3: after the handshake)."""
        is_https = urlsplit(self._base).scheme == "https"
        if not fault.sent or self._settings.cert_file is not None or not is_https:
            return fault
        what = f"{fault.what}. If the server requires a client certificate, set directory.cert_file"
        return UnreachableError(what, where=fault.where, sent=fault.sent)

    def _pause_before(
        self, outcome: http.Answer | IncompleteRead, attempt: int
    ) -> bool:
        """Wait before the next attempt; False where there is no patience left."""
        reason, asked = str(outcome), None
        if isinstance(outcome, http.Answer):
            reason = f"status {outcome.status}"
            asked = retry_after(outcome.headers)
        # none at all is no answer to how long, and would never use the patience up
        wait = asked or seconds_to_wait(attempt)
        log.warning(
            "request to be repeated",
            attempt=attempt,
            reason=reason,
            wait=round(wait, 3),
        )
        return self._patience.pause_for(wait, everybody=bool(asked))

    def _describe_end(self, answer: http.Answer) -> IncompleteRead:
        """The error that an answer is of which no more can be made."""
        what = phrase(answer.status)
        if answer.status in GATEWAY:
            return IncompleteRead(what, where=answer.where)
        asked = retry_after(answer.headers)
        if asked:
            what += f", to be asked again after {asked:.0f} s"
        what += f": {self._patience.why}"
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            what += "; lower directory.rate to keep within the server's limit"
        return ImpatientError(what, where=answer.where)


class _Message(Struct, frozen=True):
    """A request as it goes onto the wire."""

    method: str
    url: str
    where: str
    """The address without its query, for messages."""
    headers: Mapping[str, str]
    content: bytes = b""
    repeatable: bool = False
    busy_before: int = 0
    bound: int | None = None
    """Octets that the answer may have; None: as the job says."""

    def may_go_again(self, outcome: http.Answer | IncompleteRead, attempt: int) -> bool:
        """Whether to ask again, as `Transport.send` says."""
        if isinstance(outcome, UnreachableError):
            return (self.repeatable or not outcome.sent) and attempt < TRIES
        if isinstance(outcome, IncompleteRead):
            return False
        if outcome.status in BUSY:
            return True
        if not self.repeatable:
            return False
        most = {500: 2}.get(outcome.status, TRIES)
        return outcome.status in (500, *GATEWAY) and attempt < most

    def may_be_done(self, outcome: http.Answer | IncompleteRead) -> bool:
        """Whether an attempt without a proper answer may have been carried out, and that matters."""
        if self.repeatable:
            return False
        if isinstance(outcome, http.Answer):
            # proxies say 503 too when the server behind them has gone in the middle of it
            return outcome.status in (HTTPStatus.SERVICE_UNAVAILABLE, *GATEWAY)
        if isinstance(outcome, UnreachableError):
            return outcome.sent
        return isinstance(outcome, MalformedError | TruncatedError)


def _authorize(message: _Message, authorization: str) -> _Message:
    if not authorization:
        return message
    headers = {**message.headers, "Authorization": authorization}
    return replace(message, headers=headers)


class Patience:
    """Turns to send, and pauses before something is sent again, of all threads of a run together.

    When the budget of pauses is used up there are no more pauses, and those under way are over; when
    all has been ended, turns are not waited for either.
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
        self._spent = threading.Event()
        self._ended = threading.Event()
        self.why = ""
        """What used it up or ended it."""
        self._sleep = sleep or self._spent.wait
        self._sleep_for_turn = sleep or self._ended.wait
        self._lock = threading.Lock()
        self._next_turn = self._opens = self._paid_until = -math.inf

    def await_turn(self) -> bool:
        """Wait until it is this thread's turn, and the server wants to be asked; False if there is no more."""
        while (wait := self._seconds_to_turn()) > 0 and not self._ended.is_set():
            sleep = self._sleep_for_turn if self._spent.is_set() else self._sleep
            sleep(wait)
        return self._clock() >= self._opens

    def _seconds_to_turn(self) -> float:
        with self._lock:
            now = self._clock()
            turn = self._next_turn
            if not self._spent.is_set():
                turn = max(turn, self._opens)
            if turn <= now:
                self._next_turn = now + self._interval
            return turn - now

    def pause_for(self, seconds: float, *, everybody: bool) -> bool:
        """Wait so long, or let everybody's next turn wait; False, at once, where the patience does not reach."""
        with self._lock:
            now = self._clock()
            until = now + seconds
            more = until - max(now, self._paid_until)
            if more > self._left:
                self._spend_all(
                    f"the server asked for longer pauses than {self._budget:g} s in all "
                    "(directory.budget)"
                )
            if self._spent.is_set():
                return False
            if more > 0:
                self._left -= more
                self._paid_until = until
            if everybody:
                self._opens = max(self._opens, until)
                return True
        self._sleep(seconds)
        return not self._spent.is_set()

    @property
    def is_spent(self) -> bool:
        """Whether there are no more pauses."""
        return self._spent.is_set()

    def _spend_all(self, why: str) -> None:
        self.why = self.why or why
        self._spent.set()

    def end_all(self, why: str) -> None:
        """No more pauses, and no more waiting for turns."""
        self._spend_all(why)
        self._ended.set()
