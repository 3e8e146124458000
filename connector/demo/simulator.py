"""A CEC tenant that speaks real HTTP on loopback: the token call and the agent query, as the vendor's pages say them.

    python -m connector.demo.simulator agents.json --port 8080      # without a file: the demo's agents

It is for the demo, for trying a job, and for tests; it knows one application and keeps
everything in memory.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from connector.demo import sample

ACCOUNTS_PATH: Final = "/apiaccess/rest/cc-management/v1/agentAccount/query"
TOKEN_PATH: Final = "/apigovernance/api/oauth/tokenByAkSk"  # noqa: S105  # a path, not a token
LONGEST_TOKEN: Final = 3600
LARGEST_REQUEST: Final = 1 << 16

Reply = tuple[int, dict[str, Any] | bytes]
Fault = Literal["", "short total", "repeated page", "account twice", "cut"]


class AccountListing(NamedTuple):
    """The tenant's account list, and how it is shown."""

    records: list[dict[str, Any]]
    """As the vendor's page has them; masked texts are masked here."""
    wrapped: bool = False
    """Parameters and list stand in a wrapper; the other form is refused."""
    largest_page: int = 50
    """The most records of a page, whatever is asked for."""
    has_total: bool = True
    fault: Fault = ""
    """What is wrong from the second page on, or with the total."""

    def show_page(self, parameters: dict[str, Any]) -> Reply:
        """Answer a request."""
        if ("requestParams" in parameters) is not self.wrapped:
            return 200, {"resultCode": "1", "resultMessage": "wrong parameters"}
        asked = parameters.get("requestParams", parameters)
        number = asked["pageNum"]
        size = min(asked["pageSize"], self.largest_page)
        shown = 0 if self.fault == "repeated page" else number
        page = self.records[shown * size : (shown + 1) * size]
        if self.fault == "account twice" and number == 1:
            page = [*page, self.records[0]]
        answer: dict[str, Any] = {"data": page}
        if self.has_total:
            total = len(self.records)
            answer["total"] = total - 1 if self.fault == "short total" else total
        whole = {"resultCode": "0", **({"result": answer} if self.wrapped else answer)}
        body = json.dumps(whole, ensure_ascii=False).encode()
        return 200, body[: len(body) // 2] if self.fault == "cut" and number else body


class Simulator:
    """A context manager; while it is open it answers at `url`.

    `document` (the body, or what becomes it as JSON), `accounts` (None: a 404) and `credentials` may be replaced at
    any time. `requests` lists method and path of every request so far. `spelling`: how the query's path is spelt; the
    other one is a 404. Tokens live as long as is asked for, but at most `token_seconds`, by
    `clock`.
    """

    def __init__(
        self,
        document: dict[str, Any] | bytes,
        app_key: str = "demo-key",
        app_secret: str = "demo-secret",  # noqa: S107  # the demo's, which protects nothing
        *,
        ssl_context: ssl.SSLContext | None = None,
        spelling: Literal["Mangemant", "Management"] = "Mangemant",
        token_seconds: int = 600,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.document = document
        self.accounts: AccountListing | None = None
        self.requests: list[tuple[str, str]] = []
        self.credentials = {"app_key": app_key, "app_secret": app_secret}
        self._query_path = f"/apiaccess/CC-{spelling}/v1/queryAgentInfo"
        self._token_seconds = token_seconds
        self._clock = clock
        self._good_until: dict[str, float] = {}
        self._server = _Server(("127.0.0.1", port), self, ssl_context)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        scheme = "https" if ssl_context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def revoke(self) -> None:
        """Let no token that was issued so far be good any longer."""
        self._good_until.clear()

    def answer(self, request: Request) -> None:
        """Answer one request; tests of faults replace this."""
        asked = (request.command, request.path)
        if asked == ("POST", TOKEN_PATH):
            request.reply(*self._issue(request))
        elif asked == ("GET", self._query_path):
            request.reply(*self._query(request))
        elif asked == ("POST", ACCOUNTS_PATH) and self.accounts is not None:
            request.reply(*self._list_accounts(request, self.accounts))
        else:
            request.reply(
                404, {"resultCode": "404", "resultMessage": "no such resource"}
            )

    def _issue(self, request: Request) -> Reply:
        asked = request.headers.get("X-Token-Expire", "")
        if request.headers.get_content_type() != "application/json":
            return 400, {
                "resultCode": "400",
                "resultMessage": "Content-Type is not application/json",
            }
        if (
            not asked.isascii()
            or not asked.isdigit()
            or not 1 <= int(asked) <= LONGEST_TOKEN
        ):
            return 400, {
                "resultCode": "400",
                "resultMessage": "X-Token-Expire is not from 1 to 3600",
            }
        try:
            credentials = json.loads(request.body)
        except ValueError:
            return 400, {"resultCode": "400", "resultMessage": "the body is not JSON"}
        if credentials != self.credentials:
            return 401, {
                "resultCode": "401",
                "resultMessage": "wrong app_key or app_secret",
            }
        seconds = min(int(asked), self._token_seconds)
        token = secrets.token_urlsafe(32)
        self._good_until[token] = self._clock() + seconds
        return 200, {
            "AccessToken": token,
            "ApplyType": "Bearer",
            "CreateTime": str(int(time.time())),
            "Expires": str(seconds),
            "Scope": "simulated",
            "AppKey": self.credentials["app_key"],
            "UserID": "Anonymous",
        }

    def _query(self, request: Request) -> Reply:
        return self._refuse_stranger(request) or (200, self.document)

    def _list_accounts(self, request: Request, accounts: AccountListing) -> Reply:
        refusal = self._refuse_stranger(request)
        return refusal or accounts.show_page(json.loads(request.body))

    def _refuse_stranger(self, request: Request) -> Reply | None:
        """The answer to a request without a good token and key; None for one that has both."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        good = kind == "Bearer" and self._clock() < self._good_until.get(
            token, float("-inf")
        )
        if not good or request.headers.get("x-app-key") != self.credentials["app_key"]:
            return 403, {
                "errorCode": "0",
                "exceptionInfo": "auth fail! illegal or expired token info",
            }
        return None


class Request(BaseHTTPRequestHandler):
    """One connection's requests; `body` is that of the present one."""

    protocol_version = "HTTP/1.1"
    timeout = 5  # seconds that an idle connection is kept
    disable_nagle_algorithm = True
    server: _Server
    body: bytes

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(self.timeout)
            self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:  # the library's name
        self._handle()

    def do_POST(self) -> None:  # the library's name
        self._handle()

    def reply(self, status: int, document: dict[str, Any] | bytes) -> None:
        body = (
            document
            if isinstance(document, bytes)
            else json.dumps(document, ensure_ascii=False).encode()
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
        """Say nothing: headers and addresses of a request are nobody's business on standard error."""

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if (
            not length.isascii()
            or not length.isdigit()
            or int(length) > LARGEST_REQUEST
        ):
            self.close_connection = True
            self.reply(
                413, {"resultCode": "413", "resultMessage": "the request is too large"}
            )
            return
        self.body = self.rfile.read(int(length))
        self.server.simulator.requests.append((self.command, self.path))
        self.server.simulator.answer(self)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing the server waits for the last answer

    def __init__(
        self,
        address: tuple[str, int],
        simulator: Simulator,
        context: ssl.SSLContext | None,
    ) -> None:
        super().__init__(address, Request)
        self.simulator = simulator
        if context is not None:
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about a client that hangs up; let every other fault be seen."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve the tenant in a file until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m connector.demo.simulator",
        description="Simulate a CEC tenant on loopback.",
    )
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE.json",
        help="what the agent query answers; default: the agents of the demo",
    )
    parser.add_argument(
        "--accounts",
        action="store_true",
        help="also answer the account list, with the records under `accounts` in FILE",
    )
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    options = parser.parse_args()
    document = json.dumps(sample.today()).encode()
    try:
        if options.file:
            document = options.file.read_bytes()
    except OSError as error:
        parser.error(f"{options.file}: {error.strerror}")
    listing = None
    if options.accounts:
        whole = json.loads(document)
        listing = AccountListing(whole.pop("accounts", []))
        document = json.dumps(whole, ensure_ascii=False).encode()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Simulator(document, port=options.port) as simulator:
        simulator.accounts = listing
        print(  # noqa: T201  # its result
            f"{simulator.url}  (app key: demo-key, app secret: demo-secret)", flush=True
        )
        ended.wait()


if __name__ == "__main__":
    main()
