"""A real Active Directory domain controller, Samba's, in a temporary folder, with TLS: what the tests of AD talk to.

Provisioning a domain takes some seconds, so that is done once and kept in the project's `.samba` folder; `Samba.start`
copies it. The ports of a domain controller cannot be chosen, hence each server has a loopback address of its own. It
has `OU=people`, `OU=services` and the account `sync` there, which is an ordinary one with rights on `OU=people` alone,
and the schema of `deploy/schema/active-directory`, loaded as its README says.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
import weakref
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any, Self

from tests.support.ldap_server import LdapServer, authority

SAMBA = Path("/usr/sbin/samba")
PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".samba"
SCHEMA = PROJECT / "deploy" / "schema" / "active-directory"

REALM = "EXAMPLE.TEST"
SUFFIX = "DC=example,DC=test"
PEOPLE = f"OU=people,{SUFFIX}"
ADMIN = f"Administrator@{REALM}"
ADMIN_PASSWORD = "Passw0rd-Admin1"
SYNC = f"sync@{REALM.lower()}"
SYNC_NT = r"EXAMPLE\sync"
SYNC_DN = f"CN=sync,OU=services,{SUFFIX}"
SYNC_PASSWORD = "Passw0rd-Sync1"

_CONFIG = """\
[global]
	netbios name = {name}
	realm = {realm}
	workgroup = EXAMPLE
	server role = active directory domain controller
	server services = {services}
	interfaces = {address}/8
	bind interfaces only = yes
	dsdb:schema update allowed = yes
	ldb:nosync = yes
	log level = 0
	log file = {folder}/samba.log
	private dir = {folder}/private
	state directory = {folder}/state
	cache directory = {folder}/cache
	lock directory = {folder}/run
	pid directory = {folder}/run
	ncalrpc dir = {folder}/run/ncalrpc
	binddns dir = {folder}/bind-dns
	winbindd socket directory = {folder}/run/winbindd
	tls keyfile = {folder}/server.key
	tls certfile = {folder}/server.pem
	tls cafile = {folder}/ca.pem
{options}"""
_TREE = f"""
dn: {PEOPLE}
changetype: add
objectClass: organizationalUnit

dn: OU=services,{SUFFIX}
changetype: add
objectClass: organizationalUnit
"""
SYNTAXES: dict[str, tuple[str, ...]] = {
    "testText": ("2.5.5.12", "64", "rangeLower: 3", "rangeUpper: 20"),
    "testTags": ("2.5.5.12", "64", "isSingleValued: FALSE"),
    "testCase": ("2.5.5.3", "27"),
    "testTeletex": ("2.5.5.4", "20"),
    "testPrintable": ("2.5.5.5", "19"),
    "testAscii": ("2.5.5.5", "22"),
    "testDigits": ("2.5.5.6", "18"),
    "testInteger": ("2.5.5.9", "2"),
    "testBounded": ("2.5.5.9", "2", "rangeLower: 5", "rangeUpper: 100"),
    "testLarge": ("2.5.5.16", "65"),
    "testBoolean": ("2.5.5.8", "1"),
    "testTime": ("2.5.5.11", "24"),
    "testUtcTime": ("2.5.5.11", "23"),
    "testName": ("2.5.5.1", "127"),
    "testNames": ("2.5.5.1", "127", "isSingleValued: FALSE"),
    "testOctets": ("2.5.5.10", "4"),
    "testOid": ("2.5.5.2", "6"),
}
"""Attributes of every syntax for the tests, with one value where nothing else is said; every user may have them."""
EXTENDED = """
match:
  - {agent: "{accountCode}", directory: sAMAccountName}
