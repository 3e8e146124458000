"""A connection to Temporal, as the fleet file says, and what Temporal's faults are here.

No message repeats what the other side says: only kinds and names that are known here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Final, TypeVar

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from connector.errors import (
    FileError,
    TemporalDeniedError,
    TemporalUnreachableError,
    UntrustedError,
)
from connector.model import text_of
from connector.net.secret_stores import resolve
from connector.net.tls import context
from connector.settings.fleet import LoadedFleet, Tls
from connector.settings.textfile import read_octets

T = TypeVar("T")
SECONDS: Final = 10.0
"""Seconds that a connection may take, and each call over it."""
CALL: Final = timedelta(seconds=SECONDS)
begun: Final = threading.Event()
"""Set as soon as the SDK has threads of its own. Then a process ends by `os._exit`: Python's
own end may crash it (https://github.com/temporalio/sdk-python/issues/300)."""
_CERTIFICATES: Final = {
    "UnknownIssuer": "its certificate is signed by an unknown authority",
    "NotValidForName": "its certificate carries another host name",
    "Expired": "its certificate has expired",
    "NotValidYet": "its certificate is not valid yet",
    "InvalidCertificate": "its certificate is not valid",
}
_CUT: Final = "the other side cuts the connection"
_CONNECTIONS: Final = {
    "InvalidContentType": "no TLS is spoken there",
    "dns error": "the host name is not known",
    "Connection refused": "nothing listens there (connection refused)",
    "HandshakeFailure": _CUT,
    "AlertReceived": _CUT,
    "transport error": _CUT,
    "connection closed": _CUT,
}
_DENIED: Final = {
    RPCStatusCode.UNAUTHENTICATED: "log-in refused",
    RPCStatusCode.PERMISSION_DENIED: "no permission",
}
_WORDS: Final = ("Unauthenticated", "PermissionDenied")


def ask(fleet: LoadedFleet, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do this, and hand back what it came to. Raises what `connect` and `told` do."""

    async def asked() -> T:
        with told(fleet):
            return await work(await connect(fleet))

    return asyncio.run(asked())


async def connect(fleet: LoadedFleet) -> Client:
    """A client of the fleet's namespace, which is there.

    Raises TemporalUnreachableError, TemporalDeniedError, UntrustedError; FileError where a
    file or a secret cannot be read, or there is no such namespace.
    """
    settings = fleet.settings
    key = settings.api_key and resolve(
        settings.api_key, "the API key", fleet.where("api_key")
    )
    tls = _tls(settings.tls) if settings.tls else False
    begun.set()
    with told(fleet):
        try:
            client = await asyncio.wait_for(
                Client.connect(
                    settings.address,
                    namespace=settings.namespace,
                    tls=tls,
                    api_key=text_of(key) if key else None,
                    runtime=_silent(),
                ),
                SECONDS,
            )
        except RuntimeError as fault:
            raise unconnected(str(fault), fleet) from None
        try:
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=settings.namespace), timeout=CALL
            )
        except RPCError as fault:
            if fault.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise FileError(
                f"namespace: {settings.address} has none of the name {settings.namespace}",
                where=fleet.where("namespace"),
            ) from None
    return client


@cache
def _silent() -> Runtime:
    """The SDK's own threads, which otherwise write their log to standard output."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


def _tls(tls: Tls) -> TLSConfig:
    """What the SDK is given, once Python has found it good: of a wrong file the SDK says only that nothing connects."""
    context(tls.ca_file, tls.cert_file, tls.key_file)
    ca, cert, key = (
        read_octets(path) if path else None
        for path in (tls.ca_file, tls.cert_file, tls.key_file)
    )
    return TLSConfig(
        server_root_ca_cert=ca,
        domain=tls.server_name,
        client_cert=cert,
        client_private_key=key,
    )


def unconnected(said: str, fleet: LoadedFleet) -> Exception:
    """What a failed connection is here. The SDK tells kinds of it by words alone."""
    address, tls = fleet.settings.address, fleet.settings.tls
    for word, why in _CERTIFICATES.items():
        if word in said:
            return UntrustedError(why, where=address)
    if any(word in said for word in _WORDS):
        return TemporalDeniedError("Temporal refuses the log-in", where=address)
    why = next(
        (why for word, why in _CONNECTIONS.items() if word in said), "no connection"
    )
    if why == _CUT:
        lacks = (
            ""
            if tls and tls.cert_file
            else "a client certificate (`cert_file`)"
            if tls
            else "`tls`"
        )
        why += f". It may want {lacks}" if lacks else ""
    return TemporalUnreachableError(why, where=address)


@contextmanager
def told(fleet: LoadedFleet) -> Iterator[None]:
    """Faults of Temporal, as errors of this program. Raises TemporalUnreachableError, TemporalDeniedError."""
    address = fleet.settings.address
    try:
        yield
    except TimeoutError:
        raise TemporalUnreachableError(
            f"no answer within {SECONDS:g} seconds", where=address
        ) from None
    except RPCError as fault:
        if why := _DENIED.get(fault.status):
            raise TemporalDeniedError(
                f"Temporal refuses this: {why}", where=address
            ) from None
        raise TemporalUnreachableError(
            f"Temporal cannot do this now ({fault.status.name})", where=address
        ) from None
