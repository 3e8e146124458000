"""Proposals of match rules: what many near misses have in common, and that a rule is tried before it is proposed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.model import Agent, AgentRef, AttributeInfo, Description, Equality, Near, Problem, Tenant
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import Mapping, MatchRule
from connector.reconcile.matching.claims import Matched, Verdicts
from connector.reconcile.matching.proposals import MANY, proposed


def told(
    template: str, accounts: Sequence[str], values: Sequence[str], how: str, rule: Equality = Equality.CASE_IGNORE
) -> tuple[list[str], list[tuple[Near, ...]]]:
    """The proposals, and the near misses that are left, where each agent is near the user of the same place."""
    agents = [Agent(number, account) for number, account in enumerate(accounts)]
    lines = {
        number: Problem("unmatched", "why", AgentRef(number), near=(Near(f"uid={value}", "mail", value, how),))
        for number, value in enumerate(values)
    }
    described = Description("a directory", "here", {"mail": AttributeInfo("mail", equality=rule)})
    mapping = Mapping(match=(MatchRule(Template.parse(template), "mail"),), attributes=())
    verdicts = Verdicts(Matched(lambda _: (), 0), lines, {}, {}, 0, frozenset)
    found, proposals = proposed(verdicts, Tenant(agents), mapping, described)
    return [str(each) for each in proposals], [line.near for line in found.unmatched.values()]


NAMES = [f"ann{letter}" for letter in "abcdefg"]


@pytest.mark.parametrize(
    ("template", "accounts", "values", "how", "rule"),
    [
        ("{accountCode}@old.org", NAMES, [f"{name}@new.org" for name in NAMES], "domain", "{accountCode}@new.org"),
        ("{accountCode}", NAMES, [f"{name}@new.org" for name in NAMES], "domain", "{accountCode}@new.org"),
        ("{accountCode}@old.org", NAMES, NAMES, "domain", "{accountCode}"),
        (
            "{accountCode}", [f"{name}@old.org" for name in NAMES], [f"{name}@new.org" for name in NAMES], "domain",
            "{accountCode|before:'@'}@new.org",
        ),
        ("{accountCode}", [f"{name}@old.org" for name in NAMES], NAMES, "domain", "{accountCode|before:'@'}"),
        ("{accountCode}", [*"1234567"], [f"000{n}" for n in "1234567"], "leading zeros", "{accountCode|pad:4}"),
        ("{accountCode}", [f"000{n}" for n in "1234567"], [*"1234567"], "leading zeros", "{accountCode|unpad}"),
        (
            "{accountCode|pad:6}", [*"1234567"], [f"000000{n}" for n in "1234567"], "leading zeros",
            "{accountCode|pad:7}",
        ),
        ("x-{accountCode}@a.org", NAMES, [f"x-{name}@b.org" for name in NAMES], "domain", "x-{accountCode}@b.org"),
    ],
)  # fmt: skip
def test_what_they_have_in_common_is_proposed(
    template: str, accounts: list[str], values: list[str], how: str, rule: str
) -> None:
    proposals, left = told(template, accounts, values, how)
    assert proposals == [f"7 agents differ in {how} alone: add the rule `{rule}` to mail"]
    assert left == [()] * 7


def test_case_is_proposed_where_the_attribute_tells_cases_apart() -> None:
    proposals, _ = told("{accountCode}", [name.title() for name in NAMES], NAMES, "case", Equality.CASE_EXACT)
    assert proposals == ["7 agents differ in case alone: add the rule `{accountCode|lower}` to mail"]


def test_a_rule_that_gives_a_user_to_two_agents_counts_for_neither() -> None:
    values = [f"{name}@new.org" for name in NAMES[:MANY]]
    assert told("{accountCode}", NAMES[:MANY], values, "domain")[0]
    accounts, doubled = [*NAMES[:MANY], NAMES[0].upper()], [*values, values[0]]
    proposals, left = told("{accountCode}", accounts, doubled, "domain")
    assert proposals == []
    assert all(left)


def test_what_no_rule_gives_stays_as_it_is() -> None:
    values = [f"{name}x@new.org" for name in NAMES]
    assert told("{accountCode}", NAMES, values, "one edit")[0] == []
    assert told("{{{accountCode}", NAMES, [f"{name}@new.org" for name in NAMES], "domain")[0] == []


def test_several_rules_are_proposed_that_for_most_agents_first() -> None:
    names = [f"bob{letter}" for letter in "abcdefghijkl"]
    values = [f"{name}@{'one' if number < 5 else 'two'}.org" for number, name in enumerate(names)]
    proposals, left = told("{accountCode}", names, values, "domain")
    assert [each.partition(" ")[0] for each in proposals] == ["7", "5"]
    assert "`{accountCode}@two.org`" in proposals[0]
    assert not any(left)
