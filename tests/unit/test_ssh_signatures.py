from __future__ import annotations

import base64
from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings, strategies as st

from connector.approval.keys import PublicKey
from connector.approval.sshsig import MAX_BYTES, signed_by
from connector.approval.wire import SignatureError
from tests.support.examples import examples
from tests.support.ssh_keys import KINDS, NAMESPACE, SK_ECDSA, SK_ED25519, Pen, armored, mpint, pen, string

FILE = b'{"schema": "cec-connector/plan/1"}\n'


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_each_key_type_tells_its_key(kind: str, digest: str) -> None:
    made = replace(pen(kind), digest=digest)
    key = signed_by(made.sign(FILE), FILE, NAMESPACE)
    assert (key.kind, key.blob, key.fingerprint) == (kind, made.blob, made.fingerprint)


def test_both_hashes_of_rsa_are_accepted() -> None:
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        assert signed_by(replace(pen("ssh-rsa"), algorithm=algorithm).sign(FILE), FILE, NAMESPACE).kind == "ssh-rsa"


def test_a_mail_may_change_the_line_breaks_and_a_signer_their_number() -> None:
    signature = pen().sign(FILE)
    for text in (signature.replace(b"\n", b"\r\n"), signature.rstrip(b"\n"), armored(pen().octets(FILE), 64)):
        assert signed_by(text, FILE, NAMESPACE).blob == pen().blob


def refused(signature: bytes, file: bytes = FILE) -> str:
    with pytest.raises(SignatureError) as fault:
        signed_by(signature, file, NAMESPACE)
    return str(fault.value)


OTHER = "does not fit this file"
REFUSED = {
    "another namespace": (replace(pen(), namespace="git"), "is for the namespace 'git'. Sign again with -n"),
    "another hash": (replace(pen(), digest="sha384"), "uses the hash 'sha384', which is not accepted"),
    "a weak hash": (replace(pen(), digest="md5"), "uses the hash 'md5', which is not accepted"),
    "SHA-1 of RSA": (replace(pen("ssh-rsa"), algorithm="ssh-rsa"), "is made by ssh-rsa, which is not accepted"),
    "another algorithm": (replace(pen(), algorithm="rsa-sha2-512"), "is made by rsa-sha2-512, which is not accepted"),
    "a later version": (replace(pen(), version=2), "of version 2, which is not known"),
    "another magic": (replace(pen(), magic=b"SSHSIX"), "is no SSH signature"),
    "a reserved field": (replace(pen(), reserved=b"x"), "uses a reserved field"),
    "more octets": (replace(pen(), tail=b"\0"), "has octets after its end"),
    "no touch": (replace(pen(SK_ED25519), flags=0), "was made without a touch"),
    "no touch, but a PIN": (replace(pen(SK_ECDSA), flags=4), "was made without a touch"),
    "a certificate": (replace(pen(), kind="ssh-ed25519-cert-v01@openssh.com"), "is a certificate, which is not"),
    "an old type": (replace(pen(), kind="ssh-dss"), "has a key of the type ssh-dss, which is not accepted"),
    "a small key": (Pen("ssh-rsa", rsa.generate_private_key(65537, 1024)), "has an RSA key of 1024 bits. Use 2048"),
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
        pen().sign(FILE).replace(b"\n", b"\r\n", 2),
        armored(b"x").replace(b"eA==", b"eB=="),
    ],
)
def test_anything_else_than_one_signature_is_refused(text: bytes) -> None:
    assert "is no SSH signature" in refused(text)


def test_malformed_keys_are_refused() -> None:
    ed, curve = b"ssh-ed25519", b"ecdsa-sha2-nistp256"
    point = pen("ecdsa-sha2-nistp256").blob[-65:]
    for blob, why in (
        (string(ed) + string(b"short"), "malformed key"),
        (string(ed) + string(b"x" * 32) + b"more", "after its end"),
        (string(curve) + string(b"nistp384") + string(point), "malformed key"),
        (string(curve) + string(b"nistp256") + string(b"\x02" + point[1:33]), "malformed key"),
        (string(curve) + string(b"nistp256") + string(b"\x04" + b"x" * 64), "malformed key"),
        (string(b"ssh-rsa") + mpint(2) + mpint((1 << 2048) + 1), "malformed key"),
        (string(b"ssh-rsa") + string(b"\0\0\3") + mpint(1), "number in a wrong form"),
        (string(b"ssh-rsa") + string(b"\xff") + mpint(1), "number in a wrong form"),
        (string(b"a\nb"), "not printable ASCII"),
        (b"", "cut short"),
    ):
        with pytest.raises(SignatureError, match=why):
            PublicKey.of(blob)


@cache
def made_by(kind: str) -> tuple[bytes, bytes]:
    return pen(kind).octets(FILE), pen(kind).sign(FILE)


@given(st.data())
@settings(max_examples=examples(400))
def test_no_octet_can_be_another_one(data: st.DataObject) -> None:
    octets, text = made_by(data.draw(st.sampled_from(KINDS)))
    which = data.draw(st.sampled_from(["file", "octets", "text"]))
    old = {"file": FILE, "octets": octets, "text": text}[which]
    at = data.draw(st.integers(0, len(old) - 1))
    new = old[:at] + bytes([old[at] ^ data.draw(st.integers(1, 255))]) + old[at + 1 :]
    if which == "file":
        assert OTHER in refused(text, new)
    else:
        refused(armored(new) if which == "octets" else new)


@given(st.binary(max_size=300), st.booleans(), st.sampled_from(KINDS), st.data())
@settings(max_examples=examples(300))
def test_the_parser_raises_nothing_but_its_own_error(noise: bytes, bare: bool, kind: str, data: st.DataObject) -> None:
    octets, _ = made_by(kind)
    start = data.draw(st.integers(0, len(octets)))
    end = data.draw(st.integers(start, len(octets)))
    spliced = octets[:start] + noise + octets[end:]
    if spliced != octets:
        refused(noise if bare else armored(spliced))
    for blob in (noise, string(kind.encode()) + noise):
        try:
            key = PublicKey.of(blob)
        except SignatureError:
            continue
        assert key.blob == blob
        with pytest.raises(SignatureError):
            key.check(noise, FILE)


def test_a_key_line_says_its_own_type() -> None:
    text = base64.b64encode(pen().blob).decode()
    assert PublicKey.written("ssh-ed25519", text).blob == pen().blob
    with pytest.raises(SignatureError, match="says ssh-rsa, but its key is of the type ssh-ed25519"):
        PublicKey.written("ssh-rsa", text)
    with pytest.raises(SignatureError, match="not Base64"):
        PublicKey.written("ssh-ed25519", text[:-1])
