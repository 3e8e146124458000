"""A state is backed up while an apply writes to it, by the commands that the documentation names."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.test_postgresql_state import PostgresJob
from tests.support.ldif_job import Job
from tests.support.postgres import Postgres
from tests.support.program import ended, program, started
from tests.support.slow_cec import ENV

USERS = 60
DOCS = Path(__file__).parents[2] / "docs" / "operate.md"
SECTION = DOCS.read_text().partition("## Back up the state")[2].partition("\n## ")[0]
SQLITE, POSTGRESQL = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


def shell(commands: str, folder: Path, **env: str) -> None:
    done = subprocess.run(
        ["sh", "-ec", commands],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def numbers(job: Job) -> int:
    return job.read("people.ldif").count("employeeNumber:")


@pytest.mark.slow
def test_a_sqlite_state_is_backed_up_whole_while_an_apply_writes(tmp_path: Path) -> None:
    name, *arguments = shlex.split(SQLITE.replace("hr.yaml", "job.yaml"))
    assert name == "cec-connector"
    job = Job(tmp_path, USERS)
    job.configure(ramp=[1] * USERS)
    backup, before = tmp_path / "state-backup.db", tmp_path / "midway.db"
    made = []
    with started("apply", "job.yaml", folder=tmp_path) as process:
        while process.poll() is None:
            if (tmp_path / "state.db").exists():
                backup.unlink(missing_ok=True)
                assert program(*arguments, folder=tmp_path).code == 0
                with closing(sqlite3.connect(backup)) as copy:
                    assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
                    (tables,) = copy.execute("select count(*) from sqlite_master where name = 'journal'").fetchone()
                    made.append(copy.execute("select count(*) from journal").fetchone()[0] if tables else 0)
                if 0 < made[-1] < USERS and not before.exists():
                    shutil.copy2(backup, before)
        assert ended(process).code == 0
    assert numbers(job) == USERS
    assert backup.stat().st_mode & 0o077 == 0
    assert before.exists(), f"no copy was made midway: {made}"
    (tmp_path / "state.db-journal").unlink(missing_ok=True)
    shutil.move(before, tmp_path / "state.db")
    assert program("plan", "job.yaml", folder=tmp_path).code == 0
    job.run("apply")
    assert numbers(job) == USERS


@pytest.mark.postgresql
def test_a_state_in_postgresql_is_dumped_while_an_apply_writes_and_restored(
    tmp_path: Path, postgresql: Postgres
) -> None:
    job = PostgresJob(tmp_path, postgresql)
    job.configure(ramp=[1, 1, 1])
    url = postgresql.url(job.database)
    commands = re.sub(r"postgresql://\S+", f"'{url}'", POSTGRESQL)
    assert job.try_("apply", "--only", "user1").code == 0
    dumped = 0
    with started("apply", "job.yaml", folder=tmp_path, env=ENV) as process:
        while process.poll() is None or not dumped:
            shell(commands, tmp_path, **ENV)
            dumped += 1
        assert ended(process).code == 0
    restore = re.findall(r"`(pg_restore .*?)`", SECTION)[0]
    shell(restore.replace("--dbname=…", f"--dbname='{url}' state.dump"), tmp_path, **ENV)
    assert job.try_("apply").code == 0
    assert job.numbers() == 5
