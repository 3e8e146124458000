"""A source whose masked or shared SIP passwords are unknown: an answer may hide all of them behind one text."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from typing import Final

from msgspec.structs import replace

from connector.model import UNKNOWN_SECRET, Agent, Tenant, text_of
from connector.sources.port import Source

SHARED_BY: Final = 10
"""Agents of a tenant: so many do not have one password by chance."""


class UnknownSecretsSource:
    """Reads another source. A secret of `*` alone is unknown; so is one of ten agents or more, unless `shared`."""

    def __init__(self, source: Source, *, shared: bool) -> None:
        self._source = source
        self._shared = shared

    def read(self) -> Tenant:
        tenant, salt = self._source.read(), os.urandom(16)
        marks = [_mark(agent, salt) for agent in tenant.agents]
        unknown = (
            set()
            if self._shared
            else {mark for mark, times in Counter(marks).items() if times >= SHARED_BY}
        )
        unknown = (unknown | {b""}) - {None}
        if unknown.isdisjoint(marks):
            return tenant
        agents = [
            replace(agent, sip_pwd=UNKNOWN_SECRET) if mark in unknown else agent
            for agent, mark in zip(tenant.agents, marks, strict=True)
        ]
        return replace(
            tenant,
            agents=agents,
            unknown_secrets=sum(mark in unknown for mark in marks),
        )


def _mark(agent: Agent, salt: bytes) -> bytes | None:
    """The same for agents of one secret, for as long as this program runs; nothing of a mask, None without a secret."""
    if agent.sip_pwd is None:
        return None
    text = text_of(agent.sip_pwd)
    return (
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=salt).digest()
        if text.strip("*")
        else b""
    )
