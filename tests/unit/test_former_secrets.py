"""What a job wrote as a secret, and a plan that would show it. Whole plans are in test_plan_heads.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import cast

import pytest

from connector.errors import FileError
from connector.model import AgentRef, AttributeChange, Change, Memory, UserRef
from connector.reconcile.checks.former_secrets import refuse
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule

ANN, BOB = UserRef("id-ann", "uid=ann"), UserRef("id-bob", "uid=bob")


class Known:
    """Of Ann's descriptions a job wrote those that begin with `pin:` as secrets."""

    def secrets(self, users: Collection[str]) -> Iterable[tuple[str, str, str | None]]:
        return [(ANN.id, "description", "pin:*")] if ANN.id in users else []


def judged(owns: str | None, *old: str, user: UserRef = ANN, name: str = "Description") -> None:
    seat = Template.parse("{workNo}")
    rules = tuple(AttributeRule(each, seat, owns=owns, line=4) for each in ("Description", "title"))
    mapping = Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), rules)
    change = Change(user, AgentRef(1, "ann"), 1, (AttributeChange(name, old, ("new",), pattern=owns),))
    refuse([change], mapping, cast("Memory", Known()))


@pytest.mark.parametrize("owns", [None, "*", "pin:1*", "*:1"])
def test_an_old_value_that_may_be_a_secret_of_a_job_is_refused_with_its_line(owns: str | None) -> None:
    with pytest.raises(FileError, match="Description of some users is a secret that a job wrote") as said:
        judged(owns, "old")
    assert said.value.where == "mapping:4"


def test_what_no_job_wrote_as_a_secret_or_no_change_shows_is_fine() -> None:
    judged("seat *", "seat 1")
    judged("*")
    judged("*", "old", user=BOB)
    judged("*", "old", name="title")