attributes:
  cecAccountCode: "{accountCode}"
  cecWorkNo: {value: "{workNo}", unique: true}
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
stale: clear
"""
"""A mapping onto the schema of `deploy/schema/active-directory`."""
_ARC = "1.2.840.113556.1.8000.2554.1.1"

_RIGHTS = "(A;CI;LCRPWPLORC;;;{sid})"
_CONTROL = "(OA;CI;CR;;;{sid})"
"""What the account may do below `OU=people`: list, read and write properties, also those that are confidential."""
_AS_ADMIN = (f"--user=EXAMPLE\\Administrator%{ADMIN_PASSWORD}", "--use-kerberos=off")
_TOOLS = ("samba-tool", "ldapmodify", "ldapsearch", "ldapadd")
_numbers = count(os.getpid() << 4)


def missing() -> list[str]:
    """What this machine lacks to run a domain controller."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    lacking = [name for name in ("samba", *_TOOLS) if shutil.which(name, path=path) is None]
    if not Path("/usr/share/samba/setup").is_dir():
        lacking.append("samba-ad-provision")
    return lacking or (["root's rights"] if os.geteuid() else [])


def _address() -> str:
    """A loopback address that nothing serves LDAP on."""
    while True:
        number = next(_numbers)
        address = f"127.{64 + (number >> 16) % 128}.{(number >> 8) % 256}.{1 + number % 250}"
        with socket.socket() as probe:
            try:
                probe.bind((address, 389))
            except OSError:
                continue
            return address


