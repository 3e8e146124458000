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


class AgentPattern(Struct, frozen=True):
    """Accounts that fit a pattern, in which `*` is any text and case does not count, or the seats of a range."""

    text: str
    account: str | None = None
    seats: range = range(0)

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """`p*`, `account:p*`, `seat:1000` or `seat:1000-1999`. Raises ValueError for anything else."""
        kind, colon, rest = text.partition(":")
        if not colon:
            kind, rest = "account", text
        if not rest or not text.isprintable() or kind not in ("account", "seat"):
            raise ValueError(
                "must be a pattern of accounts (p* or account:p*) or of seats (seat:1000-1999)"
            )
        if kind == "account":
            return cls(text, account=rest)
        found = _SEATS.fullmatch(rest)
        if found is None:
            raise ValueError("seats are numbers: seat:1000 or seat:1000-1999")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"the range ends before it begins: {first}-{last}")
        return cls(text, seats=range(first, last + 1))

    def fits_record(self, record: Agent | InvalidRecord) -> bool:
        if self.account is not None:
            return record.account_code is not None and is_owned(self.account)(
                record.account_code
            )
        return record.work_no is not None and record.work_no in self.seats


class JobAgents(Struct, frozen=True):
    """Whoever fits one of `only` (none: everybody), and none of `besides`."""

    only: Sequence[AgentPattern] = ()
    besides: Sequence[AgentPattern] = ()

    def takes_record(self, record: Agent | InvalidRecord) -> bool:
        within = not self.only or any(
            pattern.fits_record(record) for pattern in self.only
        )
        return within and not any(
            pattern.fits_record(record) for pattern in self.besides
        )

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
        patterns = [*self.only, *self.besides]
        accounts = record.account_code is not None or all(
            pattern.account is None for pattern in patterns
        )
        return accounts and (
            record.work_no is not None
            or all(pattern.account is not None for pattern in patterns)
        )

    def _describe_unused(self, tenant: Tenant) -> Iterator[str]:
        for key, patterns in (("only", self.only), ("except", self.besides)):
            for pattern in patterns:
                if not any(map(pattern.fits_record, tenant.agents)) and not any(
                    map(pattern.fits_record, tenant.invalid)
                ):
                    yield f"no agent fits {pattern.text!r} of source.{key}"
