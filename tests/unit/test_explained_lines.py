"""Which lines of a plan an explanation gives for an attribute that stays as it is."""

from __future__ import annotations

import pytest

from connector.model import AgentRef, Problem
from connector.reconcile.explain.explanation import Lines

ANN = "uid=ann,dc=example,dc=org"
OWN = Problem("unreadable", "mail shows no value", AgentRef(1, "ann"), (ANN,), 1, "mail")
OF_ALL = Problem("unreadable", "sn cannot be read", attribute="sn")
TOGETHER = "mail, sn: held back with sn"


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        ((OWN, OF_ALL), "mail shows no value"),
        ((OF_ALL, Problem("together", TOGETHER)), "held back with sn"),
        ((OWN, OF_ALL, Problem("together", TOGETHER)), "mail shows no value"),
        ((OWN, Problem("together", TOGETHER, users=(ANN,))), "mail shows no value; held back with sn"),
        ((OF_ALL,), ""),
    ],
)
def test_a_line_of_all_is_given_where_the_user_has_none_of_its_own(
    problems: tuple[Problem, ...], expected: str
) -> None:
    assert Lines(problems=problems).why("mail") == expected
