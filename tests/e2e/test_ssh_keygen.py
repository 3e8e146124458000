"""What the real ssh-keygen signs is verified, and times are read as it reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.approval.signatures import read_signing_key, verify_signature
from connector.approval.signers import SignatureError, read_allowed_signers
from tests.support.ssh_keys import MADE_BY_KEYGEN, NAMESPACE, keygen, pen

pytestmark = [pytest.mark.openssh, pytest.mark.slow]
FILE = b'{"schema": "cec-connector/plan/1"}\n'
NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", MADE_BY_KEYGEN)
def test_what_ssh_keygen_signs_is_verified(kind: str, tmp_path: Path) -> None:
    name, bits = MADE_BY_KEYGEN[kind]
    key, plan = tmp_path / "key", tmp_path / "plan.json"
    plan.write_bytes(FILE)
    assert keygen("-q", "-t", name, "-b", str(bits), "-N", "", "-C", "", "-f", key).returncode == 0
    public = key.with_suffix(".pub").read_text()
    (signer,) = read_allowed_signers(f"anna {public}")[0].values()
    for options in ([], ["-O", "hashalg=sha256"]):
        signature = keygen("-Y", "sign", "-f", key, "-n", NAMESPACE, *options, stdin=FILE).stdout
        assert read_signing_key(signature) == signer.key
        assert signer.key.fingerprint in keygen("-l", "-f", key).stdout.decode().split()
        verify_signature(signature, FILE, signer, (), NOW)
        with pytest.raises(SignatureError, match="does not fit this file"):
            verify_signature(signature, FILE + b" ", signer, (), NOW)


def test_the_times_of_a_signer_are_read_as_ssh_keygen_reads_them() -> None:
    signature = pen().sign(FILE)
    for options in (
        'valid-before="20260630Z"', 'valid-before="20260701000000"', 'valid-after="202607010030Z"',
        'valid-after="20260630"', 'namespaces="git"', f'namespaces="git,{NAMESPACE}"',
    ):  # fmt: skip
        (signer,) = read_allowed_signers(f"anna {options} {pen().public}\n")[0].values()
        try:
            verify_signature(signature, FILE, signer, (), NOW)
            theirs = True
        except SignatureError:
            theirs = False
        assert theirs == (not signer.explain_objection(NAMESPACE, NOW)), options
