"""Each way to prove who asks, and each way in which TLS fails, by the program itself against real SCIM servers."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.http_proxy import Asked, HttpProxy
from tests.support.http_server import Act, HttpServer, said
from tests.support.jobs import Part, env, job_file, scim_directory
from tests.support.program import Ended, program
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import EACH_KIND, TOKEN, ScimServer, people

pytestmark = pytest.mark.slow

AGENTS = 3
SECRET = "canary-91c2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim")) as started:
        yield started


@pytest.fixture
def job(server: ScimServer, tmp_path: Path) -> ScimJob:
    server.restore([])
    server.put(people(AGENTS))
    return ScimJob(tmp_path / "job", server, agents=AGENTS)


def proved_by(job: ScimJob, **proof: Any) -> None:
    """Another way in than by token."""
    job.configure(directory={"token": None, **proof})


def client(login: HttpServer, **more: str) -> Part:
    return {"token_url": f"{login.url}/token", "client_id": "x", "client_secret": env("SECRET"), **more}


def run(folder: Path, command: str = "apply", secret: str = SECRET) -> Ended:
    ended = program(command, "job.yaml", folder=folder, env={"SCIM_TOKEN": TOKEN, "SECRET": secret})
    assert secret not in ended.said
    assert TOKEN not in ended.said
    return ended


def applied(job: ScimJob) -> None:
    ended = run(job.folder)
    assert ended.code == 0, ended.said
    assert len(job.written()) == AGENTS


def test_by_basic(job: ScimJob) -> None:
    """The proxy is what stands before a server that has tokens alone."""
    expected = "Basic " + base64.b64encode(f"connector:{SECRET}".encode()).decode()

    def let_in(asked: Asked) -> Act:
        if asked.headers.get("authorization") != expected:
            return said(401, {"detail": SECRET})
        return asked.with_header("authorization", f"Bearer {TOKEN}").forward()

    with HttpProxy(job.server.root, let_in) as proxy:
        job.point(proxy.url)
        proved_by(job, basic={"user": "connector", "password": env("SECRET")})
        applied(job)
        ended = run(job.folder, secret="canary-wrong")
    assert ended.code == 1
    assert "401 Unauthorized" in ended.err
    assert "Check the account or key, its secret" in ended.err


@pytest.mark.parametrize("client_auth", ["client_secret_basic", "client_secret_post"])
def test_by_an_oauth_client(job: ScimJob, client_auth: str) -> None:
    with HttpServer(otherwise=said(200, {"access_token": TOKEN, "token_type": "Bearer"})) as login:
        # names of people are read over a connection that logs in by itself
        proved_by(job, oauth=client(login, client_id="connector", client_auth=client_auth), show=[])
        applied(job)
    (asked,) = login.seen
    basic = base64.b64encode(f"connector:{SECRET}".encode()).decode()
    proof = asked.headers.get("authorization", "") + asked.body.decode()
    assert (f"Basic {basic}" if client_auth == "client_secret_basic" else f"client_secret={SECRET}") in proof


def test_an_oauth_client_that_is_not_known_is_told_and_nothing_is_asked(job: ScimJob) -> None:
    job.server.forget()
    with HttpServer(otherwise=said(401, {"error": "invalid_client", "error_description": SECRET})) as login:
        proved_by(job, oauth=client(login))
        ended = run(job.folder)
    assert ended.code == 1
    assert "401 Unauthorized (invalid_client)" in ended.err
    assert job.server.log() == []


def test_a_token_endpoint_that_answers_nonsense_is_told_and_nothing_of_the_server_is_assumed(job: ScimJob) -> None:
    job.server.forget()
    nonsense, token = said(200, b"<html>"), said(200, {"access_token": TOKEN, "token_type": "Bearer"})
    with HttpServer([nonsense], otherwise=token) as login:
        proved_by(job, oauth=client(login))
        ended = run(job.folder)
    assert ended.code == 1, ended.said
    assert f"{login.url}/token" in ended.err
    assert job.server.log() == []


# ---------------------------------------------------------------- TLS


def in_tls(job: ScimJob, *, mutual: bool = False) -> ssl.SSLContext:
    """What a server needs whose authority is the SCIM server's; `mutual`: its clients need a certificate of it too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(job.server.folder / "server.pem", job.server.folder / "server.key")
    if mutual:
        context.load_verify_locations(job.server.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def by_name(server: HttpServer) -> str:
    """Its address as its certificate has it."""
    return server.url.replace("127.0.0.1", "localhost")


def test_by_a_certificate_alone(job: ScimJob) -> None:
    """The proxy is what stands before a server that has tokens alone."""

    def let_in(asked: Asked) -> Act:
        return asked.with_header("authorization", f"Bearer {TOKEN}").forward()

    with HttpProxy(job.server.root, let_in, context=in_tls(job, mutual=True)) as proxy:
        job.point(by_name(proxy))
        server = job.server
        proved_by(job, ca_file=server.ca, cert_file=server.client_cert, key_file=server.client_key)
        applied(job)
    assert all("authorization" not in asked.headers for asked in proxy.seen)


def test_by_an_oauth_client_whose_token_endpoint_is_trusted_by_the_job_s_authority(job: ScimJob) -> None:
    token = said(200, {"access_token": TOKEN, "token_type": "Bearer"})
    with HttpServer(otherwise=token, context=in_tls(job)) as login:
        oauth = client(login, token_url=f"{by_name(login)}/token")
        proved_by(job, oauth=oauth)
        ended = run(job.folder)
        assert ended.code == 1
        assert f"{by_name(login)}/token" in ended.err
        assert AUTHORITY_ADVICE in ended.err
        assert login.seen == []
        job.point()
        proved_by(job, oauth=oauth, ca_file=job.server.ca, show=[])
        applied(job)
    assert [asked.path for asked in login.seen] == ["/token"]


@pytest.fixture(scope="module", params=EACH_KIND)
def mutual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    """A server that lets nobody in without a certificate of its authority (nor without the token)."""
    folder = tmp_path_factory.mktemp("scim")
    with ScimServer.start(folder, people(AGENTS), kind=request.param, client_certs=True) as started:
        yield started


def test_by_a_certificate(mutual: ScimServer, tmp_path: Path) -> None:
    job = ScimJob(tmp_path / "job", mutual, agents=AGENTS, budget=1)
    job.configure(directory={"ca_file": mutual.ca})
    ended = run(job.folder)
    assert ended.code == 1
    assert "If the server requires a client certificate, set directory.cert_file" in ended.err
    job.configure(directory={"cert_file": mutual.client_cert, "key_file": mutual.client_key})
    applied(job)


class Impostor:
    """A server with a certificate that is good for something else."""

    def __init__(self, folder: Path, name: str = "localhost", expires: datetime | None = None) -> None:
        authority = trustme.CA()
        self.ca = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, not_after=expires).configure_cert(context)
        self.server = HttpServer(context=context)
        self.url = by_name(self.server)


