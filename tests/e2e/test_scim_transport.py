"""HTTP to a SCIM server, over real sockets: who asks, how often, how fast, and what is said when it goes wrong."""

from __future__ import annotations

import base64
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

import pytest
import trustme

from connector.directories.scim.protocol import ImpatientError, LostAnswerError, Request
from connector.directories.scim.transport import HttpTransport
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    HostNameError,
    IncompleteRead,
    MalformedError,
    NoTokenError,
    ProxyRefusedError,
    RefusedBindError,
    TruncatedError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Secret
from connector.settings.scim import ScimDirectory
from tests.support import faulty_cec as faults
from tests.support.http_server import Act, HttpServer, said
from tests.support.logs import logged

TOKEN, SECRET, CANARY = "token-5b1c88", "secret-61f0aa", "canary-87e2d9"
GET = Request("GET", "/Users", repeatable=True)
PATCH = Request("PATCH", "/Users/1", body={"Operations": [{"op": "replace", "path": "title", "value": CANARY}]})


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Clock:
    """A time in which nobody waits: whoever sleeps moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def transport(
    url: str,
    clock: Clock | None = None,
    *,
    secret: str = TOKEN,
    time: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] | None = None,
    **settings: Any,
) -> closing[HttpTransport]:
    proof = {} if {"oauth", "basic", "cert_file"} & settings.keys() else {"token": {"env": "T"}}
    job = ScimDirectory.model_validate({"type": "scim", "allow_plaintext": True, "url": f"{url}/v2"} | proof | settings)
    held = Secret(secret) if job.secret else None
    if clock is None:
        return closing(HttpTransport(job, held, clock=time, sleep=sleep))
    return closing(HttpTransport(job, held, clock=clock, sleep=clock.sleep))


def failure(kind: type[ConnectorError], call: Callable[[], object]) -> str:
    """What the error says; it is exactly of that kind, shows no secret, and drags no other library's error along."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    link: BaseException | None = caught.value
    while link is not None:
        assert type(link).__module__.partition(".")[0] in {"connector", "zlib", "ssl"}
        for secret in (TOKEN, SECRET, CANARY):
            assert secret not in repr(link) + str(link)
        link = link.__cause__ or link.__context__
    return str(caught.value)


def for_ever(act: Act) -> Iterator[Act]:
    return itertools.repeat(act)


# ---------------------------------------------------------------- requests and answers


def test_a_request_is_sent_as_it_is_and_its_answer_comes_back_whole() -> None:
    answered = said(200, {"id": "1"}, ETag='W/"7"')
    with HttpServer([answered]) as server, transport(server.url) as scim:
        params = (("filter", 'userName eq "ada/b+c&d é"'), ("count", "0"))
        headers = {"Content-Type": "application/scim+json", "If-Match": 'W/"6"'}
        answer = scim.send(Request("POST", "/Users/a%2Fb", params, {"x": "é"}, headers))
    assert (answer.status, answer.body) == (200, b'{"id": "1"}')
    assert answer.headers["etag"] == 'W/"7"'
    assert answer.where == f"{server.url}/v2/Users/a%2Fb"
    (seen,) = server.seen
    query = "filter=userName%20eq%20%22ada%2Fb%2Bc%26d%20%C3%A9%22&count=0"
    assert (seen.method, seen.path) == ("POST", f"/v2/Users/a%2Fb?{query}")
    assert seen.document == {"x": "é"}
    assert seen.headers["content-type"] == "application/scim+json"
    assert seen.headers["accept"] == "application/scim+json, application/json"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["if-match"] == 'W/"6"'


def test_without_a_body_nothing_is_said_of_its_type() -> None:
    with HttpServer() as server, transport(server.url + "/") as scim:
        scim.send(GET)
    assert "content-type" not in server.seen[0].headers


@pytest.mark.parametrize("code", [200, 201, 204, 400, 403, 404, 409, 412, 501])
def test_what_is_an_answer_is_given_at_once(code: int) -> None:
    with HttpServer([said(code)]) as server, transport(server.url) as scim:
        assert scim.send(GET).status == code
        assert len(server.seen) == 1


