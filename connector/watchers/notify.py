"""Telling somebody that a run needs them: whom a job names, on the occasions that it names, again until it arrives.

Nothing here ever fails a run: what cannot be told is logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from connector.custody import resolve
from connector.errors import ConnectorError, UnreachableError
from connector.settings.job import LoadedJob
from connector.settings.operations import Notify
from connector.watchers.facts import RunFacts
from connector.watchers.notices import Notice, notice, occasions

log = structlog.get_logger(__name__)

SINGLE_RUN: Final = 3
"""Attempts before a process that is about to end gives up."""


def wanted(job: LoadedJob, facts: RunFacts, waiting: Path | None = None) -> Notice | None:
    """The message that the job wants sent about this run, if any."""
    settings = job.job.notify
    found = tuple(each for each in occasions(facts) if settings is not None and each in settings.when)
    return notice(facts, found, job.path.absolute(), waiting) if found else None


def tell(job: LoadedJob, facts: RunFacts) -> None:
    """Tell of a single run what there is to tell; a few attempts, with short waits. Never raises."""
    told = wanted(job, facts)
    if told is not None:
        deliver(job, told, SINGLE_RUN)


def deliver(job: LoadedJob, told: Notice, attempts: int, sleep: Callable[[float], None] = time.sleep) -> None:
    """Send a message to all whom the job names, as often as that takes, `attempts` at most. Never raises."""
    assert job.job.notify is not None
    for way, send in _ways(job, job.job.notify, told):
        retrying = Retrying(
            sleep=sleep,
            stop=stop_after_attempt(attempts),
            wait=wait_exponential_jitter(initial=1, max=300, jitter=1),
            retry=retry_if_exception_type(UnreachableError),
            reraise=True,
        )
        try:
            retrying(send)
        except ConnectorError as fault:
            log.warning("notice not sent", job=job.name, way=way, reason=str(fault))
        else:
            log.info("notice sent", job=job.name, way=way, occasions=told.occasions)


def _ways(job: LoadedJob, settings: Notify, told: Notice) -> list[tuple[str, Callable[[], None]]]:
    ways: list[tuple[str, Callable[[], None]]] = []
    if settings.webhook is not None:
        ways.append(("webhook", partial(_post, job, told)))
    if settings.mail is not None:
        ways.append(("mail", partial(_mail, job, told)))
    return ways


def _post(job: LoadedJob, told: Notice) -> None:
    from connector.watchers.webhook import post  # noqa: PLC0415  # httpx, when there is something to say

    settings = job.job.notify and job.job.notify.webhook
    assert settings
    where = job.where("notify", "webhook", "secret")
    post(settings, resolve(settings.secret, "the secret of the webhook", where), told)


def _mail(job: LoadedJob, told: Notice) -> None:
    from connector.watchers.mail import send  # noqa: PLC0415  # smtplib, when there is something to say

    settings = job.job.notify and job.job.notify.mail
    assert settings
    where = job.where("notify", "mail", "password")
    ref = settings.password
    send(settings, resolve(ref, "the password of the mail server", where) if ref else None, told)
