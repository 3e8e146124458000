"""Which SSH signatures are accepted, and which are refused, for what reason."""

from __future__ import annotations

import base64
import errno
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings, strategies as st

from connector.approval.signatures import (
    MAX_BYTES,
    find_verifier_fault,
    read_signing_key,
    verify_signature,
)
from connector.approval.signers import PublicKey, SignatureError, make_key, read_allowed_signers, read_revoked_keys
from connector.errors import VerifierError
from tests.support.examples import examples
from tests.support.ssh_keys import KINDS, NAMESPACE, SK_ECDSA, SK_ED25519, Pen, armored, mpint, pen, string

pytestmark = pytest.mark.openssh
FILE = b'{"schema": "cec-connector/plan/1"}\n'
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def verified(
    signature: bytes, file: bytes = FILE, line: str = "anna {}", revoked: frozenset[PublicKey] = frozenset()
) -> PublicKey:
    key = read_signing_key(signature)
    signers, _ = read_allowed_signers(line.format(key.text))
    verify_signature(signature, file, signers[1], revoked, NOW)
    return key


def refused(signature: bytes, file: bytes = FILE) -> str:
    with pytest.raises(SignatureError) as fault:
        verified(signature, file)
    return str(fault.value)


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_each_key_type_tells_its_key(kind: str, digest: str) -> None:
    made = replace(pen(kind), digest=digest)
    key = verified(made.sign(FILE))
    assert (key.kind, key.blob, key.fingerprint) == (kind, made.blob, made.fingerprint)
    assert find_verifier_fault(key) == ""


def test_both_hashes_of_rsa_are_accepted() -> None:
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        assert verified(replace(pen("ssh-rsa"), algorithm=algorithm).sign(FILE)).kind == "ssh-rsa"


def test_a_mail_may_change_the_line_breaks_and_a_signer_their_number() -> None:
    signature = pen().sign(FILE)
    for text in (signature.replace(b"\n", b"\r\n"), signature.rstrip(b"\n"), armored(pen().octets(FILE), 64)):
        assert verified(text).blob == pen().blob


OTHER = "does not fit this file"
THEIRS = "is refused by ssh-keygen: "
REFUSED = {
    "another namespace": (replace(pen(), namespace="git"), "is for the namespace 'git'. Sign again with -n"),
    "another hash": (
        replace(pen(), digest="sha384"),
        f'{THEIRS}sshsig_check_hashalg: unsupported hash algorithm "sha384"',
    ),
    "a weak hash": (replace(pen(), digest="md5"), THEIRS),
    "SHA-1 of RSA": (replace(pen("ssh-rsa"), algorithm="ssh-rsa"), THEIRS),
    "another algorithm": (replace(pen(), algorithm="rsa-sha2-512"), THEIRS),
    "a later version": (replace(pen(), version=2), THEIRS),
    "another magic": (replace(pen(), magic=b"SSHSIX"), THEIRS),
    "a reserved field": (replace(pen(), reserved=b"x"), OTHER),
    "more octets": (replace(pen(), tail=b"\0"), "has octets after its end"),
    "no touch": (replace(pen(SK_ED25519), flags=0), "was made without a touch"),
    "no touch, but a PIN": (replace(pen(SK_ECDSA), flags=4), "was made without a touch"),
    "a certificate": (
        replace(pen(), kind="ssh-ed25519-cert-v01@openssh.com"),
        "has a key of the type 'ssh-ed25519-cert-v01@openssh.com', which is not accepted",
    ),
    "an old type": (replace(pen(), kind="ssh-dss"), "has a key of the type 'ssh-dss', which is not accepted"),
    "a small key": (Pen("ssh-rsa", rsa.generate_private_key(65537, 1024)), "has an RSA key of less than 2048 bits"),
}


@pytest.mark.parametrize("made", REFUSED)
def test_what_is_not_accepted_is_refused_by_its_reason(made: str) -> None:
    signer, why = REFUSED[made]
    assert why in refused(signer.sign(FILE))


def test_a_signature_of_another_file_or_key_does_not_fit() -> None:
    assert OTHER in refused(pen().sign(b"another file"))
    assert OTHER in refused(pen().sign(FILE), FILE + b"\n")
    forged = pen().octets(FILE).replace(pen().blob, pen(number=1).blob)
    assert OTHER in refused(armored(forged))


def test_the_flags_of_a_security_key_are_signed() -> None:
    octets = replace(pen(SK_ED25519), flags=4).octets(FILE)
    assert OTHER in refused(armored(octets[:-5] + b"\x05" + octets[-4:]))


