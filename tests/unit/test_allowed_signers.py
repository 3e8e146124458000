from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from connector.approval.signers import PublicKey, read_allowed_signers, read_revoked_keys
from tests.support.ssh_keys import KINDS, NAMESPACE, Pen, pen

ANNA, BORIS = pen().public, pen(number=1).public


def public(of: Pen) -> PublicKey:
    return PublicKey(of.kind, of.blob)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_lines_of_each_form_are_read() -> None:
    text = "\n".join(
        [
            "# who may approve",
            "",
            f"anna@example.org {ANNA} Anna's laptop",
            f'  "Boris the Second"\tnamespaces="git,{NAMESPACE}",valid-after="20260101Z" {BORIS}\r',
            *(f"person{number} {pen(kind).public}" for number, kind in enumerate(KINDS[1:])),
        ]
    )
    signers, faults = read_allowed_signers(text)
    assert faults == []
    assert list(signers) == [3, 4, *range(5, 4 + len(KINDS))]
    anna, boris = signers[3], signers[4]
    assert (anna.principal, anna.namespaces, anna.after, anna.before) == ("anna@example.org", frozenset(), None, None)
    assert (boris.principal, boris.namespaces) == ("Boris the Second", frozenset({"git", NAMESPACE}))
    assert boris.after == datetime(2026, 1, 1, tzinfo=UTC)
    assert [each.key.kind for each in signers.values()] == [KINDS[0], *KINDS]


@pytest.mark.usefixtures("in_berlin")
def test_times_are_of_this_machines_zone_unless_they_say_z() -> None:
    said = {"20260701": "2026-06-30T22:00:00Z", "202607010030Z": "2026-07-01T00:30:00Z", "20260101123456": (
        "2026-01-01T11:34:56Z")}  # fmt: skip
    for written, expected in said.items():
        signers, _ = read_allowed_signers(f'anna Valid-Before="{written}" {ANNA}')
        assert signers[1].before == datetime.fromisoformat(expected)


def test_a_key_is_good_for_its_namespaces_and_times() -> None:
    line = f'anna namespaces="{NAMESPACE}",valid-after="20260101Z",valid-before="20260201Z" {ANNA}'
    (signer,) = read_allowed_signers(line)[0].values()
    begin, end, moment = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), timedelta(seconds=1)
    assert signer.explain_objection(NAMESPACE, begin) == signer.explain_objection(NAMESPACE, end) == ""
    assert "is not valid before 2026-01-01T00:00:00Z" in signer.explain_objection(NAMESPACE, begin - moment)
    assert "has expired: it was valid until 2026-02-01T00:00:00Z" in signer.explain_objection(NAMESPACE, end + moment)
    assert "is not allowed for the namespace git" in signer.explain_objection("git", begin)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"* {ANNA}", "has a pattern (*, ?, !)"),
        (f"anna? {ANNA}", "has a pattern (*, ?, !)"),
        (f"!anna {ANNA}", "has a pattern (*, ?, !)"),
        (f"anna,boris {ANNA}", "names several principals"),
        (f'"anna, boris" {ANNA}', "names several principals"),
        (f'"" {ANNA}', "empty or not printable"),
        (f'" anna" {ANNA}', "empty or not printable"),
        (f"an\u202ena {ANNA}", "empty or not printable"),
        (f"anna cert-authority {ANNA}", "cert-authority is none"),
        (f'anna namespaces="{NAMESPACE}",cert-authority {ANNA}', "cert-authority is none"),
        (f'anna namespaces="a",namespaces="b" {ANNA}', "has an option twice"),
        (f"anna namespaces=a {ANNA}", "one that is not accepted"),
        (f"anna no-touch-required {ANNA}", "one that is not accepted"),
        (f'anna valid-before="tomorrow" {ANNA}', "has a valid-before that is no time"),
        (f'anna valid-before="20261301" {ANNA}', "has a valid-before that is no time"),
        (f'anna valid-before="2026010" {ANNA}', "has a valid-before that is no time"),
        ("anna", "is no line of a principal"),
        ("anna ssh-ed25519", "is no line of a principal"),
        ("anna ssh-ed25519 AAAA", "cut short"),
        ("anna ssh-ed25519 ====", "not Base64"),
        ("anna ssh-dss AAAAB3NzaC1kc3M=", "'ssh-dss', which is not accepted"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "is no line of a principal"),
    ],
)
def test_each_fault_has_its_line_and_does_not_repeat_it(line: str, why: str) -> None:
    signers, faults = read_allowed_signers(f"# signers\n{line}\nboris {BORIS}\n")
    assert [each.principal for each in signers.values()] == ["boris"]
    ((number, what),) = faults
    assert (number, why in what) == (2, True), what
    assert not any(word in what for word in line.split() if len(word) > 40 or word == "PRIVATE")


def test_one_key_stands_for_one_person() -> None:
    signers, faults = read_allowed_signers(f'anna {ANNA}\nanna valid-before="20260101" {ANNA}\nboris {ANNA}')
    assert [each.principal for each in signers.values()] == ["anna", "anna", "boris"]
    assert faults == [(3, "has the key of line 1 for another principal. One key can stand for one person only")]


def test_revoked_keys_are_listed_one_a_line() -> None:
    keys, faults = read_revoked_keys(f"# left in May\n{ANNA} Anna's laptop\n\n{BORIS}\n")
    assert (keys, faults) == (frozenset({public(pen()), public(pen(number=1))}), [])
    keys, faults = read_revoked_keys(f"{ANNA}\nSHA256:abc\n")
    assert (keys, faults) == (frozenset({public(pen())}), [(2, "has no public key, such as ssh-ed25519 AAAA…")])


@given(st.text(max_size=80), st.text(max_size=20), st.sampled_from(['namespaces="', "valid-before=", "", ANNA]))
def test_any_text_gives_signers_or_faults(text: str, more: str, middle: str) -> None:
    for each in (f"{text}{middle}{more}", f"anna {text}{middle}{more} {ANNA}"):
        read_allowed_signers(each)
        read_revoked_keys(each)
