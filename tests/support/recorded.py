"""Recorded worlds: small tenants and directories, what is done with them, and what came of it when it was recorded.

A world is a file `tests/worlds/NAME.world`: a few words on it, then its files and what is done, line by line:

    == people.ldif                        a file, up to the next line that begins with one of these marks
    ~ people.ldif: old => new             the same file with another text in it, for what somebody does meanwhile
    $ plan                                a command of the program, with `job.yaml` unless another job is named
    $ undo {run1} --apply                 {run1}: the first run that wrote; {digest}: that of the last plan
    $ explain ann bob                     each of these agents, as JSON
    $ sql update journal set …            what time, or a kill, does to the state

What came of it is in `NAME.recorded`: of every command the exit code, the plan document with its digests and outcomes,
what it changed in files, and what it says where it fails. Ids of plans, times, and the folder have other names there.
`make worlds` records anew; look at what that changes before you believe it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.support.program import Ended, program

WORLDS: Final = Path(__file__).parent.parent / "worlds"
KEPT: Final = ("people.ldif", "audit.jsonl")
"""Files of a world that the program writes, and which are compared to the octet."""
_MEMORY: Final = Path("/dev/shm")
"""Where files need no disk, for a world waits for nothing else; unless somebody has named another place."""
_SAID: Final = {"acknowledged", "changes", "code", "fault", "refused"}
_USER_ID: Final = re.compile(r"00000000-0000-0000-0000-0*(\d+)")
_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{16})[0-9a-f]{48}")
_PLAN_ID: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


class World:
    """A world in a folder of its own; `tell` goes through it and yields what is recorded, line by line."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._runs: list[str] = []
        self._digest = ""
        self._plan: list[str] = []
        self._names: dict[str, str] = {}

    def tell(self) -> Iterator[str]:
        """Do what the world says. Each line is without what differs from run to run."""
        (self._folder / "key").write_text("the key of a recorded world\n", encoding="utf-8")
        for mark, line, text in _steps(self._source.read_text(encoding="utf-8")):
            if mark == "==":
                (self._folder / line).write_text(text, encoding="utf-8")
            elif mark == "~":
                self._edit(line)
            else:
                yield f"$ {line}"
                yield from map(self._plain, self._do(line))

    def _edit(self, line: str) -> None:
        name, _, change = line.partition(": ")
        old, _, new = (side.strip(" ").replace("\\n", "\n") for side in change.partition(" =>"))
        path = self._folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{self._source.name}: {old!r} is {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def _do(self, line: str) -> Iterator[str]:
        command, _, rest = line.partition(" ")
        for number, run in enumerate(self._runs, 1):
            rest = rest.replace(f"{{run{number}}}", run)
        if command == "sql":
            with closing(sqlite3.connect(self._folder / "state.db")) as database, database:
                database.execute(rest)
            return
        arguments = shlex.split(rest.replace("{digest}", self._digest))
        job = arguments.pop(0) if arguments and arguments[0].endswith(".yaml") else "job.yaml"
        if command == "explain":
            for agent in arguments:
                yield from self._explained(job, agent)
        elif command == "runs":
            listed = json.loads(self._program(command, job, "--json").out)
            for run in listed:
                del run["by"], run["is_under_way"]  # of this machine
            yield from _fields({"run": listed})
        elif command in {"plan", "apply", "undo"}:
            yield from self._planned(command, job, *arguments)
        else:
            yield from _came_to(self._program(command, job, *arguments))

    def _program(self, *arguments: str) -> Ended:
        """A run; it never tells a secret, and ends by itself."""
        ended = program(*arguments, folder=self._folder)
        assert "canary" not in ended.said
        assert "Traceback" not in ended.said, ended.said
        return ended

    def _explained(self, job: str, agent: str) -> Iterator[str]:
        ended = self._program("explain", job, agent, "--json")
        if ended.code:
            yield from _came_to(ended)
            return
        for explained in json.loads(ended.out)["agents"]:
            yield from _fields(explained)

    def _planned(self, *command: str) -> Iterator[str]:
        report = self._folder / "report.json"
        report.unlink(missing_ok=True)
        before = {name: self._lines(name) for name in KEPT}
        ended = self._program(*command, "--report", report.name)
        yield from _came_to(ended, said=not report.exists())
        if report.exists():
            text = report.read_text(encoding="utf-8")
            document = json.loads(text)
            self._digest = document["digest"]
            if "outcomes" in document and document["id"] not in self._runs:
                self._runs.append(document["id"])
            lines = [self._plain(line.removesuffix(",")) for line in text.splitlines()]
            told = _difference("plan", self._plan, lines)
            yield from (line for line in told if not line.startswith("-"))  # what they said is known: see where
            self._plan = lines
        for name, old in before.items():
            yield from _difference(name, old, self._lines(name))

    def _lines(self, name: str) -> list[str]:
        path = self._folder / name
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return lines if name.endswith(".ldif") else list(map(_of_audit, lines))

    def _plain(self, line: str) -> str:
        """The line as it is in every run: plans are numbered as they come, times and the folder are named."""
        line = _TIME.sub("TIME", line.replace(str(self._folder), "FOLDER"))
        line = _USER_ID.sub(r"#\1", _DIGEST.sub(r"\1…", line))  # shorter, and as telling
        return _PLAN_ID.sub(lambda found: self._names.setdefault(found[0], f"PLAN-{len(self._names) + 1}"), line)


def _steps(text: str) -> Iterator[tuple[str, str, str]]:
    """Marks with the rest of their line and the text below it, up to the next mark."""
    _, *parts = re.split(r"^(==|~|\$) (.*)\n", text, flags=re.MULTILINE)
    yield from zip(parts[0::3], parts[1::3], parts[2::3], strict=True)


def _came_to(ended: Ended, *, said: bool = True) -> Iterator[str]:
    yield f"exit {ended.code}"
    if said:
        yield from (line for line in ended.said.splitlines() if not line.startswith("{"))


def _difference(name: str, old: list[str], new: list[str]) -> Iterator[str]:
    """What is another line now, and where; the same lines are told once."""
    for line in list(unified_diff(old, new, n=0, lineterm=""))[2:]:  # the first two name files
        yield f"@@ {name} {line.removeprefix('@@ ')}" if line.startswith("@@") else line


def _of_audit(line: str) -> str:
    """What was written in which order: of a write what it changed, of all else what it says."""
    record = json.loads(line)
    told = " ".join(str(record[name]) for name in ("event", "job", "run", "result", "why") if name in record)
    if record["event"] != "write":
        return f"{told} {json.dumps({name: record[name] for name in sorted(record.keys() & _SAID)})}"
    digest = record["digest"].partition("/")[0]
    changed = ", ".join(" ".join(str(value) for value in each.values()) for each in record["attributes"])
    return f"{told} {record['user']['name']} {digest}: {changed}"


def _fields(value: dict[str, Any]) -> Iterator[str]:
    """A line a field, and a line for each thing in a list; what is empty is left out."""
    for name, field in _full(value).items():
        if isinstance(field, list):
            yield from (f" {name}: {json.dumps(each, ensure_ascii=False)}" for each in field)
        else:
            yield f" {name}: {json.dumps(field, ensure_ascii=False)}"


def _full(value: Any) -> Any:
    if isinstance(value, list):
        return [_full(each) for each in value]
    if isinstance(value, dict):
        return {name: _full(each) for name, each in value.items() if each not in (None, "", [])}
    return value


def tell(source: Path) -> str:
    """What comes of a world today."""
    with TemporaryDirectory(dir=None if "TMPDIR" in os.environ or not _MEMORY.is_dir() else _MEMORY) as folder:
        return "\n".join(World(source, Path(folder).resolve()).tell()) + "\n"


def record(names: list[str]) -> None:
    """Record worlds anew, all of them unless some are named."""
    for source in sorted(WORLDS.glob("*.world")):
        if not names or source.stem in names:
            source.with_suffix(".recorded").write_text(tell(source), encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1:])
