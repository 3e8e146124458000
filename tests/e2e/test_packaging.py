import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LOCKED = sorted((ROOT / "requirements").glob("*.txt"))
LINE = re.compile(r"([a-z0-9-]+)==([^ ;]+)( ; [a-z_]+ [^\\]*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


def locked(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := LINE.fullmatch(line)) and match[1]}


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.name)
def test_a_requirements_file_holds_names_versions_markers_and_hashes_and_no_address(path: Path) -> None:
    odd = [line for line in path.read_text().splitlines() if not LINE.fullmatch(line)]
    assert odd == []


def test_every_requirement_of_the_program_is_locked_at_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for what, wanted in (("run", project["project"]["dependencies"]), ("build", project["build-system"]["requires"])):
        versions = locked(what)
        for requirement in map(Requirement, wanted):
            version = versions.get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is not in requirements/{what}.txt: run make lock"
            assert version in requirement.specifier, f"{requirement} is locked at {version}: run make lock"


def test_tests_run_with_the_very_versions_that_users_get() -> None:
    dev = locked("dev")
    for name in ("run", "build"):
        assert {package: dev.get(package) for package in locked(name)} == locked(name)


def test_a_built_wheel_ships_the_ready_mappings_and_the_marker_for_type_checkers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    built = zipfile.ZipFile(wheel)
    names = set(built.namelist())
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    assert "\nName: cec-connector\n" in built.read(metadata).decode(), "it is called like its command"
    ready = {f"connector/mappings/{path.name}" for path in (ROOT / "mappings").iterdir()}
    assert ready
    assert ready | {"connector/py.typed", "connector/__main__.py"} <= names
    assert not {name for name in names if name.startswith("tests/")}


def find_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "find-python", *arguments],
        env={"HOME": "/nonexistent", "PATH": "/nonexistent", **environment},
        text=True,
        capture_output=True,
        check=False,
    )


def candidate(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_python_that_is_on_the_path_but_does_not_run_is_passed_over(tmp_path: Path) -> None:
    candidate(tmp_path / "shims", "python3.13", "exit 127")
    candidate(tmp_path / "shims", "python3", "exit 127")
    candidate(tmp_path / "with space", "python3", f'exec "{sys.executable}" "$@"')
    found = find_python(PATH=f"{tmp_path}/shims:{tmp_path}/with space")
    assert (found.returncode, found.stderr) == (0, "")
    assert Path(found.stdout.strip()).samefile(sys.executable)


def test_the_python_that_the_user_names_is_taken_or_refused_but_never_replaced(tmp_path: Path) -> None:
    candidate(tmp_path, "python3", f'exec "{sys.executable}" "$@"')
    assert find_python(PATH=str(tmp_path), PYTHON=sys.executable).returncode == 0
    refused = find_python(PATH=str(tmp_path), PYTHON="/nonexistent/python")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "PYTHON=/nonexistent/python" in refused.stderr


def test_an_exact_version_is_found_or_nothing_is(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    other = "3.11" if version != "3.11" else "3.12"
    for name in (version, other):
        candidate(tmp_path, f"python{name}", f'exec "{sys.executable}" "$@"')
    assert find_python(version, PATH=str(tmp_path)).returncode == 0
    assert find_python(other, PATH=str(tmp_path)).returncode == 1


def test_without_any_python_the_newcomer_is_told_what_to_do(tmp_path: Path) -> None:
    candidate(tmp_path, "apt-get", "exit 0")
    candidate(tmp_path, "id", "echo 1000")
    told = find_python(PATH=str(tmp_path))
    assert told.returncode == 1
    assert "sudo apt-get install -y python3-venv" in told.stderr