def test_one_connection_serves_one_request_after_the_other() -> None:
    with HttpServer() as server, transport(server.url) as scim:
        for _ in range(5):
            scim.send(GET)
    assert server.connections == 1


def test_cookies_of_an_answer_are_not_sent_back() -> None:
    with HttpServer([said(200, {}, Set_Cookie="session=1; Path=/")]) as server, transport(server.url) as scim:
        scim.send(GET)
        scim.send(GET)
    assert "cookie" not in server.seen[1].headers


def test_a_compressed_answer_is_read() -> None:
    with HttpServer([faults.gzipped(b'{"id":"1"}')]) as server, transport(server.url) as scim:
        assert scim.send(GET).body == b'{"id":"1"}'


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("request_", [GET, PATCH])
def test_a_redirect_is_not_followed_and_names_its_host_alone(code: int, request_: Request) -> None:
    with HttpServer() as elsewhere:
        with (
            HttpServer([said(code, None, Location=f"{elsewhere.url}/sso?{CANARY}")]) as server,
            transport(server.url) as scim,
        ):
            what = failure(MalformedError, lambda: scim.send(request_))
        assert elsewhere.seen == []
    assert f"redirected to {elsewhere.url.removeprefix('http://')}, not followed" in what


@pytest.mark.parametrize("target", ["http:////[]/", "http:////[@]1"])
def test_a_redirect_to_what_is_no_address_is_not_followed(target: str) -> None:
    with HttpServer([said(302, None, Location=target)]) as server, transport(server.url) as scim:
        what = failure(MalformedError, lambda: scim.send(GET))
    assert "redirected to an invalid address, not followed" in what


@pytest.mark.parametrize("body", [said(200, b" " * 5001), faults.bomb(64 << 20), faults.dribble])
def test_a_body_over_max_bytes_is_an_error_that_names_the_setting(body: Act) -> None:
    with HttpServer([body]) as server, transport(server.url, max_bytes=5000) as scim:
        what = failure(TruncatedError, lambda: scim.send(GET))
    assert what == f"{server.url}/v2/Users: the answer is longer than 5000 octets (directory.max_bytes)"


def test_a_body_that_never_ends_is_given_up_after_ten_time_outs() -> None:
    # each request: one whose headers came late on a busy machine is sent again
    with HttpServer(for_ever(faults.dribble)) as server, transport(server.url, timeout=0.1) as scim:
        what = failure(TruncatedError, lambda: scim.send(GET))
    assert "did not end within 1 s (10 times directory.timeout)" in what


def test_neither_a_request_nor_an_answer_shows_what_is_in_it() -> None:
    with HttpServer([said(200, {"sipPassword": CANARY})]) as server, transport(server.url) as scim:
        answer = scim.send(PATCH)
    assert CANARY not in repr(answer) + repr(PATCH)
    assert CANARY.encode() in answer.body


# ---------------------------------------------------------------- asking again

CUTS: dict[str, Act] = {
    "within a body of known length": faults.cut(b'{"id"', 500),
    "within a chunked body": faults.cut_chunk(b'{"id"'),
    "before any answer": faults.raw(b""),
    "within the head": faults.raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "by a reset": faults.reset,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_cut_under_a_request_that_may_be_repeated_is_mended_by_asking_again(cut: Act) -> None:
    with HttpServer([cut, cut]) as server, transport(server.url, Clock()) as scim:
        assert scim.send(GET).status == 200
        assert len(server.seen) == 3


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_cut_under_a_write_is_a_lost_answer_and_nothing_is_sent_again(cut: Act) -> None:
    with HttpServer([cut]) as server, transport(server.url, Clock()) as scim:
        what = failure(LostAnswerError, lambda: scim.send(PATCH))
        assert len(server.seen) == 1
        assert scim.send(GET).status == 200
    assert what.startswith(f"{server.url}/v2/Users/1: sent, but: ")


@pytest.mark.parametrize(
    "act",
    [faults.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), faults.bomb(64 << 20)],
)
def test_a_write_whose_answer_cannot_be_read_is_a_lost_answer(act: Act) -> None:
    with HttpServer([act]) as server, transport(server.url, Clock(), max_bytes=5000) as scim:
        failure(LostAnswerError, lambda: scim.send(PATCH))
        assert len(server.seen) == 1


