"""slapd as the benchmarks need it: large, loaded in bulk, with a copy of its database to go back to."""

from __future__ import annotations

import hashlib
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Self

from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd

FILTER = "(objectClass=inetOrgPerson)"
PASSWORD = {"LDAP_PASSWORD": SYNC_PASSWORD}


class Server(Slapd):
    """`durable`: whether every write is on the disk before it is answered (the default of mdb), or not (`dbnosync`)."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        super().__init__(folder)
        config = folder / "slapd.conf"
        text = config.read_text()
        for old, new in (
            ("maxsize 1073741824", f"maxsize {16 << 30}"),
            ("dbnosync\n", "" if durable else "dbnosync\n"),
            ("entryUUID,cecAccountCode eq", "entryUUID,cecAccountCode,cecWorkNo,SIPIdentityUserName eq"),
        ):
            if old not in text:
                raise RuntimeError(f"tests/support/slapd.py no longer says {old!r}")
            text = text.replace(old, new)
        config.write_text(text)

    @classmethod
    def loaded(cls, folder: Path, ldif: Path, *, durable: bool = False) -> Self:
        """A running server with the entries of a file that begins with the tree."""
        server = cls(folder, durable=durable)
        command: list[str | Path] = ["slapadd", "-q", "-f", "slapd.conf", "-b", SUFFIX, "-l", ldif]
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        server.restart()
        return server

    def save(self) -> None:
        """Keep a copy of the database."""
        self.stop()
        self._copy("db/data.mdb", "saved.mdb")
        self.restart()

    def restore(self) -> None:
        """Go back to that copy, and have it on the disk and in memory, so that every round begins alike."""
        self.stop()
        self._copy("saved.mdb", "db/data.mdb")
        with (self.folder / "db" / "data.mdb").open("rb+") as file:
            os.fsync(file.fileno())
        self.restart()
        self.digest("1.1")

    def _copy(self, source: str, target: str) -> None:
        # slapadd -q leaves a file as long as the map, nearly all of it a hole, which cp copies as a hole
        subprocess.run(["cp", "--sparse=auto", source, target], cwd=self.folder, check=True)

    def spent(self) -> float:
        """Seconds of processor that the server has used since it was started."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def login(self) -> list[str]:
        """Options of OpenLDAP's tools that bind as the account that the connector has."""
        return ["-x", "-H", self.url, "-D", SYNC, "-w", SYNC_PASSWORD]

    def ldapsearch(self, *options: str, filter_: str = FILTER) -> list[str]:
        """The command that prints users; `options` go before the filter, and attributes are still to be named."""
        return ["ldapsearch", *self.login(), "-LLL", "-b", PEOPLE, *options, filter_]

    def digest(self, *attributes: str) -> tuple[int, str]:
        """How many users there are, and a digest of what they hold, as the administrator sees it."""
        command = [*self.ldapsearch("-o", "ldif-wrap=no"), *attributes]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            counted = digest_of(process.stdout)
        if process.returncode:
            raise RuntimeError(f"ldapsearch ended with {process.returncode}")
        return counted


def digest_of(lines: Iterable[bytes]) -> tuple[int, str]:
    """The number of LDIF records, and a digest that knows no order of records nor of the lines in one."""
    count, total = 0, 0
    record: list[bytes] = []
    for line in chain(lines, (b"\n",)):
        if line != b"\n":
            record.append(_plain(line))
        elif record:
            count += 1
            total += int.from_bytes(hashlib.sha256(b"".join(sorted(record))).digest(), "big")
            record.clear()
    return count, f"{total % (1 << 256):064x}"


def _plain(line: bytes) -> bytes:
    """The line of LDIF with its value as it is: base64 marks what is not ASCII (RFC 2849)."""
    name, mark, value = line.partition(b":: ")
    return name + b": " + b64decode(value) + b"\n" if mark else line
