"""Real SCIM servers in processes of their own, on loopback: what the SCIM tests talk to.

`ScimServer.start(folder, users)` gives scim2-server; with `kind="django-scim2"`, django-scim2. Both hold the extension
of `deploy/schema/scim` and the enterprise user (RFC 7643 §4.3). What they cannot is part of the test: django-scim2 has
no `add` and no `remove`, no ETags, no Bulk, no cursors, answers 501 and 500, and its errors' `status` is an integer.
"""

from __future__ import annotations

import json
import multiprocessing
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Self

import httpx
import pytest

from tests.support import scim_host
from tests.support.slapd import authority

Json = dict[str, Any]
Kind = Literal["scim2-server", "django-scim2"]
KINDS: tuple[Kind, ...] = ("scim2-server", "django-scim2")
EACH_KIND = ("scim2-server", pytest.param("django-scim2", marks=pytest.mark.slow))
"""The same as parameters of tests: one server is enough for the quick suite."""

PROJECT = Path(__file__).parents[2]
EXTENSION = PROJECT / "deploy" / "schema" / "scim" / "cec-extension.json"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CEC = "urn:ietf:params:scim:schemas:extension:cec:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
TOKEN = "scim-token-canary"

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "tests.support.scim_host", "tests.support.scim_reference", "tests.support.scim_django.host",
        "django.core.asgi", "django.db.backends.sqlite3.base",
        "uvicorn.loops.asyncio", "uvicorn.protocols.http.h11_impl",
    ]
)  # fmt: skip
"""Has loaded what the servers need, and forks off each of them: to import it takes three quarters of a start."""

_BASES: Mapping[Kind, str] = {"scim2-server": "/v2", "django-scim2": "/scim/v2"}


@dataclass(frozen=True)
class Asked:
    """A request that a server has answered. `edits`: what its operations would change, without their values."""

    method: str
    path: str
    status: int
    edits: list[Json]


