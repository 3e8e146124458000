"""What proves to a SCIM server who asks: a token, a user and password, an OAuth 2.0 client, or a certificate alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import quote_plus, urlencode

import msgspec
from msgspec import Struct

from connector.directories.scim.protocol import Request
from connector.errors import (
    NOT_JSON,
    DeniedError,
    FileError,
    MalformedError,
    NoTokenError,
)
from connector.model import Secret, text_of
from connector.net.http import HttpAnswer
from connector.net.quoting import looks_like, name_status
from connector.net.retry import TokenKeeper, parse_lifetime
from connector.settings.scim import ClientCredentials, ScimDirectory

Ask = Callable[[Request], HttpAnswer]
"""Sends a request whose `path` is a whole address; the answer, of any status that is left after
some patience."""
Credentials = Callable[[str | None], str]
"""Who asks, as the value of an Authorization header; empty where none is needed.

Given a value that was refused, it is another one; the same where there is no other. Raises a kind
of IncompleteRead where it has to be asked for, in vain."""

ASSUMED_SECONDS: Final = 300.0
"""What a token is taken to last if the answer does not say: `expires_in` is recommended only
(RFC 6749 §5.1)."""
ERRORS: Final = (
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope",
)  # fmt: skip
"""RFC 6749 §5.2; nothing else of an error's answer is told."""
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


def _make_token_request(settings: ClientCredentials, secret: str) -> Request:
    """The request for an access token by client credentials (RFC 6749 §4.4)."""
    form = {"grant_type": "client_credentials"}
    if settings.scope:
        form["scope"] = settings.scope
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    if settings.client_auth == "client_secret_post":
        form |= {"client_id": settings.client_id, "client_secret": secret}
    else:  # each of the two is encoded as in a form first (RFC 6749 §2.3.1)
        user, password = quote_plus(settings.client_id), quote_plus(secret)
        headers["Authorization"] = encode_basic(user, password)
    body = urlencode(form).encode()
    return Request(
        "POST", settings.token_url, body=body, headers=headers, repeatable=True
    )


class _TokenAnswer(Struct):
    access_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105  # a kind, which RFC 6749 §5.1 requires and some leave out
    expires_in: float | str | None = None
    error: str | None = None


def _fetch_token(ask: Ask, request: Request) -> tuple[str, float]:
    """A header's value and its seconds. Of the answer only the name of an error is told: it may be a token."""
    try:
        answer = ask(request)
    except MalformedError as fault:
        raise NoTokenError(fault.what, where=fault.where) from None
    try:
        read = msgspec.json.decode(answer.body, type=_TokenAnswer, strict=False)
    except NOT_JSON:
        read = _TokenAnswer()
    hint = looks_like(answer.body)
    if answer.status != 200:
        named = read.error if read.error in ERRORS else hint
        error = DeniedError if answer.status in (400, 401, 403) else NoTokenError
        why = f"no access token: {name_status(answer.status)}"
        raise error(f"{why} ({named})" if named else why, where=answer.where)
    token = read.access_token or ""
    if read.token_type.lower() != "bearer" or not _TOKEN.fullmatch(token):
        seen = hint or "its answer is not as in RFC 6749 §5.1"
        what = f"no usable access_token of the type Bearer ({seen})"
        raise NoTokenError(what, where=answer.where)
    return f"Bearer {token}", parse_lifetime(read.expires_in, ASSUMED_SECONDS)


def encode_basic(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617 §2), in UTF-8."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def make_credentials(
    settings: ScimDirectory,
    secret: Secret | None,
    clock: Callable[[], float],
    ask: Ask,
) -> Credentials:
    """Those of a job; `secret` is what its settings name. Raises FileError for a token that no header can carry."""
    text = text_of(secret) if secret is not None else ""
    if settings.oauth is not None:
        request = _make_token_request(settings.oauth, text)
        fetch = partial(_fetch_token, ask, request)
        return partial(TokenKeeper(clock).get_token, fetch)
    if settings.basic is not None:
        basic = encode_basic(settings.basic.user, text)
        return lambda _refused: basic
    if text and not _TOKEN.fullmatch(text):
        what = "holds a character that no header can carry"
        raise FileError(what, where="directory.token")
    bearer = f"Bearer {text}" if text else ""
    return lambda _refused: bearer