AUTHORITY_ADVICE = "CEC-0124: Set `ca_file` to the authority that signed the server's certificate"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "expires", "said_of_it", "advice"),
    [
        (
            "localhost",
            None,
            "self-signed certificate in certificate chain|unable to get local issuer",
            AUTHORITY_ADVICE,
        ),
        ("scim.example.org", None, "not valid for 'localhost'|[Hh]ostname mismatch", "CEC-0132: Use a host name"),
        ("localhost", YESTERDAY, "expired", "CEC-0131: Check this machine's clock"),
    ],
)
def test_a_server_that_cannot_be_verified_is_told_what_to_do_and_is_sent_nothing(
    tmp_path: Path, name: str, expires: datetime | None, said_of_it: str, advice: str
) -> None:
    impostor = Impostor(tmp_path, name, expires)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    ca = tmp_path / "another.pem" if advice is AUTHORITY_ADVICE else impostor.ca
    (tmp_path / "agents.json").write_text('{"agents": [{"workNo": 1, "accountCode": "a"}]}')
    (tmp_path / "job.yaml").write_text(job_file(scim_directory(impostor.url, ca=ca), mapping="scim-extension"))
    with impostor.server:
        for command in ("check", "plan", "apply"):
            ended = run(tmp_path, command)
            assert ended.code == 1, ended.said
            assert advice in ended.err
            assert re.search(said_of_it, ended.err), ended.err
    assert impostor.server.seen == []