class Samba(LdapServer):
    """One domain controller, with its administrator's tools."""

    admin, admin_password, suffix = ADMIN, ADMIN_PASSWORD, SUFFIX
    netbios = "DC1"

    def __init__(self, folder: Path, *, services: str = "ldap", options: Iterable[str] = ()) -> None:
        self.folder = folder
        self.port, self.tls_port = 389, 636
        self.ca, self._config = folder / "ca.pem", folder / "smb.conf"
        self._services, self._options = services, tuple(options)
        self._short = self._linked(folder)
        for name in ("run/ncalrpc", "run/winbindd", "cache", "state"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._addresses()

    @classmethod
    def start(cls, folder: Path, entries: Iterable[str] = (), *, domain: str = "", **options: Any) -> Self:
        """A domain with these LDIF records below it. `domain`: another one of the same names, with ids of its own."""
        shutil.copytree(_provisioned(domain), folder)
        server = cls(folder, **options).begin()
        try:
            if entries := list(entries):
                server.add("\n".join(entries))
        except BaseException:
            server.stop()
            raise
        return server

    def copied(self, folder: Path) -> Self:
        """A second server with a copy of this one's database as it is now: the two stand in for replication that lags.

        It must be called while this one is stopped. No write of the one ever reaches the other.
        """
        shutil.copytree(self.folder, folder, ignore=_sockets)
        return type(self)(folder, services=self._services, options=self._options).begin()

    def _addresses(self) -> None:
        self.host = _address()
        self.url, self.ldaps_url = f"ldap://{self.host}", f"ldaps://{self.host}"
        trusted = authority()[0]
        leaf = trusted.issue_cert(self.host, "dc1.example.test", common_name="dc1.example.test")
        trusted.cert_pem.write_to_path(self.ca)
        leaf.private_key_pem.write_to_path(self.folder / "server.key")
        (self.folder / "server.key").chmod(0o600)
        leaf.cert_chain_pems[0].write_to_path(self.folder / "server.pem")
        options = "".join(f"\t{line}\n" for line in self._options)
        self._config.write_text(
            _CONFIG.format(
                name=self.netbios, realm=REALM, services=self._services, address=self.host, folder=self._short,
                options=options,
            )
        )  # fmt: skip

    def _linked(self, folder: Path) -> Path:
        """A short way to the folder, for the sockets in it: a path of one has 107 octets, pytest's folders 70."""
        where = tempfile.mkdtemp(prefix="dc-")
        weakref.finalize(self, shutil.rmtree, where)
        (link := Path(where) / "dc").symlink_to(folder.resolve())
        return link

    def _command(self) -> list[str]:
        return [str(SAMBA), "-i", "-M", "single", "-s", str(self._config)]

    def refuse_control(self) -> None:
        """Take the account's right to read what is confidential; people have it from the unit that they are in."""
        self.tool("dsacl", "delete", f"--objectdn={PEOPLE}", f"--sddl={_CONTROL.format(sid=self.sid())}")

    def hide(self, name: str, attribute: str, right: str = "RP") -> None:
        """Take the account's right to read this attribute of one entry, or another right (`WP`: to write it)."""
        self.tool("dsacl", "set", f"--objectdn={name}", f"--sddl={self._denial(attribute, right)}")

    def show(self, name: str, attribute: str, right: str = "RP") -> None:
        """Give it back."""
        self.tool("dsacl", "delete", f"--objectdn={name}", f"--sddl={self._denial(attribute, right)}")

    def _denial(self, attribute: str, right: str) -> str:
        return f"(OD;;{right};{self._schema_id(attribute)};;{self.sid()})"

    def _schema_id(self, name: str) -> uuid.UUID:
        """By what access rules name an attribute or a class."""
        where = f"CN=Schema,CN=Configuration,{SUFFIX}"
        found = self.search(f"(lDAPDisplayName={name})", "schemaIDGUID", base=where).split(b"schemaIDGUID:: ")[1]
        return uuid.UUID(bytes_le=base64.b64decode(found.split()[0]))

    def named(self, address: str) -> str:
        """The DN of the entry that a request addresses by `<GUID=…>`."""
        return self.search("-s", "base", "1.1", base=address).decode().removeprefix("dn: ").strip()

    def grant(self, account: str, rights: str, attribute: str | None = None) -> None:
        """Give an account rights below `OU=people`; with an attribute, to that one of users, as `dsacls` does."""
        ace = f"(A;CI;{rights};;;{self.sid(account)})"
        if attribute is not None:
            ace = f"(OA;CIIO;{rights};{self._schema_id(attribute)};{self._schema_id('user')};{self.sid(account)})"
        self.tool("dsacl", "set", f"--objectdn={PEOPLE}", f"--sddl={ace}")

    def sid(self, account: str = "sync") -> str:
        """An account's security identifier."""
        return _sid(self.search(f"(sAMAccountName={account})", "objectSid"))

    def export_keys(self, account: str, path: Path) -> None:
        """Write the account's Kerberos keys into a key table."""
        principal = f"--principal={account}@{REALM}"
        _run(["samba-tool", "domain", "exportkeytab", str(path), principal, "-s", str(self._config)])

    def tool(self, *arguments: str) -> str:
        """`samba-tool` on the database itself."""
        return _run(["samba-tool", *arguments, "-H", str(self.folder / "private/sam.ldb"), "-s", str(self._config)])

    def joined(self, folder: Path) -> Samba:
        """A second controller that joins this one's domain; this one has to serve `rpc` too. Some five seconds.

        Nothing replicates by itself between the two, only by `pull`.
        """
        folder.mkdir()
        _run([
            "samba-tool", "domain", "join", REALM.lower(), "DC", f"--server={self.host}", *_AS_ADMIN,
            f"--targetdir={folder}", "--dns-backend=NONE", "--site=Default-First-Site-Name",
            f"--option=netbios name={_Joined.netbios}",
            "--option=interfaces=127.0.0.2/8", "--option=bind interfaces only=yes", "--option=ldb:nosync=yes",
        ])  # fmt: skip
        return _Joined(folder, services=self._services, options=self._options).begin()

    def pull(self, other: Samba) -> None:
        """Take in what the other controller of the domain has been told, as replication does."""
        to = ("samba-tool", "drs", "replicate", self.netbios, other.host, SUFFIX, "--local")
        _run([*to, *_AS_ADMIN, "-s", str(self._config)])


class _Joined(Samba):
    """The second controller."""

    netbios = "DC2"


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def schema(name: str) -> str:
    """A file of `deploy/schema/active-directory`, for the domain of these tests."""
    return (SCHEMA / f"{name}.ldif").read_text().replace("DC=X", SUFFIX)


def _syntaxes() -> str:
    """`SYNTAXES` as schema, with the class that ties them to users."""
    where = f"CN=Schema,CN=Configuration,{SUFFIX}"
    now = "dn:\nchangetype: modify\nadd: schemaUpdateNow\nschemaUpdateNow: 1\n"
    records = []
    for number, (name, (syntax, kind, *others)) in enumerate(SYNTAXES.items(), 1):
        single = [] if "isSingleValued: FALSE" in others else ["isSingleValued: TRUE"]
        lines = [
            f"dn: CN={name},{where}", "changetype: add", "objectClass: attributeSchema", f"lDAPDisplayName: {name}",
            f"attributeID: {_ARC}.1.{number}", f"attributeSyntax: {syntax}", f"oMSyntax: {kind}", *single, *others,
        ]  # fmt: skip
        if kind == "127":
            lines.append("oMObjectClass:: KwwCh3McAIVK")  # 1.3.12.2.1011.28.0.714, a DN
        records.append("\n".join(lines) + "\n")
    may = "".join(f"mayContain: {name}\n" for name in SYNTAXES)
    person = (
        f"dn: CN=testPerson,{where}\nchangetype: add\nobjectClass: classSchema\nlDAPDisplayName: testPerson\n"
        f"governsID: {_ARC}.2.1\nobjectClassCategory: 3\nsubClassOf: top\n{may}"
    )
    tie = f"dn: CN=User,{where}\nchangetype: modify\nadd: auxiliaryClass\nauxiliaryClass: testPerson\n"
    return "\n".join([*records, now, person, now, tie, now])


def _provisioned(domain: str) -> Path:
    """The folder of a domain that was provisioned for this very file and schema."""
    sources = [Path(__file__), *sorted(SCHEMA.glob("*.ldif")), SAMBA]
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    CACHE.mkdir(mode=0o700, exist_ok=True)
    ready = CACHE / f"{content}{domain}"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes want it at the same time
        if not ready.exists():
            for other in CACHE.glob("[0-9a-f]*"):
                if not other.name.startswith(content):
                    shutil.rmtree(other)
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="new-") as folder:
                _provision(Path(folder) / "dc")
                (Path(folder) / "dc").rename(ready)
    return ready


