"""What a start costs, by processor time against an empty Python; and the imports that it is made of."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from connector.demo.simulator import Simulator
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.measure import Contest, Entrant
from tests.benchmarks.people import write_agents, write_users
from tests.benchmarks.servers import FILTER, Server
from tests.support.jobs import cec_source, job_file, ldap_directory, ldif_directory
from tests.support.slapd import SYNC, server_context
from tests.support.slow_cec import ENV

USERS = 10
MOST = 10
"""Imports that are shown."""
RUNS = 5
IN_TLS = "CEC and LDAP in TLS"
TARGETS = {"LDIF": Target(22.0), "CEC and LDAP": Target(28.0), IN_TLS: Target(28.0)}
_FILES = "click, hashlib, msgspec, pydantic, ruamel.yaml, sqlite3, structlog"
LIBRARIES = {
    "LDIF": _FILES,
    "CEC and LDAP": f"{_FILES}, httpx, ldap3",
    IN_TLS: f"{_FILES}, httpx, ldap3, ssl\nssl.create_default_context()",
}
"""What a plan loads of others: the least that its start can be."""


def start(folder: Path, rounds: int, tell: Callable[[str], None]) -> Iterator[Figure]:
    """Help, and small plans: of an LDIF file; of a CEC tenant and a directory, whose waits are no processor time.

    In TLS both are trusted by the system's store, as most are, with the tests' authority added to it.
    """
    agents, users = folder / "agents.json", folder / "users.ldif"
    write_agents(agents, range(1, USERS + 1))
    write_users(users, USERS)
    (folder / "slapd").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(Server.loaded(folder / "slapd", users))
        cec = stack.enter_context(Simulator(json.loads(agents.read_bytes())))
        tls = stack.enter_context(Simulator(json.loads(agents.read_bytes()), ssl_context=server_context()))
        store = ssl.get_default_verify_paths().cafile
        (folder / "store.pem").write_bytes((Path(store).read_bytes() if store else b"") + server.ca.read_bytes())
        write_users(users, USERS, tree=False)
        ldap = ldap_directory(server.url, bind_dn=SYNC, filter=FILTER)
        jobs = {
            "LDIF": job_file(ldif_directory(users, base=None), mapping="ldif"),
            "CEC and LDAP": job_file(ldap, source=cec_source(cec.url), mapping="ldif", state="sqlite:///ldap.db"),
            IN_TLS: job_file(
                ldap | {"urls": [server.ldaps_url], "allow_plaintext": False}, mapping="ldif", state="sqlite:///tls.db",
                source=cec_source(tls.url, allow_plaintext=False),
            ),
        }  # fmt: skip
        trusted = {"SSL_CERT_FILE": str(folder / "store.pem")}
        entrants = [
            Entrant("empty Python", [sys.executable, "-I", "-c", "pass"]),
            Entrant("--help", [sys.executable, "-m", "connector", "--help"]),
            *(_plan(folder, kind, kind, text, **trusted) for kind, text in jobs.items()),
            *(Entrant(_libraries(kind), [sys.executable, "-c", _loading(kind)]) for kind in jobs),
        ]
        contest = Contest(entrants, 5 * rounds, folder, lambda: 0.0)
        for entrant in entrants[2 : 2 + len(jobs)]:
            tell(f"\nThe {MOST} most expensive imports of a small plan, {entrant.name} (ms, without what they import):")
            dearest = islice(imports(entrant.command, entrant.env), MOST)
            tell("  ".join(f"{name} {spent / 1000:.1f}" for name, spent in dearest))
    yield Figure.of(contest, "cec-connector --help", 0, ("--help", "empty Python"), Target(6.0), by="cpu")
    for kind in jobs:
        yield Figure.of(contest, f"small plan, {kind}", USERS, (kind, "empty Python"), TARGETS[kind], by="cpu")
        yield Figure.of(contest, f"its libraries, {kind}", 0, (_libraries(kind), "empty Python"), by="cpu")


def _libraries(kind: str) -> str:
    return f"libraries, {kind}"


def _loading(kind: str) -> str:
    return f"import gc\ngc.disable()\nimport {LIBRARIES[kind]}"


def _plan(folder: Path, name: str, kind: str, text: str, **env: str) -> Entrant:
    def planned(out: Path) -> None:
        if re.search(rf"matched +{USERS} .*unchanged +{USERS}$", out.read_text(), re.MULTILINE) is None:
            raise RuntimeError(f"the plan says {out.read_text()}")

    job = folder / f"{kind.lower().replace(' ', '-')}.yaml"
    job.write_text(text)
    return Entrant(name, [sys.executable, "-m", "connector", "plan", job], check=planned, env=ENV | env)


def imports(command: Sequence[str | Path], env: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Modules that a command of Python imports, the most expensive first: the least of some runs, in microseconds."""
    least: dict[str, int] = {}
    for _ in range(RUNS):
        traced = [command[0], "-X", "importtime", *command[1:]]
        err = subprocess.run(traced, env={**os.environ, **env}, capture_output=True, text=True, check=True).stderr
        for spent, name in re.findall(r"^import time: +(\d+) \|[ \d]+\| +(\S+)$", err, re.MULTILINE):
            least[name] = min(int(spent), least.get(name, sys.maxsize))
    yield from sorted(least.items(), key=lambda each: -each[1])
