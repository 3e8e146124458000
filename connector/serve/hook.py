"""`POST /run/JOB`: who may ask for a run of a job, how often, and what is answered.

The bearer token (RFC 6750) is compared in constant time; what is too often is answered by 429 and Retry-After
(RFC 6585 §4).
"""

from __future__ import annotations

import hmac
import math
import time
from collections import deque
from typing import Final

import msgspec
from msgspec import Struct

from connector.errors import ConnectorError
from connector.model import text_of
from connector.net.secret_stores import fetch_secret
from connector.runtime.log import log
from connector.settings.job import LoadedJob
from connector.settings.operations import Hook

_QUIET: Final = 60.0
"""Seconds in which refused calls of a job are one line in the log."""


class HookAnswer(Struct, frozen=True):
    """What is answered to a call."""

    status: int
    """Of HTTP."""
    text: str
    headers: dict[str, str] = {}
    media_type: str = "text/plain; charset=utf-8"


NOT_FOUND: Final = HookAnswer(404, "no job of this name has a hook\n")
BUSY: Final = HookAnswer(409, "a run of this job is under way or about to begin\n")
WAITS: Final = HookAnswer(503, "runs of this job wait; see the log and /readyz\n")


def accept_call(run_id: str) -> HookAnswer:
    """The answer to a call that starts a run."""
    text = msgspec.json.encode({"run": run_id}).decode()
    return HookAnswer(202, f"{text}\n", media_type="application/json")


class CallBook:
    """The calls to one job's hook."""

    def __init__(self) -> None:
        self._accepted: deque[float] = deque()
        """When calls were accepted, on the steady clock."""
        self._told = -_QUIET

    def refuse_call(self, job: LoadedJob, hook: Hook, token: str) -> HookAnswer | None:
        """Why a call with this token is not accepted, as far as token and rate tell; None: it may be."""
        where = job.where("serve", "hook", "token")
        try:
            expected = fetch_secret(hook.token, "the token of the hook", where)
        except ConnectorError as fault:
            log.error("hook cannot be used", job=job.name, reason=str(fault))
            return WAITS
        if not hmac.compare_digest(token.encode(), text_of(expected).encode()):
            self._tell_refusal(job.name)
            challenge = {"WWW-Authenticate": "Bearer"}
            return HookAnswer(401, "the bearer token is missing or wrong\n", challenge)
        return self._refuse_too_many(hook)

    def note_accepted(self) -> None:
        """Count a call that starts a run."""
        self._accepted.append(time.monotonic())

    def _refuse_too_many(self, hook: Hook) -> HookAnswer | None:
        calls, seconds = hook.at_most
        now = time.monotonic()
        while self._accepted and self._accepted[0] <= now - seconds:
            self._accepted.popleft()
        if len(self._accepted) < calls:
            return None
        pause = math.ceil(self._accepted[-calls] + seconds - now)
        after = {"Retry-After": str(max(1, pause))}
        return HookAnswer(429, "more calls than serve.hook.at_most\n", after)

    def _tell_refusal(self, job: str) -> None:
        now = time.monotonic()
        if now - self._told >= _QUIET:
            self._told = now
            log.warning("hook called with a wrong token", job=job)
