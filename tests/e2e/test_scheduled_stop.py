"""A run of `serve` that is asked to stop while its last write is in flight."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from connector.serve.run_process import RunRequest, RunResult
from tests.support.ldap_proxy import LdapProxy
from tests.support.plain_job import PASSWORD, UIDS, Plain
from tests.support.program import environment
from tests.support.serving import PATIENCE
from tests.support.slapd import Slapd, person

pytestmark = pytest.mark.slapd


def test_a_run_that_has_written_all_of_it_has_come_to_its_end(tmp_path: Path) -> None:
    running: list[subprocess.Popen[bytes]] = []
    sent: list[str] = []

    def meddle(name: str, message: bytes) -> bytes:
        sent.append(name)
        if len(sent) == len(UIDS):
            running[0].send_signal(signal.SIGTERM)
        return message

    with (
        Slapd.start(tmp_path / "s", [person(uid) for uid in UIDS]) as server,
        LdapProxy(server.port, meddle) as proxy,
    ):
        job = Plain(tmp_path, server, proxy.url, state="sqlite:///state.db")
        texts = {tmp_path / name: (tmp_path / name).read_text() for name in ("job.yaml", "mapping.yaml")}
        now = datetime.now(UTC)
        request = RunRequest(tmp_path / "job.yaml", texts, now, now + timedelta(days=1), kind="apply", plans=tmp_path)
        command = [sys.executable, "-m", "connector", "worker"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(PASSWORD), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            running.append(process)
            out, _ = process.communicate(msgspec.json.encode(request, enc_hook=str), timeout=PATIENCE)
        result = msgspec.json.decode(out, type=RunResult, dec_hook=lambda kind, value: kind(value))
        assert job.stored() == UIDS
    assert result.summary is not None
    assert len(sent) == len(set(sent)) == len(UIDS)
    assert (process.returncode, result.summary.exit_code, result.stopped) == (0, 0, False)
