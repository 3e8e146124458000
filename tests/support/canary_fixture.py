"""A tenant, a server and a job in which every secret is a canary, and every command at work on them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

from connector.cli.main import COMMANDS
from connector.demo.simulator import Simulator
from tests.support.audit_lines import keep_again
from tests.support.canary import HEADER, Canaries, ProcessList, canary, everything
from tests.support.jobs import cec_source, configure, file, job_file, ldap_directory
from tests.support.ldap_server import PEOPLE, SYNC, LdapServer
from tests.support.program import WARNINGS, environment, to_its_end
from tests.support.serving import serving

PEOPLE_OF = 4
OLD = [canary(f"old{number}") for number in range(PEOPLE_OF)]
NEW = [canary(f"new{number}") for number in range(PEOPLE_OF)]
BIND, APP_KEY, APP_SECRET, KEY = canary("bind"), canary("appkey", HEADER), canary("appsecret"), canary("key")
SERVED = canary("served")
ALL = Canaries([*OLD, *NEW, SERVED, BIND, APP_KEY, APP_SECRET, KEY])
INPUTS = ("app-key", "app-secret", "key")
REPORTS = [f"--report=report{suffix}" for suffix in (".json", ".csv", ".md", ".html", ".ldif")]


def tenant(passwords: list[str]) -> dict[str, Any]:
    agents = [
        {"workNo": 1000 + number, "accountCode": f"user{number}", "sipAccount": str(7000 + number), "sipPwd": password}
        for number, password in enumerate(passwords)
    ]
    return {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}


class Fixture:
    """A tenant, a server and a job, in which every secret is a canary."""

    sync, people, filter, mapping = SYNC, PEOPLE, "(objectClass=inetOrgPerson)", "openldap-h350"

    def __init__(self, folder: Path, server: LdapServer, cec: Simulator, *, terminal: bool = False) -> None:
        self.folder, self.server, self.cec, self.terminal = folder / "job", server, cec, terminal
        self.ran: set[str] = set()
        self.folder.mkdir()
        secrets = {"app-key": APP_KEY, "app-secret": APP_SECRET, "key": KEY}
        ca = server.ca
        source = cec_source(cec.url, ca=ca, app_key=file("app-key"), app_secret=file("app-secret"))
        directory = ldap_directory(server.ldaps_url, ca=ca, bind_dn=self.sync, base=self.people, filter=self.filter)
        more = {"key": file("key"), "audit": {"file": "audit.jsonl"}}
        job = job_file(directory, source=source, mapping=self.mapping, **more)
        for name, text in (secrets | {"job.yaml": job}).items():
            (self.folder / name).write_text(text)

    def stored(self, name: str, password: str) -> bool:
        """Whether this user has this password."""
        return b64encode(password.encode()) in self.server.search(f"(|(uid={name})(cn={name}))")

    def run(self, command: str, *arguments: str, code: int | None = 0, password: str = BIND) -> str:
        """Run it with everything logged, and look for the secrets in all that it shows and leaves."""
        self.ran.add(command)
        home = {"HOME": str(self.folder), "TMPDIR": str(self.folder), "TERM": "xterm", "COLUMNS": "500"}
        env = environment(home | {"LDAP_PASSWORD": password})
        line = [sys.executable, *WARNINGS, "-m", "connector", "--log-level", "debug", command, *arguments]
        line += ["--yes"] if self.terminal and (command == "apply" or "--apply" in arguments) else []
        with ProcessList() as processes:
            run = at_a_terminal if self.terminal else piped
            ended, shown = run(line, self.folder, env)
        assert code is None or ended == code, shown
        ALL.hold({"its output": shown, "the process list": b"\n".join(processes.seen)})
        ALL.hold(everything(self.folder, INPUTS))
        assert any(command.encode() in seen for seen in processes.seen) or processes.looks < 5
        return shown.decode()

    def init(self) -> None:
        """The same for `init`, which writes a job beside this fixture's."""
        tenant = ["--source", self.cec.url, "--app-key", "file:app-key", "--app-secret", "file:app-secret"]
        login = ["--directory", self.server.ldaps_url, "--bind-dn", self.sync, "--password", "env:LDAP_PASSWORD"]
        trusted = ["--source-ca-file", str(self.server.ca), "--ca-file", str(self.server.ca)]
        self.run("init", *tenant, *login, *trusted, "--base", self.people, "--job", "fitted.yaml")

    def serve(self) -> None:
        """The same for `serve`, from its first run to its end."""
        self.ran.add("serve")
        schedule = {"every": "1s", "mode": "apply", "reports": {"folder": "reports"}}
        configure(self.folder / "job.yaml", serve=schedule)
        with (
            ProcessList() as processes,
            serving(self.folder, "job.yaml", env={"LDAP_PASSWORD": BIND}, level="debug") as served,
        ):
            served.next("run ended")
            answers = "".join(served.get(path)[1] for path in ("/", "/metrics", "/readyz", "/healthz", "/else"))
            served.next("run ended")
            assert served.stop() == 0
        assert len(list(self.folder.glob("reports/job/*.html"))) > 1
        ALL.hold({"its log": served.text.encode(), "its answers": answers.encode()})
        ALL.hold({"the process list": b"\n".join(processes.seen)})
        ALL.hold(everything(self.folder, INPUTS))


