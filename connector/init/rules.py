"""Which match rules find a sample of the agents their users, tried by the same claims that a plan is made from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from connector.model import Agent, Description, Equality, Key, Tenant, User
from connector.reconcile.diff.differences import Differ
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import Mapping, MatchRule
from connector.reconcile.matching.claims import Claims, Verdicts
from connector.reconcile.matching.roster import Roster

ATTRIBUTES: Final = (
    "uid",
    "sAMAccountName",
    "userPrincipalName",
    "mail",
    "cn",
    "employeeNumber",
    "employeeID",
)
SCIM_ATTRIBUTES: Final = (
    "userName",
    "emails.value",
    "externalId",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
)
"""Where directories keep what people log in with, or are known by."""
DOMAINS: Final = 3
WIDTHS: Final = 2
_ZEROS: Final = re.compile(r"0[0-9]{0,63}")
"""A number with zeros before it."""
MOST_RULES: Final = 3


class Tried(Struct, frozen=True):
    """A rule by itself: how many agents have exactly one user by it, and how many several users or a rival.

    `barred`: why it is not proposed; empty where it is.
    """

    rule: MatchRule
    matched: int
    several: int
    barred: str = ""


class Sample(Struct, frozen=True):
    """Some agents, the users that the candidates find for them, and what the directory says of its attributes."""

    tenant: Tenant
    users: Sequence[User]
    description: Description

    def verdicts(self, mapping: Mapping) -> Verdicts:
        roster = Roster(self.tenant, mapping, (), self.description)
        claims = Claims(roster, Differ(self.tenant, mapping, self.description))
        for user in self.users:
            claims.add(user)
        return claims.settle(self.tenant)

    def try_(self, rules: Sequence[MatchRule]) -> tuple[int, int]:
        """How many agents have exactly one user by these rules, and how many are ambiguous or contested."""
        verdicts = self.verdicts(Mapping(tuple(rules), ()))
        return len(verdicts.matched), len(verdicts.ambiguous) + len(verdicts.contested)


def some(agents: Sequence[Agent], most: int) -> list[Agent]:
    """At most so many agents that have an account, from the whole list evenly."""
    having = [agent for agent in agents if agent.account_code is not None]
    step = max(1, -(-len(having) // most))
    return having[::step]


def candidates(
    attributes: Collection[str],
    agents: Sequence[Agent],
    users: Sequence[User],
    description: Description,
) -> Iterator[MatchRule]:
    """Rules worth trying, the plainest first: the account in the spellings that the users' values suggest, the seat.

    A rule that gives these agents the values of one before it is left out.
    """
    tenant = Tenant(list(agents))
    codes = [agent.account_code for agent in agents if agent.account_code]
    for attribute in attributes:
        held = [
            value
            for user in users
            for value in user.values.get(attribute, ())
            if isinstance(value, str)
        ]
        exact = description.attributes[attribute].equality is Equality.CASE_EXACT
        seen = set()
        for text in (*_forms(codes, held, exact=exact), "{workNo}"):
            rule = MatchRule(Template.parse(text), attribute)
            values = tuple(value for _, value in keys([rule], tenant))
            if values not in seen:
                seen.add(values)
                yield rule


def _forms(codes: Sequence[str], held: Sequence[str], *, exact: bool) -> list[str]:
    """The account, without its domain, with zeros before it or without them, in one case, with the users' domains."""
    local = (
        "accountCode|before:'@'"
        if any("@" in code for code in codes)
        else "accountCode"
    )
    spelt = [local]
    zeros = Counter(
        len(number)
        for number in (value.partition("@")[0] for value in held)
        if _ZEROS.fullmatch(number)
    )
    if any(code.partition("@")[0].isdigit() for code in codes):
        spelt += [f"{local}|pad:{width}" for width, _ in zeros.most_common(WIDTHS)]
    if any(_ZEROS.fullmatch(code.partition("@")[0]) for code in codes):
        spelt.append(f"{local}|unpad")
    if exact:
        spelt += [f"{local}|lower", f"{local}|upper"]
    plain = [f"{{{each}}}" for each in ("accountCode", *spelt)]
    return [
        *dict.fromkeys(plain),
        *(f"{{{each}}}@{domain}" for domain in _domains(held) for each in spelt),
    ]


def _domains(values: Sequence[str]) -> list[str]:
    counted = Counter(
        value.rpartition("@")[2].lower() for value in values if "@" in value
    )
    plain = [
        domain
        for domain, _ in counted.most_common()
        if domain.replace(".", "").replace("-", "").isalnum()
    ]
    return plain[:DOMAINS]


def keys(rules: Sequence[MatchRule], tenant: Tenant) -> Iterator[Key]:
    """What to look users up by, to try these rules."""
    for rule in rules:
        render = rule.agent.bind(tenant)
        for agent in tenant.agents:
            value = render(agent)
            if isinstance(value, str):
                yield rule.directory, value


def best(each: Sequence[Tried], sample: Sample) -> list[MatchRule]:
    """Rules in an order in which each finds users for agents that those before it leave without one.

    A rule that makes agents ambiguous or contested is taken only if it finds more than it spoils.
    """
    rules: list[MatchRule] = []
    score = 0
    useful = [one.rule for one in each if one.matched and not one.barred]
    while useful and len(rules) < MOST_RULES:
        scores = [
            matched - several
            for matched, several in (sample.try_([*rules, rule]) for rule in useful)
        ]
        highest = max(scores)
        if highest <= score:
            break
        score = highest
        rules.append(useful.pop(scores.index(highest)))
    return rules
