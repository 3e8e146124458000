"""Accounts that a directory refused, or has not taken yet: each attempt with a wrong password may lock them.

After a refusal no attempt is made before something has changed. Until a run has ended well,
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

from connector.settings.fields import Place, file_of
from connector.settings.job import Job

WAITING: Final = 86400.0
"""Seconds after which a refused account is tried again, though nothing that can be seen
here has changed."""
LOOK: Final = 2.0
"""Seconds between two looks at the files of a refused account."""

Mark = tuple[tuple[int, ...] | None, ...]


class Account(Struct, frozen=True):
    """Whom a job's runs log in as, and the files that prove it."""

    who: str
    """Empty: nobody, or somebody whom no directory locks."""
    files: tuple[Path, ...] = ()
    kept: Place | None = None
    """Where its secret is kept."""
    servers: frozenset[str] = frozenset()
    """Where it logs in, as far as two directories may each have an account of one name."""

    @classmethod
    def of(cls, job: Job) -> Self:
        directory = job.directory
        who, ref, servers = "", None, []
        if directory.type == "scim" and directory.basic is not None:
            who, ref, servers = (
                directory.basic.user,
                directory.basic.password,
                [directory.url],
            )
        elif directory.type == "scim" and directory.oauth is not None:
            who, ref = directory.oauth.client_id, directory.oauth.client_secret
            servers = [directory.oauth.token_url]
        elif directory.type == "ldap" and directory.sasl is None:
            who, ref = (directory.bind_dn or "").lower(), directory.password
            servers = [urlsplit(url).hostname or url for url in directory.urls]
        elif directory.type == "ldap" and directory.sasl == "gssapi":
            named = (
                os.environ.get(name) for name in ("KRB5_CLIENT_KTNAME", "KRB5CCNAME")
            )
            return cls(
                "Kerberos",
                tuple(Path(name.removeprefix("FILE:")) for name in named if name),
            )
        elif directory.type == "ldap":
            return cls(
                str(directory.cert_file), tuple(filter(None, (directory.cert_file,)))
            )
        path = file_of(ref) if ref else None
        return cls(
            who,
            (path,) if path else (),
            ref,
            frozenset(server.lower().rstrip("/") for server in servers),
        )

    def is_same(self, other: Account) -> bool:
        """Whether both are one account of a directory, wherever each job keeps its secret."""
        same_secret = self.kept is not None and self.kept == other.kept
        return (
            bool(self.who)
            and self.who == other.who
            and (
                self == other
                or same_secret
                or not self.servers.isdisjoint(other.servers)
            )
        )

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


class Accounts:
    """The accounts that were refused last, and those that were taken, with what was seen of them then.

    `clock`: seconds, steady. `by`: the command that keeps them, which forgets them at SIGHUP if it is `serve`.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, by: str = "serve"
    ) -> None:
        self._clock = clock
        self._by = by
        self._refused: dict[Account, _Refused] = {}
        self._taken: dict[Account, Mark] = {}

    def add(self, account: Account, mark: Mark) -> str:
        """A run that began with this mark was refused; a sentence on what is waited for."""
        until = (datetime.now(UTC) + timedelta(seconds=WAITING)).isoformat(
            timespec="seconds"
        )
        names = " or ".join(map(str, account.files))
        change = f"{names} changes" if names else "the secret is changed"
        again = "" if names else f" and `{self._by}` restarted"
        reread = " SIGHUP," if self._by == "serve" else ""
        why = (
            f"the server refused the account {account.who}. Its runs wait for {change}{again},{reread} or "
            f"{until}. Each further attempt could lock the account"
        )
        self._refused[account] = _Refused(mark, self._clock() + WAITING, why)
        self._taken = {
            each: mark
            for each, mark in self._taken.items()
            if not each.is_same(account)
        }
        return why

    def take(self, account: Account, mark: Mark) -> None:
        """A run that began with this mark has logged in."""
        self._taken[account] = mark

    def is_taken(self, account: Account) -> bool:
        """Whether a run has logged in since its files changed, and none was refused since."""
        return self._taken.get(account) == account.mark()

    def why(self, account: Account) -> str:
        """Why no run with this account may begin; empty: one may."""
        for each, refused in list(self._refused.items()):
            if refused.mark != each.mark() or self._clock() >= refused.until:
                del self._refused[each]
            elif each == account or each.is_same(account):
                return refused.why
        return ""

    def exclude(self, one: Account, other: Account) -> bool:
        """Whether runs of these have to wait for each other: they try one account that may not be taken."""
        return one.is_same(other) and not (self.is_taken(one) and self.is_taken(other))

    def forget(self) -> None:
        self._refused.clear()
        self._taken.clear()
