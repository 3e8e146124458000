"""What waits for a receiver that is away."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from connector.observers.notices import Notice
from connector.observers.run_summary import RunSummary
from connector.serve import notification_queue
from connector.serve.notification_queue import NotificationQueue
from connector.settings.job import LoadedJob, load_job

JOB = """\
source: {type: file, path: agents.json}
directory: {type: ldif, path: people.ldif, base: "dc=example,dc=org"}
mapping: ldif
notify: {webhook: {url: "https://127.0.0.1:1/", secret: {env: SECRET}}}
"""


@pytest.fixture
def jobs(tmp_path: Path) -> list[LoadedJob]:
    (tmp_path / "agents.json").write_text("[]")
    (tmp_path / "people.ldif").write_text("version: 1\n")
    paths = [tmp_path / f"job{number}.yaml" for number in range(3)]
    for path in paths:
        path.write_text(JOB)
    return [load_job(path) for path in paths]


def summary(job: LoadedJob, code: int, fault: str = "") -> RunSummary:
    return RunSummary(job=job.name, run="", kind="plan", started=0, seconds=0, exit_code=code, fault=fault)


def test_a_receiver_that_is_away_is_told_the_last_word_on_each_job(
    jobs: list[LoadedJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []
    begun, back = threading.Event(), threading.Event()

    def deliver(job: LoadedJob, _target: object, notice: Notice, *_: Any) -> bool:
        begun.set()
        assert back.wait(10)
        sent.append((job.name, notice.body["fault"]))
        return True

    monkeypatch.setattr(notification_queue, "deliver_notice", deliver)
    first, second, good = jobs
    with NotificationQueue() as queue:
        queue.notify_of_run(first, summary(first, 1, "away"), None)
        assert begun.wait(10)
        for number in range(300):
            queue.notify_of_run(good, summary(good, 0), None)
            queue.notify_of_run(first, summary(first, 1, "away"), None)
            queue.notify_of_run(second, summary(second, 1, f"fault {number}"), None)
        back.set()
    assert sent == [("job0", "away"), ("job1", "fault 299")]


def test_what_was_told_is_news_again_after_a_good_run_or_where_it_was_not_taken(
    jobs: list[LoadedJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [False, True, True]
    asked = threading.Semaphore(0)

    def deliver(*_: object) -> bool:
        asked.release()
        return answers.pop(0)

    monkeypatch.setattr(notification_queue, "deliver_notice", deliver)
    job = jobs[0]
    with NotificationQueue() as queue:
        for is_news in (True, True, False):
            queue.notify_of_run(job, summary(job, 1, "away"), None)
            assert asked.acquire(timeout=10 if is_news else 0.3) is is_news
            queue.notify_of_run(job, summary(job, 75), None)
        queue.notify_of_run(job, summary(job, 0), None)
        queue.notify_of_run(job, summary(job, 1, "away"), None)
        assert asked.acquire(timeout=10)
    assert not answers