def test_a_write_that_a_proxy_answers_by_nonsense_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpServer(otherwise=faults.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with transport("https://scim.example.org", Clock()) as scim:
            assert "the answer is not HTTP" in failure(ProxyRefusedError, lambda: scim.send(PATCH))
        assert len(proxy.seen) == 1


def test_a_write_that_is_not_answered_in_time_is_a_lost_answer() -> None:
    with HttpServer([faults.silence]) as server, transport(server.url, timeout=0.2) as scim:
        assert "nothing came for 0.2 s" in failure(LostAnswerError, lambda: scim.send(PATCH))
        assert len(server.seen) == 1


@pytest.mark.parametrize("request_", [GET, PATCH])
def test_where_nobody_listens_nothing_was_sent_and_the_run_waits_for_nothing_more(request_: Request) -> None:
    clock = Clock()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with transport(f"http://127.0.0.1:{held.getsockname()[1]}", clock) as scim:
            assert "Connection refused" in failure(UnreachableError, lambda: scim.send(request_))
            assert len(clock.naps) == 4
            failure(UnreachableError, lambda: scim.send(request_))
            assert len(clock.naps) == 4


@pytest.mark.parametrize(("code", "times"), [(502, 5), (504, 5), (500, 2), (501, 1)])
def test_a_fault_of_the_server_is_waited_out_for_what_may_be_repeated_and_then_the_answer(
    code: int, times: int
) -> None:
    clock = Clock()
    with HttpServer(otherwise=said(code)) as server, transport(server.url, clock) as scim:
        answer = scim.send(GET)
        assert answer.status == code
        assert len(server.seen) == times
    for number, nap in enumerate(clock.naps):
        assert 0 <= nap <= 2**number


def test_a_write_that_a_server_failed_at_is_not_repeated() -> None:
    with HttpServer([said(500)]) as server, transport(server.url, Clock()) as scim:
        assert scim.send(PATCH).status == 500
        assert len(server.seen) == 1


@pytest.mark.parametrize("code", [502, 504])
def test_a_write_that_a_gateway_answers_in_the_server_s_place_is_a_lost_answer(code: int) -> None:
    with HttpServer([said(code)]) as server, transport(server.url, Clock()) as scim:
        assert f"/v2/Users/1: sent, but: {code} " in failure(LostAnswerError, lambda: scim.send(PATCH))
        assert len(server.seen) == 1


# ---------------------------------------------------------------- 429, 503, budget and rate


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again_after_as_long_as_it_says(code: int) -> None:
    clock = Clock()
    with HttpServer([said(code, None, Retry_After="7")] * 2) as server, transport(server.url, clock) as scim:
        assert scim.send(GET).status == 200
        assert len(server.seen) == 3
    assert clock.naps == [7, 7]


@pytest.mark.parametrize("code", [429, 503])
def test_a_write_that_a_server_was_too_busy_for_is_its_makers_to_repeat_after_the_pause(code: int) -> None:
    clock = Clock()
    with HttpServer([said(code, None, Retry_After="7")]) as server, transport(server.url, clock) as scim:
        assert scim.send(PATCH).status == code
        assert scim.send(PATCH).status == 200
    assert clock.naps == [7]


def test_the_more_often_a_server_was_too_busy_for_a_write_the_longer_the_pause_may_be() -> None:
    clock = Clock()
    with HttpServer(otherwise=said(429)) as server, transport(server.url, clock, budget=3600) as scim:
        for _ in range(12):
            scim.send(Request("PATCH", "/Users/1", body={}))
    assert all(0 <= nap <= 2**number for number, nap in enumerate(clock.naps))
    assert max(clock.naps) > 2


def test_retry_after_as_a_date_is_measured_by_the_server_s_own_clock() -> None:
    theirs = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
    until = format_datetime(theirs + timedelta(seconds=45), usegmt=True)
    busy = said(503, None, Date=format_datetime(theirs, usegmt=True), Retry_After=until)
    clock = Clock()
    with HttpServer([busy]) as server, transport(server.url, clock) as scim:
        assert scim.send(GET).status == 200
    assert clock.naps == [45]


@pytest.mark.parametrize("asked", [{}, {"Retry_After": "0"}, {"Retry_After": "soon"}])
def test_a_busy_server_that_does_not_say_how_long_is_left_alone_for_growing_random_times(
    asked: dict[str, str],
) -> None:
    clock = Clock()
    with HttpServer([said(429, None, **asked)] * 4) as server, transport(server.url, clock) as scim:
        assert scim.send(GET).status == 200
        assert len(server.seen) == 5
    assert all(0 <= nap <= 2**number for number, nap in enumerate(clock.naps))
    assert len(set(clock.naps)) == 4


@pytest.mark.parametrize("code", [429, 503])
def test_the_pauses_of_a_run_are_bounded_together_and_after_that_nothing_is_waited_for(code: int) -> None:
    clock = Clock()
    busy = said(code, None, Retry_After="20")
    with HttpServer([busy, None, busy, busy, busy]) as server, transport(server.url, clock, budget=50) as scim:
        assert scim.send(GET).status == 200
        what = failure(ImpatientError, lambda: scim.send(GET))
        assert clock.naps == [20, 20]
        assert len(server.seen) == 4
        assert (
            "to be asked again after 20 s: the server asked for longer pauses than 50 s in all (directory.budget)"
            in what
        )
        failure(ImpatientError, lambda: scim.send(GET))
        assert len(server.seen) == 5
        assert scim.send(GET).status == 200  # what needs no pause goes on


@pytest.mark.parametrize(("code", "kind"), [(429, ImpatientError), (503, LostAnswerError)])
def test_a_write_for_which_there_is_no_patience_left_has_no_answer(code: int, kind: type[ConnectorError]) -> None:
    """A 503 may come from a proxy whose server went away in the middle of it, so that a write may have been done."""
    busy = said(code, None, Retry_After="20")
    with HttpServer([busy]) as server, transport(server.url, Clock(), budget=5) as scim:
        assert "to be asked again after 20 s" in failure(kind, lambda: scim.send(PATCH))


def test_a_server_that_wants_hours_is_not_waited_for_at_all() -> None:
    clock = Clock()
    with HttpServer([said(429, None, Retry_After="7200")]) as server, transport(server.url, clock) as scim:
        assert "to be asked again after 7200 s" in failure(ImpatientError, lambda: scim.send(GET))
    assert clock.naps == []


def test_a_server_that_is_busy_for_ever_without_saying_so_uses_the_patience_up() -> None:
    clock = Clock()
    with HttpServer(otherwise=said(503)) as server, transport(server.url, clock, budget=60) as scim:
        failure(ImpatientError, lambda: scim.send(GET))
    assert 30 <= sum(clock.naps) <= 60


@pytest.mark.slow
def test_a_pause_that_the_server_asks_for_holds_for_every_thread() -> None:
    stamps: list[float] = []
    refused, waiting = threading.Event(), threading.Event()

    def busy(handler: Any) -> None:
        stamps.append(time.monotonic())
        said(429, None, Retry_After="1")(handler)

    def well(handler: Any) -> None:
        stamps.append(time.monotonic())
        said(200, {})(handler)

    def work(number: int) -> None:
        if number:
            refused.wait(20)
        scim.send(GET)

    def numbers() -> Iterator[int]:
        yield 0
        assert waiting.wait(20), "nobody was told to wait"
        refused.set()
        yield from range(1, 4)

    def sleep(seconds: float) -> None:
        waiting.set()
        time.sleep(seconds)

    with HttpServer([busy], otherwise=well) as server, transport(server.url, sleep=sleep, concurrency=4) as scim:
        list(scim.each(work, numbers()))
    first, *others = stamps
    assert len(others) == 4
    assert min(others) - first >= 0.99


def test_requests_a_second_are_bounded() -> None:
    clock = Clock()
    with HttpServer() as server, transport(server.url, clock, rate=4) as scim:
        for _ in range(9):
            scim.send(GET)
    assert clock.naps == [0.25] * 8


def test_requests_a_second_are_bounded_also_when_the_pauses_of_a_run_are_used_up() -> None:
    clock = Clock()
    with HttpServer([said(429, None, Retry_After="900")]) as server, transport(server.url, clock, rate=4) as scim:
        failure(ImpatientError, lambda: scim.send(GET))
        for _ in range(5):
            scim.send(GET)
    assert clock.naps == [0.25] * 5


def test_requests_a_second_are_bounded_for_all_threads_together() -> None:
    with HttpServer() as server, transport(server.url, rate=50, concurrency=8) as scim:
        begun = time.monotonic()
        list(scim.each(lambda _: scim.send(GET), range(26)))
        assert time.monotonic() - begun >= 25 / 50
    assert len(server.seen) == 26


# ---------------------------------------------------------------- who asks


def oauth(url: str, **more: Any) -> dict[str, Any]:
    said = {"token_url": f"{url}/o/token/", "client_id": "cec connector", "client_secret": {"env": "S"}}
    return {"oauth": said | more}


def tokens(*lives: Any) -> list[Act]:
    """Answers of a token endpoint: token-1, token-2 …, each good for so many seconds."""
    return [
        said(
            200,
            {"access_token": f"token-{number}", "token_type": "bearer"}
            | ({} if life is None else {"expires_in": life}),
        )
        for number, life in enumerate(lives, 1)
    ]


def test_basic_is_a_user_and_a_password_in_utf_8() -> None:
    proof: dict[str, Any] = {"basic": {"user": "sync", "password": {"env": "P"}}}
    with HttpServer() as server, transport(server.url, secret="pä:ss", **proof) as scim:
        scim.send(GET)
    scheme, _, coded = server.seen[0].headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(coded).decode()) == ("Basic", "sync:pä:ss")


