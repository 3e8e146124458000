"""Workflows that an earlier release began go on under this one: recorded histories are repeated by today's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.fleet_histories import FOLDER
from tests.support.program import environment

RECORDED = sorted(FOLDER.glob("*.json"))


def repeated(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.support.fleet_histories", *map(str, paths)],
        env=environment({}), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_each_recorded_history_is_repeated() -> None:
    assert {path.name.partition("-")[0] for path in RECORDED} == {"job", "tick"}
    done = repeated(*RECORDED)
    assert done.returncode == 0, done.stderr


def test_a_history_that_went_another_way_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "job-other.json"
    *_, recorded = [each for each in RECORDED if each.name.startswith("job-applied")]
    path.write_text(recorded.read_text(encoding="utf-8").replace('"name": "step"', '"name": "other"'), encoding="utf-8")
    assert "NondeterminismError" in repeated(path).stderr


def test_no_recorded_history_names_a_person_or_holds_a_secret() -> None:
    for path in RECORDED:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in ("canary", "-u0", "uid=", "dc=example") if word in text], path
