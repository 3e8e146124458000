"""The agent query: a token, one request for the whole tenant, and what is done when either is refused.

Paths, headers and statuses are those of the vendor's pages of `tokenByAkSk` and `queryAgentInfo`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from connector.errors import DeniedError, FileError, IncompleteRead
from connector.model import Secret, Tenant, text_of
from connector.net.access_token import TokenKeeper
from connector.net.http import Answer
from connector.runtime.log import log
from connector.settings.job import CecSource as CecSourceSettings
from connector.sources.cec import token
from connector.sources.cec.exchange import REFUSED, Exchange
from connector.sources.records import decode

SPELLINGS: Final = ("CC-Mangemant", "CC-Management")
"""How the vendor's pages spell one and the same part of the path."""

_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class CecSource:
    """Reads the whole tenant over HTTP(S); one object may read again and again, with one token while it lasts.

    Without `passwords` those of the agents are not kept.
    `clock` (seconds, monotonic) and `sleep` are there so that time-outs and waits can be tried without waiting.
    """

    def __init__(
        self,
        settings: CecSourceSettings,
        app_key: Secret,
        app_secret: Secret,
        *,
        passwords: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises FileError if the app key cannot stand in a header."""
        key, secret = text_of(app_key), text_of(app_secret)
        if not _HEADER_VALUE.fullmatch(key):
            raise FileError(
                "empty, or holds a character that no header can carry",
                where="source.app_key",
            )
        self._settings = settings
        self._app_key = key
        self._token = TokenKeeper(clock)
        self._credentials = msgspec.json.encode({"app_key": key, "app_secret": secret})
        self._hide = [text for text in (key, secret) if text]
        self._passwords = passwords
        self._sleep = sleep

    def read(self) -> Tenant:
        """The tenant, whole. Raises one of the kinds of `IncompleteRead`."""
        with Exchange(self._settings, hide=self._hide, sleep=self._sleep) as exchange:
            answer = self._query(exchange)
        return decode(answer.body, answer.where, self._hide, passwords=self._passwords)

    def _query(self, exchange: Exchange) -> Answer:
        path = self._settings.path
        answer = self._authorised(exchange, path)
        if answer.status == 404 and (other := _other_spelling(path)):
            log.warning(
                "agent query not found, trying the other spelling",
                path=path,
                other=other,
            )
            first, path = answer, other
            answer = self._authorised(exchange, path)
            if answer.status == 404:
                both = f"{exchange.summary(first)}, and {exchange.summary(answer)} at {path}"
                raise IncompleteRead(
                    f"no agent query at either spelling of its path: {both}",
                    where=first.where,
                )
        if answer.status != 200:
            raise exchange.failure(answer, "the agent query")
        log.info("agent query answered", path=path, octets=len(answer.body))
        return answer

    def _authorised(self, exchange: Exchange, path: str) -> Answer:
        """The answer with a token that the server takes; only one refusal is met with a new token."""
        fetch = partial(
            token.fetch, exchange, self._settings.token_path, self._credentials
        )
        used = self._token.value(fetch)
        first = self._ask(exchange, path, used)
        if first.status not in REFUSED:
            return first
        log.warning("agent query refused, trying a new token", status=first.status)
        second = self._ask(exchange, path, self._token.renewed(fetch, used))
        if second.status in REFUSED:
            both = f"{exchange.summary(first)}; with a new token: {exchange.summary(second)}"
            raise DeniedError(
                f"the agent query was refused: {both}", where=second.where
            )
        return second

    def _ask(self, exchange: Exchange, path: str, token: str) -> Answer:
        if token not in self._hide:
            self._hide.append(token)
        headers = {"x-app-key": self._app_key, "Authorization": f"Bearer {token}"}
        return exchange.send("GET", path, headers)


def _other_spelling(path: str) -> str | None:
    for here, there in (SPELLINGS, SPELLINGS[::-1]):
        if here in path:
            return path.replace(here, there)
    return None
