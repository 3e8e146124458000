"""Accounts that a directory refused: another attempt may lock them, so none is made before something has changed."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from connector.settings.fields import Place
from connector.settings.job import Job
from connector.settings.secrets import file_of

WAITING: Final = 86400.0
"""Seconds after which a refused account is tried again, though nothing that can be seen here has changed."""
LOOK: Final = 2.0
"""Seconds between two looks at the files of a refused account."""

Mark = tuple[tuple[int, ...] | None, ...]


class Account(Struct, frozen=True):
    """Whom a job's runs log in as, and the files that prove it.

    `kept`: where its secret is kept, for two directories may each have an account of one name.
    """

    who: str
    files: tuple[Path, ...] = ()
    kept: Place | None = None

    @classmethod
    def of(cls, job: Job) -> Self:
        directory = job.directory
        who, ref = "", None
        if directory.type == "scim" and directory.basic is not None:
            who, ref = directory.basic.user, directory.basic.password
        elif directory.type == "ldap" and directory.sasl is None:
            who, ref = (directory.bind_dn or "").lower(), directory.password
        elif directory.type == "ldap" and directory.sasl == "gssapi":
            named = (os.environ.get(name) for name in ("KRB5_CLIENT_KTNAME", "KRB5CCNAME"))
            return cls("Kerberos", tuple(Path(name.removeprefix("FILE:")) for name in named if name))
        elif directory.type == "ldap":
            return cls(str(directory.cert_file), tuple(filter(None, (directory.cert_file,))))
        path = file_of(ref) if ref else None
        return cls(who, (path,) if path else (), ref)

    def mark(self) -> Mark:
        """Another one after every change of the files."""
        return tuple(_mark(path) for path in self.files)


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Refused(Struct, frozen=True):
    """`mark`: of the files as they were when the refused run began."""

    mark: Mark
    until: float
    why: str


class RefusedAccounts:
    """The accounts that were refused last, with what was seen of them then.

    `clock`: seconds, steady. `by`: the command that keeps them, which forgets them at SIGHUP if it is `serve`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, by: str = "serve") -> None:
        self._clock = clock
        self._by = by
        self._refused: dict[Account, _Refused] = {}

    def add(self, account: Account, mark: Mark) -> str:
        """A run that began with this mark was refused; a sentence on what is waited for."""
        until = (datetime.now(UTC) + timedelta(seconds=WAITING)).isoformat(timespec="seconds")
        names = " or ".join(map(str, account.files))
        change = f"{names} changes" if names else "the secret is changed"
        again = "" if names else f" and `{self._by}` restarted"
        reread = " SIGHUP," if self._by == "serve" else ""
        why = (
            f"the server refused the account {account.who}. Its runs wait for {change}{again},{reread} or "
            f"{until}. Each further attempt could lock the account"
        )
        self._refused[account] = _Refused(mark, self._clock() + WAITING, why)
        return why

    def why(self, account: Account) -> str:
        """Why no run with this account may begin; empty: one may."""
        found = self._refused.get(account)
        if found is None:
            return ""
        if found.mark != account.mark() or self._clock() >= found.until:
            del self._refused[account]
            return ""
        return found.why

    def forget(self) -> None:
        self._refused.clear()
