"""No command imports Python from the folder that it is started in, nor do the runs of `serve`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from connector.cli.main import COMMANDS
from connector.reports.document import render
from tests.support.jobs import changed
from tests.support.ldif_job import JOB, Job
from tests.support.program import LONGEST, WARNINGS, environment
from tests.support.report_samples import sample
from tests.support.serving import serving

pytestmark = pytest.mark.slow

ENTRY = "import sys\nfrom connector.cli.main import main\nsys.exit(main())\n"
"""What an installer makes of `[project.scripts]`."""
PLANTED = "open('imported', 'a').write(__name__ + '\\n')\nraise ImportError(__name__)\n"
LIBRARIES = ("click", "httpx", "msgspec", "pydantic", "rich", "ruamel", "structlog", "tests")
ARGUMENTS = {
    "init": ["--help"], "demo": [], "check": ["job.yaml"], "plan": ["job.yaml"], "apply": ["job.yaml"],
    "show": ["plan.json"], "diff": ["plan.json", "plan.json"],
    "explain": ["job.yaml", "user1"], "runs": ["job.yaml"], "undo": ["job.yaml", "none"], "release": ["job.yaml"],
    "fleet": ["--help"], "audit": ["catch-up", "job.yaml"], "state": ["rename", "job.yaml", "other"], "schema": ["job"],
    "coverage": ["--help"],
}  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job in a folder with a module of the name of every one that a command could import."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cec-connector").write_text(ENTRY)
    made = Job(tmp_path, users=3)
    made.write("plan.json", "".join(render(sample())))
    made.write("job.yaml", changed(JOB, serve={"every": "1h", "mode": "apply"}))
    for name in (*sys.stdlib_module_names, *LIBRARIES):
        (tmp_path / f"{name}.py").write_text(PLANTED)
    return made


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "serve"])
def test_a_command_imports_nothing_from_its_working_folder(job: Job, command: str) -> None:
    line = [sys.executable, *WARNINGS, "bin/cec-connector", command, *ARGUMENTS[command]]
    done = subprocess.run(
        line, cwd=job.folder, env=environment({}), capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == (64 if command in ("undo", "audit", "state") else 0), done.stderr
    assert not (job.folder / "imported").exists(), (job.folder / "imported").read_text()


def test_a_run_of_serve_imports_nothing_from_its_working_folder(job: Job) -> None:
    with serving(job.folder, "job.yaml", entry=["bin/cec-connector"]) as served:
        assert served.next("run ended")["ending"] == "done"
        assert not (job.folder / "imported").exists(), (job.folder / "imported").read_text()
        assert served.stop() == 0


def test_the_image_and_the_units_say_so_to_python_itself() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    for path in (deploy / "Dockerfile", *(deploy / "systemd").glob("*.service")):
        assert "PYTHONSAFEPATH=1" in path.read_text(), path
