"""A directory of 100,000 users, read whole: every user, and no more memory than for a tenth of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.jobs import job_file, scim_directory
from tests.support.program import ended, started
from tests.support.scim_job import agent
from tests.support.scim_stub import Paging, stub

pytestmark = pytest.mark.slow

LAUNCH = Path(__file__).parents[1] / "benchmarks" / "launch.py"


def memory_of_a_plan(folder: Path, users: int, paging: Paging) -> int:
    """The most octets of memory that a plan has which reads so many users, for a few agents all over them."""
    folder.mkdir()
    agents = [agent(number, accountCode=f"agent{number:06}") for number in (1, 7, users // 2, users - 1, users)]
    (folder / "agents.json").write_text(json.dumps({"agents": agents}))
    with stub(users, paging) as url:
        job = job_file(scim_directory(url, read="scan", page_size=1000), mapping="scim-extension")
        (folder / "job.yaml").write_text(job)
        measured = [sys.executable, "-I", "-S", str(LAUNCH), "out", "err"]
        with started("plan", "job.yaml", "--report", "report.json", folder=folder, under=measured,
                     env={"SCIM_TOKEN": "t"}) as running:  # fmt: skip
            cost = json.loads(ended(running).out)
    assert cost["code"] == 0, (folder / "err").read_text()
    summary = json.loads((folder / "report.json").read_text())["summary"]
    assert (summary["matched"], summary["update"]) == (5, 5)
    return int(cost["memory"])


@pytest.mark.parametrize("paging", ["index", "cursor"])
def test_ten_times_as_many_users_take_no_more_memory(tmp_path: Path, paging: Paging) -> None:
    few = memory_of_a_plan(tmp_path / "few", 10_000, paging)
    many = memory_of_a_plan(tmp_path / "many", 100_000, paging)
    assert many - few < 8 << 20
