"""The benchmarks, in one command. `make bench`, or `python -m tests.benchmarks.run --help`."""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import apart, memory, reading, rivals, scim, start, writing, year
from tests.benchmarks.figures import Figure
from tests.benchmarks.people import write_users
from tests.benchmarks.report import as_json, plot, table
from tests.benchmarks.servers import Server

WORKS = (
    "read",
    "tls",
    "plan",
    "growth",
    "find",
    "apply",
    "durable",
    "start",
    "parse",
    "ldif",
    "scim",
    "memory",
    "year",
)
LARGE = 100_000
PROGRAM = Path(__file__).parents[2] / "connector"


def _command(path: str) -> Path:
    return Path(path).absolute()  # not resolved: an environment's Python is a link


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="users in the directory, with commas (up to 1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every contest (at a million users 3 at most)")
    parser.add_argument("--works", default=",".join(WORKS), help="those of %(default)s that are wanted")
    parser.add_argument("--changes", type=int, default=writing.CHANGES, help="those of an apply (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="10,000 users, 3 rounds: is it all in order?")
    parser.add_argument(
        "--rivals", type=_command, metavar="PYTHON", help="let the rivals take part, which this Python has"
    )
    parser.add_argument("--folder", type=Path, help="where databases are made (on a disk, for fsync to mean anything)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a plot of cost against size there, as SVG")
    return parser.parse_args()


def _figures(options: argparse.Namespace, folder: Path) -> Iterator[Figure]:
    works = options.works.split(",")
    rounds = 3 if options.quick else options.rounds
    sizes = [10_000] if options.quick else sorted(map(int, options.sizes.split(",")))
    apart_of: dict[str, Callable[[Path], Iterator[Figure]]] = {
        "start": lambda place: start.start(place, rounds, print),
        "parse": lambda place: apart.parse(place, LARGE if options.quick else 10 * LARGE, rounds),
        "scim": lambda place: scim.writing(place, rounds),
        "memory": lambda place: memory.memory(place, min(LARGE, sizes[-1])),
        "year": lambda place: year.year(place, min(LARGE, sizes[-1]), min(3, rounds)),
        "ldif": lambda place: apart.ldif(place, min(LARGE, sizes[-1]), min(3, rounds)),
    }
    for name, work in apart_of.items():
        if name in works:
            _say(name)
            yield from work(_made(folder / name))
    for name in ("apply", "durable"):
        if name in works:
            users = max(size for size in [sizes[0], *sizes] if size <= max(LARGE, sizes[0]))
            _say(f"{name}, {users:,} users")
            durable = name == "durable"
            few = min(3, rounds) if durable else rounds
            count = 1_000 if options.quick and durable else options.changes
            yield from writing.apply(
                _made(folder / name), users, few, durable=durable, count=count, python=options.rivals
            )
            shutil.rmtree(folder / name)
    if {"read", "tls", "plan", "growth", "find"}.intersection(works):
        yield from _read(folder, sizes, rounds, works, options.rivals)


def _read(folder: Path, sizes: list[int], rounds: int, works: list[str], python: Path | None) -> Iterator[Figure]:
    """Each size has its own server; all of them stay up, since `growth` asks them in turn."""
    with ExitStack() as stack:
        fields = []
        for users in sizes:
            _say(f"loading {users:,} users")
            place = _made(folder / str(users))
            ldif = place / "users.ldif"
            write_users(ldif, users)
            server = stack.enter_context(Server.loaded(place / "slapd", ldif))
            ldif.unlink()
            server.digest("1.1")  # so that the database is in memory
            field = reading.Field(place, server, users, rounds if users <= LARGE else min(3, rounds), python)
            fields.append(field)
            for name in ("read", "tls", "plan", "find"):
                if name in works:
                    _say(f"{name}, {users:,} users")
                    yield from getattr(reading, name)(field)
        if "growth" in works and len(fields) > 1:
            _say("growth")
            yield from reading.growth(fields)


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _about(python: Path | None) -> dict[str, object]:
    slapd = subprocess.run(["ldapsearch", "-VV"], capture_output=True, text=True, check=False).stderr.split("\n")[0]
    return {
        "python": platform.python_version(),
        "openldap": slapd.strip(),
        "processors": os.cpu_count(),
        "rivals": rivals.versions(python) if python else None,
    }


def main() -> None:
    """Run what was asked for, print the table, and write the files."""
    options = _options()
    compileall.compile_dir(PROGRAM, quiet=1)  # as an installation does, whatever this environment tells Python
    about = _about(options.rivals)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="cec-connector-bench-", dir=options.folder) as folder:
        try:
            for figure in _figures(options, Path(folder)):
                figures.append(figure)  # noqa: PERF402  # what there is by then is shown also after an interruption
        finally:
            print(table(figures))
            for line in rivals.compared(figures):
                print(line)
            if options.json:
                options.json.write_text(as_json(figures, about))
            if options.plot:
                options.plot.write_text(plot(figures))


if __name__ == "__main__":
    main()
