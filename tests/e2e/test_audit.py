"""Who is told of a write: the audit stream, in a file and over syslog; and the log, event by event."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from connector.observers.syslog import Syslog
from tests.support.jobs import cec_source, file
from tests.support.ldif_job import Job, agent, person
from tests.support.program import program
from tests.support.slapd import authority, free_port
from tests.support.syslogd import Syslogd


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=2)
    made.configure(audit={"file": "audit.jsonl"})
    return made


def audit(job: Job) -> list[dict[str, Any]]:
    text = job.read("audit.jsonl")
    assert "canary" not in text
    return [json.loads(line) for line in text.splitlines()]


def test_every_write_is_noted_with_who_what_when_and_from_which_values_to_which(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", "uid: user1\nemployeeNumber: 9\n"))
    job.run("apply", "--report", "applied.json")
    applied = json.loads(job.read("applied.json"))
    begin, *writes, end = audit(job)
    assert [each["event"] for each in (begin, *writes, end)] == ["begin", "write", "write", "end"]
    assert {each["run"] for each in (begin, *writes, end)} == {applied["id"]}
    assert {each["job"] for each in (begin, *writes, end)} == {"job"}
    assert (begin["plan"], begin["changes"], begin["acknowledged"]) == (applied["digest"], 2, False)
    assert begin["who"]["user"]
    assert (end["plan"], end["code"], end["refused"]) == (applied["digest"], 0, [])
    first = next(each for each in writes if each["agent"]["workNo"] == 1001)
    assert (first["result"], first["user"]["name"]) == ("written", "uid=user1,ou=people,dc=example,dc=org")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", first["time"])
    attributes = {each["name"]: each for each in first["attributes"]}
    assert attributes["employeeNumber"] == {"name": "employeeNumber", "old": ["9"], "new": ["1001"]}
    password = attributes["SIPIdentityPassword"]
    assert (password["secret"], password["was"]) == ("set", [])
    assert password["fingerprint"].startswith("hmac-sha256:")
    assert stat.S_IMODE((job.folder / "audit.jsonl").stat().st_mode) == 0o600


def test_a_password_that_changes_is_told_by_its_fingerprints_before_and_after(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1, sipPwd="canary-other"), agent(2)])
    job.run("apply")
    before = next(each for each in audit(job) if each["event"] == "write" and each["agent"]["workNo"] == 1001)
    (after,) = [each for each in audit(job)[4:] if each["event"] == "write"]
    old = next(each["fingerprint"] for each in before["attributes"] if each.get("secret"))
    (told,) = after["attributes"]
    assert told["was"] == [old]
    assert told["fingerprint"] != old


def test_a_dry_run_writes_nothing_into_the_audit(job: Job) -> None:
    job.run("plan")
    assert not (job.folder / "audit.jsonl").exists()


def test_a_refusal_and_its_acknowledgement_are_noted(job: Job) -> None:
    job.configure(limits={"update": 1})
    said = job.run("apply", code=3)
    (refused,) = audit(job)
    assert (refused["event"], refused["refused"], refused["code"]) == ("end", ["update", "secret"], 3)
    digest = re.findall(r"sha256:[0-9a-f]{64}", said)[0]
    job.run("apply", "--accept", digest)
    assert [each["acknowledged"] for each in audit(job) if each["event"] == "begin"] == [True]


def test_an_undo_is_noted_like_an_apply(job: Job) -> None:
    job.run("apply")
    (run,) = json.loads(job.run("runs", "--json"))
    job.run("undo", run["id"], "--apply")
    back = audit(job)[4:]
    assert [each["event"] for each in back] == ["begin", "write", "write", "end"]
    assert {each["run"] for each in back}.isdisjoint({run["id"]})


def test_a_write_of_an_interrupted_run_is_noted_under_that_run_once_it_is_known(job: Job) -> None:
    job.run("apply")
    (run,) = json.loads(job.run("runs", "--json"))
    job.sql("update journal set outcome = null where user_name like 'uid=user1,%'")
    job.sql("update runs set ended = null, result = null")
    job.run("apply")
    (settled,) = [each for each in audit(job)[4:] if each["event"] == "write"]
    assert (settled["run"], settled["result"]) == (run["id"], "written")


@pytest.mark.parametrize("name", ["people.ldif", "agents.json", "job.yaml", "mapping.yaml", "state.db", "state.db.key"])
def test_an_audit_is_never_added_to_another_file_of_the_job(job: Job, name: str) -> None:
    job.configure(audit=None)
    job.run("apply")
    (job.folder / "other.jsonl").symlink_to(name)
    job.configure(audit={"file": "other.jsonl"})
    before = (job.folder / name).read_bytes()
    for command in ("check", "plan", "apply"):
        assert "other.jsonl is another file of this job" in job.run(command, code=78)
    assert (job.folder / name).read_bytes() == before


def test_without_its_audit_nothing_is_written(job: Job) -> None:
    before = job.read("people.ldif")
    job.configure(audit={"file": "/dev/full"})  # it can be opened, and that is all
    assert "the audit cannot be kept" in job.run("apply", code=4)
    job.configure(audit={"file": "gone/audit.jsonl"})
    assert "the audit cannot be kept" in job.run("apply", code=1)
    assert job.read("people.ldif") == before


@pytest.mark.parametrize("read", [True, False])
def test_a_pipe_is_no_audit_file_and_nobody_waits_for_it(job: Job, read: bool) -> None:
    os.mkfifo(job.folder / "pipe")
    reader = os.open(job.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK) if read else None
    job.configure(audit={"file": "pipe"})
    before = job.read("people.ldif")
    said = job.run("apply", code=1)
    assert "the audit cannot be kept: this is a pipe, which could block a run. Name a regular file" in said
    assert job.read("people.ldif") == before
    if reader is not None:
        os.close(reader)


@pytest.mark.parametrize("what", ["pins", "exclude"])
def test_a_pipe_is_no_list(job: Job, what: str) -> None:
    os.mkfifo(job.folder / "pipe")
    job.configure(**{what: "pipe"})
    assert "pipe is a device, a socket or a pipe: name a regular file" in job.run("apply", code=78)


@pytest.mark.parametrize("scheme", ["udp", "tcp", "tls", "unix"])
def test_the_audit_goes_to_a_syslog_receiver(scheme: str, job: Job) -> None:
    authority()[0].cert_pem.write_to_path(job.folder / "ca.pem")
    with Syslogd(scheme, job.folder) as receiver:
        plain = None if scheme in ("tls", "unix") else True
        ca = "ca.pem" if scheme == "tls" else None
        job.configure(audit={"file": None, "syslog": receiver.url, "allow_plaintext": plain, "ca_file": ca})
        job.run("apply")
        messages = [receiver.next() for _ in range(4)]
    shape = re.compile(r"<85>1 20\d\d-\d\d-\d\dT[0-9:.]+Z \S+ cec-connector \d+ (begin|write|end) - (\{.*\})")
    found = [shape.fullmatch(message) for message in messages]
    assert [match and match[1] for match in found] == ["begin", "write", "write", "end"]
    assert all(json.loads(match[2])["job"] == "job" for match in found if match)
    assert "canary" not in "".join(messages)


def test_a_write_that_went_wrong_is_a_warning_to_the_receiver(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", "uid: user1\nemployeeNumber: 5\n"))
    with Syslogd("tcp", job.folder) as receiver:
        job.configure(audit={"file": None, "syslog": receiver.url, "allow_plaintext": True})
        job.run("apply", "--plan", "plan.json", code=4)
        messages = [receiver.next() for _ in range(4)]
    results = {json.loads(each[each.index("{") :]).get("result"): each[:4] for each in messages}
    assert (results["conflict"], results["written"]) == ("<84>", "<85>")


def test_a_record_that_no_datagram_can_hold_costs_no_run_and_no_other_record(job: Job) -> None:
    people = job.read("people.ldif").replace("uid: user1\n", f"uid: user1\nemployeeNumber: {'9' * 70_000}\n")
    job.write("people.ldif", people)
    with Syslogd("udp", job.folder) as receiver:
        job.configure(audit={"file": None, "syslog": receiver.url, "allow_plaintext": True})
        ended = job.program("apply", "job.yaml")
        assert (ended.code, ended.err.count("audit not sent to syslog")) == (0, 1), ended.said
        sent = [json.loads(each[each.index("{") :]) for each in (receiver.next() for _ in range(3))]
    assert [(each["event"], each["number"]) for each in sent] == [("begin", 1), ("write", 3), ("end", 4)]


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_stream_that_the_receiver_has_closed_is_opened_anew(scheme: str, job: Job) -> None:
    """As when it is restarted: the first message after its end goes nowhere."""
    authority()[0].cert_pem.write_to_path(job.folder / "ca.pem")
    with (
        Syslogd(scheme, job.folder, each=True) as receiver,
        closing(Syslog(receiver.url, job.folder / "ca.pem")) as sender,
    ):
        sender.send_line('{"event":"write","number":1}')
        assert receiver.next().endswith('"number":1}')
        assert receiver.hung_up()
        for number in range(2, 20):
            sender.send_line(f'{{"event":"write","number":{number}}}')
            with suppress(Empty):
                assert receiver.messages.get(timeout=0.5).endswith(f'"number":{number}}}')
                return
    raise AssertionError("nothing arrived over a new connection")


@pytest.mark.parametrize("most", [0, 1])
def test_a_receiver_that_goes_away_costs_no_run_and_the_state_keeps_every_record(job: Job, most: int) -> None:
    job.agents([agent(number) for number in range(1, 31)])
    job.write("people.ldif", "version: 1\n\n" + "".join(person(number) for number in range(1, 31)))
    with Syslogd("tcp", job.folder, most=most or None) as receiver:
        url = receiver.url
        if not most:
            url = f"tcp://127.0.0.1:{free_port()}"
        job.configure(audit={"file": None, "syslog": url, "allow_plaintext": True})
        ended = job.program("apply", "job.yaml")
    assert ended.code == 0, ended.said
    (warned,) = [
        each for each in map(json.loads, ended.err.splitlines()) if each["event"] == "audit not sent to syslog"
    ]
    assert (warned["level"], warned["where"]) == ("warning", url)
    assert job.read("people.ldif").count("employeeNumber") == 30
    verified = job.program("audit", "verify", "--job", "job.yaml")
    assert (verified.code, verified.out) == (0, "job: records 1 to 32, unchanged (state:1 to state:32)\n")


def test_without_a_file_the_state_keeps_the_audit_and_old_records_can_be_pruned(job: Job) -> None:
    with Syslogd("tcp", job.folder) as receiver:
        job.configure(audit={"file": None, "syslog": receiver.url, "allow_plaintext": True})
        for _ in range(2):
            job.run("apply")
    assert (
        "The state keeps the audit of this job, and it is complete" in job.program("audit", "catch-up", "job.yaml").out
    )
    job.sql("update audit_lines set time = '2020-01-01' where number < 5")
    job.program("state", "prune", "job.yaml", "--older", "30d", "--yes")
    said = job.program("audit", "verify", "--job", "job.yaml").out
    assert said == "job: records 5 to 6, unchanged (state:5 to state:6)\n"
    job.sql("update audit_lines set time = '2020-01-01'")
    job.program("state", "prune", "job.yaml", "--older", "30d", "--yes")
    ended = job.program("audit", "verify", "--job", "job.yaml")
    assert (ended.code, ended.out) == (0, "job: record 6, unchanged (state:6 to state:6)\n")
    job.sql("delete from audit_lines where number = 6")
    ended = job.program("audit", "verify", "--job", "job.yaml")
    assert (ended.code, "the end is cut: the state knows records up to 6" in ended.out) == (1, True)
    job.configure(audit={"file": "audit.jsonl", "syslog": None})
    job.run("apply")
    assert [each["number"] for each in audit(job)] == [7, 8]


@contextmanager
def dripping(first: bytes) -> Iterator[int]:
    """A receiver that takes all, never closes, and sends something all the time; its port."""
    over = threading.Event()

    def drip() -> None:
        with listener.accept()[0] as peer, suppress(OSError):
            peer.sendall(first)
            while not over.wait(0.05):
                peer.send(b"\0")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.slow
def test_a_receiver_that_drips_is_waited_for_in_all_as_long_as_one_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connector.observers.syslog.SECONDS", 1.0)
    with dripping(b"") as port:
        sender = Syslog(f"tcp://127.0.0.1:{port}")
        sender.send_line('{"event":"write"}')
        began = time.monotonic()
        sender.close()
        assert time.monotonic() - began < 5
    with dripping(bytes.fromhex("1603034000")) as port:  # a record of a handshake, and its octets one by one
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            Syslog(f"tls://127.0.0.1:{port}").send_line('{"event":"write"}')
        assert time.monotonic() - began < 5


def test_a_job_says_that_it_wants_plain_text_on_the_network(job: Job) -> None:
    job.configure(audit={"file": None, "syslog": "udp://log.example.org"})
    assert "job.yaml:5: audit.syslog: udp:// sends values in clear" in job.run("apply", code=78)
    job.configure(audit={"syslog": None})
    assert "job.yaml:5: audit: needs a place" in job.run("apply", code=78)


# ---------------------------------------------------------------- the log


def test_every_stage_and_every_write_is_an_event_with_job_run_and_digest(job: Job) -> None:
    with Simulator(json.loads(job.read("agents.json"))) as tenant:
        job.write("key", "demo-key")
        job.write("secret", "demo-secret")
        for name in ("key", "secret"):
            (job.folder / name).chmod(0o600)
        job.configure(source=cec_source(tenant.url, app_key=file("key"), app_secret=file("secret")), audit=None)
        ended = program("apply", "job.yaml", "--report", "applied.json", folder=job.folder)
    assert ended.code == 0, ended.said
    assert "canary" not in ended.err
    applied = json.loads(job.read("applied.json"))
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert {(each["job"], each["run"]) for each in events} == {("job", applied["id"])}
    names = [each["event"] for each in events]
    planned = names.index("planned")
    assert names[:planned] == [
        "read source", "access token received", "agent query answered", "describe directory", "look-up", "look-up",
    ]  # fmt: skip
    assert names[planned:] == ["planned", "show", "apply", "write", "outcome", "outcome", "show", "finished"]
    assert {each.get("digest") for each in events[planned:]} == {applied["digest"]}
    assert events[planned]["matched"] == 2
    assert [each["result"] for each in events if each["event"] == "outcome"] == ["written", "written"]


def test_the_log_of_a_reviewed_plan_names_the_run_that_was_reviewed(job: Job) -> None:
    job.run("plan", "--save", "plan.json")
    ended = program("apply", "job.yaml", "--plan", "plan.json", folder=job.folder)
    plan = json.loads(job.read("plan.json"))
    assert {json.loads(line)["run"] for line in ended.err.splitlines()} == {plan["id"]}
