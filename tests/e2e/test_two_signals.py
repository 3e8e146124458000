"""Two SIGTERMs end a run within ten seconds, whatever hangs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import cec_source, changed, file, ldap_directory, scim_directory
from tests.support.ldap_proxy import LdapProxy
from tests.support.ldif_job import JOB, Job
from tests.support.plain_job import PASSWORD, UIDS, Plain
from tests.support.postgres import Postgres
from tests.support.program import environment, started
from tests.support.serving import PATIENCE
from tests.support.slapd import SYNC, Slapd, person
from tests.support.slow_cec import ENV, SlowCec

pytestmark = pytest.mark.slow

BOUND = 10.0


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The code and all that a run says that is told to end twice; the second time only if it still runs."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < BOUND, errors
    return process.returncode, said + errors


ACCOUNT = re.compile(r"^Stopped: (\d+) of 40 written(?:, (\d+) not sent)?(?:, (\d+) not known)?\. Rerun", re.MULTILINE)


class Silent:
    """A server that takes connections and what is sent to it, and never answers."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._taken: list[socket.socket] = []
        self.asked = threading.Event()

    def _work(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listening.accept()
                self._taken.append(taken)
                taken.recv(1)
                self.asked.set()

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Silent]:
        made = cls()
        threading.Thread(target=made._work, daemon=True).start()
        try:
            yield made
        finally:
            for each in (made._listening, *made._taken):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()


def asking(what: str, port: int) -> dict[str, Any]:
    """The part of a job that asks a server."""
    http = f"http://127.0.0.1:{port}"
    match what:
        case "cec":
            return {"source": cec_source(http, timeout=600)}
        case "ldap":
            return {"directory": ldap_directory(f"ldap://127.0.0.1:{port}", bind_dn=SYNC, timeout=600)}
        case "scim":
            return {"directory": scim_directory(http, timeout=600), "mapping": "scim-enterprise"}
        case "audit":
            return {"audit": {"syslog": f"tls://127.0.0.1:{port}"}}
        case _:
            hook = {"url": f"{http}/hook", "allow_plaintext": True, "secret": {"env": "LDAP_PASSWORD"}}
            return {"notify": {"webhook": hook}, "limits": {"update": 1}}


@pytest.mark.parametrize("what", ["cec", "ldap", "scim", "audit", "webhook"])
def test_a_server_that_never_answers(tmp_path: Path, what: str) -> None:
    job = Job(tmp_path, users=3)
    with Silent.open() as silent:
        job.write("job.yaml", changed(JOB, **asking(what, silent.port)))
        with started("apply", "job.yaml", folder=tmp_path, env=ENV | {"SCIM_TOKEN": "token"}) as process:
            assert silent.asked.wait(PATIENCE)
            code, said = ends(process)
    assert code in (1, 3), said
    assert "employeeNumber" not in job.read("people.ldif")
    assert "Traceback" not in said


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with Postgres.start() as server:
        yield server


@pytest.mark.postgresql
def test_a_database_that_hangs_while_a_tenant_is_read(tmp_path: Path, own_server: Postgres) -> None:
    job = Job(tmp_path, users=3)
    job.write("key", "the key of a job\n")
    with SlowCec(job.read("agents.json").encode()) as cec:
        job.configure(state=own_server.create("cec"), key=file("key"), source=cec.source)
        with started("apply", "job.yaml", folder=tmp_path, env=ENV) as process:
            cec.wait()
            own_server.freeze()
            code, said = ends(process)
        assert code == 1
        assert "no answer within 8 seconds" in said
        own_server.thaw()
        cec.let()
        with started("apply", "job.yaml", folder=tmp_path, env=ENV) as again:
            again.communicate(timeout=PATIENCE)
            assert again.returncode == 0
    assert "employeeNumber: 1003" in job.read("people.ldif")


