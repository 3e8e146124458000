"""Whoever is needed is told: over a webhook and by mail, once, with what they need, and never at the cost of a run."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import file
from tests.support.ldif_job import JOB, Job, agent
from tests.support.receivers import PASSWORD, SECRET, drip, hook, mail_server
from tests.support.serving import PATIENCE, serving, until
from tests.support.slapd import authority

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.write("secret", SECRET + "\n")
    made.write("mail-password", PASSWORD + "\n")
    authority()[0].cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def told(job: Job, url: str, **changes: Any) -> None:
    job.configure(**changes)
    job.configure(notify={"webhook": {"url": url, "allow_plaintext": True, "secret": file("secret")}})


def mailed(job: Job, server: str, **changes: Any) -> None:
    mail = {"server": server, "sender": "cec@example.org", "to": ["identity@example.org"]}
    job.configure(notify={"mail": mail | changes})


def test_a_refused_plan_is_told_with_what_refused_it(job: Job) -> None:
    with hook() as receiver:
        told(job, receiver.url, limits={"update": 2})
        job.run("apply", "--report", "report.json", code=3)
        body = receiver.next()
    report = json.loads(job.read("report.json"))
    assert (body["schema"], body["job"], body["kind"]) == ("cec-connector/notice/1", "job", "apply")
    assert (body["occasions"], body["ending"], body["exit_code"]) == (["refused"], "refused", 3)
    assert (body["run"], body["digest"], body["changes"]) == (report["id"], report["digest"], 3)
    assert body["refusals"][0]["limit"] == "update"
    assert "Refused, too many updates: it would set an attribute of 3 users; 2 are allowed." in body["text"]


def test_pending_changes_conflicts_and_failures_are_told_and_a_good_run_is_not(job: Job) -> None:
    with hook() as receiver:
        told(job, receiver.url)
        job.run("plan", "--save", "plan.json")
        assert receiver.next()["occasions"] == ["pending"]
        people = job.read("people.ldif")
        job.write("people.ldif", people.replace("uid: user1\n", "uid: user1\nemployeeNumber: 5\n"))
        job.run("apply", "--plan", "plan.json", code=4)
        conflict = receiver.next()
        assert (conflict["occasions"], conflict["outcomes"]) == (["conflict"], {"conflict": 1, "written": 2})
        job.run("apply")
        job.run("plan")
        assert receiver.empty()
        job.write("agents.json", "{")
        job.run("plan", code=1)
        failed = receiver.next()
        assert failed["occasions"] == ["failed"]
        assert "agents.json" in failed["fault"]
        job.write("mapping.yaml", "match: [\n")
        job.run("plan", code=78)
        assert "mapping.yaml" in receiver.next()["fault"]


def test_only_what_was_asked_for_is_told(job: Job) -> None:
    with hook() as receiver:
        told(job, receiver.url)
        job.configure(notify={"when": ["failed"]})
        job.run("plan")
        job.write("agents.json", "{")
        job.run("plan", code=1)
        assert receiver.next()["occasions"] == ["failed"]
        assert receiver.empty()


def test_a_receiver_that_is_busy_is_asked_again_with_the_same_id(job: Job) -> None:
    with hook(lambda number: 503 if number == 1 else 200) as receiver:
        told(job, receiver.url)
        job.run("plan")
        receiver.next()
        assert len(receiver.ids) == 2
        assert len(set(receiver.ids)) == 1


def test_a_receiver_that_refuses_or_is_away_costs_no_run(job: Job) -> None:
    with hook(lambda _: 403) as receiver:
        told(job, receiver.url)
        ended = job.program("plan", "job.yaml")
        assert (ended.code, len(receiver.ids)) == (0, 1)
        assert "the receiver answered with 403 Forbidden" in ended.err
    began = time.monotonic()
    ended = job.program("plan", "job.yaml")
    assert ended.code == 0
    assert "notice not sent" in ended.err
    assert time.monotonic() - began < 60  # the waits of `serve` would be two minutes and more
    (job.folder / "secret").unlink()
    ended = job.program("plan", "job.yaml")
    assert (ended.code, "job.yaml:5: the secret of the webhook: " in ended.err) == (0, True), ended.err


def test_mail_goes_over_starttls_after_a_log_in(job: Job) -> None:
    with mail_server() as (server, box):
        job.configure(limits={"update": 2})
        to = ["identity@example.org", "desk@example.org"]
        mailed(job, server, to=to, user="cec", password=file("mail-password"), ca_file="ca.pem")
        ended = job.program("apply", "job.yaml")
        assert ended.code == 3, ended.err
        recipients, message = box.coming.get(timeout=20)
        assert recipients == ["identity@example.org", "desk@example.org"]
        assert message["Subject"] == "cec-connector: job: a plan was refused"
        assert message["Auto-Submitted"] == "auto-generated"
        assert "Refused, too many updates" in str(message.get_payload())
        job.write("mail-password", "wrong")
        ended = job.program("apply", "job.yaml")
        assert (ended.code, "at the log-in" in ended.err) == (3, True), ended.err
        job.write("mail-password", PASSWORD)
        job.configure(notify={"mail": {"ca_file": None}})
        ended = job.program("apply", "job.yaml")
        assert (ended.code, "the certificate is not trusted" in ended.err) == (3, True), ended.err


def test_mail_is_not_sent_in_clear_unless_that_is_allowed(job: Job) -> None:
    with mail_server("none") as (server, box):
        mailed(job, server)
        ended = job.program("plan", "job.yaml")
        assert (ended.code, "the server offers no STARTTLS" in ended.err) == (0, True), ended.err
        assert box.coming.empty()
        mailed(job, server, allow_plaintext=True)
        job.run("plan")
        assert "changes are pending" in box.coming.get(timeout=20)[1]["Subject"]


def test_mail_goes_over_tls_from_the_start_and_again_to_a_server_that_is_busy(job: Job) -> None:
    busy = "451 try again"
    with mail_server("first", lambda number: busy if number == 1 else "250 taken") as (server, box):
        mailed(job, server, ca_file="ca.pem")
        job.run("plan")
        assert "changes are pending" in box.coming.get(timeout=20)[1]["Subject"]
        assert (len(box.ids), len(set(box.ids))) == (2, 1), "the same message, twice"
    with mail_server("first", lambda _: "550 no such address") as (server, box):
        mailed(job, server, ca_file="ca.pem")
        ended = job.program("plan", "job.yaml")
        assert (ended.code, "the server answered with 550" in ended.err, len(box.ids)) == (0, True, 1), ended.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("webhook: {url: http://hooks.example.org/x, secret: {file: secret}}", "notify.webhook.url: http:// sends"),
        ("webhook: {url: https://hooks.example.org/x}", "notify.webhook.secret: is missing"),
        ("webhook: {url: https://hooks.example.org/x, secret: abc}", "a secret must not be written here in clear"),
        ("mail: {server: mail.example.org, sender: a@b, to: [a@b]}", "notify.mail.server: must begin with smtp://"),
        ("mail: {server: smtps://mail.example.org, sender: a@b, to: []}", "notify.mail.to: must not be empty"),
        ("mail: {server: smtps://mail.example.org, sender: a@b, to: [a@b], user: x}", "user and password go together"),
        ("when: [often]", "notify.when"),
        ("when: [failed]", "notify: needs a recipient"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_it_is_said_with_its_line(job: Job, line: str, said: str) -> None:
    job.write("job.yaml", JOB + f"notify:\n  {line}\n")
    ended = job.program("plan", "job.yaml")
    assert (ended.code, said in ended.err) == (78, True), ended.err


# ---------------------------------------------------------------- of `serve`


def test_the_schedule_tells_once_as_long_as_nothing_changes_with_the_command_that_goes_on(job: Job) -> None:
    with hook() as receiver:
        told(job, receiver.url, limits={"update": 2}, serve={"every": "1s", "mode": "apply"})
        with serving(job.folder, "job.yaml") as served:
            first = receiver.next()
            waiting = str(job.folder / "job.plan.json")
            assert (first["occasions"], first["waiting"]) == (["refused"], waiting)
            assert (
                f"cec-connector apply {job.folder}/job.yaml --plan {waiting} --accept {first['digest']}"
                in first["text"]
            )
            for _ in range(3):
                served.next("run ended")
            assert receiver.empty(), "the same was told again"
            job.agents([agent(1, workNo=1011), agent(2), agent(3)])
            assert receiver.next()["digest"] != first["digest"]
            assert served.stop() == 0


DEAF = """\
import sys, time
if sys.orig_argv[-1] == "worker":
    open("begun", "w").close()
    time.sleep(600)  # it is killed long before
