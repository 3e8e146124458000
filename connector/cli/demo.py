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
from connector.errors import UsageError
from connector.planfile import write_out

_END: Final = """\
Nothing is left to write. The problems in the report need a person.

The reviewer's page of the plan: {page}
To go on, change a workNo in agents.json, then plan again:
    cd {folder}
    {command} plan job.yaml
Next, write a job for your own directory. Have the addresses of tenant and directory, and their logins, at hand:
    {command} init"""


def _show_last_line(report: str) -> str:
    return report.rstrip().rpartition("\n")[2]


def _show_changes(report: str) -> str:
    return report.partition("\nProblems:")[0]


_STEPS: Final = (
    ("A month ago, the first apply:", "apply {folder}/job.yaml", _show_last_line),
    (
        "Today agents.json has changed. A dry run shows the changes and writes nothing:",
        "plan {folder}/job.yaml --report={folder}/plan.html",
        str,
    ),
    ("After the review, apply them:", "apply {folder}/job.yaml", _show_last_line),
    (
        "A second plan finds nothing left to write:",
        "plan {folder}/job.yaml --fail-on-changes",
        _show_changes,
    ),
)
"""What is said, the command, and how much of its output is shown."""


@click.command("demo")
@path_option("--folder", "PATH", "The folder for the files. Default: a new folder.")
def demo_command(folder: Path | None) -> int:
    """Plan, apply and plan again, from a sample tenant into a sample LDIF directory of 200 users."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "the folder is not empty. Name an empty or a new folder", where=str(folder)
        )
    folder = folder or Path(tempfile.mkdtemp(prefix="cec-connector-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sample.make_files().items():
        write_out(folder / name, [text])
    say_text(f"Files: {folder}.")
    for said, words, shown in _STEPS:
        say_text(f"{said}\n")
        code = _run_command(words.format(folder=shlex.quote(str(folder))), shown)
        if code != Exit.DONE:
            return code
        write_out(folder / "agents.json", [sample.write_agents(sample.today())])
    said = _END.format(
        page=folder / "plan.html",
        folder=shlex.quote(str(folder.absolute())),
        command=_own_command(),
    )
    say_text(said)
    return Exit.DONE


def _own_command() -> str:
    """What starts this program from any folder; its short name where the shell finds it by that."""
    own = Path(sys.argv[0])
    if own.name == "__main__.py":
        return shlex.join([sys.executable, "-m", "connector"])
    return (
        own.name
        if shutil.which(own.name) == str(own)
        else shlex.quote(str(own.absolute()))
    )


def _run_command(words: str, shown: Callable[[str], str]) -> int:
    """Run one command of the program, as typed; of what has been seen before only a part is shown."""
    say_text(f"$ cec-connector {words}")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        arguments = ["--log-level", "error", *shlex.split(words)]
        code: int = cli.main(arguments, standalone_mode=False)
    say_text(shown(output.getvalue()).rstrip() + "\n")
    return code
