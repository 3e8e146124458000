"""Telling somebody that a run needs them: whom a job names, on the occasions that it names, again until it arrives.

Nothing here ever fails a run: what cannot be told is logged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final, Literal, Protocol

from msgspec import Struct

from connector.errors import ConnectorError, UnreachableError
from connector.net.retry import seconds_to_wait
from connector.net.secret_stores import resolve
from connector.observers.mail import send
from connector.observers.notices import Notice, notice, occasions
from connector.observers.run_summary import RunSummary
from connector.observers.webhook import post
from connector.runtime.log import log
from connector.settings.job import LoadedJob
from connector.settings.operations import Notify

SINGLE_RUN: Final = 3
"""Attempts before a process that is about to end gives up."""
LONGEST: Final = 300.0
"""Seconds that a wait between two attempts lasts at most."""


class Notifying(Protocol):
    """What names receivers: a job, or a fleet."""

    @property
    def name(self) -> str:
        """How the log calls it."""

    @property
    def notify(self) -> Notify | None:
        """Whom it names, and on what occasions."""

    def where(self, *keys: str | int) -> str:
        """`path:line` of a key of its file."""


class Target(Struct, frozen=True):
    """One receiver that a job names: the way to it, and where it is."""

    way: Literal["webhook", "mail"]
    where: str


def wanted(
    job: LoadedJob, summary: RunSummary, waiting: Path | None = None
) -> Notice | None:
    """The message that the job wants sent about this run, if any."""
    settings = job.notify
    found = tuple(
        each
        for each in occasions(summary)
        if settings is not None and each in settings.when
    )
    return notice(summary, found, job.path.absolute(), waiting) if found else None


def targets(job: Notifying) -> Iterator[Target]:
    """Whom the job names."""
    settings = job.notify
    if settings is not None and settings.webhook is not None:
        yield Target("webhook", settings.webhook.url)
    if settings is not None and settings.mail is not None:
        yield Target("mail", f"{settings.mail.server} {' '.join(settings.mail.to)}")


def tell(job: LoadedJob, summary: RunSummary) -> None:
    """Tell of a single run what there is to tell, all receivers at once; a few attempts, with short waits.

    Never raises.
    """
    told = wanted(job, summary)
    if told is None:
        return
    threads = [
        threading.Thread(
            target=deliver,
            args=(job, each, told, SINGLE_RUN),
            name=each.way,
            daemon=True,
        )
        for each in targets(job)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def deliver(
    job: Notifying,
    target: Target,
    told: Notice,
    attempts: int,
    leaving: threading.Event | None = None,
) -> bool:
    """Send a message, as often as that takes, `attempts` at most; whether it was taken. Never raises.

    Once `leaving` is set there is no other attempt.
    """
    leaving = leaving or threading.Event()
    for attempt in count(1):
        try:
            _send(job, target, told)
            break
        except ConnectorError as fault:
            again = isinstance(fault, UnreachableError) and attempt < attempts
            if not again or leaving.wait(seconds_to_wait(attempt, longest=LONGEST)):
                log.warning(
                    "notice not sent", job=job.name, way=target.way, reason=str(fault)
                )
                return False
    log.info("notice sent", job=job.name, way=target.way, occasions=told.occasions)
    return True


def _send(job: Notifying, target: Target, told: Notice) -> None:
    settings = job.notify
    assert settings
    if target.way == "webhook":
        assert settings.webhook
        where = job.where("notify", "webhook", "secret")
        post(
            settings.webhook,
            resolve(settings.webhook.secret, "the secret of the webhook", where),
            told,
        )
    else:
        assert settings.mail
        ref, where = settings.mail.password, job.where("notify", "mail", "password")
        send(
            settings.mail,
            resolve(ref, "the password of the mail server", where) if ref else None,
            told,
        )
