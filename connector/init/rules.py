"""Which match rules find a sample of the agents their users, tried by the same claims that a plan is made from."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from connector.matching.candidates import Candidates
from connector.matching.matches import Matches, settle_matches
from connector.matching.roster import AgentRoster
from connector.model import Agent, Description, Equality, Key, Tenant, User
from connector.model.mapping import Mapping, MatchRule
from connector.model.templates import Template

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
_ADDRESS: Final = re.compile(r".*@([a-z0-9][a-z0-9.-]*)", re.IGNORECASE)
MOST_RULES: Final = 3


class TriedRule(Struct, frozen=True):
    """A rule by itself."""

    rule: MatchRule
    matched: int
    """How many agents have exactly one user by it."""
    several: int
    """How many have several users or a rival."""
    barred: str = ""
    """Why it is not proposed; empty where it is."""


class RuleSample(Struct, frozen=True):
    """Some agents, the users that the candidates find for them, and what the directory says of its attributes."""

    tenant: Tenant
    users: Sequence[User]
    description: Description

    def match_users(self, rules: Sequence[MatchRule]) -> Matches:
        """Match the users by these rules."""
        mapping = Mapping(tuple(rules), ())
        roster = AgentRoster(
            self.tenant,
            mapping,
            (),
            self.description,
        )
        candidates = Candidates(roster, lambda agent, user, rule: None)
        for user in self.users:
            candidates.add_user(user)
        return settle_matches(candidates, self.tenant)

    def try_rules(self, rules: Sequence[MatchRule]) -> tuple[int, int]:
        """Count the agents with exactly one user by these rules, and the ambiguous or contested ones."""
        matches = self.match_users(rules)
        several = len(matches.ambiguous) + len(matches.contested)
        return len(matches.matched), several


def sample_agents(agents: Sequence[Agent], most: int) -> list[Agent]:
    """Choose at most so many agents that have an account, from the whole list evenly."""
    having = [agent for agent in agents if agent.account_code is not None]
    step = max(1, math.ceil(len(having) / most))
    return having[::step]


def list_candidates(
    attributes: Collection[str],
    tenant: Tenant,
    users: Sequence[User],
    description: Description,
) -> Iterator[MatchRule]:
    """Yield rules worth trying, the plainest first.

    They are the account in the spellings that the users' values suggest, the mail address, and the seat. A rule
    that gives these agents the values of one before it is left out.
    """
    codes = [agent.account_code for agent in tenant.agents if agent.account_code]
    has_mail = any(agent.account and agent.account.email for agent in tenant.agents)
    for attribute in attributes:
        held = _list_texts(users, attribute)
        is_exact = description.attributes[attribute].equality is Equality.CASE_EXACT
        seen = set()
        for text in (
            *_spell_accounts(
                codes,
                held,
                exact=is_exact,
            ),
            *(["{email}"] if has_mail else []),
            "{workNo}",
        ):
            rule = MatchRule(Template.parse(text), attribute)
            values = tuple(value for _, value in list_keys([rule], tenant))
            if values not in seen:
                seen.add(values)
                yield rule


def _list_texts(users: Sequence[User], attribute: str) -> list[str]:
    texts = []
    for user in users:
        values = user.values.get(attribute, ())
        texts += [value for value in values if isinstance(value, str)]
    return texts


def _spell_accounts(
    codes: Sequence[str],
    held: Sequence[str],
    *,
    exact: bool,
) -> list[str]:
    """List the account's spellings as templates, the plainest first.

    It is spelt without its domain, with zeros before it or without them, in one case, and with
    the users' domains.
    """
    local = "accountCode"
    if any("@" in code for code in codes):
        local = "accountCode|before:'@'"
    spellings = [local]
    numbers = [code.partition("@")[0] for code in codes]
    if any(number.isdigit() for number in numbers):
        spellings += [f"{local}|pad:{width}" for width in _list_widths(held)]
    if any(_ZEROS.fullmatch(number) for number in numbers):
        spellings.append(f"{local}|unpad")
    if exact:
        spellings += [f"{local}|lower", f"{local}|upper"]
    texts = [f"{{{each}}}" for each in ("accountCode", *spellings)]
    for domain in _list_domains(held):
        texts += [f"{{{each}}}@{domain}" for each in spellings]
    return texts


def _list_widths(values: Sequence[str]) -> list[int]:
    """List the commonest lengths of numbers with zeros before them."""
    numbers = [value.partition("@")[0] for value in values]
    widths = Counter(len(number) for number in numbers if _ZEROS.fullmatch(number))
    return [width for width, _ in widths.most_common(WIDTHS)]


def _list_domains(values: Sequence[str]) -> list[str]:
    """List the commonest mail domains."""
    found = [_ADDRESS.fullmatch(value) for value in values]
    domains = Counter(address[1].lower() for address in found if address)
    return [domain for domain, _ in domains.most_common(DOMAINS)]


def list_keys(rules: Sequence[MatchRule], tenant: Tenant) -> Iterator[Key]:
    """Yield what to look users up by, to try these rules."""
    for rule in rules:
        render = rule.agent.bind(tenant)
        for agent in tenant.agents:
            value = render(agent)
            if isinstance(value, str):
                yield rule.directory, value


def choose_rules(each: Sequence[TriedRule], sample: RuleSample) -> list[MatchRule]:
    """Choose rules in an order in which each finds users for agents left by those before it.

    A rule that makes agents ambiguous or contested is taken only if it finds more than it spoils.
    """
    rules: list[MatchRule] = []
    score = 0
    useful = [one.rule for one in each if one.matched and not one.barred]
    while useful and len(rules) < MOST_RULES:
        scores = []
        for rule in useful:
            matched, several = sample.try_rules([*rules, rule])
            scores.append(matched - several)
        highest = max(scores)
        if highest <= score:
            break
        score = highest
        rules.append(useful.pop(scores.index(highest)))
    return rules
