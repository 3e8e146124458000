"""Law 6, silence: passwords and secrets are in the directory, and in nothing else that any command leaves or shows."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connector.demo import sample
from connector.demo.simulator import Request, Simulator
from tests.support.canary import everything, forms
from tests.support.canary_fixture import (
    ALL,
    APP_KEY,
    APP_SECRET,
    BIND,
    INPUTS,
    NEW,
    OLD,
    PEOPLE_OF,
    REPORTS,
    Fixture,
    every_command,
    piped,
    tenant,
)
from tests.support.faulty_cec import Fault, FaultyCec, cut, for_ever, status, trickle_head
from tests.support.jobs import configure
from tests.support.program import WARNINGS
from tests.support.slapd import SYNC, Slapd, person, server_context

pytestmark = [pytest.mark.slapd, pytest.mark.slow]


def bind_with(server: Slapd, password: str) -> None:
    coded = b64encode(password.encode()).decode()
    server.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: userPassword\nuserPassword:: {coded}\n")


@pytest.fixture(params=["piped", "at a terminal"])
def fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fixture]:
    people = [person(f"user{number}") for number in range(PEOPLE_OF)]
    with (
        Slapd.start(tmp_path / "s", people) as server,
        Simulator(tenant(OLD), APP_KEY, APP_SECRET, ssl_context=server_context()) as cec,
    ):
        bind_with(server, BIND)
        yield Fixture(tmp_path, server, cec, terminal=request.param == "at a terminal")


def test_no_command_shows_or_leaves_a_secret(fixture: Fixture) -> None:
    every_command(fixture)


def test_the_demo_shows_none_of_its_own_passwords(tmp_path: Path) -> None:
    passwords = {
        agent["sipPwd"]
        for document in (sample.last_month(), sample.today())
        for agent in document["agents"]
        if isinstance(agent, dict) and isinstance(agent.get("sipPwd"), str) and len(agent["sipPwd"]) > 5
    }
    assert len(passwords) > 50
    line = [sys.executable, *WARNINGS, "-m", "connector", "--log-level", "debug", "demo", "--folder", "demo"]
    code, shown = piped(line, tmp_path, dict(os.environ))
    assert code == 0
    left = everything(tmp_path, ["demo/people.ldif", "demo/agents.json"])
    for place, octets in {**left, "its output": shown}.items():
        assert not [each for each in passwords if each.encode() in octets], place


@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_whatever_way_a_secret_is_written_it_is_found(before: str) -> None:
    for form, octets in forms(BIND):
        with pytest.raises(AssertionError, match=r"a secret is in here"):
            ALL.hold({"here": f"{before}{form} ".encode() + octets + b" and more"})
    for whole in (before + BIND + " and more", f"{before}cn=x:{BIND}"):
        with pytest.raises(AssertionError):
            ALL.hold({"here": b"Basic " + b64encode(whole.encode())})
    ALL.hold({"here": b"nothing"})


# ---------------------------------------------------------------- runs that fail


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server that takes no password for a telephone."""
    constraint = 'overlay constraint\nconstraint_attribute SIPIdentityPassword regex "^[0-9]*$"\n'
    people = [person(f"user{number}") for number in range(PEOPLE_OF)]
    with Slapd.start(tmp_path_factory.mktemp("canary") / "s", people, overlays=constraint) as started:
        bind_with(started, BIND)
        yield started


def failing(tmp_path: Path, server: Slapd, **faults: Any) -> Fixture:
    """A fixture on a tenant that is well, or whose query or token call is not."""
    cec = FaultyCec(tenant(OLD), app_key=APP_KEY, app_secret=APP_SECRET, ssl_context=server_context(), **faults)
    return Fixture(tmp_path, server, cec)


def echo(code: int) -> Fault:
    """An error that repeats all that it was asked with, and a password."""

    def fault(request: Request) -> None:
        said = f'{request.body.decode()} {request.headers} "sipPwd":{json.dumps(OLD[0])}, sipPwd={quote(OLD[1])}'
        status(code, json.dumps({"resultCode": "1", "resultMessage": said, "exceptionInfo": said}).encode())(request)

    return fault


