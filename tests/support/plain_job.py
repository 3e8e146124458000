"""A job of forty agents between a file and a real OpenLDAP, over plain LDAP."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from tests.support.jobs import job_file, ldap_directory
from tests.support.ldap_proxy import LdapProxy
from tests.support.program import LONGEST, Ended, program
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd

PASSWORD = {"LDAP_PASSWORD": SYNC_PASSWORD}
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [SIPIdentity]
"""
UIDS = [f"user{place:02}" for place in range(40)]


class Stalled(LdapProxy):
    """A proxy that holds the twelfth write back until it is let go: `held` and `let`."""

    def __init__(self, port: int) -> None:
        self.held, self.let = threading.Event(), threading.Event()
        self._writes = 0
        super().__init__(port, self._stall)

    def _stall(self, name: str, message: bytes) -> bytes:  # a proxy names whose write it is
        self._writes += 1
        if self._writes == 12:
            self.held.set()
            assert self.let.wait(LONGEST)
        return message


class Plain:
    """A job of forty agents on a server; what the last apply came to."""

    def __init__(self, folder: Path, server: Slapd, url: str = "", **more: Any) -> None:
        self.folder, self.server = folder, server
        directory = ldap_directory(url or server.url, bind_dn=SYNC, window=4, show=[])
        (folder / "job.yaml").write_text(job_file(directory, **more))
        (folder / "mapping.yaml").write_text(MAPPING)
        agents = [
            {"workNo": 1000 + place, "accountCode": uid, "sipPwd": f"canary-{place}"} for place, uid in enumerate(UIDS)
        ]
        (folder / "agents.json").write_text(json.dumps({"agents": agents}))

    def apply(self, code: int) -> Ended:
        return self.checked(program(*self.command, folder=self.folder, env=PASSWORD), code)

    command = ("apply", "job.yaml", "--report", "report.json", "--report", "report.md", "--report", "report.html")

    def checked(self, done: Ended, code: int) -> Ended:
        assert done.code == code, done.said
        assert "canary" not in done.said
        return done

    def outcomes(self) -> dict[str, list[str]]:
        """The users by what became of them, each of them once; the server holds what is said to be written."""
        report = json.loads((self.folder / "report.json").read_text())
        became: dict[str, list[str]] = {}
        for each in report["outcomes"]:
            became.setdefault(each["outcome"], []).append(each["user"][4:].partition(",")[0])
        assert sorted(uid for uids in became.values() for uid in uids) == sorted(
            change["user"]["name"][4:].partition(",")[0] for change in report["changes"]
        )
        return became

    def why(self, uid: str) -> str:
        report = json.loads((self.folder / "report.json").read_text())
        (why,) = [each["why"] for each in report["outcomes"] if each["user"].startswith(f"uid={uid},")]
        return str(why)

    def stored(self) -> list[str]:
        """Who has a seat, as the server has it."""
        lines = self.server.search("(employeeNumber=*)", "uid").decode().splitlines()
        return sorted(line[5:] for line in lines if line.startswith("uid: "))

    def result(self) -> str:
        """What the last run came to, as `runs` says."""
        shown = program("runs", "job.yaml", "--json", folder=self.folder)
        return str(json.loads(shown.out)[0]["result"])
