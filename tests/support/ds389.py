"""A real 389 Directory Server in a temporary folder, on loopback, with TLS.

`Ds389.start(folder)` gives a server with the same tree and service account as `Slapd`: an ordinary account, for which
access rules and limits hold. The server's own tool, `dscreate`, wants systemd or the system's folders; here the
configuration (`dse.ldif`) is made from the templates that it uses itself, which takes a third of a second with all
the rest, as root or as an ordinary user. So nothing is worth being kept between tests but the certificates.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

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

NS_SLAPD = Path("/usr/sbin/ns-slapd")
TEMPLATES = Path("/usr/share/dirsrv/data")
SCHEMA = Path(__file__).parents[2] / "deploy" / "schema" / "389ds"
_TOOLS = ("ns-slapd", "certutil", "pk12util", "pwdhash", "ldapadd", "ldapmodify", "ldapsearch")

UNLIMITED = {"nsSizeLimit": "-1", "nsLookThroughLimit": "-1"}
"""Operational attributes of an account, which override the server's own limits (2000 entries, 5000 looked at)."""
RIGHTS = (
    f'(targetattr="*")(version 3.0; acl "the connector"; allow (all) userdn="ldap:///{SYNC}";)',
    '(targetattr!="userPassword")(version 3.0; acl "users"; allow (read, search, compare) userdn="ldap:///all";)',
)

_FOLDERS = ("schema", "lock", "tmp", "cert", "ldif", "bak", "run", "inst", "log", "db")
_INDEXED = ("employeeNumber", "cecAccountCode", "cecWorkNo", "SIPIdentityUserName")
_TREE = f"""
dn: {SUFFIX}
objectClass: domain
dc: example
{{rights}}

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
{{limits}}
"""


def missing() -> list[str]:
    """The tools of the server's that are not here."""
    path = f"{os.environ.get('PATH', '')}:{NS_SLAPD.parent}"
    return [name for name in _TOOLS if shutil.which(name, path=path) is None]


@cache
def _certificates() -> dict[str, bytes]:
    """The files of an NSS database with the tests' authority and the server's certificate; made once a test run."""
    trusted, server, _ = authority()
    key = load_pem_private_key(server.private_key_pem.bytes(), None)
    certificate = x509.load_pem_x509_certificate(server.cert_chain_pems[0].bytes())
    assert isinstance(key, EllipticCurvePrivateKey)
    bundle = pkcs12.serialize_key_and_certificates(
        b"Server-Cert", key, certificate, None, BestAvailableEncryption(b"tests")
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "none").write_text("\n")
        (folder / "server.p12").write_bytes(bundle)
        trusted.cert_pem.write_to_path(folder / "ca.pem")
        database = folder / "database"
        database.mkdir()
        for command in (
            ("certutil", "-N", "-f", "../none"),
            ("certutil", "-A", "-n", "authority", "-t", "CT,,", "-i", "../ca.pem"),
            ("pk12util", "-i", "../server.p12", "-k", "../none", "-W", "tests"),
        ):
            subprocess.run([*command, "-d", "."], cwd=database, check=True, capture_output=True)
        return {path.name: path.read_bytes() for path in database.iterdir()}