@pytest.mark.parametrize(
    ("kind", "proof"),
    [(DeniedError, {}), (RefusedBindError, {"basic": {"user": "sync", "password": {"env": "P"}}})],
)
def test_a_token_or_password_that_is_refused_ends_it_at_once(kind: type[DeniedError], proof: dict[str, Any]) -> None:
    with HttpServer([said(401, {"detail": TOKEN})]) as server, transport(server.url, **proof) as scim:
        what = failure(kind, lambda: scim.send(GET))
        assert len(server.seen) == 1
    assert what.startswith(f"{server.url}/v2/Users: GET was answered with 401 Unauthorized: the credentials are wrong")


@pytest.mark.parametrize("token", ["two words", "line\n", "é", "tab\there"])
def test_a_token_that_no_header_can_carry_is_an_error_of_the_job(token: str) -> None:
    with pytest.raises(FileError, match="holds a character that no header can carry") as caught:
        transport("http://127.0.0.1:9", secret=token)
    assert caught.value.where == "directory.token"
    assert token not in str(caught.value)


@pytest.mark.parametrize("client_auth", ["client_secret_basic", "client_secret_post"])
def test_an_oauth_client_asks_for_a_token_as_the_rfc_says(client_auth: str) -> None:
    with HttpServer(tokens(3600)) as login, HttpServer() as server:
        said = oauth(login.url, scope="a b", client_auth=client_auth)
        with transport(server.url, secret="s3cret+/ä", **said) as scim:
            scim.send(GET)
            scim.send(PATCH)
    (asked,) = login.seen
    assert (asked.method, asked.path) == ("POST", "/o/token/")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    form = {name: value for name, (value,) in parse_qs(asked.body.decode()).items()}
    assert (form.pop("grant_type"), form.pop("scope")) == ("client_credentials", "a b")
    if client_auth == "client_secret_post":
        assert form == {"client_id": "cec connector", "client_secret": "s3cret+/ä"}
        assert "authorization" not in asked.headers
    else:
        coded = asked.headers["authorization"].removeprefix("Basic ")
        assert base64.b64decode(coded) == b"cec+connector:s3cret%2B%2F%C3%A4"
        assert form == {}
    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer token-1"] * 2


