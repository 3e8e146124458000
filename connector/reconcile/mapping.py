"""The mapping as values: which agent is which user, and what is written where. `settings/mapping.py` reads the file."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from connector.model import View
from connector.reconcile.templates import Template

WhenAbsent = Literal["keep", "clear"]
Stale = Literal["report", "clear"]


class MatchRule(Struct, frozen=True):
    """An agent whose `agent` template gives a value that a user holds in the attribute `directory`."""

    agent: Template
    directory: str


class AttributeRule(Struct, frozen=True):
    """What is written into one attribute.

    `owns`: a glob (`*` alone is a wildcard) that says which values of a multi-valued attribute are ours. `unique`: one
    user at a time holds a value. `line`: where the mapping file says it, for messages.
    """

    name: str
    value: Template
    owns: str | None = None
    unique: bool = False
    secret: bool = False
    when_absent: WhenAbsent = "keep"
    line: int = 0


class Mapping(Struct, frozen=True):
    """Match rules in their order, attribute rules, and what goes for all of them. `where` names the file."""

    match: tuple[MatchRule, ...]
    attributes: tuple[AttributeRule, ...]
    object_classes: tuple[str, ...] = ()
    stale: Stale = "report"
    where: str = "mapping"

    def view(self) -> View:
        """What a reader has to bring of each user for this mapping."""
        names = dict.fromkeys([rule.directory for rule in self.match] + [rule.name for rule in self.attributes])
        secrets = frozenset(rule.name for rule in self.attributes if rule.secret)
        return View(tuple(names), secrets, self.object_classes)