@cache
def _hashed(password: str) -> str:
    done = subprocess.run(["pwdhash", "-s", "SSHA512", password], check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Ds389(LdapServer):
    """One ns-slapd. `configuration` is what `cn=config` says besides, `extra` is LDIF for the rest of it.

    `stock`: it does not have the schema of `deploy/schema/389ds`.
    """

    def __init__(
        self, folder: Path, *, configuration: Mapping[str, str] | None = None, extra: str = "", stock: bool = False
    ) -> None:
        self.folder = folder
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        (folder / "slapd-collations.conf").write_text("")  # the package's own only its group can read
        (folder / "schema" / "99user.ldif").write_text("dn: cn=schema\n")  # what is added while it runs goes there
        for path in () if stock else SCHEMA.glob("60*.ldif"):
            shutil.copy(path, folder / "schema")
        for name, octets in _certificates().items():
            (folder / "cert" / name).write_bytes(octets)
        self.ca = folder / "ca.pem"
        authority()[0].cert_pem.write_to_path(self.ca)
        self._configuration = {**_DEFAULTS, **(configuration or {})}
        self._extra = extra
        self._addresses()

    @classmethod
    def start(
        cls,
        folder: Path,
        entries: Iterable[str] = (),
        *,
        rights: Iterable[str] = RIGHTS,
        limits: Mapping[str, str] = UNLIMITED,
        configuration: Mapping[str, str] | None = None,
        extra: str = "",
        stock: bool = False,
    ) -> Self:
        """Start, and create the tree with these LDIF records below it."""
        server = cls(folder, configuration=configuration, extra=extra, stock=stock).begin()
        try:
            server.add(_TREE.format(rights=_lines(("aci", one) for one in rights), limits=_lines(limits.items())))
            server.add("\n".join(entries))
        except BaseException:
            server.stop()
            raise
        return server

    def _addresses(self) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"ldap://127.0.0.1:{self.port}"
        self.ldaps_url = f"ldaps://localhost:{self.tls_port}"
        (self.folder / "dse.ldif").write_text(self._dse())

    def _dse(self) -> str:
        """The server's configuration, from the templates of its own installer."""
        folder = self.folder
        known = {
            **{f"{name}_dir": str(folder / name) for name in _FOLDERS},
            "cert_dir": str(folder / "cert"),
            "db_home_dir": str(folder / "db"),
            "db_lib": "mdb",
            "config_dir": str(folder),
            "fqdn": "localhost",
            "ds_port": str(self.port),
            "ds_user": getpass.getuser(),
            "rootdn": ADMIN,
            "ds_passwd": _hashed(ADMIN_PASSWORD),
            "ldapi": str(folder / "ldapi"),
            "ldapi_enabled": "off",
            "ldapi_autobind": "off",
            "ds_suffix": SUFFIX,
            "ds_bename": "people",
        }
        text = "\n\n".join((TEMPLATES / f"template-{name}.ldif").read_text().strip() for name in ("dse", "suffix-db"))
        for name, value in known.items():
            text = text.replace(f"%{name}%", value)
        text = text.replace(_SEVEN_BITS, _SEVEN_BITS.removesuffix("on") + "off")
        settings = {**self._configuration, "nsslapd-securePort": str(self.tls_port)}
        text = text.replace("dn: cn=config\n", "dn: cn=config\n" + _lines(settings.items()) + "\n", 1)
        # two empty lines side by side, and the server ends itself without a word
        return "\n\n".join(filter(None, (text, *map(_index, _INDEXED), self._extra.strip()))) + "\n"

    def _command(self) -> list[str]:
        return [str(NS_SLAPD), "-d", "0", "-D", str(self.folder), "-i", str(self.folder / "run" / "pid")]

    def configure(self, dn: str, **settings: str) -> None:
        """Change the running server's configuration; `_` stands for `-` in names."""
        changes = [f"replace: {name}\n{name}: {value}\n-\n" for name, value in _dashed(settings).items()]
        self.modify(f"dn: {dn}\nchangetype: modify\n{''.join(changes)}")


_SEVEN_BITS = "NS7bitAttr_Init\nnsslapd-plugintype: betxnpreoperation\nnsslapd-pluginenabled: on"
"""Allows ASCII alone in uid and mail; many switch it off, as the contract's users with names of all kinds need it."""

_DEFAULTS = {
    "nsslapd-security": "on",
    "passwordStorageScheme": "SSHA512",  # the default takes a tenth of a second at every bind
    "nsslapd-accesslog-logging-enabled": "off",
    "nsslapd-securitylog-logging-enabled": "off",
}


def _dashed(settings: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in settings.items()}


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in pairs)


def _index(attribute: str) -> str:
    return (
        f"dn: cn={attribute},cn=default indexes,cn=config,cn=ldbm database,cn=plugins,cn=config\n"
        f"objectClass: top\nobjectClass: nsIndex\ncn: {attribute}\nnsSystemIndex: false\nnsIndexType: eq"
    )
