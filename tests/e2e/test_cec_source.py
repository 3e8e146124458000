"""The CEC source against real HTTP and HTTPS servers on loopback, well and unwell."""

from __future__ import annotations

import gzip
import itertools
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from connector.demo.simulator import TOKEN_PATH, Request, Simulator
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    HostNameError,
    IncompleteRead,
    MalformedError,
    NoTlsError,
    ProxyRefusedError,
    SourceTruncatedError,
    TruncatedError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Secret
from connector.net import tls
from connector.net.http import ExchangeLimits, HttpChannel
from connector.settings.job import CecSource as CecSourceSettings
from connector.sources.cec import CecSource
from connector.sources.envelopes import WITHHELD
from connector.sources.file import FileSource
from tests.support import faulty_cec as faults
from tests.support.connect_proxy import ConnectProxy
from tests.support.faulty_cec import Fault, FaultyCec, for_ever, status
from tests.support.http_server import HttpServer, said
from tests.support.listening import Listening
from tests.support.logs import logged

KEY, SECRET, CANARY = "key-3b1c88", "secret-51f0aa", "canary-77e2d9"
TENANT = {
    "sipServiceIp": "192.0.2.10",
    "sipServicePort": 5060,
    "agents": [
        {"workNo": 1001, "accountCode": "sample.1", "sipAccount": "7001", "sipPwd": CANARY},
        {"workNo": 1002, "accountCode": "sample.2", "sipAccount": "7002", "sipPwd": 'q"\\/é'},
    ],
}
BODY = json.dumps(TENANT).encode()
QUERY = "/apiaccess/CC-Mangemant/v1/queryAgentInfo"
OTHER = "/apiaccess/CC-Management/v1/queryAgentInfo"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def tenant(document: dict[str, Any] | bytes = TENANT, /, **options: Any) -> FaultyCec:
    return FaultyCec(document, app_key=KEY, app_secret=SECRET, **options)


def job_source(url: str, **settings: Any) -> CecSourceSettings:
    """What a job says of it."""
    said = {"url": url, "app_key": {"env": "KEY"}, "app_secret": {"env": "SECRET"}, "allow_plaintext": True}
    return CecSourceSettings.model_validate({"type": "cec", "retries": 2, "timeout": 10} | said | settings)


def source(url: str, naps: list[float] | None = None, *, secret: str = SECRET, **settings: Any) -> CecSource:
    """A source that does not sleep but says how long it would; `clock` replaces the clock."""
    clock = {"clock": settings.pop("clock")} if "clock" in settings else {}
    job = job_source(url, **settings)
    return CecSource(job, Secret(KEY), Secret(secret), sleep=(naps if naps is not None else []).append, **clock)


def failure(of: CecSource, kind: type[ConnectorError]) -> str:
    """What the error says; it is exactly of that kind and drags no other library's error behind it."""
    with pytest.raises(kind) as caught:
        of.read()
    assert type(caught.value) is kind
    link: BaseException | None = caught.value
    while link is not None:
        assert type(link).__module__.partition(".")[0] in {"connector", "zlib", "ssl"}
        link = link.__cause__ or link.__context__
    return str(caught.value)


def test_the_whole_tenant_is_read_with_one_token_and_one_query() -> None:
    with tenant() as cec, logged() as logs:
        read = source(cec.url, headers={"X-TenantSpaceID": "space-1"}).read()
    assert [agent.account_code for agent in read.agents] == ["sample.1", "sample.2"]
    assert [agent.sip_pwd for agent in read.agents] == [Secret(CANARY), Secret('q"\\/é')]
    assert (read.sip_service_ip, read.sip_service_port) == ("192.0.2.10", "5060")
    assert cec.requests == [("POST", TOKEN_PATH), ("GET", QUERY)]
    assert [asked.get("x-tenantspaceid") for asked in cec.asked] == ["space-1", "space-1"]
    assert cec.asked[0]["x-token-expire"] == "3600"
    assert any(entry.get("path") == QUERY for entry in logs)


def test_a_file_of_the_same_shape_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "agents.json"
    path.write_bytes(BODY)
    with tenant() as cec:
        assert FileSource(path, 1 << 20).read() == source(cec.url).read()


def test_a_file_that_is_missing_a_folder_too_long_or_malformed_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.json: cannot be read: No such file"):
        FileSource(tmp_path / "none.json", 100).read()
    with pytest.raises(FileError, match="Is a directory"):
        FileSource(tmp_path, 100).read()
    path = tmp_path / "agents.json"
    path.write_bytes(BODY)
    with pytest.raises(SourceTruncatedError, match=rf"agents\.json: longer than source\.max_bytes \({len(BODY) - 1}\)"):
        FileSource(path, len(BODY) - 1).read()
    assert FileSource(path, len(BODY)).read().size == 2
    path.write_bytes(BODY[:-2])
    with pytest.raises(MalformedError, match=r"agents\.json: not JSON: cut off"):
        FileSource(path, 1 << 20).read()