@pytest.mark.parametrize(("life", "good"), [(600, 539), ("600", 539), (None, 269), ("soon", 269), (-1, 269)])
def test_a_token_is_used_for_nine_tenths_of_its_life_and_renewed_before_it_is_refused(
    life: object, good: float
) -> None:
    clock = Clock()
    with (
        HttpServer(tokens(life, 600)) as login,
        HttpServer() as server,
        transport(server.url, clock, **oauth(login.url)) as scim,
    ):
        for seconds in (0, good, 2):
            clock.now += seconds
            scim.send(GET)
    assert [seen.headers["authorization"][-1] for seen in server.seen] == ["1", "1", "2"]


def test_a_token_with_an_error_of_null_beside_it_is_one() -> None:
    answer = said(200, {"access_token": "token-1", "token_type": "Bearer", "error": None, "error_description": None})
    with HttpServer([answer]) as login, HttpServer() as server, transport(server.url, **oauth(login.url)) as scim:
        assert scim.send(GET).status == 200


@pytest.mark.parametrize("request_", [GET, PATCH])
def test_a_token_that_is_refused_is_renewed_once(request_: Request) -> None:
    with (
        HttpServer(tokens(3600, 3600)) as login,
        HttpServer([None, said(401)]) as server,
        transport(server.url, **oauth(login.url)) as scim,
    ):
        assert scim.send(request_).status == 200
        assert scim.send(request_).status == 200
    assert [seen.headers["authorization"][-1] for seen in server.seen] == ["1", "1", "2"]


