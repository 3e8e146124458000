"""Fetches a secret from wherever a job says it is kept: on this machine, or in HashiCorp Vault (KV version 2).

Vault: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from connector.errors import (
    NOT_JSON,
    DeniedError,
    FileError,
    IncompleteRead,
    MalformedError,
    UnreachableError,
)
from connector.model import Secret, text_of
from connector.net import tls
from connector.net.quoting import name_status
from connector.settings.fields import (
    AppRole,
    Place,
    SecretRef,
    VaultRef,
    file_of,
    resolve_secret,
)
from connector.settings.shape import Strict, walk_parts

if TYPE_CHECKING:
    from connector.net.http import HttpAnswer, HttpChannel
    from connector.settings.job import LoadedJob

READABLE: Final = "other users of this machine can read this secret file"
WRITABLE: Final = (
    "other users of this machine can write here, and so change who approves plans"
)
_WAIT_SECONDS: Final = 10.0
_ALL_SECONDS: Final = 15.0
_MAX_OCTETS: Final = 1 << 20


def fetch_secret(ref: SecretRef, what: str, where: str) -> Secret:
    """Fetch the secret itself. `what` says what it is for ("the app key"), `where` which line of the job asks for it.

    Raises FileError where there is none, and kinds of IncompleteRead where Vault cannot be asked or
    denies it. No message repeats a value.
    """
    if ref.vault is None:
        return resolve_secret(ref, what, where)
    return _VaultLookup(ref.vault, what, where).read_secret()


class _VaultLookup:
    """One look into Vault: with a token one request, as a role two."""

    def __init__(self, ref: VaultRef, what: str, where: str) -> None:
        self._ref = ref
        self._what = what
        self._where = where

    def read_secret(self) -> Secret:
        """Read the text under the reference's key."""
        from connector.net.http import ExchangeLimits, HttpChannel  # noqa: PLC0415  # few jobs name Vault; it loads httpx

        ref = self._ref
        headers = {"X-Vault-Request": "true"}
        if ref.namespace is not None:
            headers["X-Vault-Namespace"] = ref.namespace
        limits = ExchangeLimits(_WAIT_SECONDS, _MAX_OCTETS, "vault", _ALL_SECONDS)
        with HttpChannel(tls.open_tls_context(ref.ca_file), headers, limits) as channel:
            proof = {"X-Vault-Token": self._get_token(channel)}
            address = f"{ref.url}/v1/{ref.mount}/data/{ref.path}"
            answer = channel.exchange_once("GET", address, proof)
        place = f"{ref.mount}/{ref.path}"
        if answer.status == 404:
            why = f"Vault has no secret at {place}, or its last version is deleted"
            raise FileError(f"{self._what}: {why}", where=self._where)
        secret = self._read_member(answer, "data", "data")
        value = secret.get(ref.key) if isinstance(secret, dict) else None
        if not isinstance(value, str) or not value:
            why = f"the secret {place} in Vault has no text under the key {ref.key}"
            raise FileError(f"{self._what}: {why}", where=self._where)
        return Secret(value)

    def _get_token(self, channel: HttpChannel) -> str:
        if self._ref.approle:
            return self._log_in(channel, self._ref.approle)
        assert self._ref.token
        what = f"{self._what}: the token of Vault"
        return text_of(resolve_secret(self._ref.token, what, self._where)).strip()

    def _log_in(self, channel: HttpChannel, role: AppRole) -> str:
        what = f"{self._what}: the secret id of Vault's role"
        secret_id = resolve_secret(role.secret_id, what, self._where)
        proof = {"role_id": role.role_id, "secret_id": text_of(secret_id)}
        where = f"{self._ref.url}/v1/auth/{role.mount}/login"
        headers = {"Content-Type": "application/json"}
        content = msgspec.json.encode(proof)
        answer = channel.exchange_once("POST", where, headers, content=content)
        if answer.status == 400:  # so it answers a role or secret id that is wrong
            why = f"{self._what}: Vault refused the log-in of the role"
            raise DeniedError(why, where=where)
        return str(self._read_member(answer, "auth", "client_token"))

    def _read_member(self, answer: HttpAnswer, outer: str, inner: str) -> Any:
        """Read a member of a member of a good answer; errors are in our words, for Vault's could repeat a value."""
        status = answer.status
        if status == 200:
            with suppress(*NOT_JSON, LookupError, TypeError):
                return msgspec.json.decode(answer.body)[outer][inner]
            why = f"{self._what}: not an answer of Vault (KV version 2)"
            raise MalformedError(why, where=answer.where)
        said = name_status(status)
        if status in (401, 403):
            why = f"{self._what}: Vault denied it ({said})"
            raise DeniedError(why, where=answer.where)
        may_pass = status in (429, 472, 473) or status >= 500  # 503: it is sealed
        kind = UnreachableError if may_pass else IncompleteRead
        raise kind(f"{self._what}: Vault answered with {said}", where=answer.where)


# ---------------------------------------------------------------- what others may read or write


def open_to_others(job: LoadedJob) -> list[tuple[Path, str, str]]:
    """List what others on this machine may read or write, and should not; why, and what `chmod` is told.

    Files of secrets and private keys; and where it is said who approves, with the folders of that.
    """
    found = [
        (path, READABLE, "o-r,g-r")
        for path in sorted(set(_list_secret_files(job.job)))
        if _may_others(path, stat.S_IROTH, stat.S_IRGRP)
    ]
    approvers = job.job.approvers
    if approvers:
        files = (job.path, approvers.allowed, approvers.revoked)
        named = {path.absolute() for path in files if path}
        found += [
            (path, WRITABLE, "o-w,g-w")
            for path in sorted(named.union(path.parent for path in named))
            if _may_others(path, stat.S_IWOTH, stat.S_IWGRP)
        ]
    return found


def _may_others(path: Path, everybody: int, group: int) -> bool:
    """Tell whether others on this machine have one of these rights to a file.

    A group of this process's own may: Kubernetes mounts secrets as 0440 for the group of the pod
    (`fsGroup`). In a sticky folder others have none (chmod(1)).
    """
    try:
        status = path.stat()
    except OSError:  # whoever reads it says so
        return False
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return False
    is_ours = status.st_gid in {os.getegid(), *os.getgroups()}
    return bool(status.st_mode & (everybody if is_ours else everybody | group))


def _list_secret_files(settings: Strict) -> Iterator[Path]:
    for name, each in walk_parts(settings):
        if name == "key_file" and isinstance(each, Path):
            yield each
        if isinstance(each, Place) and (path := file_of(each)):
            yield path
