"""The demo: what a newcomer sees first."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import environment as program_environment, program

KINDS = {
    "contested", "ambiguous", "reassigned", "shared", "exclude", "invalid", "value", "stale", "unmatched",
}  # fmt: skip


def test_the_demo_plans_applies_and_has_nothing_left_to_do(tmp_path: Path) -> None:
    ended = program("demo", "--folder", tmp_path / "demo", folder=tmp_path)
    assert ended.code == 0, ended.said
    assert "51 users would be changed." in ended.out
    assert "Done: 51 of 51 users written." in ended.out
    assert "Nothing is left to write." in ended.out
    shown = ended.out.partition("A dry run")[2].partition("After the review")[0]
    assert "Nothing was written. To apply it, run:\n    cec-connector apply " in shown
    assert "sample-password" not in ended.said
    page = tmp_path / "demo" / "plan.html"
    assert f"The reviewer's page of the plan: {page}\n" in ended.out
    assert ended.out.endswith(f"\n    {sys.executable} -m connector init\n")
    html = page.read_text(encoding="utf-8")
    assert "51 users would be changed." in html
    assert "sample-password" not in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]
    # the folder is a job like any other: what the end says, word by word
    said, _, then = ended.out.partition("To go on, change a workNo in agents.json, then plan again:\n")[2].partition(
        "Next,"
    )
    assert then
    agents = tmp_path / "demo" / "agents.json"
    agents.write_text(agents.read_text().replace('"workNo": 1001,', '"workNo": 1801,'))
    again = subprocess.run(
        ["sh", "-ec", said], capture_output=True, text=True, check=False, cwd=tmp_path, env=program_environment({})
    )
    assert again.returncode == 0, again.stderr
    assert "employeeNumber: 1001 → 1801" in again.stdout
    assert "1 user would be changed." in again.stdout
    assert "sample-password" not in again.stdout + again.stderr
    _check_counts(program("plan", "demo/job.yaml", "--all", folder=tmp_path).out)


def _check_counts(shown: str) -> None:
    """What is counted is listed."""
    assert {kind for kind in KINDS if f"Problems: {kind} (" in shown} == KINDS
    for kind in ("unmatched", "ambiguous", "contested", "invalid", "stale"):
        counted = re.search(rf" {kind} +(\d+)", shown)
        listed = re.search(rf"^Problems: {kind} \((\d+)\)\n  .*\n((?:  .*\n)+)", shown, re.MULTILINE)
        assert counted
        assert listed
        assert int(counted[1]) == int(listed[1]) == listed[2].count("  - "), kind
    total = sum(map(int, re.findall(r"^Problems: \w+ \((\d+)\)$", shown, re.MULTILINE)))
    assert f"\n{total} problems: 2 invalid, 6 contested, " in shown
    summary = {name: int(number) for name, number in re.findall(r"(\w+) +(\d+)(?= |$)", shown, re.MULTILINE)}
    held = int(re.findall(r" (\d+) matched users? held back\.\n", shown)[0])
    assert summary["matched"] == summary["unchanged"] + summary["update"] + held
    assert summary["Agents"] == sum(
        summary[name] for name in ("matched", "unmatched", "ambiguous", "contested", "unassigned", "invalid")
    )
    assert "accountCode external-8, workNo 1171, pin: it is pinned to 'uid=nobody" in shown
    assert (
        "almost: uid=user195,ou=people,dc=example,dc=org (Sample User 195) (uid user195: differs in leading zeros)"
        in shown
    )


@pytest.mark.slow
@pytest.mark.parametrize("found", [True, False])
def test_the_end_of_the_demo_names_a_command_that_runs(tmp_path: Path, *, found: bool) -> None:
    """As `make demo` starts it, from an environment that is not the shell's, and as one starts it who has it there."""
    own = shutil.which("cec-connector", path=Path(sys.executable).parent)
    assert own
    environment = program_environment({"PATH": f"{Path(own).parent if found else ''}:/usr/bin:/bin"})
    command = ["cec-connector" if found else own, "demo", "--folder", str(tmp_path / "demo")]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    last = shown.stdout.splitlines()[-1].strip()
    assert last == f"{'cec-connector' if found else own} init"
    again = subprocess.run(["sh", "-c", f"{last} --help"], env=environment, capture_output=True, text=True, check=True)
    assert "job" in again.stdout


def test_the_seats_of_the_demo_end_where_they_belong(tmp_path: Path) -> None:
    program("demo", "--folder", tmp_path / "demo", folder=tmp_path)
    people = (tmp_path / "demo" / "people.ldif").read_text(encoding="utf-8")
    seats = {}
    for entry in people.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in entry.splitlines() if line.startswith(("uid:", "employeeNumber:")))
        if "uid" in lines:
            seats[lines["uid"]] = lines.get("employeeNumber")
    swapped = {name: seats[name] for name in ("user121", "user122", "user123", "user124", "user150")}
    assert json.dumps(swapped) == json.dumps(
        {"user121": "1190", "user122": "1121", "user123": "1124", "user124": "1123", "user150": "1300"}
    )
    assert len({seat for seat in seats.values() if seat}) == len([seat for seat in seats.values() if seat])
