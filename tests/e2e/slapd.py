"""A real slapd in a temporary folder, on loopback, with TLS: what the LDAP tests talk to.

`Slapd.start(folder)` gives a server with the suffix, `ou=people`, `ou=services` and the service account
`uid=sync,ou=services`, which is an ordinary account: access rules and size limits hold for it.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import quote

import trustme

SLAPD = Path("/usr/sbin/slapd")
SCHEMA = Path(__file__).parents[2] / "deploy" / "schema" / "openldap"

SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
ADMIN_PASSWORD = "admin-pass"
SYNC = f"uid=sync,ou=services,{SUFFIX}"
SYNC_PASSWORD = "sync-pass"

LIMITS = "size.soft=unlimited size.hard=unlimited size.prtotal=unlimited"
ACL = f"""
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""

_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {schema}/h350.schema
include {schema}/cec-agent.schema
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb.la
moduleload accesslog.la
loglevel none
{tls}
authz-regexp "gidNumber=.*,cn=peercred,cn=external,cn=auth" "{sync}"
authz-regexp "cn=[^,]*" "{sync}"
sockbuf_max_incoming_auth 4194303
{security}
{rules}
{accesslog}
database mdb
suffix {suffix}
rootdn {admin}
rootpw {password}
directory {folder}/db
maxsize 1073741824
dbnosync
limits dn.exact="{sync}" {limits}
index objectClass,uid,mail,employeeNumber,entryUUID,cecAccountCode eq
{acl}
{overlay}
"""
_TLS = """
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
TLSVerifyClient {verify_client}
"""
_ACCESSLOG = """
database mdb
suffix cn=accesslog
directory {folder}/log
rootdn {admin}
maxsize 1073741824
index reqStart,reqEnd,objectClass eq
"""
_OVERLAY = "overlay accesslog\nlogdb cn=accesslog\nlogops writes\nlogsuccess FALSE"
_TREE = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: ou=services,{SUFFIX}
objectClass: organizationalUnit
ou: services

dn: {SYNC}
objectClass: account
objectClass: simpleSecurityObject
uid: sync
userPassword: {SYNC_PASSWORD}
"""


@cache
def authority() -> tuple[trustme.CA, trustme.LeafCert, trustme.LeafCert]:
    """One authority a test run, a server certificate for loopback's names, and a client's."""
    trusted = trustme.CA(organization_name="Example test authority")
    server = trusted.issue_cert("localhost", "127.0.0.1", common_name="localhost")
    return trusted, server, trusted.issue_cert("sync.example.org", common_name="sync")


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Slapd:
    """One server. `stop()` ends it politely, `kill()` does not, `restart()` brings it back on the same ports."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: str = LIMITS,
        acl: str = ACL,
        rules: str = "",
        tls: bool = True,
        tls_only: bool = False,
        verify_client: str = "never",
        accesslog: bool = False,
    ) -> None:
        self.folder = folder
        self._tls = tls
        self._addresses()
        self.ca, self.client_cert, self.client_key = folder / "ca.pem", folder / "client.pem", folder / "client.key"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "db").mkdir(parents=True)
        (folder / "log").mkdir()
        self._certificates()
        certificates = _TLS.format(folder=folder, verify_client=verify_client) if tls else ""
        (folder / "slapd.conf").write_text(
            _CONFIG.format(
                schema=SCHEMA, folder=folder, tls=certificates, sync=SYNC, limits=limits, rules=rules,
                security="security tls=1 simple_bind=128\nlocalSSF 256" if tls_only else "",
                accesslog=_ACCESSLOG.format(folder=folder, admin=ADMIN) if accesslog else "",
                suffix=SUFFIX, admin=ADMIN, password=ADMIN_PASSWORD, acl=acl, overlay=_OVERLAY if accesslog else "",
            )
        )  # fmt: skip

    @classmethod
    def start(cls, folder: Path, entries: Iterable[str] = (), **options: object) -> Self:
        """Create the tree, with these LDIF records below it, and start."""
        server = cls(folder, **options)  # type: ignore[arg-type]  # the options of __init__, passed on
        server._load("\n".join([_TREE, *entries]))
        for _ in range(5):
            with suppress(RuntimeError):
                server.restart()
                return server
            server._addresses()  # somebody else has taken a port between its choice and its use
        server.restart()
        return server

    def _addresses(self) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.ldaps_url = f"ldaps://localhost:{self.tls_port}"
        self.strange_url = f"ldaps://127.0.0.2:{self.tls_port}"  # an address that its certificate does not name
        self.ldapi_url = "ldapi://" + quote(str(self.folder / "ldapi"), safe="")
        self._listen = [self.url, self.ldapi_url]
        if self._tls:
            self._listen += [f"ldaps://127.0.0.1:{self.tls_port}", self.strange_url]

    def _certificates(self) -> None:
        trusted, server, client = authority()
        trusted.cert_pem.write_to_path(self.ca)
        for leaf, name in ((server, "server"), (client, "client")):
            leaf.private_key_pem.write_to_path(self.folder / f"{name}.key")
            leaf.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")

    def _load(self, ldif: str) -> None:
        command = ["slapadd", "-q", "-f", "slapd.conf", "-b", SUFFIX]
        done = subprocess.run(command, cwd=self.folder, input=ldif.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def restart(self) -> None:
        """Start it on its ports, and wait until it answers."""
        command = [str(SLAPD), "-d", "0", "-f", "slapd.conf", "-h", " ".join(self._listen)]
        with (self.folder / "slapd.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "slapd.log").read_text())
            time.sleep(0.01)  # slapd has no other sign of being ready than its port

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """End it, and wait for its end. It says goodbye to its clients."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it where it stands."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, sign)
            self._process.wait(20)
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, ldif: str) -> None:
        """Add entries as the administrator."""
        self._tool(["ldapadd"], ldif)

    def modify(self, ldif: str) -> None:
        """Change entries as the administrator."""
        self._tool(["ldapmodify"], ldif)

    def search(self, *arguments: str, base: str = SUFFIX) -> bytes:
        """What the administrator sees, as LDIF without line folding."""
        return self._tool(["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", base, *arguments], "")

    def _tool(self, command: list[str], text: str) -> bytes:
        login = ["-x", "-H", f"ldaps://127.0.0.1:{self.tls_port}", "-D", ADMIN, "-w", ADMIN_PASSWORD]
        environment = {**os.environ, "LDAPTLS_CACERT": str(self.ca)}
        full = [command[0], *login, *command[1:]]
        done = subprocess.run(full, input=text.encode(), env=environment, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return done.stdout


def another_authority(path: Path) -> Path:
    """The certificate of an authority that signed nothing here."""
    trustme.CA(organization_name="Another example authority").cert_pem.write_to_path(path)
    return path


def server_context() -> ssl.SSLContext:
    """A TLS server's context with the certificate of `Slapd`, for servers that misbehave."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority()[1].configure_cert(context)
    return context


def person(uid: str, *lines: str, classes: Iterable[str] = ()) -> str:
    """One `inetOrgPerson` below `ou=people` as an LDIF record, with these auxiliary classes."""
    kinds = "".join(f"objectClass: {name}\n" for name in ("inetOrgPerson", *classes))
    head = f"dn: uid={uid},{PEOPLE}\n{kinds}uid: {uid}\ncn: Person {uid}\nsn: {uid}\n"
    return head + "".join(f"{line}\n" for line in lines)
