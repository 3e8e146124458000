"""Every command at a terminal of forty columns: what can be broken is broken between words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from connector.cli.main import cli
from tests.support.ldif_job import Job, agent
from tests.support.program import commands
from tests.support.terminal import at_a_terminal, plain

pytestmark = pytest.mark.slow
WIDTH: Final = 40
STORY: Final = (
    ("check job.yaml", 0),
    ("plan job.yaml --save plan.json", 0),
    ("plan job.yaml --fail-on-changes --all --since last", 2),
    ("show plan.json", 0),
    ("explain job.yaml user1", 0),
    ("explain job.yaml user0", 0),
    ("plan job.yaml --mapping ldif", 0),
    ("apply job.yaml --yes --report applied.json", 0),
    ("diff plan.json applied.json", 0),
    ("undo job.yaml last", 0),
    ("undo job.yaml last --apply --yes", 0),
    ("check job.yaml", 0),
    ("coverage job.yaml", 0),
    ("runs job.yaml", 0),
    ("runs job.yaml last", 0),
    ("apply job.yaml --yes", 3),
    ("release job.yaml", 0),
    ("audit catch-up audited.yaml", 0),
    ("state rename job.yaml other", 0),
    ("serve job.yaml", 78),
    ("fleet schedule .", 78),
    ("init --source agents.json --directory people.ldif --job new.yaml --mapping new-mapping.yaml", 0),
    ("demo --folder demo", 0),
)
"""Commands in an order in which each has something to say, and their exit codes."""
WRONG: Final = (
    ("plan", 64),
    ("plan job.yaml --nothing-like-this", 64),
    ("apply job.yaml --accept digest", 64),
    ("nothing-like-this job.yaml", 64),
    ("explain job.yaml nobody-of-this-name", 64),
    ("undo job.yaml 0123", 64),
    ("plan gone.yaml", 78),
)


def fits(seen: str) -> list[str]:
    """The lines that are too long, but for a word that is longer than the terminal, and for commands."""
    lines = [line.rpartition("\r")[2].rstrip() for line in plain(seen).splitlines()]
    long = [line for line in lines if len(line) > WIDTH and len(line.split()) > 1]
    return [line for line in long if not re.match(r" *(\$ |Usage: )?(cec-connector|python -m connector) ", line)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=4)
    made.agents([*map(agent, range(1, 5)), agent(9, accountCode="user0"), agent(12, accountCode=None)])
    made.write("audited.yaml", made.read("job.yaml") + "audit: {file: audit.jsonl}\n")
    return made


def test_what_commands_say_fits(job: Job) -> None:
    for line, code in (*STORY, *WRONG):
        ended = at_a_terminal(job.folder, *line.split(), width=WIDTH)
        assert (line, ended[0], fits(ended[1])) == (line, code, []), ended[1]
    told = {line.split()[0] for line, _ in STORY}
    assert told == {words[0] for words in commands(cli) if words} - {"schema"}, "a command is missing here"


@pytest.mark.parametrize("words", commands(cli), ids=" ".join)
def test_help_fits(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, seen = at_a_terminal(tmp_path, *words, "-h", width=WIDTH)
    assert (code, fits(seen)) == (0, [])
    _, wide = at_a_terminal(tmp_path, *words, "-h", width=200)
    assert max(map(len, plain(wide).splitlines())) <= 80
    assert "".join(plain(seen).split()) == "".join(plain(wide).split())


@pytest.mark.parametrize(
    "line", ["schema job", "plan job.yaml --json", "runs job.yaml --json", "explain job.yaml user1 --json"]
)
def test_json_stays_json(job: Job, line: str) -> None:
    code, seen = at_a_terminal(job.folder, *line.split(), width=WIDTH)
    assert code == 0
    json.loads(plain(seen).rpartition("\r")[2])
