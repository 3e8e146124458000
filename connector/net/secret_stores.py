"""Fetches a secret from wherever a job says it is kept: on this machine, or in HashiCorp Vault (KV version 2).

Vault: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
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
from connector.net.quoting import phrase
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
    from connector.net.http import Answer, Channel
    from connector.settings.job import LoadedJob

READABLE: Final = "other users of this machine can read this secret file"
WRITABLE: Final = (
    "other users of this machine can write here, and so change who approves plans"
)
_WAIT_SECONDS: Final = 10.0
_ALL_SECONDS: Final = 15.0
_MAX_OCTETS: Final = 1 << 20


def resolve(ref: SecretRef, what: str, where: str) -> Secret:
    """The secret itself. `what` says what it is for ("the app key"), `where` which line of the job asks for it.

    Raises FileError where there is none, and kinds of IncompleteRead where Vault cannot be asked or
    denies it. No message repeats a value.
    """
    if ref.vault is None:
        return resolve_secret(ref, what, where)
    return _Vault(ref.vault, what, where).read_secret()


class _Vault:
    """One look into Vault: with a token one request, as a role two."""

    def __init__(self, ref: VaultRef, what: str, where: str) -> None:
        self._ref = ref
        self._what = what
        self._where = where
        self._address = f"{ref.url}/v1/{ref.mount}/data/{ref.path}"

    def read_secret(self) -> Secret:
        """The text under the reference's key."""
        from connector.net.http import Channel, Limits  # noqa: PLC0415  # few jobs name Vault; it loads httpx

        headers = {"X-Vault-Request": "true"}
        if self._ref.namespace is not None:
            headers["X-Vault-Namespace"] = self._ref.namespace
        trusted = tls.context(self._ref.ca_file)
        limits = Limits(_WAIT_SECONDS, _MAX_OCTETS, "vault", _ALL_SECONDS)
        place = f"{self._ref.mount}/{self._ref.path}"
        with Channel(trusted, headers, limits) as channel:
            token = self._get_token(channel)
            answer = channel.exchange("GET", self._address, {"X-Vault-Token": token})
        if answer.status == 404:
            raise self._lacking(
                f"Vault has no secret at {place}, or its last version is deleted"
            )
        value = self._read_answer(answer, "data", "data").get(self._ref.key)
        if not isinstance(value, str) or not value:
            raise self._lacking(
                f"the secret {place} in Vault has no text under the key {self._ref.key}"
            )
        return Secret(value)

    def _lacking(self, why: str) -> FileError:
        return FileError(f"{self._what}: {why}", where=self._where)

    def _get_token(self, channel: Channel) -> str:
        role = self._ref.approle
        if role is not None:
            return self._log_in(channel, role)
        assert self._ref.token is not None
        what = f"{self._what}: the token of Vault"
        return text_of(resolve_secret(self._ref.token, what, self._where)).strip()

    def _log_in(self, channel: Channel, role: AppRole) -> str:
        what = f"{self._what}: the secret id of Vault's role"
        secret_id = resolve_secret(role.secret_id, what, self._where)
        proof = {"role_id": role.role_id, "secret_id": str(secret_id.reveal())}
        where = f"{self._ref.url}/v1/auth/{role.mount}/login"
        headers = {"Content-Type": "application/json"}
        answer = channel.exchange(
            "POST", where, headers, content=msgspec.json.encode(proof)
        )
        if answer.status == 400:  # so it answers a role or secret id that is wrong
            why = f"{self._what}: Vault refused the log-in of the role"
            raise DeniedError(why, where=where)
        token = self._read_answer(answer, "auth").get("client_token")
        if not isinstance(token, str) or not token:
            why = f"{self._what}: Vault's answer to the log-in holds no token"
            raise MalformedError(why, where=where)
        return token

    def _read_answer(self, answer: Answer, *keys: str) -> Mapping[str, Any]:
        """What stands under these keys of an answer of 200; errors in our words, for Vault's could repeat a value."""
        said = f"answered with {phrase(answer.status)}"
        kind = IncompleteRead
        if answer.status in (401, 403):
            kind, said = DeniedError, f"denied it ({phrase(answer.status)})"
        elif (
            answer.status in (429, 472, 473) or answer.status >= 500
        ):  # 503: it is sealed
            kind = UnreachableError
        if answer.status != 200:
            raise kind(f"{self._what}: Vault {said}", where=answer.where)
        try:
            held = msgspec.json.decode(answer.body)
        except NOT_JSON:
            held = None
        for key in keys:
            held = held.get(key) if isinstance(held, dict) else None
        if not isinstance(held, dict):
            why = f"{self._what}: not an answer of Vault (KV version 2)"
            raise MalformedError(why, where=answer.where)
        return held


# ---------------------------------------------------------------- what others may read or write


def open_to_others(job: LoadedJob) -> list[tuple[Path, str, str]]:
    """What others on this machine may read or write, and should not, in order; why, and what `chmod` is told.

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
        named = [path.absolute() for path in files if path]
        found += [
            (path, WRITABLE, "o-w,g-w")
            for path in sorted({*named, *(path.parent for path in named)})
            if _may_others(path, stat.S_IWOTH, stat.S_IWGRP)
        ]
    return found


def _may_others(path: Path, everybody: int, group: int) -> bool:
    """Whether others on this machine have one of these rights to a file; in a sticky folder they have none (chmod(1)).

    A group of this process's own may: Kubernetes mounts secrets as 0440 for the group of the pod
    (`fsGroup`).
    """
    with suppress(OSError):  # whoever reads it says so
        status = path.stat()
        is_ours = status.st_gid in {os.getegid(), *os.getgroups()}
        open_to = everybody if is_ours else everybody | group
        is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        return bool(status.st_mode & open_to) and not is_sticky
    return False


def _list_secret_files(settings: Strict) -> Iterator[Path]:
    for name, each in walk_parts(settings):
        if name == "key_file" and isinstance(each, Path):
            yield each
        if isinstance(each, Place) and (path := file_of(each)):
            yield path
