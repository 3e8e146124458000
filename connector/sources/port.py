"""What a source is to the rest of the program, and sources that change what another one reads."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from connector.model import UNKNOWN_SECRET, Agent, Tenant, text_of

SHARED_BY: Final = 10
"""Agents of a tenant: so many do not have one password by chance."""
_MASK: Final = b""
"""Mark of a password of `*` alone."""


class Source(Protocol):
    """Where agents come from."""

    def read(self) -> Tenant:
        """Read the tenant, whole.

        A record that cannot be read is one `InvalidRecord` in it. Raises `IncompleteRead` (or one
        of its kinds) when the answer as a whole is missing, cut, malformed, or an error in
        disguise.
        """


class OnceSource:
    """Reads another source when it is first asked, so that several plans have the same agents."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self) -> Tenant:
        return self._first_read

    @cached_property
    def _first_read(self) -> Tenant:
        return self._source.read()


class AdjustedSource:
    """Reads all of another source, and adjusts what it read, one step after the other."""

    def __init__(self, source: Source, *steps: Callable[[Tenant], Tenant]) -> None:
        self._source = source
        self._steps = steps

    def read(self) -> Tenant:
        tenant = self._source.read()
        for step in self._steps:
            tenant = step(tenant)
        return tenant


def forget_hidden_secrets(tenant: Tenant, *, shared: bool) -> Tenant:
    """The tenant, whose masked or shared SIP passwords are unknown.

    A secret of `*` alone is unknown; so is one of ten agents or more, unless `shared`: an answer
    may hide all of them behind one text.
    """
    salt = os.urandom(16)
    marks = [_mark_secret(agent, salt) for agent in tenant.agents]
    unknown = {_MASK}
    if not shared:
        for mark, count in Counter(marks).items():
            if mark is not None and count >= SHARED_BY:
                unknown.add(mark)
    agents = [
        replace(agent, sip_pwd=UNKNOWN_SECRET) if mark in unknown else agent
        for agent, mark in zip(tenant.agents, marks, strict=True)
    ]
    unknown_count = sum(mark in unknown for mark in marks)
    return replace(tenant, agents=agents, unknown_secrets=unknown_count)


def _mark_secret(agent: Agent, salt: bytes) -> bytes | None:
    """Make a mark that agents of one secret share in this read; None without a secret."""
    if agent.sip_pwd is None:
        return None
    text = text_of(agent.sip_pwd)
    if not text.strip("*"):
        return _MASK
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=salt).digest()


def digest_tenant(tenant: Tenant, key: bytes) -> bytes:
    """A keyed digest of all that was read, secrets among it: another one after every change."""
    # of passwords nobody but the holder of the key can try any
    octets = msgspec.json.encode(tenant, enc_hook=text_of)
    return hashlib.blake2b(octets, key=key).digest()
