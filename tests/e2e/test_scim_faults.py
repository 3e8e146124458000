"""SCIM servers that refuse, cut, stall and lie: real ones, behind a proxy that meddles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from http_proxy import HttpProxy, Meddler, at, busy, cut_after, cut_before, cut_within, failing
from scim_servers import PATCH_OP, ScimServer, people

from connector.directories.scim.port import Answer, LostAnswerError, Request
from connector.directories.scim.transport import HttpTransport
from connector.model import Secret
from connector.settings.scim import ScimDirectory


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), people(24)) as started:
        yield started


def transport(server: ScimServer, proxy: HttpProxy) -> closing[HttpTransport]:
    server.forget()
    base = proxy.url + server.url.removeprefix(server.root)
    job = {"type": "scim", "url": base, "token": {"env": "T"}, "allow_plaintext": True}
    return closing(HttpTransport(ScimDirectory.model_validate(job), Secret(server.token)))


def titled(server: ScimServer, title: str) -> list[Request]:
    """A request for each user that gives it a title."""
    edit = {"op": "replace", "path": "title", "value": title}
    body = {"schemas": [PATCH_OP], "Operations": [edit]}
    shown = (("attributes", "title"),)  # RFC 7644 §3.5.2: with these, the answer to a PATCH has a body
    return [Request("PATCH", f"/Users/{user['id']}", shown, body) for user in server.all()]


def titles(server: ScimServer) -> Counter[str | None]:
    return Counter(user.get("title") for user in server.all())


def test_of_many_writes_at_once_each_is_done_once_though_the_server_is_too_busy_for_some(server: ScimServer) -> None:
    meddler = at("PATCH", busy(429, "1"), skip=5, times=6)
    with HttpProxy(server.root, meddler) as proxy, transport(server, proxy) as scim:
        statuses = Counter(scim.each(lambda request: scim.send(request).status, titled(server, "busy")))
    assert statuses == {200: 24}
    assert titles(server) == {"busy": 24}
    assert len(server.writes()) == 24
    assert proxy.count("PATCH") == 30


@pytest.mark.parametrize(
    ("meddler", "done"), [(cut_before, 0), (cut_after, 1), (cut_within, 1)], ids=["before", "after", "within"]
)
def test_a_write_that_is_cut_off_is_lost_whether_it_was_done_or_not_and_is_not_repeated(
    server: ScimServer, meddler: Meddler, done: int
) -> None:
    with HttpProxy(server.root, at("PATCH", meddler, times=1)) as proxy, transport(server, proxy) as scim:
        with pytest.raises(LostAnswerError):
            scim.send(titled(server, f"cut {done}")[0])
        assert len(server.writes()) == done
        assert scim.send(Request("GET", "/Users", repeatable=True)).status == 200
    assert proxy.count("PATCH") == 1


@pytest.mark.parametrize("meddler", [cut_before, cut_after, cut_within, failing(502), failing(500)])
def test_a_reading_that_fails_once_is_repeated(server: ScimServer, meddler: Meddler) -> None:
    with HttpProxy(server.root, at("GET", meddler, times=1)) as proxy, transport(server, proxy) as scim:
        answer = scim.send(Request("GET", "/Users", repeatable=True))
    assert (answer.status, answer.attempts) == (200, 2)


@pytest.mark.parametrize(("code", "acts"), [(500, False), (502, True), (504, True)])
def test_a_page_of_a_gateway_is_an_answer_that_nobody_repeats(server: ScimServer, code: int, acts: bool) -> None:
    meddler = at("PATCH", failing(code, acts=acts))
    with HttpProxy(server.root, meddler) as proxy, transport(server, proxy) as scim:
        answer: Answer = scim.send(titled(server, "canary-4d1e")[0])
    assert answer.status == code
    assert b"canary-4d1e" in answer.content
    assert "canary-4d1e" not in repr(answer)
    assert len(server.writes()) == acts
