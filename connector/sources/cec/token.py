"""The access token: `POST` with the application's key and secret, as the vendor's page of `tokenByAkSk` says."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from connector.errors import NOT_JSON, DeniedError, MalformedError
from connector.net.http import Answer
from connector.net.quoting import looks_like
from connector.sources.cec.exchange import Exchange
from connector.sources.envelopes import envelope_in

ASKED_SECONDS: Final = 3600
"""What `X-Token-Expire` may ask for at most."""
ASSUMED_SECONDS: Final = 600
"""What a token is taken to last if the answer does not say; the page's sample says 600."""
MAX_OCTETS: Final = 1 << 16

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class _Token(Struct, rename="pascal"):
    access_token: Any = None
    expires: Any = None


def fetch(exchange: Exchange, path: str, credentials: bytes) -> tuple[str, int]:
    """A new token and its seconds. Raises DeniedError, or another kind of IncompleteRead."""
    headers = {"Content-Type": "application/json", "X-Token-Expire": str(ASKED_SECONDS)}
    answer = exchange.send("POST", path, headers, content=credentials, bound=MAX_OCTETS)
    if answer.status != 200:
        raise exchange.failure(answer, "the token call")
    return _read(exchange, answer)


def _read(exchange: Exchange, answer: Answer) -> tuple[str, int]:
    """The token and its seconds; no text of this answer but an envelope's is ever shown, for it may hold a token."""
    try:
        answered = msgspec.json.decode(answer.body, type=_Token)
    except NOT_JSON:
        answered = None
    if answered is None:
        hint = looks_like(answer.body) or "something else"
        what = f"the token call's answer is not a JSON object but {hint}"
        raise MalformedError(what, where=answer.where)
    if isinstance(answered.access_token, str) and _TOKEN.fullmatch(
        answered.access_token
    ):
        return answered.access_token, _seconds(answered.expires)
    envelope = envelope_in(answer.body)
    said = envelope.describe(exchange.hide, answer.body) if envelope else ""
    if said and not answered.access_token:
        raise DeniedError(f"the token call was refused: {said}", where=answer.where)
    raise MalformedError(
        "no usable AccessToken in the token call's answer", where=answer.where
    )


def _seconds(expires: object) -> int:
    """`Expires` is a string of seconds; a number is taken as well."""
    text = str(expires)
    return int(text) if _SECONDS.fullmatch(text) else ASSUMED_SECONDS
