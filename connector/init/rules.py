"""Which match rules find a sample of the agents their users, tried by the same claims that a plan is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from connector.model import Agent, Description, Held, Key, Tenant, User
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
MOST_RULES: Final = 3


class Tried(Struct, frozen=True):
    """A rule by itself: how many agents have exactly one user by it, and how many several users or a rival.

    `proposed` False: it finds people by a seat, which can be given to somebody else.
    """

    rule: MatchRule
    matched: int
    several: int
    proposed: bool


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


def candidates(attributes: Collection[str], agents: Sequence[Agent], users: Sequence[User]) -> Iterator[MatchRule]:
    """Rules worth trying, the plainest first: the account, the account with a domain of the users', the seat."""
    address = any("@" in (agent.account_code or "") for agent in agents)
    local = "{accountCode|before:'@'}" if address else "{accountCode}"
    texts = dict.fromkeys(["{accountCode}", local])
    for attribute in attributes:
        domains = _domains(held for user in users for held in user.values.get(attribute, ()))
        for text in (*texts, *(f"{local}@{domain}" for domain in domains), "{workNo}"):
            yield MatchRule(Template.parse(text), attribute)


def _domains(values: Iterator[Held]) -> list[str]:
    counted = Counter(value.rpartition("@")[2].lower() for value in values if isinstance(value, str) and "@" in value)
    plain = [domain for domain, _ in counted.most_common() if domain.replace(".", "").replace("-", "").isalnum()]
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
    useful = [one.rule for one in each if one.proposed and one.matched]
    while useful and len(rules) < MOST_RULES:
        scores = [matched - several for matched, several in (sample.try_([*rules, rule]) for rule in useful)]
        highest = max(scores)
        if highest <= score:
            break
        score = highest
        rules.append(useful.pop(scores.index(highest)))
    return rules
