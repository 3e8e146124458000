"""A notice as a POST of JSON, signed as Standard Webhooks has it (https://www.standardwebhooks.com, symmetric, v1)."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from typing import Final

import msgspec

from connector.errors import DeniedError, IncompleteRead, UnreachableError
from connector.model import Secret
from connector.net import tls
from connector.net.http import ExchangeLimits, HttpChannel
from connector.net.quoting import name_status
from connector.observers.notices import Notice
from connector.settings.operations import Webhook

LIMITS: Final = ExchangeLimits(
    timeout=10.0, max_bytes=1 << 16, place="notify", in_all=15.0
)


def post_notice(settings: Webhook, secret: Secret, notice: Notice) -> None:
    """One attempt. Raises UnreachableError where another may help, and other kinds of IncompleteRead where not."""
    body = msgspec.json.encode(notice.body)
    headers = sign_message(secret, notice.id, int(time.time()), body)
    headers["Content-Type"] = "application/json"
    with HttpChannel(
        tls.open_tls_context(settings.ca_file), headers, LIMITS
    ) as receiver:
        status = receiver.exchange_once("POST", settings.url, {}, content=body).status
    if status // 100 == 2:
        return
    kind = IncompleteRead
    if status in (401, 403):
        kind = DeniedError
    elif status == 429 or status >= 500:
        kind = UnreachableError
    raise kind(f"the receiver answered with {name_status(status)}", where=settings.url)


def sign_message(
    secret: Secret, message: str, seconds: int, body: bytes
) -> dict[str, str]:
    """The three headers: id, time, and HMAC-SHA-256 over both and the body. A `whsec_` secret is Base64."""
    held = secret.reveal()
    key = held if isinstance(held, bytes) else held.encode()
    if key.startswith(b"whsec_"):
        try:
            key = base64.b64decode(key[6:], validate=True)
        except binascii.Error:
            key = key[6:]
    content = f"{message}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, "sha256").digest()).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }
