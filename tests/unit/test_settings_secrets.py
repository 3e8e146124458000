"""Secrets are fetched from where the job says, whole, or the job's line is named; they are never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connector.errors import FileError
from connector.net.secret_stores import open_to_others
from connector.settings import job as jobs
from connector.settings.fields import MAX_SECRET_BYTES, SecretRef, resolve_secret
from tests.support.jobs import job_file, ldap_directory

WHERE = "job.yaml:4"


def fault(ref: SecretRef) -> str:
    with pytest.raises(FileError) as caught:
        resolve_secret(ref, "the app key", WHERE)
    assert caught.value.where == WHERE
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_variable_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEC_KEY", " s3cret\n")
    secret = resolve_secret(SecretRef(env="CEC_KEY"), "the app key", WHERE)
    assert secret.reveal() == " s3cret\n"
    assert "s3cret" not in repr(secret)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret\n\n", "s3cret\n"),
        (b" s3cret ", " s3cret "),
        ("\ufeffsécret\n".encode(), "sécret"),
        (b"x" * MAX_SECRET_BYTES, "x" * MAX_SECRET_BYTES),
    ],
)
def test_a_file_is_taken_without_its_last_line_break(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert resolve_secret(SecretRef(file=tmp_path / "secret"), "the app key", WHERE).reveal() == expected


def test_a_variable_that_is_missing_or_empty_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CEC_KEY", raising=False)
    assert fault(SecretRef(env="CEC_KEY")) == "job.yaml:4: the app key: environment variable CEC_KEY is not set"
    monkeypatch.setenv("CEC_KEY", "")
    assert fault(SecretRef(env="CEC_KEY")) == "job.yaml:4: the app key: environment variable CEC_KEY is empty"
    monkeypatch.setitem(os.environb, b"CEC_KEY", b"s3cret\xff")
    assert fault(SecretRef(env="CEC_KEY")) == (
        "job.yaml:4: the app key: environment variable CEC_KEY is not UTF-8 text"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "there is no such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (b"s3cret\xff", "1: is not UTF-8 text"),
        (b"s3cret" * MAX_SECRET_BYTES, "is larger than 65,536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    said = fault(SecretRef(file=path))
    assert said.startswith(f"job.yaml:4: the app key: {path}")
    assert said.endswith(expected)
    assert "s3cret" not in said


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    assert fault(SecretRef(file=tmp_path)).endswith("cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("mode", "group", "told"),
    [
        (0o600, None, False),
        (0o440, None, False),  # as Kubernetes mounts it, for the pod's own group
        (0o440, 54321, True),
        (0o604, None, True),
        (0o644, None, True),
        (0o1644, None, True),  # the sticky bit protects folders alone
        (0o400, 54321, False),
    ],
)
def test_a_secret_file_is_told_if_others_may_read_it(tmp_path: Path, mode: int, group: int | None, told: bool) -> None:
    path = tmp_path / "bind-password"
    path.write_text("s3cret\n")
    if group is not None:
        if os.geteuid() != 0:
            pytest.skip("only root gives a file to a group of others")
        os.chown(path, -1, group)
    path.chmod(mode)
    directory = ldap_directory("ldaps://ldap.example.org", ca=path, bind_dn="cn=sync", password={"file": str(path)})
    (tmp_path / "job.yaml").write_text(job_file(directory, mapping="ldif"))
    (tmp_path / "agents.json").write_text("{}")
    assert [found for found, *_ in open_to_others(jobs.load_job(tmp_path / "job.yaml"))] == ([path] if told else [])
