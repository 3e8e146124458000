"""The README, word by word: every file and command in it works as it stands there."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.support.pages import ROOT, Page
from tests.support.program import program
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person, server_context

README = (ROOT / "README.md").read_text(encoding="utf-8")


def tenant(seat: int = 1000) -> dict[str, Any]:
    agents = [
        {"workNo": seat + n, "accountCode": f"agent{n:03}", "sipAccount": str(7000 + n), "sipPwd": f"canary-{n}"}
        for n in range(1, 11)
    ]
    return {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}


@pytest.mark.slapd
def test_the_first_real_job(tmp_path: Path) -> None:
    people = [person(f"agent{n:03}") for n in range(1, 11)]
    with (
        Slapd.start(tmp_path / "slapd", people) as server,
        Simulator(tenant(), ssl_context=server_context()) as cec,
    ):
        places = {
            "url: https://cec.example.org": f"url: {cec.url}\n  ca_file: ldap-ca.pem",
            "ldaps://ldap.example.org": server.ldaps_url,
            "cn=cec-connector,ou=services,dc=example,dc=org": SYNC,
        }
        page = Page("README.md", tmp_path, {"CEC_APP_KEY": "demo-key", "LDAP_PASSWORD": SYNC_PASSWORD}, places)
        page.write("job.yaml")
        assert f"base: {PEOPLE}" in page.block("job.yaml")
        (tmp_path / "cec-app-secret").write_text("demo-secret\n")
        shutil.copy(server.ca, tmp_path / "ldap-ca.pem")
        page.follow("first job")
        cec.document = tenant(seat=1100)
        page.follow("review")
        assert b"cecWorkNo: 1101" in server.search("(uid=agent001)", "*")
        for report in ("plan.md", "plan.ldif", "applied.json", "plan.html", "applied.html"):
            assert (tmp_path / report).stat().st_size > 100


def copied(folder: Path) -> Path:
    """The project as a clone would have it."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in names.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
def test_make_demo_in_a_fresh_clone(tmp_path: Path) -> None:
    clone = copied(tmp_path / "a clone")
    done = subprocess.run(["make", "demo"], cwd=clone, capture_output=True, text=True, check=False, env=clean())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is left to write." in done.stdout
    go_on = done.stdout.partition("then plan again:\n")[2].partition("Next,")[0]
    again = subprocess.run(["sh", "-ec", go_on], capture_output=True, text=True, check=False, cwd=tmp_path, env=clean())
    assert "Nothing would be written" in again.stdout, again.stdout + again.stderr
    # the same job with the simulated tenant, as the page has it
    folder = Path(shlex.split(go_on)[1])
    job = folder / "simulated.yaml"
    rest = (folder / "job.yaml").read_text().partition("\ndirectory:")[2]
    with subprocess.Popen(
        ["make", "demo-serve"], cwd=clone, stdout=subprocess.PIPE, text=True, env=clean(), start_new_session=True
    ) as tenant:
        assert tenant.stdout is not None
        url = tenant.stdout.readline().split()[0]
        source = Page("docs/job-file.md", folder, {}, {"http://127.0.0.1:8080": url}).block("simulated")
        job.write_text(f"{source}directory:{rest}")
        keys = {"CEC_APP_KEY": "demo-key", "CEC_APP_SECRET": "demo-secret"}
        checked = program("check", "simulated.yaml", folder=folder, env=keys)
        os.killpg(tenant.pid, signal.SIGTERM)
    assert checked.code == 0, checked.said
    assert "128" in checked.out


@pytest.mark.slow
def test_the_installation(tmp_path: Path) -> None:
    clone = copied(tmp_path / "clone")
    commands = "set -e\n" + Page("README.md", tmp_path, {}, {}).block("install").replace(
        "python3 -m venv", f"{shlex.quote(sys.executable)} -m venv"
    )
    done = subprocess.run(["sh", "-c", commands], cwd=clone, capture_output=True, text=True, check=False, env=clean())
    assert done.returncode == 0, done.stdout + done.stderr
    where = (
        "from connector.settings.mapping_file import locate_mapping; from pathlib import Path; "
        "print(locate_mapping('openldap-h350', Path()))"
    )
    check = [str(clone / "venv/bin/python"), "-c", where]
    found = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False, env=clean())
    assert "site-packages" in found.stdout, found.stdout + found.stderr


def clean() -> dict[str, str]:
    """This environment without what would lead a new one astray."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS"}}
