"""The fleet file: every mistake is said in a sentence, on its line, and no secret is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import FileError
from connector.settings.fields import SecretRef
from connector.settings.fleet import Brake, FleetLimits, LoadedFleet, find_fleet, load_fleet

WHOLE = """\
address: temporal.example.org:7233
namespace: identity
task_queue: cec-connector.europe
tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem, server_name: frontend.example.org}
api_key: {env: TEMPORAL_API_KEY}
limits:
  applies: 16
  per_server: 2
  source_rate: 30
  brake: {share: 10%, window: 30m, least: 3}
notify:
  webhook: {url: https://hooks.example.org/fleet, secret: {env: HOOK}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    return tmp_path


def loaded(folder: Path, text: str) -> LoadedFleet:
    path = folder / "fleet.yaml"
    path.write_text(text)
    return load_fleet(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        loaded(folder, text)
    return str(caught.value).replace(f"{folder}/fleet.yaml:", "").replace(f"{folder}/", "").splitlines()


def test_a_whole_file_is_read(folder: Path) -> None:
    fleet = loaded(folder, WHOLE)
    settings = fleet.settings
    assert (settings.address, settings.namespace) == ("temporal.example.org:7233", "identity")
    assert settings.task_queue == "cec-connector.europe"
    assert settings.tls is not None
    assert [settings.tls.ca_file, settings.tls.cert_file, settings.tls.key_file] == [
        folder / name for name in ("ca.pem", "cert.pem", "key.pem")
    ]
    assert settings.tls.server_name == "frontend.example.org"
    assert settings.api_key == SecretRef(env="TEMPORAL_API_KEY")
    brake = Brake.model_validate({"share": "10%", "window": "30m", "least": 3})
    assert settings.limits == FleetLimits(applies=16, per_server=2, source_rate=30, brake=brake)
    assert (brake.share, brake.window) == (10, 1800)
    assert settings.notify is not None
    assert fleet.where("limits", "brake") == f"{folder}/fleet.yaml:10"


@pytest.mark.parametrize("address", ["127.0.0.1:7233", "localhost:7233", "[::1]:7233"])
def test_an_address_on_this_machine_is_enough(folder: Path, address: str) -> None:
    settings = loaded(folder, f"address: '{address}'\n").settings
    assert (settings.address, settings.namespace, settings.task_queue) == (address, "default", "cec-connector")
    assert (settings.tls, settings.api_key, settings.notify) == (None, None, None)
    limits = settings.limits
    assert (limits.applies, limits.per_server, limits.source_rate) == (8, 1, 60)
    assert (limits.brake.share, limits.brake.window, limits.brake.least) == (25, 3600, 5)


@pytest.mark.parametrize("more", ["tls: {}\n", "allow_plaintext: true\n"])
def test_another_machine_is_asked_by_tls_or_as_somebody_says_in_clear(folder: Path, more: str) -> None:
    assert loaded(folder, f"address: temporal.example.org:7233\n{more}").settings.allow_plaintext is ("plain" in more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("namespace: x\n", ["1: address: is missing"]),
        ("address: temporal.example.org\n", ["1: address: must be host:port, such as temporal.example.org:7233"]),
        ("address: 127.0.0.1:70000\n", ["1: address: must be host:port, such as temporal.example.org:7233"]),
        ("address: https://127.0.0.1:7233\n", ["1: address: must be host:port, such as temporal.example.org:7233"]),
        ("address: ['127.0.0.1:7233']\n", ["1: address: must be a text; put a number, true or false in quotes"]),
        (
            "address: 10.0.0.1:7233\n",
            ["1: address: without tls all travels in clear; add `tls: {}`, or set allow_plaintext: true"],
        ),
        (
            "address: localhost:7233\nnamespce: x\n",
            ["2: namespce: unknown key; did you mean namespace?"],
        ),
        (
            "address: localhost:7233\ntls: {cert_file: cert.pem}\n",
            ["2: tls.cert_file: needs a key_file as well"],
        ),
        (
            "address: localhost:7233\ntls: {key_file: key.pem}\n",
            ["2: tls.key_file: needs a cert_file as well"],
        ),
        (
            "address: localhost:7233\ntls: {ca_file: away.pem}\n",
            ["2: tls.ca_file: there is no file away.pem"],
        ),
        (
            "address: localhost:7233\nlimits:\n  applies: 0\n  brake: {share: 25}\n",
            ["3: limits.applies: must be at least 1", "4: limits.brake.share: must be a percentage from 1% to 100%"],
        ),
        (
            "address: localhost:7233\ntask_queue: ''\n",
            [
                "2: task_queue: must begin with a letter or digit, and go on with those or any of _ . -",
            ],
        ),
    ],
)
def test_every_fault_has_its_line(folder: Path, text: str, expected: list[str]) -> None:
    assert faults(folder, text) == expected


def test_a_key_in_clear_is_refused_and_not_repeated(folder: Path) -> None:
    said = faults(folder, "address: localhost:7233\napi_key: canary-key\n")
    assert said == ["2: api_key: a secret must not be written here in clear; write {env: NAME} or {file: PATH}"]


def test_it_is_found_beside_the_jobs_unless_another_is_named(folder: Path) -> None:
    (folder / "fleet.yaml").write_text("address: localhost:7233\n")
    (folder / "other.yaml").write_text("address: localhost:7234\n")
    assert find_fleet(folder).settings.address == "localhost:7233"
    assert find_fleet(folder, folder / "other.yaml").settings.address == "localhost:7234"
    (folder / "fleet.yaml").unlink()
    with pytest.raises(FileError, match=r"fleet.yaml: there is no such file"):
        find_fleet(folder)