@pytest.mark.parametrize("packed", [faults.gzipped, faults.deflated])
def test_a_compressed_answer_is_read(packed: Callable[[bytes], Fault]) -> None:
    with tenant(query=[packed(BODY)]) as cec:
        assert source(cec.url).read().size == 2
        assert cec.asked[1]["accept-encoding"] == "gzip"


# ---------------------------------------------------------------- tokens


def test_a_second_read_uses_the_token_while_it_lasts_and_a_new_one_after() -> None:
    now = [0.0]
    with tenant(clock=lambda: now[0], token_seconds=600) as cec:
        cec_source = source(cec.url, clock=lambda: now[0])
        for moment, tokens in ((0, 1), (500, 1), (545, 2), (700, 2), (5000, 3)):
            now[0] = moment
            assert cec_source.read().size == 2
            assert cec.count("POST") == tokens
        assert cec.count("GET") == 5  # renewed before it ran out: no query was refused


@pytest.mark.parametrize("expires", [None, "soon", "-5", 600, "600", ""])
def test_a_token_is_used_whatever_its_answer_says_of_its_life(expires: object) -> None:
    token = json.dumps({"AccessToken": "t", "Expires": expires}).encode()
    with tenant(query=[status(200, BODY)], token=[status(200, token)]) as cec:
        assert source(cec.url).read().size == 2
        assert cec.asked[1]["authorization"] == "Bearer t"


def test_a_revoked_token_is_met_with_a_new_one() -> None:
    with tenant() as cec:
        cec_source = source(cec.url)
        cec_source.read()
        cec.revoke()
        assert cec_source.read().size == 2
        assert (cec.count("POST"), cec.count("GET")) == (2, 3)


@pytest.mark.parametrize("code", [401, 403])
def test_one_refusal_is_met_with_a_new_token(code: int) -> None:
    with tenant(query=[status(code)]) as cec:
        assert source(cec.url).read().size == 2
        assert [method for method, _ in cec.requests] == ["POST", "GET", "POST", "GET"]
        assert cec.asked[1]["authorization"] != cec.asked[3]["authorization"]


def test_two_refusals_end_in_an_error_with_both_answers_and_no_token() -> None:
    second = json.dumps({"errorCode": "7", "exceptionInfo": "token info"}).encode()
    with tenant(query=[status(401, b"<html>"), status(403, second)]) as cec:
        said = failure(source(cec.url), DeniedError)
        tokens = [asked["authorization"].split()[1] for asked in cec.asked if "authorization" in asked]
    assert "401 Unauthorized (an HTML page" in said
    assert "with a new token: 403 Forbidden (errorCode 7: token info)" in said
    assert QUERY in said
    assert len(set(tokens)) == 2
    assert not any(token in said for token in tokens)
    assert (cec.count("GET"), cec.count("POST")) == (2, 2)


def test_a_refusal_that_quotes_token_and_key_is_shown_without_them() -> None:
    def tell(request: Any) -> None:
        token = request.headers["Authorization"].split()[1]
        status(403, json.dumps({"errorCode": "0", "exceptionInfo": f"expired: {token} of {KEY}"}).encode())(request)

    with tenant(query=for_ever(tell)) as cec:
        said = failure(source(cec.url), DeniedError)
    assert said.count("errorCode 0: expired: <secret> of <secret>") == 2


def test_a_wrong_secret_is_denied_at_the_token_call_and_the_tenant_not_asked() -> None:
    with tenant() as cec:
        said = failure(source(cec.url, secret="wrong-" + CANARY), DeniedError)
    assert TOKEN_PATH in said
    assert "401 Unauthorized (resultCode 401: wrong app_key or app_secret)" in said
    assert CANARY not in said
    assert cec.requests == [("POST", TOKEN_PATH)]


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (b'{"resultCode":"1101","resultMessage":"locked"}', DeniedError, "refused: resultCode 1101: locked"),
        (b'{"returnCode":"9","description":"locked"}', DeniedError, "refused: returnCode 9: locked"),
        (b'{"retCode":"9","retMsg":"locked"}', DeniedError, "refused: retCode 9: locked"),
        (b'{"errorCode":"0","exceptionInfo":"auth fail!"}', DeniedError, "refused: errorCode 0: auth fail!"),
        (b"{}", MalformedError, "no usable AccessToken"),
        (b'{"AccessToken":null}', MalformedError, "no usable AccessToken"),
        (b'{"AccessToken":12345}', MalformedError, "no usable AccessToken"),
        (b'{"AccessToken":"two\\r\\nlines"}', MalformedError, "no usable AccessToken"),
        (b'{"AccessToken":"h\xc3\xa9"}', MalformedError, "no usable AccessToken"),
        (b'["token"]', MalformedError, "not a JSON object"),
        (b"<html>sign in</html>", MalformedError, "not a JSON object but an HTML page"),
        (b"", MalformedError, "not a JSON object but empty"),
        (b" " * 70_000, MalformedError, "longer than 65536 octets, so it is no token"),
    ],
)
def test_a_token_call_that_gives_no_token_says_why(answer: bytes, kind: type[ConnectorError], why: str) -> None:
    with tenant(token=[status(200, answer)]) as cec:
        said = failure(source(cec.url), kind)
    assert why in said
    assert TOKEN_PATH in said
    assert cec.count("GET") == 0


