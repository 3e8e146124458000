"""Lets in whoever has the token."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from django.conf import settings


def only_with_token(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Say whether the request's user is authenticated; django-scim2 answers 401 where it is not."""

    def middleware(request: Any) -> Any:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        good = kind.lower() == "bearer" and secrets.compare_digest(token, settings.SCIM_TOKEN)
        request.user = SimpleNamespace(is_authenticated=good)
        return get_response(request)

    return middleware
