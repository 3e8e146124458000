"""The agents of a tenant that are a job's: `source.only` and `source.except`, patterns of accounts and ranges of seats.

The rest are read and matched like all others. So they still contest, and their users are
nobody's to clear; but they are not written, not listed and not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.model import Agent, InvalidRecord, Tenant
from connector.model.patterns import is_owned

_SEATS: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


_KINDS: Final = ("account", "seat", "agent_type", "role", "skill")
_LISTED: Final = {"agent_type": "agentType", "role": "role", "skill": "skill"}
"""Kinds that the tenant's account list tells, with its fields."""


class AgentPattern(Struct, frozen=True):
    """Accounts, types, roles or skills that fit a glob (`*` is any text, case does not count), or a range of seats."""

    text: str
    kind: str
    glob: str = ""
    seats: range = range(0)

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """`p*`, `account:p*`, `seat:1000` or `seat:1000-1999`. Raises ValueError for anything else."""
        kind, colon, rest = text.partition(":")
        if not colon:
            kind, rest = "account", text
        if not rest or not text.isprintable() or kind not in _KINDS:
            raise ValueError(
                "must be a pattern of accounts (p* or account:p*), seats (seat:1000-1999), "
                "agent_type:…, role:… or skill:…"
            )
        if kind != "seat":
            return cls(text, kind, rest)
        found = _SEATS.fullmatch(rest)
        if found is None:
            raise ValueError("seats are numbers: seat:1000 or seat:1000-1999")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"the range ends before it begins: {first}-{last}")
        return cls(text, kind, seats=range(first, last + 1))

    @property
    def field(self) -> str | None:
        """The field of the account list that it looks at; None: it needs no list."""
        return _LISTED.get(self.kind)

    def fits_record(self, record: Agent | InvalidRecord) -> bool:
        if self.kind == "seat":
            return record.work_no is not None and record.work_no in self.seats
        return any(map(is_owned(self.glob), self._list_texts(record)))

    def _list_texts(self, record: Agent | InvalidRecord) -> tuple[str, ...]:
        if self.kind == "account":
            return (record.account_code,) if record.account_code else ()
        if isinstance(record, InvalidRecord) or record.account is None:
            return ()
        account = record.account
        if self.kind == "skill":
            return account.skills
        text = account.role if self.kind == "role" else account.agent_type
        return (text,) if text else ()


class JobAgents(Struct, frozen=True):
    """Whoever fits one of `only` (none: everybody), and none of `besides`."""

    only: Sequence[AgentPattern] = ()
    besides: Sequence[AgentPattern] = ()

    def takes_record(self, record: Agent | InvalidRecord) -> bool:
        """Whether it is the job's. An agent of whom the account list does not tell enough is not."""
        if isinstance(record, Agent) and record.has_unknown(self.account_fields):
            return False
        within = not self.only or any(
            pattern.fits_record(record) for pattern in self.only
        )
        return within and not any(
            pattern.fits_record(record) for pattern in self.besides
        )

    @property
    def account_fields(self) -> frozenset[str]:
        """The fields of the account list that the patterns look at."""
        fields = [pattern.field for pattern in (*self.only, *self.besides)]
        return frozenset(field for field in fields if field is not None)

    def mark_others(self, tenant: Tenant) -> Tenant:
        """The tenant, with whoever is not this job's marked. A record is this job's, too, where nobody can tell."""
        others = frozenset(
            number
            for number, agent in enumerate(tenant.agents)
            if not self.takes_record(agent)
        )
        invalid, apart = list[InvalidRecord](), list[InvalidRecord]()
        for record in tenant.invalid:
            (
                apart
                if self._is_known(record) and not self.takes_record(record)
                else invalid
            ).append(record)
        notes = [*tenant.notes, *self._describe_unused(tenant)]
        return replace(
            tenant,
            invalid=invalid,
            others=others,
            others_invalid=apart,
            notes=notes,
        )

    def _is_known(self, record: InvalidRecord) -> bool:
        """Whether what the patterns look at could be read."""
        known = {"account": record.account_code, "seat": record.work_no}
        patterns = [*self.only, *self.besides]
        return all(known.get(pattern.kind) is not None for pattern in patterns)

    def _describe_unused(self, tenant: Tenant) -> Iterator[str]:
        for key, patterns in (("only", self.only), ("except", self.besides)):
            for pattern in patterns:
                if not any(map(pattern.fits_record, tenant.agents)) and not any(
                    map(pattern.fits_record, tenant.invalid)
                ):
                    yield f"no agent fits {pattern.text!r} of source.{key}"
