"""Telling somebody that a run needs them: whom a job names, on the occasions that it names, again until it arrives.

Nothing here ever fails a run: what cannot be told is logged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from connector.errors import ConnectorError, UnreachableError
from connector.net.retry import seconds_to_wait
from connector.net.secret_stores import fetch_secret
from connector.observers.mail import send_mail
from connector.observers.notices import Notice, find_occasions, make_notice
from connector.observers.run_summary import RunSummary
from connector.observers.webhook import post_notice
from connector.runtime.log import log
from connector.settings.fleet import LoadedFleet
from connector.settings.job import LoadedJob

SINGLE_RUN: Final = 3
"""Attempts before a process that is about to end gives up."""
LONGEST: Final = 300.0
"""Seconds that a wait between two attempts lasts at most."""


Notifying = LoadedJob | LoadedFleet
"""Files that name receivers."""


class NoticeTarget(Struct, frozen=True):
    """One receiver that a job names: the way to it, and where it is."""

    way: Literal["webhook", "mail"]
    where: str


def make_wanted_notice(
    job: LoadedJob, summary: RunSummary, waiting: Path | None = None
) -> Notice | None:
    """The message that the job wants sent about this run, if any."""
    wanted = job.notify.when if job.notify else ()
    occasions = [each for each in find_occasions(summary) if each in wanted]
    if not occasions:
        return None
    return make_notice(summary, occasions, job.path.absolute(), waiting)


def list_targets(job: Notifying) -> Iterator[NoticeTarget]:
    """Whom the job names."""
    settings = job.notify
    if settings is not None and settings.webhook is not None:
        yield NoticeTarget("webhook", settings.webhook.url)
    if settings is not None and settings.mail is not None:
        yield NoticeTarget(
            "mail", f"{settings.mail.server} {' '.join(settings.mail.to)}"
        )


def notify_of_run(job: LoadedJob, summary: RunSummary) -> None:
    """Tell of a single run what there is to tell, all receivers at once; a few attempts, with short waits.

    Never raises.
    """
    notice = make_wanted_notice(job, summary)
    if notice is None:
        return
    threads = []
    for target in list_targets(job):
        work = partial(deliver_notice, job, target, notice, SINGLE_RUN)
        threads.append(threading.Thread(target=work, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def deliver_notice(
    job: Notifying,
    target: NoticeTarget,
    notice: Notice,
    attempts: int,
    leaving: threading.Event | None = None,
) -> bool:
    """Send a message, as often as that takes, `attempts` at most; whether it was taken. Never raises.

    Once `leaving` is set there is no other attempt.
    """
    leaving = leaving or threading.Event()
    say = log.bind(job=job.name, way=target.way)
    for attempt in count(1):
        try:
            _send_notice(job, target, notice)
            break
        except ConnectorError as fault:
            again = isinstance(fault, UnreachableError) and attempt < attempts
            if not again or leaving.wait(seconds_to_wait(attempt, longest=LONGEST)):
                say.warning("notice not sent", reason=str(fault))
                return False
    say.info("notice sent", occasions=notice.occasions)
    return True


def _send_notice(job: Notifying, target: NoticeTarget, notice: Notice) -> None:
    settings = job.notify
    if settings is None:
        return
    if target.way == "webhook" and settings.webhook is not None:
        where = job.where("notify", "webhook", "secret")
        what = "the secret of the webhook"
        secret = fetch_secret(settings.webhook.secret, what, where)
        post_notice(settings.webhook, secret, notice)
    elif settings.mail is not None:
        ref, where = settings.mail.password, job.where("notify", "mail", "password")
        password = (
            fetch_secret(ref, "the password of the mail server", where) if ref else None
        )
        send_mail(settings.mail, password, notice)
