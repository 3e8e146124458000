"""The mapping as values: which agent is which user, and what is written where. `settings/mapping_file.py` reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct

from connector.model import Agent, Tenant, View
from connector.model.templates import ACCOUNT_FIELDS, Template

WhenAbsent = Literal["keep", "clear"]
Groups = tuple[tuple[str, ...], ...]
"""Attributes that belong together, group by group, each in the order of the mapping."""
SIP: Final = "sip"
"""The group of a user's SIP identity."""
Disabled = Literal["report", "clear"]


class Grace(Struct, frozen=True):
    """How long a user may be nobody's before our values are cleared: so many runs, or so many days."""

    number: int
    unit: Literal["runs", "days"]

    def __str__(self) -> str:
        return f"{self.number} {self.unit if self.number != 1 else self.unit[:-1]}"

    def describe_left(
        self,
        waited: timedelta,
        runs: int,
    ) -> str:
        """What is left for a user seen so for so long and in so many runs, as the end of a sentence, or nothing."""
        if self.unit == "runs":
            return (
                ""
                if runs >= self.number
                else f" (seen by {runs} applies; cleared after {self.number})"
            )
        return (
            ""
            if waited >= timedelta(days=self.number)
            else f" (cleared {self} after the first apply that sees it)"
        )


Stale = Literal["report", "clear"] | Grace


class MatchRule(Struct, frozen=True):
    """An agent whose template gives a value that a user holds in an attribute."""

    agent: Template
    directory: str
    """The attribute."""
    line: int = 0
    """Where the mapping file names it, for messages."""


class AttributeRule(Struct, frozen=True):
    """What is written into one attribute."""

    name: str
    value: Template
    owns: str | None = None
    """Globs (`*` alone is a wildcard, a line each) that say which of its values are
    ours."""
    unique: bool = False
    """One user at a time holds a value."""
    secret: bool = False
    when_absent: WhenAbsent = "keep"
    adopt: bool = False
    """Whatever it holds counts as written by us, so that a user who holds some and whom
    nobody claims is stale."""
    take_over: bool = False
    """It is written also where another job wrote last."""
    together: str | None = None
    """The group that it belongs to. Empty: none. None: that of the SIP identity, if a
    template of it names a `sip…` field."""
    line: int = 0
    """Where the mapping file says it, for messages."""
    more: tuple[Template, ...] = ()
    """Further templates of a multi-valued attribute, which holds what each of them
    makes."""

    @property
    def templates(self) -> tuple[Template, ...]:
        return (self.value, *self.more)

    @property
    def fields(self) -> frozenset[str]:
        return self.value.fields.union(*(template.fields for template in self.more))

    def missing(self, tenant: Tenant) -> frozenset[str]:
        return self.value.missing(tenant).union(
            *(template.missing(tenant) for template in self.more)
        )

    def find_missing(
        self,
        agent: Agent,
        tenant: Tenant,
    ) -> tuple[str, ...]:
        """The fields of which nothing is left for this agent, so that a template makes no value."""
        return tuple(
            dict.fromkeys(
                field
                for each in self.templates
                for field in each.find_missing(agent, tenant)
            )
        )

    @property
    def group(self) -> str:
        """The group that it is written with; empty: it stands alone."""
        if self.together is not None:
            return self.together
        return SIP if any(field.startswith("sip") for field in self.fields) else ""


class Mapping(Struct, frozen=True):
    """Match rules in their order, attribute rules, and what goes for all of them."""

    match: tuple[MatchRule, ...]
    attributes: tuple[AttributeRule, ...]
    object_classes: tuple[str, ...] = ()
    stale: Stale = "report"
    disabled: Disabled = "report"
    """What becomes of our values of users whom the filter leaves out since they are
    disabled."""
    where: str = "mapping"
    """Names the file."""
    class_lines: dict[str, int] = {}
    """Where the file names each object class."""

    @property
    def clears(self) -> bool:
        return (self.stale, self.disabled) != ("report", "report")

    @property
    def adopting(self) -> tuple[str, ...]:
        return tuple(rule.name for rule in self.attributes if rule.adopt)

    @property
    def groups(self) -> Groups:
        """The attributes of which a user gets all or none; one alone is no group."""
        found: dict[str, list[str]] = {}
        for rule in self.attributes:
            if rule.group:
                found.setdefault(rule.group, []).append(rule.name)
        return tuple(tuple(names) for names in found.values() if len(names) > 1)

    @property
    def told_by(self) -> tuple[str, ...]:
        """The attributes that tell whose values a user has: unique ones, then those with the SIP number, it last."""
        ranks = {rule.name: _rank(rule) for rule in self.attributes}
        return tuple(
            sorted(
                (name for name, rank in ranks.items() if rank),
                key=lambda name: ranks[name],
            )
        )

    @property
    def passwords(self) -> bool:
        templates = [rule.agent for rule in self.match]
        templates += [
            template for rule in self.attributes for template in rule.templates
        ]
        return any(template.secret for template in templates)

    @property
    def account_fields(self) -> frozenset[str]:
        """The fields of the tenant's account list that a rule or an attribute names."""
        named: set[str] = set()
        for match_rule in self.match:
            named |= match_rule.agent.fields
        for attribute_rule in self.attributes:
            named |= attribute_rule.fields
        return frozenset(named.intersection(ACCOUNT_FIELDS))

    def view(self) -> View:
        names = dict.fromkeys(
            [rule.directory for rule in self.match]
            + [rule.name for rule in self.attributes]
        )
        secrets = frozenset(rule.name for rule in self.attributes if rule.secret)
        return View(
            tuple(names),
            secrets,
            self.object_classes,
            disabled=self.disabled == "clear",
        )


def _rank(rule: AttributeRule) -> int:
    if "sipAccount" not in rule.fields:
        return int(rule.unique)
    return 3 if len(rule.fields) == 1 and rule.owns in (None, "*") else 2
