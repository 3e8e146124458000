"""Job files for the benchmarks, and the commands that run the program, its adapters and its rivals on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Entrant
from tests.benchmarks.servers import FILTER, PASSWORD, Server
from tests.support.jobs import file_source, job_file, ldap_directory
from tests.support.slapd import PEOPLE, SYNC

HERE = Path(__file__).parent

ONE_RULE = """\
match:
  - {agent: "{accountCode}", directory: uid}
attributes:
  cecAccountCode: "{accountCode}"
  cecWorkNo: {value: "{workNo}", unique: true}
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}", owns: "sip:*"}
"""
ONE_RULE_ATTRIBUTES = (
    "uid", "cecAccountCode", "cecWorkNo", "SIPIdentityUserName", "SIPIdentitySIPURI", "objectClass",
)  # fmt: skip
"""What that mapping has read, besides entryUUID."""
READY = "ldif"
"""The ready mapping with six attributes and two match rules, none of them a secret."""
READY_ATTRIBUTES = (
    "uid", "mail", "cecAccountCode", "cecWorkNo", "SIPIdentityUserName", "SIPIdentityRegistrarAddress",
    "SIPIdentitySIPURI", "cecSipServicePort", "objectClass",
)  # fmt: skip


class Workplace:
    """A folder with one job in it."""

    def __init__(self, folder: Path, server: Server, agents: Path, *, mapping: str = READY, read: str = "auto") -> None:
        folder.mkdir()
        self.folder = folder
        self.report = folder / "report.json"
        if mapping != READY:
            (folder / "mapping.yaml").write_text(mapping)
            mapping = "mapping.yaml"
        self._job = folder / "job.yaml"
        directory = ldap_directory(server.url, bind_dn=SYNC, filter=FILTER, read=read)
        limits = {"agents_drop": "100%"}
        self._job.write_text(job_file(directory, source=file_source(agents), mapping=mapping, limits=limits))

    def forget(self) -> None:
        """Remove the state, so that the next run is the first."""
        for path in self.folder.glob("state.db*"):
            path.unlink()

    def program(self, command: str, *reports: Path) -> list[str | Path]:
        """`cec-connector COMMAND JOB --report …`."""
        options = [part for report in reports or (self.report,) for part in ("--report", report)]
        return [sys.executable, "-m", "connector", command, self._job, *options]

    def plan(self, name: str, **summary: int) -> Entrant:
        """A dry run with a JSON report, whose summary has to be this one."""
        return Entrant(name, self.program("plan"), check=lambda out: self.expect(**summary), env=PASSWORD)

    def expect(self, **summary: int) -> None:
        """Raise unless the report's summary says this."""
        said = json.loads(self.report.read_bytes())["summary"]
        found = {name: said[name] for name in summary}
        if found != summary:
            raise RuntimeError(f"the plan says {found}, and {summary} is right")


def wanted(server: Server, attributes: tuple[str, ...], **more: object) -> str:
    """What the scripts here are told, as JSON."""
    directory: dict[str, Any] = {
        "type": "ldap",
        "urls": [server.url],
        "allow_plaintext": True,
        "bind_dn": SYNC,
        "password": {"env": "LDAP_PASSWORD"},
        "base": PEOPLE,
        "filter": FILTER,
    }
    if more.pop("start_tls", False):
        directory |= {"start_tls": True, "ca_file": str(server.ca)}
    return json.dumps({"directory": directory, "attributes": attributes, **{k: str(v) for k, v in more.items()}})


def script(
    file: str, action: str, told: str, expected: tuple[int, int], *, name: str = "",
    python: str | Path = sys.executable,
) -> Entrant:  # fmt: skip
    """One of the scripts here, which has to say these two numbers on its standard output."""

    def check(out: Path) -> None:
        said = tuple(map(int, out.read_text().split()))
        if said != expected:
            raise RuntimeError(f"{file} {action} counted {said}, and {expected} is right")

    command: list[str | Path] = [python, HERE / file, action, told]
    return Entrant(name or file, command, check=check, env=PASSWORD)