def test_an_app_key_that_no_header_can_carry_is_an_error_of_the_job() -> None:
    settings = job_source("http://127.0.0.1:9")
    with pytest.raises(FileError, match=r"source\.app_key") as caught:
        CecSource(settings, Secret(CANARY + "\r"), Secret(SECRET))
    assert CANARY not in str(caught.value)


# ---------------------------------------------------------------- spelling, statuses, redirects


@pytest.mark.parametrize("answers", ["Mangemant", "Management"])
@pytest.mark.parametrize("asked", [QUERY, OTHER])
def test_either_spelling_of_the_path_is_found_and_the_log_says_which_answered(asked: str, answers: Any) -> None:
    with tenant(spelling=answers) as cec, logged() as logs:
        assert source(cec.url, path=asked).read().size == 2
    right = f"/apiaccess/CC-{answers}/v1/queryAgentInfo"
    assert [path for method, path in cec.requests if method == "GET"] == list(dict.fromkeys([asked, right]))
    assert [entry["path"] for entry in logs if entry["event"] == "agent query answered"] == [right]
    assert cec.count("POST") == 1


def test_404_at_both_spellings_names_both() -> None:
    with tenant(query=for_ever(status(404))) as cec:
        said = failure(source(cec.url), IncompleteRead)
    assert QUERY in said
    assert OTHER in said
    assert said.count("404 Not Found") == 2
    assert cec.count("GET") == 2


def test_404_at_a_path_of_ones_own_is_not_tried_elsewhere() -> None:
    with tenant() as cec:
        assert "404 Not Found" in failure(source(cec.url, path="/agents"), IncompleteRead)
        assert cec.count("GET") == 1


@pytest.mark.parametrize("code", [400, 405, 418, 451])
def test_a_status_that_waiting_does_not_mend_fails_at_once_with_its_envelope(code: int) -> None:
    text = json.dumps({"retCode": "E1", "retMsg": "no\x1b[31m such\ttenant"}).encode()
    with tenant(query=for_ever(status(code, text))) as cec:
        said = failure(source(cec.url), IncompleteRead)
        assert cec.count("GET") == 1
    assert f"answered with {code}" in said
    assert r"retCode E1: no\x1b[31m such\ttenant" in said


@pytest.mark.parametrize("code", [201, 204, 206])
def test_a_success_other_than_200_is_no_answer(code: int) -> None:
    with tenant(query=[status(code, b"" if code == 204 else BODY)]) as cec:
        assert f"answered with {code}" in failure(source(cec.url), MalformedError)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("fails", ["query", "token"])
def test_a_redirect_is_not_followed_and_names_its_host_alone(code: int, fails: str) -> None:
    with tenant(TENANT) as elsewhere:
        away = status(code, Location=f"{elsewhere.url}/sso?ticket={CANARY}")
        with tenant(**{fails: for_ever(away)}) as cec:
            said = failure(source(cec.url), MalformedError)
    assert f"redirected to {elsewhere.url.removeprefix('http://')}" in said
    assert CANARY not in said
    assert elsewhere.requests == []


@pytest.mark.parametrize("answer", [status(304), status(304, Location="http://cec.example.test/"), status(302)])
def test_a_status_300_to_399_that_leads_nowhere_is_no_redirect(answer: Fault) -> None:
    with tenant(query=for_ever(answer)) as cec:
        said = failure(source(cec.url), MalformedError)
    assert said.endswith(", not 200")
    assert "redirected" not in said


# ---------------------------------------------------------------- trying again


@pytest.mark.parametrize("fails", ["query", "token"])
@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_waited_out_with_growing_random_waits(code: int, fails: str) -> None:
    naps: list[float] = []
    with tenant(**{fails: [status(code), status(code)]}) as cec:
        assert source(cec.url, naps).read().size == 2
    assert len(naps) == 2
    assert 0 <= naps[0] <= 1
    assert 0 <= naps[1] <= 2


@pytest.mark.parametrize(
    ("said", "wait"), [("7", 7.0), ("0", 0.0), ("100000", 120.0), (" 3 ", 3.0), ("9" * 400, 120.0)]
)
def test_retry_after_in_seconds_is_honoured_up_to_a_bound(said: str, wait: float) -> None:
    naps: list[float] = []
    with tenant(query=[status(429, Retry_After=said)]) as cec:
        assert source(cec.url, naps).read().size == 2
    assert naps == [wait]


