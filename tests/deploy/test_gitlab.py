"""The jobs of the GitLab pipeline: their scripts, run by a shell in their order, as a runner does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.deploy_tools import DEPLOY
from tests.support.ldif_job import Job

pytestmark = pytest.mark.image


def stage(job: Job, name: str, **variables: str) -> int:
    """Run a job of the pipeline; it leaves what it promises to keep."""
    pipeline = YAML(typ="safe").load(DEPLOY / "gitlab" / "cec-connector.gitlab-ci.yml")
    script = "\n".join(["set -e", *pipeline[name]["script"]])
    path = f"{job.folder}:{os.environ['PATH']}"
    environment = os.environ | variables | {"PATH": path}
    ended = subprocess.run(["sh", "-c", script], cwd=job.folder, env=environment, capture_output=True, check=False)
    if ended.returncode in (0, *pipeline[name].get("allow_failure", {}).get("exit_codes", ())):
        assert all((job.folder / kept).exists() for kept in pipeline[name]["artifacts"]["paths"])
    return ended.returncode


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path, users=3)
    command = tmp_path / "cec-connector"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m connector "$@"\n')
    command.chmod(0o755)
    return job


def test_what_was_planned_is_applied(job: Job) -> None:
    assert stage(job, "plan") == 0
    assert stage(job, "apply") == 0
    assert job.read("people.ldif").count("employeeNumber: ") == 3


def test_a_refused_plan_is_applied_by_its_digest_alone(job: Job) -> None:
    job.configure(limits={"update": 2})
    assert stage(job, "plan") == 3
    digest = json.loads(job.read("plan.json"))["digest"]
    for accepted in ("", f"sha256:{'0' * 64}"):
        assert stage(job, "apply", ACCEPT=accepted) == 3
    assert job.read("people.ldif").count("employeeNumber: ") == 0
    assert stage(job, "apply", ACCEPT=digest) == 0
    assert job.read("people.ldif").count("employeeNumber: ") == 3
