"""HTTP connections that fail: proxies that want credentials, and TLS that is cut; told by the program."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.net import tls
from connector.net.http import ExchangeLimits, HttpChannel
from tests.support.connect_proxy import ConnectProxy
from tests.support.http_server import HttpServer, said
from tests.support.jobs import cec_source, scim_directory
from tests.support.ldif_job import Job, agent
from tests.support.listening import Listening
from tests.support.program import Ended, program
from tests.support.slapd import authority, server_context

SECRETS = {"CEC_APP_KEY": "key", "CEC_APP_SECRET": "secret", "SCIM_TOKEN": "token"}
TENANT = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": [agent(1)]}
WORDS = (
    "_PROXY or ALL_PROXY) refused or failed: 407 Proxy Authentication Required\nCEC-0122: "
    "Check the proxy's address. If it wants a user and password: http://USER:PASSWORD@HOST:PORT"
)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def planned(job: Job, **proxy: str) -> Ended:
    ended = program("plan", "job.yaml", folder=job.folder, env=SECRETS | proxy)
    assert ended.code == 1, ended.said
    return ended


def test_a_source_behind_a_proxy_that_wants_credentials(job: Job) -> None:
    job.configure(source=cec_source("https://cec.example.org") | {"allow_plaintext": False})
    with ConnectProxy(refuses=407) as proxy:
        assert f"(HTTPS{WORDS}" in planned(job, HTTPS_PROXY=proxy.url).err
    assert len(proxy.heads) == 1


def test_a_directory_in_clear_behind_a_proxy_that_wants_credentials(job: Job) -> None:
    job.configure(directory=scim_directory("http://scim.example.org/v2"), mapping="scim-extension")
    with HttpServer(otherwise=said(407, {"detail": "who?"})) as proxy:
        assert f"(HTTP{WORDS}" in planned(job, HTTP_PROXY=proxy.url).err
    assert len(proxy.seen) == 1


class BadProxy(Listening):
    """A proxy that says this, whatever it is asked, and hangs up."""

    def __init__(self, said: bytes) -> None:
        super().__init__()
        self._said = said

    def attend(self, client: socket.socket) -> None:
        with client:
            client.recv(1 << 16)
            client.sendall(self._said)


@pytest.mark.parametrize(
    ("scheme", "said", "why"),
    [
        ("http", b"", "the connection was cut before the answer was complete"),
        ("http", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        ("http", None, "no connection: Connection refused"),
        (
            "https",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "what answers there speaks no TLS CEC-0122: Check the proxy's address. If",
        ),
    ],
)
def test_what_a_proxy_fails_by_is_not_said_of_the_server(job: Job, scheme: str, said: bytes | None, why: str) -> None:
    job.configure(source=cec_source("https://cec.example.org", retries=0))
    with BadProxy(said or b"") as proxy:
        address = proxy.address
        if said is not None:
            ended = planned(job, HTTPS_PROXY=f"{scheme}://user:canary-1@{address}")
    if said is None:  # nobody listens there any more
        ended = planned(job, HTTPS_PROXY=f"{scheme}://user:canary-1@{address}")
    words = " ".join(ended.err.split())
    assert f"the proxy of the environment (HTTPS_PROXY or ALL_PROXY) refused or failed: {why}" in words
    assert "canary" not in ended.said


def test_a_proxy_that_is_not_trusted_is_named_as_such(job: Job) -> None:
    job.configure(source=cec_source("https://cec.example.org", retries=0))
    with ConnectProxy(server_context()) as proxy:
        words = " ".join(planned(job, HTTPS_PROXY=proxy.url).err.split())
    assert "(HTTPS_PROXY or ALL_PROXY) refused or failed: the certificate is not trusted: " in words
    assert "For an https:// proxy, let the system trust its authority, or set SSL_CERT_FILE." in words
    assert "ca_file" not in words


def ended_by(end: Callable[[ssl.SSLSocket], object], length: bool, status: int = 200) -> Callable[[Any], None]:
    """A good answer, or one of this status, perhaps with its length; then the connection ends so."""

    def act(handler: Any) -> None:
        token = handler.command == "POST"
        body = json.dumps({"AccessToken": "token", "Expires": "3600"} if token else TENANT).encode()
        handler.send_response_only(200 if token else status)
        if token or length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        if not token:
            end(handler.connection)
            handler.close_connection = True

    return act


def closed(connection: ssl.SSLSocket) -> None:
    """With close_notify (RFC 8446 §6.1)."""
    connection.unwrap()


def cut(connection: ssl.SSLSocket) -> None:
    """Without."""


@pytest.mark.parametrize(
    ("end", "length", "within"),
    [
        *((closed, False, within) for within in ("nothing", "a proxy", "a proxy's TLS")),
        *((cut, True, within) for within in ("nothing", "a proxy", "a proxy's TLS")),
        *((cut, False, within) for within in ("nothing", "a proxy")),
    ],
)
def test_an_answer_that_came_whole_is_read_however_tls_ends(
    job: Job, end: Callable[[ssl.SSLSocket], object], length: bool, within: str
) -> None:
    ca = job.folder / "ca.pem"
    authority()[0].cert_pem.write_to_path(ca)
    context = server_context()
    with (
        HttpServer(otherwise=ended_by(end, length), context=context) as cec,
        ConnectProxy(context if within == "a proxy's TLS" else None) as proxy,
    ):
        job.configure(source=cec_source(cec.url, ca=ca, retries=0))
        env = {} if within == "nothing" else {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(ca)}
        ended = program("plan", "job.yaml", folder=job.folder, env=SECRETS | env)
    assert ended.code == 0, ended.said
    assert "1 user would be changed" in ended.out


def test_a_refusal_keeps_its_status_however_the_connection_ends(job: Job) -> None:
    ca = job.folder / "ca.pem"
    authority()[0].cert_pem.write_to_path(ca)
    with HttpServer(otherwise=ended_by(cut, length=False, status=403), context=server_context()) as cec:
        job.configure(source=cec_source(cec.url, ca=ca, retries=0))
        ended = program("plan", "job.yaml", folder=job.folder, env=SECRETS)
    assert ended.code == 1
    assert "403 Forbidden" in ended.err
    assert "close_notify" not in ended.err


def test_a_connection_is_not_used_again_after_the_end_of_tls(tmp_path: Path) -> None:
    """The server may leave the TCP connection open for a while."""
    ca = tmp_path / "ca.pem"
    authority()[0].cert_pem.write_to_path(ca)
    with (
        HttpServer(otherwise=ended_by(closed, length=False), context=server_context()) as server,
        HttpChannel(tls.open_tls_context(ca), {}, ExchangeLimits(5, 1 << 16, "source")) as channel,
    ):
        assert [channel.exchange_once("GET", f"{server.url}/agents", {}).status for _ in range(2)] == [200, 200]