@pytest.mark.slapd
@pytest.mark.postgresql
@pytest.mark.parametrize("hangs", ["directory", "database"])
def test_what_hangs_while_a_directory_is_written(tmp_path: Path, own_server: Postgres, hangs: str) -> None:
    sent: list[str] = []
    held, let = threading.Event(), threading.Event()

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(name)
        if len(sent) == 12:
            if hangs == "database":
                own_server.freeze()
                let.set()
            held.set()
            let.wait(PATIENCE)
        return message

    (tmp_path / "key").write_text("the key of a job\n")
    state: dict[str, Any] = {"state": own_server.create("cec"), "key": file("key")}
    with Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server:
        with LdapProxy(server.port, meddle) as proxy:
            Plain(tmp_path, server, proxy.url, **state)
            with started("apply", "job.yaml", folder=tmp_path, env=PASSWORD) as process:
                assert held.wait(PATIENCE)
                code, said = ends(process)
                let.set()
        assert code == 4, said
        written, not_sent, not_known = (int(number or 0) for number in next(iter(ACCOUNT.findall(said))))
        own_server.thaw()
        job = Plain(tmp_path, server, **state)
        assert written + not_sent + not_known == len(UIDS)
        assert 0 < written <= len(job.stored()) <= written + not_known
        with started("apply", "job.yaml", folder=tmp_path, env=PASSWORD) as again:
            again.communicate(timeout=PATIENCE)
            assert again.returncode == 0
        assert job.stored() == UIDS


@pytest.mark.postgresql
def test_a_run_whose_last_line_is_out_keeps_its_exit_code(tmp_path: Path, own_server: Postgres) -> None:
    job = Job(tmp_path, users=3)
    job.write("key", "the key of a job\n")
    job.configure(state=own_server.create("cec"), key=file("key"))
    with started("apply", "job.yaml", folder=tmp_path, env=ENV) as process:
        assert process.stdout is not None
        assert any(line.startswith("Done: 3 of 3 users written") for line in process.stdout)
        own_server.freeze()
        code, said = ends(process)
    assert code == 0, said
    assert "interrupted" not in said
    assert "Done" not in said


class Output:
    """A pipe that a program writes to; its reader goes, or it is full and nobody reads."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe()

    def become(self, how: str) -> None:
        if how == "closed":
            os.close(self._read)
            return
        ours = os.open(f"/proc/self/fd/{self.write}", os.O_WRONLY | os.O_NONBLOCK)  # the program's end still blocks
        for octets in (b"x" * 65536, b"x"):
            with suppress(BlockingIOError):
                while True:
                    os.write(ours, octets)
        os.close(ours)


@pytest.mark.postgresql
@pytest.mark.parametrize("how", ["closed", "full"])
@pytest.mark.parametrize("which", ["stdout", "stderr"])
@pytest.mark.parametrize("hangs", ["database", "source"])
def test_an_output_that_takes_nothing(tmp_path: Path, own_server: Postgres, which: str, how: str, hangs: str) -> None:
    job = Job(tmp_path, users=3)
    job.write("key", "the key of a job\n")
    outputs = {"stdout": Output(), "stderr": Output()}
    with SlowCec(job.read("agents.json").encode()) as cec:
        job.configure(state=own_server.create("cec"), key=file("key"), source=cec.source)
        with subprocess.Popen(
            [sys.executable, "-m", "connector", "apply", "job.yaml"],
            cwd=tmp_path, env=environment(ENV),
            stdout=outputs["stdout"].write, stderr=outputs["stderr"].write,
        ) as process:  # fmt: skip
            try:
                cec.wait()
                if hangs == "database":
                    own_server.freeze()
                outputs[which].become(how)
                process.send_signal(signal.SIGTERM)
                time.sleep(1)
                process.send_signal(signal.SIGTERM)
                assert process.wait(BOUND) in {1, -signal.SIGTERM}
            finally:
                process.kill()
    assert "employeeNumber" not in job.read("people.ldif")


TWICE = """
import os, signal, sys
from connector.cli import main

def interrupt(**_):
    raise KeyboardInterrupt

class InterruptAgain:
    def find_spec(self, name, path, target=None):
        if name == "connector.cli.signals":
            os.kill(os.getpid(), signal.SIGINT)

main.cli.main = interrupt
sys.meta_path.insert(0, InterruptAgain())
main.main()
"""


def test_a_second_interrupt_while_the_first_one_is_told_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "interrupted\n")