"""
"""As `sitecustomize`: the process of a run has begun, and goes no further."""


def test_a_run_that_is_stopped_before_it_can_listen_is_not_told_of_as_failed(job: Job) -> None:
    (job.folder / "deaf").mkdir()
    job.write("deaf/sitecustomize.py", DEAF)
    with hook() as receiver:
        told(job, receiver.url, serve={"every": "1h", "mode": "apply"})
        with serving(job.folder, "job.yaml", env={"PYTHONPATH": str(job.folder / "deaf")}) as served:
            until((job.folder / "begun").exists)
            assert served.stop() == 0
        assert served.names("run ended") == ["run ended"]
        assert receiver.empty()
        with serving(job.folder, "job.yaml") as again:  # its tick is still due
            assert again.next("run ended")["ending"] == "done"
            assert again.stop() == 0
        assert receiver.empty()


def test_a_receiver_that_never_answers_holds_no_run_up(job: Job) -> None:
    over = threading.Event()

    def answer(_: int) -> int:
        over.wait(PATIENCE)
        return 200

    with hook(answer) as receiver:
        told(job, receiver.url, serve={"every": "1s"})
        with serving(job.folder, "job.yaml") as served:
            for _ in range(4):
                assert served.next("run ended")["ending"] == "done"
            assert "notice sent" not in served.text
            served.signal(signal.SIGTERM)
            served.next("stopping")
            over.set()
            assert served.ended() == 0
    assert "notice sent" in served.text, "the end did not wait for what was on its way"


def test_a_receiver_that_is_broken_keeps_no_other_from_being_told(job: Job) -> None:
    with hook(lambda _: 500) as broken, hook() as fine:
        told(job, broken.url, limits={"update": 2}, serve={"every": "1h", "mode": "apply"})
        job.write("other.yaml", job.read("job.yaml").replace(broken.url, fine.url))
        with serving(job.folder, "job.yaml", "other.yaml") as served:
            for _ in range(2):
                assert served.next("run ended")["ending"] == "refused"
            assert fine.next()["job"] == "other"
            assert "notice not sent" not in served.text, "the broken one was given up first"
            assert broken.asked.get(timeout=PATIENCE)
            assert served.stop() == 0


def test_what_was_not_taken_does_not_count_as_told(job: Job) -> None:
    with hook(lambda number: 403 if number == 1 else 200) as receiver:
        told(job, receiver.url, limits={"update": 2}, serve={"every": "1s", "mode": "apply"})
        with serving(job.folder, "job.yaml") as served:
            served.next("notice not sent")
            assert receiver.next()["occasions"] == ["refused"]
            for _ in range(3):
                served.next("run ended")
            assert receiver.empty(), "what was taken was told again"
            assert served.stop() == 0


def test_receivers_that_drip_cost_no_more_than_their_bound(job: Job) -> None:
    with drip(b"HTTP/1.1 200 OK\r\nX: ") as hooks, drip(b"220-") as mails:
        told(job, f"http://127.0.0.1:{hooks}/x")
        mailed(job, f"smtp://127.0.0.1:{mails}", allow_plaintext=True)
        began = time.monotonic()
        ended = job.program("plan", "job.yaml")
        assert (ended.code, ended.err.count("notice not sent")) == (0, 2), ended.err
        assert "the answer did not end within 15 s" in ended.err
        assert "the server did not take the mail within 30 s" in ended.err
        assert time.monotonic() - began < 60, "in turn they would take more, and without a bound for ever"


def since(body: dict[str, Any]) -> list[int]:
    """How many changes are new, gone, changed and the same; the text says the same."""
    found = {name: body["since"][name] for name in ("new", "gone", "changed", "same")}
    said = ", ".join(f"{number} {name if name != 'same' else 'the same'}" for name, number in found.items())
    assert f"Since the plan before: changes {said}; problems " in body["text"]
    return list(found.values())


def test_serve_says_what_is_new_since_its_own_last_plan(job: Job) -> None:
    job.run("plan")  # which is not its own
    with hook() as receiver:
        told(job, receiver.url, serve={"every": "1s", "mode": "dry-run"})
        with serving(job.folder, "job.yaml") as served:
            first = receiver.next()
            job.agents([agent(1), agent(2, workNo=1200), agent(8, accountCode="nobody")])
            second = receiver.next()
            assert served.stop() == 0
        with serving(job.folder, "job.yaml") as served:  # which has told nobody yet
            third = receiver.next()
            assert served.stop() == 0
    assert (first["changes"], first["since"]) == (3, {})
    assert "Since" not in first["text"]
    assert since(second) == [0, 1, 1, 1]
    assert second["text"].count("; problems 1 new, 0 gone, 0 changed, 0 the same.\n") == 1
    assert second["since"]["new_problems"] == 1
    assert (since(third), third["digest"]) == ([0, 0, 0, 2], second["digest"])
    assert third["since"]["same_problems"] == 1


def test_serve_that_applies_says_what_is_new_since_what_it_left(job: Job) -> None:
    def once() -> None:
        job.sql("delete from schedule") if (job.folder / "state.db").exists() else None
        with serving(job.folder, "job.yaml") as served:
            served.next("run ended")
            assert served.stop() == 0

    with hook() as receiver:
        told(job, receiver.url, serve={"every": "1h", "mode": "apply"}, limits={"update": 2})
        once()
        first = receiver.next()
        job.agents([agent(1), agent(2), agent(3, sipAccount="8003"), agent(8, accountCode="nobody")])
        once()
        refused = receiver.next()
        job.agents([agent(1), agent(2)])
        once()
        assert receiver.empty(), "all was written"
        job.configure(limits={"update": 0})
        job.agents([agent(1), agent(2, sipAccount="8002"), agent(3)])
        once()
        applied = receiver.next()
        once()
        same = receiver.next()
    assert (first["occasions"], first["since"]) == (["refused"], {})
    assert (since(refused), refused["since"]["new_problems"]) == ([0, 0, 1, 2], 1)
    assert since(applied) == [2, 0, 0, 0], "what was written is neither gone nor the same"
    assert (since(same), same["digest"]) == ([0, 0, 0, 2], applied["digest"])