def test_a_new_token_that_is_refused_too_is_the_end() -> None:
    with (
        HttpServer(tokens(3600, 3600)) as login,
        HttpServer(otherwise=said(401)) as server,
        transport(server.url, **oauth(login.url)) as scim,
    ):
        failure(DeniedError, lambda: scim.send(PATCH))
    assert len(server.seen) == len(login.seen) == 2


def test_threads_that_are_refused_together_fetch_one_new_token() -> None:
    barrier = threading.Barrier(4)

    def refuse_the_first(handler: Any) -> None:
        first = handler.headers["Authorization"] == "Bearer token-1"
        if first:
            barrier.wait(20)
        said(401 if first else 200, {})(handler)

    with (
        HttpServer(tokens(3600, 3600)) as login,
        HttpServer(otherwise=refuse_the_first) as server,
        transport(server.url, concurrency=4, **oauth(login.url)) as scim,
    ):
        statuses = list(scim.each(lambda _: scim.send(GET).status, range(4)))
    assert statuses == [200] * 4
    assert len(login.seen) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (
            said(401, {"error": "invalid_client", "error_description": SECRET}),
            DeniedError,
            "401 Unauthorized (invalid_client)",
        ),
        (said(400, {"error": SECRET}), DeniedError, "no access token: 400 Bad Request"),
        (said(400, b"<html>"), DeniedError, "no access token: 400 Bad Request"),
        (
            said(404, b"<html>no such page"),
            NoTokenError,
            "404 Not Found (an HTML page, perhaps of a proxy or a login",
        ),
        (said(302, None, Location="https://sso.example.org/?" + SECRET), NoTokenError, "no access token: 302 Found"),
        (said(200, b"<html>"), NoTokenError, "no usable access_token of the type Bearer (an HTML page"),
        (said(200, b""), NoTokenError, "no usable access_token of the type Bearer (empty)"),
        (said(200, [SECRET]), NoTokenError, "not as in RFC 6749 §5.1"),
        (said(200, {"access_token": [5]}), NoTokenError, "not as in RFC 6749 §5.1"),
        (said(200, {"access_token": ""}), NoTokenError, "no usable access_token"),
        (said(200, {"access_token": "two\nlines"}), NoTokenError, "no usable access_token"),
        (said(200, {"access_token": SECRET, "token_type": "mac"}), NoTokenError, "access_token of the type Bearer"),
    ],
)
def test_a_token_endpoint_that_gives_no_token_says_why_and_the_server_is_not_asked(
    answer: Act, kind: type[ConnectorError], why: str
) -> None:
    with (
        HttpServer([answer]) as login,
        HttpServer() as server,
        transport(server.url, secret=SECRET, **oauth(login.url)) as scim,
    ):
        what = failure(kind, lambda: scim.send(PATCH))
    assert why in what
    assert what.startswith(f"{login.url}/o/token/: ")
    assert server.seen == []


