"""The agent query of a CEC tenant, over HTTPS: a token, and one request for the whole tenant.

Paths, headers and statuses are those of the vendor's pages of `tokenByAkSk` and `queryAgentInfo`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any, Final

import msgspec
from msgspec import Struct

from connector.errors import (
    NOT_JSON,
    DeniedError,
    FileError,
    IncompleteRead,
    MalformedError,
    SourceTruncatedError,
    UnreachableError,
)
from connector.model import Secret, Tenant, text_of
from connector.net import tls
from connector.net.http import ExchangeLimits, HttpAnswer, HttpChannel, host_of_redirect
from connector.net.quoting import looks_like, name_status
from connector.net.retry import TokenKeeper, parse_lifetime, seconds_to_wait
from connector.runtime.log import log
from connector.settings.job import CecSource as CecSourceSettings
from connector.sources.accounts import (
    AccountPage,
    AccountRecords,
    collect_records,
    decode_page,
    join_accounts,
)
from connector.sources.envelopes import envelope_in
from connector.sources.records import decode_tenant

SPELLINGS: Final = ("CC-Mangemant", "CC-Management")
"""How the vendor's pages spell one and the same part of the path."""
REFUSED: Final = (401, 403)
LONGEST_PAUSE: Final = 120.0
"""Seconds that `Retry-After` is honoured for at most."""
ASKED_SECONDS: Final = 3600
"""What `X-Token-Expire` may ask for at most."""
ASSUMED_SECONDS: Final = 600
"""What a token is taken to last if the answer does not say; the page's sample says 600."""
MAX_TOKEN_OCTETS: Final = 1 << 16
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class CecSource:
    """Reads the whole tenant over HTTP(S).

    One object may read again and again, with one token while it lasts. Without `passwords`
    those of the agents are not kept. `fields` of the account list are kept; None: it is not read.
    `clock` (seconds, monotonic) and `sleep` are there so that time-outs and waits can be tried without waiting.
    """

    def __init__(
        self,
        settings: CecSourceSettings,
        app_key: Secret,
        app_secret: Secret,
        *,
        passwords: bool = True,
        fields: frozenset[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises FileError if the app key cannot stand in a header."""
        key, secret = text_of(app_key), text_of(app_secret)
        if not _HEADER_VALUE.fullmatch(key):
            why = "empty, or holds a character that no header can carry"
            raise FileError(why, where="source.app_key")
        self._settings = settings
        self._app_key = key
        self._token = TokenKeeper(clock)
        self._credentials = msgspec.json.encode({"app_key": key, "app_secret": secret})
        self._hide = [text for text in (key, secret) if text]
        self._passwords = passwords
        self._fields = fields
        self._sleep = sleep

    def read(self) -> Tenant:
        """Read the tenant, whole. Raises one of the kinds of `IncompleteRead`."""
        with CecExchange(
            self._settings, hide=self._hide, sleep=self._sleep
        ) as exchange:
            answer = self._query_agents(exchange)
            listed = self._read_accounts(exchange)
        tenant = decode_tenant(
            answer.body, answer.where, self._hide, passwords=self._passwords
        )
        if listed is None:
            return tenant
        records, shape = listed
        return join_accounts(tenant, records, shape)

    def _read_accounts(
        self, exchange: CecExchange
    ) -> tuple[AccountRecords, str] | None:
        """Read the account list whole, if the job asks for it.

        The vendor's table has the parameters of the request in a wrapper, and its samples have not:
        a refusal of the first page is answered by the other form.
        """
        accounts = self._settings.accounts
        if self._fields is None or accounts is None:
            return None
        octets = 0
        is_wrapped = False

        def ask_page(number: int) -> AccountPage:
            nonlocal octets, is_wrapped
            parameters: dict[str, Any] = {
                "pageNum": number,
                "pageSize": accounts.page_size,
            }
            answer = self._ask_accounts(
                exchange, accounts.path, parameters, wrapped=is_wrapped
            )
            if number == 0 and _is_refusal(answer):
                is_wrapped = True
                answer = self._ask_accounts(
                    exchange, accounts.path, parameters, wrapped=True
                )
            if answer.status != 200:
                raise exchange.make_error(answer, "the account list")
            octets += len(answer.body)
            if octets > self._settings.max_bytes:
                why = f"the account list is longer than source.max_bytes ({self._settings.max_bytes})"
                raise SourceTruncatedError(why, where=answer.where)
            return decode_page(answer.body, answer.where, self._hide)

        where = f"{self._settings.url.rstrip('/')}{accounts.path}"
        records, shape = collect_records(ask_page, where, self._fields)
        log.info("account list answered", records=records.listed, octets=octets)
        return records, f"{shape}, asked {'wrapped' if is_wrapped else 'flat'}"

    def _ask_accounts(
        self,
        exchange: CecExchange,
        path: str,
        parameters: Mapping[str, Any],
        *,
        wrapped: bool,
    ) -> HttpAnswer:
        content = {"requestParams": parameters} if wrapped else parameters
        return self._ask_with_token(exchange, path, msgspec.json.encode(content))

    def _query_agents(self, exchange: CecExchange) -> HttpAnswer:
        path = self._settings.path
        answer = self._ask_with_token(exchange, path)
        other = _other_spelling(path)
        if answer.status == 404 and other:
            log.warning(
                "agent query not found, trying the other spelling",
                path=path,
                other=other,
            )
            first, path = answer, other
            answer = self._ask_with_token(exchange, path)
            if answer.status == 404:
                both = f"{exchange.summarize_answer(first)}, and {exchange.summarize_answer(answer)} at {path}"
                raise IncompleteRead(
                    f"no agent query at either spelling of its path: {both}",
                    where=first.where,
                )
        if answer.status != 200:
            raise exchange.make_error(answer, "the agent query")
        log.info("agent query answered", path=path, octets=len(answer.body))
        return answer

    def _ask_with_token(
        self, exchange: CecExchange, path: str, content: bytes | None = None
    ) -> HttpAnswer:
        """Ask with a token that the server takes; after one refusal, with a new token. `content`: by POST."""
        token_path = self._settings.token_path
        fetch = partial(_fetch_token, exchange, token_path, self._credentials)
        token = self._token.get_token(fetch)
        first = self._ask_once(exchange, path, token, content)
        if first.status not in REFUSED:
            return first
        what = "agent query" if content is None else "account list"
        log.warning(f"{what} refused, trying a new token", status=first.status)
        renewed = self._token.get_token(fetch, token)
        second = self._ask_once(exchange, path, renewed, content)
        if second.status in REFUSED:
            said = exchange.summarize_answer(first)
            both = f"{said}; with a new token: {exchange.summarize_answer(second)}"
            why = f"the {what} was refused: {both}"
            if content is not None:
                why += ". The key may query agents, and not agentAccount/query"
            raise DeniedError(why, where=second.where)
        return second

    def _ask_once(
        self,
        exchange: CecExchange,
        path: str,
        token: str,
        content: bytes | None,
    ) -> HttpAnswer:
        if token not in self._hide:
            self._hide.append(token)
        headers = {"x-app-key": self._app_key, "Authorization": f"Bearer {token}"}
        if content is None:
            return exchange.send_patiently("GET", path, headers)
        headers["Content-Type"] = "application/json"
        return exchange.send_patiently("POST", path, headers, content=content)


def _is_refusal(answer: HttpAnswer) -> bool:
    """Whether an answer refuses the form of the request: 400, or an error in an envelope."""
    if answer.status != 200:
        return answer.status == 400
    envelope = envelope_in(answer.body)
    return envelope is not None and not envelope.is_success


def _other_spelling(path: str) -> str | None:
    for here, there in (SPELLINGS, SPELLINGS[::-1]):
        if here in path:
            return path.replace(here, there)
    return None


# ---------------------------------------------------------------- requests


class CecExchange(HttpChannel):
    """Requests to one server; a context manager.

    `hide`: every secret known so far, which no error text repeats.
    """

    def __init__(
        self,
        settings: CecSourceSettings,
        *,
        hide: list[str],
        sleep: Callable[[float], None],
    ) -> None:
        """Raises FileError if `ca_file` cannot be used."""
        self.hide = hide
        self._base = settings.url.rstrip("/")
        self._retries, self._sleep = settings.retries, sleep
        limits = ExchangeLimits(settings.timeout, settings.max_bytes, "source")
        super().__init__(
            tls.open_tls_context(settings.ca_file), settings.headers, limits
        )

    def send_patiently(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        bound: int | None = None,
        content: bytes = b"",
    ) -> HttpAnswer:
        """Return the answer, of any status; 429, 5xx and failed connections are tried again first.

        `bound`: octets of a token's body. Raises UnreachableError, UntrustedError,
        MalformedError, TruncatedError.
        """
        where = f"{self._base}{path}"
        for attempt in count(1):
            said: Mapping[str, str] = {}
            try:
                answer = self.exchange_once(
                    method, where, headers, content=content, bound=bound
                )
                # RFC 9110 §15.6
                may_pass = answer.status == 429 or answer.status >= 500
                if attempt > self._retries or not may_pass:
                    break
                reason, said = f"status {answer.status}", answer.headers
            except UnreachableError as fault:
                if attempt > self._retries:
                    raise
                reason = str(fault)
            wait = min(seconds_to_wait(attempt, said), LONGEST_PAUSE)
            log.warning(
                "request repeated", attempt=attempt, reason=reason, wait=round(wait, 3)
            )
            self._sleep(wait)
        return answer

    def summarize_answer(self, answer: HttpAnswer) -> str:
        """Tell the status, and what the body says in an envelope or looks like."""
        said = self.describe_envelope(answer)
        if said is None:
            said = looks_like(answer.body)
        status = name_status(answer.status)
        if not said or said == "empty":
            return status
        return f"{status} ({said})"

    def describe_envelope(self, answer: HttpAnswer) -> str | None:
        """Tell what the body says in an envelope; None if it is no JSON object."""
        envelope = envelope_in(answer.body)
        if envelope is None:
            return None
        return envelope.describe_error(self.hide, answer.body)

    def make_error(self, answer: HttpAnswer, what: str) -> IncompleteRead:
        """Make the error that an answer other than 200 is; `what` was asked."""
        said = f"{what} was answered with {self.summarize_answer(answer)}"
        where = answer.where
        if answer.status in REFUSED:
            return DeniedError(said, where=where)
        other_host = host_of_redirect(answer)
        if other_host:
            why = f"{said}: redirected to {other_host}, not followed"
            return MalformedError(why, where=where)
        if answer.status < 400:  # RFC 9110 §15.3, §15.4
            return MalformedError(f"{said}, not 200", where=where)
        return IncompleteRead(said, where=where)


# ---------------------------------------------------------------- the token


class _TokenAnswer(Struct, rename="pascal"):
    access_token: Any = None
    expires: Any = None


def _fetch_token(
    exchange: CecExchange, path: str, credentials: bytes
) -> tuple[str, float]:
    """Fetch a new token, and how many seconds it lasts.

    Raises DeniedError, or another kind of IncompleteRead.
    """
    headers = {"Content-Type": "application/json", "X-Token-Expire": str(ASKED_SECONDS)}
    answer = exchange.send_patiently(
        "POST", path, headers, content=credentials, bound=MAX_TOKEN_OCTETS
    )
    if answer.status != 200:
        raise exchange.make_error(answer, "the token call")
    return _read_token(exchange, answer)


def _read_token(exchange: CecExchange, answer: HttpAnswer) -> tuple[str, float]:
    """Read the token, and how many seconds it lasts.

    No text of this answer but an envelope's is ever shown, for it may hold a token.
    """
    where = answer.where
    try:
        answered = msgspec.json.decode(answer.body, type=_TokenAnswer)
    except NOT_JSON:
        answered = None
    if answered is None:
        hint = looks_like(answer.body) or "something else"
        what = f"the token call's answer is not a JSON object but {hint}"
        raise MalformedError(what, where=where)
    token = answered.access_token
    if isinstance(token, str) and _TOKEN.fullmatch(token):
        return token, parse_lifetime(answered.expires, ASSUMED_SECONDS)
    said = exchange.describe_envelope(answer)
    if said and not token:
        raise DeniedError(f"the token call was refused: {said}", where=where)
    what = "no usable AccessToken in the token call's answer"
    raise MalformedError(what, where=where)
