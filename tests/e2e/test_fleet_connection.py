"""A fleet's connection to Temporal: what stands in its way is said in a sentence, with what to do."""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.fleet import Fleet
from tests.support.program import program
from tests.support.slapd import free_port
from tests.support.temporal import Temporal
from tests.support.tls_proxy import tls_proxy

pytestmark = pytest.mark.temporal


@pytest.fixture
def fleet(tmp_path: Path, temporal_server: Temporal) -> Fleet:
    made = Fleet(tmp_path, temporal_server)
    made.job("acme", serve={"every": "1h"})
    return made


def authority(folder: Path, name: str = "127.0.0.1") -> trustme.CA:
    """An authority, in `ca.pem`; `server.pem` is a certificate by it."""
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    made.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return made


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_with_an_authority_of_ones_own_and_a_client_certificate(fleet: Fleet, mutual: bool) -> None:
    client = authority(fleet.folder).issue_cert("client.example.org")
    client.cert_chain_pems[0].write_to_path(fleet.folder / "cert.pem")
    client.private_key_pem.write_to_path(fleet.folder / "key.pem")
    tls = {"ca_file": "ca.pem"}
    trusted = fleet.folder / "ca.pem" if mutual else None
    with tls_proxy(fleet.server.port, fleet.folder / "server.pem", trusted) as address:
        fleet.configure(address=address, tls=tls)
        without = fleet.schedule()
        fleet.configure(address=address, tls={**tls, "cert_file": "cert.pem", "key_file": "key.pem"} if mutual else tls)
        ended = fleet.schedule("--apply")
    assert ended.code == 0, ended.said
    fleet.lists({"cec-connector/acme"})
    assert without.code == (1 if mutual else 2), without.said
    assert ("a client certificate (`cert_file`)" in without.err) is mutual


def test_plain_text_where_tls_is_spoken(fleet: Fleet) -> None:
    authority(fleet.folder)
    with tls_proxy(fleet.server.port, fleet.folder / "server.pem") as address:
        fleet.configure(address=address)
        ended = fleet.schedule()
    assert (ended.code, "the other side cuts it. It may want `tls`" in ended.err) == (1, True), ended.said


def test_a_file_that_is_no_certificate_is_named(fleet: Fleet) -> None:
    authority(fleet.folder)
    (fleet.folder / "other.pem").write_text("nonsense\n")
    for tls in ({"ca_file": "other.pem"}, {"cert_file": "ca.pem", "key_file": "other.pem"}):
        fleet.configure(tls=tls)
        ended = fleet.schedule()
        assert (ended.code, str(fleet.folder / "other.pem") in ended.err) == (78, True), ended.said


@pytest.mark.parametrize(
    ("name", "tls", "why", "advice"),
    [
        ("127.0.0.1", {}, "its certificate is not trusted (UnknownIssuer)", "ca_file"),
        (
            "other.example.org",
            {"ca_file": "ca.pem"},
            "its certificate is not trusted (NotValidForName)",
            "Use a host name that the server's certificate carries",
        ),
    ],
)
def test_a_certificate_that_is_not_trusted(fleet: Fleet, name: str, tls: dict[str, str], why: str, advice: str) -> None:
    authority(fleet.folder, name)
    with tls_proxy(fleet.server.port, fleet.folder / "server.pem") as address:
        fleet.configure(address=address, tls=tls)
        ended = fleet.schedule("--apply")
        assert (ended.code, f"{address}: {why}\n" in ended.err, advice in " ".join(ended.err.split())) == (
            1,
            True,
            True,
        ), ended.said
        if "ca_file" in tls:
            fleet.configure(address=address, tls={**tls, "server_name": name})
            assert fleet.schedule().code == 2
    fleet.lists(set())


def test_an_address_where_nobody_is_or_no_tls_is_spoken(fleet: Fleet) -> None:
    for more, why in (
        ({"address": f"127.0.0.1:{free_port()}"}, "nothing listens there (connection refused)"),
        ({"address": "nowhere.invalid:7233", "allow_plaintext": True}, "the host name is not known"),
        ({"tls": {}}, "no TLS is spoken there"),
    ):
        fleet.configure(**more)
        ended = fleet.schedule()
        assert ended.code == 1
        assert why in ended.err
        assert "Check `address`, `tls` and `namespace` in the fleet file" in " ".join(ended.err.split())
        assert "Traceback" not in ended.err


def test_a_namespace_that_is_not_there_has_its_line(fleet: Fleet) -> None:
    fleet.configure(namespace="nowhere")
    ended = fleet.schedule()
    assert ended.code == 78
    assert f"fleet.yaml:1: namespace: {fleet.server.address} has none of the name nowhere" in ended.err


def test_a_server_that_never_answers_costs_ten_seconds(fleet: Fleet) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        fleet.configure(address=f"127.0.0.1:{silent.getsockname()[1]}")
        ended = fleet.schedule()
    assert (ended.code, "no answer within 10 seconds" in ended.err) == (1, True), ended.said


def test_a_key_that_is_not_there_has_its_line_and_is_sent_where_it_is(fleet: Fleet) -> None:
    fleet.configure(api_key={"env": "TEMPORAL_API_KEY"})
    ended = fleet.schedule()
    assert ended.code == 78
    assert "fleet.yaml:1: the API key: environment variable TEMPORAL_API_KEY is not set" in ended.err
    env: dict[str, Any] = {"TEMPORAL_API_KEY": "canary-key"}
    ended = program("fleet", "schedule", ".", "--apply", folder=fleet.folder, env=env)
    assert (ended.code, "canary-key" in ended.said) == (0, False), ended.said  # a dev server takes any


def test_without_the_extra_it_is_said_what_to_install(fleet: Fleet) -> None:
    (fleet.folder / "missing" / "temporalio").mkdir(parents=True)
    (fleet.folder / "missing/temporalio/__init__.py").write_text("raise ModuleNotFoundError('no', name='temporalio')\n")
    path = {"PYTHONPATH": ":".join([str(fleet.folder / "missing"), *sys.path])}
    ended = program("fleet", "schedule", ".", folder=fleet.folder, env=path)
    assert ended.code == 64
    assert "pip install 'cec-connector[fleet]'" in ended.err
    assert program("fleet", "schedule", "--help", folder=fleet.folder, env=path).code == 0