def piped(line: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, bytes]:
    done = subprocess.run(line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def at_a_terminal(line: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, bytes]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(line, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = to_its_end(ours)
    return process.returncode, seen


def runs(fixture: Fixture) -> list[dict[str, Any]]:
    terminal, fixture.terminal = fixture.terminal, False
    shown = fixture.run("runs", "job.yaml", "--json")
    fixture.terminal = terminal
    found: list[dict[str, Any]] = json.loads(shown)
    return found


def every_command(fixture: Fixture) -> None:
    """Run every command, first with one password for everybody, then with another, and back."""
    fixture.run("schema", "job")
    fixture.run("schema", "mapping")
    fixture.run("fleet", "schedule", ".", code=78)
    fixture.init()
    fixture.run("check", "job.yaml")
    fixture.run("plan", "job.yaml", *REPORTS)
    fixture.run("plan", "job.yaml", "--save", "plan.json", "--fail-on-changes", code=2)
    fixture.run("show", "plan.json", *REPORTS)
    fixture.run("plan", "job.yaml", "--json")
    fixture.run("apply", "job.yaml", "--plan", "plan.json", *REPORTS)
    fixture.run("apply", "job.yaml", "--plan", "plan.json", code=3)
    assert fixture.stored("user0", OLD[0]), "what is looked for was never there"
    fixture.cec.document = tenant(NEW)
    fixture.run("plan", "job.yaml", "--report", "newer.json")
    fixture.run("diff", "plan.json", "newer.json")
    fixture.run("diff", "plan.json", "newer.json", "--json")
    fixture.run("plan", "job.yaml", "--mapping", fixture.mapping)
    fixture.run("plan", "job.yaml", "--only", "user1")
    fixture.run("explain", "job.yaml", "user1")
    fixture.run("coverage", "job.yaml", "--all")
    fixture.run("apply", "job.yaml", *REPORTS)
    assert fixture.stored("user0", NEW[0])
    fixture.run("plan", "job.yaml", "--fail-on-changes")
    fixture.run("runs", "job.yaml")
    fixture.run("runs", "job.yaml", "last", *REPORTS)
    fixture.run("show", "job.yaml", "last", "--all")
    newest = runs(fixture)[0]["id"]
    fixture.run("undo", "job.yaml", newest, *REPORTS)
    fixture.run("undo", "job.yaml", newest, "--apply", *REPORTS)
    assert fixture.stored("user0", OLD[0]), "nothing was sealed"
    fixture.run("apply", "job.yaml", code=3)
    fixture.run("release", "job.yaml")
    audit = fixture.folder / "audit.jsonl"
    keep_again(fixture.folder / "state.db", audit.read_text().splitlines())
    audit.unlink()
    fixture.run("audit", "catch-up", "job.yaml")
    assert '"event":"write"' in audit.read_text()
    fixture.cec.document = tenant([SERVED, *NEW[1:]])
    fixture.serve()
    fixture.run("state", "rename", "job.yaml", "renamed")
    fixture.run("demo", "--folder", "demo")
    assert fixture.ran == set(COMMANDS), "a command that this test does not know: it belongs in here"
