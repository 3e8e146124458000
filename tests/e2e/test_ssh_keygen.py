"""The real ssh-keygen signs what the program verifies, and verifies what is signed the same way elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.approval.keys import PublicKey
from connector.approval.signers import allowed_signers
from connector.approval.sshsig import signed_by
from connector.approval.wire import SignatureError
from tests.support.ssh_keys import KINDS, MADE_BY_KEYGEN, NAMESPACE, keygen, pen

pytestmark = [pytest.mark.openssh, pytest.mark.slow]
FILE = b'{"schema": "cec-connector/plan/1"}\n'


@pytest.mark.parametrize("kind", MADE_BY_KEYGEN)
def test_what_ssh_keygen_signs_is_verified(kind: str, tmp_path: Path) -> None:
    name, bits = MADE_BY_KEYGEN[kind]
    key, plan = tmp_path / "key", tmp_path / "plan.json"
    plan.write_bytes(FILE)
    assert keygen("-q", "-t", name, "-b", str(bits), "-N", "", "-C", "", "-f", key).returncode == 0
    public = key.with_suffix(".pub").read_text()
    for options in ([], ["-O", "hashalg=sha256"]):
        signature = keygen("-Y", "sign", "-f", key, "-n", NAMESPACE, *options, stdin=FILE).stdout
        found = signed_by(signature, FILE, NAMESPACE)
        assert found == PublicKey.written(*public.split()[:2])
        assert found.fingerprint in keygen("-l", "-f", key).stdout.decode().split()
        with pytest.raises(SignatureError, match="does not fit this file"):
            signed_by(signature, FILE + b" ", NAMESPACE)
    assert keygen("-Y", "sign", "-f", key, "-n", NAMESPACE, plan).returncode == 0
    assert signed_by((tmp_path / "plan.json.sig").read_bytes(), FILE, NAMESPACE).kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_ssh_keygen_verifies_what_is_verified_here(kind: str, tmp_path: Path) -> None:
    signature, signers = tmp_path / "plan.json.sig", tmp_path / "allowed_signers"
    signature.write_bytes(pen(kind).sign(FILE))
    who = "anna@example.org"
    signers.write_text(f'{who} namespaces="{NAMESPACE}",valid-after="20260101" {pen(kind).public} laptop\n')
    verify: list[str | Path] = [
        "-Y",
        "verify",
        "-f",
        signers,
        "-I",
        "anna@example.org",
        "-n",
        NAMESPACE,
        "-s",
        signature,
    ]
    assert keygen(*verify, stdin=FILE).returncode == 0
    assert keygen(*verify, stdin=b"another file").returncode != 0
    (signer,), faults = allowed_signers(signers.read_text())
    assert faults == []
    assert signed_by(signature.read_bytes(), FILE, NAMESPACE) == signer.key


def test_the_times_of_a_signer_are_read_as_ssh_keygen_reads_them(tmp_path: Path) -> None:
    signature, signers = tmp_path / "plan.json.sig", tmp_path / "allowed_signers"
    signature.write_bytes(pen().sign(FILE))
    for options in (
        'valid-before="20260630Z"', 'valid-before="20260701000000"', 'valid-after="202607010030Z"',
        'valid-after="20260630"', 'namespaces="git"', f'namespaces="git,{NAMESPACE}"',
    ):  # fmt: skip
        signers.write_text(f"anna {options} {pen().public}\n")
        verify: list[str | Path] = ["-Y", "verify", "-f", signers, "-I", "anna", "-n", NAMESPACE, "-s", signature]
        theirs = keygen(*verify, "-O", "verify-time=20260701000000Z", stdin=FILE).returncode == 0
        (signer,), _ = allowed_signers(signers.read_text())
        assert theirs == (not signer.objection(NAMESPACE, datetime(2026, 7, 1, tzinfo=UTC))), options
