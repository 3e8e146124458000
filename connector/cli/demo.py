"""`demo`: plan, apply and a second plan on sample data, through the program's own commands."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from connector.cli.advice import Exit
from connector.cli.main import cli
from connector.cli.options import path_option
from connector.cli.output import say_text
from connector.demo import sample
from connector.demo.simulator import Simulator
from connector.errors import UsageError

_END: Final = """\
Nothing is left to write. The problems in the report need a person.

The reviewer's page of the plan: {page}
Next, write a job for your own directory. Have the addresses of tenant and directory, and their logins, at hand:
    {command} init"""


@click.command("demo")
@path_option("--folder", "PATH", "The folder for the files. Default: a new folder.")
def demo_command(folder: Path | None) -> int:
    """Plan, apply and plan again, from a simulated tenant into a sample LDIF directory of 200 users."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "the folder is not empty. Name an empty or a new folder", where=str(folder)
        )
    folder = folder or Path(tempfile.mkdtemp(prefix="cec-connector-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "plan.html"
    with Simulator(sample.last_month()) as tenant:
        files = {
            "job.yaml": sample.JOB.format(url=tenant.url),
            "mapping.yaml": sample.MAPPING,
            "people.ldif": "".join(sample.people()),
            "pins.csv": sample.PINS,
            "exclude.csv": sample.EXCLUDE,
            "app-key": "demo-key\n",
            "app-secret": "demo-secret\n",
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        job = folder / "job.yaml"
        say_text(f"Files: {folder}. Simulated tenant: {tenant.url}.")
        say_text("A month ago, the first apply:\n")
        code = _run_command("apply", job, shown=_last_line)
        tenant.document = sample.today()
        say_text(
            "Today the tenant has changed. A dry run shows the changes and writes nothing:\n"
        )
        code = code or _run_command("plan", job, f"--report={page}")
        say_text("After the review, apply them:\n")
        code = code or _run_command("apply", job, shown=_last_line)
        say_text("A second plan finds nothing left to write:\n")
        code = code or _run_command(
            "plan", job, "--fail-on-changes", shown=_without_problems
        )
    if code == Exit.DONE:
        say_text(_END.format(page=page, command=_own_command()))
    return code


def _own_command() -> str:
    """What starts this program as it was started now; its short name where the shell finds it by that."""
    own = Path(sys.argv[0])
    if own.name == "__main__.py":
        return shlex.join([sys.executable, "-m", "connector"])
    return own.name if shutil.which(own.name) == str(own) else shlex.quote(str(own))


def _last_line(report: str) -> str:
    return report.rstrip().rpartition("\n")[2]


def _without_problems(report: str) -> str:
    return report.partition("\nProblems:")[0]


def _run_command(
    name: str, job: Path, *options: str, shown: Callable[[str], str] = str
) -> int:
    """Run one command of the program, as typed; of what has been seen before only a part is shown."""
    arguments = [name, str(job), *options]
    say_text(f"$ cec-connector {shlex.join(arguments)}")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main(["--log-level", "error", *arguments], standalone_mode=False)
    say_text(shown(output.getvalue()).rstrip() + "\n")
    return int(code)