@pytest.mark.parametrize(("after", "wait"), [(45, 45.0), (-45, 0.0), (86_400, 120.0)])
def test_retry_after_as_a_date_is_measured_by_the_server_s_own_clock(after: int, wait: float) -> None:
    theirs = datetime(2031, 5, 17, 12, 0, tzinfo=UTC)
    until = format_datetime(theirs + timedelta(seconds=after), usegmt=True)

    def busy(request: Any) -> None:
        request.send_response_only(503)
        for name, value in (("Date", format_datetime(theirs, usegmt=True)), ("Retry-After", until)):
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    naps: list[float] = []
    with tenant(query=[busy]) as cec:
        assert source(cec.url, naps).read().size == 2
    assert naps == [wait]


@pytest.mark.parametrize("said", ["soon", "-3", "1.5", "", "Wed, 99 Foo 2031", "٣"])
def test_a_retry_after_that_says_nothing_falls_back_to_a_random_wait(said: str) -> None:
    naps: list[float] = []
    with tenant(query=[status(503, Retry_After=said.encode().decode("latin-1"))]) as cec:
        assert source(cec.url, naps).read().size == 2
    assert 0 <= naps[0] <= 1


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_fault_that_does_not_pass_ends_after_the_tries_of_the_job(code: int) -> None:
    naps: list[float] = []
    text = json.dumps({"resultCode": "X", "resultMessage": "overload"}).encode()
    with tenant(query=for_ever(status(code, text))) as cec, logged() as logs:
        said = failure(source(cec.url, naps, retries=3), IncompleteRead)
        assert cec.count("GET") == 4
    assert f"answered with {code}" in said
    assert "resultCode X: overload" in said
    assert len(naps) == 3
    assert [entry["reason"] for entry in logs if entry["event"] == "request repeated"] == [f"status {code}"] * 3


def test_no_retries_are_no_retries() -> None:
    with tenant(query=[status(503)]) as cec:
        failure(source(cec.url, retries=0), IncompleteRead)
        assert cec.count("GET") == 1


# ---------------------------------------------------------------- connections and bodies


def test_a_port_where_nobody_listens_is_unreachable_after_the_retries() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        naps: list[float] = []
        said = failure(source(f"http://127.0.0.1:{held.getsockname()[1]}", naps), UnreachableError)
    assert "Connection refused" in said
    assert len(naps) == 2


CUTS: dict[str, Fault] = {
    "within a body of known length": faults.cut(BODY[:40], len(BODY)),
    "within a chunked body": faults.cut_chunk(BODY[:40]),
    "before any answer": faults.raw(b""),
    "within the head": faults.raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "by a reset": faults.reset,
}


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_a_connection_that_is_cut_is_tried_again_and_then_unreachable(fault: Fault) -> None:
    with tenant(query=[fault]) as cec:
        assert source(cec.url).read().size == 2
    with tenant(query=for_ever(fault)) as cec:
        said = failure(source(cec.url), UnreachableError)
        assert cec.count("GET") == 3
    assert "cut" in said


def test_a_cut_says_how_much_had_come() -> None:
    with tenant(query=for_ever(faults.cut(BODY[:40], len(BODY)))) as cec:
        assert f"after 40 of {len(BODY)} octets" in failure(source(cec.url), UnreachableError)


def test_a_server_that_says_nothing_is_given_up_after_the_time_out() -> None:
    with tenant(query=[faults.silence]) as cec:
        said = failure(source(cec.url, timeout=0.2, retries=0), UnreachableError)
    assert "nothing came for 0.2 s" in said


def test_a_body_that_never_ends_is_given_up_after_ten_time_outs_and_not_asked_for_again() -> None:
    with tenant(query=for_ever(faults.dribble)) as cec:
        said = failure(source(cec.url, timeout=0.1), SourceTruncatedError)
        assert cec.count("GET") == 1
    assert "did not end within 1 s (10 times source.timeout)" in said


@pytest.mark.slow
def test_a_body_without_a_length_that_is_cut_for_its_time_is_not_taken_for_whole() -> None:
    def whole_and_on(request: Request) -> None:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
        request.close_connection = True
        faults.drip(request.connection, itertools.chain([head + BODY], itertools.repeat(b" ")))

    with tenant(query=for_ever(whole_and_on)) as cec:
        said = failure(source(cec.url, timeout=0.2), SourceTruncatedError)
    assert "did not end within 2 s (10 times source.timeout)" in said


