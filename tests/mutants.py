"""`make mutants`: puts faults into a copy of the program, one at a time, and says which of them no test notices.

A sample of all faults that `support/faults.py` knows to make in the modules of `GROUPS`, drawn by a seed. Each is put
into a copy of the checkout, and the group's tests are run there until one fails; a run that takes far longer than
without the fault counts as noticed, too. MUTANTS=200 MUTANTS_SEED=1 MUTANTS_GROUPS="planner engine" choose.

Two mutants are at work at a time, each in a copy of its own, so nothing here is touched, and work may go on meanwhile.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.support.faults import Fault, faults

PROJECT: Final = Path(__file__).parents[1]
WORKERS: Final = 2
MEMORY: Final = "/dev/shm"
"""Where files need no disk, if there is such a place."""


@dataclass(frozen=True)
class Group:
    """Modules, and the tests that have to notice what is wrong with them, in less than a minute: the quickest first.

    `slow`: also those of the tests that are marked so; they are quick enough by themselves.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    slow: bool = False


_SCENARIOS: Final = ("tests/e2e/test_recorded_worlds.py", "tests/e2e/test_undo.py", "tests/e2e/test_reviewed_plans.py")
_RUNS: Final = ("failed_and_there", "taken_away", "another_key", "whole_runs")
"""Unit tests of whole runs, in a few milliseconds each."""
GROUPS: Final = {
    "planner": Group(
        (
            "connector/planning/**/*.py", "connector/matching/*.py", "connector/model/*.py", "connector/apply/sync.py",
            "connector/apply/lookup.py", "connector/apply/planning.py", "connector/explain/*.py",
        ),
        (
            *(f"tests/unit/test_{name}.py" for name in (
                "claims", "people", "near_miss_search", "near_spellings", "digests", "equality", "patterns",
                "templates", "schema_checks",
                "spellings", "traces", "lookup", "steps", "standing", "suitability", "outside", "proof", "confirming",
                "assembly", "differences", "review", "planfile", "refused_last", "disabled", "another_key", "selection",
                "failed_and_there", "taken_away", "several_templates", "clocks", "stale", "leavers", "together",
                "whole_runs", "unseen", "roster", "unshown", "ids", "lagging_servers",
                "plan_heads", "refusals", "mapping", "overview", "forms", "drafts", "comparison", "people_names",
                "undoing", "explained_lines", "run_endings", "resume",
                "unique_values", "job_agents", "people_names_read", "memory", "causes",
            )),
            *(f"tests/property/test_{name}.py" for name in (
                "explained", "explained_users", "limits", "runs", "two_jobs", "several_attributes", "hidden_attributes",
                "needed_classes", "who_is_cleared", "undo_again", "reviewed_again", "whole_identities",
                "find_is_scan", "law_4", "laws_near", "disabled", "untold_secrets",
                "undo_holds", "change_kinds", "parts_of_a_tenant", "comparison",
            )),
            *_SCENARIOS, "tests/e2e/test_change_kinds.py", "tests/e2e/test_explain.py", "tests/e2e/test_ldif_story.py",
            "tests/property/test_laws_explain.py",
            "tests/property/test_laws.py",
        ),
    ),
    "engine": Group(
        ("connector/apply/*.py",),
        (
            *(f"tests/unit/test_{name}.py" for name in (
                "apply_pace", "applying", "ledger", "resume", "verification", "run_endings", "refused_last", "steps",
                "standing", *_RUNS,
            )),
            *(f"tests/property/test_{name}.py" for name in (
                "runs", "untold_secrets", "undo_holds", "explained", "undo_again", "reviewed_again", "disabled",
                "law_4", "law_12",
            )),
            *_SCENARIOS, "tests/property/test_law_5.py", "tests/property/test_laws.py",
        ),
    ),
    "state": Group(
        ("connector/state/*.py",),
        (
            *(f"tests/unit/test_{name}.py" for name in (
                "postgresql_address", "remembered", "resume", "run_endings", "unshown", "stale", "refused_last", *_RUNS,
            )),
            "tests/contract/test_keyfile.py", "tests/contract/test_leases.py", "tests/contract/test_state.py",
            *(f"tests/property/test_{name}.py" for name in (
                "untold_secrets", "disabled", "runs", "limits", "several_attributes", "reviewed_again", "undo_again",
                "two_jobs", "whole_identities",
            )),
            *_SCENARIOS, "tests/e2e/test_sqlite_state.py", "tests/e2e/test_postgresql_state.py",
            "tests/e2e/test_lease.py",
        ),
        slow=True,
    ),
    "ldap": Group(
        (
            *(
                f"connector/directories/ldap/{name}.py"
                for name in ("adapter", "assertions", "modifying", "searches")
            ),
            "connector/directories/common/entries.py", "connector/directories/ldif/file_replacement.py",
            "connector/directories/ldif/adapter.py", "connector/directories/ldif/format.py",
        ),
        (
            "tests/unit/test_changing.py", "tests/unit/test_replacement.py", "tests/unit/test_ldap_*.py",
            "tests/unit/test_ldif*.py", "tests/contract/test_writing.py", "tests/contract/test_base_entry.py",
            "tests/contract/test_two_names.py", "tests/contract/test_reading.py",
            "tests/e2e/test_ldap_writing.py", "tests/e2e/test_ldap_marks.py", "tests/e2e/test_ldap_unseen.py",
        ),
    ),
    "scim": Group(
        tuple(f"connector/directories/scim/{name}.py" for name in (
            "writing", "edits", "effects", "paging", "reading",
        )),
        ("tests/unit/test_scim_*.py", "tests/contract/test_scim_*.py", "tests/property/test_laws_scim.py"),
    ),
}  # fmt: skip
SERVERS: Final = "samba or ds389 or kerberos or image"
"""What these notice takes too long here."""