def _provision(folder: Path) -> None:
    folder.mkdir()
    (folder / "empty.conf").touch()  # else provisioning copies the shares out of /etc/samba/smb.conf
    _run([
        "samba-tool", "domain", "provision", "-s", str(folder / "empty.conf"), f"--targetdir={folder}",
        f"--realm={REALM}", "--domain=EXAMPLE", "--server-role=dc", "--dns-backend=SAMBA_INTERNAL", "--host-name=dc1",
        "--host-ip=127.0.0.1", f"--adminpass={ADMIN_PASSWORD}",
    ])  # fmt: skip
    with Samba(folder).begin() as server:
        server.modify(_TREE)
        for name in ("cec-agent", "h350"):
            server.modify(schema(name))
        server.modify(_syntaxes())
        server.tool("user", "create", "sync", SYNC_PASSWORD, "--userou=OU=services")
        server.tool("dsacl", "set", f"--objectdn={PEOPLE}", f"--sddl={(_RIGHTS + _CONTROL).format(sid=server.sid())}")
    for path in filter(Path.is_socket, list(folder.rglob("*"))):
        path.unlink()  # what is left of the server cannot be copied


def _sid(ldif: bytes) -> str:
    """A security identifier ([MS-DTYP] 2.4.2.2) out of `objectSid::`."""
    (line,) = [line for line in ldif.splitlines() if line.startswith(b"objectSid:: ")]
    octets = base64.b64decode(line.split()[1])
    rest = [int.from_bytes(octets[at : at + 4], "little") for at in range(8, len(octets), 4)]
    return "-".join(["S", str(octets[0]), str(int.from_bytes(octets[2:8], "big")), *map(str, rest)])


def person(name: str, *lines: str, classes: Iterable[str] = (), kind: str = "user") -> str:
    """One user below `OU=people` as an LDIF record, with these auxiliary classes."""
    kinds = "".join(f"objectClass: {each}\n" for each in (kind, *classes))
    head = f"dn: CN={name},{PEOPLE}\n{kinds}cn: {name}\nsAMAccountName: {name}\n"
    return head + "".join(f"{line}\n" for line in lines)