def test_a_token_endpoint_that_is_busy_is_waited_for() -> None:
    clock = Clock()
    with (
        HttpServer([said(503, None, Retry_After="3"), *tokens(60)]) as login,
        HttpServer() as server,
        transport(server.url, clock, **oauth(login.url)) as scim,
    ):
        assert scim.send(PATCH).status == 200
    assert clock.naps == [3]


# ---------------------------------------------------------------- TLS


class Authority:
    """Files of an authority, of a client, and of a server that asks for a client's certificate."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file, self.cert_file, self.key_file = folder / "ca.pem", folder / "client.pem", folder / "client.key"
        self.ca.cert_pem.write_to_path(str(self.ca_file))
        self._write(self.ca)

    def _write(self, ca: trustme.CA) -> None:
        client = ca.issue_cert("client.example.org")
        client.cert_chain_pems[0].write_to_path(str(self.cert_file))
        client.private_key_pem.write_to_path(str(self.key_file))

    def forge(self) -> None:
        """A client that another authority speaks for."""
        self._write(trustme.CA())

    def server(self, name: str = "127.0.0.1", *, mutual: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        if mutual:
            self.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_client_certificate_alone_says_who_asks(authority: Authority) -> None:
    files: dict[str, Any] = {
        "ca_file": authority.ca_file,
        "cert_file": authority.cert_file,
        "key_file": authority.key_file,
    }
    with HttpServer(context=authority.server(mutual=True)) as server, transport(server.url, **files) as scim:
        assert scim.send(GET).status == 200
    assert "authorization" not in server.seen[0].headers


@pytest.mark.parametrize("shown", ["none", "forged"])
@pytest.mark.parametrize("request_", [GET, PATCH])
def test_a_client_without_a_good_certificate_is_denied(
    authority: Authority, shown: Literal["none", "forged"], request_: Request
) -> None:
    files: dict[str, Any] = {"ca_file": authority.ca_file}
    if shown == "forged":
        authority.forge()
        files |= {"cert_file": authority.cert_file, "key_file": authority.key_file}
    with HttpServer(context=authority.server(mutual=True)) as server, transport(server.url, **files) as scim:
        what = failure(DeniedError, lambda: scim.send(request_))
        assert "the server refused the TLS connection: " in what
        assert server.seen == []


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_server_that_is_not_trusted_is_sent_nothing(authority: Authority, tmp_path: Path, wrong: str) -> None:
    if wrong == "authority":
        trustme.CA().cert_pem.write_to_path(str(authority.ca_file))
    name = "other.example.test" if wrong == "name" else "127.0.0.1"
    with (
        HttpServer(context=authority.server(name)) as server,
        transport(server.url, ca_file=authority.ca_file) as scim,
    ):
        failure(HostNameError if wrong == "name" else UntrustedError, lambda: scim.send(PATCH))
        assert server.seen == []


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
def test_a_file_that_is_no_certificate_is_an_error_of_that_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "none.pem"
    path.write_text("no certificate")
    files: dict[str, Any] = {"token": {"env": "T"}, name: path}
    with pytest.raises(FileError) as caught:
        transport("https://127.0.0.1:9", **files)
    assert caught.value.where == str(path)


# ---------------------------------------------------------------- side by side


def test_as_many_at_once_as_the_job_allows_and_no_more() -> None:
    barrier = threading.Barrier(3)

    def together(handler: Any) -> None:
        barrier.wait(20)
        said(200, {})(handler)

    with HttpServer(otherwise=together) as server, transport(server.url, concurrency=3) as scim:
        assert sorted(scim.each(lambda number: (scim.send(GET), number)[1], range(12))) == list(range(12))
    assert server.most == 3
    assert server.connections == 3


def test_items_are_drawn_in_the_thread_that_asks_and_only_when_somebody_is_free() -> None:
    drawn: list[int] = []
    gate = threading.Event()

    def items() -> Iterator[int]:
        for number in range(6):
            assert threading.current_thread() is here
            drawn.append(number)
            yield number

    def work(number: int) -> int:
        if number:
            gate.wait(20)
        return number

    here = threading.current_thread()
    with transport("http://127.0.0.1:9", concurrency=2) as scim:
        results = scim.each(work, items())
        assert next(results) == 0
        assert drawn == [0, 1]
        gate.set()
        assert sorted(results) == [1, 2, 3, 4, 5]


def test_an_error_of_one_ends_all_when_those_under_way_are_done() -> None:
    done: list[int] = []
    gate = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            threading.Timer(0.05, gate.set).start()
            raise UnreachableError("gone")
        gate.wait(20)
        done.append(number)

    with transport("http://127.0.0.1:9", concurrency=2) as scim:
        with pytest.raises(UnreachableError, match="gone"):
            list(scim.each(work, itertools.count()))
        assert done == [1]
        assert list(scim.each(str, range(1))) == ["0"]


def test_a_caller_that_goes_away_early_waits_for_those_under_way() -> None:
    done: list[int] = []
    gate = threading.Event()

    def work(number: int) -> int:
        if number:
            gate.wait(20)
        done.append(number)
        return number

    with transport("http://127.0.0.1:9", concurrency=3) as scim:
        results = scim.each(work, itertools.count())
        assert isinstance(results, Generator)
        assert next(results) == 0
        threading.Timer(0.05, gate.set).start()
        results.close()
        assert sorted(done) == [0, 1, 2]


def test_whoever_interrupts_the_program_ends_its_pauses() -> None:
    looks = itertools.count()
    waiting = threading.Event()

    def clock() -> float:
        """Looked at when the server has put the request off, and when the next turn is waited for."""
        if server.seen and next(looks) == 1:
            waiting.set()
        return time.monotonic()

    def items() -> Iterator[int]:
        yield 0
        assert waiting.wait(20)
        raise KeyboardInterrupt

    put_off = said(429, None, Retry_After="100")
    with HttpServer([put_off]) as server, transport(server.url, time=clock, concurrency=2) as scim:
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            list(scim.each(lambda _: scim.send(GET), items()))
        assert time.monotonic() - begun < 20
    assert len(server.seen) == 1


# ---------------------------------------------------------------- secrets

ANSWERS: dict[str, Act] = {
    "garbled": said(200, CANARY.encode(), Content_Encoding="gzip"),
    "too long": said(200, CANARY.encode() * 1000),
    "not HTTP": faults.raw(CANARY.encode()),
    "bad header": faults.raw(b"HTTP/1.1 200 OK\r\n" + CANARY.encode() + b"\r\n\r\n"),
    "bad length": faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + CANARY.encode() + b"\r\n\r\n"),
    "cut": faults.cut(CANARY.encode(), 5000),
    "401": said(401, {"detail": CANARY}),
    "429": said(429, {"detail": CANARY}),
    "503": said(503, {"detail": CANARY}),
    "redirect": said(302, None, Location=f"https://joe:{CANARY}@sso.example.test/{CANARY}"),
    "bad redirect": said(302, None, Location=f"https://joe:{CANARY}@sso.example.test:x/"),
}


@pytest.mark.parametrize("request_", [GET, PATCH])
@pytest.mark.parametrize("act", ANSWERS.values(), ids=ANSWERS)
def test_no_fault_shows_a_secret(act: Act, request_: Request, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        HttpServer(otherwise=act) as server,
        transport(server.url, Clock(), max_bytes=2000) as scim,
        logged() as logs,
        pytest.raises(IncompleteRead) as caught,
    ):
        [scim.send(request_) for _ in range(10_000)]  # a write that a server is too busy for is its maker's to repeat
    shown = repr(caught.value) + str(caught.value) + repr(logs) + "".join(capfd.readouterr())
    for secret in (CANARY, TOKEN):
        assert secret not in shown
