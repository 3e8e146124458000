"""Accounts that a directory refused, or has not taken yet: each attempt with a wrong password may lock them.

After a refusal no attempt is made before something has changed. Until a run has logged in,
one is made at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from msgspec import Struct

from connector.serve.run_process import RunResult
from connector.settings.fields import Place, SecretRef, file_of
from connector.settings.job import Job

WAITING: Final = 86400.0
"""Seconds after which a refused account is tried again, though nothing that can be seen
here has changed."""
_TICKETS: Final = ("KRB5_CLIENT_KTNAME", "KRB5CCNAME")
"""Variables that name the files of Kerberos."""
Mark = tuple[tuple[int, ...] | None, ...]
"""Times, sizes and inodes of an account's files: another one after every change."""


class DirectoryAccount(Struct, frozen=True):
    """Whom a job's runs log in as, and the files that prove it."""

    who: str
    """Empty: nobody, or somebody whom no directory locks."""
    files: tuple[Path, ...] = ()
    kept: Place | None = None
    """Where its secret is kept."""
    servers: frozenset[str] = frozenset()
    """Where it logs in, as far as two directories may each have an account of one name."""

    @classmethod
    def of_job(cls, job: Job) -> Self:
        """The account of a job's directory."""
        directory = job.directory
        who, servers = "", list[str]()
        secret: SecretRef | None = None
        files: list[Path] = []
        if directory.type == "scim":
            basic, client = directory.basic, directory.oauth
            if basic:
                who, secret, servers = basic.user, basic.password, [directory.url]
            elif client:
                who, secret = client.client_id, client.client_secret
                servers = [client.token_url]
        elif directory.type == "ldap":
            certificate = directory.cert_file
            if directory.sasl == "gssapi":
                who = "Kerberos"
                tickets = [os.environ.get(name, "") for name in _TICKETS]
                files = [Path(name.removeprefix("FILE:")) for name in tickets if name]
            elif directory.sasl:
                who, files = str(certificate), [certificate] if certificate else []
            else:
                who, secret = (directory.bind_dn or "").lower(), directory.password
                servers = [urlsplit(url).hostname or url for url in directory.urls]
        path = file_of(secret) if secret else None
        if path:
            files.append(path)
        places = frozenset(server.lower().rstrip("/") for server in servers)
        return cls(who, tuple(files), secret, places)

    def is_same(self, other: DirectoryAccount) -> bool:
        """Whether both are one account of a directory, wherever each job keeps its secret."""
        if not self.who or self.who != other.who:
            return False
        if self == other or not self.servers.isdisjoint(other.servers):
            return True
        return self.kept is not None and self.kept == other.kept

    def read_mark(self) -> Mark:
        """The mark of its files as they are now."""
        return tuple(mark_file(path) for path in self.files)


def mark_file(path: Path) -> tuple[int, ...] | None:
    """Time, size and inode of a file; None: it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _LoginRecord(Struct, frozen=True):
    """What became of the last log-in to an account."""

    mark: Mark
    """Mark of the account's files when the run began."""
    why: str = ""
    """Why further runs wait; empty: it has logged in."""
    until: float = 0.0
    """When a refused account is tried again in any case, on the steady clock."""


class AccountBook:
    """The accounts that were refused last and those that logged in, with the marks of their files then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, steady."""
        self._clock = clock
        self._records: dict[DirectoryAccount, _LoginRecord] = {}

    def note_run(
        self,
        account: DirectoryAccount,
        mark: Mark,
        result: RunResult,
    ) -> str:
        """Note whether a run that began with this mark could log in; why further runs wait, or nothing."""
        if result.refused:
            return self.note_refusal(account, mark)
        summary = result.summary
        if summary is None:
            return ""
        has_read_directory = summary.exit_code in (0, 2, 4) or summary.plan.refusals
        if has_read_directory:
            self.note_login(account, mark)
        return ""

    def note_refusal(self, account: DirectoryAccount, mark: Mark) -> str:
        """Note that a run that began with this mark was refused; a sentence on what is waited for."""
        secret = " or ".join(map(str, account.files)) or "its secret"
        until = datetime.now(UTC) + timedelta(seconds=WAITING)
        why = (
            f"the server refused the account {account.who}. Its runs wait until {secret} changes, "
            f"this process is restarted, or it is {until.isoformat(timespec='seconds')}. "
            "Each further attempt could lock the account"
        )
        for other in list(self._records):
            if other.is_same(account):
                del self._records[other]
        self._records[account] = _LoginRecord(
            mark,
            why,
            self._clock() + WAITING,
        )
        return why

    def note_login(self, account: DirectoryAccount, mark: Mark) -> None:
        """Note that a run that began with this mark has logged in."""
        self._records[account] = _LoginRecord(mark)

    def is_taken(self, account: DirectoryAccount) -> bool:
        """Whether a run has logged in since its files changed, and none was refused since."""
        return self._records.get(account) == _LoginRecord(account.read_mark())

    def explain_waiting(self, account: DirectoryAccount) -> str:
        """Why no run with this account may begin; empty: one may."""
        for refused, record in list(self._records.items()):
            if not record.why or not (refused == account or refused.is_same(account)):
                continue
            if record.mark == refused.read_mark() and self._clock() < record.until:
                return record.why
            del self._records[refused]
        return ""

    def exclude_each_other(
        self, one: DirectoryAccount, other: DirectoryAccount
    ) -> bool:
        """Whether runs of these have to wait for each other: they try one account that may not be taken."""
        if not one.is_same(other):
            return False
        return not self.is_taken(one) or not self.is_taken(other)

    def forget_all(self) -> None:
        """Forget all, so that each account may be tried once more."""
        self._records.clear()
