"""A pipe where the program wants a file: it is refused (78), and nobody waits for whoever may write into it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connector.settings.textfile import NOT_REGULAR
from tests.support.held_file import entry, held, set_gate
from tests.support.jobs import cec_source, configure, file, scim_directory
from tests.support.ldif_job import Job
from tests.support.program import environment, program
from tests.support.serving import serving
from tests.support.ssh_keys import pen


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.write("pins.csv", "accountCode,user\n")
    made.write("exclude.csv", "user\n")
    made.write("allowed", f"anna@example.org {pen().public}\n")
    made.write("revoked", "")
    made.write("key", "k" * 40)
    (tmp_path / "key").chmod(0o600)
    lists = {"pins": "pins.csv", "exclude": "exclude.csv", "key": file("key")}
    made.configure(**lists, approvers={"allowed": "allowed", "needed": 1, "revoked": "revoked"})
    made.configure(audit={"file": "audit.jsonl"})
    made.run("plan", "--save", "plan.json")
    made.write("signature", "")
    return made


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def refused_with_78(folder: Path, *arguments: str) -> None:
    ended = program(*arguments, folder=folder)
    assert ended.code == 78, ended.said
    assert NOT_REGULAR in " ".join(ended.err.split()), ended.said


@pytest.mark.parametrize(
    "name",
    ["job.yaml", "mapping.yaml", "agents.json", "people.ldif", "pins.csv", "exclude.csv", "key", "allowed", "revoked"],
)
@pytest.mark.parametrize("command", ["plan", "apply", "check"])
def test_a_file_of_a_job_is_not_waited_for(job: Job, name: str, command: str) -> None:
    pipe(job.folder / name)
    refused_with_78(job.folder, command, "job.yaml")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plan.json", ["apply", "job.yaml", "--plan", "plan.json"]),
        ("signature", ["apply", "job.yaml", "--plan", "plan.json", "--approval", "signature"]),
        ("plan.json", ["plan", "job.yaml", "--since", "plan.json"]),
        ("plan.json", ["show", "plan.json"]),
        ("plan.json", ["diff", "plan.json", "plan.json"]),
        ("audit.jsonl", ["audit", "verify", "audit.jsonl"]),
        ("job.yaml", ["serve", "job.yaml"]),
        ("job.yaml", ["state", "show", "job.yaml"]),
    ],
)
def test_a_file_of_the_command_line_is_not_waited_for(job: Job, name: str, arguments: list[str]) -> None:
    pipe(job.folder / name)
    refused_with_78(job.folder, *arguments)


def test_a_pipe_for_metrics_is_not_waited_for_after_the_writes(tmp_path: Path) -> None:
    job = Job(tmp_path, users=3)
    job.configure(metrics={"textfile": "cec.prom"})
    pipe(job.folder / "cec.prom")
    ended = program("apply", "job.yaml", folder=job.folder)
    assert ended.code == 0, ended.said
    assert NOT_REGULAR in ended.err


def test_a_pipe_of_the_shell_is_refused_and_a_redirected_file_is_read(job: Job) -> None:
    def shell(line: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", line.replace("cec-connector", f"{sys.executable} -m connector")]
        return subprocess.run(
            command, cwd=job.folder, env=environment({}), capture_output=True, text=True, timeout=60, check=False
        )

    refused = shell("cec-connector show <(cat plan.json)")
    assert (refused.returncode, NOT_REGULAR in " ".join(refused.stderr.split())) == (78, True), refused.stderr
    assert shell("cat plan.json | cec-connector show /dev/stdin").returncode == 78
    assert shell("cec-connector show /dev/stdin < plan.json").returncode == 0


def test_a_dialect_file_of_a_scim_server_and_its_certificates_are_not_waited_for(job: Job) -> None:
    for key in ("dialect", "ca_file", "cert_file"):
        pipe(job.folder / "odd")
        job.configure(directory=scim_directory("https://scim.example.org") | {"allow_plaintext": None, key: "odd"})
        refused_with_78(job.folder, "check", "job.yaml")
    pipe(job.folder / "odd")
    job.configure(source=cec_source("https://cec.example.org", ca=job.folder / "odd"))
    refused_with_78(job.folder, "check", "job.yaml")


def test_a_fleet_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe(tmp_path / "fleet.yaml")
    refused_with_78(tmp_path, "fleet", "status", "--fleet", "fleet.yaml", ".")


# ---------------------------------------------------------------- serve


@pytest.fixture
def served_jobs(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.configure(serve={"every": "1s"}, state="sqlite:///state.db")
    shutil.copy(tmp_path / "job.yaml", tmp_path / "other.yaml")
    configure(tmp_path / "other.yaml", state="sqlite:///other.db")
    return made


@pytest.mark.parametrize("name", ["job.yaml", "mapping.yaml"])
def test_a_pipe_for_a_file_of_a_job_that_is_served_is_refused_at_sighup(served_jobs: Job, name: str) -> None:
    folder = served_jobs.folder
    shutil.copy(folder / "mapping.yaml", folder / "other-mapping.yaml")
    configure(folder / "other.yaml", mapping="other-mapping.yaml")
    with serving(folder, "job.yaml", "other.yaml") as served:
        served.next("run ended", job="job")
        pipe(folder / name)
        served.signal(signal.SIGHUP)
        fault = served.next("files invalid, the old ones stay in use")
        assert (fault["job"], NOT_REGULAR in fault["reason"]) == ("job", True)
        assert served.metric("files_accepted", cec_job="job") == 0
        served.ever("files read again", job="other")
        served.next("run ended", job="job")
        assert served.stop() == 0


def test_a_disk_that_hangs_at_sighup_holds_up_its_own_job_alone_and_no_signal(served_jobs: Job) -> None:
    folder = served_jobs.folder
    with serving(folder, "job.yaml", "other.yaml", entry=entry("job.yaml")) as served:
        served.next("run ended", job="job")
        set_gate(folder / "job.yaml")
        served.signal(signal.SIGHUP)
        with held(folder / "job.yaml"):
            served.ever("files read again", job="other")
            for _ in range(2):
                served.next("run started", job="other")
            assert served.get("/healthz") == (200, "ok\n")
            assert served.metric("files_accepted", cec_job="job") == 1
        served.next("files read again", job="job")
        served.next("run ended", job="job")
        set_gate(folder / "job.yaml")
        served.signal(signal.SIGHUP)
        with held(folder / "job.yaml"):
            assert served.stop() == 0
