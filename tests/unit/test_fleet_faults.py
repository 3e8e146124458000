"""What the SDK says of a connection that fails, as an error of this program: it tells the kinds by words alone."""

from __future__ import annotations

import pytest

from connector.errors import TemporalUnreachableError
from connector.fleet.client import translate_fault

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
def test_a_connection_that_the_other_side_cuts(said: str) -> None:
    fault = translate_fault(AFTER + said, "temporal.example.org:7233")
    assert isinstance(fault, TemporalUnreachableError)
    assert "the other side cuts it. It may want `tls`, or a client certificate (`cert_file`)" in str(fault)
