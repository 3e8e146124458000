"""Makes a release in dist/ from the last commit: wheel, source archive, image, SBOM, notes, and their checksums.

    python scripts/release.py            # the version of connector/__init__.py, which CHANGELOG.md describes
    python scripts/release.py --no-image

Both archives are built twice, from two copies of the commit, and must be the same octets.
The wheel is installed by pip, pipx and uv, each into an empty place, and runs the demo from
there. Nothing is published.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TOOLS = ROOT / ".venv-deploy/bin"


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """What a command prints. Ends the release where it fails."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(
            f"{ended.stdout}{ended.stderr}release: this failed: {' '.join(map(str, command))}"
        )
    return ended.stdout


def version() -> str:
    """The version that the program says it is."""
    found = re.search(
        r'^__version__ = "(.*)"$',
        (ROOT / "connector/__init__.py").read_text(),
        re.MULTILINE,
    )
    if found is None:
        sys.exit("release: connector/__init__.py names no version")
    return found[1]


def notes(of: str) -> str:
    """What CHANGELOG.md says of this version, or of what is not released yet."""
    told = (ROOT / "CHANGELOG.md").read_text()
    for heading in (of, "Unreleased"):
        found = re.search(
            rf"^## \[{re.escape(heading)}\].*\n([\s\S]*?)(?=^## |\Z)",
            told,
            re.MULTILINE,
        )
        if found and found[1].strip():
            if heading != of:
                print(
                    f"CHANGELOG.md has no section [{of}] yet: the notes are those of [Unreleased]."
                )
            return found[1].strip() + "\n"
    sys.exit(f"release: CHANGELOG.md has no section [{of}]: write what is new")


def built(folder: Path) -> list[Path]:
    """The wheel and the source archive, built from a copy of the last commit in this folder."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    archive = folder / "commit.tar"
    run("git", "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as commit:
        commit.extractall(tree, filter="data")
    time = run("git", "log", "-1", "--format=%ct").strip()
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-d",
        folder / "built",
        cwd=tree,
        SOURCE_DATE_EPOCH=time,
    )
    return sorted((folder / "built").iterdir())


def same_twice(work: Path) -> list[Path]:
    """Both archives, in dist/. Ends the release where a second build gives other octets."""
    first, second = built(work / "one"), built(work / "two")
    for one, two in zip(first, second, strict=True):
        if one.read_bytes() != two.read_bytes():
            sys.exit(
                f"release: {one.name} is not the same octets when it is built again"
            )
    return [Path(shutil.copy(path, DIST)) for path in first]


def checked(wheel: Path, of: str) -> None:
    """The wheel's metadata, as an index would check it (PEP 566 and what followed)."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (
            name for name in archive.namelist() if name.endswith(".dist-info/METADATA")
        )
        metadata = Metadata.from_email(archive.read(name), validate=True)
    if (
        str(metadata.version) != of
        or metadata.description_content_type != "text/markdown"
        or not metadata.description
    ):
        sys.exit(
            f"release: the metadata of {wheel.name} does not fit version {of}, or has no description"
        )


def installed(wheel: Path, work: Path) -> None:
    """The demo, from the wheel as users install it."""
    run(sys.executable, "-m", "venv", work / "pip")
    places = {
        "pip": (
            [work / "pip/bin/python", "-m", "pip", "install", "--quiet", wheel],
            work / "pip/bin",
            {},
        ),
        "pipx": (
            [TOOLS / "pipx", "install", "--quiet", "--python", sys.executable, wheel],
            work / "pipx-bin",
            {"PIPX_HOME": str(work / "pipx"), "PIPX_BIN_DIR": str(work / "pipx-bin")},
        ),
        "uv": (
            [
                TOOLS / "uv",
                "tool",
                "install",
                "--quiet",
                "--python",
                sys.executable,
                wheel,
            ],
            work / "uv-bin",
            {"UV_TOOL_DIR": str(work / "uv"), "UV_TOOL_BIN_DIR": str(work / "uv-bin")},
        ),
    }
    empty = work / "empty"
    empty.mkdir()
    for by, (command, where, environment) in places.items():
        run(*command, cwd=empty, **environment)
        said = run(where / "cec-connector", "demo", cwd=empty)
        if "Nothing is left to write" not in said:
            sys.exit(
                f"{said}release: the demo of the wheel that {by} installed did not come to its end"
            )
        print(f"installed by {by}, the demo runs")


def image(of: str) -> Path:
    """The image, as an archive that `docker load` takes."""
    run("make", "image")
    path = DIST / f"cec-connector-{of}-image.tar"
    run("scripts/engine", "save", "--quiet", "--output", path, "cec-connector")
    return path


def main() -> None:
    """Make the release, and say what is in it."""
    asked = argparse.ArgumentParser(
        description="Makes a release in dist/ from the last commit."
    )
    asked.add_argument(
        "--no-image", action="store_true", help="leave the container image out"
    )
    options = asked.parse_args()
    if run("git", "status", "--porcelain"):
        sys.exit(
            "release: something is not committed, and a release is made from the last commit"
        )
    of = version()
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    (DIST / "notes.md").write_text(notes(of))
    with tempfile.TemporaryDirectory() as folder:
        archives = same_twice(Path(folder))
        (wheel,) = (path for path in archives if path.suffix == ".whl")
        checked(wheel, of)
        installed(wheel, Path(folder))
    run("scripts/list-packages", DIST / "cec-connector.cdx.json")
    files = [*archives, DIST / "cec-connector.cdx.json"] + (
        [] if options.no_image else [image(of)]
    )
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(files)
    )
    (DIST / "SHA256SUMS").write_text(sums)
    print(
        f"\nVersion {of} is in dist/:\n{sums}\nTag the commit as v{of} to publish it."
    )


if __name__ == "__main__":
    main()
