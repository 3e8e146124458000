"""Exchanges with the tenant's server: what passes is tried again, and an answer is put into one line for messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from connector.errors import (
    DeniedError,
    IncompleteRead,
    MalformedError,
    UnreachableError,
)
from connector.net import tls
from connector.net.http import Answer, Channel, Limits, host_of_redirect
from connector.net.quoting import looks_like, phrase
from connector.net.retry import seconds_to_wait
from connector.runtime.log import log
from connector.settings.job import CecSource as CecSourceSettings
from connector.sources.envelopes import envelope_in

REFUSED: Final = (401, 403)
LONGEST: Final = 120.0
"""Seconds that `Retry-After` is honoured for at most."""


class Exchange(Channel):
    """Requests to one server; a context manager. `hide`: every secret known so far, which no error text repeats."""

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
        limits = Limits(settings.timeout, settings.max_bytes, "source")
        super().__init__(tls.context(settings.ca_file), settings.headers, limits)

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        bound: int | None = None,
        content: bytes = b"",
    ) -> Answer:
        """The answer, of any status; 429, 5xx and connections that fail are tried again first.

        `bound`: octets of a token's body. Raises UnreachableError, UntrustedError, MalformedError, TruncatedError.
        """
        where, attempt = f"{self._base}{path}", 1
        while True:
            try:
                answer = self.exchange(
                    method, where, headers, content=content, bound=bound
                )
            except UnreachableError as fault:
                if attempt > self._retries:
                    raise
                self._pause(attempt, str(fault), None)
            else:
                passing = answer.status == 429 or answer.status >= 500  # RFC 9110 §15.6
                if attempt > self._retries or not passing:
                    return answer
                self._pause(attempt, f"status {answer.status}", answer.headers)
            attempt += 1

    def _pause(
        self, attempt: int, reason: str, headers: Mapping[str, str] | None
    ) -> None:
        wait = min(seconds_to_wait(attempt, headers), LONGEST)
        log.warning(
            "request repeated", attempt=attempt, reason=reason, wait=round(wait, 3)
        )
        self._sleep(wait)

    def summary(self, answer: Answer) -> str:
        """Status, and what the body says in an envelope or looks like."""
        envelope = envelope_in(answer.body)
        said = (
            envelope.describe(self.hide, answer.body)
            if envelope
            else looks_like(answer.body)
        )
        status = phrase(answer.status)
        return f"{status} ({said})" if said and said != "empty" else status

    def failure(self, answer: Answer, what: str) -> IncompleteRead:
        """The error that an answer other than 200 is; `what` was asked."""
        said = f"{what} was answered with {self.summary(answer)}"
        if answer.status in REFUSED:
            return DeniedError(said, where=answer.where)
        if away := host_of_redirect(answer):
            return MalformedError(
                f"{said}: redirected to {away}, not followed", where=answer.where
            )
        if answer.status < 400:  # RFC 9110 §15.3, §15.4
            return MalformedError(f"{said}, not 200", where=answer.where)
        return IncompleteRead(said, where=answer.where)
