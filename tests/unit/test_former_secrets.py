"""What a job wrote as a secret, and a mapping that would show it. Whole plans are in test_plan_heads.py."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import cast

import pytest

from connector.errors import FileError
from connector.model import AgentRef, AttributeChange, Change, Memory, Owned, UserRef
from connector.reconcile.checks import former_secrets
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.stale.stale_users import Unclaimed

ANN = UserRef("id-ann", "uid=ann")


class Known:
    """Of Ann's descriptions a job wrote those that begin with `pin:` as secrets."""

    def secrets(self, users: Collection[str]) -> Iterable[tuple[str, str, str | None]]:
        return [(ANN.id, "description", "pin:*")] if ANN.id in users else []


MEMORY = cast("Memory", Known())


def mapping(owns: str, *, secret: bool = False) -> Mapping:
    rule = AttributeRule("Description", Template.parse("{workNo}"), owns=owns, secret=secret, line=4)
    return Mapping((MatchRule(Template.parse("{accountCode}"), "uid"),), (rule,))


def change(owns: str, *old: str) -> Change:
    attribute = AttributeChange("Description", old, ("new",), pattern=owns)
    return Change(ANN, AgentRef(1, "ann"), 1, (attribute,))


@pytest.mark.parametrize(("owns", "refused"), [("*", True), ("pin:1*", True), ("seat *", False)])
def test_values_of_other_patterns_are_no_secret(owns: str, refused: bool) -> None:
    wanted = mapping(owns)
    former_secrets.of_changes([change(owns)], wanted, MEMORY)
    stale = left(Owned("run", fingerprint="print", pattern="pin:*"))
    checks: list[Callable[[], None]] = [
        partial(former_secrets.of_changes, [change(owns, "old")], wanted, MEMORY),
        partial(former_secrets.of_user, ANN.id, wanted, MEMORY),
        partial(former_secrets.of_stale, [stale], wanted),
    ]
    for check in checks:
        if not refused:
            check()
            continue
        with pytest.raises(FileError, match="Add `secret: true`") as said:
            check()
        assert said.value.where == "mapping:4"
    former_secrets.of_user(ANN.id, mapping(owns, secret=True), MEMORY)


@pytest.mark.parametrize("owned", [Owned("run", ("digest",)), Owned("run", fingerprint="print", restored=True)])
def test_what_was_no_secret_or_was_taken_back_may_be_shown(owned: Owned) -> None:
    former_secrets.of_stale([left(owned)], mapping("*"))


def left(owned: Owned) -> Unclaimed:
    return Unclaimed(ANN, {"description": owned})
