"""The page on reviewing plans, command by command: each works as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.ldif_job import Job
from tests.support.program import program

PAGE = (Path(__file__).parents[2] / "docs" / "review.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    job = Job(tmp_path, users=80)
    job.configure(limits={"update": "100%", "clear": 100})
    job.write("hr.yaml", job.read("job.yaml"))
    known = {"sha256:b2b2…": f"sha256:{'0' * 64}"}
    ran = set()
    for name, *arguments in commands():
        assert name == "cec-connector"
        ended = program(*(known.get(each, each) for each in arguments), folder=tmp_path)
        if "--accept" in arguments:  # the plan of the page is applied by then
            assert (ended.code, "spent" in ended.said) == (3, True), ended.said
        else:
            assert ended.code == 0, f"{arguments}: {ended.said}"
        ran.add(arguments[0])
    assert ran == {"plan", "apply", "undo", "release"}
    assert all((tmp_path / name).stat().st_size > 100 for name in ("plan.html", "applied.html"))
