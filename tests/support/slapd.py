"""A real slapd in a temporary folder, on loopback, with TLS: what the LDAP tests talk to.

`Slapd.start(folder)` gives a server with the suffix, `ou=people`, `ou=services` and the service account
`uid=sync,ou=services`, which is an ordinary account: access rules and size limits hold for it.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Self
from urllib.parse import quote

import trustme

from tests.support.ldap_server import (
    ADMIN,
    ADMIN_PASSWORD,
    PEOPLE,
    SUFFIX,
    SYNC,
    SYNC_PASSWORD,
    LdapServer,
    authority,
    free_port,
)

__all__ = [
    "ADMIN", "ADMIN_PASSWORD", "PEOPLE", "SUFFIX", "SYNC", "SYNC_PASSWORD", "Slapd", "another_authority", "authority",
    "free_port", "person", "server_context",
]  # fmt: skip
"""What is beside this server its tests' own, they find here too."""

SLAPD = Path("/usr/sbin/slapd")
SCHEMA = Path(__file__).parents[2] / "deploy" / "schema" / "openldap"

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
moduleload constraint.la
moduleload syncprov.la
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
dbnosync
index reqStart,reqEnd,objectClass eq
"""
_OVERLAY = "overlay accesslog\nlogdb cn=accesslog\nlogops writes\nlogsuccess FALSE"
TREE = f"""
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


class Slapd(LdapServer):
    """One slapd."""

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
        overlays: str = "",
        stock: bool = False,
    ) -> None:
        self.folder = folder
        self._tls = tls
        self._addresses()
        self.ca, self.client_cert, self.client_key = folder / "ca.pem", folder / "client.pem", folder / "client.key"
        (folder / "db").mkdir(parents=True)
        (folder / "log").mkdir()
        self._certificates()
        certificates = _TLS.format(folder=folder, verify_client=verify_client) if tls else ""
        config = _CONFIG.replace("include {schema}/", "#").replace(",cecAccountCode", "") if stock else _CONFIG
        (folder / "slapd.conf").write_text(
            config.format(
                schema=SCHEMA, folder=folder, tls=certificates, sync=SYNC, limits=limits, rules=rules,
                security="security tls=1 simple_bind=128\nlocalSSF 256" if tls_only else "",
                accesslog=_ACCESSLOG.format(folder=folder, admin=ADMIN) if accesslog else "",
                suffix=SUFFIX, admin=ADMIN, password=ADMIN_PASSWORD, acl=acl,
                overlay=(_OVERLAY if accesslog else "") + overlays,
            )
        )  # fmt: skip

    @classmethod
    def start(cls, folder: Path, entries: Iterable[str] = (), **options: object) -> Self:
        """Create the tree, with these LDIF records below it, and start."""
        server = cls(folder, **options)  # type: ignore[arg-type]  # the options of __init__, passed on
        server.load("\n".join([TREE, *entries]))
        return server.begin()

    @property
    def admin_url(self) -> str:
        return super().admin_url if self._tls else self.url

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

    def load(self, ldif: str) -> None:
        """Add entries while it is not running; they keep the ids that they name."""
        command = ["slapadd", "-q", "-f", "slapd.conf", "-b", SUFFIX]
        done = subprocess.run(command, cwd=self.folder, input=ldif.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def _command(self) -> list[str]:
        return [str(SLAPD), "-d", "0", "-f", "slapd.conf", "-h", " ".join(self._listen)]


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
