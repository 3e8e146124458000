"""Examples of a part of a job or fleet file, on the pages for those who operate it, are what such a file may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.settings import fleet as fleets, job as jobs

DOCS = Path(__file__).parents[2] / "docs"
JOB = """\
source: {type: file, path: agents.json}
directory: {type: ldif, path: people.ldif}
mapping: ldif
"""
EXAMPLES = [
    pytest.param(example, id=f"{name} {number}")
    for name in ("schedule.md", "monitoring.md", "postgresql.md", "review.md")
    for number, example in enumerate(re.findall(r"```yaml\n(.*?)```", (DOCS / name).read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_part_of_a_job(example: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(JOB + example, encoding="utf-8")
    for name in ("agents.json", "people.ldif"):
        (tmp_path / name).touch()
    said = jobs.load_job(path).document.data.keys()
    assert set(re.findall(r"^(\w+):", example, re.MULTILINE)) <= said


@pytest.mark.parametrize("name", ["fleet.md", "fleet-file.md"])
def test_an_example_of_a_fleet_file_is_one(name: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / name).read_text("utf-8"), re.DOTALL)
    examples = [block for block in blocks if re.search(r"^address:", block, re.MULTILINE)]
    assert len(examples) == 2
    for file in ("temporal-ca.pem", "worker.pem", "worker.key"):
        (tmp_path / file).touch(mode=0o600)
    for example in examples:
        (tmp_path / fleets.NAME).write_text(example, encoding="utf-8")
        assert fleets.find_fleet(tmp_path).settings.address in example