def test_ssh_keygen_holds_the_line_of_allowed_signers_and_the_revoked_keys_too() -> None:
    signature, key = pen().sign(FILE), PublicKey(pen().kind, pen().blob)
    for line in (
        'anna valid-before="20261128115959Z" {}', 'anna valid-after="20261128120001Z" {}', 'anna namespaces="git" {}',
        f"anna {pen(number=1).public}",
    ):  # fmt: skip
        with pytest.raises(SignatureError, match=THEIRS):
            verified(signature, line=line)
    with pytest.raises(SignatureError, match=THEIRS):
        verified(signature, revoked=frozenset({key}))
    assert verified(signature, line=f'anna valid-before="20261128120001Z",namespaces="{NAMESPACE}" {{}}') == key


def test_no_part_of_a_signature_is_one() -> None:
    octets, text = pen().octets(FILE), pen().sign(FILE)
    for end in range(len(octets)):
        assert refused(armored(octets[:end]))
    for end in range(len(text) - 1):
        assert "cut short" in refused(text[:end])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"A" * (MAX_BYTES + 1),
        b"Dear all,\n" + pen().sign(FILE),
        pen().sign(FILE) + pen().sign(FILE),
        pen().sign(FILE).replace(b"\n", b" "),
        armored(b"x"),
        armored(b""),
    ],
)
def test_anything_else_than_one_signature_is_refused(text: bytes) -> None:
    assert "is no SSH signature" in refused(text)


def test_malformed_keys_are_refused() -> None:
    for blob, why in (
        (string(b"ssh-ed25519") + string(b"x" * 32) + b"more", "after its end"),
        (string(b"ssh-rsa") + mpint(3) + mpint(1), "RSA key of less than"),
        (string(b"ssh-rsa"), "RSA key of less than"),
        (string(b"a\nb"), "has a key of the type"),
        (b"", "has a key of the type"),
    ):
        with pytest.raises(SignatureError, match=why):
            make_key(blob)


@cache
def made_by(kind: str) -> tuple[bytes, bytes]:
    return pen(kind).octets(FILE), pen(kind).sign(FILE)


@given(st.data())
@settings(max_examples=examples(200))
def test_no_octet_can_be_another_one(data: st.DataObject) -> None:
    octets, text = made_by(data.draw(st.sampled_from(KINDS)))
    which = data.draw(st.sampled_from(["file", "octets"]))
    old = {"file": FILE, "octets": octets}[which]
    at = data.draw(st.integers(0, len(old) - 1))
    new = old[:at] + bytes([old[at] ^ data.draw(st.integers(1, 255))]) + old[at + 1 :]
    if which == "file":
        assert OTHER in refused(text, new)
    else:
        refused(armored(new))


@given(st.binary(max_size=300), st.booleans(), st.sampled_from(KINDS), st.data())
@settings(max_examples=examples(200))
def test_the_reader_raises_nothing_but_its_own_error(noise: bytes, bare: bool, kind: str, data: st.DataObject) -> None:
    octets, _ = made_by(kind)
    start = data.draw(st.integers(0, len(octets)))
    end = data.draw(st.integers(start, len(octets)))
    spliced = octets[:start] + noise + octets[end:]
    if spliced != octets:
        refused(noise if bare else armored(spliced))
    for blob in (noise, string(kind.encode()) + noise):
        try:
            key = make_key(blob)
        except SignatureError:
            continue
        assert key.blob == blob


def test_a_key_line_says_its_own_type() -> None:
    text = base64.b64encode(pen().blob).decode()
    for line, why in (
        (f"ssh-rsa {text}", "says ssh-rsa, but its key is of the type ssh-ed25519"),
        (f"ssh-ed25519 {text[:-1]}", "has a key that is not Base64"),
    ):
        assert read_revoked_keys(line) == (frozenset(), [(1, why)])


def test_a_verifier_that_is_missing_or_fails_is_no_fault_of_a_signature(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(VerifierError, match="it is not installed"):
        verified(pen().sign(FILE))
    key = PublicKey(pen().kind, pen().blob)
    assert "ssh-keygen: it is not installed" in find_verifier_fault(key)
    (folder / "ssh-keygen").write_text("#!/bin/sh\nprintf 'No user exists for uid 10001\\r\\n' >&2\nexit 255\n")
    (folder / "ssh-keygen").chmod(0o755)
    with pytest.raises(VerifierError, match="cannot verify signatures: No user exists for uid 10001"):
        verified(pen().sign(FILE))
    assert find_verifier_fault(key) == "ssh-keygen: No user exists for uid 10001"


def test_a_machine_without_files_in_memory_is_no_fault_of_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> int:  # as with the sysctl vm.memfd_noexec = 2
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.memfd_create", refuse)
    with pytest.raises(VerifierError, match="it cannot be run: Permission denied"):
        verified(pen().sign(FILE))
