"""What is kept of a settings file: the same as reading it anew, or nothing."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Struct

from connector.errors import FileError
from connector.reconcile.mapping import Mapping
from connector.settings import cache, job as jobs, mapping_file as mappings
from connector.settings.ldif import LdifDirectory
from connector.settings.yamlfile import read

ROOT = Path(__file__).parents[2]
JOB = """\
source: {type: file, path: agents.json}
directory: {type: ldif, path: people.ldif}
mapping: ldif
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of entries, which nobody has made yet; the files of `JOB` are beside it."""
    for name in ("agents.json", "people.ldif"):
        (tmp_path / name).touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cec-connector"


@pytest.fixture
def job(home: Path, tmp_path: Path) -> Path:
    """A job that was read once."""
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    assert jobs.load(path) == anew(path)
    assert len(entries(home)) == 1
    return path


def anew(path: Path) -> jobs.LoadedJob:
    return jobs.shaped(read(path))


def entries(home: Path) -> list[Path]:
    return sorted(home.glob("*"))


def is_found(path: Path) -> bool:
    """Whether the job is read without its YAML."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cache, "_parsed", lambda *_: pytest.fail("read anew"))
        try:
            return jobs.load(path) == anew(path)
        except pytest.fail.Exception:
            return False


def test_a_job_is_found_until_its_text_changes(job: Path) -> None:
    assert is_found(job)
    job.write_text(JOB + "max_failures: 3\n")
    assert not is_found(job)
    assert jobs.load(job).job.max_failures == 3
    assert is_found(job)
    job.write_text(JOB)
    assert jobs.load(job).job.max_failures == 8


def test_a_file_that_has_gone_is_named_as_without_the_cache(job: Path) -> None:
    people = job.with_name("people.ldif")
    people.unlink()
    with pytest.raises(FileError, match=r"there is no file .*people\.ldif"):
        jobs.load(job)
    os.mkfifo(people)
    with pytest.raises(FileError, match="is a device, a socket or a pipe"):
        jobs.load(job)
    people.unlink()
    people.touch()
    assert is_found(job)


