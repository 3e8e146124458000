"""A secret in HashiCorp Vault (KV version 2): https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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
from connector.net.http import Answer, Channel, Limits
from connector.net.quoting import phrase
from connector.settings.fields import AppRole, VaultRef, resolve_secret

LIMITS: Final = Limits(timeout=10.0, max_bytes=1 << 20, place="vault", in_all=15.0)


def read(ref: VaultRef, what: str, where: str) -> Secret:
    """The secret. `what` says what it is for, `where` which line of the job asks for it.

    Raises FileError where there is none, and kinds of IncompleteRead where Vault cannot be
    asked or denies it. No message repeats a value.
    """
    return _Vault(ref, what, where).read()


class _Vault:
    """One look into Vault: with a token one request, as a role two."""

    def __init__(self, ref: VaultRef, what: str, where: str) -> None:
        self._ref = ref
        self._what = what
        self._where = where
        self._address = f"{ref.url}/v1/{ref.mount}/data/{ref.path}"

    def read(self) -> Secret:
        headers = {"X-Vault-Request": "true"}
        if self._ref.namespace is not None:
            headers["X-Vault-Namespace"] = self._ref.namespace
        with Channel(tls.context(self._ref.ca_file), headers, LIMITS) as channel:
            token = self._token(channel)
            answer = channel.exchange("GET", self._address, {"X-Vault-Token": token})
            if answer.status == 404:
                why = f"Vault has no secret at {self._ref.mount}/{self._ref.path}, or its last version is deleted"
                raise FileError(f"{self._what}: {why}", where=self._where)
            held = self._answered(answer, "data", "data")
        value = held.get(self._ref.key)
        if not isinstance(value, str) or not value:
            why = f"the secret {self._ref.mount}/{self._ref.path} in Vault has no text under the key {self._ref.key}"
            raise FileError(f"{self._what}: {why}", where=self._where)
        return Secret(value)

    def _token(self, channel: Channel) -> str:
        role = self._ref.approle
        if role is not None:
            return self._logged_in(channel, role)
        assert self._ref.token is not None
        return text_of(
            resolve_secret(
                self._ref.token, f"{self._what}: the token of Vault", self._where
            )
        ).strip()

    def _logged_in(self, channel: Channel, role: AppRole) -> str:
        secret_id = resolve_secret(
            role.secret_id, f"{self._what}: the secret id of Vault's role", self._where
        )
        body = msgspec.json.encode(
            {"role_id": role.role_id, "secret_id": str(secret_id.reveal())}
        )
        where = f"{self._ref.url}/v1/auth/{role.mount}/login"
        answer = channel.exchange(
            "POST", where, {"Content-Type": "application/json"}, content=body
        )
        if answer.status == 400:  # so it answers a role or secret id that is wrong
            raise DeniedError(
                f"{self._what}: Vault refused the log-in of the role", where=where
            )
        token = self._answered(answer, "auth").get("client_token")
        if not isinstance(token, str) or not token:
            raise MalformedError(
                f"{self._what}: Vault's answer to the log-in holds no token",
                where=where,
            )
        return token

    def _answered(self, answer: Answer, *keys: str) -> Mapping[str, Any]:
        """What stands under these keys of an answer of 200; errors in our words, for Vault's could repeat a value."""
        if answer.status in (401, 403):
            raise DeniedError(
                f"{self._what}: Vault denied it ({phrase(answer.status)})",
                where=answer.where,
            )
        if (
            answer.status in (429, 472, 473) or answer.status >= 500
        ):  # 503: it is sealed
            raise UnreachableError(
                f"{self._what}: Vault answered with {phrase(answer.status)}",
                where=answer.where,
            )
        if answer.status != 200:
            raise IncompleteRead(
                f"{self._what}: Vault answered with {phrase(answer.status)}",
                where=answer.where,
            )
        try:
            held = msgspec.json.decode(answer.body)
        except NOT_JSON:
            held = None
        for key in keys:
            held = held.get(key) if isinstance(held, dict) else None
        if not isinstance(held, dict):
            raise MalformedError(
                f"{self._what}: not an answer of Vault (KV version 2)",
                where=answer.where,
            )
        return held
