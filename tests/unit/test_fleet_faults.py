"""What the SDK says of a connection that fails, as an error of this program: it tells the kinds by words alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from connector.fleet.client import unconnected
from connector.settings.fleet import LoadedFleet, Tls

AFTER = "Failed client connect: `get_system_info` call error after connection: Status { code: "
ENDS = [
    (
        'Unknown, message: "transport error", source: Some(tonic::transport::Error(Transport, hyper::Error(Io, Custom '
        '{ kind: UnexpectedEof, error: "peer closed connection without sending TLS close_notify" }))) }'
    ),
    (
        'Unknown, message: "transport error", source: Some(tonic::transport::Error(Transport, hyper::Error(Io, '
        "Kind(ConnectionReset)))) }"
    ),
    (
        'Unknown, message: "transport error", source: Some(tonic::transport::Error(Transport, hyper::Error(Io, Custom '
        '{ kind: BrokenPipe, error: "stream closed because of a broken pipe" }))) }'
    ),
    (
        'Cancelled, message: "operation was canceled", source: Some(tonic::transport::Error(Transport, hyper::Error('
        'Canceled, "connection closed"))) }'
    ),
]
"""How a server without a client's certificate ends a connection by TLS 1.3, as the SDK put it, by the moment."""


@pytest.mark.parametrize("said", ENDS)
@pytest.mark.parametrize(
    ("tls", "wants"), [(None, ". It may want `tls`"), (Tls(), ". It may want a client certificate (`cert_file`)")]
)
def test_a_connection_that_the_other_side_cuts(said: str, tls: Tls | None, wants: str) -> None:
    fleet = cast("LoadedFleet", SimpleNamespace(settings=SimpleNamespace(address="temporal.example.org:7233", tls=tls)))
    fault = unconnected(AFTER + said, fleet)
    assert f"the other side cuts the connection{wants}" in str(fault)
