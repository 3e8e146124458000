"""A release as `make release` makes it, of a copy of this commit; the image, which other tests build, is left out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from connector import __version__
from tests.support.deploy_tools import PROJECT, TOOLS, call

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is committed here, and nothing else; with the environments, which are not made again."""
    folder = tmp_path_factory.mktemp("release") / "commit"
    call("git", "clone", "--quiet", PROJECT, folder)
    for name in (".venv", ".venv-deploy"):
        (folder / name).symlink_to(PROJECT / name)
    return folder


def release(commit: Path, code: int = 0) -> str:
    command = [sys.executable, "scripts/release.py", "--no-image"]
    ran = subprocess.run(command, cwd=commit, capture_output=True, text=True, timeout=500, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_a_release_is_installed_three_ways_and_has_its_notes_contents_and_checksums(commit: Path) -> None:
    said = release(commit)
    assert [f"installed by {by}, the demo runs" in said for by in ("pip", "pipx", "uv")] == [True] * 3
    dist = commit / "dist"
    wheel, source = f"cec_connector-{__version__}-py3-none-any.whl", f"cec_connector-{__version__}.tar.gz"
    listed = {
        name: digest for digest, name in (line.split("  ") for line in (dist / "SHA256SUMS").read_text().splitlines())
    }
    assert set(listed) == {wheel, source, "cec-connector.cdx.json"}
    for name, digest in listed.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest
    assert (dist / "notes.md").read_text().strip()
    names = {each["name"] for each in json.loads((dist / "cec-connector.cdx.json").read_text())["components"]}
    assert {"h11", "msgspec", "psycopg"} <= names
    with tarfile.open(dist / source) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "Makefile", "scripts/setup", "deploy/Dockerfile", "tests/conftest.py"} <= held


def test_no_release_is_made_of_what_is_not_committed_or_not_described(commit: Path) -> None:
    (commit / "new.txt").write_text("")
    assert "something is not committed" in release(commit, code=1)
    (commit / "new.txt").unlink()
    changes = commit / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace("## [Unreleased]", "## [0.0.1]"))
    named = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    call("git", "-C", commit, *named, "commit", "--quiet", "-am", "Say nothing of this version")
    assert f"CHANGELOG.md has no section [{__version__}]" in release(commit, code=1)


@pytest.mark.parametrize("name", ["check.yml", "release.yml"])
def test_the_pipelines_are_such(name: str) -> None:
    call(
        TOOLS / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        PROJECT / ".github/workflows" / name,
    )


def test_the_pipelines_of_gitlab_are_such() -> None:
    call(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", PROJECT / ".gitlab-ci.yml")


def test_no_pipeline_has_more_rights_than_it_needs_or_runs_what_may_change() -> None:
    call(TOOLS / "zizmor", "--offline", "--persona", "pedantic", PROJECT / ".github/workflows")