class ScimServer:
    """One server. `url` is its base; `all`, `put` and `restore` go past SCIM, `patch` is the second writer."""

    token = TOKEN

    def __init__(
        self,
        folder: Path,
        *,
        kind: Kind = "scim2-server",
        features: Mapping[str, Any] | None = None,
        schemas: Iterable[Json] | None = None,
        tls: bool = False,
        client_certs: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.kind = folder, kind
        self.ca, self.client_cert, self.client_key = folder / "ca.pem", folder / "client.pem", folder / "client.key"
        self._tls = tls or client_certs
        self._process: BaseProcess | None = None
        self._certificates()
        options = {
            "kind": kind, "token": self.token, "features": dict(features or {}), "tls": self._tls,
            "schemas": [extension()] if schemas is None else list(schemas), "client_certs": client_certs,
        }  # fmt: skip
        (folder / "options.json").write_text(json.dumps(options))
        (folder / "server.log").touch()

    @classmethod
    def start(cls, folder: Path, users: Iterable[Json] = (), **options: Any) -> Self:
        """Start it with these users. `features` go over scim2-server's ServiceProviderConfig, `schemas` beside its own.

        `client_certs`: only a client with a certificate of the authority is let in (and has to have the token too).
        """
        server = cls(folder, **options)
        server.listen()
        server.put(users)
        return server

    def _certificates(self) -> None:
        trusted, server, client = authority()
        trusted.cert_pem.write_to_path(self.ca)
        for leaf, name in ((server, "server"), (client, "client")):
            leaf.private_key_pem.write_to_path(self.folder / f"{name}.key")
            leaf.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")

    def listen(self) -> None:
        """Start the process; it listens by the time that it tells its port."""
        telling, told = _forks.Pipe(duplex=False)
        with telling:
            with told:
                self._process = _forks.Process(target=scim_host.run, args=(self.folder, told), daemon=True)
                self._process.start()
            try:
                self.port = telling.recv()
            except EOFError:
                self.stop()
                raise RuntimeError(self.complaints()) from None
        self.root = f"{'https' if self._tls else 'http'}://localhost:{self.port}"
        self.url = self.root + _BASES[self.kind]

    def stop(self) -> None:
        """End it, and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(10)
        self.kill()  # it may wait for clients that hold their connections

    def kill(self) -> None:
        """Kill it where it stands."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(AttributeError):
            self._client.close()
        self.kill()

    def complaints(self) -> str:
        """What the server has written to its standard error."""
        return (self.folder / "server.log").read_text()

    # ------------------------------------------------------------ as a client

    @cached_property
    def _client(self) -> httpx.Client:
        verify: ssl.SSLContext | bool = False
        if self._tls:
            verify = ssl.create_default_context(cafile=str(self.ca))
            verify.load_cert_chain(self.client_cert, self.client_key)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        return httpx.Client(headers=headers, verify=verify, timeout=30, trust_env=False)

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request below `url`, which may fail."""
        return self._client.request(method, self.url + path, content=None if body is None else json.dumps(body))

    def get(self, id_: str) -> Json:
        """A user as SCIM shows it."""
        answer = self.ask("GET", f"/Users/{id_}")
        answer.raise_for_status()
        shown: Json = answer.json()
        return shown

    def patch(self, id_: str, *operations: Json) -> None:
        """Change a user by SCIM: operations with `op`, `path` and `value`."""
        body = {"schemas": [PATCH_OP], "Operations": operations}
        self.ask("PATCH", f"/Users/{id_}", body).raise_for_status()

    def delete(self, id_: str) -> None:
        """Take a user away."""
        self.ask("DELETE", f"/Users/{id_}").raise_for_status()

    # ------------------------------------------------------------ past SCIM

    def _behind(self, path: str, asked: Any = None) -> Any:
        answer = self._client.post(f"{self.root}/-/{path}", content=json.dumps(asked))
        answer.raise_for_status()
        return answer.json()

    def put(self, users: Iterable[Json]) -> list[str]:
        """Add users as SCIM would show them, secrets included. Their ids, in the order of the users."""
        ids: list[str] = self._behind("put", list(users))
        return ids

    def all(self) -> list[Json]:
        """Every user as it is stored, secrets included, in the order of the names, without `meta`."""
        users = [{name: value for name, value in user.items() if name != "meta"} for user in self._behind("stored")]
        return sorted(users, key=lambda user: str(user["userName"]))

    def stored(self, name: str) -> Json:
        """The user of this name as it is stored."""
        (user,) = [user for user in self.all() if user["userName"] == name]
        return user

    def restore(self, users: Iterable[Json]) -> None:
        """Let everything be as `all` once said it was."""
        self._behind("restore", list(users))

    def log(self) -> list[Asked]:
        """The requests so far, the tests' own (`ask`) among them."""
        return [Asked(**each) for each in self._behind("log")]

    def writes(self) -> list[Asked]:
        """Those that were to change something and were answered with a yes."""
        return [each for each in self.log() if each.method not in {"GET", "HEAD"} and each.status < 300]

    def forget(self) -> None:
        """Begin the log anew."""
        self._behind("forget")


def extension(urn: str = CEC) -> Json:
    """The shipped schema of the extension, perhaps under another URN."""
    document: Json = json.loads(EXTENSION.read_text())
    return json.loads(json.dumps(document).replace(document["id"], urn)) if urn != document["id"] else document


def user(number: int, **more: Any) -> Json:
    """An invented user, `agent001` and so on, with some attributes that nobody is to touch."""
    name = f"agent{number:03}"
    return {
        "schemas": [CORE],
        "userName": name,
        "name": {"givenName": "Example", "familyName": f"Person {number}"},
        "emails": [{"value": f"{name}@example.org", "type": "work", "primary": True}],
        "active": True,
    } | more


def people(count: int, **more: Any) -> list[Json]:
    """So many invented users."""
    return [user(number, **more) for number in range(1, count + 1)]
