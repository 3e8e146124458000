"""Servers that others have made, each in a process of its own on loopback; `scripts/ensure-servers wild` gets them.

ldaptor, ldapjs and Net::LDAP::Server keep entries in memory. None has a schema, ids of its own, or controls: no paging
(RFC 2696), no assertion (RFC 4528), no answers to writes (RFC 4527). Canaille is a SCIM server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.support.ldap_server import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".tools" / "wild" / "bin" / "python"
NODE_MODULES = "/usr/share/nodejs"
"""Where Debian puts them; its own node looks there by itself, others are told to."""

_COMMANDS = {
    "ldaptor": (str(PYTHON), "ldaptor_host.py"),
    "ldapjs": ("node", "ldapjs_host.js"),
    "Net::LDAP::Server": ("perl", "net_ldap_host.pl"),
}
TOKEN, TOKEN_WITHOUT_RIGHTS = "wild-token-canary", "weak-token-canary"
LDAP_KINDS = ("ldapjs", "Net::LDAP::Server")
"""Those on which a whole job runs. ldaptor compares what is absent as another value."""


@cache
def missing() -> list[str]:
    """The packages that are not here."""
    asked = {
        "ldaptor and Canaille in .tools/wild": [str(PYTHON), "-c", "import canaille, ldaptor"],
        "node-ldapjs": ["node", "-e", "require('ldapjs')"],
        "ldap-utils": ["ldapsearch", "-VV"],
        "libnet-ldap-server-perl": ["perl", "-MNet::LDAP::Server", "-e", "1"],
    }
    return [name for name, command in asked.items() if not _ends_well(command)]


def _ends_well(command: Sequence[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, env=_environment(), capture_output=True, check=False).returncode == 0


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "NODE_PATH": NODE_MODULES}


@contextmanager
def hosted(folder: Path, *command: str) -> Iterator[int]:
    """A process that says its port in its first line; it is ended, by its own id, at the end."""
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError((folder / "server.log").read_text())
            yield int(line)
        finally:
            process.terminate()


class WildLdap:
    """One server; `url` is plain LDAP."""

    def __init__(self, port: int) -> None:
        self.url = f"ldap://127.0.0.1:{port}"

    @classmethod
    @contextmanager
    def start(cls, folder: Path, kind: str, users: dict[str, dict[str, list[str]]]) -> Iterator[WildLdap]:
        """Start it with these users, by uid, below `ou=people`."""
        folder.mkdir()
        (folder / "entries.json").write_text(json.dumps(_entries(users)))
        program, script = _COMMANDS[kind]
        with hosted(folder, program, str(HERE / script), str(folder / "entries.json")) as port:
            yield cls(port)

    def held(self, uid: str, attribute: str) -> list[str]:
        """A user's values of one attribute, as OpenLDAP's client sees them."""
        shown = self.search(f"(uid={uid})", attribute)
        return [line.partition(": ")[2] for line in shown.splitlines() if line.startswith(f"{attribute}: ")]

    def search(self, *arguments: str) -> str:
        """What OpenLDAP's client finds, as LDIF. Raises RuntimeError for an error."""
        return self._tool("ldapsearch", "-LLL", "-b", PEOPLE, *arguments)

    def modify(self, ldif: str) -> None:
        """The second writer."""
        self._tool("ldapmodify", text=ldif)

    def _tool(self, command: str, *arguments: str, text: str = "") -> str:
        login = ["-x", "-H", self.url, "-D", SYNC, "-w", SYNC_PASSWORD]
        done = subprocess.run([command, *login, *arguments], input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout


@contextmanager
def canaille(folder: Path, users: list[dict[str, object]]) -> Iterator[str]:
    """Canaille with these users, which have Canaille's own attributes; the address of its SCIM."""
    folder.mkdir()
    (folder / "users.json").write_text(json.dumps(users))
    command = (str(PYTHON), str(HERE / "canaille_host.py"), str(folder / "users.json"), TOKEN, TOKEN_WITHOUT_RIGHTS)
    with hosted(folder, *command) as port:
        yield f"http://127.0.0.1:{port}/scim/v2"


def _entries(users: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """Each entry after the one that it is below."""
    return {
        SUFFIX: {"objectClass": ["dcObject", "organization"], "dc": ["example"], "o": ["Example"]},
        PEOPLE: {"objectClass": ["organizationalUnit"], "ou": ["people"]},
        f"ou=services,{SUFFIX}": {"objectClass": ["organizationalUnit"], "ou": ["services"]},
        SYNC: {"objectClass": ["account"], "uid": ["sync"], "userPassword": [SYNC_PASSWORD]},
    } | {
        f"uid={uid},{PEOPLE}": {"objectClass": ["inetOrgPerson"], "uid": [uid], "cn": [f"Person {uid}"], "sn": ["P"]}
        | attributes
        for uid, attributes in users.items()
    }