BODY = json.dumps(tenant(OLD)).encode()
FAULTS: dict[str, dict[str, Fault]] = {
    "cut": {"query": cut(BODY, len(BODY) + 10)},
    "half": {"query": status(200, BODY[: len(BODY) // 2])},
    "an echo of the query": {"query": echo(500)},
    "an echo of the query, denied": {"query": echo(403)},
    "an echo of the token call": {"token": echo(401)},
    "agents twice": {"query": status(200, BODY[:-1] + b', "agents": []}')},
    "agents twice, escaped": {"query": status(200, BODY[:-1] + rb', "\u0061gents": []}')},
    "nested without end": {"query": status(200, BODY[:-1] + b', "x": ' + b"[" * 100_000)},
    "an order to the terminal": {"query": status(403, json.dumps({"resultCode": f"\x1b]0;sipPwd={OLD[0]}"}).encode())},
    "no list": {"query": status(200, json.dumps({"agents": OLD[0]}).encode())},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_fault_of_the_source_shows_a_secret(tmp_path: Path, server: Slapd, fault: dict[str, Fault]) -> None:
    fixture = failing(tmp_path, server, **{call: for_ever(each) for call, each in fault.items()})
    with fixture.cec:
        for command in ("check", "plan", "apply"):
            fixture.run(command, "job.yaml", code=1)


@pytest.mark.parametrize("call", ["query", "token"])
def test_headers_that_never_end_show_no_secret(tmp_path: Path, server: Slapd, call: str) -> None:
    fixture = failing(tmp_path, server, **{call: for_ever(trickle_head)})
    configure(fixture.folder / "job.yaml", source={"timeout": 0.2})
    with fixture.cec:
        assert "10 times source.timeout" in fixture.run("apply", "job.yaml", *REPORTS, code=1)


def test_a_record_with_two_passwords_is_named_without_them(tmp_path: Path, server: Slapd) -> None:
    fixture = failing(tmp_path, server)
    fixture.cec.document = BODY.replace(b'"sipPwd": ', b'"sipPwd": %s, "sipPwd": ' % json.dumps(NEW[0]).encode(), 1)
    with fixture.cec:
        assert "sipPwd occurs twice" in fixture.run("plan", "job.yaml", *REPORTS)


@pytest.mark.parametrize("wrong", [[OLD[0]], {"is": OLD[0]}, OLD[0] * 5000, f"{OLD[0]}\0", ""])
def test_a_record_whose_password_is_none_is_named_without_it(tmp_path: Path, server: Slapd, wrong: object) -> None:
    fixture = failing(tmp_path, server)
    document = tenant(OLD)
    document["agents"][0]["sipPwd"] = wrong
    document["agents"].append({OLD[1]: OLD[2], "workNo": OLD[3]})
    fixture.cec.document = document
    with fixture.cec:
        fixture.run("plan", "job.yaml", *REPORTS)


def test_a_bind_that_fails_shows_no_password(tmp_path: Path, server: Slapd) -> None:
    fixture = failing(tmp_path, server)
    with fixture.cec:
        said = fixture.run("plan", "job.yaml", code=1, password=NEW[0])
    assert "invalidCredentials" in said


def test_passwords_that_the_server_refuses_are_not_shown(tmp_path: Path, server: Slapd) -> None:
    fixture = failing(tmp_path, server)
    with fixture.cec:
        assert "constraintViolation" in fixture.run("apply", "job.yaml", *REPORTS, code=4)


def test_passwords_that_no_schema_would_take_are_not_shown(tmp_path: Path, server: Slapd) -> None:
    fixture = failing(tmp_path, server)
    (fixture.folder / "mapping.yaml").write_text(
        'match: [{agent: "{accountCode}", directory: uid}]\n'
        "attributes:\n"
        '  mail: {value: "{sipPwd}", owns: "*", secret: true}\n'
        '  preferredLanguage: {value: "{sipPwd}", secret: true}\n'
        '  telephoneNumber: {value: "{sipPwd}", owns: "*", secret: true}\n'
        '  manager: {value: "uid={sipPwd}", owns: "*", secret: true}\n'
    )
    configure(fixture.folder / "job.yaml", mapping="mapping.yaml")
    with fixture.cec:
        fixture.run("plan", "job.yaml", *REPORTS)
        fixture.run("apply", "job.yaml", *REPORTS, code=None)


TRIGGER = "create trigger fail before {} on {} begin select raise(abort, 'no more'); end"


@pytest.mark.parametrize(("event", "table"), [("insert", "runs"), ("insert", "journal"), ("update", "journal")])
def test_a_state_that_fails_shows_no_secret(tmp_path: Path, server: Slapd, event: str, table: str) -> None:
    fixture = failing(tmp_path, server)
    with fixture.cec:
        fixture.run("plan", "job.yaml")
        with closing(sqlite3.connect(fixture.folder / "state.db", isolation_level=None)) as db:
            db.execute(TRIGGER.format(event, table))
        fixture.run("apply", "job.yaml", *REPORTS, code=None)


def test_a_report_that_cannot_be_written_shows_no_secret(tmp_path: Path, server: Slapd) -> None:
    fixture = failing(tmp_path, server)
    with fixture.cec:
        fixture.run("plan", "job.yaml", "--report", "nowhere/report.json", code=1)
        fixture.run("apply", "job.yaml", "--report", "nowhere/report.html", code=1)


TRACED = """\
import json, os, sys
from collections import Counter
from functools import cache
from pathlib import Path
import connector
root = Path(connector.__file__).parent
layer, number = sys.argv.pop(1), int(sys.argv.pop(1))
calls = Counter()

@cache
def layer_of(file):
    path = Path(file)
    return path.relative_to(root).parts[0].removesuffix(".py") if path.is_relative_to(root) else ""

def trace(frame, event, argument):
    entered = layer_of(frame.f_code.co_filename)
    if not entered or frame.f_code.co_qualname == "<module>":
        return
    if not frame.f_back or layer_of(frame.f_back.f_code.co_filename) != entered:
        calls[entered] += 1
        if (entered, calls[entered]) == (layer, number):
            sys.settrace(None)
            secrets = Path("app-secret").read_text(), os.environ["LDAP_PASSWORD"]
            raise RuntimeError(secrets, dict(frame.f_locals))

from connector.cli.main import main
sys.settrace(trace)
try:
    main()
finally:
    sys.settrace(None)
    if not number:
        Path("calls.json").write_text(json.dumps(calls))
"""


def test_a_fault_of_our_own_in_any_layer_shows_no_secret(tmp_path: Path, server: Slapd) -> None:
    """In the midst of all calls that enter it. The fault's very message holds secrets, as that of a library's may."""

    def apply(name: str, layer: str, number: int) -> tuple[int, Path, bytes]:
        folder = tmp_path / name
        folder.mkdir()
        fixture = failing(folder, server)
        (fixture.folder / "traced.py").write_text(TRACED)
        environment = {**os.environ, "LDAP_PASSWORD": BIND, "TMPDIR": str(fixture.folder)}
        arguments = ["traced.py", layer, str(number), "--log-level", "debug", "apply", "job.yaml", *REPORTS]
        with fixture.cec:
            code, shown = piped([sys.executable, *WARNINGS, *arguments], fixture.folder, environment)
        return code, fixture.folder, shown

    _, folder, _ = apply("whole", "", 0)
    calls: dict[str, int] = json.loads((folder / "calls.json").read_text())
    assert len(calls) > 12
    for layer, number in calls.items():
        code, folder, shown = apply(layer, layer, number // 2 + 1)
        assert code in (1, 4), (layer, shown)
        ALL.hold({"its output": shown})
        ALL.hold(everything(folder, INPUTS))
