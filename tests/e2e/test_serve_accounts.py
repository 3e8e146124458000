"""An account that the directory refuses is tried once, and not at every due run, until something has changed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from connector.serve.accounts import WAITING, AccountBook, DirectoryAccount
from connector.settings.job import load_job
from tests.support.jobs import changed, env, file, job_file, ldap_directory
from tests.support.ldif_job import JOB, Job
from tests.support.receivers import SECRET, hook
from tests.support.serving import Served, serving, until
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd

pytestmark = [pytest.mark.slow, pytest.mark.slapd]


@pytest.fixture
def job(tmp_path: Path, server: Slapd) -> Job:
    """`job` counts time; `first` and `second` bind as one account, whose password is wrong."""
    made = Job(tmp_path, users=3)
    made.write("job.yaml", changed(JOB, serve={"every": "1s"}))
    made.write("password", "wrong\n")
    for name in ("first", "second"):
        directory = ldap_directory(server.url, bind_dn=SYNC, base="ou=services,dc=example,dc=org")
        text = job_file(directory | {"password": file("password")}, state="sqlite:///ldap.db", serve={"every": "1s"})
        made.write(f"{name}.yaml", text)
    made.write("secret", SECRET)
    return made


def ends_in(served: Served, job: str, times: int) -> None:
    for _ in range(times):
        served.next("run ended", job=job)


def begun(served: Served) -> list[str]:
    return [each["job"] for each in served.events if each["event"] == "run started" and each["job"] != "job"]


def hooked(job: Job, url: str) -> None:
    told: dict[str, Any] = {"webhook": {"url": url, "allow_plaintext": True, "secret": file("secret")}}
    for name in ("first.yaml", "second.yaml"):
        job.write(name, changed(job.read(name), notify=told | {"when": ["failed"]}))


def test_a_refused_account_waits_for_its_file_and_that_is_said(job: Job) -> None:
    with hook() as receiver:
        hooked(job, receiver.url)
        with serving(job.folder, "job.yaml", "first.yaml", "second.yaml") as served:
            said = served.next("run ended", ending="failed")["account"]
            assert f"refused the account {SYNC}" in said
            assert str(job.folder / "password") in said
            text = receiver.next()["text"]
            assert said in text
            assert "<U+" not in text, "a line break of ours is shown as one from outside"
            ends_in(served, "job", 4)
            assert len(begun(served)) == 1, "one account, one attempt, whatever jobs have it"
            until(lambda: served.get("/readyz")[1].count("the directory refused its account") == 2)
            assert served.get("/readyz")[0] == 503
            assert served.metric("ready", cec_job="first") == 0
            job.write("password", SYNC_PASSWORD + "\n")
            waiting = {"first", "second"}
            while waiting:
                waiting.discard(served.next("run ended", ending="done")["job"])
            until(lambda: served.get("/readyz") == (200, "ok\n"))
            assert served.stop() == 0


def test_a_signal_lets_a_refused_account_be_tried_once_more(job: Job) -> None:
    with serving(job.folder, "job.yaml", "first.yaml") as served:
        served.next("run ended", ending="failed")
        served.signal(signal.SIGHUP)
        served.next("run ended", ending="failed")
        ends_in(served, "job", 3)
        assert begun(served) == ["first"] * 2
        assert served.stop() == 0


def test_accounts_of_one_name_on_two_directories_are_two(tmp_path: Path) -> None:
    def account(name: str, variable: str) -> DirectoryAccount:
        path = tmp_path / name
        directory = ldap_directory(f"ldap://{name}.example.org", bind_dn=SYNC) | {"password": env(variable)}
        path.write_text(job_file(directory))
        for beside in ("agents.json", "mapping.yaml"):
            path.with_name(beside).touch()
        return DirectoryAccount.of_job(load_job(path).job)

    accounts, live = AccountBook(), account("live", "LIVE_PASSWORD")
    accounts.note_refusal(account("trial", "TRIAL_PASSWORD"), ())
    assert accounts.explain_waiting(live) == ""
    accounts.note_refusal(live, ())
    assert accounts.explain_waiting(account("again", "LIVE_PASSWORD")), "the same account, whatever job has it"


def test_after_a_day_a_refused_account_is_tried_again() -> None:
    now = [0.0]
    accounts, account = AccountBook(lambda: now[0]), DirectoryAccount("cn=sync")
    accounts.note_refusal(account, account.read_mark())
    now[0] = WAITING - 1
    assert "this process is restarted, or it is " in accounts.explain_waiting(account)
    now[0] = WAITING
    assert accounts.explain_waiting(account) == ""
