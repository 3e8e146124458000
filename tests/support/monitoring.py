"""What the tests of monitoring use of Debian's packages: promtool, a Pushgateway, libfaketime, rsyslog."""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.slapd import free_port

TOOLS = Path(__file__).parents[2] / ".tools" / "monitoring" / "usr"
_PUSHGATEWAY = TOOLS / "bin" / "prometheus-pushgateway"
RSYSLOGD = TOOLS / "sbin" / "rsyslogd"
_PROMTOOL = TOOLS / "bin" / "promtool"


def faketime() -> Path | None:
    """The library that lets a program see another time."""
    return next(TOOLS.glob("lib/*/faketime/libfaketime.so.1"), None)


def missing() -> list[str]:
    """What is not here."""
    tools = {path.name: path.exists() for path in (_PROMTOOL, _PUSHGATEWAY, RSYSLOGD)}
    return [name for name, here in (tools | {"libfaketime": faketime() is not None}).items() if not here]


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Run promtool; what it says. Raises AssertionError where it finds fault."""
    command = [str(_PROMTOOL), *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextlib.contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """A Pushgateway on loopback; its address."""
    port = free_port()
    command = [str(_PUSHGATEWAY), f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "pushgateway.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "pushgateway.log").read_text())
            time.sleep(0.02)  # it has no other sign of being ready
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return bool(fetch(f"{url}/-/ready"))
    except OSError:
        return False


def nobody_in(text: str, job: str = "job") -> None:
    """Hold metrics to this: each is of the job, and none says anything about a person."""
    samples = [line for line in text.splitlines() if line.startswith("cec_connector_")]
    assert samples
    for line in samples:
        assert f'cec_job="{job}"' in line or line.startswith("cec_connector_build_info{"), line
    said = [line.rpartition(" ")[0] for line in text.splitlines()]  # a number may hold any digits
    for personal in ("user1", "1001", "7001", "canary"):
        assert not [line for line in said if personal in line]


def fetch(url: str) -> str:
    """What is there."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text