@pytest.mark.slow
@pytest.mark.parametrize("path", ["query", "token"])
def test_headers_that_trickle_in_are_given_up_after_ten_time_outs_and_not_asked_for_again(path: str) -> None:
    with tenant(**{path: for_ever(faults.trickle_head)}) as cec:
        said = failure(source(cec.url, timeout=0.5), SourceTruncatedError)
        assert len(cec.asked) == 1 + (path == "query")
    assert "did not end within 5 s (10 times source.timeout)" in said


@pytest.mark.slow
def test_a_name_that_is_looked_up_for_too_long_leaves_no_exchange_without_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time is over before there is a connection that could be ended."""

    def head(request: Request) -> None:
        request.close_connection = True
        faults.drip(request.connection, itertools.chain([b"HTTP/1.1 200 OK\r\nX-Slow: "], itertools.repeat(b"x", 60)))

    def slowly(*asked: Any, **more: Any) -> Any:
        time.sleep(2.2)
        return looked_up(*asked, **more)

    looked_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with tenant(token=for_ever(head)) as cec:
        started = time.monotonic()
        said = failure(source(cec.url, timeout=0.2, retries=0), SourceTruncatedError)
        assert time.monotonic() - started < 5
    assert "did not end within 2 s (10 times source.timeout)" in said


def test_a_handshake_that_trickles_in_is_given_up_after_the_time_out() -> None:
    def serve() -> None:
        client, _ = listening.accept()
        with client:  # a record of TLS that is as long as it may be (RFC 8446 §5.1)
            faults.drip(client, itertools.chain([b"\x16\x03\x03\x40\x00"], itertools.repeat(b"x")))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve)
        server.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        said = failure(source(url, timeout=0.2, retries=0), UnreachableError)
        server.join(10)
    assert "no connection within 0.2 s" in said


@pytest.mark.slow
def test_an_answer_that_takes_many_waits_and_less_than_ten_time_outs_is_read() -> None:
    def slowly(request: Request) -> None:
        request.close_connection = True
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
        faults.drip(request.connection, [*(bytes([octet]) for octet in head[:8]), head[8:] + BODY])

    with tenant(query=[slowly]) as cec:
        assert source(cec.url, timeout=0.3).read().size


@pytest.mark.parametrize("answer", [status(200, b" " * 5001), faults.bomb(64 << 20), faults.dribble])
def test_an_answer_over_max_bytes_is_an_error_that_names_the_setting(answer: Fault) -> None:
    with tenant(query=for_ever(answer)) as cec:
        said = failure(source(cec.url, max_bytes=5000), SourceTruncatedError)
        assert cec.count("GET") == 1
    assert "longer than 5000 octets (source.max_bytes)" in said


def test_max_bytes_counts_what_was_compressed_and_allows_exactly_so_many() -> None:
    padded = BODY + b" " * 5000
    with tenant(query=[faults.gzipped(padded), faults.gzipped(padded)]) as cec:
        assert source(cec.url, max_bytes=len(padded)).read().size == 2
        failure(source(cec.url, max_bytes=len(padded) - 1), SourceTruncatedError)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (status(200, BODY, Content_Encoding="gzip"), "not the compressed body"),
        (status(200, b"", Content_Encoding="gzip"), "not JSON but empty"),
        (status(200, b"<!DOCTYPE html><title>Sign in</title>"), "an HTML page, perhaps of a proxy or a login"),
        (status(200, BODY[:-2]), "not JSON: cut off"),
        (status(200, b"{}"), "no `agents` in it"),
        (status(200, b'{"agents":null}'), "no `agents` in it"),
        (status(200, b'{"resultCode":"0","resultMessage":"ok"}'), "error in place of agents: resultCode 0: ok"),
        (status(200, b'{"errorCode":"0","exceptionInfo":"auth fail!"}'), "errorCode 0: auth fail!"),
        (status(200, b'{"retCode":"5","agents":[]}'), "together with an error, so perhaps incomplete: retCode 5"),
        (faults.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "the answer is not HTTP"),
    ],
)
def test_an_answer_that_is_not_understood_is_malformed_and_not_asked_for_again(answer: Fault, why: str) -> None:
    with tenant(query=[answer]) as cec:
        said = failure(source(cec.url), MalformedError)
        assert cec.count("GET") == 1
    assert why in said
    assert f"{cec.url}{QUERY}" in said


def test_an_error_that_quotes_a_password_of_its_own_answer_is_shown_without_it() -> None:
    said = b'{"resultCode":"7","resultMessage":"sipPwd cti-1234 weak","data":[{"workNo":1001,"sipPwd":"cti-1234"}]}'
    for code, kind in ((400, IncompleteRead), (200, MalformedError)):
        with tenant(query=[status(code, said)]) as cec:
            assert f"resultCode 7: {WITHHELD}" in failure(source(cec.url), kind)


def test_no_agents_at_all_is_a_tenant_of_size_0() -> None:
    with tenant({"agents": []}) as cec:
        assert source(cec.url).read().size == 0


# ---------------------------------------------------------------- TLS and the environment


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def test_https_with_a_trusted_authority_is_read(authority: trustme.CA, ca_file: Path) -> None:
    with tenant(ssl_context=serving(authority, "127.0.0.1")) as cec:
        assert source(cec.url, ca_file=ca_file).read().size == 2


def test_an_unknown_authority_is_untrusted_and_nothing_is_sent(authority: trustme.CA) -> None:
    with tenant(ssl_context=serving(authority, "127.0.0.1")) as cec:
        said = failure(source(cec.url), UntrustedError)
    assert "certificate is not trusted: " in said
    assert cec.requests == []


def test_a_port_that_speaks_no_tls_is_asked_once() -> None:
    naps: list[float] = []
    with tenant() as cec:
        said = failure(source(cec.url.replace("http:", "https:"), naps), NoTlsError)
    assert "what answers there speaks no TLS" in said
    assert naps == []


def test_ca_file_is_trusted_in_place_of_everybody_else(ca_file: Path) -> None:
    with tenant(ssl_context=serving(trustme.CA(), "127.0.0.1")) as cec:
        failure(source(cec.url, ca_file=ca_file), UntrustedError)


def test_another_host_s_certificate_is_untrusted_and_not_tried_again(authority: trustme.CA, ca_file: Path) -> None:
    naps: list[float] = []
    with tenant(ssl_context=serving(authority, "other.example.test")) as cec:
        said = failure(source(cec.url, naps, ca_file=ca_file), HostNameError)
    assert "127.0.0.1" in said
    assert naps == []
    assert cec.requests == []


def test_a_ca_file_without_certificates_is_an_error_of_that_file(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate", encoding="utf-8")
    assert f"{path}: no CA certificates can be read" in failure(source("https://127.0.0.1:9", ca_file=path), FileError)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with tenant() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        failure(source("http://cec.example.test"), IncompleteRead)
    assert proxy.requests == [("POST", f"http://cec.example.test{TOKEN_PATH}")]


def test_a_proxy_is_told_the_user_and_password_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with tenant() as proxy:
        monkeypatch.setenv("all_proxy", proxy.url.replace("://", "://joe:s%40crét@"))
        failure(source("http://cec.example.test"), IncompleteRead)
    assert b64decode(proxy.asked[0]["proxy-authorization"].removeprefix("Basic ")) == "joe:s@crét".encode()
    assert proxy.asked[0]["host"] == "cec.example.test"


@pytest.mark.parametrize("secured", [False, True])
def test_a_proxy_connects_with_a_server_of_https(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, secured: bool
) -> None:
    context = serving(authority, "127.0.0.1") if secured else None
    with tenant(ssl_context=serving(authority, "127.0.0.1")) as cec, ConnectProxy(context) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("://", "://joe:s%40cret@"))
        if secured:
            failure(source(cec.url, ca_file=ca_file, retries=0), ProxyRefusedError)  # the job's file is for the server
            monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        assert source(cec.url, ca_file=ca_file).read().size == 2
        assert len(proxy.heads) == 2  # of the token and of the agents
        for head in proxy.heads:
            assert head.startswith(f"CONNECT {cec.url.removeprefix('https://')} HTTP/1.1\r\nHost: ")
            assert f"Proxy-Authorization: Basic {b64encode(b'joe:s@cret').decode()}\r\n" in head
        assert [name for asked in cec.asked for name in asked if name.startswith("proxy")] == []


@pytest.mark.parametrize("secured", [False, True])
def test_a_server_behind_a_proxy_is_checked_like_any_other(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, secured: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    context = serving(authority, "127.0.0.1") if secured else None
    with ConnectProxy(context) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with tenant(ssl_context=serving(authority, "other.example.test")) as cec:
            failure(source(cec.url, ca_file=ca_file), HostNameError)
        with tenant() as cec:
            failure(source(cec.url.replace("http:", "https:"), ca_file=ca_file), NoTlsError)
        with tenant(query=for_ever(faults.reset), ssl_context=serving(authority, "127.0.0.1")) as cec:
            failure(source(cec.url, ca_file=ca_file, retries=0), UnreachableError)


def test_a_proxy_that_does_not_connect_is_named_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with ConnectProxy(refuses=503) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        said = failure(source("https://cec.example.test", retries=1), UnreachableError)
    assert "the proxy of the environment (HTTPS_PROXY or ALL_PROXY) refused or failed: 503 Service Unavailable" in said
    assert len(proxy.heads) == 2


def test_a_host_is_named_as_the_address_has_it_and_a_semicolon_stays_in_the_path() -> None:
    with tenant() as cec:
        path = "/query;v=1"
        failure(source(cec.url, path=path, token_path="/token;x/y;z"), IncompleteRead)  # a path
        assert cec.requests == [("POST", "/token;x/y;z")]
        assert cec.asked[0]["host"] == cec.url.removeprefix("http://")


def test_a_header_that_is_none_is_malformed_and_not_repeated() -> None:
    with HttpChannel(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), {}, ExchangeLimits(5, 9, "source")) as channel:
        for where, said in (("http://127.0.0.1:9", {"X-Vault-Token": f"{CANARY}\u20ac"}), ("http://[::1", {})):
            with pytest.raises(MalformedError) as caught:
                channel.exchange_once("GET", where, said)
            assert CANARY not in repr(caught.value)
            assert caught.value.__context__ is None


def test_octets_behind_an_answer_are_no_answer_to_the_next_request() -> None:
    def twice(handler: Any) -> None:
        handler.wfile.write(b"".join(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%b" % each for each in (b"a", b"b")))

    with (
        HttpServer([twice, said(200, b"c")]) as server,
        HttpChannel(tls.open_tls_context(None), {}, ExchangeLimits(5, 9, "source")) as channel,
    ):
        assert [channel.exchange_once("GET", server.url, {}).body for _ in range(2)] == [b"a", b"c"]
        assert server.connections == 2


@pytest.mark.slow
def test_a_connection_that_was_left_for_another_server_is_made_again_with_its_bound() -> None:
    """As where a token is asked for elsewhere between two requests."""

    pieces = itertools.chain([b"HTTP/1.1 200 OK\r\nX-Slow: "], itertools.repeat(b"x", 100))
    with (
        HttpServer([said(200, b"a"), lambda handler: faults.drip(handler.connection, pieces)]) as server,
        HttpServer([said(200, b"b")]) as elsewhere,
        HttpChannel(
            tls.open_tls_context(None), {}, ExchangeLimits(0.2, 9, "source", in_all=1), keeps_connections=True
        ) as channel,
    ):
        for each in (server, elsewhere):
            channel.exchange_once("GET", each.url, {})
        with pytest.raises(SourceTruncatedError):
            channel.exchange_once("GET", server.url, {})
    assert server.connections == 2
    assert next(pieces, b"") == b"x"


def test_a_bound_that_no_job_sets_names_no_setting() -> None:
    with (
        HttpServer([said(200, b"0123456789")]) as server,
        HttpChannel(tls.open_tls_context(None), {}, ExchangeLimits(5, 9, "notify", in_all=5)) as channel,
        pytest.raises(TruncatedError) as caught,
    ):
        channel.exchange_once("GET", server.url, {})
    assert caught.value.what == "the answer is longer than 9 octets"


class Talker(Listening):
    """A server of HTTPS that answers each request twice, in two records of TLS that it sends at once."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context
        self.url = f"https://{self.address}"

    def attend(self, client: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_side=True)

        def done(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    client.sendall(outgoing.read())
                    if not (octets := client.recv(1 << 16)):
                        raise ConnectionResetError from None
                    incoming.write(octets)

        with client, suppress(OSError):  # the client hangs up
            done(tls.do_handshake)
            while done(tls.read):
                for each in (b"a", b"b"):
                    tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + each)
                client.sendall(outgoing.read())


