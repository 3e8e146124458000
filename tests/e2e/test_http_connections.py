"""HTTP connections that fail: proxies that want credentials, and TLS that is cut; told by the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.connect_proxy import ConnectProxy
from tests.support.http_server import HttpServer, said
from tests.support.jobs import cec_source, scim_directory
from tests.support.ldif_job import Job
from tests.support.program import Ended, program

SECRETS = {"CEC_APP_KEY": "key", "CEC_APP_SECRET": "secret", "SCIM_TOKEN": "token"}
WORDS = (
    "_PROXY) refused or failed: 407 Proxy Authentication Required. Set the proxy's address with user and password: "
    "http://USER:PASSWORD@HOST:PORT"
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