@dataclass(frozen=True)
class Mutant:
    """A fault in a module of a group."""

    group: str
    module: str
    fault: Fault

    def __str__(self) -> str:
        now, then = (" ".join(text.split()) for text in (self.fault.now, self.fault.then))
        return f"{self.group:8} {self.module}:{self.fault.line}: {now}  →  {then}"


class Copy:
    """A copy of the checkout that mutants are tried in, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._times = 0
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        for name in subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True).stdout.decode().split("\0"):
            if name and (PROJECT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, folder / name)
        (folder / "tmp").mkdir()

    def noticed(self, mutant: Mutant, seconds: float) -> str | None:
        """The first test that fails on a mutant, and does so again; None if all pass."""
        path = self._folder / mutant.module
        text = path.read_bytes()
        by_chance: list[str] = []
        try:
            self._write(path, mutant.fault.in_(text))
            while failed := self.tested(mutant.group, seconds, *(f"--deselect={each}" for each in by_chance)):
                if "::" not in failed or self._failed(mutant.group, [failed], seconds):
                    return failed
                by_chance.append(failed)
        finally:
            self._write(path, text)
        return None

    def _write(self, path: Path, text: bytes) -> None:
        """Each text has a time of its own, by which Python tells whether what it has compiled is of this one."""
        self._times += 1
        path.write_bytes(text)
        os.utime(path, (self._times, self._times))

    def tested(self, group: str, seconds: float, *options: str) -> str | None:
        """The first test of a group that fails here, None if all pass."""
        files = [path for each in GROUPS[group].tests for path in sorted(self._folder.glob(each))]
        tests = [str(path.relative_to(self._folder)) for path in files]
        return self._failed(group, [*tests, *options], seconds)

    def _failed(self, group: str, tests: list[str], seconds: float) -> str | None:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {"PYTHONPATH": str(self._folder), "TMPDIR": str(self._folder / "tmp")}
        options = ["-x", "-q", "-n", "0", "--no-header", "--tb=no", "--hypothesis-seed=0", "-p", "no:cacheprovider"]
        options += ["--timeout", "60"]
        left_out = SERVERS if GROUPS[group].slow else f"{SERVERS} or slow"
        command = [sys.executable, "-m", "pytest", *options, "-m", f"not ({left_out})", *tests]
        with subprocess.Popen(
            command, cwd=self._folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                said = "FAILED it takes too long"
            finally:
                _end(process)
        if process.returncode == 0:
            return None
        return next(iter(re.findall(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", said, re.MULTILINE)), said[-2000:])


def _end(process: subprocess.Popen[str]) -> None:
    """Let the tests stop their servers; after a while, kill all of them."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def every(groups: list[str]) -> Iterator[Mutant]:
    """Every mutant that there is."""
    for name in groups:
        for path in sorted({path for each in GROUPS[name].modules for path in PROJECT.glob(each)}):
            for fault in faults(path.read_bytes()):
                yield Mutant(name, str(path.relative_to(PROJECT)), fault)


def main() -> int:
    """Draw, try, and say what was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    asked = parser.parse_args()
    known = list(every(asked.groups))
    random.Random(asked.seed).shuffle(known)
    sample = list(
        islice((each for each in known if each.fault.changes((PROJECT / each.module).read_bytes())), asked.mutants)
    )
    print(f"{len(sample)} of some {len(known)} mutants, seed {asked.seed}", flush=True)
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="mutants-") as folder, ThreadPoolExecutor(WORKERS) as pool:
        Path(folder).chmod(0o755)  # PostgreSQL runs as somebody else
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(WORKERS):
            copies.put(Copy(Path(folder) / str(number)))
        patience: dict[str, float] = {}

        def unharmed(group: str) -> None:
            copy, begun = copies.get(), time.monotonic()
            failed = copy.tested(group, 600)
            copies.put(copy)
            if failed:
                raise SystemExit(f"{group}: without any fault, too, {failed}")
            patience[group] = 3 * (time.monotonic() - begun) + 30
            print(f"{group}: {time.monotonic() - begun:.0f} s without a fault", flush=True)

        def tried(mutant: Mutant) -> tuple[Mutant, str | None]:
            copy = copies.get()
            noticed = copy.noticed(mutant, patience[mutant.group])
            copies.put(copy)
            return mutant, noticed

        list(pool.map(unharmed, {mutant.group: None for mutant in sample}))
        survived, all_ = Counter[str](), Counter[str]()
        for mutant, noticed in pool.map(tried, sample):
            all_[mutant.group] += 1
            survived[mutant.group] += noticed is None
            print(f"{'noticed' if noticed else 'SURVIVED'} {mutant}{f'   ({noticed})' if noticed else ''}", flush=True)
    for group, count in all_.items():
        print(f"{group}: {count - survived[group]} of {count} noticed")
    whole, lost = all_.total(), survived.total()
    print(f"{whole - lost} of {whole} noticed: {(whole - lost) / max(1, whole):.0%} (seed {asked.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
