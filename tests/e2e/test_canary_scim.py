"""Law 6 on SCIM: a server that shows secrets, and one that repeats them in every answer, make none of them public."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connector.cli.main import COMMANDS
from tests.support.canary import HEADER, Canaries, ProcessList, canary, everything
from tests.support.http_proxy import Asked, HttpProxy, Meddler, at, pass_on
from tests.support.http_server import Act, HttpServer, said
from tests.support.jobs import configure, file, job_file, scim_directory
from tests.support.ldap_server import authority
from tests.support.program import WARNINGS, environment
from tests.support.scim_job import agent
from tests.support.scim_servers import CEC, TOKEN, ScimServer, people
from tests.support.serving import serving
from tests.support.slapd import server_context

pytestmark = pytest.mark.slow

AGENTS = 4
OLD = [canary(f"old{number}") for number in range(AGENTS)]
NEW = [canary(f"new{number}") for number in range(AGENTS)]
CLIENT, ACCESS, KEY = canary("client"), canary("access", HEADER), canary("key")
ALL = Canaries([*OLD, *NEW, CLIENT, ACCESS, KEY])
INPUTS = ("agents.json", "client", "key", "token")
REPORTS = [f"--report=report{suffix}" for suffix in (".json", ".csv", ".md", ".html", ".ldif")]


class Fixture:
    """A job whose every secret is a canary, and a proxy that takes the access token for the server's own."""

    def __init__(self, folder: Path, server: ScimServer, meddler: Meddler, token: Act | None = None) -> None:
        server.restore([])
        server.put(people(AGENTS, **{CEC: {"sipPassword": OLD[0]}}))
        self.folder, self.server = folder / "job", server
        self.login = HttpServer(otherwise=token or said(200, {"access_token": ACCESS, "token_type": "Bearer"}))

        def let_in(asked: Asked) -> Act:
            known = asked.headers.get("authorization") == f"Bearer {ACCESS}"
            return meddler(asked.with_header("authorization", f"Bearer {TOKEN}") if known else asked)

        self.proxy = HttpProxy(server.root, let_in)
        self._let_in = let_in
        self.ran: set[str] = set()
        self.folder.mkdir()
        (self.folder / "client").write_text(CLIENT)
        (self.folder / "key").write_text(KEY)
        oauth = {"token_url": f"{self.login.url}/t", "client_id": "c", "client_secret": file("client")}
        url = self.proxy.url + server.url.removeprefix(server.root)
        directory = scim_directory(url, budget=1, token=None, oauth=oauth)
        more = {"key": file("key"), "audit": {"file": "audit.jsonl"}}
        (self.folder / "job.yaml").write_text(job_file(directory, mapping="scim-extension", **more))
        self.passwords(OLD)

    def passwords(self, passwords: list[str]) -> None:
        agents = [agent(number, sipPwd=password) for number, password in enumerate(passwords, 1)]
        document = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}
        (self.folder / "agents.json").write_text(json.dumps(document))

    def run(self, command: str, *arguments: str, code: int | None = 0, job: str = "job.yaml") -> str:
        """Run it with everything logged, and look for the secrets in all that it shows and leaves."""
        self.ran.add(command)
        env = environment({"HOME": str(self.folder), "TMPDIR": str(self.folder), "COLUMNS": "500"})
        named = [job] if job else []
        line = [sys.executable, *WARNINGS, "-m", "connector", "--log-level", "debug", command, *named, *arguments]
        with ProcessList() as processes:
            done = subprocess.run(line, cwd=self.folder, env=env, capture_output=True, check=False)
        shown = done.stdout + done.stderr
        assert code is None or done.returncode == code, shown
        assert b"unexpected" not in shown
        ALL.hold({"its output": shown, "the process list": b"\n".join(processes.seen)})
        ALL.hold(everything(self.folder, INPUTS))
        return done.stdout.decode()

    def init(self) -> None:
        """The same for `init`, which writes a job beside this one, and wants TLS and a token that is kept somewhere."""
        authority()[0].cert_pem.write_to_path(str(self.folder / "ca.pem"))
        (self.folder / "token").write_text(ACCESS)
        tenant = ["--source", "agents.json", "--token", "file:token", "--ca-file", "ca.pem", "--job", "fitted.yaml"]
        with HttpProxy(self.server.root, self._let_in, context=server_context()) as proxy:
            address = proxy.url + self.server.url.removeprefix(self.server.root)
            self.run("init", "--directory", address, *tenant, job="")
        assert "file: token" in (self.folder / "fitted.yaml").read_text()

    def serve(self) -> None:
        """The same for `serve`, from its first run to its end."""
        self.ran.add("serve")
        configure(self.folder / "job.yaml", serve={"every": "1s", "mode": "apply"})
        with ProcessList() as processes, serving(self.folder, "job.yaml", level="debug") as served:
            served.next("run ended", ending="done")
            answers = "".join(served.get(path)[1] for path in ("/", "/metrics", "/readyz", "/healthz", "/else"))
            assert served.stop() == 0
        ALL.hold({"its log": served.text.encode(), "its answers": answers.encode()})
        ALL.hold({"the process list": b"\n".join(processes.seen)})
        ALL.hold(everything(self.folder, INPUTS))

    def stored(self) -> list[str]:
        return [user[CEC]["sipPassword"] for user in self.server.all()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim")) as started:
        yield started


def showing(asked: Asked) -> Act:
    """The server shows a password with every user, which the schema says that it never does."""
    reply = asked.forward()
    document = json.loads(reply.body or b"null")
    if not isinstance(document, dict) or reply.status >= 300:
        return reply
    for user in [document, *document.get("Resources", [])]:
        if "userName" in user:
            user[CEC] = {**user.get(CEC, {}), "sipPassword": OLD[1]}
    return reply.saying(document)


def test_no_command_shows_or_leaves_what_a_server_shows_that_it_should_not(tmp_path: Path, server: ScimServer) -> None:
    fixture = Fixture(tmp_path, server, showing)
    with fixture.login, fixture.proxy:
        fixture.run("check")
        fixture.run("plan", *REPORTS)
        fixture.run("plan", "--save", "plan.json")
        fixture.run("plan", "--mapping", "scim-extension")
        fixture.run("show", "plan.json", job="")
        fixture.run("diff", "plan.json", "plan.json", job="")
        fixture.run("apply", "--plan", "plan.json", *REPORTS)
        assert fixture.stored() == OLD, "what is looked for was never there"
        fixture.passwords(NEW)
        fixture.run("explain", "agent001")
        fixture.run("coverage", "job.yaml", "--all", job="")
        fixture.run("apply", *REPORTS)
        assert fixture.stored() == NEW
        newest = json.loads(fixture.run("runs", "--json"))[0]["id"]
        fixture.run("undo", newest, *REPORTS)
        fixture.run("undo", newest, "--apply", *REPORTS, code=None)
        fixture.run("release")
        fixture.init()
        fixture.run("audit", "catch-up", "job.yaml", job="")
        fixture.run("schema", "mapping", job="")
        fixture.serve()
        assert fixture.stored() == NEW
    assert fixture.ran == COMMANDS.keys() - {
        "demo",
        "fleet",
        "state",
    }  # which has a directory of its own, and those that are looked through with LDAP


def repeating(asked: Asked) -> str:
    return f"{asked.body.decode()} {asked.headers} Bearer {ACCESS} {CLIENT} {json.dumps(OLD)} {OLD[0]}"


def echo(status: int) -> Meddler:
    """An error in SCIM's form that repeats all that was asked, and more."""
    return lambda asked: said(status, {"status": str(status), "scimType": OLD[0], "detail": repeating(asked)})


def in_part(asked: Asked) -> Act:
    """An error that repeats parts of the password that was sent, in ways of several kinds, with words around them."""
    sent = [each["value"] for each in asked.document["Operations"] if each["path"].endswith(":sipPassword")]
    secret = sent[0] if sent else ""
    half, coded = secret[: len(secret) // 2], base64.b64encode(secret.encode()).decode()
    words = f"the value {half} (sent as {coded}, or as {quote(secret)} or {json.dumps(secret)}) is too long"
    return said(400, {"scimType": "invalidValue", "detail": f"Attribute sipPassword is too long: {words}"})


def page(status: int) -> Meddler:
    """The same as a page of HTML."""
    return lambda asked: said(status, f"<html>{repeating(asked)}</html>".encode(), Content_Type="text/html")


def elsewhere(asked: Asked) -> Act:
    return said(302, None, Location=f"https://x:{CLIENT.encode().hex()}@sso.example.org/{OLD[0].encode().hex()}")


def another(asked: Asked) -> Act:
    """A user of another kind, with passwords for names and values."""
    return said(200, {"id": OLD[0], "userName": OLD[1], OLD[2].encode().hex(): OLD[3], "meta": {"version": OLD[0]}})


FAULTS: dict[str, Meddler] = {
    **{f"{method} {status}": at(method, echo(status), path="") for method, status in [
        ("PATCH", 400), ("PATCH", 401), ("PATCH", 403), ("PATCH", 409), ("PATCH", 412), ("PATCH", 429), ("PATCH", 500),
        ("GET", 401), ("GET", 500),
    ]},
    **{f"{method} page {status}": at(method, page(status), path="") for method, status in [
        ("PATCH", 200), ("PATCH", 502), ("GET", 200), ("GET", 404),
    ]},
    "PATCH in part": at("PATCH", in_part),
    "PATCH elsewhere": at("PATCH", elsewhere),
    "GET elsewhere": at("GET", elsewhere),
    "PATCH another": at("PATCH", another),
    "GET another": at("GET", another, path="/Users/"),
}  # fmt: skip


@pytest.mark.parametrize("meddler", FAULTS.values(), ids=FAULTS)
def test_no_fault_of_a_server_shows_a_secret(tmp_path: Path, server: ScimServer, meddler: Meddler) -> None:
    fixture = Fixture(tmp_path, server, meddler)
    with fixture.login, fixture.proxy:
        shown = fixture.run("apply", *REPORTS, code=None)
        if meddler is FAULTS["PATCH in part"]:
            assert "invalidValue: Attribute sipPassword is too long: the value … " in shown
        assert any("/Users" in seen.path for seen in fixture.proxy.seen) or "GET" in str(fixture.proxy.seen[0].method)


def token_answers() -> dict[str, Act]:
    told: dict[str, Any] = {"error": CLIENT, "error_description": CLIENT, "access_token": ACCESS}
    return {
        "401": said(401, told), "400": said(400, told | {"error": "invalid_grant"}), "500": said(500, told),
        "another kind": said(200, told | {"token_type": CLIENT}),
        "two lines": said(200, told | {"access_token": f"{ACCESS}\n{CLIENT}"}),
        "a page": said(200, f"<html>{CLIENT} {ACCESS}</html>".encode()),
    }  # fmt: skip


@pytest.mark.parametrize("answer", token_answers().values(), ids=token_answers())
def test_no_fault_of_a_token_endpoint_shows_a_secret(tmp_path: Path, server: ScimServer, answer: Act) -> None:
    fixture = Fixture(tmp_path, server, pass_on, answer)
    with fixture.login, fixture.proxy:
        fixture.run("plan", code=1)
        assert len(fixture.login.seen) >= 1
        assert fixture.proxy.seen == []