@pytest.mark.parametrize("secured", [False, True])
def test_records_behind_an_answer_are_no_answer_to_the_next_request(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, ca_file: Path, secured: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    trusted = ssl.create_default_context(cafile=ca_file)
    with (
        Talker(serving(authority, "127.0.0.1")) as server,
        ConnectProxy(serving(authority, "127.0.0.1") if secured else None) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with HttpChannel(trusted, {}, ExchangeLimits(5, 9, "source")) as channel:
            assert [channel.exchange_once("GET", server.url, {}).body for _ in range(3)] == [b"a"] * 3


@pytest.mark.parametrize("names", ["127.0.0.1", "cec.example.test, 127.0.0.1", "*"])
def test_no_proxy_names_hosts_that_are_asked_straight(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with tenant() as cec:
        monkeypatch.setenv("NO_PROXY", names)
        assert source(cec.url).read().size == 2


@pytest.mark.parametrize(
    "address",
    [
        "socks5://127.0.0.1:1080", "http://", "http://127.0.0.1:31x8", "http://127.0.0.1:99999", "http://[::1",
        f"http://{'a' * 64}.example.org",
    ],
)  # fmt: skip
def test_a_proxy_that_is_none_of_http_is_a_fault_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    assert "HTTP_PROXY" in failure(source("http://cec.example.test"), FileError)


def test_credentials_of_a_netrc_are_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login joe password {CANARY}\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with tenant() as cec:
        assert source(cec.url).read().size == 2
        assert "authorization" not in cec.asked[0]
        assert cec.asked[1]["authorization"].startswith("Bearer ")


# ---------------------------------------------------------------- secrets

ANSWERS: dict[str, Fault] = {
    "malformed": status(200, BODY[:-1] + b"nul"),
    "truncated": status(200, BODY[:150]),
    "not UTF-8": status(200, BODY + b"\xff"),
    "a list": status(200, b"[" + BODY + b"]"),
    "html": status(200, b"<html>" + BODY),
    "partial": status(200, BODY[:-1] + b',"resultCode":"8","resultMessage":"page 2"}'),
    "too long": status(200, BODY + b" " * 5000),
    "bad gzip": status(200, BODY, Content_Encoding="gzip"),
    "cut gzip": status(200, gzip.compress(BODY)[:-30], Content_Encoding="gzip"),
    "not HTTP": faults.raw(BODY),
    "bad header": faults.raw(b"HTTP/1.1 200 OK\r\n" + CANARY.encode() + b"\r\n\r\n"),
    "bad length": faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + CANARY.encode() + b"\r\n\r\n"),
    "cut": faults.cut(BODY[:150], 5000),
    "400": status(400, BODY),
    "401": status(401, BODY),
    "404": status(404, BODY),
    "429": status(429, BODY),
    "500": status(500, BODY),
    "redirect": status(302, BODY, Location=f"https://sso.example.test/{CANARY}?{CANARY}#{CANARY}"),
    "bad redirect": status(302, BODY, Location=f"https://joe:{CANARY}@sso.example.test:x/"),
    "user redirect": status(302, BODY, Location=f"https://joe:{CANARY}@sso.example.test/"),
}


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with logged() as captured:
        yield captured


@pytest.mark.parametrize("fails", ["query", "token"])
@pytest.mark.parametrize("fault", ANSWERS.values(), ids=ANSWERS)
def test_no_fault_shows_a_password_a_secret_or_a_token(
    fault: Fault, fails: str, logs: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with tenant(**{fails: for_ever(fault)}) as cec:
        said = failure_of_any_kind(source(cec.url, max_bytes=2000))
        tokens = [asked["authorization"].split()[1] for asked in cec.asked if "authorization" in asked]
    shown = said + repr(logs) + "".join(capfd.readouterr())
    for secret in (CANARY, SECRET, KEY, *tokens):
        assert secret not in shown


def failure_of_any_kind(of: CecSource) -> str:
    with pytest.raises(IncompleteRead) as caught:
        of.read()
    link: BaseException | None = caught.value
    said = ""
    while link is not None:
        said += repr(link) + str(link) + repr(vars(link))
        link = link.__cause__ or link.__context__
    return said


WRONG_TOKEN_CALLS = {
    "content type": ({"Content-Type": "text/plain"}, {}, 400),
    "no life": ({"X-Token-Expire": ""}, {}, 400),
    "too long a life": ({"X-Token-Expire": "3601"}, {}, 400),
    "another key": ({}, {"app_key": "other"}, 401),
    "another secret": ({}, {"app_secret": "other"}, 401),
}


@pytest.mark.parametrize(("headers", "credentials", "code"), WRONG_TOKEN_CALLS.values(), ids=WRONG_TOKEN_CALLS)
def test_the_simulator_refuses_a_wrong_token_call(
    headers: dict[str, str], credentials: dict[str, str], code: int
) -> None:
    with Simulator(TENANT) as cec:
        answer = httpx.post(
            cec.url + TOKEN_PATH,
            headers={"Content-Type": "application/json", "X-Token-Expire": "600"} | headers,
            content=json.dumps({"app_key": "demo-key", "app_secret": "demo-secret"} | credentials),
        )
    assert answer.status_code == code
    assert "AccessToken" not in answer.text


@pytest.mark.parametrize("headers", [{}, {"x-app-key": "other"}, {"Authorization": "Bearer other"}])
def test_the_simulator_refuses_a_query_without_its_key_and_token(headers: dict[str, str]) -> None:
    with Simulator(TENANT) as cec:
        call = {"Content-Type": "application/json", "X-Token-Expire": "600"}
        credentials = json.dumps({"app_key": "demo-key", "app_secret": "demo-secret"})
        token = httpx.post(cec.url + TOKEN_PATH, headers=call, content=credentials).json()["AccessToken"]
        right = {"x-app-key": "demo-key", "Authorization": f"Bearer {token}"}
        assert httpx.get(cec.url + QUERY, headers=right).json() == TENANT
        wrong = right | headers if headers else {}
        assert httpx.get(cec.url + QUERY, headers=wrong).status_code == 403


def test_the_simulator_runs_from_the_command_line_until_it_is_told_to_end(tmp_path: Path) -> None:
    path = tmp_path / "agents.json"
    path.write_bytes(BODY)
    command = [sys.executable, "-W", "error", "-m", "connector.demo.simulator", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[0]
        assert CecSource(job_source(url), Secret("demo-key"), Secret("demo-secret")).read().size == 2
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (0, "", "")
