"""`-h` on every command, and what a shell completes: as `docs/commands.md` says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from connector.cli.main import cli
from tests.support.pages import ROOT
from tests.support.program import WARNINGS, commands, environment, program


@pytest.mark.parametrize("words", [*commands(cli), ("worker",)], ids=" ".join)
def test_every_command_has_a_short_option_for_its_help(tmp_path: Path, words: tuple[str, ...]) -> None:
    short, long = (program(*words, option, folder=tmp_path) for option in ("-h", "--help"))
    assert (short.code, short.out, short.err) == (0, long.out, "")
    assert "-h, --help" in short.out
    assert short.out.startswith("Usage: ")


def test_an_option_of_all_commands_behind_one_of_them_is_told_where_it_stands(tmp_path: Path) -> None:
    there = "Error: No such option '--log-level'.\nWrite it before the command: cec-connector --log-level …\nCEC-6402: "
    assert there in program("plan", "job.yaml", "--log-level", "error", folder=tmp_path).err
    assert "before the command" not in program("plan", "job.yaml", "--log", "error", folder=tmp_path).err


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment with a command `cec-connector`, as an installation has it."""
    command = tmp_path / "bin" / "cec-connector"
    command.parent.mkdir()
    flags = " ".join(WARNINGS)
    start = f"exec {sys.executable} {flags} -c 'import sys; sys.argv[0] = \"cec-connector\"; import connector.__main__'"
    command.write_text(f'#!/bin/sh\n{start} "$@"\n')
    command.chmod(0o755)
    return environment({}) | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("cec-connector ex", ["explain"]),
        ("cec-connector plan --re", ["--report"]),
        ("cec-connector --log-level de", ["debug"]),
        ("cec-connector audit ", ["catch-up", "verify"]),
        ("cec-connector schema m", ["mapping"]),
        ("cec-connector work", []),
    ],
)
def test_bash_completes_commands_options_and_words(
    tmp_path: Path, shell: dict[str, str], typed: str, offered: list[str]
) -> None:
    page = (ROOT / "docs/commands.md").read_text()
    line = re.search(r"`(eval \"\$\(_CEC_CONNECTOR_COMPLETE=bash_source cec-connector\)\")`", page)
    assert line is not None
    words = typed.split(" ")
    script = (
        f"{line[1]}\nCOMP_WORDS=({typed!r})\nCOMP_WORDS=({' '.join(map(repr, words))})\nCOMP_CWORD={len(words) - 1}\n"
    )
    script += '_cec_connector_completion cec-connector\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (offered, "")


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_other_shells_get_their_script(tmp_path: Path, shell: dict[str, str], name: str) -> None:
    command = f"_CEC_CONNECTOR_COMPLETE={name}_source cec-connector"
    assert command in (ROOT / "docs/commands.md").read_text()
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False)
    assert f"_CEC_CONNECTOR_COMPLETE={name}_complete" in done.stdout
    assert done.stderr == ""