def test_the_same_text_elsewhere_has_its_own_paths(job: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "job.yaml"
    other.parent.mkdir()
    for name in ("agents.json", "people.ldif"):
        (other.parent / name).touch()
    other.write_text(JOB)
    for path in (other, job, other):
        directory = jobs.load(path).job.directory
        assert isinstance(directory, LdifDirectory)
        assert directory.path == path.parent / "people.ldif"


def test_a_folder_whose_name_is_no_text_is_read_anew(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    for name in ("agents.json", "people.ldif"):
        (folder / name).touch()
    (folder / "job.yaml").write_text(JOB)
    assert jobs.load(folder / "job.yaml") == anew(folder / "job.yaml")
    assert entries(home) == []


def test_a_relative_name_is_kept_apart_from_an_absolute_one(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job.parent)
    assert jobs.load(Path(job.name)).where("mapping") == "job.yaml:3"
    assert jobs.load(job).where("mapping") == f"{job}:3"


def test_another_version_of_the_program_reads_anew(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "__version__", "0.0.1")
    assert not is_found(job)


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_what_others_may_write_is_not_taken(job: Path, home: Path, mode: int) -> None:
    (entry,) = entries(home)
    home.chmod(mode)
    assert not is_found(job)
    home.chmod(0o700)
    entry.chmod(mode)
    assert not is_found(job)
    entry.chmod(0o600)
    assert is_found(job)


def test_what_another_account_owns_is_not_taken(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not is_found(job)


def test_a_home_that_is_not_there_is_not_made(job: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = job.with_name("nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    assert jobs.load(job) == anew(job)
    assert not nowhere.exists()


def test_the_folder_above_is_for_this_account_alone_as_well(
    job: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(job.with_name("new")))
    before = os.umask(0)
    try:
        jobs.load(job)
    finally:
        os.umask(before)
    assert job.with_name("new").stat().st_mode & 0o777 == 0o700
    assert is_found(job)


def test_a_link_is_not_taken(job: Path, home: Path) -> None:
    (entry,) = entries(home)
    entry.symlink_to(entry.rename(job.with_name("elsewhere")))
    assert not is_found(job)


def test_folder_and_entries_are_for_this_account_alone(job: Path, home: Path) -> None:
    assert [path.stat().st_mode & 0o777 for path in (home, *entries(home))] == [0o700, 0o600]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": 1}'])
def test_what_is_no_entry_is_replaced(job: Path, home: Path, text: str) -> None:
    (entry,) = entries(home)
    entry.write_text(text)
    assert not is_found(job)
    jobs.load(job)
    assert is_found(job)


def forge(entry: Path, path: Path, value: str) -> None:
    """Let an entry hold another value, as one who knows how it is sealed."""
    held = json.dumps({"looks": {}, "value": 0}).replace("0", value)
    entry.write_bytes(cache.seal(cache.key_of(path.read_text(), path), held.encode()) + held.encode())


def test_an_entry_that_was_changed_since_is_replaced(job: Path, home: Path) -> None:
    (entry,) = entries(home)
    kept = entry.read_bytes()
    for old, new in ((b"settings.ldif:LdifDirectory", b"settings.textfile:Looks"), (b"people.ldif", b"other.ldif")):
        assert old in kept
        entry.write_bytes(kept.replace(old, new))
        assert not is_found(job)
        assert jobs.load(job) == anew(job)
        assert entry.read_bytes() == kept


def test_a_library_of_another_version_reads_anew(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = job.with_name("libraries")
    (libraries / "ruamel_yaml-0.99.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(libraries)
    assert not is_found(job)
    jobs.load(job)
    assert is_found(job)
    (libraries / "ruamel_yaml-0.99.dist-info").rename(libraries / "ruamel_yaml-1.0.dist-info")
    assert not is_found(job)


@pytest.mark.parametrize(
    "value",
    [
        ["builtins:eval", "1"], ["connector.settings.cache:load", "1"], ["os:system", "true"], ["", "1"], [],
        ["connector.settings.job:LoadedJob", "job"], ["connector.nowhere:Thing"], ["path", 1], ["dict", 1], 7,
    ],
)  # fmt: skip
def test_an_entry_makes_nothing_but_values_of_the_program(job: Path, home: Path, value: Any) -> None:
    (entry,) = entries(home)
    forge(entry, job, json.dumps(value))
    assert not is_found(job)
    assert jobs.load(job) == anew(job)


def test_an_entry_of_countless_lists_is_no_entry(job: Path, home: Path) -> None:
    (entry,) = entries(home)
    value = '["list",' * 990 + "1" + "]" * 990
    forge(entry, job, value)
    assert not is_found(job)
    assert jobs.load(job) == anew(job)


def test_a_job_with_approvers_is_never_kept(job: Path, home: Path) -> None:
    (job.parent / "signers").touch()
    job.write_text(JOB + "approvers: {allowed: signers, needed: 1}\n")
    before = [entry.read_bytes() for entry in entries(home)]
    jobs.load(job)
    assert not is_found(job)
    assert [entry.read_bytes() for entry in entries(home)] == before


@pytest.mark.parametrize("key", ['"approver\\x73"', '? "appro\\\n  vers"\n'])
def test_a_key_that_is_spelt_otherwise_is_a_key_all_the_same(job: Path, home: Path, key: str) -> None:
    (job.parent / "signers").touch()
    job.write_text(JOB + key + ": {allowed: signers, needed: 1}\n")
    before = [entry.read_bytes() for entry in entries(home)]
    assert jobs.load(job).job.approvers is not None
    assert [entry.read_bytes() for entry in entries(home)] == before


def test_files_of_others_beside_the_entries_are_left_alone(
    job: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST", 1)
    plan = home / "plan.json"
    plan.touch()
    os.utime(plan, (1, 1))
    job.write_text(JOB + "max_failures: 3\n")
    jobs.load(job)
    assert plan in entries(home)


def test_nothing_is_written_where_others_may_write(job: Path, home: Path) -> None:
    home.chmod(0o777)
    before = [entry.read_bytes() for entry in entries(home)]
    job.write_text(JOB + "max_failures: 3\n")
    jobs.load(job)
    assert [entry.read_bytes() for entry in entries(home)] == before


def test_a_wrong_job_is_not_kept(job: Path, home: Path) -> None:
    before = [entry.read_bytes() for entry in entries(home)]
    job.write_text(JOB + "max_failures: none\n")
    for _ in range(2):
        with pytest.raises(FileError, match="must be a whole number"):
            jobs.load(job)
    assert [entry.read_bytes() for entry in entries(home)] == before


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/cec-connector"}, "/var/cache/cec-connector"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/cec-connector"),
        ({"XDG_CACHE_HOME": "x", "HOME": "/h"}, "/h/.cache/cec-connector"),
        ({"HOME": "h"}, None),
        ({}, None),
    ],
)
def test_the_folder_is_that_of_the_service_or_of_the_account(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], found: str | None
) -> None:
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache.folder() == (None if found is None else Path(found))


def test_without_a_folder_a_job_is_read_all_the_same(job: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.with_name("file").touch()
    for nowhere in (str(home.with_name("file")), "/dev/null"):
        monkeypatch.setenv("XDG_CACHE_HOME", nowhere)
        assert jobs.load(job) == anew(job)
        assert not is_found(job)


def test_the_oldest_entries_go(job: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 2)
    (oldest,) = entries(home)
    os.utime(oldest, (1, 1))
    for number in range(2):
        other = job.with_name(f"{number}.yaml")
        other.hardlink_to(job)
        jobs.load(other)
    assert len(entries(home)) == 2
    assert oldest not in entries(home)


def documented(page: str, key: str) -> Iterator[str]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return (block for block in blocks if re.search(rf"^{key}:", block, re.MULTILINE))


def test_every_job_of_the_documentation_is_found_as_it_is_read(home: Path, tmp_path: Path) -> None:
    for name in ("ldap-ca.pem", "pins.csv", "exclude.csv"):
        (tmp_path / name).touch()
    whole = list(documented("job-file.md", "source"))
    assert whole
    for number, text in enumerate(whole):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        jobs.load(path)
        assert is_found(path) == ("approvers" not in text)


@pytest.mark.parametrize("path", sorted((ROOT / "mappings").glob("*.yaml")), ids=lambda path: str(path.stem))
def test_every_ready_mapping_is_found_as_it_is_read(home: Path, path: Path) -> None:
    first = mappings.load(path.stem, path)
    assert first == mappings.load(path.stem, path) == mappings.shaped(read(path))
    assert len(entries(home)) == 1


def test_every_part_that_a_file_may_have_is_kept(home: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "match: [{agent: '{accountCode|lower}@example.org', directory: mail}]\n"
        "attributes:\n"
        "  telephoneNumber: {value: ['{sipAccount}', 'x{sipAccount|digits}'], owns: ['x*', '7*'], together: phone}\n"
        "  employeeNumber: {value: '{workNo}', unique: true, when_absent: clear, together: phone, adopt: true}\n"
        "object_classes: [cecAgent]\n"
        "stale: {clear_after: 3 runs, disabled: clear}\n"
    )
    path = tmp_path / "job.yaml"
    path.write_text(
        JOB.replace("ldif\n", "own.yaml\n")
        + "limits: {update: 20%, clear: 3, attributes: {mail: 5%}}\nramp: [1, 2]\nkey: {env: KEY}\n"
        "audit: {file: audit.log, syslog: 'tls://log.example.org'}\nlog: {people: hashed}\n"
        "notify: {mail: {server: 'smtps://mail.example.org', sender: a@example.org, to: [b@example.org]}}\n"
        "serve: {cron: '15 6 * * *', timezone: Europe/Berlin, jitter: 5m}\n"
    )
    jobs.load(path)
    assert is_found(path)
    first = mappings.load("own.yaml", path)
    assert first == mappings.load("own.yaml", path) == mappings.shaped(read(tmp_path / "own.yaml"))
    assert len(entries(home)) == 2


class Inner(Struct, frozen=True):
    path: Path
    several: tuple[int, ...]


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53) + 1, (1 << 53) - 1) | st.floats(-1e15, 1e15) | st.text()
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
    | st.dictionaries(st.text() | st.tuples(st.text()), inner),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_what_was_packed_is_unpacked_as_it_was(value: Any) -> None:
    through = msgspec.json.decode(msgspec.json.encode(cache.packed(value)))
    assert repr(cache.unpacked(through)) == repr(value)


@pytest.mark.parametrize(
    "value", [b"octets", {1}, object(), 1 << 60, math.inf, math.nan, Inner(Path("x"), (1,)), [len]]
)
def test_other_values_are_not_kept(value: object) -> None:
    with pytest.raises(cache.UnkeptError):
        cache.packed(value)


def test_a_mapping_says_the_same_of_agents_when_found(home: Path) -> None:
    first, second = (mappings.load("openldap-h350", home) for _ in range(2))
    assert isinstance(second, Mapping)
    pairs = zip(first.attributes, second.attributes, strict=True)
    assert all(one.value.pieces == other.value.pieces for one, other in pairs)
