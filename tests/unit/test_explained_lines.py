"""Which lines of a plan an explanation gives for an attribute that stays as it is."""

from __future__ import annotations

import pytest

from connector.model import AgentRef, Equality, Problem
from connector.planning.explanation import RenderedTemplate, TemplatePart, UserLines

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
        ((OWN, Problem("exclude", "on the exclude list")), "mail shows no value"),
        ((OF_ALL, Problem("exclude", "on the exclude list")), "on the exclude list"),
        ((Problem("unreadable", "mail cannot be read", attribute="mail"), Problem("together", TOGETHER)),
         "mail cannot be read; held back with sn"),
        ((OWN, Problem("tenant", "of all", attribute="mail"), Problem("together", TOGETHER)),
         "mail shows no value; of all"),
        ((Problem("unreadable", "sn shows no value", users=(ANN,), attribute="sn"), Problem("together", TOGETHER)),
         "held back with sn"),
    ],
)  # fmt: skip
def test_a_line_of_all_is_given_where_the_user_has_none_of_its_own(
    problems: tuple[Problem, ...], expected: str
) -> None:
    assert UserLines(problems=problems).give_reason("mail") == expected


def test_fields_are_absent_of_which_the_last_step_leaves_nothing() -> None:
    steps = (("lower", "b"), ("after:'x'", None))
    parts = (
        TemplatePart("a", "A", (("lower", "a"),)),
        TemplatePart("b", "B", steps),
        TemplatePart("c", None),
        TemplatePart("d", "D"),
    )
    assert [part.last_value for part in parts] == ["a", None, None, "D"]
    assert RenderedTemplate("", parts, None, Equality.CASE_IGNORE, None).absent_fields == ("b", "c")
